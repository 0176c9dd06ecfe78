package rseq_test

import (
	"errors"
	"fmt"

	"github.com/rseqkit/rseqkit/rseq"
)

// Say at start what a program runs on.
func ExampleStatus() {
	info := rseq.Status()
	switch {
	case info.RequestErr != nil:
		fmt.Println("check", rseq.EngineVariable)
	case info.Engine == rseq.EngineRseq, info.Err != nil:
		fmt.Println("engine and reason known")
	}
	// Output: engine and reason known
}

// Decide by the obstacle's kind.
func ExampleAvailable() {
	switch err := rseq.Available(); {
	case err == nil:
	case errors.Is(err, rseq.ErrDenied):
		// allow rseq(2) and membarrier(2) in the container's profile
	case errors.Is(err, rseq.ErrGoRelease):
		// a newer rseqkit knows this Go release
	}
	fmt.Println("works either way")
	// Output: works either way
}

func ExampleEngine() {
	var e rseq.Engine
	fmt.Println(e.UnmarshalText([]byte("locked")), e)
	// Output: <nil> locked
}

func ExampleFenceCPU() {
	err := rseq.FenceCPU(-1)
	fmt.Println(errors.Is(err, rseq.ErrCPU))
	// Output: true
}

// See the kernel abort sections, as the doctor does.
func ExampleProveAbort() {
	proof, err := rseq.ProveAbort(1)
	switch {
	case rseq.Available() != nil:
		fmt.Println(err != nil && proof == rseq.AbortProof{})
	default:
		fmt.Println(err == nil && proof.Aborts == 1)
	}
	// Output: true
}
