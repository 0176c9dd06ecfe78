package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

// pool is a set of goroutines, each locked to a thread of its own, that run a
// loop at the same time. Threads stay the same throughout a run, so that none
// is measured while the runtime creates it.
type pool struct {
	epoch   time.Time
	workers []chan job
	results chan result
}

type job struct {
	work             loop
	thread, place, n int
	gate             *gate
}

type result struct {
	start, end time.Duration // since the pool's epoch
	preempted  bool
}

// sink keeps the loops' results in use.
var sink atomic.Int64

// newPool starts threads workers. With pin, worker i runs on the i-th allowed
// CPU only (modulo their number).
func newPool(threads int, pin bool) (*pool, error) {
	p := &pool{epoch: time.Now(), results: make(chan result, threads)}
	cpus := []int(nil)
	if pin {
		var err error
		if cpus, err = allowedCPUs(); err != nil {
			return nil, err
		}
	}
	pinned := make(chan error, threads)
	for i := range threads {
		jobs := make(chan job)
		p.workers = append(p.workers, jobs)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the worker
			var err error
			if len(cpus) > 0 {
				err = pinThread(cpus[i%len(cpus)])
			}
			pinned <- err
			for j := range jobs {
				p.results <- p.run(j)
			}
		}()
	}
	var failed error
	for range threads {
		if err := <-pinned; err != nil {
			failed = err
		}
	}
	return p, failed
}

func (p *pool) close() {
	for _, jobs := range p.workers {
		close(jobs)
	}
}

// slice runs n turns of work on each of threads workers and returns the time
// from the first start to the last end.
func (p *pool) slice(threads int, work loop, place, n int) slice {
	g := &gate{threads: int64(threads)}
	for i, jobs := range p.workers[:threads] {
		jobs <- job{work: work, thread: i, place: place, n: n, gate: g}
	}
	first := <-p.results
	start, end, preempted := first.start, first.end, first.preempted
	for range threads - 1 {
		r := <-p.results
		start, end, preempted = min(start, r.start), max(end, r.end), preempted || r.preempted
	}
	return slice{elapsed: end - start, preempted: preempted}
}

func (p *pool) run(j job) result {
	j.gate.wait(1)
	// Whoever was measured before left its traces in caches and predictors.
	used := j.work(j.thread, j.place, j.n/8+1)
	before := involuntarySwitches()
	j.gate.wait(2)
	start := time.Since(p.epoch)
	used += j.work(j.thread, j.place, j.n)
	end := time.Since(p.epoch)
	after := involuntarySwitches()
	sink.Add(used)
	return result{start: start, end: end, preempted: after != before}
}

// gate lets threads through together, as often as they all come.
type gate struct {
	threads int64
	arrived atomic.Int64
}

// wait spins: waking a sleeping thread takes longer than many a slice. It
// gives way once in a while, for when there are more threads than CPUs.
func (g *gate) wait(round int64) {
	g.arrived.Add(1)
	for spins := 1; g.arrived.Load() < round*g.threads; spins++ {
		if spins%(1<<14) == 0 {
			runtime.Gosched()
		}
	}
}
