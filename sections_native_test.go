//go:build linux && (amd64 || arm64) && !purego

package rseqkit_test

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
)

// TestHeader compares sections.h with the constants that Go uses.
func TestHeader(t *testing.T) {
	text, err := os.ReadFile("sections.h")
	if err != nil {
		t.Skipf("needs the source: %v", err)
	}
	for name, want := range map[string]int{"tableEntries": rseqkit.TableEntries, "abortLimit": rseqkit.AbortLimit} {
		m := regexp.MustCompile(`(?m)^#define ` + name + ` (\d+)$`).FindSubmatch(text)
		if m == nil {
			t.Errorf("sections.h does not define %s", name)
		} else if got, _ := strconv.Atoi(string(m[1])); got != want {
			t.Errorf("sections.h says %s %d, Go %d", name, got, want)
		}
	}
}

// TestAborted runs the slow paths of sections that were aborted too often,
// beside the sections themselves.
func TestAborted(t *testing.T) {
	aborted := []adder{
		{"AddAborted", rseqkit.AddAborted, sum},
		{"AddFloatAborted", asFloat(rseqkit.AddFloatAborted), sumFloatAsInt},
	}
	for i, a := range aborted {
		section := adders[2*i]
		forAll(t, []adder{a}, func(t *testing.T, a adder, h *cpumem.Handle) {
			const rounds = 300
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for range rounds {
						if g%2 == 0 {
							a.add(h, 0, 1)
						} else {
							section.add(h, 0, 1)
						}
					}
				})
			}
			wg.Wait()
			if got := a.total(h, 0); got != 4*rounds {
				t.Errorf("%d of %d", got, 4*rounds)
			}
		})
	}
}

// TestAborts: fences from another thread abort sections, the handler counts
// them, and nothing is lost.
func TestAborts(t *testing.T) {
	if rseq.Active() != rseq.EngineRseq {
		t.Skipf("needs the rseq engine: %v", rseq.Available())
	}
	aborts := func() (total uint64) {
		for _, s := range rseqkit.Sections() {
			total += s.Aborts
		}
		return total
	}
	h := handles(t)["ByCPU"]
	before := aborts()
	var done atomic.Bool
	var added atomic.Int64
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			n := int64(0)
			for !done.Load() {
				for range 100 {
					rseqkit.Add(h, 0, 1)
				}
				n += 100
			}
			added.Add(n)
		})
	}
	for deadline := time.Now().Add(30 * time.Second); aborts() < before+3; {
		if time.Now().After(deadline) {
			t.Error("30 s of fences aborted fewer than 3 sections")
			break
		}
		if err := rseq.Fence(); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	done.Store(true)
	wg.Wait()
	if got, want := sum(h, 0), added.Load(); got != want {
		t.Errorf("%d of %d", got, want)
	}
	t.Logf("%d aborts in %d additions", aborts()-before, added.Load())
}
