//go:build !linux || (!amd64 && !arm64) || purego

package cpumem

import (
	"fmt"
	"unsafe"
)

const pageSize = 4096

// defaultSize is the size of a default domain's regions in bytes. Small, since
// the Go heap counts all of it.
const defaultSize = 1 << 16

// maxShardBytes bounds the Go heap of a domain.
const maxShardBytes = 256 << 20

// mappings stands for mapped memory: the Go heap, which the domain keeps
// alive through its pointers to it.
type mappings struct{}

// mapBytes returns size bytes of zeroed memory at a cache line.
func (m *mappings) mapBytes(size uintptr) (unsafe.Pointer, error) {
	if uint64(size) > maxShardBytes {
		return nil, fmt.Errorf("cpumem: %d bytes of the Go heap: %w: the portable engine's domains have at most %d", size, ErrNoMemory, maxShardBytes)
	}
	const line = 64
	words := make([]uint64, (size+line)/WordSize)
	p := unsafe.Pointer(&words[0])
	return unsafe.Add(p, (line-uintptr(p)%line)%line), nil
}

// reserve and commit are for the rseq engine, which this build has not.
func (m *mappings) reserve(size uintptr) (unsafe.Pointer, error) { return m.mapBytes(size) }
func (m *mappings) commit(unsafe.Pointer, uintptr) error         { return nil }

func (m *mappings) unmapAll() {}
