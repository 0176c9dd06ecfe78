//go:build linux && (amd64 || arm64) && !purego

package rseq_test

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/rseqkit/rseqkit/rseq"
)

// Ask the kernel directly and tell its refusals apart.
func ExampleSyscallError() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := rseq.Syscall(nil, 1, 0, rseq.Signature) // no kernel takes one byte
	var refusal *rseq.SyscallError
	fmt.Println(errors.As(err, &refusal) && refusal.Op == "register")
	// Output: true
}

// Registration lengths that keep every field current.
func ExampleFeatures() {
	f := rseq.KernelFeatures()
	fmt.Println(f.Size >= rseq.OriginalFeatureSize, f.RegistrationLength() >= rseq.OriginalLength)
	// Output: true true
}
