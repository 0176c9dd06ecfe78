package cpumem

import (
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/rseqkit/rseqkit/rseq"
)

// What a caller can meet; wrapped with the numbers.
var (
	ErrTooLarge = errors.New("too large")
	ErrFull     = errors.New("domain is full")
	ErrReleased = errors.New("handle has no memory")
	ErrNoMemory = errors.New("cannot map memory")
	ErrRegion   = errors.New("no such region")
)

// Index is what selects a region.
type Index uint8

const (
	// ByCPU: the number of the CPU that runs the section.
	ByCPU Index = iota
	// ByConcurrencyID: the thread's concurrency id (mm_cid, Linux 6.3), a
	// number below min(threads, allowed CPUs) most of the time. Compact where
	// few threads run on many CPUs; stopping any region fences every CPU.
	//
	// Sections for such a domain are functions of their own, whose names end
	// in ByConcurrencyID; those for domains by CPU number take their slow path
	// on it, and the other way round.
	ByConcurrencyID
)

// MaxSize is the largest region in bytes: 1 GiB of address space a CPU.
const MaxSize = 1 << 30

// Config describes a Domain.
type Config struct {
	Size  int   // bytes of a region, rounded up to a power of two and whole pages; 1 to MaxSize
	Index Index // what selects a region on the rseq engine
}

// Domain is a set of regions of one size. Its memory is unmapped when neither
// it nor any Handle on it is reachable.
//
// Regions are numbered from 0: on the rseq engine by CPU number or
// concurrency id, on the others by shard. The last number, Regions()-1, is
// the overflow region's.
type Domain struct {
	engine rseq.Engine
	index  Index
	size   uintptr // of a region, and from one to the next: 1<<shift
	shift  int
	origin unsafe.Pointer   // region 0, used or not
	table  *table           // nil but on the rseq engine
	field  uintptr          // of rseq.Area: what the index is read from
	bases  []unsafe.Pointer // by region, atomic; nil until first use
	owners []sync.Mutex     // by region; held by whoever maps or stops it
	words  allocator
	memory *mappings
}

// New returns a domain whose overflow region is mapped and whose other
// regions follow at their first use.
//
// Errors: ErrTooLarge for a size out of range, ErrNoMemory if mapping fails,
// rseq.ErrNoConcurrencyID where the rseq engine has no concurrency ids.
func New(config Config) (*Domain, error) {
	if config.Size <= 0 || config.Size > MaxSize {
		return nil, fmt.Errorf("cpumem: domain with regions of %d bytes: %w: 1 to %d are possible", config.Size, ErrTooLarge, MaxSize)
	}
	d := &Domain{
		engine: rseq.Active(),
		index:  config.Index,
		shift:  bits.Len(uint(max(config.Size, pageSize) - 1)),
		memory: new(mappings),
	}
	d.size = 1 << d.shift
	runtime.AddCleanup(d, (*mappings).unmapAll, d.memory)
	n := rseq.PossibleCPUs()
	if d.engine != rseq.EngineRseq {
		n = shards(n, d.size)
	}
	d.bases = make([]unsafe.Pointer, n+1)
	d.owners = make([]sync.Mutex, n+1)
	d.words.init(int(d.size / WordSize))
	var err error
	if d.engine != rseq.EngineRseq {
		// All regions at once: a hint, masked, is a shard's distance from the
		// first.
		if d.origin, err = d.memory.mapBytes(d.size * uintptr(n+1)); err != nil {
			return nil, err
		}
		for i := range d.bases {
			d.bases[i] = d.address(i)
		}
		return d, nil
	}
	if err = d.newTable(); err != nil {
		return nil, err
	}
	if d.origin, err = d.memory.reserve(d.size * uintptr(n+1)); err != nil {
		return nil, err
	}
	if _, err = d.mapOwned(d.Overflow()); err != nil { // nobody else knows d
		return nil, err
	}
	return d, nil
}

// address returns the place of region i, which may have no memory yet.
func (d *Domain) address(i int) unsafe.Pointer {
	return unsafe.Add(d.origin, uintptr(i)<<d.shift)
}

// newTable maps the region table that sections of this domain read.
func (d *Domain) newTable() error {
	d.field = rseq.CPUIDField
	if d.index == ByConcurrencyID {
		if err := rseq.HasConcurrencyID(); err != nil {
			return fmt.Errorf("cpumem: domain by concurrency id: %w", err)
		}
		d.field = rseq.ConcurrencyIDField
	}
	p, err := d.memory.mapBytes(unsafe.Sizeof(table{}))
	d.table = (*table)(p)
	return err
}

// Engines that cannot know their CPU have some shards for each, so that a hint
// seldom sends two busy goroutines to the same one. maxShards bounds the
// memory; a 32-bit hint has room for them at the largest default region.
const (
	shardsPerCPU = 4
	maxShards    = 64
)

// shards is the number of regions for n CPUs where a hint selects one: a power
// of two, so that a hint is masked, and fewer where regions are large.
func shards(n int, size uintptr) int {
	s := 1
	for s < n*shardsPerCPU && s < maxShards {
		s *= 2
	}
	for s > 1 && uint64(size)*uint64(s+1) > maxShardBytes {
		s /= 2
	}
	return s
}

// Engine returns the engine that the domain was made for, the process's.
func (d *Domain) Engine() rseq.Engine { return d.engine }

// Index returns what selects a region on the rseq engine.
func (d *Domain) Index() Index { return d.index }

// Size returns the size of each region in bytes.
func (d *Domain) Size() int { return int(d.size) }

// Regions returns the number of regions, the overflow region included.
func (d *Domain) Regions() int { return len(d.bases) }

// Overflow returns the number of the overflow region.
func (d *Domain) Overflow() int { return len(d.bases) - 1 }

// Region returns the base of region i, or nil while it has no memory: nothing
// was ever written there. It panics if i is out of range.
func (d *Domain) Region(i int) unsafe.Pointer { return atomic.LoadPointer(&d.bases[i]) }

// mapRegion gives region i its memory, if it has none, and shows it to
// sections. It returns nil if there is no memory, or if somebody owns the
// region at this moment: its callers have the overflow region to go to, and
// need not wait.
func (d *Domain) mapRegion(i int) unsafe.Pointer {
	if !d.owners[i].TryLock() {
		return nil
	}
	defer d.owners[i].Unlock()
	base, err := d.mapOwned(i)
	if err != nil {
		return nil
	}
	return base
}

// mapOwned gives region i its memory for a caller who holds the owner lock.
func (d *Domain) mapOwned(i int) (unsafe.Pointer, error) {
	if base := d.Region(i); base != nil {
		return base, nil
	}
	base := d.address(i)
	if err := d.memory.commit(base, d.size); err != nil {
		return nil, err
	}
	atomic.StorePointer(&d.bases[i], base)
	d.openEntry(i)
	return base, nil
}

// openEntry lets sections into region i, which has memory, with release order:
// they see what its owner did. The overflow region has no entry.
func (d *Domain) openEntry(i int) {
	if d.table != nil && i != d.Overflow() {
		d.table.entry(i).Store(uintptr(i)<<d.shift + 1)
	}
}

// Prepare does what a section needs that found something missing: it
// registers the thread, or maps the region of the caller's CPU. It returns
// true if something was done, so that the section is worth another try, and
// false if nothing was missing (the CPU is stopped) or could be done (the
// thread cannot be registered, no memory, another engine): then the caller
// does its operation on [Handle.SharedWord] or with package cpuopv.
func (d *Domain) Prepare() bool {
	if d.table == nil {
		return false
	}
	i, registered, ok := d.current()
	if !ok {
		return false
	}
	if d.Region(i) != nil {
		return registered
	}
	return d.mapRegion(i) != nil
}

// current returns the caller's index, a hint as soon as it is returned, and
// whether this call had to register the thread for it.
func (d *Domain) current() (i int, registered, ok bool) {
	if i, ok = rseq.Field(d.field); !ok {
		if registered = rseq.RegisterThread(); registered {
			i, ok = rseq.Field(d.field)
		}
	}
	return i, registered, ok && i < d.Overflow()
}

// Current returns the number of the region that an operation of the caller
// would go to right now: a hint.
func (d *Domain) Current() int {
	if d.table == nil {
		return int(hint() & (uintptr(d.Overflow()-1) * d.size) / d.size)
	}
	if i, _, ok := d.current(); ok {
		return i
	}
	return d.Overflow()
}

// SharedWord returns a word for an operation that runs without a section and
// with atomics: on the rseq engine the overflow region's, on the others that
// of a shard chosen by a hint. Displacement and the Handle's reachability are
// as for [Handle.Word].
func (h *Handle) SharedWord(displacement uintptr) *uint64 {
	c := h.owned()
	c.check(displacement)
	if c.shards != nil {
		return h.Shard(displacement)
	}
	d := c.place.domain
	return (*uint64)(unsafe.Add(d.Region(d.Overflow()), c.place.offset+displacement))
}

// hint spreads goroutines over shards: the address of the caller's stack,
// mixed. It is cheap, needs no support from the runtime, and stays the same
// for a goroutine at one call depth.
func hint() uintptr {
	var here byte
	return uintptr(uint32(uintptr(unsafe.Pointer(&here))>>11) * 0x9e3779b1) // 2^32 / golden ratio
}
