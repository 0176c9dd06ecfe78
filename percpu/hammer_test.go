package percpu_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The hammers: as many goroutines as a busy service, and everything that
// takes a thread off its CPU or out of a section while they run.

const hammerGoroutines = 64

// adds is how often each goroutine of a hammer updates.
func adds(t *testing.T) int {
	if testing.Short() {
		return 2_000
	}
	return 50_000
}

// disturb runs what disturbs sections until the returned function is called:
// GOMAXPROCS flips, the process's threads are moved between CPUs, collections
// are forced, and SIGPROF arrives at 1 kHz.
func disturb(t *testing.T) (stop func()) {
	t.Helper()
	var done atomic.Bool
	var wg sync.WaitGroup
	background := func(step func(round int)) {
		wg.Go(func() {
			for round := 0; !done.Load(); round++ {
				step(round)
			}
		})
	}
	procs := runtime.GOMAXPROCS(0)
	background(func(round int) {
		runtime.GOMAXPROCS(1 + round%(procs+2))
		time.Sleep(2 * time.Millisecond)
	})
	background(func(int) {
		runtime.GC()
		time.Sleep(time.Millisecond)
	})
	restoreAffinity := churnAffinity(t, background)
	stopSignals := profileSignals(t)
	return func() {
		done.Store(true)
		wg.Wait()
		stopSignals()
		restoreAffinity()
		runtime.GOMAXPROCS(procs)
	}
}

// hammer runs work in many goroutines at once, under disturbance.
func hammer(t *testing.T, work func(goroutine, rounds int)) {
	t.Helper()
	stop := disturb(t)
	defer stop()
	rounds := adds(t)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for g := range hammerGoroutines {
		wg.Go(func() {
			<-start
			work(g, rounds)
		})
	}
	close(start)
	wg.Wait()
}
