package rseq

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// PossibleCPUs is one more than the highest CPU number that this machine can
// ever have, plugged in later ones included. CPU numbers and concurrency ids
// are below it; size tables by it, and by neither GOMAXPROCS nor NumCPU,
// which follow affinity. Outside Linux it is runtime.NumCPU, and says how much
// can happen at once rather than which numbers CPUs have.
func PossibleCPUs() int { return possible() }

var possible = sync.OnceValue(func() int {
	if runtime.GOOS != "linux" {
		return runtime.NumCPU()
	}
	if list, err := os.ReadFile("/sys/devices/system/cpu/possible"); err == nil {
		if n, err := parseCPUList(string(list)); err == nil {
			return n
		}
	}
	return max(runtime.NumCPU(), fallbackCPUs)
})

// fallbackCPUs bounds CPU numbers where sysfs is hidden: more than any
// machine seen, at a price of eight bytes of address space a CPU.
const fallbackCPUs = 4096

// parseCPUList returns one more than the highest number in a list such as
// "0-3,8,10-11" (Documentation/admin-guide/cputopology.rst).
func parseCPUList(list string) (int, error) {
	highest := -1
	for field := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, isRange := strings.Cut(field, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 0 || to < from || to >= MaxCPUs {
			return 0, fmt.Errorf("rseq: CPU list %q: %q is no range of CPU numbers below %d", list, field, MaxCPUs)
		}
		highest = max(highest, to)
	}
	return highest + 1, nil
}

// MaxCPUs is one more than the highest CPU number that the toolkit's tables
// hold. Linux's largest configuration (NR_CPUS) is 8192 on amd64.
const MaxCPUs = 8192

func cpuError(cpu int) error {
	return fmt.Errorf("rseq: %w: %d; possible are 0 to %d", ErrCPU, cpu, PossibleCPUs()-1)
}
