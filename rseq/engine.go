package rseq

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// Engine is the way in which per-CPU operations run in this process.
type Engine uint8

const (
	// EnginePortable: plain Go, atomics and locks on shards chosen by a hint.
	EnginePortable Engine = iota
	// EngineLocked: the same on mapped memory, for Linux on amd64 and arm64.
	EngineLocked
	// EngineRseq: critical sections on the memory of the CPU that runs them.
	EngineRseq
)

var engineNames = [...]string{EnginePortable: "portable", EngineLocked: "locked", EngineRseq: "rseq"}

func (e Engine) String() string {
	if int(e) >= len(engineNames) {
		return fmt.Sprintf("Engine(%d)", uint8(e))
	}
	return engineNames[e]
}

// MarshalText gives the engine's name.
func (e Engine) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText accepts the names that String gives.
func (e *Engine) UnmarshalText(text []byte) error {
	for i, name := range engineNames {
		if name == string(text) {
			*e = Engine(i)
			return nil
		}
	}
	return fmt.Errorf("rseq: %w: unknown engine %q; known are rseq, locked and portable", ErrEngine, text)
}

// EngineVariable is the environment variable that forces an engine.
const EngineVariable = "RSEQKIT_ENGINE"

// choice is what was decided at first use. It never changes afterwards.
type choice struct {
	engine     Engine
	requested  string // EngineVariable, or ""
	requestErr error  // why requested was not honoured
	obstacle   error  // what keeps the rseq engine from running, or nil
	fenceErr   error  // nil: Fence works
	thread     threadLookup
}

var chosen atomic.Pointer[choice]

// atStart holds what the packages above want checked before sections run. Its
// lock is held while an engine is chosen, so that a check comes either before
// the choice or after it.
var atStart struct {
	mu     sync.Mutex
	checks []func() error
}

// AtStart adds a check to those that must pass before the rseq engine is
// chosen. For init functions of the packages that own critical sections; a
// check that comes after the choice (some other package's init chose) runs at
// once, and its error withdraws the rseq engine.
func AtStart(check func() error) {
	atStart.mu.Lock()
	defer atStart.mu.Unlock()
	atStart.checks = append(atStart.checks, check)
	if c := chosen.Load(); c != nil && c.engine == EngineRseq {
		if err := check(); err != nil {
			withdrawn := *c
			withdrawn.engine, withdrawn.obstacle = EngineLocked, fmt.Errorf("rseq: %w", err)
			chosen.Store(&withdrawn)
		}
	}
}

// runStartChecks runs the checks for a caller who holds the lock.
func runStartChecks() error {
	for _, check := range atStart.checks {
		if err := check(); err != nil {
			return fmt.Errorf("rseq: %w", err)
		}
	}
	return nil
}

// current returns the choice, and makes it when there is none yet.
func current() *choice {
	if c := chosen.Load(); c != nil {
		return c
	}
	atStart.mu.Lock()
	defer atStart.mu.Unlock()
	if chosen.Load() == nil {
		chosen.Store(choose(os.Getenv(EngineVariable)))
	}
	return chosen.Load()
}

// choose picks the best engine that runs here, or the one asked for.
func choose(requested string) *choice {
	c := &choice{requested: requested}
	var want Engine
	if requested != "" {
		c.requestErr = want.UnmarshalText([]byte(requested))
	}
	forced := requested != "" && c.requestErr == nil
	if forced && want != EngineRseq {
		c.fenceErr = fmt.Errorf("rseq: %w was set up: %s=%s asks for an engine that needs none", ErrNoFence, EngineVariable, requested)
		c.obstacle = fmt.Errorf("rseq: not tried: %s=%s", EngineVariable, requested)
		c.engine = want
		if want == EngineLocked && !nativeBuild {
			c.engine = EnginePortable
			c.requestErr = fmt.Errorf("rseq: %w: the locked engine needs linux/amd64 or linux/arm64 without the build tag purego; this is %s/%s", ErrEngine, runtime.GOOS, runtime.GOARCH)
		}
		return c
	}
	if c.thread, c.obstacle = startOnSomeThread(); c.obstacle == nil {
		c.obstacle = runStartChecks()
	}
	switch {
	case c.obstacle == nil:
		c.engine = EngineRseq
		return c
	case nativeBuild:
		c.engine = EngineLocked
	default:
		c.engine = EnginePortable
	}
	c.fenceErr = c.obstacle
	if !errors.Is(c.obstacle, ErrNoFence) {
		c.fenceErr = fmt.Errorf("rseq: %w: %w", ErrNoFence, c.obstacle)
	}
	if forced {
		c.requestErr = fmt.Errorf("rseq: %w: %w", ErrEngine, c.obstacle)
	}
	return c
}

// startOnSomeThread calls startNative on this thread, and if that one belongs
// to somebody else, on another: the dynamic loader of a pure Go executable
// that was linked as PIE registers the main thread before Go starts, and only
// that one. Sections then run on all threads but it.
func startOnSomeThread() (threadLookup, error) {
	lookup, err := startNative()
	if !errors.Is(err, ErrForeignRegistration) {
		return lookup, err
	}
	runtime.LockOSThread() // keeps this thread from running the other goroutine
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		lookup, err = startNative()
	}()
	<-done
	return lookup, err
}

// Active returns the engine of this process. The first call, or the first use
// of any per-CPU structure, chooses it: some system calls, and on Linux a
// wait of about 12 ms if the process already runs several threads (the
// registration of the fence). Afterwards it costs one load.
func Active() Engine { return current().engine }

// Available returns nil if the rseq engine can run here, else the obstacle,
// which wraps one of the package's sentinels and says what would help.
func Available() error { return current().obstacle }
