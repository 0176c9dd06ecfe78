package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// command runs a program in dir (relative to the repository) and returns all
// that it printed.
func (r *runner) command(ctx context.Context, dir string, env []string, name string, arguments ...string) (string, error) {
	c := exec.CommandContext(ctx, name, arguments...)
	c.Dir = r.root + "/" + dir
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// one is the result of a command that is a check by itself.
func one(output string, err error) result {
	if err != nil {
		return result{failed: 1, output: output + "\n" + err.Error()}
	}
	return result{passed: 1, output: output}
}

// sum adds up results.
func sum(all ...result) (total result) {
	for _, r := range all {
		total.passed += r.passed
		total.failed += r.failed
		total.skipped += r.skipped
		total.output += r.output
		total.reasons = append(total.reasons, r.reasons...)
	}
	return total
}

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// goTest runs go test -json and counts its tests. What it prints besides
// events (build errors) and packages that fail outside any test count as one
// failure.
func (r *runner) goTest(ctx context.Context, dir string, env []string, arguments ...string) result {
	arguments = append([]string{"test", "-json", "-count=1"}, arguments...)
	c := exec.CommandContext(ctx, "go", arguments...)
	c.Dir = r.root + "/" + dir
	c.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err := c.Output()
	got := count(stdout)
	if err != nil && got.failed == 0 {
		got.failed = 1
	}
	if got.failed > 0 {
		got.output = fmt.Sprintf("%s\n%s\n%s\ngo %s: %v", strings.Join(env, " "), got.output, stderr.String(), strings.Join(arguments, " "), err)
	}
	return got
}

// count reads the events.
func count(stdout []byte) (got result) {
	outputs := make(map[string]*strings.Builder) // by package and test
	var stray strings.Builder
	failedTest := make(map[string]bool) // packages with a failed test
	lines := bufio.NewScanner(bytes.NewReader(stdout))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(&stray, lines.Text())
			continue
		}
		key := e.Package + " " + e.Test
		if outputs[key] == nil {
			outputs[key] = new(strings.Builder)
		}
		switch e.Action {
		case "output":
			outputs[key].WriteString(e.Output)
			if strings.HasPrefix(e.Output, "# ") { // what the tests run on
				stray.WriteString(e.Package + ": " + e.Output)
			}
		case "build-output":
			stray.WriteString(e.Output)
		case "pass":
			if e.Test != "" {
				got.passed++
			}
		case "skip":
			if e.Test != "" {
				got.skipped++
				got.reasons = append(got.reasons, skipReason(outputs[key].String()))
			}
		case "fail":
			if e.Test != "" {
				failedTest[e.Package] = true
			}
			if e.Test != "" || !failedTest[e.Package] {
				got.failed++
				got.output += outputs[key].String()
			}
		}
	}
	if got.failed > 0 {
		got.output = stray.String() + got.output
	} else {
		got.output = stray.String()
	}
	return got
}

// skipReason is the last thing a skipped test said, behind its place.
func skipReason(output string) string {
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(output), "\n")) {
		if _, reason, found := strings.Cut(line, ".go:"); found {
			_, reason, _ = strings.Cut(reason, ": ")
			return reason
		}
	}
	return "no reason given"
}
