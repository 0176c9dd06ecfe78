package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rseqkit/rseqkit/rseq"
)

// demoReport is what a demonstration measured. Its JSON keys are stable.
// Rates are additions a second of all goroutines together.
type demoReport struct {
	Build       buildFacts  `json:"build"`
	Engine      rseq.Engine `json:"engine"`
	Reason      string      `json:"reason"`
	RequestErr  string      `json:"requestErr,omitempty"` // why RSEQKIT_ENGINE was not honoured
	GOOS        string      `json:"goos"`
	GOARCH      string      `json:"goarch"`
	GoVersion   string      `json:"goVersion"`
	Kernel      string      `json:"kernel"`
	Goroutines  int         `json:"goroutines"`
	GOMAXPROCS  int         `json:"gomaxprocs"`
	AllowedCPUs int         `json:"allowedCPUs"`
	Disturbance string      `json:"disturbance,omitempty"` // what --disturb did
	Seconds     float64     `json:"seconds"`               // that it ran
	Interrupted bool        `json:"interrupted"`
	CPUsUsed    float64     `json:"cpusUsed,omitempty"` // CPU time by time: how many CPUs the work really had

	PerCPU    side        `json:"perCPU"`
	Atomic    side        `json:"atomic"`
	Ratio     float64     `json:"ratio"`     // of the median rates, per-CPU to atomic
	RatioLow  float64     `json:"ratioLow"`  // first quartile of the pairs of slices
	RatioHigh float64     `json:"ratioHigh"` // third
	Regions   []regionRow `json:"regions"`
	Aborts    uint64      `json:"aborts"` // of the section Add, meanwhile

	Exact    bool `json:"exact"`
	ExitCode int  `json:"exitCode"`
}

// side is one of the two counters that are compared.
type side struct {
	Added       int64   `json:"added"`       // by the goroutines' own tallies
	Counted     int64   `json:"counted"`     // by the counter
	Slices      int     `json:"slices"`      // measured; the first of each side only warms up
	Rate        float64 `json:"rate"`        // median over slices
	RateLow     float64 `json:"rateLow"`     // first quartile
	RateHigh    float64 `json:"rateHigh"`    // third
	Nanoseconds float64 `json:"nanoseconds"` // between two additions, of all goroutines together
	now         float64 // rate of the last slice
}

// regionRow is one region of per-CPU memory that was used.
type regionRow struct {
	Kind      string  `json:"kind"`   // "CPU", "shard" or "shared"
	Number    int     `json:"number"` // of the CPU or shard
	Additions int64   `json:"additions"`
	Share     float64 `json:"share"` // of all additions, 0 to 1
	rate      float64 // additions a second since the last look
}

type demoConfig struct {
	duration time.Duration
	threads  int
	disturb  bool
	asJSON   bool
}

// Bounds of the flags, and the length of a slice: long against the batches and
// the scheduler's tick, short against changes of a noisy neighbour.
const (
	minDuration = 20 * time.Millisecond
	maxThreads  = 4096
	maxSlice    = 100 * time.Millisecond
	minSlices   = 20 // in a demonstration too short for that many of maxSlice
)

func newDemo() *cobra.Command {
	var config demoConfig
	command := &cobra.Command{
		Use:   "demo",
		Short: "Per-CPU counters beside an atomic, on all CPUs, live",
		Long: `demo lets goroutines on all CPUs add to a per-CPU counter and, in turns of
100 ms so that both meet the same noise, to one atomic word. It shows each
CPU's additions and the rates while it runs, and at the end whether every unit
that the goroutines added was counted, and how the median rates compare.

On a terminal the table is redrawn in place; elsewhere a line a second is
printed. Ctrl-C stops early, checks and reports. On the locked and portable
engines the rows are shards, as no CPU is known there.

Exit codes:
  0  every unit was counted
  1  a unit is missing, or was counted twice
  2  wrong usage`,
		Example: `  rseqkit demo
  rseqkit demo --duration 10s --threads 1
  rseqkit demo --disturb
  RSEQKIT_ENGINE=locked rseqkit demo --json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := config.check(); err != nil {
				return err
			}
			return demonstrate(c.Context(), config, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.DurationVar(&config.duration, "duration", 5*time.Second, "how long to run")
	flags.IntVar(&config.threads, "threads", runtime.GOMAXPROCS(0), "goroutines that add")
	flags.BoolVar(&config.disturb, "disturb", false, "send profiling signals and move threads between CPUs")
	flags.BoolVar(&config.asJSON, "json", false, "print one JSON object; progress on stderr")
	return command
}

func (c demoConfig) check() error {
	switch {
	case c.duration < minDuration:
		return usagef("duration %v is too short to measure anything; use at least %v", c.duration, minDuration)
	case c.threads < 1 || c.threads > maxThreads:
		return usagef("%d threads: 1 to %d are possible", c.threads, maxThreads)
	}
	return nil
}

// demonstrate runs the demonstration and prints it. Progress goes where the
// report goes, but to stderr if the report is JSON.
func demonstrate(ctx context.Context, config demoConfig, stdout, stderr io.Writer) error {
	progress := stdout
	if config.asJSON {
		progress = stderr
	}
	r, err := measure(ctx, config, newDisplay(progress))
	if err != nil {
		return err
	}
	if config.asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(r)
	} else {
		_, err = io.WriteString(stdout, r.text())
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if r.ExitCode != exitOK {
		return exitStatus(r.ExitCode)
	}
	return nil
}

// measure lets both sides run in turns until the time is over or ctx ends.
func measure(ctx context.Context, config demoConfig, show *display) (*demoReport, error) {
	work, err := newLoad(config.threads)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	defer context.AfterFunc(ctx, func() { work.stop.Store(true) })()
	status := rseq.Status()
	r := &demoReport{
		Build:       readBuild(),
		Engine:      status.Engine,
		Reason:      status.Reason,
		RequestErr:  status.RequestMsg,
		GOOS:        status.GOOS,
		GOARCH:      status.GOARCH,
		GoVersion:   status.GoVersion,
		Kernel:      status.Kernel,
		Goroutines:  config.threads,
		GOMAXPROCS:  runtime.GOMAXPROCS(0),
		AllowedCPUs: runtime.NumCPU(),
	}
	if config.disturb {
		var calm func()
		calm, r.Disturbance = disturb()
		defer calm()
	}
	aborts, used, start := abortsOf("Add"), cpuTime(), time.Now()
	var rates pairs
	// An even number of turns, each pair in the other order than the one
	// before, so that a steady drift favours neither side.
	length := min(maxSlice, config.duration/minSlices)
	for turn := 0; turn == 0 || time.Since(start) < config.duration && ctx.Err() == nil; turn++ {
		var mine, theirs slice
		if turn%2 == 0 {
			mine = work.run(length, work.addPerCPU)
			theirs = work.run(length, work.addAtomic)
		} else {
			theirs = work.run(length, work.addAtomic)
			mine = work.run(length, work.addPerCPU)
		}
		r.PerCPU.Added += mine.added
		r.Atomic.Added += theirs.added
		r.PerCPU.now, r.Atomic.now = mine.rate(), theirs.rate()
		if warmUp := turn == 0; mine.whole && theirs.whole && !warmUp {
			rates.add(mine.rate(), theirs.rate())
		}
		r.Regions = regionRows(r, work.words(), mine.elapsed)
		r.Aborts = abortsOf("Add") - aborts
		r.Seconds = time.Since(start).Seconds()
		r.CPUsUsed = (cpuTime() - used).Seconds() / r.Seconds
		rates.summarise(r)
		show.progress(r, config.duration)
	}
	r.Interrupted = ctx.Err() != nil
	for _, n := range work.words() {
		r.PerCPU.Counted += n
	}
	r.Atomic.Counted = work.atomic.Load()
	r.Exact, r.ExitCode = evaluate(r)
	show.finish(r, config.duration)
	runtime.KeepAlive(work) // its words were still being read
	return r, nil
}

// evaluate is the demonstration's check: every unit that the goroutines added
// is in the counters, exactly once.
func evaluate(r *demoReport) (exact bool, exitCode int) {
	if r.PerCPU.Counted != r.PerCPU.Added || r.Atomic.Counted != r.Atomic.Added {
		return false, exitWrong
	}
	return true, exitOK
}

// regionRows turns the words of a load into rows; regions without additions
// have none. The rates are those since the rows that r has.
func regionRows(r *demoReport, words []int64, elapsed time.Duration) []regionRow {
	before := make(map[int]int64)
	for _, row := range r.Regions {
		before[row.index(len(words))] = row.Additions
	}
	rows := []regionRow{} // not nil: an empty JSON list
	var total int64
	for i, n := range words {
		if n == 0 {
			continue
		}
		row := regionRow{Kind: "shard", Number: i, Additions: n}
		switch {
		case i == len(words)-1:
			row.Kind, row.Number = "shared", 0
		case r.Engine == rseq.EngineRseq:
			row.Kind = "CPU"
		}
		row.rate = float64(n-before[i]) / elapsed.Seconds()
		rows = append(rows, row)
		total += n
	}
	for i := range rows {
		rows[i].Share = float64(rows[i].Additions) / float64(total)
	}
	return rows
}

// index is the row's region, of so many.
func (row regionRow) index(regions int) int {
	if row.Kind == "shared" {
		return regions - 1
	}
	return row.Number
}

// pairs are the rates of slices that ran beside each other.
type pairs struct{ perCPU, atomic, ratio []float64 }

func (p *pairs) add(perCPU, atomic float64) {
	p.perCPU = append(p.perCPU, perCPU)
	p.atomic = append(p.atomic, atomic)
	if atomic > 0 {
		p.ratio = append(p.ratio, perCPU/atomic)
	}
}

// summarise writes medians and quartiles into r.
func (p *pairs) summarise(r *demoReport) {
	r.PerCPU.summarise(p.perCPU)
	r.Atomic.summarise(p.atomic)
	if r.Atomic.Rate > 0 {
		r.Ratio = r.PerCPU.Rate / r.Atomic.Rate
		r.RatioLow, _, r.RatioHigh = quartiles(p.ratio)
	}
}

func (s *side) summarise(rates []float64) {
	s.Slices = len(rates)
	s.RateLow, s.Rate, s.RateHigh = quartiles(rates)
	if s.Rate > 0 {
		s.Nanoseconds = 1e9 / s.Rate
	}
}

// quartiles returns the values a quarter, half and three quarters up the
// sorted list, or zeros for an empty one.
func quartiles(values []float64) (low, median, high float64) {
	if len(values) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(values))
	last := len(sorted) - 1
	at := func(quarter int) float64 {
		// Between two values, so that the median of an even number is fair.
		return (sorted[last*quarter/4] + sorted[(last*quarter+3)/4]) / 2
	}
	return at(1), at(2), at(3)
}

// text is the summary for people.
func (r *demoReport) text() string {
	var p page
	p.line("engine   %v", r.Engine)
	p.hanging("why      ", shortReason(r.Engine, r.Reason))
	if r.RequestErr != "" {
		p.hanging("note     ", r.RequestErr)
	}
	p.hanging("machine  ", r.machine())
	if r.Disturbance != "" {
		p.hanging("with     ", r.Disturbance)
	}
	if r.crowded() {
		p.hanging("note     ", fmt.Sprintf("other work took CPU time, %.1f CPUs were left: the atomic met less contention than it would have", r.CPUsUsed))
	}
	p.WriteByte('\n')
	if r.PerCPU.Slices > 0 {
		p.sideLine("per-CPU", r.PerCPU)
		p.sideLine("atomic", r.Atomic)
	}
	if r.Interrupted {
		p.line("stopped early, after %.1f s", r.Seconds)
	}
	if r.Ratio > 0 {
		p.line("per-CPU counters: %.1fx an atomic at %s (quartiles %.1fx to %.1fx)", r.Ratio, r.at(), r.RatioLow, r.RatioHigh)
	} else {
		p.line("too short to compare: no pair of slices after the first was finished")
	}
	p.line("%s", exactness(r.PerCPU.Counted, r.PerCPU.Added))
	if r.Atomic.Counted != r.Atomic.Added {
		p.line("the atomic: %s", exactness(r.Atomic.Counted, r.Atomic.Added))
	}
	return p.String()
}

// crowded reports that the goroutines did not have the CPUs that they could
// have used, so that they ran one after the other more than beside each other.
func (r *demoReport) crowded() bool {
	could := min(r.Goroutines, r.GOMAXPROCS, r.AllowedCPUs)
	return could > 1 && r.Seconds > 0.1 && r.CPUsUsed > 0 && r.CPUsUsed < 0.85*float64(could)
}

func (p *page) sideLine(name string, s side) {
	p.line("%-8s %s/s, quartiles %s to %s, %.2f ns an addition, %d slices",
		name, millions(s.Rate), millions(s.RateLow), millions(s.RateHigh), s.Nanoseconds, s.Slices)
}

// at says on how much at a time the goroutines ran.
func (r *demoReport) at() string {
	if r.Goroutines > r.GOMAXPROCS {
		return fmt.Sprintf("%d goroutines on GOMAXPROCS %d", r.Goroutines, r.GOMAXPROCS)
	}
	return plural(r.Goroutines, "thread")
}

func (r *demoReport) machine() string {
	kernel := prefixed(", kernel ", r.Kernel)
	return fmt.Sprintf("%s/%s%s, %s, %s allowed, GOMAXPROCS %d", r.GOOS, r.GOARCH, kernel, r.GoVersion, plural(r.AllowedCPUs, "CPU"), r.GOMAXPROCS)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// millions formats a rate in millions.
func millions(rate float64) string {
	switch m := rate / 1e6; {
	case m >= 100:
		return fmt.Sprintf("%.0f M", m)
	case m >= 10:
		return fmt.Sprintf("%.1f M", m)
	default:
		return fmt.Sprintf("%.2f M", m)
	}
}
