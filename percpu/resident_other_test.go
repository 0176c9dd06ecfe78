//go:build !linux

package percpu_test

import "testing"

// residentBytes returns 0: resident memory is only watched on Linux.
func residentBytes(*testing.T) int64 { return 0 }
