package percpu_test

import (
	"fmt"
	"os"
	"testing"
)

// residentBytes returns the process's resident memory (proc_pid_statm(5)).
func residentBytes(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Logf("resident memory is not watched: %v", err)
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}
