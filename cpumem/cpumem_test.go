package cpumem_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
)

// TestLayout compares the offsets that the assembly uses.
func TestLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("no assembly for 32-bit architectures")
	}
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"Handle.table", cpumem.HandleTable, 0},
		{"Handle.base", cpumem.HandleBase, 8},
		{"Handle.shift", cpumem.HandleShift, 24},
		{"Handle.claim", cpumem.HandleClaim, 16},
		{"claim.cidTable", cpumem.ClaimTable, 0},
		{"claim.shards", cpumem.ClaimShards, 8},
		{"claim.shardMask", cpumem.ClaimMask, 16},
		{"table entries", cpumem.TableEntries, 16384},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, and the assembly says %d", c.name, c.got, c.want)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for _, size := range []int{-1, 0, cpumem.MaxSize + 1} {
		if _, err := cpumem.New(cpumem.Config{Size: size}); !errors.Is(err, cpumem.ErrTooLarge) {
			t.Errorf("regions of %d bytes: %v", size, err)
		}
	}
}

func TestAllocate(t *testing.T) {
	d, err := cpumem.New(cpumem.Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	if d.Size() != 4096 || d.Index() != cpumem.ByCPU || d.Engine() != rseq.Active() {
		t.Errorf("size %d, index %v, engine %v", d.Size(), d.Index(), d.Engine())
	}
	for _, size := range []int{-8, 0, 4097, cpumem.MaxSize} {
		var h cpumem.Handle
		if err := d.Allocate(&h, size); !errors.Is(err, cpumem.ErrTooLarge) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	// The whole region in words, then one more.
	handles := make([]*cpumem.Handle, 4096/cpumem.WordSize)
	places := make(map[*uint64]bool)
	for i := range handles {
		handles[i] = new(cpumem.Handle)
		if err := d.Allocate(handles[i], 8); err != nil {
			t.Fatalf("word %d: %v", i, err)
		}
		places[handles[i].Word(d.Overflow(), 0)] = true
	}
	if len(places) != len(handles) {
		t.Errorf("%d words for %d handles", len(places), len(handles))
	}
	if err := d.Allocate(new(cpumem.Handle), 8); !errors.Is(err, cpumem.ErrFull) {
		t.Errorf("a full domain: %v", err)
	}
	// Eight words next to each other, freed, fit a cache line again.
	for _, h := range handles[64:80] {
		*h.Word(d.Overflow(), 0) = 7
		if err := h.Free(); err != nil {
			t.Error(err)
		}
	}
	var line cpumem.Handle
	if err := d.Allocate(&line, 64); err != nil {
		t.Fatal(err)
	}
	first := line.Word(d.Overflow(), 0)
	if uintptr(unsafe.Pointer(first))%64 != 0 {
		t.Errorf("64 bytes at %p: no cache line", first)
	}
	for i := range 8 {
		if w := *line.Word(d.Overflow(), uintptr(i*8)); w != 0 {
			t.Errorf("word %d came back with %d", i, w)
		}
	}
	if err := d.Allocate(new(cpumem.Handle), 128); !errors.Is(err, cpumem.ErrFull) {
		t.Errorf("no room for 128 bytes: %v", err)
	}
	runtime.KeepAlive(handles)
}

// mustPanic runs f and returns the text of its panic.
func mustPanic(t *testing.T, f func()) (text string) {
	t.Helper()
	defer func() {
		switch p := recover().(type) {
		case nil:
			t.Error("no panic")
		case error:
			text = p.Error()
		case string:
			text = p
		}
	}()
	f()
	return ""
}

func TestReleased(t *testing.T) {
	var h cpumem.Handle
	if err := h.Free(); !errors.Is(err, cpumem.ErrReleased) {
		t.Errorf("Free of a zero Handle: %v", err)
	}
	if err := cpumem.Allocate(&h, 16); err != nil {
		t.Fatal(err)
	}
	if text := mustPanic(t, func() { _ = cpumem.Allocate(&h, 8) }); !strings.Contains(text, "in use") {
		t.Errorf("allocation for a used handle: panic %q", text)
	}
	for _, displacement := range []uintptr{1, 16, 24, ^uintptr(7)} {
		for name, f := range map[string]func(uintptr){
			"Word":       func(at uintptr) { h.Word(0, at) },
			"SharedWord": func(at uintptr) { h.SharedWord(at) },
		} {
			if text := mustPanic(t, func() { f(displacement) }); !strings.Contains(text, "handle of 16 bytes") {
				t.Errorf("%s at displacement %d: panic %q", name, displacement, text)
			}
		}
	}
	if err := h.Free(); err != nil || h.Allocated() {
		t.Errorf("Free: %v; allocated %t", err, h.Allocated())
	}
	if err := h.Free(); !errors.Is(err, cpumem.ErrReleased) {
		t.Errorf("Free twice: %v", err)
	}
	if text := mustPanic(t, func() { h.Domain() }); text != "rseqkit: use of a released handle" {
		t.Errorf("use after Free: panic %q", text)
	}
}

// TestGarbage: memory comes back with the garbage, zeroed.
func TestGarbage(t *testing.T) {
	d, err := cpumem.New(cpumem.Config{Size: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	all := d.FreeWords()
	for round := range 3 {
		for i := range all {
			h := new(cpumem.Handle)
			if err := d.Allocate(h, 8); err != nil {
				t.Fatalf("round %d, word %d: %v", round, i, err)
			}
			word := h.Word(d.Overflow(), 0)
			if *word != 0 {
				t.Fatalf("round %d, word %d: came back with %d", round, i, *word)
			}
			*word = uint64(i + 1)
		}
		for deadline := time.Now().Add(20 * time.Second); d.FreeWords() != all; {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d words came back", d.FreeWords(), all)
			}
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}
}

// TestAllocatorModel takes and frees at random beside a map of what is taken.
func TestAllocatorModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	d, err := cpumem.New(cpumem.Config{Size: 8192})
	if err != nil {
		t.Fatal(err)
	}
	type taken struct {
		h     *cpumem.Handle
		words int
	}
	var live []taken
	used := 0
	for range 3000 {
		if len(live) > 0 && random.IntN(2) == 0 {
			i := random.IntN(len(live))
			if err := live[i].h.Free(); err != nil {
				t.Fatal(err)
			}
			used -= live[i].words
			live[i] = live[len(live)-1]
			live = live[:len(live)-1]
			continue
		}
		words := 1 + random.IntN(20)
		h := new(cpumem.Handle)
		err := d.Allocate(h, 8*words)
		if errors.Is(err, cpumem.ErrFull) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for w := range words {
			word := h.Word(d.Overflow(), uintptr(w*8))
			if *word != 0 {
				t.Fatalf("word %d of %d is taken or not cleared: %d", w, words, *word)
			}
			*word = 1
		}
		live = append(live, taken{h, words})
		used += words
	}
	if free := d.FreeWords(); free != 8192/8-used {
		t.Errorf("%d words free, %d used of %d", free, used, 8192/8)
	}
}

// TestFirstUses: of many first uses at once, one allocates, and nothing is
// left over.
func TestFirstUses(t *testing.T) {
	for range 200 {
		h := new(cpumem.Handle)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { atomic.AddUint64(h.SharedWord(0), 1) })
		}
		wg.Wait()
		var total uint64
		for i := range h.Domain().Regions() {
			if word := h.Word(i, 0); word != nil {
				total += *word
			}
		}
		if total != 8 {
			t.Fatalf("%d of 8", total)
		}
		runtime.KeepAlive(h)
	}
}

// TestStop: a stopped region is nobody else's, and looks like before
// afterwards.
func TestStop(t *testing.T) {
	for _, index := range []cpumem.Index{cpumem.ByCPU, cpumem.ByConcurrencyID} {
		d, err := cpumem.New(cpumem.Config{Size: 4096, Index: index})
		if errors.Is(err, rseq.ErrNoConcurrencyID) {
			t.Logf("not by concurrency id: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{-1, d.Regions(), 1 << 30} {
			if _, err := d.Stop(i); !errors.Is(err, cpumem.ErrRegion) {
				t.Errorf("Stop(%d): %v", i, err)
			}
		}
		if err := d.MapAll(); err != nil {
			t.Fatal(err)
		}
		isRseq := d.Engine() == rseq.EngineRseq
		for i := range d.Regions() {
			before := d.Entry(i)
			if want := uintptr(d.Region(i)) - uintptr(d.Region(0)) + 1; isRseq && i != d.Overflow() && before != want {
				t.Errorf("region %d at %p has entry %#x, want %#x", i, d.Region(i), before, want)
			}
			s, err := d.Stop(i)
			if err != nil {
				t.Fatal(err)
			}
			if entry := d.Entry(i); entry != 0 {
				t.Errorf("stopped region %d has entry %#x", i, entry)
			}
			s.Resume()
			if text := mustPanic(t, s.Resume); text != "rseqkit: resume of regions that are not stopped" {
				t.Errorf("Resume twice: panic %q", text)
			}
			if entry := d.Entry(i); entry != before {
				t.Errorf("resumed region %d has entry %#x, before %#x", i, entry, before)
			}
		}
		s, err := d.StopAll()
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Regions() {
			if d.Entry(i) != 0 {
				t.Errorf("StopAll left region %d", i)
			}
		}
		s.Resume()
	}
}

// TestStopExclusive: whoever stops a region is alone there, whatever others
// stop at the same time.
func TestStopExclusive(t *testing.T) {
	d, err := cpumem.New(cpumem.Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	var h cpumem.Handle
	if err := d.Allocate(&h, 8); err != nil {
		t.Fatal(err)
	}
	if err := d.MapAll(); err != nil {
		t.Fatal(err)
	}
	const workers, rounds = 8, 200
	regions := min(d.Overflow(), 8)
	var wg sync.WaitGroup
	var failed atomic.Int64
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				region := (w + i) % regions
				stop := func() (cpumem.Stopped, error) { return d.Stop(region) }
				if i%16 == 0 {
					stop = d.StopAll
				}
				s, err := stop()
				if err != nil {
					failed.Add(1)
					return
				}
				*h.Word(region, 0)++ // plain: the race detector and the sum watch
				s.Resume()
			}
		})
	}
	wg.Wait()
	var total uint64
	for i := range regions {
		total += *h.Word(i, 0)
	}
	if total != workers*rounds || failed.Load() != 0 {
		t.Errorf("%d of %d increments, %d failures", total, workers*rounds, failed.Load())
	}
}

// TestDomainGarbage: domains that nobody knows any more give their address
// space back.
func TestDomainGarbage(t *testing.T) {
	for range 200 {
		d, err := cpumem.New(cpumem.Config{Size: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.MapAll(); err != nil {
			t.Fatal(err)
		}
		if d.Regions() > 64 {
			break // enough address space for one machine
		}
	}
}
