package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/rseqkit/rseqkit/rseq"
)

// asCommand makes the test binary be the command itself, so that exit codes
// and engines, which are chosen once a process, can be tested for real.
const asCommand = "RSEQKIT_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// call runs a command line in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// execute runs a command line in a process of its own, under an engine.
func execute(t *testing.T, engine string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Skipf("no path to the test binary: %v", err)
	}
	command := exec.CommandContext(t.Context(), executable, args...)
	command.Env = append(os.Environ(), asCommand+"=1", rseq.EngineVariable+"="+engine)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestUsageErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "a command is missing"},
		{[]string{"nonsense"}, `unknown command "nonsense"`},
		{[]string{"help", "nonsense"}, `unknown command "nonsense"`},
		{[]string{"--nonsense"}, "unknown flag"},
		{[]string{"info", "--nonsense"}, "unknown flag"},
		{[]string{"info", "extra"}, `info takes no arguments, got "extra"`},
		{[]string{"version", "extra"}, "version takes no arguments"},
		{[]string{"demo", "extra"}, "demo takes no arguments"},
		{[]string{"demo", "--threads", "0"}, "0 threads: 1 to 4096 are possible"},
		{[]string{"demo", "--threads", "many"}, "invalid argument"},
		{[]string{"demo", "--duration", "1ms"}, "duration 1ms is too short"},
		{[]string{"demo", "--duration", "5"}, "missing unit"},
	} {
		code, stdout, stderr := call(t, test.args...)
		if code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", test.args, code, exitUsage)
		}
		if stdout != "" {
			t.Errorf("%q: wrote to stdout: %s", test.args, stdout)
		}
		if !strings.Contains(stderr, test.want) || !strings.Contains(stderr, "Usage:") {
			t.Errorf("%q: stderr does not have %q and the help:\n%s", test.args, test.want, stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-help"}, {"help"}, {"help", "info"}, {"info", "--help"}, {"help", "demo"}, {"demo", "-h"}, {"help", "version"}} {
		code, stdout, stderr := call(t, args...)
		if code != exitOK || stderr != "" {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr)
		}
		last := strings.TrimLeft(args[len(args)-1], "-")
		if len(args) == 2 && args[0] != "help" {
			last = args[0]
		}
		if last == "info" || last == "demo" {
			for _, want := range []string{"Exit codes:", "Examples:", "rseqkit " + last} {
				if !strings.Contains(stdout, want) {
					t.Errorf("%q: no %q in\n%s", args, want, stdout)
				}
			}
		}
		checkWidth(t, stdout)
	}
}

// checkWidth: help and reports are for terminals of 80 columns.
func checkWidth(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > pageWidth {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") && !strings.HasPrefix(line, " ") {
			t.Errorf("spaces at the end: %q", line)
		}
	}
}

func TestVersion(t *testing.T) {
	form := regexp.MustCompile(`^rseqkit \S+ (\(revision [0-9a-f]+(, modified)?\) )?(go|devel)\S* .*\w+/\w+, cgo (on|off)(, tags \S+)?\n$`)
	for _, args := range [][]string{{"version"}, {"--version"}, {"-version"}} {
		code, stdout, stderr := call(t, args...)
		if code != exitOK || stderr != "" || !form.MatchString(stdout) {
			t.Errorf("%q: exit code %d, %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

// TestOutputFailure: a report that cannot be written is no success.
func TestOutputFailure(t *testing.T) {
	for _, args := range [][]string{{"info"}, {"info", "--json"}, {"demo", "--duration", "20ms"}, {"version"}} {
		var errs bytes.Buffer
		if code := run(t.Context(), args, brokenPipe{}, &errs); code != exitWrong {
			t.Errorf("%q: exit code %d, want %d", args, code, exitWrong)
		}
		if !strings.Contains(errs.String(), errBroken.Error()) {
			t.Errorf("%q: stderr %q", args, &errs)
		}
	}
}

var errBroken = errors.New("nobody reads this")

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

// decode checks that text is one JSON object whose keys are all lowerCamelCase.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("not the JSON expected: %v\n%s", err, text)
	}
	if d.More() {
		t.Errorf("more than one JSON value:\n%s", text)
	}
	var anything any
	if err := json.Unmarshal([]byte(text), &anything); err != nil {
		t.Fatal(err)
	}
	checkKeys(t, anything)
}

var lowerCamelCase = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

func checkKeys(t *testing.T, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if !lowerCamelCase.MatchString(key) {
				t.Errorf("JSON key %q", key)
			}
			checkKeys(t, inner)
		}
	case []any:
		for _, inner := range v {
			checkKeys(t, inner)
		}
	}
}

// ended is a context that has ended, as after ctrl-C.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
