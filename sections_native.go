//go:build linux && (amd64 || arm64) && !purego

package rseqkit

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
)

// Add adds delta to the 64-bit integer at displacement bytes from h's place
// in the region of the CPU that runs it; overflow wraps. Exactly once, safe
// for any number of goroutines, no allocation but a zero handle's first.
// Another goroutine sees it when Go synchronisation or an atomic load shows
// it. Cost: some tenths of a nanosecond above an empty assembly call.
func Add(h *cpumem.Handle, displacement uintptr, delta int64)

// AddFloat is [Add] for float64.
func AddFloat(h *cpumem.Handle, displacement uintptr, delta float64)

// AddByConcurrencyID is [Add] for handles of a domain by concurrency id. Both
// take any handle; the wrong one of the two costs a detour of a few
// nanoseconds.
func AddByConcurrencyID(h *cpumem.Handle, displacement uintptr, delta int64)

// AddFloatByConcurrencyID is [AddByConcurrencyID] for float64.
func AddFloatByConcurrencyID(h *cpumem.Handle, displacement uintptr, delta float64)

// symbols is what the assembly knows of a section.
type symbols struct {
	entry unsafe.Pointer
	data  *sectionData
}

type sectionData struct {
	descriptor rseq.CriticalSection
	aborts     atomic.Uint64
	_          [24]byte
}

func sectionSymbols(to *[sectionCount]symbols)

// Numbers that sections.h has too.
const (
	tableEntries = 16384
	abortLimit   = 16
)

func init() { rseq.AtStart(describeSections) }

// describeSections fills in the descriptors. It runs when the engine is
// chosen, before any section can.
func describeSections() error {
	var all [sectionCount]symbols
	sectionSymbols(&all)
	for i, s := range all {
		descriptor, err := rseq.Describe(s.entry)
		if err != nil {
			return fmt.Errorf("section %s: %w", sectionNames[i], err)
		}
		if at := uintptr(unsafe.Pointer(s.data)); at%rseq.CriticalSectionAlign != 0 {
			return fmt.Errorf("section %s: %w: descriptor at %#x is not aligned to %d bytes", sectionNames[i], rseq.ErrSelfTest, at, rseq.CriticalSectionAlign)
		}
		s.data.descriptor = descriptor
	}
	return nil
}

// Sections lists the critical sections of this process, or nothing where the
// rseq engine does not run.
func Sections() []Section {
	if rseq.Active() != rseq.EngineRseq {
		return nil
	}
	var all [sectionCount]symbols
	sectionSymbols(&all)
	list := make([]Section, 0, sectionCount)
	for i, s := range all {
		d := s.data.descriptor
		list = append(list, Section{
			Name:   sectionNames[i],
			Start:  uintptr(d.Start),
			End:    uintptr(d.Start + d.PostCommitOffset),
			Abort:  uintptr(d.Abort),
			Aborts: s.data.aborts.Load(),
		})
	}
	return list
}
