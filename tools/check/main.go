// Command check is the project's one test command: it runs everything that
// can be checked on this machine, each step in the environment it is about,
// and says what it could not run and why.
//
//	go run ./tools/check            everything
//	go run ./tools/check -quick     without virtual machines and long tests
//	go run ./tools/check -list      the steps
//	go run ./tools/check -run vm/   steps whose name matches
//
// A step counts the tests that ran in it (a build or a linter counts as one).
// The last line gives the totals. Exit code: 0 if nothing failed, 1 if
// something did, 2 for wrong usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// step is one thing to check.
type step struct {
	name    string
	long    bool          // left out by -quick
	missing func() string // why it cannot run here, or ""
	run     func(ctx context.Context, r *runner) result
}

// result is what came of a step.
type result struct {
	passed, failed, skipped int
	reasons                 []string // of skipped tests, one for each
	output                  string   // shown if something failed
}

// runner is what steps share.
type runner struct {
	root    string // of the repository
	scratch string // for programs built on the way
	quick   bool
	verbose bool
}

// stepTimeout is far above what any step takes; it ends what hangs.
const stepTimeout = 20 * time.Minute

func main() {
	var (
		list    = flag.Bool("list", false, "list the steps and end")
		run     = flag.String("run", "", "run only steps whose name matches this `regexp`")
		quick   = flag.Bool("quick", false, "leave out virtual machines and long tests")
		verbose = flag.Bool("v", false, "show the output of steps that passed, too")
	)
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./tools/check [flags]\n\nRuns the project's tests in every environment that this machine offers.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	pattern, err := regexp.Compile(*run)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "check: %v %v\n", err, flag.Args())
		flag.Usage()
		os.Exit(2)
	}
	root, err := repository()
	if err != nil {
		fmt.Fprintf(os.Stderr, "check: %v\n", err)
		os.Exit(2)
	}
	scratch, err := os.MkdirTemp("", "rseqkit-check")
	if err != nil {
		fmt.Fprintf(os.Stderr, "check: %v\n", err)
		os.Exit(2)
	}
	defer os.RemoveAll(scratch)
	r := &runner{root: root, scratch: scratch, quick: *quick, verbose: *verbose}

	var chosen []step
	for _, s := range steps(r) {
		if pattern.MatchString(s.name) && !(s.long && r.quick) {
			chosen = append(chosen, s)
		}
	}
	if *list {
		for _, s := range chosen {
			fmt.Println(s.name)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := r.runAll(ctx, chosen)
	stop()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// runAll runs the steps one after the other and prints a line for each.
func (r *runner) runAll(ctx context.Context, steps []step) (code int) {
	fmt.Printf("# %s/%s, %s, %d CPUs, %d steps\n", runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU(), len(steps))
	var total result
	start := time.Now()
	for i, s := range steps {
		if ctx.Err() != nil {
			fmt.Println("interrupted")
			total.failed++
			break
		}
		began := time.Now()
		var got result
		if reason := s.missing; reason != nil && reason() != "" {
			got = result{skipped: 1, reasons: []string{reason()}}
		} else {
			limited, cancel := context.WithTimeout(ctx, stepTimeout)
			got = s.run(limited, r)
			cancel()
		}
		status := "ok  "
		switch {
		case got.failed > 0:
			status = "FAIL"
		case got.passed == 0:
			status = "skip"
		}
		fmt.Printf("%s %3d/%d %-34s %6.1fs  %s\n", status, i+1, len(steps), s.name, time.Since(began).Seconds(), got.counts())
		for _, reason := range slices.Compact(slices.Sorted(slices.Values(got.reasons))) {
			n := 0
			for _, other := range got.reasons {
				if other == reason {
					n++
				}
			}
			fmt.Printf("       %d skipped: %s\n", n, reason)
		}
		if got.failed > 0 || r.verbose {
			fmt.Println(indent(got.output))
		}
		total.passed += got.passed
		total.failed += got.failed
		total.skipped += got.skipped
	}
	fmt.Printf("# %v\n", time.Since(start).Round(time.Second))
	fmt.Printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	if total.failed > 0 || total.passed == 0 {
		return 1
	}
	return 0
}

func (r result) counts() string {
	text := fmt.Sprintf("%d passed", r.passed)
	if r.failed > 0 {
		text += fmt.Sprintf(", %d failed", r.failed)
	}
	if r.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.skipped)
	}
	return text
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// repository finds the module's root from the working directory upwards.
func repository() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if text, e := os.ReadFile(filepath.Join(dir, "go.mod")); e == nil && strings.HasPrefix(string(text), "module github.com/rseqkit/rseqkit\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return "", fmt.Errorf("run this inside a checkout of rseqkit: no go.mod of it above the working directory")
}
