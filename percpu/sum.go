package percpu

import (
	"runtime"
	"sync/atomic"

	"github.com/rseqkit/rseqkit/cpumem"
)

// sum adds up an integer's words over all regions, the overflow region first:
// that is where drain subtracts what it took from the others. Read in this
// order, a drain that is seen has its units seen, too, so a growing counter
// never reads below zero.
func sum(h *cpumem.Handle) uint64 {
	if !h.Allocated() {
		return 0
	}
	d := h.Domain()
	total := atomic.LoadUint64(h.Word(d.Overflow(), 0)) + sumRegions(h, d, 0)
	runtime.KeepAlive(h)
	return total
}

// sumRegions adds up the words at displacement but for the overflow region's.
func sumRegions(h *cpumem.Handle, d *cpumem.Domain, displacement uintptr) (total uint64) {
	for i := range d.Overflow() {
		if word := h.Word(i, displacement); word != nil {
			total += atomic.LoadUint64(word)
		}
	}
	runtime.KeepAlive(h)
	return total
}

// drain takes the sum out of the overflow region's word, which nobody changes
// without atomics, and leaves the CPUs' words as they are.
//
// Each unit is taken exactly once, and nobody is stopped for it: a CPU's word
// only accumulates, so the units that this call read are read again by every
// later one, and the subtraction takes them off there. Two calls that read the
// same units cannot both subtract them, because the second one's
// compare-and-swap fails. And should the overflow word have changed and
// changed back in between, what the call returns is still what it subtracts:
// the total over all calls and the counter is conserved.
func drain(h *cpumem.Handle) uint64 {
	if !h.Allocated() {
		return 0
	}
	d := h.Domain()
	shared := h.Word(d.Overflow(), 0)
	defer runtime.KeepAlive(h)
	for {
		before := atomic.LoadUint64(shared)
		taken := before + sumRegions(h, d, 0)
		if atomic.CompareAndSwapUint64(shared, before, before-taken) {
			return taken
		}
	}
}
