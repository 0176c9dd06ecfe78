package rseq

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"testing"
)

// The main goroutine keeps the main thread to itself: the dynamic loader of a
// pure Go PIE registers that thread, and tests are about threads of ours.
func init() { runtime.LockOSThread() }

// TestMain says first what the tests that follow run on.
func TestMain(m *testing.M) {
	fmt.Println("# " + Status().Reason)
	os.Exit(m.Run())
}

func TestEngineText(t *testing.T) {
	for _, e := range []Engine{EngineRseq, EngineLocked, EnginePortable} {
		text, err := e.MarshalText()
		var back Engine
		if err != nil || back.UnmarshalText(text) != nil || back != e {
			t.Errorf("%v: text %q, %v, back %v", e, text, err, back)
		}
	}
	var e Engine
	if err := e.UnmarshalText([]byte("quick")); !errors.Is(err, ErrEngine) {
		t.Errorf("unknown name: %v", err)
	}
}

// TestChoose asks for engines. Choosing again in a process that has chosen is
// for tests only.
func TestChoose(t *testing.T) {
	best := choose("")
	if best.requestErr != nil || (best.engine == EngineRseq) != (best.obstacle == nil) {
		t.Errorf("nothing asked for: engine %v, request %v, obstacle %v", best.engine, best.requestErr, best.obstacle)
	}
	if c := choose("portable"); c.engine != EnginePortable || c.requestErr != nil || c.obstacle == nil {
		t.Errorf("portable: engine %v, request %v, obstacle %v", c.engine, c.requestErr, c.obstacle)
	}
	if c := choose("locked"); nativeBuild && (c.engine != EngineLocked || c.requestErr != nil) {
		t.Errorf("locked: engine %v, request %v", c.engine, c.requestErr)
	} else if !nativeBuild && (c.engine != EnginePortable || !errors.Is(c.requestErr, ErrEngine)) {
		t.Errorf("locked, impossible here: engine %v, request %v", c.engine, c.requestErr)
	}
	if c := choose("rseq"); c.engine != best.engine || (c.requestErr == nil) != (best.engine == EngineRseq) {
		t.Errorf("rseq: engine %v, request %v; without asking %v", c.engine, c.requestErr, best.engine)
	}
	if c := choose("quick"); c.engine != best.engine || !errors.Is(c.requestErr, ErrEngine) {
		t.Errorf("unknown: engine %v, request %v", c.engine, c.requestErr)
	}
}

func TestStatus(t *testing.T) {
	info := Status()
	if info.Engine != Active() || info.Reason == "" || (info.Err == nil) != (info.Engine == EngineRseq) {
		t.Errorf("engine %v, reason %q, obstacle %v", info.Engine, info.Reason, info.Err)
	}
	if (info.Err == nil) != (Available() == nil) {
		t.Errorf("Status says %v, Available %v", info.Err, Available())
	}
	if info.Engine == EngineRseq && (!info.HasFence || info.RegistrationLength == 0 || info.Owner == OwnerNone) {
		t.Errorf("rseq engine with %+v", info)
	}
	if want := os.Getenv("RSEQKIT_TEST_ENGINE"); want != "" && want != info.Engine.String() {
		t.Errorf("engine %v, and this run is for %s: %s", info.Engine, want, info.Reason)
	}
}

// TestAvailable: an obstacle is one of the package's named errors.
func TestAvailable(t *testing.T) {
	err := Available()
	if err == nil || os.Getenv(EngineVariable) != "" {
		return
	}
	for _, known := range []error{ErrNotSupported, ErrDenied, ErrNoFence, ErrBrokenKernel, ErrGoRelease, ErrSelfTest, ErrForeignRegistration, ErrBuild, ErrNoLibcArea} {
		if errors.Is(err, known) {
			t.Logf("obstacle: %v", err)
			return
		}
	}
	t.Errorf("an obstacle without a name: %v", err)
}

func TestFence(t *testing.T) {
	err := Fence()
	if (err == nil) != Status().HasFence || err != nil && !errors.Is(err, ErrNoFence) {
		t.Errorf("Fence: %v, Status says %t", err, Status().HasFence)
	}
	for cpu := range min(PossibleCPUs(), 64) {
		if got := FenceCPU(cpu); (got == nil) != (err == nil) {
			t.Errorf("FenceCPU(%d): %v, Fence: %v", cpu, got, err)
		}
	}
	for _, cpu := range []int{-1, PossibleCPUs(), MaxCPUs, math.MaxInt} {
		if err := FenceCPU(cpu); !errors.Is(err, ErrCPU) {
			t.Errorf("FenceCPU(%d): %v", cpu, err)
		}
	}
}

func TestFields(t *testing.T) {
	info := Status()
	for range 3 {
		if cpu := CPU(); cpu >= info.PossibleCPUs || cpu < 0 && nativeBuild {
			t.Errorf("CPU() = %d of %d", cpu, info.PossibleCPUs)
		}
		if node := Node(); node < 0 && nativeBuild {
			t.Errorf("Node() = %d", node)
		}
		id, err := ConcurrencyID()
		if (err == nil) != info.HasConcurrencyID || err != nil && !errors.Is(err, ErrNoConcurrencyID) || id < 0 || id >= info.PossibleCPUs {
			t.Errorf("ConcurrencyID() = %d, %v; Status says %t", id, err, info.HasConcurrencyID)
		}
	}
	if n := testing.AllocsPerRun(100, func() { CPU(); Node() }); n != 0 {
		t.Errorf("CPU and Node allocate %v times", n)
	}
}

func TestProveAbort(t *testing.T) {
	proof, err := ProveAbort(3)
	if Active() != EngineRseq {
		if err == nil {
			t.Errorf("no rseq engine, and aborts were proven: %+v", proof)
		}
		return
	}
	if err != nil || proof.Aborts != 3 || proof.Attempts != proof.Aborts+proof.Commits {
		t.Errorf("%+v, %v", proof, err)
	}
}

// TestAtStart: a check that comes after the choice runs at once, and its error
// withdraws the engine.
func TestAtStart(t *testing.T) {
	before, checks := chosen.Load(), atStart.checks
	defer func() { chosen.Store(before); atStart.checks = checks }()
	ran := false
	AtStart(func() error { ran = true; return nil })
	if isRseq := before.engine == EngineRseq; ran != isRseq {
		t.Errorf("engine %v: the check ran: %t", before.engine, ran)
	}
	AtStart(func() error { return fmt.Errorf("section Bad: %w", ErrSelfTest) })
	if before.engine == EngineRseq && (Active() != EngineLocked || !errors.Is(Available(), ErrSelfTest)) {
		t.Errorf("after a check that failed: %v, %v", Active(), Available())
	}
	// And before the choice: it is not made.
	if c := choose("rseq"); nativeBuild && (c.engine == EngineRseq || c.requestErr == nil) {
		t.Errorf("with a check that fails: %v", c.engine)
	}
}
