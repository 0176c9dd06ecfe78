package main

import (
	"runtime"

	"github.com/rseqkit/rseqkit/rseq"
)

// cpuCandidates tell the number of the CPU.
func cpuCandidates() []*candidate {
	list := []*candidate{{section: sectionCPU, name: "rseq.CPU", ours: true, single: true, start: func(int) loop {
		return func(_, _, n int) (used int64) {
			for range n {
				used += int64(rseq.CPU())
			}
			return used
		}
	}}}
	if hasGetcpu {
		list = append(list, &candidate{section: sectionCPU, name: "getcpu system call", single: true, start: func(int) loop {
			return func(_, _, n int) (used int64) {
				for range n {
					used += int64(getcpu())
				}
				return used
			}
		}})
	}
	return list
}

// onEachCPU calls f on each allowed CPU in turn, or once where threads cannot
// be sent to a CPU.
func onEachCPU(f func()) {
	if forEachCPU(func(int) { f() }) != nil {
		f()
	}
}

// forEachCPU calls f on each allowed CPU in turn. An error means that f was
// not called.
func forEachCPU(f func(cpu int)) error {
	cpus, err := allowedCPUs()
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: this thread's affinity ends with it
		for i, cpu := range cpus {
			if err := pinThread(cpu); err != nil {
				if i == 0 {
					done <- err
					return
				}
				continue // unplugged meanwhile
			}
			f(cpu)
		}
		done <- nil
	}()
	return <-done
}
