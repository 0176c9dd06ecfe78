//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// slowCPU registers the thread for the next time and asks getcpu(2).
func slowCPU() (cpu, node int) {
	RegisterThread()
	var c, n uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&c)), uintptr(unsafe.Pointer(&n)), 0); errno != 0 {
		return -1, -1
	}
	return int(c), int(n)
}
