package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

//go:embed csrc/counter.c
var counterC []byte

// Names of the rows in C.
const (
	nameCInline   = "C, inlined"
	nameCFunction = "C, as a function"
)

var errNoC = errors.New("no C program")

// cCandidates are the same addition in C, in a process of its own that takes
// its turn in every round.
func cCandidates() []*candidate {
	c := func(name, mode string) *candidate {
		return &candidate{section: sectionAdd, name: name, single: true, process: func() (timedProcess, error) {
			path, err := compiledC()
			if err != nil {
				return nil, err
			}
			return startC(path, mode)
		}}
	}
	return []*candidate{c(nameCInline, "inline"), c(nameCFunction, "function")}
}

var cBuild struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// compiledC compiles counter.c once; removeC takes the program away.
func compiledC() (string, error) {
	cBuild.once.Do(func() { cBuild.path, cBuild.err = compileC() })
	return cBuild.path, cBuild.err
}

func compileC() (string, error) {
	compiler, err := cCompiler()
	if err != nil {
		return "", err
	}
	if cBuild.dir, err = os.MkdirTemp("", "rseqkit-bench-"); err != nil {
		return "", err
	}
	source := filepath.Join(cBuild.dir, "counter.c")
	if err := os.WriteFile(source, counterC, 0o600); err != nil {
		return "", err
	}
	path := filepath.Join(cBuild.dir, "counter")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var messages bytes.Buffer
	command := exec.CommandContext(ctx, compiler[0], append(compiler[1:], "-O2", "-std=gnu11", "-Wall", "-o", path, source)...)
	command.Stderr = &messages
	if err := command.Run(); err != nil {
		if first, _, _ := strings.Cut(messages.String(), "\n"); first != "" {
			err = fmt.Errorf("%w: %s (it needs <sys/rseq.h> of glibc 2.35 or later)", err, first)
		}
		return "", fmt.Errorf("%w: compile with %s: %w", errNoC, compiler[0], err)
	}
	return path, nil
}

// cCompiler is $CC, or the first of the usual names that is there.
func cCompiler() ([]string, error) {
	if words := strings.Fields(os.Getenv("CC")); len(words) > 0 {
		return words, nil
	}
	for _, name := range []string{"cc", "gcc", "clang"} {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}, nil
		}
	}
	return nil, fmt.Errorf("%w: no C compiler found; install one or set CC", errNoC)
}

func removeC() {
	if cBuild.dir != "" {
		_ = os.RemoveAll(cBuild.dir) // in the temporary directory anyway
	}
}

// cProcess is a running counter.c, see there for what it reads and prints.
type cProcess struct {
	mode    string
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	stderr  bytes.Buffer
}

func startC(path, mode string) (*cProcess, error) {
	p := &cProcess{mode: mode, command: exec.Command(path)}
	p.command.Stderr = &p.stderr
	var err error
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoC, err)
	}
	if line, err := p.line(); err != nil || line != "ready" {
		return nil, fmt.Errorf("%w: %s", errNoC, errors.Join(err, errors.New(line), p.close()))
	}
	return p, nil
}

func (p *cProcess) line() (string, error) {
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (p *cProcess) slice(n int) (slice, error) {
	if _, err := fmt.Fprintln(p.in, p.mode, n); err != nil {
		return slice{}, fmt.Errorf("ask the C program: %w", errors.Join(err, p.close()))
	}
	line, err := p.line()
	if err != nil {
		return slice{}, fmt.Errorf("hear from the C program: %w", errors.Join(err, p.close()))
	}
	var ns, switches int64
	if _, err := fmt.Sscan(line, &ns, &switches); err != nil {
		return slice{}, fmt.Errorf("answer %q of the C program: %w", line, errors.Join(err, p.close()))
	}
	return slice{elapsed: time.Duration(ns), preempted: switches != 0}, nil
}

// close ends the program, which then checks its counter.
func (p *cProcess) close() error {
	_ = p.in.Close() // a program that is gone already shows in Wait
	if err := p.command.Wait(); err != nil {
		return fmt.Errorf("counter.c: %w: %s", err, strings.TrimSpace(p.stderr.String()))
	}
	return nil
}
