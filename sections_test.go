package rseqkit_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
)

// The main goroutine keeps the main thread to itself: the dynamic loader of a
// pure Go PIE registers that thread, and tests are about threads of ours.
func init() { runtime.LockOSThread() }

// sum adds up the integer at displacement over all regions.
func sum(h *cpumem.Handle, displacement uintptr) (total int64) {
	for i := range h.Domain().Regions() {
		if word := h.Word(i, displacement); word != nil {
			total += int64(atomic.LoadUint64(word))
		}
	}
	return total
}

func sumFloat(h *cpumem.Handle, displacement uintptr) (total float64) {
	for i := range h.Domain().Regions() {
		if word := h.Word(i, displacement); word != nil {
			total += math.Float64frombits(atomic.LoadUint64(word))
		}
	}
	return total
}

// handles returns a handle of 16 bytes in a domain of each index.
func handles(t *testing.T) map[string]*cpumem.Handle {
	t.Helper()
	all := make(map[string]*cpumem.Handle)
	for name, index := range map[string]cpumem.Index{"ByCPU": cpumem.ByCPU, "ByConcurrencyID": cpumem.ByConcurrencyID} {
		d, err := cpumem.New(cpumem.Config{Size: 4096, Index: index})
		if errors.Is(err, rseq.ErrNoConcurrencyID) {
			t.Logf("not by concurrency id: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		h := new(cpumem.Handle)
		if err := d.Allocate(h, 16); err != nil {
			t.Fatal(err)
		}
		all[name] = h
	}
	return all
}

type adder struct {
	name  string
	add   func(h *cpumem.Handle, displacement uintptr, delta int64)
	total func(h *cpumem.Handle, displacement uintptr) int64
}

func asFloat(add func(*cpumem.Handle, uintptr, float64)) func(*cpumem.Handle, uintptr, int64) {
	return func(h *cpumem.Handle, displacement uintptr, delta int64) { add(h, displacement, float64(delta)) }
}

func sumFloatAsInt(h *cpumem.Handle, displacement uintptr) int64 {
	return int64(sumFloat(h, displacement))
}

var adders = []adder{
	{"Add", rseqkit.Add, sum},
	{"AddByConcurrencyID", rseqkit.AddByConcurrencyID, sum},
	{"AddFloat", asFloat(rseqkit.AddFloat), sumFloatAsInt},
	{"AddFloatByConcurrencyID", asFloat(rseqkit.AddFloatByConcurrencyID), sumFloatAsInt},
}

// forAll runs f for every addition on a handle of every index, the ones that
// do not fit included: they take a detour.
func forAll(t *testing.T, adders []adder, f func(t *testing.T, a adder, h *cpumem.Handle)) {
	for _, a := range adders {
		for index, h := range handles(t) {
			t.Run(a.name+"/"+index, func(t *testing.T) { f(t, a, h) })
		}
	}
}

func TestAdd(t *testing.T) {
	forAll(t, adders, func(t *testing.T, a adder, h *cpumem.Handle) {
		want := int64(0)
		for i := int64(-50); i < 100; i++ {
			a.add(h, 8, i)
			want += i
		}
		if got := a.total(h, 8); got != want {
			t.Errorf("sum %d, want %d", got, want)
		}
		if got := a.total(h, 0); got != 0 {
			t.Errorf("the word beside it has %d", got)
		}
		if n := testing.AllocsPerRun(100, func() { a.add(h, 0, 1) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestOnOwnRegion: on the rseq engine an addition goes to the region of the
// CPU that runs it, not to the overflow region.
func TestOnOwnRegion(t *testing.T) {
	if rseq.Active() != rseq.EngineRseq {
		t.Skipf("needs the rseq engine: %v", rseq.Available())
	}
	forAll(t, adders, func(t *testing.T, a adder, h *cpumem.Handle) {
		for range 1000 {
			a.add(h, 0, 1)
		}
		if v := *h.Word(h.Domain().Overflow(), 0); v != 0 {
			t.Errorf("the overflow region got %#x", v)
		}
	})
}

// TestStopped: while a region is stopped, additions go elsewhere and nothing
// changes there; none is lost.
func TestStopped(t *testing.T) {
	forAll(t, adders, func(t *testing.T, a adder, h *cpumem.Handle) {
		d := h.Domain()
		var done atomic.Bool
		var added atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				n := int64(0)
				for !done.Load() {
					for range 100 {
						a.add(h, 0, 1)
					}
					n += 100
					runtime.Gosched() // the stopping goroutine wants its turn
				}
				added.Add(n)
			})
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			i := random.IntN(min(d.Overflow(), 8))
			s, err := d.Stop(i)
			if err != nil {
				t.Fatal(err)
			}
			if d.Engine() == rseq.EngineRseq {
				before := *h.Word(i, 0)
				for range 1000 {
					if now := atomic.LoadUint64(h.Word(i, 0)); now != before {
						t.Fatalf("stopped region %d changed from %#x to %#x", i, before, now)
					}
				}
			}
			s.Resume()
			runtime.Gosched()
		}
		done.Store(true)
		wg.Wait()
		if got, want := a.total(h, 0), added.Load(); got != want {
			t.Errorf("%d of %d", got, want)
		}
	})
}

// TestFreed: what is freed after its last use comes back zeroed, whoever used
// it and wherever.
func TestFreed(t *testing.T) {
	d, err := cpumem.New(cpumem.Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		h := new(cpumem.Handle)
		if err := d.Allocate(h, 4096); err != nil { // all there is
			t.Fatal(err)
		}
		if got := sum(h, 8); got != 0 {
			t.Fatalf("freed memory came back with %d", got)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 1000 {
					rseqkit.Add(h, 8, 1)
				}
			})
		}
		wg.Wait()
		if got := sum(h, 8); got != 4000 {
			t.Fatalf("%d of 4000", got)
		}
		if err := h.Free(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUseAfterFree runs in a process of its own in debug mode: a handle is
// freed under fire, its users panic, and its memory goes to nobody else.
func TestUseAfterFree(t *testing.T) {
	if os.Getenv(cpumem.DebugVariable) != "1" {
		rerun(t, cpumem.DebugVariable+"=1")
		return
	}
	d, err := cpumem.New(cpumem.Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	h := new(cpumem.Handle)
	if err := d.Allocate(h, 4096); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != "rseqkit: use of a released handle" {
					t.Errorf("panic %v", p)
				}
			}()
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
				rseqkit.Add(h, 0, 1)
				runtime.Gosched()
			}
			t.Error("a freed handle was used for 10 s")
		})
	}
	time.Sleep(5 * time.Millisecond)
	if err := h.Free(); err != nil {
		t.Fatal(err)
	}
	if err := d.Allocate(new(cpumem.Handle), 8); !errors.Is(err, cpumem.ErrFull) {
		t.Errorf("the freed memory is to be had again: %v", err)
	}
	wg.Wait()
	runtime.KeepAlive(h)
}

// rerun runs the calling test in a new process with an additional environment
// variable.
func rerun(t *testing.T, variable string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Skipf("needs to start itself: %v", err)
	}
	child := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), variable)
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestStopAllBlocksNobody: while everything is stopped, additions of the
// owner itself and of others go on, first uses included.
func TestStopAllBlocksNobody(t *testing.T) {
	forAll(t, adders, func(t *testing.T, a adder, h *cpumem.Handle) {
		stopped, err := h.Domain().StopAll()
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			a.add(h, 0, 1)
		}
		stopped.Resume()
		a.add(h, 0, 1)
		if got := a.total(h, 0); got != 11 {
			t.Errorf("%d of 11", got)
		}
	})
}

func TestSections(t *testing.T) {
	sections := rseqkit.Sections()
	if rseq.Active() != rseq.EngineRseq {
		if len(sections) != 0 {
			t.Errorf("%d sections without an engine for them", len(sections))
		}
		return
	}
	names := make(map[string]bool)
	for _, s := range sections {
		if s.Name == "" || names[s.Name] || s.Start == 0 || s.End <= s.Start || s.Abort <= s.End || s.End-s.Start > 4096 {
			t.Errorf("%+v", s)
		}
		names[s.Name] = true
	}
	for _, a := range adders {
		if !names[a.name] {
			t.Errorf("section %s is not in the table", a.name)
		}
	}
}

// TestEngine: the engine is the one that this run is for, so that no other
// passes the tests in its place.
func TestEngine(t *testing.T) {
	if want := os.Getenv("RSEQKIT_TEST_ENGINE"); want != "" && want != rseq.Active().String() {
		t.Errorf("engine %v, and this run is for %s: %s", rseq.Active(), want, rseq.Status().Reason)
	}
}
