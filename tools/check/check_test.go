package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCount reads what go test -json prints of tests with every outcome.
func TestCount(t *testing.T) {
	for _, c := range []struct {
		name, source string
		want         result
		reason       string
	}{
		{"outcomes", "func TestA(t *testing.T) {}\nfunc TestB(t *testing.T) { t.Skip(\"no: moon\") }\nfunc TestC(t *testing.T) { t.Error(\"broken\") }",
			result{passed: 1, failed: 1, skipped: 1}, "no: moon"},
		{"sub-tests", "func TestA(t *testing.T) { t.Run(\"x\", func(t *testing.T) {}); t.Run(\"y\", func(t *testing.T) { t.Fail() }) }",
			result{passed: 1, failed: 2}, ""},
		{"panic", "func TestA(t *testing.T) { panic(1) }", result{failed: 1}, ""},
		{"exit", "func TestA(t *testing.T) { os.Exit(3) }\nvar _ = os.Exit", result{failed: 1}, ""},
		{"no build", "func TestA(t *testing.T) { nothing() }", result{failed: 1}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath("go"); err != nil {
				t.Skip("needs the go command")
			}
			dir := t.TempDir()
			imports := "import \"testing\"\n"
			if strings.Contains(c.source, "os.") {
				imports += "import \"os\"\n"
			}
			write(t, filepath.Join(dir, "go.mod"), "module x\n")
			write(t, filepath.Join(dir, "x_test.go"), "package x\n"+imports+c.source)
			r := &runner{root: dir}
			got := r.goTest(context.Background(), ".", []string{"GOWORK=off"}, "./...")
			if got.passed != c.want.passed || got.failed != c.want.failed || got.skipped != c.want.skipped {
				t.Errorf("%s; want %s\n%s", got.counts(), c.want.counts(), got.output)
			}
			if c.reason != "" && !slices.Contains(got.reasons, c.reason) {
				t.Errorf("reasons %q, want %q", got.reasons, c.reason)
			}
			if got.failed > 0 && got.output == "" {
				t.Error("a failure without output")
			}
		})
	}
}

func TestStepNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range steps(&runner{}) {
		if s.name == "" || seen[s.name] || s.run == nil {
			t.Errorf("step %q: no name, a second time, or nothing to run", s.name)
		}
		seen[s.name] = true
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
