//go:build linux && (amd64 || arm64) && !purego

package cpumem

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const pageSize = 4096

// defaultSize is the size of a default domain's regions in bytes of address
// space; only pages that are used become memory.
const defaultSize = 1 << 20

// maxShardBytes bounds the address space of a domain in shards.
const maxShardBytes = 4 << 30

// mappings owns what a domain has mapped. Sections write there without the
// garbage collector's knowledge, and whole pages keep each CPU's data on
// pages, cache lines and NUMA memory of its own.
type mappings struct {
	mu   sync.Mutex
	list []mapping
}

type mapping struct {
	base unsafe.Pointer
	size uintptr
}

// mapBytes maps size bytes of zeroed memory that becomes real page by page,
// where it is first touched.
func (m *mappings) mapBytes(size uintptr) (unsafe.Pointer, error) {
	return m.mmap(size, unix.PROT_READ|unix.PROT_WRITE)
}

// reserve maps size bytes of address space without memory behind it.
func (m *mappings) reserve(size uintptr) (unsafe.Pointer, error) {
	return m.mmap(size, unix.PROT_NONE)
}

// commit gives reserved address space zeroed memory, as mapBytes does.
func (m *mappings) commit(p unsafe.Pointer, size uintptr) error {
	if err := unix.Mprotect(unsafe.Slice((*byte)(p), size), unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("cpumem: commit %d bytes: %w (%w); a limit on data (ulimit -d), on mappings (vm.max_map_count) or on overcommitment may be too low", size, ErrNoMemory, err)
	}
	return nil
}

// mmap refuses huge pages: one would span several CPUs' regions.
func (m *mappings) mmap(size uintptr, protection int) (unsafe.Pointer, error) {
	p, err := unix.MmapPtr(-1, 0, nil, size, protection, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("cpumem: map %d bytes: %w (%w); a limit on address space (ulimit -v) or on mappings (vm.max_map_count) may be too low", size, ErrNoMemory, err)
	}
	_ = unix.Madvise(unsafe.Slice((*byte)(p), size), unix.MADV_NOHUGEPAGE) // a kernel without huge pages says EINVAL
	m.mu.Lock()
	m.list = append(m.list, mapping{p, size})
	m.mu.Unlock()
	return p, nil
}

func (m *mappings) unmapAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, region := range m.list {
		_ = unix.MunmapPtr(region.base, region.size)
	}
	m.list = nil
}
