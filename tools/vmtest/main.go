//go:build linux

// Command vmtest runs a Linux program, usually a Go test binary, in a virtual
// machine with a kernel of the user's choice: as the -exec program of go test,
// it runs a package's tests on another kernel or another architecture.
//
// What the program writes, its exit code and the files its test flags name
// come out as if it had run here. The guest is a kernel and an initramfs: the
// program, its testdata folder and an init process of vmtest's own; nothing of
// it outlives the run. See vmtest -h.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/rseqkit/rseqkit/tools/vmtest/job"
)

// Exit codes of the runner's own. Between them and the program's there is no
// telling apart by number; the runner's always come with a line that begins
// with "vmtest: " on the standard error.
const (
	exitUsage   = 2
	exitTimeout = 124
	exitFailed  = 125 // the runner failed, or the guest died
)

const usage = `usage: vmtest [flags] program [arguments]
       vmtest [flags] -fetch
       vmtest -list

Vmtest boots a Linux kernel in QEMU, runs the program in it and exits with the
program's exit code. The program must be static (CGO_ENABLED=0), or its loader
and libraries be added with -file.

    go build -o /tmp/vmtest ./tools/vmtest
    CGO_ENABLED=0 GOARCH=arm64 go test -exec "/tmp/vmtest -kernel 7.3 -cpus 4" ./rseq
    vmtest -kernel 6.1 -cpus 8 ./rseq.test -test.v -test.run Migrate
    vmtest -kernel 7.3 -cpus 4 -qemu "-object memory-backend-ram,id=a,size=512M
        -object memory-backend-ram,id=b,size=512M -numa node,cpus=0-1,memdev=a
        -numa node,cpus=2-3,memdev=b" ./rseq.test
    vmtest -kernel ./linux/arch/arm64/boot/Image ./rseq.test
    vmtest -fetch -kernel 6.12 -arch arm64

The kernels of -list are fetched once, as Debian packages, from the archive
that this machine's apt configuration names, and kept in the user's cache
folder. A kernel of your own needs, built in, CONFIG_BLK_DEV_INITRD,
CONFIG_DEVTMPFS, a serial console, and CONFIG_VIRTIO_PCI with
CONFIG_VIRTIO_CONSOLE or CONFIG_SERIAL_8250.

In the guest the program runs as root, in the working directory's namesake,
which holds a copy of testdata if there is one here. The environment is that of
-env, GODEBUG, GOTRACEBACK, GOMAXPROCS, GLIBC_TUNABLES, and all that begins
with RSEQKIT_. Files that the flags -test.coverprofile, -test.cpuprofile and
the like name are copied back.

Exit codes of vmtest itself: 124 timeout, 125 the runner failed or the guest
died, 2 wrong usage.

`

// stringList is a flag that may be given several times.
type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, " ") }
func (l *stringList) Set(s string) error { *l = append(*l, s); return nil }

type options struct {
	kernel, arch, accel, appendWords, qemu, mirror string
	cpus, mem                                      int
	timeout                                        time.Duration
	env, files                                     stringList
	verbose, list, fetch                           bool
	args                                           []string // the program and its arguments
}

func parseFlags(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("vmtest", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage+"Flags:\n")
		f.PrintDefaults()
	}
	f.StringVar(&o.kernel, "kernel", "7.3", "kernel `series` of -list, or the path of a kernel image (with a slash in it)")
	f.StringVar(&o.arch, "arch", "", "`architecture`, amd64 or arm64 (default: the program's; for -fetch, this machine's)")
	f.IntVar(&o.cpus, "cpus", 2, "`number` of CPUs")
	f.IntVar(&o.mem, "mem", 1024, "memory in `MiB`")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "end the run after this `duration`, boot included")
	f.StringVar(&o.accel, "accel", "tcg", "`how` QEMU runs the guest: tcg (emulation, anywhere), tcg-single (the same on one thread: slow, but free of QEMU's multi-threading faults) or kvm (needs a working /dev/kvm and a guest of this architecture)")
	f.StringVar(&o.appendWords, "append", "", "more `words` for the kernel's command line")
	f.StringVar(&o.qemu, "qemu", "", "more `words` for QEMU's command line, quoted as for a shell")
	f.Var(&o.env, "env", "pass the environment variable `NAME`, or NAME=VALUE, to the program (repeatable)")
	f.Var(&o.files, "file", "put the file or folder `HOST:GUEST` into the guest (repeatable)")
	f.StringVar(&o.mirror, "mirror", "", "`address` of a Debian archive (default: apt's)")
	f.BoolVar(&o.verbose, "v", false, "show QEMU's command line and the guest's console")
	f.BoolVar(&o.list, "list", false, "list the known kernels")
	f.BoolVar(&o.fetch, "fetch", false, "only fetch the kernel")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.args = f.Args()
	var err error
	switch {
	case o.arch != "" && archs[o.arch].Qemu == "":
		err = fmt.Errorf("-arch %q: want amd64 or arm64", o.arch)
	case o.cpus < 1 || o.cpus > 255:
		err = fmt.Errorf("-cpus %d: want 1 to 255", o.cpus)
	case o.mem < 128:
		err = fmt.Errorf("-mem %d: want at least 128 MiB", o.mem)
	case o.timeout <= 0:
		err = fmt.Errorf("-timeout %v: want more than 0", o.timeout)
	case len(o.args) == 0 && !o.list && !o.fetch:
		err = errors.New("no program given")
	}
	if err != nil {
		return nil, fmt.Errorf("%w; vmtest -h explains", err)
	}
	return o, nil
}

// say prints a remark of the runner's own, which never goes where the
// program's output goes on its way to go test.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "vmtest: %s\n", strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\nvmtest: "))
}

func main() {
	// QEMU's parent-death signal is that of the thread that starts it.
	runtime.LockOSThread()
	o, err := parseFlags(os.Args[1:], os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(0)
		}
		say("%v", err)
		os.Exit(exitUsage)
	}
	code, err := do(o)
	var sig errSignal
	switch {
	case err == nil:
	case errors.As(err, &sig):
		say("%v", err)
		code = 128 + int(sig.Signal.(syscall.Signal))
	case errors.Is(err, errTimeout):
		say("%v", err)
		code = exitTimeout
	default:
		say("%v", err)
		code = exitFailed
	}
	os.Exit(code)
}

func do(o *options) (code int, err error) {
	if o.list {
		return 0, list(os.Stdout)
	}
	cache, err := cacheDir()
	if err != nil {
		return 0, err
	}
	if o.fetch {
		arch := o.arch
		if arch == "" {
			arch = runtime.GOARCH
		}
		k, err := locateKernel(cache, o.kernel, o.mirror, arch)
		if err == nil {
			fmt.Printf("%s\t%s\n", k.Path, k.Name)
		}
		return 0, err
	}
	return run(o, cache)
}

func list(w io.Writer) error {
	for _, k := range kernels {
		if _, err := fmt.Fprintf(w, "%s\tDebian %s\tamd64 arm64\n", k.Series, k.Suite); err != nil {
			return err
		}
	}
	return nil
}

// run boots the guest and returns the program's exit code.
func run(o *options, cache string) (code int, err error) {
	began := time.Now()
	p, err := inspect(o.args[0])
	if err != nil {
		return 0, err
	}
	if o.arch != "" && o.arch != p.Arch {
		return 0, fmt.Errorf("-arch %s, but %s is for %s", o.arch, p.Path, p.Arch)
	}
	if err := findQemu(p.Arch); err != nil {
		return 0, err
	}
	if err := checkAccel(o.accel, p.Arch); err != nil {
		return 0, err
	}
	extra, err := splitWords(o.qemu)
	if err != nil {
		return 0, fmt.Errorf("-qemu: %w", err)
	}
	cwd, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	results := findResults(o.args[1:], cwd)

	// From here on there are processes to end.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)

	m := &machine{Arch: p.Arch, CPUs: o.cpus, Memory: o.mem, Accel: o.accel, Append: o.appendWords, Extra: extra, Verbose: o.verbose}
	if m.Kernel, err = orStopped(stop, func() (*kernelImage, error) { return locateKernel(cache, o.kernel, o.mirror, p.Arch) }); err != nil {
		return 0, err
	}
	initPath, err := orStopped(stop, func() (string, error) { return guestInit(cache, p.Arch) })
	if err != nil {
		return 0, err
	}
	j := &job.Job{
		Args:  append([]string{path.Join(job.ProgramDir, filepath.Base(p.Path))}, o.args[1:]...),
		Env:   guestEnv(os.Environ(), o.env, cwd),
		Dir:   cwd,
		Ports: m.ports(),
		Merge: sameFile(os.Stdout, os.Stderr),
		Files: results.guest,
	}
	root, err := buildRoot(j, p, initPath, m.Kernel.Modules, o.files)
	if err != nil {
		return 0, err
	}
	// The archive and the files made of it are in memory at the same time.
	if need := 2*len(root)>>20 + 96; need > o.mem {
		return 0, fmt.Errorf("the guest's files are %d MiB, which needs more than -mem %d: give at least -mem %d", len(root)>>20, o.mem, need)
	}
	if m.Initrd, err = unnamedFile(root); err != nil {
		return 0, err
	}
	defer m.Initrd.Close()

	out := outputs{Stdout: os.Stdout, Stderr: os.Stderr, File: results.write}
	if o.verbose {
		out.Console = os.Stderr
		say("kernel %s, prepared in %.1f s", m.Kernel.Name, time.Since(began).Seconds())
	}
	began = time.Now()
	deadline := began.Add(o.timeout)
	status, tail, err := m.boot(out, o.timeout, stop)
	for n := 2; n <= bootAttempts && m.bootFault(err, tail); n++ {
		say("the kernel died while booting, before the program ran; booting again (%d of %d)", n, bootAttempts)
		status, tail, err = m.boot(out, time.Until(deadline), stop)
	}
	took := time.Since(began)
	if err != nil {
		if tail != nil && !o.verbose {
			// A panic's own line often stands far above its traces.
			showConsole("the guest's kernel complained:", tail.alarms)
			showConsole("the guest's last console lines:", tail.last())
		}
		if errors.Is(err, errTimeout) {
			return 0, fmt.Errorf("%w: the guest (kernel %s, %s, %d CPUs) was still running after %v; raise -timeout if that is too short",
				err, o.kernel, p.Arch, o.cpus, o.timeout)
		}
		return 0, err
	}
	if o.verbose {
		say("exit code %d, boot to end in %.1f s", status.Code, took.Seconds())
	} else {
		showConsole("the guest's kernel complained:", tail.alarms)
	}
	if status.Error != "" {
		return 0, fmt.Errorf("the program did not start in the guest: %s", status.Error)
	}
	return status.Code, nil
}

// unnamedFile returns a file that holds data and has no name any more, so that
// however the runner ends, nothing of it stays behind.
func unnamedFile(data []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "vmtest-*")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// orStopped runs f and does not wait for its end when a signal says to stop:
// what f has started dies with the process.
func orStopped[T any](stop <-chan os.Signal, f func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		// Processes that f starts die with their thread: keep it.
		runtime.LockOSThread()
		v, err := f()
		runtime.UnlockOSThread()
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.v, a.err
	case s := <-stop:
		var zero T
		return zero, errSignal{s}
	}
}

func showConsole(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	say("%s", title)
	for _, l := range lines {
		fmt.Fprintf(os.Stderr, "    %s\n", l)
	}
}

// sameFile reports whether both are one file or pipe. Then the program gets
// one pipe for both as well, so that the order of its writes is kept.
func sameFile(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// passed are the variables that the program gets without being asked for.
var passed = []string{"GODEBUG", "GOTRACEBACK", "GOMAXPROCS", "GLIBC_TUNABLES"}

// guestEnv returns the program's environment: of host, what is always passed
// or named in names; names may also hold NAME=VALUE. Later settings win.
func guestEnv(host, names []string, cwd string) []string {
	env := []string{"HOME=/tmp", "TMPDIR=/tmp", "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "PWD=" + cwd}
	for _, e := range host {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "RSEQKIT_") || contains(passed, name) || contains(names, name) {
			env = append(env, e)
		}
	}
	for _, n := range names {
		if strings.Contains(n, "=") {
			env = append(env, n)
		}
	}
	return lastWins(env)
}

// lastWins drops settings that a later one of the same name replaces.
func lastWins(env []string) []string {
	last := map[string]int{}
	for i, e := range env {
		name, _, _ := strings.Cut(e, "=")
		last[name] = i
	}
	var out []string
	for i, e := range env {
		if name, _, _ := strings.Cut(e, "="); last[name] == i {
			out = append(out, e)
		}
	}
	return out
}

// buildRoot returns the initramfs. It sets j.Modules to where it puts modules.
func buildRoot(j *job.Job, p *program, initPath string, modules, files []string) ([]byte, error) {
	m := newImage()
	var add []error
	try := func(err error) { add = append(add, err) }
	for _, d := range []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/vmtest", j.Dir} {
		try(m.mkdir(d))
	}
	try(m.hostFile(initPath, "/init"))
	program, err := os.ReadFile(p.Path)
	try(err)
	try(m.file(j.Args[0], 0o755, program))
	for _, mod := range modules {
		guest := path.Join("/vmtest", filepath.Base(mod))
		try(m.hostFile(mod, guest))
		j.Modules = append(j.Modules, guest)
	}
	if isDir("testdata") {
		try(m.hostFile("testdata", path.Join(j.Dir, "testdata")))
	}
	for _, f := range j.Files {
		try(m.mkdir(path.Dir(f)))
		if isDir(f) {
			try(m.mkdir(f))
		}
	}
	haveLoader := p.Loader == ""
	for _, f := range files {
		host, guest, ok := strings.Cut(f, ":")
		if !ok || host == "" || !path.IsAbs(guest) {
			return nil, fmt.Errorf("-file %q: want HOST:GUEST, GUEST an absolute path", f)
		}
		try(m.hostFile(host, guest))
		haveLoader = haveLoader || path.Clean(guest) == path.Clean(p.Loader) || strings.HasPrefix(p.Loader, path.Clean(guest)+"/")
	}
	if !haveLoader {
		return nil, fmt.Errorf("%s needs the dynamic loader %s, which the guest does not have: build it with CGO_ENABLED=0, or add loader and libraries with -file", p.Path, p.Loader)
	}
	try(m.file(job.Path, 0o644, j.Encode()))
	if err := errors.Join(add...); err != nil {
		return nil, fmt.Errorf("make the initramfs: %w", err)
	}
	return m.bytes()
}
