//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the CPU time that this process has used, or 0 if unknown.
func cpuTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
