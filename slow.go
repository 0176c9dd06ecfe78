package rseqkit

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/rseqkit/rseqkit/cpumem"
)

// The slow paths. A section jumps here with its arguments unread and nothing
// done: to xSlow if it found something missing, to xAborted if it was aborted
// abortLimit times in a row.

// addSlow adds where no section can, or calls the section that can: that of
// the handle's index, or the same again once what it missed is there.
func addSlow(h *cpumem.Handle, displacement uintptr, delta int64) {
	d := h.Domain()
	switch {
	case d.Index() == cpumem.ByConcurrencyID:
		AddByConcurrencyID(h, displacement, delta)
	case d.Prepare():
		Add(h, displacement, delta)
	default:
		atomic.AddInt64((*int64)(unsafe.Pointer(h.SharedWord(displacement))), delta)
	}
}

func addByConcurrencyIDSlow(h *cpumem.Handle, displacement uintptr, delta int64) {
	d := h.Domain()
	switch {
	case d.Index() == cpumem.ByCPU:
		Add(h, displacement, delta)
	case d.Prepare():
		AddByConcurrencyID(h, displacement, delta)
	default:
		atomic.AddInt64((*int64)(unsafe.Pointer(h.SharedWord(displacement))), delta)
	}
}

func addFloatSlow(h *cpumem.Handle, displacement uintptr, delta float64) {
	d := h.Domain()
	switch {
	case d.Index() == cpumem.ByConcurrencyID:
		AddFloatByConcurrencyID(h, displacement, delta)
	case d.Prepare():
		AddFloat(h, displacement, delta)
	default:
		addFloatShared(h.SharedWord(displacement), delta)
	}
}

func addFloatByConcurrencyIDSlow(h *cpumem.Handle, displacement uintptr, delta float64) {
	d := h.Domain()
	switch {
	case d.Index() == cpumem.ByCPU:
		AddFloat(h, displacement, delta)
	case d.Prepare():
		AddFloatByConcurrencyID(h, displacement, delta)
	default:
		addFloatShared(h.SharedWord(displacement), delta)
	}
}

func addFloatShared(word *uint64, delta float64) {
	for {
		old := atomic.LoadUint64(word)
		sum := math.Float64bits(math.Float64frombits(old) + delta)
		if atomic.CompareAndSwapUint64(word, old, sum) {
			return
		}
	}
}
