package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/rseqkit/rseqkit/rseq"
)

// startUp is what the toolkit costs a program that has just begun.
type startUp struct {
	// FirstActive is the time of rseq.Active() as the first thing that main
	// does, in nanoseconds, over fresh processes.
	FirstActive spread `json:"firstActiveNs"`
	Processes   int    `json:"processes"`

	// A trivial program with one counter and without; nil if not built.
	Binary *binaryCost `json:"binary,omitempty"`
}

type binaryCost struct {
	BytesWithout int64  `json:"bytesWithout"`
	BytesWith    int64  `json:"bytesWith"`
	RunWithout   spread `json:"runWithoutNs"` // from start to exit
	RunWith      spread `json:"runWithNs"`
}

const (
	sectionStartUp = "start-up"
	nameActive     = "first rseq.Active"
	nameBinary     = "trivial program"
)

// startUpChild times the first choice of an engine.
func startUpChild(w io.Writer) error {
	start := time.Now()
	rseq.Active()
	_, err := fmt.Fprintln(w, time.Since(start).Nanoseconds())
	return err
}

func measureActive(ctx context.Context, processes int) (*startUp, error) {
	var times []float64
	for range processes {
		out, err := runChild(ctx, nil, childStartUp)
		if err != nil {
			return nil, err
		}
		var ns float64
		if _, err := fmt.Sscan(string(out), &ns); err != nil {
			return nil, fmt.Errorf("start-up: child prints %q: %w", out, err)
		}
		times = append(times, ns)
	}
	return &startUp{FirstActive: spreadOf(times), Processes: processes}, nil
}

// trivialPackage is where the two programs are that differ by one counter.
const trivialPackage = "github.com/rseqkit/rseqkit/tools/bench/internal/trivial/"

// measureBinary builds the programs with the go tool, which must be there and
// know this module in the current directory.
func measureBinary(ctx context.Context, runs int) (*binaryCost, error) {
	dir, err := os.MkdirTemp("", "rseqkit-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var paths [2]string
	var sizes [2]int64
	for i, name := range []string{"without", "with"} {
		paths[i] = filepath.Join(dir, name)
		if runtime.GOOS == "windows" {
			paths[i] += ".exe"
		}
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", paths[i], trivialPackage+name).CombinedOutput(); err != nil {
			first, _, _ := strings.Cut(string(out), "\n")
			return nil, fmt.Errorf("go build: %w: %s (run from the module's directory)", err, first)
		}
		info, err := os.Stat(paths[i])
		if err != nil {
			return nil, err
		}
		sizes[i] = info.Size()
	}
	var times [2][]float64
	for range runs {
		for i, path := range paths {
			start := time.Now()
			if err := exec.CommandContext(ctx, path).Run(); err != nil {
				return nil, fmt.Errorf("run the trivial program: %w", err)
			}
			times[i] = append(times[i], float64(time.Since(start).Nanoseconds()))
		}
	}
	return &binaryCost{
		BytesWithout: sizes[0], BytesWith: sizes[1],
		RunWithout: spreadOf(times[0]), RunWith: spreadOf(times[1]),
	}, nil
}

func (s *startUp) print(w io.Writer) {
	fmt.Fprintf(w, "\nstart-up\n")
	milliseconds := func(s spread) string {
		return fmt.Sprintf("%s ms (p25–p75 %s–%s, min %s)", number(s.Median/1e6), number(s.P25/1e6), number(s.P75/1e6), number(s.Min/1e6))
	}
	fmt.Fprintf(w, "  first rseq.Active(), %d processes: %s\n", s.Processes, milliseconds(s.FirstActive))
	if b := s.Binary; b != nil {
		fmt.Fprintf(w, "  trivial program: %d bytes, %s from start to exit\n", b.BytesWithout, milliseconds(b.RunWithout))
		fmt.Fprintf(w, "  with one counter: %d bytes (+%d), %s\n", b.BytesWith, b.BytesWith-b.BytesWithout, milliseconds(b.RunWith))
	}
}
