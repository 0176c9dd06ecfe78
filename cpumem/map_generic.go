//go:build !linux || (!amd64 && !arm64) || purego

package cpumem

import "unsafe"

const pageSize = 4096

// defaultSize is the size of a default domain's regions in bytes. Small, since
// the Go heap counts all of it.
const defaultSize = 1 << 16

// mappings stands for mapped memory: the Go heap, which the domain keeps
// alive through its pointers to it.
type mappings struct{}

// mapBytes returns size bytes of zeroed memory at a cache line.
func (m *mappings) mapBytes(size uintptr) (unsafe.Pointer, error) {
	const line = 64
	words := make([]uint64, (size+line)/WordSize)
	p := unsafe.Pointer(&words[0])
	return unsafe.Add(p, (line-uintptr(p)%line)%line), nil
}

func (m *mappings) unmapAll() {}
