package percpu

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
)

// FloatCounter is [Counter] for float64. Each CPU's part is a running float64
// sum, so a value is exact where float64 addition is (whole numbers below
// 2^53), and otherwise rounded as any sum of floats, in an order that differs
// from run to run.
type FloatCounter struct {
	h cpumem.Handle
}

// Add adds delta.
func (c *FloatCounter) Add(delta float64) { rseqkit.AddFloat(&c.h, 0, delta) }

// Inc adds one.
func (c *FloatCounter) Inc() { rseqkit.AddFloat(&c.h, 0, 1) }

// Value returns the sum.
func (c *FloatCounter) Value() float64 {
	if !c.h.Allocated() {
		return 0
	}
	var total float64
	for i := range c.h.Domain().Regions() {
		if word := c.h.Word(i, 0); word != nil {
			total += math.Float64frombits(atomic.LoadUint64(word))
		}
	}
	runtime.KeepAlive(c)
	return total
}

// Drain returns the sum and takes it away, as one step: each Add is in the
// result of exactly one Drain or still in Value, whatever runs meanwhile.
//
// Floats cannot be taken back by subtraction without rounding, so Drain stops
// every CPU's updates and sets their parts to zero: one fence of all CPUs,
// about 10 µs. Updates go on meanwhile, on a shared word. It panics if the
// fence, which worked at start, is refused now.
func (c *FloatCounter) Drain() float64 {
	if !c.h.Allocated() {
		return 0
	}
	d := c.h.Domain()
	stopped, err := d.StopAll()
	if err != nil {
		panic(fmt.Sprintf("rseqkit: drain: %v", err))
	}
	defer stopped.Resume()
	var total float64
	for i := range d.Regions() {
		if word := c.h.Word(i, 0); word != nil {
			// Nobody else but atomic updates can be there.
			total += math.Float64frombits(atomic.SwapUint64(word, 0))
		}
	}
	runtime.KeepAlive(c)
	return total
}

// String formats the value as strconv does with format 'g', which makes a
// *FloatCounter an expvar.Var.
func (c *FloatCounter) String() string {
	return strconv.FormatFloat(c.Value(), 'g', -1, 64)
}
