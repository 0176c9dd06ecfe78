//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/rseqkit/rseqkit/tools/vmtest/job"
)

func TestSplitWords(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" \t\n ", nil},
		{"-numa node,cpus=0-1  -m 2", []string{"-numa", "node,cpus=0-1", "-m", "2"}},
		{`a 'b c' "d e"f g\ h`, []string{"a", "b c", "d ef", "g h"}},
		{`'' "" x`, []string{"", "", "x"}},
		{`'a\b' "a\"b" a\\b`, []string{`a\b`, `a"b`, `a\b`}},
	} {
		got, err := splitWords(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("splitWords(%q) = %q, %v, want %q", c.in, got, err, c.want)
		}
		if again, err := splitWords(joinWords(got)); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("splitWords(joinWords(%q)) = %q, %v", got, again, err)
		}
	}
	for _, bad := range []string{"'a", `"a`, `a\`} {
		if got, err := splitWords(bad); err == nil {
			t.Errorf("splitWords(%q) = %q, want an error", bad, got)
		}
	}
}

func TestParseFlags(t *testing.T) {
	o, err := parseFlags([]string{"-kernel", "6.1", "-env", "A", "-env", "B=1", "-cpus=8", "./x.test", "-test.v", "-kernel", "9"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.kernel != "6.1" || o.cpus != 8 || !reflect.DeepEqual([]string(o.env), []string{"A", "B=1"}) {
		t.Errorf("options %+v", o)
	}
	if want := []string{"./x.test", "-test.v", "-kernel", "9"}; !reflect.DeepEqual(o.args, want) {
		t.Errorf("program %q, want %q", o.args, want)
	}
	for _, bad := range [][]string{{}, {"-cpus", "0", "x"}, {"-mem", "1", "x"}, {"-timeout", "0", "x"}, {"-arch", "mips", "x"}, {"-nonsense", "x"}} {
		if _, err := parseFlags(bad, io.Discard); err == nil {
			t.Errorf("parseFlags(%q) was accepted", bad)
		}
	}
	var help bytes.Buffer
	parseFlags([]string{"-h"}, &help)
	for _, want := range []string{"go test -exec", "-timeout", "Exit codes"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("-h does not mention %q", want)
		}
	}
}

func TestGuestEnv(t *testing.T) {
	got := guestEnv([]string{"RSEQKIT_X=1", "GODEBUG=a=b", "SECRET=s", "WANTED=w", "HOME=/home/u", "RSEQKIT=n"}, []string{"WANTED", "SET=v", "TMPDIR=/run"}, "/w")
	want := []string{"HOME=/tmp", "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "PWD=/w", "RSEQKIT_X=1", "GODEBUG=a=b", "WANTED=w", "SET=v", "TMPDIR=/run"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestResultFiles(t *testing.T) {
	r := findResults([]string{"-test.v", "-test.coverprofile=c.out", "--test.trace=/abs/t", "-test.outputdir=sub", "-test.cpuprofile=",
		"-test.run=x", "test.memprofile=no", "-coverprofile=no", "-test.gocoverdir=/abs/cov", "--", "-test.memprofile=no"}, "/w")
	if want := []string{"/abs/cov", "/w/sub/c.out", "/abs/t"}; !reflect.DeepEqual(r.guest, want) {
		t.Errorf("files %q, want %q", r.guest, want)
	}

	dir := t.TempDir()
	one, folder := filepath.Join(dir, "one"), filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	r = findResults([]string{"-test.trace=" + one, "-test.gocoverdir=" + folder}, "/w")
	for _, w := range []struct {
		name  string
		first bool
		data  string
		ok    bool
	}{
		{one, true, "old", true}, {one, true, "new", true}, {one, false, "er", true},
		{folder + "/x", true, "y", true},
		{one + "2", true, "z", false}, {folder + "/../evil", true, "z", false}, {"/etc/x", true, "z", false}, {"", true, "z", false},
	} {
		if err := r.write(w.name, w.first, []byte(w.data)); (err == nil) != w.ok {
			t.Errorf("write %s: %v, want success %v", w.name, err, w.ok)
		}
	}
	for name, want := range map[string]string{one: "newer", folder + "/x": "y"} {
		if got, err := os.ReadFile(name); string(got) != want {
			t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%d entries, want 2", len(left))
	}
}

func TestCached(t *testing.T) {
	root := filepath.Join(t.TempDir(), "cache")
	broken := errors.New("interrupted")
	put := func(dir string) error { return os.WriteFile(filepath.Join(dir, "part"), []byte("x"), 0o644) }
	if dir, err := cached(root, "k", func(dir string) error { put(dir); return broken }); !errors.Is(err, broken) {
		t.Fatalf("a failing fill: %q, %v, want %v", dir, err, broken)
	}
	if isDir(filepath.Join(root, "k")) || isDir(filepath.Join(root, "k.tmp")) {
		t.Error("a failing fill left its folder")
	}
	// What a killed run leaves is not taken over.
	if err := os.MkdirAll(filepath.Join(root, "k.tmp", "stale"), 0o755); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	fills := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := cached(root, "k", func(dir string) error {
				mu.Lock()
				fills++
				mu.Unlock()
				if isDir(filepath.Join(dir, "stale")) {
					t.Error("an interrupted run's leftovers are in the way")
				}
				if isDir(filepath.Join(root, "k")) {
					t.Error("the result is visible before it is whole")
				}
				return put(dir)
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "part")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if fills != 1 {
		t.Errorf("filled %d times, want once", fills)
	}
}

func TestConsole(t *testing.T) {
	var live bytes.Buffer
	c := &console{live: &live}
	for _, b := range []byte("one\r\ntwo\n\r\nthr\ree\r\r\nKernel panic - not syncing: x\r\nunfinished") {
		c.Write([]byte{b})
	}
	want := []string{"one", "two", "", "thr\ree\r", "Kernel panic - not syncing: x", "unfinished"}
	if got := c.last(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if want := strings.Join(want[:5], "\n") + "\n"; live.String() != want {
		t.Errorf("live %q, want %q", live.String(), want)
	}
	if !reflect.DeepEqual(c.alarms, want[4:5]) {
		t.Errorf("alarms %q, want %q", c.alarms, want[4:5])
	}
	m := &machine{Kernel: &kernelImage{Known: true}, Accel: "tcg"}
	if !m.bootFault(fmt.Errorf("%w (more)", job.ErrNoHello), c) {
		t.Error("a panic before hello is not taken for a boot fault")
	}
	if !m.bootFault(errHang, c) {
		t.Error("a hang is not taken for a boot fault")
	}
	if m.bootFault(io.EOF, c) || m.bootFault(job.ErrNoHello, &console{}) || m.bootFault(nil, c) {
		t.Error("what is no panic before hello is taken for a boot fault")
	}
	if m.Kernel.Known = false; m.bootFault(job.ErrNoHello, c) {
		t.Error("a kernel of the user's own is booted again")
	}
	c.Write([]byte("\n" + strings.Repeat("x\n", 3*consoleLines)))
	if got := c.last(); len(got) != consoleLines || got[0] != "x" {
		t.Errorf("%d lines kept, want %d", len(got), consoleLines)
	}
}

func TestReceive(t *testing.T) {
	var b bytes.Buffer
	send := func(kind job.Kind, s string) { job.WriteFrame(&b, kind, []byte(s)) }
	begin := func() { b.Reset(); b.WriteString("noise" + job.Hello) }
	var stdout, stderr bytes.Buffer
	files := map[string]string{}
	out := outputs{Stdout: &stdout, Stderr: &stderr, File: func(name string, first bool, data []byte) error {
		if name == "/refused" {
			return errors.New("refused")
		}
		files[name] += string(data)
		return nil
	}}
	begin()
	send(job.Stdout, "a\r\n")
	send(job.Stderr, "err")
	b.Write(nil)
	job.WriteFrame(&b, job.File, job.FilePiece("/f", true, []byte("data")))
	send(job.Stdout, "b")
	job.WriteFrame(&b, job.Exit, job.Status{Code: 7, Bytes: 7}.ExitPayload())
	s, err := receive(&b, out, make(chan struct{}))
	if err != nil || s.Code != 7 || stdout.String() != "a\r\nb" || stderr.String() != "err" || files["/f"] != "data" {
		t.Errorf("receive = %+v, %v; stdout %q, stderr %q, files %q", s, err, &stdout, &stderr, files)
	}
	for name, end := range map[string]func(){
		"no exit frame": func() {},
		"lost output":   func() { job.WriteFrame(&b, job.Exit, job.Status{Bytes: 2}.ExitPayload()) },
		"bad exit":      func() { send(job.Exit, "x") },
		"bad kind":      func() { send('?', "") },
		"refused file":  func() { job.WriteFrame(&b, job.File, job.FilePiece("/refused", true, nil)) },
		"cut off":       func() { send(job.Stdout, "zzz"); b.Truncate(b.Len() - 1) },
	} {
		begin()
		send(job.Stdout, "x")
		end()
		if s, err := receive(&b, out, make(chan struct{})); err == nil {
			t.Errorf("%s: %+v, want an error", name, s)
		}
	}
}

func TestCommand(t *testing.T) {
	m := &machine{Arch: "arm64", Accel: "tcg", Kernel: &kernelImage{Path: "/k", Known: true}, CPUs: 3, Memory: 700, Append: "extra=1", Extra: []string{"-numa", "node"}}
	args, err := m.command()
	line := strings.Join(args, " ")
	for _, want := range []string{"qemu-system-aarch64 ", "-accel tcg,thread=multi ", "-smp 3 ", "-m 700 ", "console=ttyAMA0 ", " quiet extra=1 ", " -numa node", "-kernel /k -initrd /proc/self/fd/4 "} {
		if !strings.Contains(line, want) {
			t.Errorf("lacks %q (%v): %s", want, err, line)
		}
	}
	if got := m.ports(); len(got) != 1 {
		t.Errorf("ports of a known kernel: %q", got)
	}
	m.Kernel.Known, m.Verbose = false, true
	args, _ = m.command()
	if line := strings.Join(args, " "); !strings.Contains(line, "pci-serial") || strings.Contains(line, "quiet") || len(m.ports()) != 2 {
		t.Errorf("unknown kernel, verbose: ports %q, %s", m.ports(), line)
	}
	if _, err := (&machine{Arch: "mips", Kernel: &kernelImage{}}).command(); err == nil {
		t.Error("an unknown architecture was accepted")
	}
	for _, c := range [][2]string{{"kvm", "other"}, {"fast", "amd64"}} {
		if err := checkAccel(c[0], c[1]); err == nil {
			t.Errorf("checkAccel(%q, %q) accepted", c[0], c[1])
		}
	}
}

// entries reads an initramfs back. It fails on a file whose folder does not
// come before it, which the kernel would drop.
func entries(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	got := map[string]string{}
	r := cpio.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if dir, ok := got[filepath.Dir(h.Name)]; filepath.Dir(h.Name) != "." && (!ok || dir != "dir") {
			t.Errorf("%s comes before its folder", h.Name)
		}
		if _, ok := got[h.Name]; ok {
			t.Errorf("%s occurs twice", h.Name)
		}
		switch h.Mode & cpio.ModeType {
		case cpio.TypeDir:
			got[h.Name] = "dir"
		case cpio.TypeSymlink:
			got[h.Name] = "link " + h.Linkname + string(data)
		default:
			got[h.Name] = h.Mode.Perm().String() + " " + string(data)
		}
	}
}

func TestBuildRoot(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), mode), os.Chmod(name, mode)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	p := &program{Path: write("x.test", "program", 0o755), Arch: "arm64"}
	write("testdata/in/a.txt", "golden", 0o644)
	write("not-testdata", "no", 0o644)
	if err := os.Symlink("in/a.txt", "testdata/link"); err != nil {
		t.Fatal(err)
	}
	j := &job.Job{Args: []string{"/vmtest/prog/x.test", "-v"}, Dir: "/src/pkg", Ports: []string{"x"}, Files: []string{"/out/deep/cover"}}
	archive, err := buildRoot(j, p, write("init", "init", 0o755), []string{write("m.ko", "module", 0o644)}, []string{dir + "/testdata/link:/lib/ld.so"})
	if err != nil {
		t.Fatal(err)
	}
	got := entries(t, archive)
	for name, want := range map[string]string{
		"init":                      "0755 init",
		"vmtest/prog/x.test":        "0755 program",
		"vmtest/m.ko":               "0644 module",
		"src/pkg/testdata/in/a.txt": "0644 golden",
		"src/pkg/testdata/link":     "link in/a.txt",
		"lib/ld.so":                 "0644 golden",
		"out/deep":                  "dir",
		"tmp":                       "dir",
		"vmtest/job":                "0644 " + string(j.Encode()),
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if !reflect.DeepEqual(j.Modules, []string{"/vmtest/m.ko"}) {
		t.Errorf("the job's modules are %q", j.Modules)
	}
	for name := range got {
		if strings.Contains(name, "not-testdata") {
			t.Errorf("%s does not belong there", name)
		}
	}
	p.Loader = "/lib64/ld.so.2"
	if _, err := buildRoot(j, p, "init", nil, nil); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("a dynamic program: %v, want an error with the remedy", err)
	}
	if _, err := buildRoot(j, p, "init", nil, []string{dir + "/init:/lib64/ld.so.2"}); err != nil {
		t.Errorf("a dynamic program with its loader: %v", err)
	}
	p.Loader = ""
	for _, bad := range []string{"", "x", "x:", ":/x", "x:y", "missing:/x"} {
		if _, err := buildRoot(j, p, "init", nil, []string{bad}); err == nil {
			t.Errorf("-file %q was accepted", bad)
		}
	}
}

func TestInspect(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x")
	for _, c := range []struct {
		machine elf.Machine
		want    string
	}{{elf.EM_AARCH64, "arm64"}, {elf.EM_X86_64, "amd64"}, {elf.EM_RISCV, ""}} {
		b[18], b[19] = byte(c.machine), byte(c.machine>>8)
		if err := os.WriteFile(file, b, 0o755); err != nil {
			t.Fatal(err)
		}
		p, err := inspect(file)
		if (err == nil) != (c.want != "") || err == nil && p.Arch != c.want {
			t.Errorf("%v: %+v, %v, want %q", c.machine, p, err, c.want)
		}
	}
	for _, text := range []string{"", "#!/bin/sh\nexit 0\n"} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if p, err := inspect(file); err == nil || !strings.Contains(err.Error(), "not an ELF program") {
			t.Errorf("%q: %+v, %v, want an error that says what it is not", text, p, err)
		}
	}
}
