//go:build linux

// Command guest is the init process of the test runner's virtual machine: it
// prepares the usual file systems, runs the program the job describes, sends
// the program's output and exit code over the data port, and waits for the
// runner to end the machine.
//
// It is process 1 of a guest that holds nothing else. Whatever goes wrong
// before the data port is open, it says on the console and powers off.
//
// The runner builds it from its own embedded copy of these sources, outside
// the module: standard library and package job only.
package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rseqkit/rseqkit/tools/vmtest/job"
)

func main() {
	if os.Getpid() != 1 {
		println("vmtest guest: this is the init process of a virtual machine; it does nothing elsewhere")
		os.Exit(2)
	}
	notes := prepare()
	j, err := readJob()
	if err != nil {
		console("no job: " + err.Error())
		powerOff()
	}
	for _, m := range j.Modules {
		if err := loadModule(m); err != nil {
			notes = append(notes, "load "+m+": "+err.Error())
		}
	}
	port, err := openPort(j.Ports)
	if err != nil {
		for _, n := range notes {
			console(n)
		}
		console("no data port: " + err.Error() + "; the kernel needs, built in, CONFIG_VIRTIO_PCI and CONFIG_VIRTIO_CONSOLE, or CONFIG_SERIAL_8250 (on arm64 CONFIG_SERIAL_8250_PCI too)")
		powerOff()
	}
	out := &sender{w: port}
	out.hello()
	for _, n := range notes {
		out.send(job.Note, []byte(n))
	}
	status := run(j, out)
	for _, f := range j.Files {
		out.files(f)
	}
	syscall.Sync()
	out.send(job.Exit, status.ExitPayload())
	// The runner ends the machine when it has read that. Powering off here
	// would lose what is still under way: a virtio port takes bytes before the
	// host does. The runner's timeout, and QEMU's death with the runner, bound
	// the wait.
	for {
		time.Sleep(time.Hour)
	}
}

// console writes a line to the machine's console.
func console(s string) {
	os.Stderr.WriteString("vmtest guest: " + s + "\n")
	drain(os.Stderr)
}

// powerOff does not return. The kernel's own way to end the machine first; if
// that is missing, a restart, which the runner's QEMU takes for an end too.
func powerOff() {
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	for {
		time.Sleep(time.Hour)
	}
}

func readJob() (*job.Job, error) {
	text, err := os.ReadFile(job.Path)
	if err != nil {
		return nil, err
	}
	return job.Decode(text)
}

// sender serialises frames of several goroutines onto the data port.
type sender struct {
	mu    sync.Mutex
	w     io.Writer
	bytes int64 // program output sent so far
}

func (s *sender) hello() {
	s.mu.Lock()
	defer s.mu.Unlock()
	io.WriteString(s.w, job.Hello)
}

func (s *sender) send(kind job.Kind, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == job.Stdout || kind == job.Stderr {
		s.bytes += int64(len(p))
	}
	if err := job.WriteFrame(s.w, kind, p); err != nil {
		console("data port: " + err.Error())
	}
}

// files sends the regular files at or below root back to the runner. A file
// that the program did not write is not an error: the runner only knows which
// ones it may have written.
func (s *sender) files(root string) {
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			s.send(job.Note, []byte("result file: "+err.Error()))
			return nil
		}
		defer f.Close()
		buf := make([]byte, job.MaxPayload/2)
		for first := true; ; first = false {
			n, err := io.ReadFull(f, buf)
			if n > 0 || first {
				s.send(job.File, job.FilePiece(path, first, buf[:n]))
			}
			if err != nil {
				return nil
			}
		}
	})
}

// run runs the job's program to its end and returns how it ended. All of the
// program's output has been sent when it returns, and so has that of its
// children that keep the pipes open, for at most outputGrace longer.
func run(j *job.Job, out *sender) job.Status {
	fail := func(err error) job.Status {
		return job.Status{Code: 126, Bytes: out.bytes, Error: err.Error()}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fail(err)
	}
	stdout, done1, err := pipe(out, job.Stdout)
	if err != nil {
		return fail(err)
	}
	stderr, done2 := stdout, done1
	if !j.Merge {
		if stderr, done2, err = pipe(out, job.Stderr); err != nil {
			return fail(err)
		}
	}
	pid, err := syscall.ForkExec(j.Args[0], j.Args, &syscall.ProcAttr{
		Dir:   j.Dir,
		Env:   j.Env,
		Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	stdout.Close()
	if !j.Merge {
		stderr.Close()
	}
	if err != nil {
		return fail(&os.PathError{Op: "run", Path: j.Args[0], Err: err})
	}
	code, err := reap(pid)
	if err != nil {
		return fail(err)
	}
	const outputGrace = 2 * time.Second
	grace := time.After(outputGrace)
	for _, d := range []chan struct{}{done1, done2} {
		select {
		case <-d:
		case <-grace:
			out.send(job.Note, []byte("a child of the program still holds its output after "+outputGrace.String()+"; not waiting for it"))
			grace = time.After(0)
		}
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	return job.Status{Code: code, Bytes: out.bytes}
}

// pipe returns the writing end of a pipe whose bytes are sent as frames, and a
// channel that is closed when the last of them has been sent.
func pipe(out *sender, kind job.Kind) (*os.File, chan struct{}, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, job.MaxPayload)
		for {
			n, err := r.Read(buf)
			if n > 0 {
				out.send(kind, buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	return w, done, nil
}

// reap waits for pid and, as process 1 must, for every orphan before it.
func reap(pid int) (code int, err error) {
	for {
		var ws syscall.WaitStatus
		p, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case p != pid:
		case ws.Exited():
			return ws.ExitStatus(), nil
		case ws.Signaled():
			return 128 + int(ws.Signal()), nil
		}
	}
}
