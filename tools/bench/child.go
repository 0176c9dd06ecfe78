package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rseqkit/rseqkit/rseq"
)

// Some things need a process of their own: another engine, which a process
// chooses once, memory without the traces of others, a first call. The
// command starts itself again with childVariable set to what it shall do.
const childVariable = "RSEQKIT_BENCH_CHILD"

// Values of childVariable. The arguments follow in the command line.
const (
	childRows    = "rows"    // the command's flags; a report as JSON, without further children
	childMemory  = "memory"  // kind, number of counters; a memory as JSON
	childStartUp = "startup" // nothing; nanoseconds
)

// child does what a parent asked for.
func child(what string, args []string, stdout, stderr io.Writer) error {
	switch {
	case what == childRows:
		o, err := parse(args, stderr)
		if err != nil {
			return err
		}
		r := newReport(o)
		if err := r.runRows(context.Background(), o, time.Duration(o.Duration), silent{}); err != nil {
			return err
		}
		return r.print(stdout, true)
	case what == childMemory && len(args) == 2:
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return memoryChild(stdout, args[0], n)
	case what == childStartUp:
		return startUpChild(stdout)
	}
	return fmt.Errorf("%s=%s with %d arguments: nothing to do", childVariable, what, len(args))
}

// runChild starts this program again and returns what it prints.
func runChild(ctx context.Context, env []string, what string, args ...string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, args...)
	command.Env = append(append(os.Environ(), env...), childVariable+"="+what)
	var out, messages bytes.Buffer
	command.Stdout, command.Stderr = &out, &messages
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("child %s: %w: %s", what, err, strings.TrimSpace(messages.String()))
	}
	return out.Bytes(), nil
}

// otherEngines are measured in children.
var otherEngines = []rseq.Engine{rseq.EngineLocked, rseq.EnginePortable}

func engineSection(e rseq.Engine) string { return "add, " + e.String() + " engine" }

// engineNames are the rows of sectionAdd that are measured on other engines:
// ours, and what it then comes down to.
var engineNames = []string{nameCounterAdd, "Counter.Inc", "FloatCounter.Add", nameAtomic, nameOwnAtomic}

// engineMatches lists the rows of another engine that were asked for.
func engineMatches(e rseq.Engine, match *regexp.Regexp) (names []string) {
	for _, name := range engineNames {
		if match.MatchString(engineSection(e) + "/" + name) {
			names = append(names, name)
		}
	}
	return names
}

// engineRows measures rows of sectionAdd on another engine.
func engineRows(ctx context.Context, e rseq.Engine, names []string, o *options, duration time.Duration) ([]rowReport, error) {
	for i, name := range names {
		names[i] = regexp.QuoteMeta(name)
	}
	args := []string{
		"-run", "^" + sectionAdd + "/(" + strings.Join(names, "|") + ")$",
		"-duration", duration.String(), "-slice", time.Duration(o.Slice).String(), "-threads", o.threadList(),
		"-pin=" + strconv.FormatBool(o.Pin),
	}
	out, err := runChild(ctx, []string{rseq.EngineVariable + "=" + e.String()}, childRows, args...)
	if err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, fmt.Errorf("child %s: %w", childRows, err)
	}
	if r.Engine != e {
		return nil, fmt.Errorf("this build has no %v engine: %s", e, r.Reason)
	}
	for i := range r.Rows {
		r.Rows[i].Section = engineSection(e)
	}
	return r.Rows, nil
}
