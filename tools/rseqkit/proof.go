package main

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
)

// Proofs that the kernel does what the rseq engine needs: sections that are
// interrupted are sent to their abort handler and take no effect.

const wantedAborts = 5

// probeProof is rseq.ProveAbort's result.
type probeProof struct {
	rseq.AbortProof
	Proven bool   `json:"proven"`
	Error  string `json:"error,omitempty"`
}

func proveProbe() probeProof {
	if rseq.Active() != rseq.EngineRseq {
		return probeProof{}
	}
	proof, err := rseq.ProveAbort(wantedAborts)
	p := probeProof{AbortProof: proof, Proven: err == nil && proof.Aborts >= wantedAborts}
	if err != nil {
		p.Error = err.Error()
	}
	return p
}

func (p probeProof) describe() string {
	switch {
	case p.Error != "":
		return "FAILED: " + p.Error
	case p.Attempts == 0:
		return "no section runs on this engine"
	}
	return fmt.Sprintf("%d of %d attempts aborted by the kernel, %d committed; %d fences, %s",
		p.Aborts, p.Attempts, p.Commits, p.Fences, rounded(p.Elapsed))
}

// addProof is what additions did while fences interrupted them.
type addProof struct {
	Additions int64         `json:"additions"` // made
	Counted   int64         `json:"counted"`   // found in the memory afterwards
	Exact     bool          `json:"exact"`
	Aborts    uint64        `json:"aborts"` // of the section Add, meanwhile
	Fences    int64         `json:"fences"`
	Elapsed   time.Duration `json:"elapsed"` // in nanoseconds
	Error     string        `json:"error,omitempty"`
}

// proveAdd adds until the section behind every counter was aborted some times
// or the limit is reached, and compares the sum with what was added. Aborts
// that do not come in time are not held against it: the section is a few
// instructions long, and on a single CPU only preemption hits it.
func proveAdd(limit time.Duration) (p addProof) {
	if rseq.Active() != rseq.EngineRseq {
		return p
	}
	var h cpumem.Handle
	if err := cpumem.Allocate(&h, cpumem.WordSize); err != nil {
		p.Error = err.Error()
		return p
	}
	var done atomic.Bool
	fences := make(chan int64)
	go func() {
		var n int64
		for ; !done.Load() && rseq.Fence() == nil; n++ {
			time.Sleep(50 * time.Microsecond)
		}
		fences <- n
	}()
	before, start := abortsOf("Add"), time.Now()
	for p.Aborts < wantedAborts && time.Since(start) < limit {
		for range addBatch {
			rseqkit.Add(&h, 0, 1)
		}
		p.Additions += addBatch
		p.Aborts = abortsOf("Add") - before
	}
	p.Elapsed = time.Since(start)
	done.Store(true)
	p.Fences = <-fences
	for i := range h.Domain().Regions() {
		p.Counted += wordOf(&h, i)
	}
	p.Exact = p.Counted == p.Additions
	runtime.KeepAlive(&h)
	return p
}

func (p addProof) describe() string {
	switch {
	case p.Error != "":
		return "FAILED: " + p.Error
	case p.Additions == 0:
		return "no section runs on this engine"
	}
	return fmt.Sprintf("%d aborts in %s additions; %d fences, %s; %s", p.Aborts, grouped(p.Additions), p.Fences, rounded(p.Elapsed), exactness(p.Counted, p.Additions))
}

// abortsOf returns the abort count of a section, 0 where it does not exist.
func abortsOf(name string) uint64 {
	for _, s := range rseqkit.Sections() {
		if s.Name == name {
			return s.Aborts
		}
	}
	return 0
}

// wordOf loads a handle's first word in one region, 0 if that has no memory.
func wordOf(h *cpumem.Handle, region int) int64 {
	if word := h.Word(region, 0); word != nil {
		return int64(atomic.LoadUint64(word))
	}
	return 0
}

// fenceCost is how long a fence of all CPUs that run this process takes.
type fenceCost struct {
	Median time.Duration `json:"median"` // in nanoseconds; 0: no fence
	Calls  int           `json:"calls"`
	Error  string        `json:"error,omitempty"`
}

func measureFence() fenceCost {
	const calls = 51
	times := make([]time.Duration, 0, calls)
	for range calls {
		start := time.Now()
		if err := rseq.Fence(); err != nil {
			return fenceCost{Error: err.Error()}
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return fenceCost{Median: times[calls/2], Calls: calls}
}

func (f fenceCost) describe(has bool) string {
	switch {
	case has && f.Error != "":
		return "FAILED: " + f.Error
	case !has:
		return "no: " + f.Error
	}
	return fmt.Sprintf("yes, %v in the median of %d, all CPUs", rounded(f.Median), f.Calls)
}
