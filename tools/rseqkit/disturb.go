package main

import (
	"io"
	"runtime/pprof"
	"strings"
)

// disturb makes sections abort more often than they would by themselves:
// profiling signals arrive at the threads, which are moved between CPUs where
// that is possible. It says what it does. calm ends it and undoes it.
func disturb() (calm func(), what string) {
	var does []string
	stopProfile := func() {}
	// The profile's contents are of no interest, its signals are.
	if err := pprof.StartCPUProfile(io.Discard); err == nil {
		stopProfile = pprof.StopCPUProfile
		does = append(does, "profiling signals at 100 Hz")
	}
	stopMoving, moves := moveThreads()
	if moves != "" {
		does = append(does, moves)
	}
	if len(does) == 0 {
		does = append(does, "no disturbance: none is possible here")
	}
	return func() { stopMoving(); stopProfile() }, strings.Join(does, ", ")
}
