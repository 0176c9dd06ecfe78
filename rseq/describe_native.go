//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"bytes"
	"fmt"
	"runtime"
	"unsafe"
)

// maxSectionCode bounds Describe's search, in bytes of machine code.
const maxSectionCode = 4096

// Describe derives the descriptor of the critical section in the assembly
// function at entry from its code, which follows the anatomy that all our
// sections share: the first store of R9, the descriptor's address, to 8(R8) in
// the area arms it; from the instruction after it to the commit the thread is
// inside; the commit is followed by RET, the signature and the abort handler,
// in this order.
//
// So nothing has to be counted by hand. The error says which of the three
// marks is missing.
func Describe(entry unsafe.Pointer) (CriticalSection, error) {
	signature := find(entry, codeSignature, maxSectionCode)
	if signature < 0 {
		return CriticalSection{}, fmt.Errorf("%w: no signature %#x within %d bytes of the section's entry", ErrSelfTest, Signature, maxSectionCode)
	}
	arm := find(entry, codeArm, signature)
	if arm < 0 {
		return CriticalSection{}, fmt.Errorf("%w: no store of the descriptor before the signature", ErrSelfTest)
	}
	start := arm + len(codeArm)
	commit := signature - len(codeReturn)
	if commit <= start || !bytes.Equal(codeAt(entry, commit, len(codeReturn)), codeReturn) {
		return CriticalSection{}, fmt.Errorf("%w: no RET between commit and signature", ErrSelfTest)
	}
	abort := uintptr(entry) + uintptr(signature+len(codeSignature))
	if f := runtime.FuncForPC(abort); f == nil || f.Entry() != uintptr(entry) {
		return CriticalSection{}, fmt.Errorf("%w: the signature at %+d bytes belongs to another function", ErrSelfTest, signature)
	}
	return CriticalSection{
		Start:            uint64(uintptr(entry)) + uint64(start),
		PostCommitOffset: uint64(commit - start),
		Abort:            uint64(abort),
	}, nil
}

// find returns the offset of the first instruction boundary candidate at
// which the code reads want, or -1.
func find(entry unsafe.Pointer, want []byte, limit int) int {
	for at := 0; at < limit; at += codeStep {
		if bytes.Equal(codeAt(entry, at, len(want)), want) {
			return at
		}
	}
	return -1
}

func codeAt(entry unsafe.Pointer, at, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(entry, at)), n)
}
