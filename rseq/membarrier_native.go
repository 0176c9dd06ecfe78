//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Commands of membarrier(2) (include/uapi/linux/membarrier.h).
const (
	membarrierQuery              = 0
	membarrierPrivateRseq        = 1 << 7 // PRIVATE_EXPEDITED_RSEQ, 5.10
	membarrierRegisterPrivateRsq = 1 << 8 // REGISTER_PRIVATE_EXPEDITED_RSEQ, 5.10
	membarrierFlagCPU            = 1      // MEMBARRIER_CMD_FLAG_CPU, 5.10
)

func rawMembarrier(command, flags, cpu int) (int, unix.Errno) {
	r, _, errno := unix.RawSyscall(unix.SYS_MEMBARRIER, uintptr(command), uintptr(flags), uintptr(cpu))
	return int(r), errno
}

// registerFence announces to the kernel that this process will fence. It is
// idempotent, survives fork, and waits for a grace period (about 12 ms) in a
// process that has several threads. Kernels before 5.17 support the command
// without listing it in QUERY, so trying is the probe.
func registerFence() error {
	switch _, errno := rawMembarrier(membarrierRegisterPrivateRsq, 0, 0); errno {
	case 0:
		return nil
	case unix.EPERM: // no answer of the kernel's to this command
		return fmt.Errorf("rseq: %w: %w: allow membarrier(2) in the seccomp profile (%w)", ErrNoFence, ErrDenied, errno)
	default:
		return fmt.Errorf("rseq: %w: needs Linux 5.10 and membarrier(2) allowed by seccomp (%w)", ErrNoFence, errno)
	}
}

// Fence makes every critical section of this process that started before the
// call either committed, with its stores visible to the caller, or aborted
// when its thread next runs; every section that starts later sees the
// caller's earlier stores. It does not keep new sections out: they must check
// a word that was changed before the fence.
//
// Cost: an interrupt to every CPU that runs a thread of the process, about
// 10 µs, behind a system-wide mutex on kernels before 7.2. Free in a
// single-threaded process. Errors: ErrNoFence.
func Fence() error { return fence(0, 0) }

// FenceCPU is [Fence] for the sections on one CPU: about 0.5 µs for the
// caller's own CPU, 4 to 10 µs for another. A CPU that is offline or that
// this process never used needs no interrupt. Errors: ErrNoFence, ErrCPU if
// cpu is negative or not below [PossibleCPUs].
func FenceCPU(cpu int) error {
	if cpu < 0 || cpu >= PossibleCPUs() {
		return cpuError(cpu)
	}
	return fence(membarrierFlagCPU, cpu)
}

func fence(flags, cpu int) error {
	if err := current().fenceErr; err != nil {
		return err
	}
	if _, errno := rawMembarrier(membarrierPrivateRseq, flags, cpu); errno != 0 {
		return fmt.Errorf("rseq: %w: membarrier stopped working (%w)", ErrNoFence, errno)
	}
	return nil
}

// membarrierCommands is the mask of commands that the kernel lists, or 0.
func membarrierCommands() int {
	mask, errno := rawMembarrier(membarrierQuery, 0, 0)
	if errno != 0 {
		return 0
	}
	return mask
}
