package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/rseqkit/rseqkit/percpu"
	"github.com/rseqkit/rseqkit/rseq"
)

// memory is what counters that were used on every allowed CPU take, in bytes
// a counter.
type memory struct {
	Name     string      `json:"name"`
	Engine   rseq.Engine `json:"engine"`
	Counters int         `json:"counters"`
	CPUs     int         `json:"cpus"`     // on which each counter was used
	Resident float64     `json:"resident"` // all of it
	Heap     float64     `json:"heap"`     // of Go's heap
	// PerCPU is what the use on one more CPU added; -1 with one CPU only.
	PerCPU float64 `json:"perCPU"`
}

// memoryKind makes n counters and returns what adds one to each. Everything
// that it allocates belongs to the counters.
type memoryKind struct {
	name  string
	share int // measures 1/share of the counters: for what is large
	start func(n int) (touch func(), err error)
}

const sectionMemory = "memory"

var memoryKinds = []memoryKind{
	{"CounterGroup", 1, func(n int) (func(), error) {
		g, err := percpu.NewCounterGroup(n)
		return func() {
			for i := range n {
				g.Inc(i)
			}
		}, err
	}},
	{"[]*Counter", 1, func(n int) (func(), error) {
		list := make([]*percpu.Counter, n)
		for i := range list {
			list[i] = new(percpu.Counter)
		}
		return func() {
			for _, c := range list {
				c.Inc()
			}
		}, nil
	}},
	// Fewer: the runtime walks a list of all cleanups of a memory object for
	// each one that is added, and a counter's first use adds one.
	{"[]Counter", 50, func(n int) (func(), error) {
		list := make([]percpu.Counter, n)
		return func() {
			for i := range list {
				list[i].Inc()
			}
		}, nil
	}},
	{"[]atomic.Int64, 16 padded shards", 10, func(n int) (func(), error) {
		list := make([]paddedShards, n)
		return func() {
			for i := range list {
				list[i].byStack().Add(1)
			}
		}, nil
	}},
	{"[]*xsync.Counter", 10, func(n int) (func(), error) {
		list := make([]*xsync.Counter, n)
		for i := range list {
			list[i] = xsync.NewCounter()
		}
		return func() {
			for _, c := range list {
				c.Inc()
			}
		}, nil
	}},
}

// measureMemory is the work of a fresh process, whose memory is not yet
// spotted with what others left.
func measureMemory(kind memoryKind, n int) (memory, error) {
	n = max(1, n/kind.share)
	m := memory{Name: kind.name, Engine: rseq.Active(), Counters: n, PerCPU: -1}
	debug.SetGCPercent(-1) // the heap grows by what is used and nothing else
	runtime.GC()
	before, err := residentBytes()
	if err != nil {
		return m, err
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	heapBefore := stats.HeapAlloc

	touch, err := kind.start(n)
	if err != nil {
		return m, err
	}
	var after []int64 // by CPU
	var failed error
	err = forEachCPU(func(int) {
		touch()
		resident, err := residentBytes()
		after, failed = append(after, resident), errors.Join(failed, err)
	})
	if err = errors.Join(err, failed); err != nil {
		return m, err
	}
	debug.FreeOSMemory() // collects, so that only what the counters keep is left
	resident, err := residentBytes()
	if err != nil {
		return m, err
	}
	runtime.ReadMemStats(&stats)
	runtime.KeepAlive(touch)
	each := func(bytes int64) float64 { return float64(bytes) / float64(n) }
	m.CPUs = len(after)
	m.Resident, m.Heap = each(resident-before), each(int64(stats.HeapAlloc)-int64(heapBefore))
	if last := len(after) - 1; last > 0 {
		m.PerCPU = each(after[last]-after[0]) / float64(last)
	}
	return m, nil
}

// memoryChild is the child process's side of [runMemory].
func memoryChild(w io.Writer, name string, n int) error {
	for _, kind := range memoryKinds {
		if kind.name == name {
			m, err := measureMemory(kind, n)
			if err != nil {
				return err
			}
			return json.NewEncoder(w).Encode(m)
		}
	}
	return fmt.Errorf("no counters of kind %q", name)
}

func printMemory(w io.Writer, list []memory) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\nmemory: bytes a counter, each used on every CPU\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "counters\tCPUs\tresident\tof Go's heap\tone more CPU\t    kind")
	for _, m := range list {
		more := "unknown"
		if m.PerCPU >= 0 {
			more = number(m.PerCPU)
		}
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t    %s\n", m.Counters, m.CPUs, number(m.Resident), number(m.Heap), more, m.Name)
	}
	table.Flush()
}
