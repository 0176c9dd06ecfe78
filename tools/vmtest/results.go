//go:build linux

package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Result files are what a Go test binary is told by its flags to write:
// profiles, traces, coverage. They would be lost with the guest, so the guest
// sends them back and the runner writes them where the flags say.
type resultFiles struct {
	guest []string          // absolute paths in the guest, files or folders
	host  map[string]string // the same paths on the host
}

// resultFlags are the test flags that name a file to write; relative ones are
// below -test.outputdir.
var resultFlags = map[string]bool{
	"blockprofile": true, "coverprofile": true, "cpuprofile": true,
	"memprofile": true, "mutexprofile": true, "trace": true,
}

// findResults reads the program's arguments; cwd is its working directory.
func findResults(args []string, cwd string) resultFiles {
	r := resultFiles{host: map[string]string{}}
	var names []string
	outputDir := cwd
	add := func(name string) {
		r.guest = append(r.guest, name)
		r.host[name] = name
	}
	abs := func(dir, name string) string {
		if !path.IsAbs(name) {
			name = path.Join(dir, name)
		}
		return path.Clean(name)
	}
	for _, a := range args {
		if a == "--" {
			break
		}
		flag, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(a, "-"), "-"), "=")
		name, isTest := strings.CutPrefix(flag, "test.")
		if !ok || !isTest || a[0] != '-' || value == "" {
			continue
		}
		switch {
		case resultFlags[name]:
			names = append(names, value)
		case name == "outputdir":
			outputDir = abs(cwd, value)
		case name == "gocoverdir":
			add(abs(cwd, value))
		}
	}
	for _, n := range names {
		add(abs(outputDir, n))
	}
	return r
}

// write is outputs.File: it writes a piece of a result file on the host. A
// guest can name only what the program's arguments named.
func (r resultFiles) write(name string, first bool, data []byte) error {
	host := ""
	for g, h := range r.host {
		if name == g {
			host = h
		} else if rest, ok := strings.CutPrefix(name, g+"/"); ok && filepath.IsLocal(rest) {
			host = filepath.Join(h, rest)
		}
	}
	if host == "" {
		return fmt.Errorf("the guest sent %q, which nobody asked for", name)
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if first {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(host, mode, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
