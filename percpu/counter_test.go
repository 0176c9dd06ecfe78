package percpu_test

import (
	"expvar"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rseqkit/rseqkit/percpu"
	"github.com/rseqkit/rseqkit/rseq"
)

var (
	_ expvar.Var = (*percpu.Counter)(nil)
	_ expvar.Var = (*percpu.UintCounter)(nil)
	_ expvar.Var = (*percpu.FloatCounter)(nil)
)

func TestCounter(t *testing.T) {
	var c percpu.Counter
	if v := c.Value(); v != 0 {
		t.Errorf("the zero Counter has value %d", v)
	}
	if v := c.Drain(); v != 0 {
		t.Errorf("the zero Counter drains %d", v)
	}
	c.Add(40)
	c.Inc()
	c.Add(-100)
	if v := c.Value(); v != -59 {
		t.Errorf("40+1-100 gives %d", v)
	}
	if s := c.String(); s != "-59" {
		t.Errorf("String() = %q", s)
	}
	if v := c.Drain(); v != -59 {
		t.Errorf("Drain() = %d, want -59", v)
	}
	if v := c.Value(); v != 0 {
		t.Errorf("after Drain: %d", v)
	}
	c.Add(math.MaxInt64)
	c.Add(1)
	if v := c.Value(); v != math.MinInt64 {
		t.Errorf("MaxInt64+1 gives %d, want it to wrap to MinInt64", v)
	}
}

func TestUintCounter(t *testing.T) {
	var c percpu.UintCounter
	c.Add(1 << 63)
	c.Inc()
	if v := c.Value(); v != 1<<63+1 {
		t.Errorf("2^63+1 gives %d", v)
	}
	if s := c.String(); s != "9223372036854775809" {
		t.Errorf("String() = %q", s)
	}
	if v := c.Drain(); v != 1<<63+1 {
		t.Errorf("Drain() = %d", v)
	}
	c.Add(5)
	if v := c.Value(); v != 5 {
		t.Errorf("5 after Drain gives %d", v)
	}
}

func TestFloatCounter(t *testing.T) {
	var c percpu.FloatCounter
	if v := c.Drain(); v != 0 {
		t.Errorf("the zero FloatCounter drains %v", v)
	}
	c.Add(2.5)
	c.Inc()
	if v := c.Value(); v != 3.5 {
		t.Errorf("2.5+1 gives %v", v)
	}
	if s := c.String(); s != "3.5" {
		t.Errorf("String() = %q", s)
	}
	if v := c.Drain(); v != 3.5 {
		t.Errorf("Drain() = %v", v)
	}
	if v := c.Value(); v != 0 {
		t.Errorf("after Drain: %v", v)
	}
}

// TestExact is the promise: not one unit is lost, whatever happens to the
// threads meanwhile.
func TestExact(t *testing.T) {
	t.Run("Counter", func(t *testing.T) {
		var c percpu.Counter
		hammer(t, func(g, rounds int) {
			for range rounds {
				c.Add(int64(g + 1))
			}
		})
		if got, want := c.Value(), int64(adds(t))*triangle(hammerGoroutines); got != want {
			t.Errorf("%d of %d units", got, want)
		}
	})
	t.Run("FloatCounter", func(t *testing.T) {
		var c percpu.FloatCounter
		hammer(t, func(g, rounds int) {
			for range rounds {
				c.Add(float64(g + 1))
			}
		})
		if got, want := c.Value(), float64(int64(adds(t))*triangle(hammerGoroutines)); got != want {
			t.Errorf("%v of %v units", got, want)
		}
	})
	t.Run("CounterGroup", func(t *testing.T) {
		const n = 100
		group, err := percpu.NewCounterGroup(n)
		if err != nil {
			t.Fatal(err)
		}
		hammer(t, func(g, rounds int) {
			for i := range rounds {
				group.Inc((g + i) % n)
			}
		})
		var total int64
		for i, v := range group.Values(nil) {
			total += v
			if single := group.Value(i); single != v {
				t.Errorf("counter %d: Value %d, Values %d", i, single, v)
			}
		}
		if want := int64(adds(t)) * hammerGoroutines; total != want {
			t.Errorf("%d of %d units", total, want)
		}
	})
}

// TestDrainExact drains from several goroutines while others add.
func TestDrainExact(t *testing.T) {
	t.Run("Counter", func(t *testing.T) {
		var c percpu.Counter
		var drained atomic.Int64
		whileDraining(t, func() { drained.Add(c.Drain()) }, func(_, rounds int) {
			for range rounds {
				c.Inc()
			}
		})
		got, want := drained.Load()+c.Drain(), int64(adds(t))*hammerGoroutines
		if got != want {
			t.Errorf("%d of %d units drained", got, want)
		}
		if v := c.Value(); v != 0 {
			t.Errorf("%d left after the last Drain", v)
		}
	})
	t.Run("FloatCounter", func(t *testing.T) {
		var c percpu.FloatCounter
		var drained percpu.FloatCounter
		whileDraining(t, func() { drained.Add(c.Drain()) }, func(_, rounds int) {
			for range rounds {
				c.Inc()
			}
		})
		got, want := drained.Value()+c.Drain(), float64(adds(t)*hammerGoroutines)
		if got != want {
			t.Errorf("%v of %v units drained", got, want)
		}
	})
}

// whileDraining hammers with work while three goroutines call drain.
func whileDraining(t *testing.T, drain func(), work func(goroutine, rounds int)) {
	t.Helper()
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !done.Load() {
				drain()
				runtime.Gosched()
			}
		})
	}
	hammer(t, work)
	done.Store(true)
	wg.Wait()
}

func triangle(n int64) int64 { return n * (n + 1) / 2 }

// TestMonotonic: a goroutine's own updates are in its own reads, and reads of
// a growing counter do not go back.
func TestMonotonic(t *testing.T) {
	var c percpu.UintCounter
	hammer(t, func(_, rounds int) {
		var own, last uint64
		for range rounds / 100 {
			c.Inc()
			own++
			v := c.Value()
			if v < own || v < last {
				t.Errorf("read %d after %d and %d own updates", v, last, own)
				return
			}
			last = v
		}
	})
}

// TestDrainNeverNegative: a Value that runs at the same time as Drain never
// sees units taken that it did not see added.
func TestDrainNeverNegative(t *testing.T) {
	var c percpu.Counter
	whileDraining(t, func() {
		if v := c.Drain(); v < 0 {
			t.Errorf("drained %d from a growing counter", v)
		}
	}, func(_, rounds int) {
		for range rounds / 100 {
			c.Inc()
			if v := c.Value(); v < 0 {
				t.Errorf("a growing counter reads %d", v)
				return
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	var c percpu.Counter
	var u percpu.UintCounter
	var f percpu.FloatCounter
	g, err := percpu.NewCounterGroup(10)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]int64, 10)
	c.Inc()
	u.Inc()
	f.Inc()
	for name, operation := range map[string]func(){
		"Counter.Add":         func() { c.Add(3) },
		"Counter.Inc":         func() { c.Inc() },
		"Counter.Value":       func() { c.Value() },
		"Counter.Drain":       func() { c.Drain() },
		"UintCounter.Add":     func() { u.Add(3) },
		"UintCounter.Value":   func() { u.Value() },
		"FloatCounter.Add":    func() { f.Add(3) },
		"FloatCounter.Value":  func() { f.Value() },
		"FloatCounter.Drain":  func() { f.Drain() },
		"CounterGroup.Add":    func() { g.Add(3, 3) },
		"CounterGroup.Value":  func() { g.Value(3) },
		"CounterGroup.Values": func() { g.Values(values) },
	} {
		if n := testing.AllocsPerRun(1000, operation); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// TestDrainRace has nothing in the way of adders and drains: few goroutines,
// no pauses. Drains that overtake each other, or a CPU's sum that is taken
// while the CPU adds, show at once.
func TestDrainRace(t *testing.T) {
	var whole percpu.Counter
	var float percpu.FloatCounter
	for _, c := range []struct {
		name     string
		drainers int
		inc      func()
		drain    func() int64
	}{
		{"Counter", 3, whole.Inc, whole.Drain},
		{"FloatCounter", 1, float.Inc, func() int64 { return int64(float.Drain()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(4, runtime.NumCPU())))
			var added, drained atomic.Int64
			var adders, drainers sync.WaitGroup
			var done atomic.Bool
			for range 2 {
				adders.Go(func() {
					for i := range 400_000 {
						c.inc()
						if i%50_000 == 0 {
							runtime.Gosched()
						}
					}
					added.Add(400_000)
				})
			}
			for range c.drainers {
				drainers.Go(func() {
					for !done.Load() {
						drained.Add(c.drain())
					}
				})
			}
			adders.Wait()
			done.Store(true)
			drainers.Wait()
			drained.Add(c.drain())
			if drained.Load() != added.Load() {
				t.Errorf("%d of %d units drained", drained.Load(), added.Load())
			}
		})
	}
}

// TestEngine: the engine is the one that this run is for, so that no other
// passes the tests in its place.
func TestEngine(t *testing.T) {
	if want := os.Getenv("RSEQKIT_TEST_ENGINE"); want != "" && want != rseq.Active().String() {
		t.Errorf("engine %v, and this run is for %s: %s", rseq.Active(), want, rseq.Status().Reason)
	}
}
