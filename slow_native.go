//go:build linux && (amd64 || arm64) && !purego

package rseqkit

import (
	"math"
	"sync/atomic"

	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/cpuopv"
)

// addAborted runs the addition as an operation vector on the CPU it would
// have had. If that fails (no fence), the shared word takes it.
func addAborted(h *cpumem.Handle, displacement uintptr, delta int64) {
	if _, err := cpuopv.Exec(h.Domain().Current(), cpuopv.Add(h, displacement, delta)); err != nil {
		addShared(h, displacement, delta)
	}
}

// addFloatAborted has no vector that adds in float64, so it computes outside
// and stores only if nothing came in between: compare, then store. Sections
// on that CPU can win every time, so after some attempts the shared word
// takes it.
func addFloatAborted(h *cpumem.Handle, displacement uintptr, delta float64) {
	const attempts = 8
	i := h.Domain().Current()
	for range attempts {
		var old uint64
		if word := h.Word(i, displacement); word != nil {
			old = atomic.LoadUint64(word)
		}
		sum := math.Float64bits(math.Float64frombits(old) + delta)
		stopped, err := cpuopv.Exec(i,
			cpuopv.CompareEqual(h, displacement, old),
			cpuopv.Store(h, displacement, sum))
		if err != nil {
			break
		}
		if stopped == 0 {
			return
		}
	}
	addFloatShared(h, displacement, delta)
}
