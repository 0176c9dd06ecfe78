//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rseqkit/rseqkit/tools/vmtest/job"
)

// A machine describes the virtual machine to start.
type machine struct {
	Arch    string
	Kernel  *kernelImage
	Initrd  *os.File
	CPUs    int
	Memory  int    // MiB
	Accel   string // of accels
	Append  string // more words for the kernel
	Extra   []string
	Verbose bool
}

// archRow is what differs between architectures.
type archRow struct {
	Qemu    string // the emulator
	Package string // the Debian package that has it
	Machine []string
	CPU     string // under TCG
	Console string // the kernel's name of the first serial port
	Serial  string // the kernel's name of the second one
	Second  []string
}

var archs = map[string]archRow{
	"amd64": {
		Qemu: "qemu-system-x86_64", Package: "qemu-system-x86",
		Machine: []string{"-machine", "q35"},
		// QEMU 7.2 leaves rubbish in the flags after a cmpxchg16b without lock
		// prefix, and an interrupt right then takes it for EFLAGS. Kernels of
		// the 6.12 series do that at every allocation and die of it within
		// seconds; without the feature they have another way. A program that
		// needs it (GOAMD64=v2) gets it back by -qemu "-cpu max".
		CPU:     "max,-cx16",
		Console: "ttyS0", Serial: "/dev/ttyS1",
		Second: []string{"-serial", "chardev:data"},
	},
	"arm64": {
		Qemu: "qemu-system-aarch64", Package: "qemu-system-arm",
		// Version 3 of the interrupt controller serves more than 8 CPUs.
		Machine: []string{"-machine", "virt,gic-version=3"},
		// The architected pointer authentication algorithm is most of the run
		// time under emulation; a simpler one signs just as well here.
		CPU:     "max,pauth-impdef=on",
		Console: "ttyAMA0", Serial: "/dev/ttyS0",
		Second: []string{"-device", "pci-serial,chardev=data"},
	},
}

// commonAppend are kernel words that only shorten an emulated boot: no
// self-tests of ciphers, no clearing of every allocated page, no work-arounds
// for processor faults that an emulated processor does not have, no audit
// records, and a kernel at its linked address. -append can undo each.
//
// Not among them is tsc=reliable, which gives amd64 guests a cheap clock: it
// makes the kernel patch its scheduler clock while all CPUs run through it, and
// QEMU 7.2 lets a CPU meet the half-done patch. With 16 CPUs one boot in four
// died of that ("Oops: int3").
const commonAppend = "panic=-1 cryptomgr.notests init_on_alloc=0 mitigations=off audit=0 nokaslr"

// Numbers under which QEMU finds the files the runner opens for it.
const (
	dataFD   = 3 // the data port's pipe
	initrdFD = 4
)

// command returns QEMU's command line.
func (m *machine) command() ([]string, error) {
	a, ok := archs[m.Arch]
	if !ok {
		return nil, fmt.Errorf("architecture %q: want amd64 or arm64", m.Arch)
	}
	words := []string{"console=" + a.Console, commonAppend}
	if !m.Verbose {
		words = append(words, "quiet")
	}
	if m.Append != "" {
		words = append(words, m.Append)
	}
	args := append([]string{a.Qemu}, a.Machine...)
	cpu := a.CPU
	if m.Accel == "kvm" {
		cpu = "host"
	}
	args = append(args, "-accel", accels[m.Accel])
	args = append(args,
		"-cpu", cpu,
		"-smp", strconv.Itoa(m.CPUs),
		"-m", strconv.Itoa(m.Memory),
		// No default devices: each costs the guest time to find and set up.
		"-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot",
		"-kernel", m.Kernel.Path, "-initrd", fmt.Sprintf("/proc/self/fd/%d", initrdFD), "-append", strings.Join(words, " "),
		// The console is QEMU's own standard output; the data port is a pipe
		// (append=on: without it QEMU truncates the file, which a pipe refuses).
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-add-fd", fmt.Sprintf("fd=%d,set=1", dataFD),
	)
	if !m.Kernel.Known {
		// A kernel we know nothing of may lack the virtio driver. The second
		// serial port leads to the same pipe: init uses one or the other.
		args = append(args, "-chardev", "file,id=data,append=on,path=/dev/fdset/1")
		args = append(args, a.Second...)
	}
	args = append(args,
		"-chardev", "file,id=vdata,append=on,path=/dev/fdset/1",
		"-device", "virtio-serial-pci,id=vmtest,max_ports=2",
		"-device", "virtserialport,bus=vmtest.0,nr=1,chardev=vdata,name="+job.PortName,
	)
	return append(args, m.Extra...), nil
}

// ports returns where the guest may find the data port.
func (m *machine) ports() []string {
	p := []string{job.PortName}
	if !m.Kernel.Known {
		p = append(p, archs[m.Arch].Serial)
	}
	return p
}

// findQemu explains itself when the emulator is missing.
func findQemu(arch string) error {
	a := archs[arch]
	if _, err := exec.LookPath(a.Qemu); err != nil {
		return fmt.Errorf("%s not found: install Debian package %s", a.Qemu, a.Package)
	}
	return nil
}

// accels are the values of -accel. With tcg every guest CPU has a thread of
// its own; with tcg-single they take turns on one.
var accels = map[string]string{
	"tcg":        "tcg,thread=multi",
	"tcg-single": "tcg,thread=single",
	"kvm":        "kvm",
}

// checkAccel says why accel cannot be used. KVM is never chosen unasked: a
// device file that opens does not yet run guests (nested virtualisation), and
// then the run only hangs.
func checkAccel(accel, arch string) error {
	if accels[accel] == "" {
		return fmt.Errorf("-accel %q: want tcg, tcg-single or kvm", accel)
	}
	if accel != "kvm" {
		return nil
	}
	if arch != runtime.GOARCH {
		return fmt.Errorf("-accel kvm runs %s guests only, this one is %s: use -accel tcg", runtime.GOARCH, arch)
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("-accel kvm: %w: use -accel tcg", err)
	}
	f.Close()
	return nil
}

// A result is how a run ended, seen from the data port.
type result struct {
	status job.Status
	err    error
}

// errTimeout and errSignal are the runner's own ways to end a run.
var (
	errTimeout = errors.New("timeout")
	errHang    = errors.New("the kernel hung while booting")
)

type errSignal struct{ os.Signal }

func (e errSignal) Error() string { return e.String() }

// outputs is where a run's results go.
type outputs struct {
	Stdout, Stderr io.Writer
	Console        io.Writer                                        // the guest's console, live; nil for none
	File           func(name string, first bool, data []byte) error // result files
}

// boot starts the machine and returns how the program in it ended. QEMU is
// gone when it returns. The error is errTimeout, an errSignal from stop, or
// says why there is no exit code; tail holds the console's last lines.
//
// It must be called on a locked main thread: QEMU is to die with the process,
// and the kernel ties that to the thread that started it.
func (m *machine) boot(out outputs, timeout time.Duration, stop <-chan os.Signal) (status job.Status, tail *console, err error) {
	args, err := m.command()
	if err != nil {
		return status, nil, err
	}
	if m.Verbose {
		say("%s", joinWords(args))
	}
	dataR, dataW, err := os.Pipe()
	if err != nil {
		return status, nil, err
	}
	defer dataR.Close()
	defer dataW.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.ExtraFiles = []*os.File{dataW, m.Initrd} // from descriptor 3 on: dataFD, initrdFD
	cmd.SysProcAttr = dieWithParent()
	tail = &console{live: out.Console}
	cmd.Stdout = tail
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	// A process that still holds QEMU's output must not hold the runner.
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		return status, tail, err
	}
	dataW.Close()

	data := make(chan result, 1)
	hello := make(chan struct{})
	go func() {
		s, err := receive(dataR, out, hello)
		data <- result{s, err}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var hang <-chan time.Time
	if m.faulty() {
		t := time.NewTimer(m.bootLimit())
		defer t.Stop()
		hang = t.C
	}
	var r result
	for waiting := true; waiting; {
		waiting = false
		select {
		case <-hello:
			hello, hang, waiting = nil, nil, true
		// QEMU's own end comes this way too: it closes the pipe.
		case r = <-data:
		case <-timer.C:
			r.err = errTimeout
		case <-hang:
			r.err = errHang
		case s := <-stop:
			r.err = errSignal{s}
		}
	}
	// The program's exit code was the last thing to learn from the guest, which
	// now only waits for this. A power-off from inside would take an emulated
	// kernel half a second; on SIGTERM, QEMU closes what it has open and goes.
	cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(2*time.Second, func() { cmd.Process.Kill() })
	werr := cmd.Wait()
	kill.Stop()
	if c := qemuComplaints(complaints.String()); r.err != nil && c != "" {
		r.err = fmt.Errorf("%w\n%s", r.err, c)
	}
	if r.err != nil && werr != nil && !errors.Is(r.err, errTimeout) && !errors.Is(r.err, errHang) {
		var sig errSignal
		var exit *exec.ExitError
		if !errors.As(r.err, &sig) && errors.As(werr, &exit) && exit.ExitCode() > 0 {
			r.err = fmt.Errorf("%w (%s: %v)", r.err, args[0], werr)
		}
	}
	return r.status, tail, r.err
}

// qemuComplaints returns the end of what QEMU wrote to its standard error,
// less the line that only says that we ended it.
func qemuComplaints(text string) string {
	var lines []string
	for _, l := range strings.Split(text, "\n") {
		if l != "" && !strings.Contains(l, "terminating on signal") {
			lines = append(lines, l)
		}
	}
	return lastLines(strings.Join(lines, "\n"), 10)
}

// bootAttempts is how often a kernel that dies while booting is booted.
const bootAttempts = 3

// faulty reports whether the machine is one that may die without a fault of
// the kernel's or the program's. QEMU 7.2's multi-threaded emulation lets one
// CPU meet code that another is just patching, which kernels do a lot at boot:
// with 16 CPUs on a loaded machine, about one boot in ten ended in an "Oops:
// int3" or hung.
func (m *machine) faulty() bool { return m.Kernel.Known && m.Accel == "tcg" }

// bootLimit is the time after which a boot counts as hung: many times what it
// takes on an idle machine.
func (m *machine) bootLimit() time.Duration {
	return 60*time.Second + time.Duration(m.CPUs)*2*time.Second
}

// bootFault reports whether a faulty machine died before init ran. Nothing of
// the program has run then, so that another boot hides nothing of it.
func (m *machine) bootFault(err error, tail *console) bool {
	return m.faulty() && (errors.Is(err, errHang) ||
		errors.Is(err, job.ErrNoHello) && tail != nil && tail.panicked())
}

// receive takes the run's frames out of the data port and hands them on, up to
// the exit frame. Any other end is an error, and so is an exit frame that
// counts other output than arrived. It closes hello when the guest's init has
// spoken.
func receive(r io.Reader, out outputs, hello chan<- struct{}) (job.Status, error) {
	frames := job.NewReader(bufio.NewReaderSize(r, 1<<18))
	if err := frames.Hello(); err != nil {
		return job.Status{}, err
	}
	close(hello)
	var got int64
	for {
		kind, p, err := frames.Next()
		switch err {
		case nil:
		case io.EOF:
			return job.Status{}, errors.New("the guest ended without an exit code")
		case io.ErrUnexpectedEOF:
			return job.Status{}, errors.New("the guest ended in the middle of its output")
		default:
			return job.Status{}, err
		}
		switch kind {
		case job.Stdout, job.Stderr:
			got += int64(len(p))
			w := out.Stdout
			if kind == job.Stderr {
				w = out.Stderr
			}
			if _, err := w.Write(p); err != nil {
				return job.Status{}, fmt.Errorf("pass on the program's output: %w", err)
			}
		case job.Note:
			say("guest: %s", p)
		case job.File:
			name, first, data, err := job.ParseFilePiece(p)
			if err == nil {
				err = out.File(name, first, data)
			}
			if err != nil {
				return job.Status{}, fmt.Errorf("result file: %w", err)
			}
		case job.Exit:
			s, err := job.ParseExit(p)
			if err == nil && s.Bytes != got {
				err = fmt.Errorf("the guest sent %d bytes of output, %d arrived", s.Bytes, got)
			}
			return s, err
		default:
			return job.Status{}, fmt.Errorf("unknown frame kind %q", byte(kind))
		}
	}
}

// consoleLines is how much of the console is kept for a failure's message.
const consoleLines = 40

// alarming matches console lines that are worth showing whatever the program's
// exit code: the kernel found a fault of its own.
var alarming = regexp.MustCompile(`Kernel panic|Oops|\bBUG:|WARNING:|Call trace:|Internal error|RIP: |rcu.*stall|soft lockup`)

// A console is an io.Writer for a serial console's bytes. It keeps the last
// lines, their CR LF ends removed, and passes each on to live as it completes.
type console struct {
	mu      sync.Mutex
	partial []byte
	lines   []string
	alarms  []string
	live    io.Writer
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partial = append(c.partial, p...)
	for {
		i := bytes.IndexByte(c.partial, '\n')
		if i < 0 {
			return len(p), nil
		}
		c.add(string(bytes.TrimSuffix(c.partial[:i], []byte("\r"))))
		c.partial = c.partial[i+1:]
	}
}

func (c *console) add(line string) {
	if c.live != nil {
		fmt.Fprintf(c.live, "%s\n", line)
	}
	if alarming.MatchString(line) && len(c.alarms) < consoleLines {
		c.alarms = append(c.alarms, line)
	}
	c.lines = append(c.lines, line)
	if len(c.lines) > consoleLines {
		c.lines = append(c.lines[:0], c.lines[len(c.lines)-consoleLines:]...)
	}
}

// panicked reports whether the kernel gave up.
func (c *console) panicked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.alarms {
		if strings.Contains(l, "Kernel panic") {
			return true
		}
	}
	return false
}

// last returns the console's last lines, an unfinished one included.
func (c *console) last() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := append([]string(nil), c.lines...)
	if len(c.partial) > 0 {
		l = append(l, string(c.partial))
	}
	return l
}
