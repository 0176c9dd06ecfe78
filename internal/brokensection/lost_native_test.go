//go:build linux && (amd64 || arm64) && !purego

package brokensection

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
)

// TestLostUpdates: more threads than CPUs preempt each other between read and
// store. The section that the kernel knows keeps every update; the same code
// without its descriptor loses some, so this kind of test can fail.
func TestLostUpdates(t *testing.T) {
	if rseq.Active() != rseq.EngineRseq {
		t.Skipf("needs the rseq engine: %v", rseq.Available())
	}
	for _, c := range []struct {
		name string
		add  func(*cpumem.Handle, uint64) bool
		lose bool
	}{
		{"armed", Add, false},
		{"unarmed", AddUnarmed, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			deadline := time.Now().Add(20 * time.Second)
			for {
				counted, done := race(c.add)
				if counted != done && !c.lose {
					t.Fatalf("%d of %d updates", counted, done)
				}
				if counted != done {
					t.Logf("%d of %d updates, %d lost", counted, done, done-counted)
					return
				}
				if !c.lose {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("a section without a descriptor lost nothing in 20 s: this test shows nothing here")
				}
			}
		})
	}
}

// race runs add on many threads for a while and returns what was counted and
// what was done.
func race(add func(*cpumem.Handle, uint64) bool) (counted, done int64) {
	const spins = 20_000 // some microseconds between read and store
	threads := 4 * runtime.NumCPU()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	h := new(cpumem.Handle)
	d := h.Domain()
	var total atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(300 * time.Millisecond)
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for time.Now().Before(end) {
				if add(h, spins) {
					total.Add(1)
				} else {
					d.Prepare()
				}
			}
		})
	}
	wg.Wait()
	for i := range d.Regions() {
		if word := h.Word(i, 0); word != nil {
			counted += int64(atomic.LoadUint64(word))
		}
	}
	return counted, total.Load()
}
