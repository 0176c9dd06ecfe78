package main

import (
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/rseqkit/rseqkit/percpu"
)

// many is the number of counters of a section that reads many.
const many = 1000

// readCandidates are the ways to read a sum. What is read was written on
// every CPU that this process may use, so that each part is there to visit.
func readCandidates() []*candidate {
	read := func(section, name string, ops int, start func() func(n int) int64) *candidate {
		return &candidate{section: section, name: name, single: true, ops: ops, start: func(int) loop {
			turns := start()
			return func(_, _, n int) int64 { return turns(n) }
		}}
	}
	value := read(sectionRead, "Counter.Value", 1, func() func(int) int64 {
		c := new(percpu.Counter)
		onEachCPU(c.Inc)
		return func(n int) (used int64) {
			for range n {
				used += c.Value()
			}
			return used
		}
	})
	values := read(sectionMany, "CounterGroup.Values", many, func() func(int) int64 {
		g, err := percpu.NewCounterGroup(many)
		if err != nil {
			panic(err) // 8 kB: no memory at all
		}
		onEachCPU(func() {
			for i := range many {
				g.Inc(i)
			}
		})
		to := make([]int64, many)
		return func(n int) (used int64) {
			for range n {
				used += g.Values(to)[many-1]
			}
			return used
		}
	})
	value.ours, values.ours = true, true
	return []*candidate{
		value,
		read(sectionRead, "FloatCounter.Value", 1, func() func(int) int64 {
			c := new(percpu.FloatCounter)
			onEachCPU(c.Inc)
			return func(n int) int64 {
				var used float64
				for range n {
					used += c.Value()
				}
				return int64(used)
			}
		}),
		read(sectionRead, "atomic.LoadInt64", 1, func() func(int) int64 {
			word := new(int64)
			return func(n int) (used int64) {
				for range n {
					used += atomic.LoadInt64(word)
				}
				return used
			}
		}),
		read(sectionRead, "16 shards", 1, func() func(int) int64 {
			s := new(paddedShards)
			return func(n int) (used int64) {
				for range n {
					used += s.sum()
				}
				return used
			}
		}),
		read(sectionRead, "xsync.Counter.Value", 1, func() func(int) int64 {
			c := xsync.NewCounter()
			onEachCPU(c.Inc)
			return func(n int) (used int64) {
				for range n {
					used += c.Value()
				}
				return used
			}
		}),
		values,
		read(sectionMany, "Counter.Value each", many, func() func(int) int64 {
			list := make([]percpu.Counter, many)
			onEachCPU(func() {
				for i := range list {
					list[i].Inc()
				}
			})
			return func(n int) (used int64) {
				for range n {
					for i := range list {
						used += list[i].Value()
					}
				}
				return used
			}
		}),
		read(sectionMany, "16 shards each", many, func() func(int) int64 {
			list := make([]paddedShards, many)
			return func(n int) (used int64) {
				for range n {
					for i := range list {
						used += list[i].sum()
					}
				}
				return used
			}
		}),
		read(sectionMany, "atomic.Int64 each", many, func() func(int) int64 {
			list := make([]atomic.Int64, many)
			return func(n int) (used int64) {
				for range n {
					for i := range list {
						used += list[i].Load()
					}
				}
				return used
			}
		}),
	}
}

// drainCandidates take a sum away, with one add before each. Counter and
// FloatCounter hand each unit out once even while others add; so does an
// atomic swap, xsync's Reset does not.
func drainCandidates() []*candidate {
	one := func(name string, start func() func(n int) int64) *candidate {
		return &candidate{section: sectionDrain, name: name, single: true, start: func(int) loop {
			turns := start()
			return func(_, _, n int) int64 { return turns(n) }
		}}
	}
	ours := one("Counter.Add+Drain", func() func(int) int64 {
		c := new(percpu.Counter)
		onEachCPU(c.Inc)
		return func(n int) (used int64) {
			for range n {
				c.Add(1)
				used += c.Drain()
			}
			return used
		}
	})
	ours.ours = true
	return []*candidate{
		ours,
		one("FloatCounter.Add+Drain", func() func(int) int64 {
			c := new(percpu.FloatCounter)
			onEachCPU(c.Inc)
			return func(n int) int64 {
				var used float64
				for range n {
					c.Add(1)
					used += c.Drain()
				}
				return int64(used)
			}
		}),
		one("atomic.Int64 Add+Swap", func() func(int) int64 {
			word := new(atomic.Int64)
			return func(n int) (used int64) {
				for range n {
					word.Add(1)
					used += word.Swap(0)
				}
				return used
			}
		}),
		one("16 shards Add+Swap each", func() func(int) int64 {
			s := new(paddedShards)
			return func(n int) (used int64) {
				for range n {
					s.byStack().Add(1)
					for i := range s {
						used += s[i].value.Swap(0)
					}
				}
				return used
			}
		}),
		one("xsync.Counter Add+Value+Reset", func() func(int) int64 {
			c := xsync.NewCounter()
			return func(n int) (used int64) {
				for range n {
					c.Add(1)
					used += c.Value()
					c.Reset()
				}
				return used
			}
		}),
	}
}
