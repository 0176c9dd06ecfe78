//go:build linux

package main

import (
	"os"
	"syscall"
	"unsafe"
)

// mounts are made in this order. Only what must is an error worth a note; a
// kernel without, say, tracefs is an ordinary kernel.
var mounts = []struct {
	kind, at, data string
	must           bool
}{
	{"proc", "/proc", "", true},
	{"sysfs", "/sys", "", true},
	{"devtmpfs", "/dev", "", false},
	{"devpts", "/dev/pts", "ptmxmode=0666", false},
	{"tmpfs", "/dev/shm", "mode=1777", false},
	{"tmpfs", "/run", "mode=0755", false},
	{"tmpfs", "/tmp", "mode=1777", false},
	{"cgroup2", "/sys/fs/cgroup", "", false},
	{"debugfs", "/sys/kernel/debug", "", false},
	{"tracefs", "/sys/kernel/tracing", "", false},
}

// nodes are what a program may expect in /dev when the kernel does not fill it.
var nodes = []struct {
	path         string
	mode         uint32
	major, minor int
}{
	{"/dev/null", 0666, 1, 3},
	{"/dev/zero", 0666, 1, 5},
	{"/dev/full", 0666, 1, 7},
	{"/dev/random", 0666, 1, 8},
	{"/dev/urandom", 0666, 1, 9},
	{"/dev/tty", 0666, 5, 0},
	{"/dev/console", 0600, 5, 1},
	{"/dev/ttyS0", 0600, 4, 64},
	{"/dev/ttyS1", 0600, 4, 65},
}

// prepare makes the guest look like an ordinary machine to a test: file
// systems, device nodes, a host name, the loopback interface, and a quiet
// console. It returns remarks on what it could not do and a test may miss.
func prepare() (notes []string) {
	// Process 1 inherits the kernel's umask.
	syscall.Umask(022)
	for _, m := range mounts {
		if m.at == "/tmp" && occupied(m.at) {
			// The job's own files lie there; the root is in memory as well.
			os.Chmod(m.at, 0777|os.ModeSticky)
			continue
		}
		// Folders on sysfs and debugfs exist where the kernel knows the file
		// system, and cannot be made where it does not.
		os.MkdirAll(m.at, 0755)
		err := syscall.Mount(m.kind, m.at, m.kind, 0, m.data)
		if err != nil && m.must {
			notes = append(notes, "mount "+m.kind+" on "+m.at+": "+err.Error())
		}
	}
	for _, n := range nodes {
		if _, err := os.Lstat(n.path); err != nil {
			syscall.Mknod(n.path, syscall.S_IFCHR|n.mode, n.major<<8|n.minor)
		}
	}
	for _, l := range [][2]string{{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"}} {
		os.Symlink(l[0], l[1])
	}
	syscall.Sethostname([]byte("vmtest"))
	if err := loopbackUp(); err != nil {
		notes = append(notes, "bring up the loopback interface: "+err.Error())
	}
	return notes
}

// occupied reports whether folder holds anything.
func occupied(folder string) bool {
	entries, err := os.ReadDir(folder)
	return err == nil && len(entries) > 0
}

// loopbackUp sets the interface flag; the kernel gives lo its addresses then.
func loopbackUp() error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(s)
	var ifreq struct { // struct ifreq of <net/if.h>: 40 bytes on 64-bit machines
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(ifreq.name[:], "lo")
	ifreq.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&ifreq))); e != 0 {
		return e
	}
	return nil
}
