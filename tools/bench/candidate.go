package main

import (
	"math"
	"regexp"
	"slices"
	"time"
)

// candidate is one thing to measure.
type candidate struct {
	section string // candidates of a section are compared with its reference
	name    string
	ours    bool // the section's reference; one a section
	single  bool // for one thread only
	ops     int  // operations in one turn of the loop; 0 means 1

	// start makes fresh state for a number of threads. It is called for each
	// row and each of its places, so that no two share memory or a history.
	start func(threads int) loop

	// process is for code in another process; start is nil then.
	process func() (timedProcess, error)
}

// places is the number of states that take turns in a row, and of copies of
// the most important loops. How a few instructions fall on cache lines, and
// whether the low bits of two addresses agree, can cost more than what is
// compared; so each place is one chance, and all of them are shown.
const places = 3

// loop runs n turns as thread number thread (from 0), with copy place of the
// code if it has copies, and returns something that depends on the work.
type loop func(thread, place, n int) int64

// timedProcess runs operations elsewhere, on one thread.
type timedProcess interface {
	slice(n int) (slice, error)
	close() error
}

func (c *candidate) id() string { return c.section + "/" + c.name }

func (c *candidate) opsPerTurn() int { return max(1, c.ops) }

// The sections, in the order of the report.
const (
	sectionAdd   = "add"
	sectionRead  = "read"
	sectionMany  = "read 1,000"
	sectionDrain = "drain"
	sectionCPU   = "cpu"
)

// candidates lists everything that is timed in this process.
func candidates() []*candidate {
	return slices.Concat(addCandidates(), cCandidates(), readCandidates(), drainCandidates(), cpuCandidates())
}

// chosen returns the candidates whose section/name matches, and with them the
// references that their ratios need.
func chosen(all []*candidate, match *regexp.Regexp) []*candidate {
	needed := make(map[string]bool)
	for _, c := range all {
		if match.MatchString(c.id()) {
			needed[c.section] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(c *candidate) bool {
		return !match.MatchString(c.id()) && !(c.ours && needed[c.section])
	})
}

// row is a candidate with a number of threads: one line of the report.
type row struct {
	*candidate
	threads int
	run     func(place, n int) (slice, error)
	close   func() error
	turns   int // of a slice

	perOp     []float64   // ns per operation, by round
	byPlace   [][]float64 // the same, by place
	preempted int         // slices in which a thread lost its CPU
}

// slice is the outcome of one measurement.
type slice struct {
	elapsed   time.Duration
	preempted bool
}

func newRow(c *candidate, threads int, workers *pool) (*row, error) {
	r := &row{candidate: c, threads: threads, close: func() error { return nil }, byPlace: make([][]float64, 1)}
	if c.process == nil {
		var work [places]loop
		for i := range work {
			work[i] = c.start(threads)
		}
		r.byPlace = make([][]float64, places)
		r.run = func(place, n int) (slice, error) { return workers.slice(threads, work[place], place, n), nil }
		return r, nil
	}
	p, err := c.process()
	if err != nil {
		return nil, err
	}
	r.close = p.close
	r.run = func(_, n int) (slice, error) { return p.slice(n) }
	return r, nil
}

// calibrate finds how many turns fill a slice. The turns on the way there
// also take the slow paths of a first use. Of each length it takes the best of
// some runs: one that lost its CPU would end the search with next to nothing.
func (r *row) calibrate(length time.Duration) error {
	const attempts = 5
	for n := 1; ; n *= 4 {
		best := time.Duration(math.MaxInt64)
		for range attempts {
			s, err := r.run(0, n)
			if err != nil {
				return err
			}
			if best = min(best, s.elapsed); best < length/8 {
				break
			}
		}
		if best >= length/8 {
			r.turns = max(1, int(float64(n)*float64(length)/float64(best)))
			return nil
		}
	}
}

// measure adds one round.
func (r *row) measure(round int) error {
	place := round % len(r.byPlace)
	s, err := r.run(place, r.turns)
	if err != nil {
		return err
	}
	ns := float64(s.elapsed.Nanoseconds()) / float64(r.turns) / float64(r.opsPerTurn()) / float64(r.threads)
	r.perOp = append(r.perOp, ns)
	r.byPlace[place] = append(r.byPlace[place], ns)
	if s.preempted {
		r.preempted++
	}
	return nil
}
