//go:build linux && !purego

package rseq

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func threadPointer() uintptr

// libcThreadPointer returns the calling thread's thread pointer if a C
// library owns it, else 0: the Go runtime by itself leaves TPIDR_EL0 alone.
func libcThreadPointer() uintptr { return threadPointer() }

// locateInRuntime checks that the runtime keeps this thread's m where the
// layout says, and that the first word of m.tls, which only x86 uses, is free
// for us.
func locateInRuntime(layout goLayout) (offset uintptr, lookup string, err error) {
	m := peek(currentG() + layout.gM)
	if tid := uintptr(unix.Gettid()); peek(m+layout.mProcid) != tid {
		return 0, "", fmt.Errorf("rseq: %w: m.procid at offset %d is %d on thread %d", ErrSelfTest, layout.mProcid, peek(m+layout.mProcid), tid)
	}
	if word := peek(m + layout.mTLS); word != 0 && !areas.owns(unix.Gettid(), word) {
		return 0, "", fmt.Errorf("rseq: %w: m.tls[0] at offset %d is in use (%#x)", ErrSelfTest, layout.mTLS, word)
	}
	return layout.mTLS, fmt.Sprintf("the word at offset %d of runtime.m, m.tls[0]", layout.mTLS), nil
}
