package percpu

import (
	"sync/atomic"

	"github.com/rseqkit/rseqkit/cpumem"
)

// sum adds up an integer's words over all regions, the overflow region first:
// Drain takes its result out of that one, so whoever reads it first never
// misses what was taken and then finds it missing from nothing.
func sum(h *cpumem.Handle) uint64 {
	if !h.Allocated() {
		return 0
	}
	d := h.Domain()
	total := atomic.LoadUint64(h.Word(d.Overflow(), 0))
	return total + sumRegions(h, d)
}

func sumRegions(h *cpumem.Handle, d *cpumem.Domain) (total uint64) {
	for i := range d.Overflow() {
		if word := h.Word(i, 0); word != nil {
			total += atomic.LoadUint64(word)
		}
	}
	return total
}

// drain takes the sum out of the overflow region's word, which nobody changes
// without atomics; the CPUs' words go on growing. The units that it takes are
// those it read: a CPU's word only ever gets further updates, so what one
// drain read, the next one reads too, and the subtraction in between keeps it
// from being taken twice. A unit is hence taken exactly once, without
// stopping anybody. If the overflow word changed meanwhile, another drain may
// have taken the same units: read again.
func drain(h *cpumem.Handle) uint64 {
	if !h.Allocated() {
		return 0
	}
	d := h.Domain()
	shared := h.Word(d.Overflow(), 0)
	for {
		before := atomic.LoadUint64(shared)
		taken := before + sumRegions(h, d)
		if atomic.CompareAndSwapUint64(shared, before, before-taken) {
			return taken
		}
	}
}
