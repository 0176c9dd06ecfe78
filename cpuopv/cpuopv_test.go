package cpuopv_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/cpuopv"
)

func handle(t *testing.T, size int) (*cpumem.Domain, *cpumem.Handle) {
	t.Helper()
	d, err := cpumem.New(cpumem.Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	h := new(cpumem.Handle)
	if err := d.Allocate(h, size); err != nil {
		t.Fatal(err)
	}
	return d, h
}

func TestExec(t *testing.T) {
	d, h := handle(t, 16)
	for _, c := range []struct {
		name    string
		ops     []cpuopv.Op
		stopped int
		words   [2]uint64 // afterwards
	}{
		{"add", []cpuopv.Op{cpuopv.Add(h, 0, 5)}, 0, [2]uint64{5, 0}},
		{"add twice and elsewhere", []cpuopv.Op{cpuopv.Add(h, 0, -1), cpuopv.Add(h, 0, 3), cpuopv.Add(h, 8, 9)}, 0, [2]uint64{7, 9}},
		{"compare and store", []cpuopv.Op{cpuopv.CompareEqual(h, 0, 7), cpuopv.Store(h, 0, 1)}, 0, [2]uint64{1, 9}},
		{"compare, store elsewhere", []cpuopv.Op{cpuopv.CompareEqual(h, 0, 1), cpuopv.Store(h, 8, 2)}, 0, [2]uint64{1, 2}},
		{"first comparison fails", []cpuopv.Op{cpuopv.CompareEqual(h, 0, 7), cpuopv.Store(h, 0, 99)}, 1, [2]uint64{1, 2}},
		{"second comparison fails, the add before it stays", []cpuopv.Op{cpuopv.CompareEqual(h, 0, 1), cpuopv.Add(h, 8, 1), cpuopv.CompareEqual(h, 8, 99), cpuopv.Store(h, 0, 99)}, 3, [2]uint64{1, 3}},
		{"a compared word was stored before", []cpuopv.Op{cpuopv.Store(h, 0, 4), cpuopv.CompareEqual(h, 0, 4), cpuopv.Add(h, 0, 1)}, 0, [2]uint64{5, 3}},
	} {
		stopped, err := cpuopv.Exec(0, c.ops...)
		words := [2]uint64{*h.Word(0, 0), *h.Word(0, 8)}
		if err != nil || stopped != c.stopped || words != c.words {
			t.Errorf("%s: stopped %d, words %v, %v; want %d, %v", c.name, stopped, words, err, c.stopped, c.words)
		}
	}
	if other := d.Overflow(); *h.Word(other, 0) != 0 {
		t.Error("the vectors reached another region")
	}
}

func TestExecErrors(t *testing.T) {
	d, h := handle(t, 16)
	_, foreign := handle(t, 8)
	good := cpuopv.Add(h, 0, 1)
	for _, c := range []struct {
		name  string
		index int
		ops   []cpuopv.Op
		want  error
	}{
		{"no operation", 0, nil, cpuopv.ErrVector},
		{"17 operations", 0, make([]cpuopv.Op, cpuopv.MaxOps+1), cpuopv.ErrVector},
		{"zero operation", 0, []cpuopv.Op{good, {}}, cpuopv.ErrVector},
		{"no handle", 0, []cpuopv.Op{good, cpuopv.Add(nil, 0, 1)}, cpuopv.ErrVector},
		{"misaligned", 0, []cpuopv.Op{good, cpuopv.Add(h, 4, 1)}, cpuopv.ErrVector},
		{"past the handle", 0, []cpuopv.Op{good, cpuopv.Add(h, 16, 1)}, cpuopv.ErrVector},
		{"another domain", 0, []cpuopv.Op{good, cpuopv.Add(foreign, 0, 1)}, cpuopv.ErrVector},
		{"region -1", -1, []cpuopv.Op{good}, cpumem.ErrRegion},
		{"region past the end", d.Regions(), []cpuopv.Op{good}, cpumem.ErrRegion},
	} {
		if stopped, err := cpuopv.Exec(c.index, c.ops...); !errors.Is(err, c.want) || stopped != 0 {
			t.Errorf("%s: %d, %v, want %v", c.name, stopped, err, c.want)
		}
	}
	if word := h.Word(0, 0); word != nil && *word != 0 {
		t.Errorf("a refused vector left %d", *word)
	}
}

// TestExecAgainstSections: vectors and sections on the same word of the same
// CPU exclude each other. The vector is a plain read-modify-write in two
// operations, which any section in between would break.
func TestExecAgainstSections(t *testing.T) {
	d, h := handle(t, 8)
	const adders, vectors = 8, 300
	var done atomic.Bool
	var added atomic.Int64
	var wg sync.WaitGroup
	for range adders {
		wg.Go(func() {
			n := int64(0)
			for !done.Load() {
				rseqkit.Add(h, 0, 1)
				n++
			}
			added.Add(n)
		})
	}
	regions := min(d.Overflow(), 4)
	for i := range vectors {
		region := i % regions
		for {
			var old uint64
			if word := h.Word(region, 0); word != nil {
				old = atomic.LoadUint64(word)
			}
			stopped, err := cpuopv.Exec(region, cpuopv.CompareEqual(h, 0, old), cpuopv.Store(h, 0, old+1))
			if err != nil {
				t.Fatal(err)
			}
			if stopped == 0 {
				break
			}
			// Sections are quick; a vector whose comparison fails for ever
			// makes no progress. Add always does.
			if _, err := cpuopv.Exec(region, cpuopv.Add(h, 0, 1)); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	done.Store(true)
	wg.Wait()
	var total uint64
	for i := range d.Regions() {
		if word := h.Word(i, 0); word != nil {
			total += atomic.LoadUint64(word)
		}
	}
	if want := uint64(added.Load() + vectors); total != want {
		t.Errorf("%d of %d", total, want)
	}
}

func TestExecAllocations(t *testing.T) {
	_, h := handle(t, 8)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := cpuopv.Exec(0, cpuopv.CompareEqual(h, 0, 0), cpuopv.Add(h, 0, 0)); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Exec allocates %v times", n)
	}
}
