//go:build linux && (amd64 || arm64) && !purego

package rseqkit_test

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
	"golang.org/x/sys/unix"
)

// TestNoMemory runs in a process of its own, whose address space is limited.
func TestNoMemory(t *testing.T) {
	const variable = "RSEQKIT_TEST_NO_MEMORY"
	if os.Getenv(variable) == "" {
		rerun(t, variable+"=1")
		return
	}

	// The Go runtime itself does not survive a collection without memory.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer unlimit(t)
	limit(t, unix.RLIMIT_AS, "VmSize", 400<<20)
	if _, err := cpumem.New(cpumem.Config{Size: cpumem.MaxSize}); !errors.Is(err, cpumem.ErrNoMemory) || !errors.Is(err, unix.ENOMEM) {
		t.Errorf("a domain of 1 GiB in 400 MiB: %v", err)
	}

	if rseq.Active() != rseq.EngineRseq {
		firstUseWithoutMemory(t)
		return
	}
	// There is data for the overflow region, not for a CPU's: everything goes
	// to the overflow region.
	limit(t, unix.RLIMIT_AS, "VmSize", 4<<30)
	limit(t, unix.RLIMIT_DATA, "VmData", 200<<20)
	d, err := cpumem.New(cpumem.Config{Size: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var h cpumem.Handle
	if err := d.Allocate(&h, 8); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		rseqkit.Add(&h, 0, 1)
	}
	if got := *h.Word(d.Overflow(), 0); got != 1000 {
		t.Errorf("the overflow region has %d of 1000", got)
	}
	if _, err := d.Stop(0); !errors.Is(err, cpumem.ErrNoMemory) {
		t.Errorf("Stop of a region without memory: %v", err)
	}

	firstUseWithoutMemory(t)
}

func firstUseWithoutMemory(t *testing.T) {
	t.Helper()
	limit(t, unix.RLIMIT_AS, "VmSize", 0)
	defer func() {
		if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "rseqkit: no per-CPU memory: ") {
			t.Errorf("the first use of a zero handle panics with %q", text)
		}
	}()
	rseqkit.Add(new(cpumem.Handle), 0, 1)
	t.Error("the first use of a zero handle without memory returned")
}

func unlimit(t *testing.T) {
	for _, resource := range []int{unix.RLIMIT_AS, unix.RLIMIT_DATA} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
			t.Error(err)
		}
	}
}

// limit lets the process have so many bytes more than it has now, of what a
// line of proc_pid_status(5) says it has.
func limit(t *testing.T, resource int, line string, more uint64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n"+line+":")
	var kib uint64
	if _, err := fmt.Sscan(rest, &kib); err != nil || !found {
		t.Fatalf("%s: %v", line, err)
	}
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: kib<<10 + more, Max: unix.RLIM_INFINITY}); err != nil {
		t.Skipf("%s cannot be limited: %v", line, err)
	}
}
