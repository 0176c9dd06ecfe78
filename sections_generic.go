//go:build !linux || (!amd64 && !arm64) || purego

package rseqkit

import (
	"runtime"
	"sync/atomic"

	"github.com/rseqkit/rseqkit/cpumem"
)

// Add adds delta to the 64-bit integer at displacement bytes from h's place;
// overflow wraps. Exactly once, safe for any number of goroutines.
func Add(h *cpumem.Handle, displacement uintptr, delta int64) {
	if word := h.Shard(displacement); word != nil {
		atomic.AddUint64(word, uint64(delta))
		runtime.KeepAlive(h)
		return
	}
	addSlow(h, displacement, delta)
}

// AddFloat is [Add] for float64.
func AddFloat(h *cpumem.Handle, displacement uintptr, delta float64) {
	addFloatSlow(h, displacement, delta)
}

// AddByConcurrencyID is [Add].
func AddByConcurrencyID(h *cpumem.Handle, displacement uintptr, delta int64) {
	addByConcurrencyIDSlow(h, displacement, delta)
}

// AddFloatByConcurrencyID is [AddFloat].
func AddFloatByConcurrencyID(h *cpumem.Handle, displacement uintptr, delta float64) {
	addFloatByConcurrencyIDSlow(h, displacement, delta)
}

// Sections lists nothing: this build has no critical sections.
func Sections() []Section { return nil }
