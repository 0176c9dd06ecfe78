package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
)

// addBatch is how many additions are made between two looks at the clock and
// at the stop flag: some microseconds' worth, so that looking costs under a
// percent of the fastest addition.
const addBatch = 8192

// load is the demo's work: goroutines that add, in turns, to a per-CPU word
// and to one word that they share.
type load struct {
	goroutines int
	perCPU     cpumem.Handle
	_          [128]byte // the atomic shares its cache lines with nothing
	atomic     atomic.Int64
	_          [128]byte
	stop       atomic.Bool // ends a slice early
}

func newLoad(goroutines int) (*load, error) {
	l := &load{goroutines: goroutines}
	const line = 64
	return l, cpumem.Allocate(&l.perCPU, line)
}

// addPerCPU and addAtomic add 1 addBatch times.
func (l *load) addPerCPU() {
	for range addBatch {
		rseqkit.Add(&l.perCPU, 0, 1)
	}
}

func (l *load) addAtomic() {
	for range addBatch {
		l.atomic.Add(1)
	}
}

// slice is what one turn did.
type slice struct {
	added   int64 // by the goroutines' own tallies
	elapsed time.Duration
	whole   bool // not ended early
}

func (s slice) rate() float64 { return float64(s.added) / s.elapsed.Seconds() }

// run has all goroutines call batch until the time is over. They are released
// together; each counts its batches itself.
func (l *load) run(length time.Duration, batch func()) slice {
	var total atomic.Int64
	var ready, done sync.WaitGroup
	var start time.Time
	release := make(chan struct{})
	ready.Add(l.goroutines)
	for range l.goroutines {
		done.Go(func() {
			ready.Done()
			<-release
			var own int64
			for !l.stop.Load() && time.Since(start) < length {
				batch()
				own += addBatch
			}
			total.Add(own)
		})
	}
	ready.Wait()
	start = time.Now()
	close(release)
	done.Wait()
	return slice{added: total.Load(), elapsed: time.Since(start), whole: !l.stop.Load()}
}

// words returns the per-CPU word of each region; the last is the overflow
// region's, which no CPU owns.
func (l *load) words() []int64 {
	words := make([]int64, l.perCPU.Domain().Regions())
	for i := range words {
		words[i] = wordOf(&l.perCPU, i)
	}
	return words
}
