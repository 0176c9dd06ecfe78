//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// guests are the combinations the end-to-end test boots.
var guests = []struct {
	kernel, arch string
	cpus         int
}{
	{"7.3", "amd64", 16},
	{"7.3", "arm64", 4},
	{"6.12", "amd64", 2},
	{"6.12", "arm64", 2},
	{"6.1", "amd64", 4},
	{"6.1", "arm64", 2},
}

// bench is what every end-to-end test needs: the built runner, a folder to run
// in, and the probe program for an architecture.
type bench struct {
	runner, dir string
	probes      map[string]string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("boots virtual machines: not with -short")
	}
	b := &bench{dir: t.TempDir(), probes: map[string]string{}}
	b.runner = filepath.Join(b.dir, "vmtest")
	b.build(t, b.runner, ".", os.Getenv("GOARCH"))
	if err := os.Mkdir(filepath.Join(b.dir, "testdata"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "testdata", "golden.txt"), []byte("gold\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) build(t *testing.T, out, pkg, arch string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if arch != "" {
		cmd.Env = append(cmd.Env, "GOARCH="+arch)
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
}

// need skips the test where the guest cannot be booted without installing or
// downloading something, and returns the probe for arch.
func (b *bench) need(t *testing.T, kernel, arch string) string {
	t.Helper()
	if err := findQemu(arch); err != nil {
		t.Skip(err)
	}
	cache, err := cacheDir()
	if err != nil {
		t.Skip(err)
	}
	row, err := findKernel(kernel)
	if err != nil {
		t.Fatal(err)
	}
	if !isDir(filepath.Join(cache, kernelKey(row, arch))) {
		t.Skipf("kernel %s for %s is not in the cache: run vmtest -fetch -kernel %[1]s -arch %[2]s", kernel, arch)
	}
	if b.probes[arch] == "" {
		b.probes[arch] = filepath.Join(b.dir, "probe-"+arch)
		b.build(t, b.probes[arch], "./testdata/probe", arch)
	}
	return b.probes[arch]
}

// run runs the runner and returns its standard output, error and exit code.
func (b *bench) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(b.runner, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "RSEQKIT_PROBE=a b\nc", "WANTED=w", "UNWANTED=u")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err := cmd.Run()
	t.Logf("%.1f s, %v: vmtest %s", time.Since(began).Seconds(), err, joinWords(args))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestBoot(t *testing.T) {
	b := newBench(t)
	for _, g := range guests {
		t.Run(g.kernel+"-"+g.arch, func(t *testing.T) {
			probe := b.need(t, g.kernel, g.arch)
			stdout, stderr, code := b.run(t, "-kernel", g.kernel, "-cpus", fmt.Sprint(g.cpus), "-env", "WANTED", probe, "report", "a b", "", `q"'\`)
			if code != 7 {
				t.Errorf("exit code %d, want 7", code)
			}
			if want := "on stderr\n"; stderr != want {
				t.Errorf("stderr %q, want %q", stderr, want)
			}
			lines := strings.Split(stdout, "\n")
			kernel := ""
			for i, l := range lines {
				if strings.HasPrefix(l, "kernel "+g.kernel+".") {
					kernel, lines[i] = l, "kernel"
				}
			}
			want := []string{
				`args ["report" "a b" "" "q\"'\\"]`,
				`env RSEQKIT_PROBE="a b\nc"`, `env WANTED="w"`, `env UNWANTED=""`, `env HOME="/tmp"`, `env TMPDIR="/tmp"`,
				"cwd " + b.dir, "golden gold", fmt.Sprintf("cpus %d", g.cpus), "kernel",
				"arch " + g.arch + " uid 0 pid1 false", "nodes 1", "end without newline",
			}
			if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") || kernel == "" {
				t.Errorf("stdout:\n%s\nwant:\n%s", stdout, strings.Join(want, "\n"))
			}
		})
	}
}

func TestLargeOutput(t *testing.T) {
	b := newBench(t)
	for _, g := range []struct{ kernel, arch string }{{"7.3", "amd64"}, {"6.1", "amd64"}, {"7.3", "arm64"}} {
		t.Run(g.kernel+"-"+g.arch, func(t *testing.T) {
			probe := b.need(t, g.kernel, g.arch)
			here, err := exec.Command(b.need(t, g.kernel, "amd64"), "large").Output()
			if err != nil {
				t.Skipf("the probe does not run here: %v", err)
			}
			stdout, stderr, code := b.run(t, "-kernel", g.kernel, probe, "large")
			if code != 0 || len(here) < 1<<20 || stdout != string(here) {
				t.Errorf("exit code %d, %d bytes of output, the same as here %v; want 0, %d, true\n%s", code, len(stdout), stdout == string(here), len(here), stderr)
			}
		})
	}
}

// TestSerialPort boots a kernel given by path, for which the virtio port is
// not taken for granted, with that port's driver kept from starting.
func TestSerialPort(t *testing.T) {
	b := newBench(t)
	cache, err := cacheDir()
	if err != nil {
		t.Skip(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			probe := b.need(t, "7.3", arch)
			row, _ := findKernel("7.3")
			image := filepath.Join(cache, kernelKey(row, arch), imageFile)
			stdout, stderr, code := b.run(t, "-kernel", image, "-append", "initcall_blacklist=virtio_console_init", probe, "ports", "x")
			// Without a virtio port, all of this came over the serial one.
			if want := "virtio ports []\n" + strings.Repeat("0123456789\r\n", 1000); code != 0 || stdout != want {
				t.Errorf("exit code %d, stdout as wanted %v: %.200q\nstderr:\n%s", code, stdout == want, stdout, stderr)
			}
			if stdout, _, _ := b.run(t, "-kernel", image, probe, "ports", "x"); strings.HasPrefix(stdout, "virtio ports []") {
				t.Error("the kernel has no virtio port even when it may, so this is no test")
			}
		})
	}
}

func TestNUMA(t *testing.T) {
	b := newBench(t)
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			probe := b.need(t, "7.3", arch)
			stdout, stderr, code := b.run(t, "-kernel", "7.3", "-cpus", "4", "-mem", "1024", "-qemu",
				"-object memory-backend-ram,id=a,size=512M -object memory-backend-ram,id=b,size=512M "+
					"-numa node,cpus=0-1,memdev=a -numa node,cpus=2-3,memdev=b", probe, "report")
			if code != 7 || !strings.Contains(stdout, "\nnodes 2\n") {
				t.Errorf("exit code %d, want 7 and 2 nodes; stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
			}
		})
	}
}

func TestWaysToEnd(t *testing.T) {
	b := newBench(t)
	probe := b.need(t, "6.1", "amd64")
	run := func(args ...string) (string, string, int) {
		return b.run(t, append([]string{"-kernel", "6.1"}, args...)...)
	}
	if _, stderr, code := run(probe, "signal"); code != 128+9 {
		t.Errorf("a program killed by signal 9: exit code %d, want 137\n%s", code, stderr)
	}
	if _, stderr, code := run(probe, "panic"); code != exitFailed || !strings.Contains(stderr, "Kernel panic") {
		t.Errorf("a kernel panic: exit code %d, want %d and the console\n%s", code, exitFailed, stderr)
	}
	if stdout, stderr, code := run("-timeout", "15s", probe, "sleep"); code != exitTimeout || stdout != "sleeping\n" || !strings.Contains(stderr, "15s") {
		t.Errorf("a timeout: exit code %d, stdout %q, want %d, sleeping, and the time\n%s", code, stdout, exitTimeout, stderr)
	}
	if _, stderr, code := run("-qemu", "-nonsense", probe, "signal"); code != exitFailed || !strings.Contains(stderr, "nonsense") {
		t.Errorf("a wrong QEMU option: exit code %d, want %d and QEMU's words\n%s", code, exitFailed, stderr)
	}
	cover := filepath.Join(b.dir, "cover.out")
	if _, stderr, code := run(probe, "files", "-test.coverprofile="+cover); code != 0 {
		t.Errorf("result files: exit code %d\n%s", code, stderr)
	}
	here, err := exec.Command(probe, "large").Output()
	if err != nil {
		t.Skipf("the probe does not run here: %v", err)
	}
	if got, err := os.ReadFile(cover); err != nil || !bytes.Equal(got, here[:200000]) {
		t.Errorf("the result file has %d bytes, %v, want 200000 of the program's", len(got), err)
	}
}

// TestInterrupted checks that neither a signal nor the runner's own violent
// death leaves QEMU behind.
func TestInterrupted(t *testing.T) {
	b := newBench(t)
	probe := b.need(t, "6.1", "amd64")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		cmd := exec.Command(b.runner, "-kernel", "6.1", probe, "sleep")
		cmd.Dir = b.dir
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stdout.Read(make([]byte, 1)) // the guest is up
		qemu := children(t, cmd.Process.Pid)
		if len(qemu) != 1 {
			t.Errorf("the runner has %d children, want QEMU alone", len(qemu))
		}
		cmd.Process.Signal(sig)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); sig == syscall.SIGTERM && code != 128+15 {
			t.Errorf("after %v: exit code %d, want 143", sig, code)
		}
		for _, pid := range qemu {
			for end := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Errorf("after %v: QEMU, process %s, is still there", sig, pid)
					break
				}
			}
		}
	}
}

func children(t *testing.T, pid int) (out []string) {
	t.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		out = append(out, strings.Fields(string(text))...)
	}
	return out
}

// alive reports whether the process runs; one that nobody has waited for does
// not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
