//go:build linux && (amd64 || arm64) && !purego

package brokensection

import (
	"os"
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

// TestStopFences: a section that is inside when its CPU is stopped must not
// commit afterwards. Only the fence sees to that: the section has found its
// region open already. So the armed section leaves a stopped region alone, and
// the unarmed one, which no fence aborts, is caught writing there.
func TestStopFences(t *testing.T) {
	if rseq.Active() != rseq.EngineRseq {
		t.Skipf("needs the rseq engine: %v", rseq.Available())
	}
	for _, c := range []struct {
		name   string
		add    func(*cpumem.Handle, uint64) bool
		intact bool
	}{
		{"armed", Add, true},
		{"unarmed", AddUnarmed, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := 0
			for deadline := time.Now().Add(20 * time.Second); changed == 0 && time.Now().Before(deadline); {
				changed = changesWhileStopped(t, c.add)
				if c.intact {
					break
				}
			}
			if c.intact && changed != 0 {
				t.Errorf("%d stopped regions changed", changed)
			}
			if !c.intact && changed == 0 {
				t.Error("no stopped region changed in 20 s: this test shows nothing here")
			}
		})
	}
}

// changesWhileStopped stops regions under fire and counts those that change.
func changesWhileStopped(t *testing.T, add func(*cpumem.Handle, uint64) bool) (changed int) {
	const spins = 200_000 // some ten microseconds between read and store
	threads := 2 * runtime.NumCPU()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads + 1))
	d, err := cpumem.New(cpumem.Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	h := new(cpumem.Handle)
	if err := d.Allocate(h, cpumem.WordSize); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for !done.Load() {
				if !add(h, spins) {
					d.Prepare()
				}
			}
		})
	}
	for round := range 100 {
		i := round % min(d.Overflow(), 16)
		s, err := d.Stop(i)
		if err != nil {
			t.Fatal(err)
		}
		before := atomic.LoadUint64(h.Word(i, 0))
		time.Sleep(time.Millisecond) // many sections long
		if atomic.LoadUint64(h.Word(i, 0)) != before {
			changed++
		}
		s.Resume()
		time.Sleep(time.Millisecond)
	}
	done.Store(true)
	wg.Wait()
	return changed
}

// TestEngine: the engine is the one that this run is for, so that no other
// passes the tests in its place.
func TestEngine(t *testing.T) {
	if want := os.Getenv("RSEQKIT_TEST_ENGINE"); want != "" && want != rseq.Active().String() {
		t.Errorf("engine %v, and this run is for %s: %s", rseq.Active(), want, rseq.Status().Reason)
	}
}
