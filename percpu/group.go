package percpu

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
)

// CounterGroup is a fixed number of integer counters side by side: 8 bytes a
// counter and used CPU, and a read of all of them runs once through each
// CPU's memory, eight counters a cache line. Counters of a group keep the
// contract of [Counter]; two of them are not read as one snapshot.
type CounterGroup struct {
	h       cpumem.Handle
	members []struct{} // as many as counters: lets the compiler check indices
}

// NewCounterGroup returns n counters that are zero.
//
// Errors: those of cpumem.Allocate, among them cpumem.ErrTooLarge unless n is
// between 1 and cpumem.MaxSize/8.
func NewCounterGroup(n int) (*CounterGroup, error) {
	if n < 1 || n > cpumem.MaxSize/cpumem.WordSize {
		return nil, fmt.Errorf("percpu: group of %d counters: %w: 1 to %d are possible", n, cpumem.ErrTooLarge, cpumem.MaxSize/cpumem.WordSize)
	}
	g := &CounterGroup{members: make([]struct{}, n)}
	if err := cpumem.Allocate(&g.h, n*cpumem.WordSize); err != nil {
		return nil, fmt.Errorf("percpu: group of %d counters: %w", n, err)
	}
	return g, nil
}

// Len returns the number of counters.
func (g *CounterGroup) Len() int { return len(g.members) }

// Add adds delta to counter i. It panics if i is out of range.
func (g *CounterGroup) Add(i int, delta int64) {
	_ = g.members[i]
	rseqkit.Add(&g.h, uintptr(i)*cpumem.WordSize, delta)
}

// Inc adds one to counter i. It panics if i is out of range.
func (g *CounterGroup) Inc(i int) {
	_ = g.members[i]
	rseqkit.Add(&g.h, uintptr(i)*cpumem.WordSize, 1)
}

// Value returns counter i's sum. It panics if i is out of range.
func (g *CounterGroup) Value(i int) int64 {
	_ = g.members[i]
	d := g.h.Domain()
	displacement := uintptr(i) * cpumem.WordSize
	total := atomic.LoadUint64(g.h.Word(d.Overflow(), displacement)) + sumRegions(&g.h, d, displacement)
	runtime.KeepAlive(g)
	return int64(total)
}

// Values stores the sums of all counters in to, which must have room for Len
// of them, and returns that part of it; a nil to is allocated. It panics if
// to is shorter.
func (g *CounterGroup) Values(to []int64) []int64 {
	n := len(g.members)
	if to == nil {
		to = make([]int64, n)
	}
	to = to[:n]
	clear(to)
	d := g.h.Domain()
	for r := d.Overflow(); r >= 0; r-- { // the overflow region first, see sum
		first := g.h.Word(r, 0)
		if first == nil {
			continue
		}
		for i, words := 0, unsafe.Slice(first, n); i < n; i++ {
			to[i] += int64(atomic.LoadUint64(&words[i]))
		}
	}
	runtime.KeepAlive(g)
	return to
}
