package rseqkit

import (
	"math"
	"runtime"
	"sync/atomic"

	"github.com/rseqkit/rseqkit/cpumem"
)

// The slow paths. A section jumps here with its arguments untouched and
// nothing done: to xSlow if it found something missing, to xAborted if it was
// aborted abortLimit times in a row.

// addSlow adds where no section can, or calls the section that can: that of
// the handle's index, or the same again once what it missed is there.
//
//lint:ignore U1000 called from assembly
func addSlow(h *cpumem.Handle, displacement uintptr, delta int64) {
	d := h.Domain()
	switch {
	case d.Index() == cpumem.ByConcurrencyID:
		AddByConcurrencyID(h, displacement, delta)
	case d.Prepare():
		Add(h, displacement, delta)
	default:
		addShared(h, displacement, delta)
	}
}

//lint:ignore U1000 called from assembly
func addByConcurrencyIDSlow(h *cpumem.Handle, displacement uintptr, delta int64) {
	d := h.Domain()
	switch {
	case d.Index() == cpumem.ByCPU:
		Add(h, displacement, delta)
	case d.Prepare():
		AddByConcurrencyID(h, displacement, delta)
	default:
		addShared(h, displacement, delta)
	}
}

//lint:ignore U1000 called from assembly
func addFloatSlow(h *cpumem.Handle, displacement uintptr, delta float64) {
	d := h.Domain()
	switch {
	case d.Index() == cpumem.ByConcurrencyID:
		AddFloatByConcurrencyID(h, displacement, delta)
	case d.Prepare():
		AddFloat(h, displacement, delta)
	default:
		addFloatShared(h, displacement, delta)
	}
}

//lint:ignore U1000 called from assembly
func addFloatByConcurrencyIDSlow(h *cpumem.Handle, displacement uintptr, delta float64) {
	d := h.Domain()
	switch {
	case d.Index() == cpumem.ByCPU:
		AddFloat(h, displacement, delta)
	case d.Prepare():
		AddFloatByConcurrencyID(h, displacement, delta)
	default:
		addFloatShared(h, displacement, delta)
	}
}

// addShared adds with an atomic. The handle must outlive it: its memory is
// given away when it is garbage.
func addShared(h *cpumem.Handle, displacement uintptr, delta int64) {
	atomic.AddUint64(h.SharedWord(displacement), uint64(delta))
	runtime.KeepAlive(h)
}

func addFloatShared(h *cpumem.Handle, displacement uintptr, delta float64) {
	word := h.SharedWord(displacement)
	for {
		old := atomic.LoadUint64(word)
		sum := math.Float64bits(math.Float64frombits(old) + delta)
		if atomic.CompareAndSwapUint64(word, old, sum) {
			break
		}
	}
	runtime.KeepAlive(h)
}
