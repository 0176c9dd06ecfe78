package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// moveEvery is how long the threads stay where they were put: short against a
// slice, so that each slice sees many moves.
const moveEvery = 2 * time.Millisecond

// moveThreads puts each thread of the process on one CPU, the next time on the
// next one, until stop, which gives all of them the CPUs back that they had.
// The threads stay spread over the CPUs meanwhile.
func moveThreads() (stop func(), what string) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil || all.Count() < 2 {
		return func() {}, ""
	}
	var cpus []int
	for cpu := 0; len(cpus) < all.Count(); cpu++ {
		if all.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(moveEvery)
		defer tick.Stop()
		for round := 0; ; round++ {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			setThreads(func(i int) *unix.CPUSet {
				var one unix.CPUSet
				one.Set(cpus[(i+round)%len(cpus)])
				return &one
			})
		}
	}()
	return func() {
		close(ended)
		<-done
		// Twice: a thread that was made during the first pass may have
		// inherited a single CPU.
		for range 2 {
			setThreads(func(int) *unix.CPUSet { return &all })
		}
	}, fmt.Sprintf("threads moved between %d CPUs every %v", len(cpus), moveEvery)
}

// setThreads sets the affinity of each thread, numbered from 0.
func setThreads(set func(i int) *unix.CPUSet) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for i, thread := range threads {
		if tid, err := strconv.Atoi(thread.Name()); err == nil {
			_ = unix.SchedSetaffinity(tid, set(i)) // the thread may have ended
		}
	}
}
