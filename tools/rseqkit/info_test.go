package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/rseqkit/rseqkit/rseq"
)

// expected is info's exit code on this machine.
func expected() int {
	if rseq.Available() != nil {
		return exitFallback
	}
	return exitOK
}

func TestInfo(t *testing.T) {
	code, stdout, stderr := call(t, "info")
	t.Logf("\n%s", stdout)
	if rseq.Status().RequestErr == nil && code != expected() {
		t.Errorf("exit code %d, want %d (%v)", code, expected(), rseq.Available())
	}
	if stderr != "" {
		t.Errorf("stderr %q", stderr)
	}
	checkWidth(t, stdout)
	for _, want := range []string{"Engine", "engine            " + rseq.Active().String(), "Machine", "GOMAXPROCS", "Registration", "fence", "Abort, proven live", "What would help", "Result"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in the report", want)
		}
	}
}

func TestInfoJSON(t *testing.T) {
	for _, flag := range []string{"--json", "-json", "--json=true"} {
		code, stdout, stderr := call(t, "info", flag)
		if stderr != "" {
			t.Errorf("%s: stderr %q", flag, stderr)
		}
		var r infoReport
		decode(t, stdout, &r)
		if r.ExitCode != code {
			t.Errorf("%s: exit code %d, reported %d", flag, code, r.ExitCode)
		}
		if r.Status.GOOS != runtime.GOOS || r.CPUs.GOMAXPROCS < 1 || r.CPUs.Possible < r.CPUs.Online {
			t.Errorf("%s: %+v", flag, r)
		}
		if r.Status.Engine != rseq.EngineRseq {
			continue
		}
		if !r.Probe.Proven || r.Probe.Aborts < wantedAborts || r.Probe.Attempts != r.Probe.Aborts+r.Probe.Commits {
			t.Errorf("%s: probe %+v", flag, r.Probe)
		}
		if !r.Add.Exact || r.Add.Additions == 0 || r.Add.Counted != r.Add.Additions {
			t.Errorf("%s: add %+v", flag, r.Add)
		}
		if len(r.Sections) == 0 || r.Sections[0].Name != "Add" || r.Sections[0].Aborts < r.Add.Aborts {
			t.Errorf("%s: sections %+v", flag, r.Sections)
		}
	}
}

// TestInfoEngines: the exit codes under a forced engine.
func TestInfoEngines(t *testing.T) {
	native := runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") && !errors.Is(rseq.Available(), rseq.ErrBuild)
	for _, test := range []struct {
		engine string
		want   int
		says   string
	}{
		{"portable", exitFallback, "portable engine runs; everything works on it"},
		{"locked", map[bool]int{true: exitFallback, false: exitWrong}[native], "engine runs"},
		{"nonsense", exitWrong, "RSEQKIT_ENGINE was not honoured"},
	} {
		for _, flag := range []string{"--json=false", "--json"} {
			code, stdout, stderr := execute(t, test.engine, "info", flag)
			if code != test.want || stderr != "" {
				t.Errorf("%s %s: exit code %d, want %d; stderr %q", test.engine, flag, code, test.want, stderr)
			}
			if !strings.Contains(stdout, test.says) {
				t.Errorf("%s %s: no %q in\n%s", test.engine, flag, test.says, stdout)
			}
		}
	}
}

// TestJudge: each thing that can be wrong makes the doctor say so.
func TestJudge(t *testing.T) {
	well := infoReport{
		Status: rseq.Info{Engine: rseq.EngineRseq},
		Probe:  probeProof{Proven: true},
		Add:    addProof{Additions: 10, Counted: 10, Exact: true},
	}
	for name, test := range map[string]struct {
		damage func(r *infoReport)
		want   int
	}{
		"well":                {func(*infoReport) {}, exitOK},
		"no abort":            {func(r *infoReport) { r.Probe.Proven = false }, exitWrong},
		"additions lost":      {func(r *infoReport) { r.Add.Exact = false }, exitWrong},
		"additions failed":    {func(r *infoReport) { r.Add.Error = "no memory" }, exitWrong},
		"locked":              {func(r *infoReport) { r.Status.Engine = rseq.EngineLocked }, exitFallback},
		"portable":            {func(r *infoReport) { r.Status.Engine = rseq.EnginePortable }, exitFallback},
		"request not heeded":  {func(r *infoReport) { r.Status.RequestErr = rseq.ErrEngine }, exitWrong},
		"request, and locked": {func(r *infoReport) { r.Status.RequestErr, r.Status.Engine = rseq.ErrEngine, rseq.EngineLocked }, exitWrong},
	} {
		r := well
		test.damage(&r)
		if code, verdict := r.judge(); code != test.want || verdict == "" {
			t.Errorf("%s: exit code %d (%s), want %d", name, code, verdict, test.want)
		}
	}
}

func TestAdvice(t *testing.T) {
	for _, test := range []struct {
		name   string
		status rseq.Info
		box    sandboxFacts
		want   string // codes
		says   string
	}{
		{"nothing", rseq.Info{Engine: rseq.EngineRseq, HasConcurrencyID: true}, sandboxFacts{}, "", ""},
		{"no concurrency id", rseq.Info{Engine: rseq.EngineRseq}, sandboxFacts{}, "noConcurrencyID", "Linux 6.3"},
		{"traced", rseq.Info{Engine: rseq.EngineRseq, HasConcurrencyID: true}, sandboxFacts{TracerPID: 7}, "traced", "slow path"},
		{"denied", refused(rseq.ErrDenied), sandboxFacts{}, "denied", "seccomp profile"},
		{"fence denied", refused(rseq.ErrNoFence, rseq.ErrDenied), sandboxFacts{}, "denied", "membarrier"},
		{"no fence", refused(rseq.ErrNoFence), sandboxFacts{}, "noFence", "Linux 5.10"},
		{"old Go", refused(rseq.ErrGoRelease), sandboxFacts{}, "goRelease", "update rseqkit"},
		{"broken kernel", refused(rseq.ErrBrokenKernel), sandboxFacts{}, "brokenKernel", "7.0.14, 7.1"},
		{"old kernel", refused(rseq.ErrNotSupported), sandboxFacts{}, "notSupported", "Linux 4.18"},
		{"gVisor", refused(rseq.ErrNotSupported), sandboxFacts{GVisor: true}, "gvisor", "host's kernel"},
		{"libc", refused(rseq.ErrNoLibcArea), sandboxFacts{}, "noLibcArea", "CGO_ENABLED=0"},
		{"foreign", refused(rseq.ErrForeignRegistration), sandboxFacts{}, "foreignRegistration", "CGO_ENABLED=0"},
		{"build", refused(rseq.ErrBuild), sandboxFacts{}, "build", "linux/amd64"},
		{"self test", refused(rseq.ErrSelfTest), sandboxFacts{}, "selfTest", "report"},
		{"unknown", refused(errors.New("never seen")), sandboxFacts{}, "unknown", "report"},
		{"forced", rseq.Info{Engine: rseq.EngineLocked, Requested: "locked", Err: errors.New("asked")}, sandboxFacts{}, "engineForced", "unset RSEQKIT_ENGINE"},
		{"rseq asked for in vain", rseq.Info{Engine: rseq.EngineLocked, Requested: "rseq", RequestErr: rseq.ErrEngine, Err: rseq.ErrDenied}, sandboxFacts{}, "engineRequest denied", "seccomp"},
	} {
		var codes, text []string
		for _, a := range advise(test.status, test.box) {
			codes, text = append(codes, a.Code), append(text, a.Help)
		}
		if got := strings.Join(codes, " "); got != test.want {
			t.Errorf("%s: advice %q, want %q", test.name, got, test.want)
		}
		if got := strings.Join(text, "; "); !strings.Contains(got, test.says) {
			t.Errorf("%s: no %q in %q", test.name, test.says, got)
		}
	}
}

// refused is the status where these keep the rseq engine away.
func refused(causes ...error) rseq.Info {
	return rseq.Info{Engine: rseq.EngineLocked, Err: fmt.Errorf("rseq: %w", errors.Join(causes...))}
}
