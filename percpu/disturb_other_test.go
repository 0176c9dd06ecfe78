//go:build !linux

package percpu_test

import "testing"

// churnAffinity does nothing: only Linux lets a process move its threads.
func churnAffinity(*testing.T, func(func(int))) (restore func()) { return func() {} }

// profileSignals does nothing: timers for signals differ from system to system.
func profileSignals(*testing.T) (stop func()) { return func() {} }
