// Command rseqkit shows what restartable sequences do on this machine.
//
//	rseqkit info     which engine runs and why; proves an abort; what would help
//	rseqkit demo     per-CPU counters beside an atomic, on all CPUs, live
//	rseqkit version  what this program was built from
//
// Exit codes: 0 all is well; 1 something is wrong; 2 wrong usage; 3 (info
// only) an engine without critical sections runs, and everything works on it.
// The help text of each command says what that means there.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK       = 0
	exitWrong    = 1 // a check failed, or the command could not do its work
	exitUsage    = 2
	exitFallback = 3 // info: another engine than rseq runs, as it should here
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// exitStatus is how a command that has said everything ends with another
// code than 0.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is a command line that cannot be carried out.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run carries out one command line and returns the exit code. It starts
// nothing that outlives it. When ctx ends, long commands stop early and still
// report.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(longFlags(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	var status exitStatus
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "rseqkit: %v\n\n", err)
		root.SetOut(stderr)
		_ = command.Help()
		return exitUsage
	default:
		fmt.Fprintf(stderr, "rseqkit: %v\n", err)
		return exitWrong
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "rseqkit",
		Short: "Restartable sequences on this machine: a doctor and a demonstration",
		Long: `rseqkit shows what restartable sequences (rseq) do on this machine: critical
sections of a few instructions that the kernel restarts when their thread is
preempted, migrated or signalled, so that per-CPU data needs no atomics.

The variable RSEQKIT_ENGINE (rseq, locked or portable) forces an engine.`,
		Example: `  rseqkit info
  rseqkit demo --duration 10s
  RSEQKIT_ENGINE=locked rseqkit demo`,
		Version:       versionLine(),
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("a command is missing: info or demo")
			}
			return unknownCommand(args[0])
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetHelpCommand(newHelp())
	root.AddCommand(newInfo(), newDemo(), newVersion())
	return root
}

// newHelp replaces cobra's help command, which calls an unknown topic a
// success.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about a command",
		RunE: func(c *cobra.Command, args []string) error {
			command, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(strings.Join(args, " "))
			}
			command.InitDefaultHelpFlag()
			return command.Help()
		},
	}
}

func unknownCommand(name string) error {
	return usagef("unknown command %q; known are info, demo, version and help", name)
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, got %q", c.Name(), args[0])
	}
	return nil
}

// longFlags doubles the dash of the flags that people who use Go tools write
// with one, such as -json, which pflag would read as -j -s -o -n.
func longFlags(args []string) []string {
	names := map[string]bool{"json": true, "duration": true, "threads": true, "disturb": true, "version": true, "help": true}
	out := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(out, args[i:]...)
		}
		if rest, single := strings.CutPrefix(arg, "-"); single {
			if name, _, _ := strings.Cut(rest, "="); names[name] {
				arg = "-" + arg
			}
		}
		out = append(out, arg)
	}
	return out
}
