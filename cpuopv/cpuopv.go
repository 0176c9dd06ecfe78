// Package cpuopv executes operation vectors: short lists of operations on
// per-CPU memory that take effect as one, as if the CPU ran nothing else
// meanwhile. It revives in user space what the cpu_opv system call was
// proposed for: the compare-and-store fallback for a critical section that
// makes no progress, because a debugger steps through it or because it is for
// another CPU.
//
// A vector runs under the stop protocol of package cpumem, so it excludes
// every critical section of its domain on that CPU, and every other vector
// there: the order of all of them is total.
package cpuopv

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/rseqkit/rseqkit/cpumem"
)

// MaxOps is the largest number of operations in a vector, the kernel
// prototype's CPU_OP_VEC_LEN_MAX.
const MaxOps = 16

// ErrVector reports a vector that cannot run; nothing of it did.
var ErrVector = errors.New("invalid operation vector")

type kind uint8

const (
	kindInvalid kind = iota
	kindCompareEqual
	kindStore
	kindAdd
)

// Op is one operation on a word of per-CPU memory: the 8 bytes at some
// displacement from a handle's place, in the region that Exec is told.
type Op struct {
	kind         kind
	h            *cpumem.Handle
	displacement uintptr
	value        uint64
}

// CompareEqual stops the vector unless the word equals expect.
func CompareEqual(h *cpumem.Handle, displacement uintptr, expect uint64) Op {
	return Op{kindCompareEqual, h, displacement, expect}
}

// Store stores value in the word.
func Store(h *cpumem.Handle, displacement uintptr, value uint64) Op {
	return Op{kindStore, h, displacement, value}
}

// Add adds delta to the word; overflow wraps.
func Add(h *cpumem.Handle, displacement uintptr, delta int64) Op {
	return Op{kindAdd, h, displacement, uint64(delta)}
}

// Exec runs the vector on region index of its handles' common domain: a CPU
// number or concurrency id on the rseq engine, a shard on the others, or the
// overflow region. The calling goroutine stays where it is.
//
// It returns 0 if every operation took effect; i+1 if the comparison in
// operation i failed: the operations before it took effect, those after it
// did not. An error means that nothing did: ErrVector for an empty or too
// long vector, an unknown operation, handles of two domains or a word outside
// its handle; cpumem.ErrRegion for an index out of range; cpumem.ErrNoMemory,
// rseq.ErrNoFence.
//
// Words that counters change with atomics (the overflow region, and all of
// the locked and portable engines) can change between two operations of a
// vector there; each operation by itself is atomic with respect to them, a
// comparison directly followed by a store of the same word included.
//
// Cost: a fence (cpumem.Domain.Stop). No allocation.
func Exec(index int, ops ...Op) (stopped int, err error) {
	d, err := check(index, ops)
	if err != nil {
		return 0, err
	}
	s, err := d.Stop(index)
	if err != nil {
		return 0, fmt.Errorf("cpuopv: %w", err)
	}
	defer s.Resume()
	defer runtime.KeepAlive(ops) // and so the handles, whose memory is at work
	for i := 0; i < len(ops); i++ {
		op := &ops[i]
		word := op.h.Word(index, op.displacement)
		switch op.kind {
		case kindStore:
			atomic.StoreUint64(word, op.value)
		case kindAdd:
			atomic.AddUint64(word, op.value)
		case kindCompareEqual:
			if i+1 < len(ops) && ops[i+1].kind == kindStore && ops[i+1].sameWord(op) {
				// One step, for the words that others change with atomics.
				if !atomic.CompareAndSwapUint64(word, op.value, ops[i+1].value) {
					return i + 1, nil
				}
				i++
			} else if atomic.LoadUint64(word) != op.value {
				return i + 1, nil
			}
		}
	}
	return 0, nil
}

func (op *Op) sameWord(other *Op) bool {
	return op.h == other.h && op.displacement == other.displacement
}

// check validates the whole vector before anything of it runs.
func check(index int, ops []Op) (*cpumem.Domain, error) {
	if len(ops) == 0 || len(ops) > MaxOps {
		return nil, fmt.Errorf("cpuopv: %d operations: %w: 1 to %d are possible", len(ops), ErrVector, MaxOps)
	}
	var d *cpumem.Domain
	for i := range ops {
		op := &ops[i]
		switch {
		case op.kind == kindInvalid || op.h == nil:
			return nil, fmt.Errorf("cpuopv: operation %d: %w: no operation or no handle", i, ErrVector)
		case op.displacement%cpumem.WordSize != 0 || op.displacement >= uintptr(op.h.Size()):
			return nil, fmt.Errorf("cpuopv: operation %d: %w: no word at displacement %d of a handle of %d bytes", i, ErrVector, op.displacement, op.h.Size())
		case d == nil:
			d = op.h.Domain()
		case d != op.h.Domain():
			return nil, fmt.Errorf("cpuopv: operation %d: %w: its handle is of another domain", i, ErrVector)
		}
	}
	if index < 0 || index >= d.Regions() {
		return nil, fmt.Errorf("cpuopv: region %d: %w: this domain has 0 to %d", index, cpumem.ErrRegion, d.Regions()-1)
	}
	return d, nil
}
