package percpu_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/percpu"
	"github.com/rseqkit/rseqkit/rseq"
)

// TestThreadChurn: goroutines that lock their thread and exit take the thread
// with them. Nothing is lost, and neither areas nor memory pile up.
func TestThreadChurn(t *testing.T) {
	threads := 100_000
	if testing.Short() {
		threads = 3_000
	}
	var c percpu.Counter
	c.Inc()
	before := residentBytes(t)
	const atOnce = 50
	for started := 0; started < threads; started += atOnce {
		done := make(chan struct{})
		for range atOnce {
			go func() {
				runtime.LockOSThread() // and never unlocked
				c.Inc()
				done <- struct{}{}
			}()
		}
		for range atOnce {
			<-done
		}
	}
	if got := c.Value(); got != int64(threads+1) {
		t.Errorf("%d of %d units", got, threads+1)
	}
	info := rseq.Status()
	if info.Owner == rseq.OwnerRseqkit && info.AreasMapped > 2048 {
		t.Errorf("%d areas mapped for %d threads, at most %d at once; %d reused", info.AreasMapped, threads, atOnce, info.AreasReused)
	}
	// What the Go runtime itself keeps of dead threads comes to some MiB.
	if grown := residentBytes(t) - before; grown > 64<<20 {
		t.Errorf("resident memory grew by %d KiB", grown>>10)
	} else {
		t.Logf("%d threads: %d areas mapped, %d reused; resident memory grew by %d KiB", threads, info.AreasMapped, info.AreasReused, grown>>10)
	}
}

// TestReuse: counters that are garbage give their memory back, and it comes
// back zeroed: three times as many counters as fit live in one domain's
// worth of memory.
func TestReuse(t *testing.T) {
	var reference cpumem.Handle
	size := reference.Domain().Size() / cpumem.WordSize
	for range 3 {
		for i := range size {
			c := new(percpu.Counter)
			c.Add(int64(i) + 1)
			if v := c.Value(); v != int64(i)+1 {
				t.Fatalf("a new counter with %d added reads %d", i+1, v)
			}
		}
		for range 3 { // cleanups run a little after the collection
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				c := new(percpu.Counter)
				c.Add(int64(g*i) + 1)
				if v := c.Drain(); v != int64(g*i)+1 {
					t.Errorf("goroutine %d: a new counter with %d added reads %d", g, g*i+1, v)
					return
				}
				if i%200 == 0 {
					runtime.GC()
				}
			}
		})
	}
	wg.Wait()
	if domains := cpumem.DefaultDomains(); domains > 3 {
		t.Errorf("%d counters in turn grew the defaults to %d domains of %d", 3*size, domains, size)
	}
}

// TestManyInOneSlice: counters that share one Go allocation do not get in each
// other's way. With their cleanups in one list the long form runs into go
// test's timeout.
func TestManyInOneSlice(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 20_000
	}
	counters := make([]percpu.Counter, n)
	for i := range counters {
		counters[i].Inc()
	}
	for i := range counters {
		if v := counters[i].Value(); v != 1 {
			t.Fatalf("counter %d reads %d", i, v)
		}
	}
}
