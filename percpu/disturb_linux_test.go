package percpu_test

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// churnAffinity moves every thread of the process to one CPU, to another, to
// all of them, round and round.
func churnAffinity(t *testing.T, background func(step func(round int))) (restore func()) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Logf("affinity is not changed: %v", err)
		return func() {}
	}
	var cpus []int
	for cpu := range 1024 {
		if all.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	background(func(round int) {
		set := all
		if n := round % (len(cpus) + 1); n < len(cpus) {
			set.Zero()
			set.Set(cpus[n])
		}
		setAllThreads(&set)
		time.Sleep(time.Millisecond)
	})
	return func() { setAllThreads(&all) }
}

// profileSignals has SIGPROF delivered for every millisecond of CPU time, as a
// profiler at 1 kHz would.
func profileSignals(t *testing.T) (stop func()) {
	every := func(d time.Duration) error {
		v := unix.NsecToTimeval(d.Nanoseconds())
		_, err := unix.Setitimer(unix.ITIMER_PROF, unix.Itimerval{Interval: v, Value: v})
		return err
	}
	if err := every(time.Millisecond); err != nil {
		t.Fatalf("no SIGPROF: %v", err)
	}
	return func() {
		if err := every(0); err != nil {
			t.Error(err)
		}
	}
}

func setAllThreads(set *unix.CPUSet) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, thread := range threads {
		if tid, err := strconv.Atoi(thread.Name()); err == nil {
			_ = unix.SchedSetaffinity(tid, set) // the thread may have ended
		}
	}
}
