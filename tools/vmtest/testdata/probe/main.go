// Command probe is what the end-to-end test runs in the guest. Its first
// argument says what to do.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "report":
		report()
		os.Exit(7)
	case "large":
		os.Stdout.Write(Large())
	case "ports":
		ports, _ := filepath.Glob("/sys/class/virtio-ports/*")
		fmt.Printf("virtio ports %q\n", ports)
		for range 1000 {
			fmt.Print("0123456789\r\n")
		}
	case "signal":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "panic":
		must(os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Hour)
	case "files":
		for _, a := range os.Args[2:] {
			_, name, _ := strings.Cut(a, "=")
			must(os.WriteFile(name, Large()[:200000], 0o644))
		}
	}
}

// Large is 1 MB in which every line is another one.
func Large() []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 1<<20; i++ {
		fmt.Fprintf(&b, "%d \r\x00\xff%s\n", i, strings.Repeat("x", i%100))
	}
	return b.Bytes()
}

func report() {
	fmt.Printf("args %q\n", os.Args[1:])
	for _, name := range []string{"RSEQKIT_PROBE", "WANTED", "UNWANTED", "HOME", "TMPDIR"} {
		fmt.Printf("env %s=%q\n", name, os.Getenv(name))
	}
	wd, err := os.Getwd()
	must(err)
	fmt.Printf("cwd %s\n", wd)
	golden, err := os.ReadFile("testdata/golden.txt")
	must(err)
	fmt.Printf("golden %s\n", bytes.TrimSpace(golden))
	fmt.Printf("cpus %d\n", runtime.NumCPU())
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	must(err)
	fmt.Printf("kernel %s", release)
	fmt.Printf("arch %s uid %d pid1 %v\n", runtime.GOARCH, os.Getuid(), os.Getpid() == 1)
	nodes, _ := filepath.Glob("/sys/devices/system/node/node[0-9]*")
	fmt.Printf("nodes %d\n", len(nodes))
	for _, name := range []string{"/proc/self/status", "/sys/kernel", "/dev/null", "/dev/urandom", "/dev/pts", "/dev/shm", "/sys/fs/cgroup/cgroup.procs"} {
		if _, err := os.Stat(name); err != nil {
			fmt.Println("missing", name)
		}
	}
	// The program can start itself, which needs /proc and the same file.
	self, err := os.Executable()
	must(err)
	must(exec.Command(self, "nothing").Run())
	fmt.Fprintln(os.Stderr, "on stderr")
	fmt.Print("end without newline")
}

func must(err error) {
	if err != nil {
		fmt.Println("probe:", err)
		os.Exit(99)
	}
}
