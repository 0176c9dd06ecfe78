//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// areas owns the memory of every area that this package registered where no
// C library offers a place. An area is written by the kernel until its thread
// is gone, and Go tells nobody when a thread ends; so areas are mapped, never
// unmapped, and given to new threads once their old thread is seen dead.
var areas areaStore

// areaStride keeps neighbours apart by two cache lines: processors prefetch
// lines in pairs, and an area is written at every context switch. It also
// satisfies every alignment the kernel has asked for (64 since 7.0).
const (
	areaStride = 128
	areaChunk  = 64 << 10 // bytes mapped at a time
)

type areaStore struct {
	mu     sync.Mutex
	free   []*Area
	inUse  map[int]*Area // by thread id
	sweep  int           // sweep when inUse has grown to this
	mapped int           // areas
	reused int
}

// take returns an area for thread tid, unregistered: all zero but for CPUID.
func (s *areaStore) take(tid int) (*Area, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse == nil {
		s.inUse = make(map[int]*Area)
	}
	if stale := s.inUse[tid]; stale != nil {
		// The caller has no area, so this one's thread is dead and the kernel
		// has given its number to the caller.
		s.reused++
		stale.reset()
		return stale, nil
	}
	if len(s.free) == 0 {
		s.reclaim()
	}
	if len(s.free) == 0 {
		if err := s.grow(); err != nil {
			return nil, err
		}
	}
	area := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.inUse[tid] = area
	area.reset()
	return area, nil
}

// put gives back the area of a live thread that has unregistered it.
func (s *areaStore) put(tid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if area := s.inUse[tid]; area != nil {
		delete(s.inUse, tid)
		s.free = append(s.free, area)
	}
}

// reclaim frees the areas of dead threads. It asks for every thread (a system
// call each), so it runs only when the number of areas has doubled since the
// last time: the cost per new thread stays constant.
func (s *areaStore) reclaim() {
	if len(s.inUse) < max(s.sweep, 8) {
		return
	}
	pid := unix.Getpid()
	for tid, area := range s.inUse {
		if unix.Tgkill(pid, tid, 0) == unix.ESRCH {
			delete(s.inUse, tid)
			s.free = append(s.free, area)
			s.reused++
		}
	}
	s.sweep = 2 * len(s.inUse)
}

func (s *areaStore) grow() error {
	p, err := unix.MmapPtr(-1, 0, nil, areaChunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	for at := areaChunk - areaStride; at >= 0; at -= areaStride {
		s.free = append(s.free, (*Area)(unsafe.Add(p, at)))
	}
	s.mapped += areaChunk / areaStride
	return nil
}

// owns reports whether address is the area of thread tid.
func (s *areaStore) owns(tid int, address uintptr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	area := s.inUse[tid]
	return area != nil && uintptr(unsafe.Pointer(area)) == address
}

func (s *areaStore) counts() (inUse, mapped, reused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inUse), s.mapped, s.reused
}

// reset prepares an area for registration. It belongs to no thread here, so
// the fields are not the kernel's yet.
func (a *Area) reset() { *a = Area{CPUID: CPUIDUninitialized} }
