package percpu

import (
	"strconv"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
)

// Counter is a 64-bit integer that many goroutines change and few read. The
// zero value is ready and zero. It must not be copied after its first use.
//
// Concurrency: every method may be called from any goroutine at any time.
//
// Exactness: no update is lost or doubled. A read is a sum over CPUs, not a
// snapshot: it includes every update that happened before it (a goroutine's
// own, and those ordered before by Go synchronisation) and any part of those
// that run at the same time. Sums wrap like int64.
//
// Cost: an update is one critical section, about an empty assembly call and a
// few loads, without allocation; the first one allocates. A read visits every
// CPU that was used. Memory: 8 bytes a used CPU, packed with other counters,
// and the Go value; it comes back when the Counter is garbage.
//
// Failure: the first update panics if no per-CPU memory can be mapped.
//
// Ordering: an update orders nothing else; publish other data by Go
// synchronisation.
type Counter struct {
	h cpumem.Handle
}

// Add adds delta, which may be negative.
func (c *Counter) Add(delta int64) { rseqkit.Add(&c.h, 0, delta) }

// Inc adds one.
func (c *Counter) Inc() { rseqkit.Add(&c.h, 0, 1) }

// Value returns the sum. Counting down and up at the same time on several
// CPUs, it may pass through values that the counter never had.
func (c *Counter) Value() int64 { return int64(sum(&c.h)) }

// Drain returns the sum and takes it away, as one step: each unit is in the
// result of exactly one Drain or still in Value, whatever runs meanwhile. (Of
// the same family as LongAdder's sumThenReset, which does not promise that.)
// It interrupts nobody and costs a Value and an atomic.
func (c *Counter) Drain() int64 { return int64(drain(&c.h)) }

// String formats the value in decimal, which makes a *Counter an expvar.Var.
func (c *Counter) String() string { return strconv.FormatInt(c.Value(), 10) }
