package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

var calls = map[string]uint32{
	"rseq":             unix.SYS_RSEQ,
	"membarrier":       unix.SYS_MEMBARRIER,
	"process_vm_readv": unix.SYS_PROCESS_VM_READV,
}

var errnos = map[string]unix.Errno{"ENOSYS": unix.ENOSYS, "EPERM": unix.EPERM}

// run replaces this process by the program, under the filter. It returns only
// with an error.
func run(deny denials, arguments []string) error {
	filter, err := compile(deny)
	if err != nil {
		return err
	}
	path, err := exec.LookPath(arguments[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the filter is this thread's, which is the one that calls exec
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("set the seccomp filter: %w; needs a kernel with CONFIG_SECCOMP_FILTER", err)
	}
	return unix.Exec(path, arguments, os.Environ())
}

// compile turns denials into classic BPF over struct seccomp_data, whose first
// word is the system call's number (include/uapi/linux/seccomp.h).
func compile(deny denials) ([]unix.SockFilter, error) {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for _, d := range deny {
		number, known := calls[d.call]
		errno, fine := errnos[d.errno]
		if !known || !fine {
			return nil, fmt.Errorf("%w: %s=%s: known are rseq, membarrier and process_vm_readv with ENOSYS or EPERM", errUsage, d.call, d.errno)
		}
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	return append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}), nil
}
