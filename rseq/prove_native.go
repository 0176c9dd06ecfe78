//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// ProveAbort shows that this kernel aborts critical sections, as no version
// number can: it runs a section that lasts some milliseconds, again and
// again, while another thread fences, until the kernel has sent wanted of
// them to the abort handler, each with its commit undone. It takes some
// milliseconds; where aborts do not come it gives up after some seconds with
// ErrBrokenKernel. It returns the obstacle where the rseq engine does not run.
func ProveAbort(wanted int) (AbortProof, error) {
	c := current()
	if c.engine != EngineRseq {
		return AbortProof{}, c.obstacle
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := registerThread(c.thread)
	if err == nil {
		return proveAbort(wanted)
	}
	// This thread is somebody else's. It is locked, so a goroutine gets
	// another one.
	var proof AbortProof
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err = registerThread(c.thread); err == nil {
			proof, err = proveAbort(wanted)
		}
	}()
	<-done
	return proof, err
}

// proveAbort is ProveAbort on a registered thread that the caller has locked.
func proveAbort(wanted int) (AbortProof, error) {
	const (
		spins = 5_000_000 // some milliseconds: many fences long
		limit = 3 * time.Second
	)
	var done atomic.Bool
	var fences atomic.Int64
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for !done.Load() {
			if Fence() != nil {
				return
			}
			fences.Add(1)
			time.Sleep(100 * time.Microsecond)
		}
	}()
	defer func() {
		done.Store(true)
		<-finished
	}()
	var proof AbortProof
	start := time.Now()
	for proof.Aborts < wanted && time.Since(start) < limit {
		var word uint64
		proof.Attempts++
		switch aborted := probe(currentArea(), spins, &word); {
		case aborted == 0 && word == 1:
			proof.Commits++
		case aborted == 1 && word == 0:
			proof.Aborts++
		default:
			return proof, fmt.Errorf("rseq: %w: a section that was aborted %d times stored %d", ErrSelfTest, aborted, word)
		}
	}
	proof.Fences = int(fences.Load())
	proof.Elapsed = time.Since(start)
	if proof.Aborts < wanted {
		return proof, fmt.Errorf("rseq: %w: %d of %d long sections were aborted under %d fences in %v", ErrBrokenKernel, proof.Aborts, proof.Attempts, proof.Fences, proof.Elapsed.Round(time.Millisecond))
	}
	return proof, nil
}
