// Command denysyscall runs a program under a seccomp filter that refuses some
// system calls, as old container profiles refuse rseq. It is made for
//
//	go test -exec 'denysyscall -deny rseq=ENOSYS' ./...
//
// The filter is inherited by everything the program starts. Exit code: the
// program's own; 2 for wrong usage, 125 if the filter cannot be set, 127 if
// the program cannot be started.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// denial is one system call and what it answers.
type denial struct {
	call  string
	errno string
}

type denials []denial

func (d *denials) String() string { return fmt.Sprint(*d) }

func (d *denials) Set(text string) error {
	call, errno, found := strings.Cut(text, "=")
	if !found || call == "" || errno == "" {
		return fmt.Errorf("%q is not of the form CALL=ERRNO, such as rseq=ENOSYS", text)
	}
	*d = append(*d, denial{call, errno})
	return nil
}

var errUsage = errors.New("usage")

func main() {
	var deny denials
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), "usage: denysyscall -deny CALL=ERRNO [-deny ...] PROGRAM [ARGUMENTS]\n\n"+
			"Runs PROGRAM under a seccomp filter that answers ERRNO to CALL.\n"+
			"Calls: rseq, membarrier, process_vm_readv. Errnos: ENOSYS, EPERM.\n\n")
		flag.PrintDefaults()
	}
	flag.Var(&deny, "deny", "`CALL=ERRNO`; may be repeated")
	flag.Parse()
	if len(deny) == 0 || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	err := run(deny, flag.Args())
	fmt.Fprintf(os.Stderr, "denysyscall: %v\n", err)
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case errors.Is(err, os.ErrNotExist):
		os.Exit(127)
	}
	os.Exit(125)
}
