package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain is also the program that runs under the filter: it prints what
// rseq and membarrier answer.
func TestMain(m *testing.M) {
	switch os.Getenv("DENYSYSCALL_TEST") {
	case "run":
		os.Args = append([]string{"denysyscall"}, strings.Fields(os.Getenv("DENYSYSCALL_ARGS"))...)
		os.Setenv("DENYSYSCALL_TEST", "ask")
		main()
	case "ask":
		_, _, rseq := unix.RawSyscall6(unix.SYS_RSEQ, 0, 0, 0, 0, 0, 0)
		_, _, membarrier := unix.RawSyscall(unix.SYS_MEMBARRIER, 0, 0, 0)
		os.Stdout.WriteString(rseq.Error() + "; " + membarrier.Error())
		os.Exit(7)
	}
	os.Exit(m.Run())
}

func TestDeny(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	free := answer(t, self, "-deny process_vm_readv=EPERM", 7)
	for arguments, want := range map[string]string{
		"-deny rseq=EPERM":                         unix.EPERM.Error() + "; " + after(free),
		"-deny rseq=ENOSYS":                        unix.ENOSYS.Error() + "; " + after(free),
		"-deny membarrier=EPERM -deny rseq=ENOSYS": unix.ENOSYS.Error() + "; " + unix.EPERM.Error(),
	} {
		if got := answer(t, self, arguments, 7); got != want {
			t.Errorf("%s: %q, want %q", arguments, got, want)
		}
	}
	for arguments, code := range map[string]int{"": 2, "-deny rseq": 2, "-deny rseq=EFOO": 2, "-deny fork=EPERM": 2} {
		answer(t, self, arguments, code)
	}
}

func after(answers string) string {
	_, second, _ := strings.Cut(answers, "; ")
	return second
}

// answer runs denysyscall with the arguments and this program, and returns
// its output.
func answer(t *testing.T, self, arguments string, code int) string {
	t.Helper()
	command := exec.Command(self)
	command.Env = append(os.Environ(), "DENYSYSCALL_TEST=run", "DENYSYSCALL_ARGS="+arguments+" "+self)
	out, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() != code || err == nil {
		t.Errorf("%s: %v, want exit code %d\n%s", arguments, err, code, out)
	}
	return string(out)
}
