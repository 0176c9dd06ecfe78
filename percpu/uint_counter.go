package percpu

import (
	"strconv"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
)

// UintCounter is [Counter] for a number that only grows and may use all 64
// bits. It wraps like uint64.
type UintCounter struct {
	h cpumem.Handle
}

// Add adds delta.
func (c *UintCounter) Add(delta uint64) { rseqkit.Add(&c.h, 0, int64(delta)) }

// Inc adds one.
func (c *UintCounter) Inc() { rseqkit.Add(&c.h, 0, 1) }

// Value returns the sum. Of two reads, one after the other and no Drain
// between them, the second is never smaller (until the sum wraps).
func (c *UintCounter) Value() uint64 { return sum(&c.h) }

// Drain is [Counter.Drain].
func (c *UintCounter) Drain() uint64 { return drain(&c.h) }

// String formats the value in decimal, which makes a *UintCounter an
// expvar.Var.
func (c *UintCounter) String() string { return strconv.FormatUint(c.Value(), 10) }
