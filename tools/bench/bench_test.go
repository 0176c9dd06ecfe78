package main

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/rseqkit/rseqkit/percpu"
)

// BenchmarkRow has the command's rows for benchstat, one after the other
// instead of interleaved: compare two runs of one row with it, and rows with
// each other by the command. It passes b.N to the loops that the command
// runs, because b.Loop keeps calls in its body from being inlined before Go
// 1.26. ns/op is per operation of all threads together.
func BenchmarkRow(b *testing.B) {
	for _, c := range candidates() {
		if c.process != nil {
			continue // the command's alone
		}
		threads := []int{1}
		if !c.single {
			threads = slices.Compact(append(threads, runtime.GOMAXPROCS(0)))
		}
		for _, n := range threads {
			b.Run(fmt.Sprintf("%s/threads=%d", c.id(), n), func(b *testing.B) {
				work := c.start(n)
				workers, err := newPool(n, false)
				if err != nil {
					b.Fatal(err)
				}
				defer workers.close()
				workers.slice(n, work, 0, 1)
				b.ReportAllocs()
				b.ResetTimer()
				turns := b.N/n/c.opsPerTurn() + 1
				s := workers.slice(n, work, 0, turns)
				b.ReportMetric(float64(s.elapsed.Nanoseconds())/float64(turns*n*c.opsPerTurn()), "ns/op")
			})
		}
	}
}

// BenchmarkLoop has the main counters in the usual form.
func BenchmarkLoop(b *testing.B) {
	b.Run(nameCounterAdd, func(b *testing.B) {
		c := new(percpu.Counter)
		b.ReportAllocs()
		for b.Loop() {
			c.Add(1)
		}
	})
	b.Run(nameAtomic, func(b *testing.B) {
		word := new(int64)
		b.ReportAllocs()
		for b.Loop() {
			atomic.AddInt64(word, 1)
		}
	})
	b.Run(nameXsync, func(b *testing.B) {
		c := xsync.NewCounter()
		b.ReportAllocs()
		for b.Loop() {
			c.Add(1)
		}
	})
	b.Run(nameEmptyCall, func(b *testing.B) {
		c := new(emptyCounter)
		b.ReportAllocs()
		for b.Loop() {
			c.Add(1)
		}
	})
}

// BenchmarkParallel has them under RunParallel, whose own loop costs about as
// much as an add.
func BenchmarkParallel(b *testing.B) {
	b.Run(nameCounterAdd, func(b *testing.B) {
		c := new(percpu.Counter)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.Add(1)
			}
		})
	})
	b.Run(nameAtomic, func(b *testing.B) {
		word := new(int64)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				atomic.AddInt64(word, 1)
			}
		})
	})
	b.Run(nameXsync, func(b *testing.B) {
		c := xsync.NewCounter()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.Add(1)
			}
		})
	})
	b.Run("16 shards by stack address", func(b *testing.B) {
		s := new(paddedShards)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s.byStack().Add(1)
			}
		})
	})
}

// TestNoAllocations: nothing that is timed allocates, so no garbage collector
// is part of any figure. FloatCounter.Drain stops the CPUs and may.
func TestNoAllocations(t *testing.T) {
	for _, c := range candidates() {
		if c.process != nil || c.name == "FloatCounter.Add+Drain" {
			continue
		}
		work := c.start(1)
		work(0, 0, 1) // a first use does
		if allocs := testing.AllocsPerRun(10, func() { work(0, 0, 10) }); allocs != 0 {
			t.Errorf("%s allocates %v times in 10 turns", c.id(), allocs)
		}
	}
}
