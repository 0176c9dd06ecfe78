//go:build linux && (amd64 || arm64) && !purego

package brokensection

import (
	"unsafe"

	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
)

// Add is right: it reads the word, delays and stores, inside a section.
func Add(h *cpumem.Handle, spins uint64) (done bool)

// AddUnarmed is Add without the store that tells the kernel about the
// section: it loses updates.
func AddUnarmed(h *cpumem.Handle, spins uint64) (done bool)

func section() (entry, descriptor unsafe.Pointer)

func init() {
	rseq.AtStart(func() error {
		entry, descriptor := section()
		d, err := rseq.Describe(entry)
		*(*rseq.CriticalSection)(descriptor) = d
		return err
	})
}
