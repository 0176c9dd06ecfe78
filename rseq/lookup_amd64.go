//go:build linux && !purego

package rseq

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// archGetFS is ARCH_GET_FS of arch_prctl(2) (asm/prctl.h).
const archGetFS = 0x1003

func fsBase() uintptr {
	var base uintptr
	if _, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, archGetFS, uintptr(unsafe.Pointer(&base)), 0); errno != 0 {
		return 0
	}
	return base
}

// libcThreadPointer returns the calling thread's thread pointer if a C
// library owns it, else 0. The psABI has the C library keep the thread
// pointer's own value at 0(FS); without one that word is 0 or our area.
func libcThreadPointer() uintptr {
	if base := fsBase(); base != 0 && loadThreadWord() == base {
		return base
	}
	return 0
}

// locateInRuntime checks that the runtime keeps this thread's m where the
// layout says, and that the word at 0(FS), m.tls[1], is free for us.
func locateInRuntime(layout goLayout) (offset uintptr, lookup string, err error) {
	m := fsBase() - layout.mTLS - unsafe.Sizeof(uintptr(0)) // FS is &m.tls[1]
	if g := currentG(); peek(g+layout.gM) != m {
		return 0, "", fmt.Errorf("rseq: %w: g.m at offset %d is %#x, and FS says %#x", ErrSelfTest, layout.gM, peek(g+layout.gM), m)
	}
	if tid := uintptr(unix.Gettid()); peek(m+layout.mProcid) != tid {
		return 0, "", fmt.Errorf("rseq: %w: m.procid at offset %d is %d on thread %d", ErrSelfTest, layout.mProcid, peek(m+layout.mProcid), tid)
	}
	if word := loadThreadWord(); word != 0 && !areas.owns(unix.Gettid(), word) {
		return 0, "", fmt.Errorf("rseq: %w: the word at 0(FS) is in use (%#x)", ErrSelfTest, word)
	}
	return 0, "the word at 0(FS), m.tls[1] of the Go runtime", nil
}
