//go:build linux

package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/rseqkit/rseqkit/tools/vmtest/job"
)

// portWait bounds the time until a port's device file is there: drivers on a
// bus may still be finding their devices when init starts.
const portWait = 5 * time.Second

// openPort opens the first port of the list that this kernel drives, ready to
// carry any byte unchanged.
func openPort(ports []string) (*os.File, error) {
	var all error
	for _, p := range ports {
		path, err := devicePath(p)
		if err == nil {
			var f *os.File
			if f, err = openDevice(path); err == nil {
				return f, nil
			}
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

// devicePath returns the device file of a port, which for a virtio port has to
// be looked up: the number in it depends on what else the machine has.
func devicePath(port string) (string, error) {
	if port != job.PortName {
		return port, nil
	}
	// Without the driver no amount of waiting brings the port.
	if _, err := os.Stat("/sys/bus/virtio/drivers/virtio_console"); err != nil {
		return "", errors.New("this kernel has no virtio console driver")
	}
	const class = "/sys/class/virtio-ports"
	for end := time.Now().Add(portWait); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		entries, _ := os.ReadDir(class)
		for _, e := range entries {
			name, _ := os.ReadFile(class + "/" + e.Name() + "/name")
			if strings.TrimSpace(string(name)) == port {
				return "/dev/" + e.Name(), nil
			}
		}
	}
	return "", errors.New("no virtio port named " + port + " after " + portWait.String())
}

func openDevice(path string) (f *os.File, err error) {
	for end := time.Now().Add(portWait); ; time.Sleep(2 * time.Millisecond) {
		// Straight from the system call: an *os.File that the runtime's poller
		// serves would be non-blocking, and both kinds of port say that they
		// are ready for less than a whole frame.
		var fd int
		fd, err = syscall.Open(path, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
		if err == nil {
			f = os.NewFile(uintptr(fd), path)
			break
		}
		if time.Now().After(end) || !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENXIO) {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
	// Raw mode: no line discipline between the frames and the wire.
	t := syscall.Termios{Cflag: syscall.CS8 | syscall.CREAD | syscall.CLOCAL | syscall.B115200}
	t.Cc[syscall.VMIN] = 1
	err = ioctl(f, syscall.TCSETS, uintptr(unsafe.Pointer(&t)))
	if err != nil && !errors.Is(err, syscall.ENOTTY) { // a virtio port is no terminal
		return nil, &os.PathError{Op: "set to raw mode", Path: path, Err: err}
	}
	return f, nil
}

// loadModule loads a kernel module; one that is there already is no error.
func loadModule(path string) error {
	image, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(image) == 0 {
		return errors.New("the file is empty")
	}
	params, _ := syscall.BytePtrFromString("")
	_, _, e := syscall.Syscall(syscall.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&image[0])), uintptr(len(image)), uintptr(unsafe.Pointer(params)))
	if e != 0 && e != syscall.EEXIST {
		return e
	}
	return nil
}

// drain returns when the port has put every byte on the wire.
func drain(f *os.File) {
	const tcsbrk = 0x5409 // TCSBRK with a non-zero argument is tcdrain
	ioctl(f, tcsbrk, 1)
}

func ioctl(f *os.File, req, arg uintptr) error {
	for {
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), req, arg)
		switch e {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return e
		}
	}
}
