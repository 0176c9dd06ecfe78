package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const hasGetcpu = true

func getcpu() uint32 {
	var cpu uint32
	_, _, _ = unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0) // cannot fail
	return cpu
}

// allowedCPUs lists the CPUs that the calling thread may use.
func allowedCPUs() ([]int, error) {
	// Room for more CPUs than unix.CPUSet has.
	var mask [8192 / 64]uint64
	n, _, errno := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		return nil, fmt.Errorf("read the allowed CPUs: %w", errno)
	}
	var cpus []int
	for cpu := range int(n) * 8 {
		if mask[cpu/64]&(1<<(cpu%64)) != 0 {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// pinThread keeps the calling thread on one CPU.
func pinThread(cpu int) error {
	var mask [8192 / 64]uint64
	mask[cpu/64] = 1 << (cpu % 64)
	if _, _, errno := unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask))); errno != 0 {
		return fmt.Errorf("run on CPU %d only: %w", cpu, errno)
	}
	return nil
}

// involuntarySwitches returns how often the calling thread lost its CPU.
func involuntarySwitches() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &usage) != nil {
		return 0
	}
	return int64(usage.Nivcsw)
}

// ownCPUTime is that of this process and of the children it has waited for.
func ownCPUTime() (total time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var usage unix.Rusage
		if unix.Getrusage(who, &usage) == nil {
			total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
	}
	return total
}

// residentBytes is the process's resident memory. smaps_rollup counts pages;
// statm, which older kernels have instead, may lag behind.
func residentBytes() (int64, error) {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "Rss:"); ok {
				var kib int64
				_, err = fmt.Sscan(value, &kib)
				return kib << 10, err
			}
		}
	}
	if text, err = os.ReadFile("/proc/self/statm"); err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	return resident * int64(os.Getpagesize()), nil
}
