// Command bench measures this module's counters beside their rivals.
//
// Every figure is a ratio inside one run: all candidates take their turn in
// each of many rounds, for a short slice, in an order that is drawn anew, so
// that a slow moment of the machine meets all of them. The report has the
// median and the middle half, and says what else the machine did.
//
//	go run ./tools/bench -quick
//	go run ./tools/bench -run '^add/' -duration 1m
//	go run ./tools/bench -list
//
// Options: -help. Exit codes: 0 measured, 1 failed, 2 wrong usage. No figure
// makes it fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

func command(args []string, stdout, stderr io.Writer) int {
	if what := os.Getenv(childVariable); what != "" {
		if err := child(what, args, stdout, stderr); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // parse has told
	}
	if o.list {
		for _, name := range names() {
			fmt.Fprintln(stdout, name)
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := run(ctx, o, newProgress(stderr))
	if err == nil {
		err = r.print(stdout, o.json)
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}
