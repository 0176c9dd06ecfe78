//go:build linux

package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
)

// The guest's init is built where it is needed, for the guest's architecture,
// out of the runner itself: so the runner is one file, and the two always
// agree on what they say to each other.
//
//go:embed guest/main.go guest/port.go guest/prepare.go job/frame.go job/job.go
var guestSource embed.FS

// guestModule is the module the sources are laid out in to be built; its path
// makes their import of package job hold.
const (
	guestModule = "module github.com/rseqkit/rseqkit/tools/vmtest\n\ngo 1.25.0\n"
	guestFlags  = "-s -w"
)

// guestInit returns the path of the init program for arch, from the cache or
// built into it.
func guestInit(cache, arch string) (string, error) {
	key, err := guestKey()
	if err != nil {
		return "", err
	}
	dir, err := cached(cache, "init-"+key+"-"+arch, func(dir string) error { return buildGuest(dir, arch) })
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "init"), nil
}

// guestKey is a digest of everything the init program is built from.
func guestKey() (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s%s\n", guestModule, guestFlags)
	err := eachGuestFile(func(name string, data []byte) error {
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

func eachGuestFile(f func(name string, data []byte) error) error {
	var names []string
	err := fs.WalkDir(guestSource, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		data, err := guestSource.ReadFile(name)
		if err != nil {
			return err
		}
		if err := f(name, data); err != nil {
			return err
		}
	}
	return nil
}

func buildGuest(dir, arch string) error {
	tool, err := exec.LookPath("go")
	if err != nil {
		return errors.New("the go command was not found: the runner builds the guest's init program with it, once per architecture")
	}
	src := filepath.Join(dir, "src")
	err = eachGuestFile(func(name string, data []byte) error {
		name = filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		return os.WriteFile(name, data, 0o644)
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(src, "go.mod"), []byte(guestModule), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(tool, "build", "-trimpath", "-ldflags="+guestFlags, "-o", filepath.Join(dir, "init"), "./guest")
	cmd.Dir = src
	// What the user's own build is set to (workspace, flags, CPU level) is
	// nothing to the init program. Later settings win.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GO111MODULE=on", "GOWORK=off", "GOFLAGS=",
		"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "PWD="+src)
	cmd.SysProcAttr = dieWithParent()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the guest's init program for %s: %w\n%s", arch, err, lastLines(string(out), 20))
	}
	return os.RemoveAll(src)
}
