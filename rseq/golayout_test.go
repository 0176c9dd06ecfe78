package rseq

import (
	"debug/dwarf"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestGoLayout reads the offsets that the thread lookup uses out of the debug
// information of a program compiled by the Go release that runs the test, for
// both architectures.
func TestGoLayout(t *testing.T) {
	layout, err := layoutFor(runtime.Version())
	if err != nil {
		t.Fatalf("add the release to goLayouts: %v", err)
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("needs the go command: %v", err)
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, goarch := range []string{"amd64", "arm64"} {
		t.Run(goarch, func(t *testing.T) {
			program := filepath.Join(dir, goarch)
			build := exec.Command(tool, "build", "-o", program, source)
			build.Dir = dir
			build.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=", "GO111MODULE=off", "GOTOOLCHAIN="+runtime.Version())
			if out, err := build.CombinedOutput(); err != nil {
				t.Skipf("needs a go command that builds with %s: %v\n%s", runtime.Version(), err, out)
			}
			got := map[string]int64{}
			readOffsets(t, program, got)
			for name, want := range map[string]uintptr{
				"runtime.g.m": layout.gM, "runtime.m.procid": layout.mProcid, "runtime.m.tls": layout.mTLS,
			} {
				if offset, found := got[name]; !found || offset != int64(want) {
					t.Errorf("%s: offset %d (found: %t), the table says %d", name, offset, found, want)
				}
			}
		})
	}
}

// readOffsets fills in "type.field" for the structures runtime.g and
// runtime.m.
func readOffsets(t *testing.T, program string, offsets map[string]int64) {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := file.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	reader := data.Reader()
	within := ""
	for {
		entry, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if entry == nil {
			return
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		switch entry.Tag {
		case dwarf.TagStructType:
			within = ""
			if name == "runtime.g" || name == "runtime.m" {
				within = name + "."
			}
		case dwarf.TagMember:
			if offset, ok := entry.Val(dwarf.AttrDataMemberLoc).(int64); ok && within != "" {
				offsets[within+name] = offset
			}
		case 0:
			within = ""
		}
	}
}
