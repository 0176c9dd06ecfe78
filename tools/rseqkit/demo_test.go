package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rseqkit/rseqkit/rseq"
)

func TestDemo(t *testing.T) {
	code, stdout, stderr := call(t, "demo", "--duration", "200ms")
	t.Logf("\n%s", stdout)
	if code != exitOK || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	checkWidth(t, stdout)
	for _, want := range []string{"exact: ", "per-CPU counters: ", "x an atomic at", "where", "aborts", rseq.Active().String() + " engine"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if strings.Contains(stdout, "\x1b") {
		t.Errorf("control sequences where no terminal is: %q", stdout)
	}
}

// TestDemoEngines: exact on every engine, and rows that say what they are.
func TestDemoEngines(t *testing.T) {
	for _, engine := range []string{"", "rseq", "locked", "portable"} {
		for _, extra := range [][]string{nil, {"--disturb"}, {"--threads", "1"}, {"--threads", "9"}} {
			args := append([]string{"demo", "--duration", "200ms", "--json"}, extra...)
			code, stdout, stderr := execute(t, engine, args...)
			if code != exitOK {
				t.Errorf("%s %q: exit code %d, stderr %q", engine, extra, code, stderr)
				continue
			}
			var r demoReport
			decode(t, stdout, &r)
			checkDemo(t, &r)
			if engine == "portable" && r.Engine != rseq.EnginePortable || engine == "locked" && r.Engine == rseq.EngineRseq {
				t.Errorf("engine %v runs for %q", r.Engine, engine)
			}
			if len(extra) == 2 && extra[1] != fmt.Sprint(r.Goroutines) {
				t.Errorf("%q: %d goroutines", extra, r.Goroutines)
			}
			if (len(extra) == 1) != (r.Disturbance != "") {
				t.Errorf("%q: disturbance %q", extra, r.Disturbance)
			}
		}
	}
}

func checkDemo(t *testing.T, r *demoReport) {
	t.Helper()
	if !r.Exact || r.ExitCode != exitOK || r.PerCPU.Added == 0 || r.Atomic.Added == 0 || r.PerCPU.Counted != r.PerCPU.Added || r.Atomic.Counted != r.Atomic.Added {
		t.Errorf("not exact: %+v", r)
	}
	var sum int64
	var share float64
	for _, row := range r.Regions {
		sum += row.Additions
		share += row.Share
		if want := map[bool]string{true: "CPU", false: "shard"}[r.Engine == rseq.EngineRseq]; row.Kind != want && row.Kind != "shared" {
			t.Errorf("%v engine: row of kind %q", r.Engine, row.Kind)
		}
	}
	if sum != r.PerCPU.Counted || share < 0.999 || share > 1.001 {
		t.Errorf("rows add up to %d of %d, shares to %v", sum, r.PerCPU.Counted, share)
	}
	if r.PerCPU.Slices > 0 && (r.Ratio <= 0 || r.RatioLow > r.RatioHigh || r.PerCPU.RateLow > r.PerCPU.Rate || r.PerCPU.Rate > r.PerCPU.RateHigh) {
		t.Errorf("ratio and rates: %+v", r)
	}
}

// TestEvaluate: the check of the demonstration can fail.
func TestEvaluate(t *testing.T) {
	well := demoReport{PerCPU: side{Added: 1000, Counted: 1000}, Atomic: side{Added: 500, Counted: 500}}
	for name, test := range map[string]struct {
		damage func(r *demoReport)
		want   int
		says   string
	}{
		"exact":                {func(*demoReport) {}, exitOK, "exact: 1,000 of 1,000"},
		"a unit missing":       {func(r *demoReport) { r.PerCPU.Counted-- }, exitWrong, "NOT EXACT: 999 of 1,000, 1 missing"},
		"a unit doubled":       {func(r *demoReport) { r.PerCPU.Counted++ }, exitWrong, "NOT EXACT: 1,001 of 1,000, 1 too many"},
		"missing of the other": {func(r *demoReport) { r.Atomic.Counted-- }, exitWrong, "the atomic: NOT EXACT: 499 of 500"},
		"nothing added":        {func(r *demoReport) { *r = demoReport{} }, exitOK, "exact: 0 of 0"},
	} {
		r := well
		test.damage(&r)
		r.Exact, r.ExitCode = evaluate(&r)
		if r.ExitCode != test.want || r.Exact != (test.want == exitOK) {
			t.Errorf("%s: exit code %d, exact %v", name, r.ExitCode, r.Exact)
		}
		if !strings.Contains(r.text(), test.says) {
			t.Errorf("%s: no %q in\n%s", name, test.says, r.text())
		}
	}
}

// TestDemoLosesUnit: a unit that is lost behind the demonstration's back is
// found by the same code that runs otherwise.
func TestDemoLosesUnit(t *testing.T) {
	work, err := newLoad(2)
	if err != nil {
		t.Fatal(err)
	}
	s := work.run(5*time.Millisecond, work.addPerCPU)
	a := work.run(5*time.Millisecond, work.addAtomic)
	r := &demoReport{PerCPU: side{Added: s.added + 1}, Atomic: side{Added: a.added, Counted: work.atomic.Load()}}
	for _, n := range work.words() {
		r.PerCPU.Counted += n
	}
	if exact, code := evaluate(r); exact || code != exitWrong {
		t.Errorf("%d of %d units are called exact", r.PerCPU.Counted, r.PerCPU.Added)
	}
	r.PerCPU.Added--
	if exact, code := evaluate(r); !exact || code != exitOK {
		t.Errorf("%d of %d units are called inexact", r.PerCPU.Counted, r.PerCPU.Added)
	}
}

// TestDemoInterrupted: ctrl-C ends it early, with a report.
func TestDemoInterrupted(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(ended(), []string{"demo", "--duration", "1h"}, &out, &errs); code != exitOK {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
	for _, want := range []string{"stopped early", "exact: ", "too short to compare"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	checkWidth(t, out.String())
}

// TestDemoSignal: the same through a real signal.
func TestDemoSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal can be sent to another process on Windows")
	}
	executable, err := os.Executable()
	if err != nil {
		t.Skipf("no path to the test binary: %v", err)
	}
	command := exec.CommandContext(t.Context(), executable, "demo", "--duration", "1h")
	command.Env = append(os.Environ(), asCommand+"=1")
	var out firstWrite
	out.written = make(chan struct{})
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	<-out.written // the first line of progress: after a second
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("after ctrl-C: %v", err)
	}
	if text := out.text.String(); !strings.Contains(text, "stopped early") || !strings.Contains(text, "exact: ") {
		t.Errorf("no summary in\n%s", text)
	}
}

// firstWrite collects what is written and says when there is something.
type firstWrite struct {
	text    bytes.Buffer
	written chan struct{}
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if w.text.Len() == 0 {
		close(w.written)
	}
	return w.text.Write(p)
}

// TestCrowded: a reader is told when the two threads hardly met.
func TestCrowded(t *testing.T) {
	for _, test := range []struct {
		goroutines int
		used       float64
		want       bool
	}{{2, 1.9, false}, {2, 1.1, true}, {1, 0.5, false}, {8, 1.2, true}, {2, 0, false}} {
		r := &demoReport{Goroutines: test.goroutines, GOMAXPROCS: 2, AllowedCPUs: 4, Seconds: 1, CPUsUsed: test.used}
		if got := strings.Contains(r.text(), "other work took CPU time"); got != test.want {
			t.Errorf("%d goroutines on %v CPUs: said %v, want %v", test.goroutines, test.used, got, test.want)
		}
	}
}

func TestQuartiles(t *testing.T) {
	for _, test := range []struct {
		values            []float64
		low, median, high float64
	}{
		{nil, 0, 0, 0},
		{[]float64{7}, 7, 7, 7},
		{[]float64{3, 1}, 2, 2, 2},
		{[]float64{5, 1, 4, 2, 3}, 2, 3, 4},
		{[]float64{4, 3, 2, 1}, 1.5, 2.5, 3.5},
	} {
		if low, median, high := quartiles(test.values); low != test.low || median != test.median || high != test.high {
			t.Errorf("%v: %v %v %v", test.values, low, median, high)
		}
	}
}
