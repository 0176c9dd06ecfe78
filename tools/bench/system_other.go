//go:build !linux

package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

const hasGetcpu = false

func getcpu() uint32 { return 0 }

func allowedCPUs() ([]int, error) {
	return nil, fmt.Errorf("allowed CPUs on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func pinThread(cpu int) error {
	return fmt.Errorf("run on CPU %d only on %s: %w", cpu, runtime.GOOS, errors.ErrUnsupported)
}

func involuntarySwitches() int64 { return 0 }

func ownCPUTime() time.Duration { return 0 }

func residentBytes() (int64, error) {
	return 0, fmt.Errorf("resident memory on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
