package cpumem

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Handle names bytes at one offset in every region of a domain. The zero
// Handle is ready: its first use gives it one word, zero everywhere, of the
// default domains. A Handle must not be copied after that.
//
// The memory comes back when the Handle is garbage, or by [Handle.Free].
type Handle struct {
	// Sections read these fields (asm_$GOARCH.s). table and claim are written
	// after the others and atomically; a section that finds no table takes its
	// slow path.
	table unsafe.Pointer // *table; nil: nothing allocated, not by CPU number, or no sections in this process
	base  uintptr        // address of the handle's place in region 0
	claim atomic.Pointer[claim]
	shift uint64 // regions are 1<<shift bytes apart
}

// claim is what a handle owns, as an object of its own: garbage when the
// handle is, and the one that the cleanup is attached to. (Not the handle: the
// runtime keeps cleanups in a list for each span, which makes the first uses of
// many handles in one slice quadratic.)
type claim struct {
	// Assembly reads these three.
	cidTable  *table         // of a domain by concurrency id, else nil
	shards    unsafe.Pointer // the handle's place in the first shard; nil on the rseq engine
	shardMask uintptr        // a hint masked by it is the distance of a shard from the first

	place   place
	cleanup runtime.Cleanup
	kept    *claim // of a freed handle in debug mode: what it had
}

// place is a run of bytes in every region of a domain.
type place struct {
	domain       *Domain // nil: the handle was freed
	offset, size uintptr
}

// WordSize is the size in bytes of the words that sections work on.
const WordSize = 8

// publishing orders the moments at which handles get their memory.
var publishing sync.Mutex

// owned returns the handle's claim, after giving a zero Handle its word.
func (h *Handle) owned() *claim {
	c := h.claim.Load()
	if c == nil {
		c = h.allocateFirst()
	}
	if c.place.domain == nil {
		panic("rseqkit: use of a released handle")
	}
	return c
}

func (h *Handle) allocateFirst() *claim {
	if _, err := allocateDefault(h, WordSize); err != nil {
		panic("rseqkit: no per-CPU memory: " + err.Error())
	}
	return h.claim.Load() // ours, or that of another first use
}

// Domain returns the handle's domain, after giving a zero Handle its word. It
// panics if the Handle was freed ("rseqkit: use of a released handle") and if
// there is no memory for a first use ("rseqkit: no per-CPU memory: ...").
func (h *Handle) Domain() *Domain { return h.owned().place.domain }

// Allocated reports whether the Handle has memory: whether it was used or
// allocated, and not freed.
func (h *Handle) Allocated() bool {
	c := h.claim.Load()
	return c != nil && c.place.domain != nil
}

// Size returns the number of bytes that the Handle names in each region.
func (h *Handle) Size() int { return int(h.owned().place.size) }

// Word returns the 8-byte word at displacement bytes from the handle's place
// in region index of its domain, or nil if that region has no memory yet. Who
// may write it is the owner's business; anyone may load it atomically, for as
// long as the Handle is reachable: a user whose last mention of the Handle is
// this call needs runtime.KeepAlive. It panics if the word does not lie within
// the handle's bytes.
func (h *Handle) Word(index int, displacement uintptr) *uint64 {
	c := h.owned()
	c.check(displacement)
	base := c.place.domain.Region(index)
	if base == nil {
		return nil
	}
	return (*uint64)(unsafe.Add(base, c.place.offset+displacement))
}

// Shard returns the 8-byte word at displacement bytes from the handle's place
// in a shard chosen by a hint: for updates with atomics on the locked and
// portable engines. It is nil where there are no shards (the rseq engine),
// where the Handle has no memory, and where the handle ends before
// displacement. Reachability is as for [Handle.Word].
func (h *Handle) Shard(displacement uintptr) *uint64 {
	c := h.claim.Load()
	if c == nil || c.shards == nil || displacement >= c.place.size {
		return nil
	}
	return (*uint64)(unsafe.Add(c.shards, hint()&c.shardMask+displacement))
}

// check panics unless a whole word lies at displacement.
func (c *claim) check(displacement uintptr) {
	if displacement%WordSize != 0 || displacement >= c.place.size {
		panic(fmt.Sprintf("rseqkit: word at displacement %d of a handle of %d bytes", displacement, c.place.size))
	}
}

// DebugVariable is the environment variable that, set to 1, keeps freed memory
// from being used again while its Handle is reachable.
const DebugVariable = "RSEQKIT_DEBUG"

var debug = sync.OnceValue(func() bool { return os.Getenv(DebugVariable) == "1" })

// Free gives the memory back at once, instead of when the Handle is garbage.
// Nobody may use the Handle at the same time, as with the destruction of a
// lock: a section that has read the handle goes on with what it read. Whoever
// uses it afterwards panics with "rseqkit: use of a released handle".
//
// In debug mode (RSEQKIT_DEBUG=1) the memory stays the Handle's until it is
// garbage, so that a use at the wrong time harms nobody else and the next one
// panics. It returns ErrReleased if the Handle has no memory.
func (h *Handle) Free() error {
	publishing.Lock()
	defer publishing.Unlock()
	if !h.Allocated() {
		return fmt.Errorf("cpumem: free: %w", ErrReleased)
	}
	c := h.claim.Load()
	freed := new(claim)
	if debug() {
		freed.kept = c
	}
	h.claim.Store(freed)
	atomic.StorePointer(&h.table, nil)
	if !debug() {
		c.cleanup.Stop()
		c.place.giveBack()
	}
	runtime.KeepAlive(c) // until its cleanup is stopped
	return nil
}

// publish makes the handle usable, by sections last of all, and has its
// memory given back with the garbage: nobody can be inside a section on an
// unreachable handle, since sections find the handle's address in their
// arguments. It returns false if the handle has memory already.
func (h *Handle) publish(at place) bool {
	publishing.Lock()
	defer publishing.Unlock()
	if h.claim.Load() != nil {
		return false
	}
	d := at.domain
	c := &claim{place: at}
	c.cleanup = runtime.AddCleanup(c, place.giveBack, at)
	switch {
	case d.table == nil:
		c.shards = unsafe.Add(d.Region(0), at.offset)
		c.shardMask = uintptr(d.Overflow()-1) * d.size
	case d.index == ByConcurrencyID:
		c.cidTable = d.table
	}
	h.base = uintptr(d.address(0)) + at.offset
	h.shift = uint64(d.shift)
	h.claim.Store(c)
	if d.table != nil && d.index == ByCPU {
		atomic.StorePointer(&h.table, unsafe.Pointer(d.table))
	}
	return true
}

func (p place) giveBack() { p.domain.release(p.offset, p.size) }
