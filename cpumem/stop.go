package cpumem

import (
	"fmt"

	"github.com/rseqkit/rseqkit/rseq"
)

// Stopped is a region, or all regions, of a domain that belong to the caller
// until Resume. It must not be copied.
type Stopped struct {
	domain   *Domain
	from, to int // regions
}

// Stop waits for region i's present owner, takes its place and keeps sections
// out: those that are inside have committed or restart, new ones take their
// slow path. The caller works on the region with plain loads and stores and
// must resume it soon; whatever waits for it waits, and goroutines of that
// CPU use the overflow region meanwhile.
//
// Stopping the overflow region, or a shard of the other engines, takes only
// the owner lock: words that are changed with atomics (counters) go on
// changing there.
//
// Cost: rseq.FenceCPU for a domain by CPU number, rseq.Fence for one by
// concurrency id. Errors: ErrRegion if i is out of range, ErrNoMemory if the
// region has no memory yet and gets none, rseq.ErrNoFence.
func (d *Domain) Stop(i int) (Stopped, error) {
	if i < 0 || i >= d.Regions() {
		return Stopped{}, fmt.Errorf("cpumem: stop region %d: %w: this domain has 0 to %d", i, ErrRegion, d.Regions()-1)
	}
	s := Stopped{domain: d, from: i, to: i + 1}
	d.owners[i].Lock()
	if _, err := d.mapOwned(i); err != nil {
		d.owners[i].Unlock()
		return Stopped{}, err
	}
	fence := func() error { return rseq.FenceCPU(i) }
	if d.index == ByConcurrencyID {
		fence = rseq.Fence
	}
	if err := s.close(fence); err != nil {
		s.Resume()
		return Stopped{}, err
	}
	return s, nil
}

// StopAll stops every region, with one fence. Regions that have no memory yet
// get none.
func (d *Domain) StopAll() (Stopped, error) {
	s := Stopped{domain: d, from: 0, to: d.Regions()}
	for i := range d.owners { // in this order always: no two callers deadlock
		d.owners[i].Lock()
	}
	if err := s.close(rseq.Fence); err != nil {
		s.Resume()
		return Stopped{}, err
	}
	return s, nil
}

// close empties the table entries of the stopped regions and fences the
// sections that may have read them before. The caller holds the owner locks.
func (s Stopped) close(fence func() error) error {
	t := s.domain.table
	if t == nil {
		return nil
	}
	used := false
	for i := s.from; i < s.to; i++ {
		if i != s.domain.Overflow() && t.entry(i).Swap(0) != 0 {
			used = true
		}
	}
	if !used {
		return nil // no section was ever there
	}
	return fence()
}

// Resume lets sections in again; they see what the caller did. It panics if
// the regions are not stopped any more ("rseqkit: resume of regions that are
// not stopped").
func (s *Stopped) Resume() {
	d := s.domain
	if d == nil {
		panic("rseqkit: resume of regions that are not stopped")
	}
	s.domain = nil
	for i := s.to - 1; i >= s.from; i-- {
		if d.Region(i) != nil {
			d.openEntry(i)
		}
		d.owners[i].Unlock()
	}
}
