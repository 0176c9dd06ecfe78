package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options of a run. The exported ones are in the report.
type options struct {
	Duration nanoseconds `json:"durationNs"` // of the timed rows, all engines together
	Slice    nanoseconds `json:"sliceNs"`
	Threads  []int       `json:"threads"`
	Run      string      `json:"run"`
	Quick    bool        `json:"quick"`
	Pin      bool        `json:"pin"`
	Counters int         `json:"counters"` // of the memory section

	match *regexp.Regexp
	json  bool
	list  bool
}

type nanoseconds time.Duration

// What -quick means, and what is meant without it.
const (
	defaultDuration = 45 * time.Second
	quickDuration   = 7 * time.Second
	defaultCounters = 1_000_000
	quickCounters   = 100_000
)

// parse reads the command line. It prints what is wrong with it.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Measures rseqkit's counters beside their rivals, as ratios inside one run.\n\nUsage: bench [options]\n\n")
		flags.PrintDefaults()
	}
	duration := flags.Duration("duration", 0, "time for the timed rows together (default 45s); memory and start-up come on top")
	slice := flags.Duration("slice", 500*time.Microsecond, "time of one measurement; shorter ones are hit less often by other processes")
	threads := flags.String("threads", "", "numbers of threads, such as 1,2,4 (default 1 and the number of CPUs)")
	flags.StringVar(&o.Run, "run", "", "measure only what matches this regular expression, and what its ratios need; see -list")
	flags.BoolVar(&o.Quick, "quick", false, "take less than 20 seconds: 7s for the timed rows, fewer counters in memory, no binaries built")
	flags.BoolVar(&o.Pin, "pin", runtime.GOOS == "linux", "keep each thread on a CPU of its own: without it two threads often share one")
	flags.IntVar(&o.Counters, "counters", 0, "counters in the memory section (default 1000000)")
	flags.BoolVar(&o.json, "json", false, "print the whole result as JSON")
	flags.BoolVar(&o.list, "list", false, "list what can be measured")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if err := o.complete(*duration, *slice, *threads, flags.Args()); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return nil, err
	}
	return o, nil
}

func (o *options) complete(duration, slice time.Duration, threads string, rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q; -run selects what is measured", rest[0])
	}
	if duration < 0 || slice <= 0 || o.Counters < 0 {
		return errors.New("-duration, -slice and -counters must be positive")
	}
	if duration == 0 {
		duration = defaultDuration
		if o.Quick {
			duration = quickDuration
		}
	}
	if o.Counters == 0 {
		o.Counters = defaultCounters
		if o.Quick {
			o.Counters = quickCounters
		}
	}
	o.Duration, o.Slice = nanoseconds(duration), nanoseconds(slice)
	var err error
	if o.match, err = regexp.Compile(o.Run); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if threads == "" {
		o.Threads = slices.Compact([]int{1, runtime.NumCPU()})
		return nil
	}
	for field := range strings.SplitSeq(threads, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > maxThreads {
			return fmt.Errorf("-threads %q: %q is no number from 1 to %d", threads, field, maxThreads)
		}
		o.Threads = append(o.Threads, n)
	}
	slices.Sort(o.Threads)
	o.Threads = slices.Compact(o.Threads)
	return nil
}

// maxThreads keeps a slip of the finger from starting a million threads.
const maxThreads = 4096

func (o *options) threadList() string {
	var list []string
	for _, n := range o.Threads {
		list = append(list, strconv.Itoa(n))
	}
	return strings.Join(list, ",")
}
