package main

import (
	"math/rand/v2"
	"sync/atomic"
	"unsafe"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/percpu"
)

// Names that others refer to.
const (
	nameEmptyCall  = "empty assembly call"
	nameAtomic     = "atomic.AddInt64"
	nameOwnAtomic  = "atomic.AddInt64, own word"
	nameXsync      = "xsync.Counter"
	nameCounterAdd = "Counter.Add"
)

// addCandidates are the ways to count. Their loops are plain functions below,
// so that go tool objdump shows what is measured. Copies of a loop within one
// function fall differently on cache lines because of what is between them.
func addCandidates() []*candidate {
	add := func(name string, start func(threads int) loop) *candidate {
		return &candidate{section: sectionAdd, name: name, start: start}
	}
	ours := add(nameCounterAdd, shared(loopCounterAdd))
	ours.ours = true
	list := []*candidate{
		ours,
		add("Counter.Inc", shared(loopCounterInc)),
		add("UintCounter.Add", shared(loopUintCounter)),
		add("FloatCounter.Add", shared(loopFloatCounter)),
		add("CounterGroup.Add", group(1, loopGroupSame)),
		add("CounterGroup.Add, 8 in turn", group(8, loopGroup8)),
		add("CounterGroup.Add, 64 in turn", group(64, loopGroup64)),
		add("empty loop", shared(loopEmpty)),
		add("plain word", own(loopPlain)),
		add("plain word, by a call", own(loopPlainCall)),
		add(nameAtomic, shared(loopAtomic)),
		add(nameOwnAtomic, own(loopOwnAtomic)),
		add(nameXsync, func(int) loop {
			c := xsync.NewCounter()
			return func(_, place, n int) int64 { loopXsync(c, place, n); return 0 }
		}),
		add("16 shards by stack address", shared(loopStackShards)),
		add("16 shards at random", shared(loopRandomShards)),
	}
	if emptyAssembly {
		list = append(list, add(nameEmptyCall, shared(loopEmptyCall)))
	}
	return list
}

// shared gives all threads one value.
func shared[T any](f func(value *T, place, n int)) func(int) loop {
	return func(int) loop {
		value := new(T)
		return func(_, place, n int) int64 { f(value, place, n); return 0 }
	}
}

// own gives each thread a word with cache lines of its own.
func own(f func(word *int64, place, n int)) func(int) loop {
	return func(threads int) loop {
		words := make([]paddedWord, threads+1) // the slice may begin within a line
		return func(thread, place, n int) int64 {
			word := &words[thread+1].value
			f(word, place, n)
			return *word
		}
	}
}

type paddedWord struct {
	_     [120]byte // two lines: neighbours are fetched in pairs
	value int64
}

func group(n int, f func(g *percpu.CounterGroup, n int)) func(int) loop {
	return func(int) loop {
		g, err := percpu.NewCounterGroup(n)
		if err != nil {
			panic(err) // a few words: no memory at all
		}
		return func(_, _, n int) int64 { f(g, n); return 0 }
	}
}

func loopEmpty(_ *struct{}, _, n int) {
	for range n {
	}
}

// emptyCounter is percpu.Counter around the empty function.
type emptyCounter struct{ h cpumem.Handle }

func (c *emptyCounter) Add(delta int64) { emptyAdd(&c.h, 0, delta) }

func loopEmptyCall(c *emptyCounter, place, n int) {
	switch place {
	case 0:
		for range n {
			c.Add(1)
		}
	case 1:
		for range n {
			c.Add(1)
		}
	default:
		for range n {
			c.Add(1)
		}
	}
}

func loopCounterAdd(c *percpu.Counter, place, n int) {
	switch place {
	case 0:
		for range n {
			c.Add(1)
		}
	case 1:
		for range n {
			c.Add(1)
		}
	default:
		for range n {
			c.Add(1)
		}
	}
}

func loopCounterInc(c *percpu.Counter, _, n int) {
	for range n {
		c.Inc()
	}
}

func loopUintCounter(c *percpu.UintCounter, _, n int) {
	for range n {
		c.Add(1)
	}
}

func loopFloatCounter(c *percpu.FloatCounter, _, n int) {
	for range n {
		c.Add(1)
	}
}

func loopGroupSame(g *percpu.CounterGroup, n int) {
	for range n {
		g.Add(0, 1)
	}
}

func loopGroup8(g *percpu.CounterGroup, n int) {
	for i := range n {
		g.Add(i%8, 1)
	}
}

func loopGroup64(g *percpu.CounterGroup, n int) {
	for i := range n {
		g.Add(i%64, 1)
	}
}

// loopPlain is limited by the latency from a store to the load of the same
// word: the floor of anything that adds to memory.
func loopPlain(word *int64, place, n int) {
	switch place {
	case 0:
		for range n {
			*word++
		}
	case 1:
		for range n {
			*word++
		}
	default:
		for range n {
			*word++
		}
	}
}

//go:noinline
func plainAdd(word *int64, delta int64) { *word += delta }

func loopPlainCall(word *int64, place, n int) {
	switch place {
	case 0:
		for range n {
			plainAdd(word, 1)
		}
	case 1:
		for range n {
			plainAdd(word, 1)
		}
	default:
		for range n {
			plainAdd(word, 1)
		}
	}
}

func loopAtomic(word *int64, place, n int) {
	switch place {
	case 0:
		for range n {
			atomic.AddInt64(word, 1)
		}
	case 1:
		for range n {
			atomic.AddInt64(word, 1)
		}
	default:
		for range n {
			atomic.AddInt64(word, 1)
		}
	}
}

func loopOwnAtomic(word *int64, _, n int) {
	for range n {
		atomic.AddInt64(word, 1)
	}
}

func loopXsync(c *xsync.Counter, place, n int) {
	switch place {
	case 0:
		for range n {
			c.Add(1)
		}
	case 1:
		for range n {
			c.Add(1)
		}
	default:
		for range n {
			c.Add(1)
		}
	}
}

// paddedShards is the counter that people write by hand.
type paddedShards [16]struct {
	value atomic.Int64
	_     [56]byte
}

// byStack picks a shard by the address of the goroutine's stack.
func (s *paddedShards) byStack() *atomic.Int64 {
	var here byte
	return &s[uintptr(unsafe.Pointer(&here))>>11%16].value
}

func (s *paddedShards) atRandom() *atomic.Int64 { return &s[rand.Uint32()%16].value }

func (s *paddedShards) sum() (total int64) {
	for i := range s {
		total += s[i].value.Load()
	}
	return total
}

func loopStackShards(s *paddedShards, _, n int) {
	for range n {
		s.byStack().Add(1)
	}
}

func loopRandomShards(s *paddedShards, _, n int) {
	for range n {
		s.atRandom().Add(1)
	}
}
