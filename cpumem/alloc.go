package cpumem

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// allocator hands out runs of words of a region, the same words in every
// region: one bit a word, searched from where the last search ended.
type allocator struct {
	mu   sync.Mutex
	used []uint64 // a set bit is a word in use
	next int      // word at which the next search starts
	free int      // words
}

func (a *allocator) init(words int) {
	a.used = make([]uint64, (words+63)/64)
	for w := words; w < len(a.used)*64; w++ { // past the region's end
		a.used[w/64] |= 1 << (w % 64)
	}
	a.free = words
}

// take finds n free words in a row, the first at a multiple of align words.
func (a *allocator) take(n, align int) (word int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > a.free {
		return 0, false
	}
	total := len(a.used) * 64
	word, ok = a.search(a.next, total, n, align)
	if !ok {
		word, ok = a.search(0, min(total, a.next+n+align), n, align)
	}
	if ok {
		a.mark(word, n, true)
		a.next = word + n
	}
	return word, ok
}

func (a *allocator) search(from, to, n, align int) (int, bool) {
	for word := alignUp(from, align); word+n <= to; {
		busy := a.lastBusy(word, n)
		if busy < 0 {
			return word, true
		}
		if n == 1 && align == 1 {
			// Common and worth speed: straight to the next free bit.
			if busy = a.nextFree(word, to) - 1; busy+1 >= to {
				return 0, false
			}
		}
		word = alignUp(busy+1, align)
	}
	return 0, false
}

// lastBusy returns the last used word of the run of n at word, or -1.
func (a *allocator) lastBusy(word, n int) int {
	for w := word + n - 1; w >= word; w-- {
		if a.used[w/64]&(1<<(w%64)) != 0 {
			return w
		}
	}
	return -1
}

func (a *allocator) nextFree(from, to int) int {
	for w := from; w < to; w = (w/64 + 1) * 64 {
		if free := ^a.used[w/64] >> (w % 64); free != 0 {
			return w + bits.TrailingZeros64(free)
		}
	}
	return to
}

func (a *allocator) mark(word, n int, busy bool) {
	for w := word; w < word+n; w++ {
		bit := uint64(1) << (w % 64)
		if (a.used[w/64]&bit != 0) == busy {
			panic(fmt.Sprintf("BUG: rseqkit: per-CPU word %d allocated or released twice", w))
		}
		a.used[w/64] ^= bit
	}
	if busy {
		a.free -= n
	} else {
		a.free += n
	}
}

func alignUp(n, align int) int { return (n + align - 1) / align * align }

// release clears the bytes in every region, so that they come back zeroed,
// and then hands them to the allocator. Nobody uses them any more.
func (d *Domain) release(offset, size uintptr) {
	for i := range d.Regions() {
		base := d.Region(i)
		if base == nil {
			continue
		}
		for at := offset; at < offset+size; at += WordSize {
			word := (*uint64)(unsafe.Add(base, at))
			// A page never written stays without memory.
			if atomic.LoadUint64(word) != 0 {
				atomic.StoreUint64(word, 0)
			}
		}
	}
	d.words.mu.Lock()
	defer d.words.mu.Unlock()
	d.words.mark(int(offset/WordSize), int(size/WordSize), false)
}

// Allocate gives the zero Handle h size bytes (rounded up to whole words),
// zero in every region. Handles of a cache line or more start at a cache
// line, smaller ones are packed.
//
// Errors: ErrTooLarge if size exceeds a region, ErrFull if no run of that
// size is free. It panics if h has memory already ("rseqkit: allocation for a
// handle that is in use").
func (d *Domain) Allocate(h *Handle, size int) error {
	return mustPublish(d.allocate(h, size))
}

func mustPublish(published bool, err error) error {
	if err == nil && !published {
		panic("rseqkit: allocation for a handle that is in use")
	}
	return err
}

// allocate is Allocate that says whether h was free to take the memory.
func (d *Domain) allocate(h *Handle, size int) (published bool, err error) {
	if size <= 0 || uintptr(size) > d.size {
		return false, fmt.Errorf("cpumem: allocate %d bytes: %w: a region of this domain has %d", size, ErrTooLarge, d.size)
	}
	words := (size + WordSize - 1) / WordSize
	align := 1
	if words >= lineWords {
		align = lineWords
	}
	word, ok := d.words.take(words, align)
	if !ok {
		return false, fmt.Errorf("cpumem: allocate %d bytes: %w", size, ErrFull)
	}
	at := place{domain: d, offset: uintptr(word) * WordSize, size: uintptr(words) * WordSize}
	if published = h.publish(at); !published {
		at.giveBack()
	}
	return published, nil
}

const lineWords = 64 / WordSize

// defaults are the domains behind [Allocate]: indexed by CPU number, made as
// they are needed, never given back.
var defaults struct {
	mu      sync.Mutex
	domains []*Domain
}

// Allocate is [Domain.Allocate] from the process's default domains, which
// grow as needed. What is larger than their regions gets a domain of its own.
// Errors: those of [New].
func Allocate(h *Handle, size int) error { return mustPublish(allocateDefault(h, size)) }

func allocateDefault(h *Handle, size int) (published bool, err error) {
	if size > defaultSize {
		d, err := New(Config{Size: size})
		if err != nil {
			return false, err
		}
		return d.allocate(h, size)
	}
	defaults.mu.Lock()
	defer defaults.mu.Unlock()
	for _, d := range slices.Backward(defaults.domains) { // the newest has most room
		if published, err = d.allocate(h, size); !errors.Is(err, ErrFull) {
			return published, err
		}
	}
	d, err := New(Config{Size: defaultSize})
	if err != nil {
		return false, err
	}
	defaults.domains = append(defaults.domains, d)
	return d.allocate(h, size)
}

// DefaultDomains returns the number of domains that [Allocate] has made for
// sharing so far.
func DefaultDomains() int {
	defaults.mu.Lock()
	defer defaults.mu.Unlock()
	return len(defaults.domains)
}
