package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/rseqkit/rseqkit/rseq"
)

// names lists what -run can select.
func names() []string {
	var list []string
	for _, c := range candidates() {
		list = append(list, c.id())
	}
	for _, e := range otherEngines {
		for _, name := range engineNames {
			list = append(list, engineSection(e)+"/"+name)
		}
	}
	for _, kind := range memoryKinds {
		list = append(list, sectionMemory+"/"+kind.name)
	}
	return append(list, sectionStartUp+"/"+nameActive, sectionStartUp+"/"+nameBinary)
}

func newReport(o *options) *report {
	// First, while there are no further threads that it would have to wait for.
	status := rseq.Status()
	return &report{Machine: thisMachine(status), Engine: status.Engine, Reason: status.Reason, Options: *o}
}

func (r *report) skip(name string, err error) {
	r.Skipped = append(r.Skipped, skip{name, err.Error()})
}

// run measures everything that was asked for. What is impossible here is
// skipped with its reason; an interrupt ends the run early with what there is.
func run(ctx context.Context, o *options, p progress) (*report, error) {
	if !slices.ContainsFunc(names(), o.match.MatchString) {
		return nil, fmt.Errorf("nothing matches %q; -list shows what there is", o.Run)
	}
	defer removeC()
	meter := readLoad()
	r := newReport(o)

	// The other engines have few rows: a tenth of the time each.
	rest := time.Duration(o.Duration)
	own := chosen(candidates(), o.match)
	slot := rest
	if len(own) > 0 {
		slot = rest / 10
	}
	type childRun struct {
		engine rseq.Engine
		names  []string
	}
	var children []childRun
	for _, e := range otherEngines {
		if names := engineMatches(e, o.match); len(names) > 0 && e != r.Engine {
			children = append(children, childRun{e, names})
		}
	}
	if len(own) == 0 {
		slot = rest / time.Duration(max(1, len(children)))
	}
	if len(own) > 0 {
		if err := r.runRows(ctx, o, rest-slot*time.Duration(len(children)), p); err != nil {
			return nil, err
		}
	}
	for _, c := range children {
		p.begin(engineSection(c.engine), slot)
		rows, err := engineRows(ctx, c.engine, c.names, o, slot)
		p.end()
		if err != nil {
			r.skip(engineSection(c.engine), err)
		}
		r.Rows = append(r.Rows, rows...)
	}
	r.runMemory(ctx, o, p)
	r.runStartUp(ctx, o, p)
	r.Load = meter.since()
	r.Targets = targetsOf(r.Rows, o.Threads)
	if ctx.Err() != nil {
		r.skip("the rest", errors.New("interrupted"))
	}
	return r, nil
}

// minRounds gives every place of a loop its turn, and the spread a meaning.
const minRounds = 2 * places

// runRows measures the rows of this process.
func (r *report) runRows(ctx context.Context, o *options, duration time.Duration, p progress) error {
	most := slices.Max(o.Threads)
	if procs := runtime.GOMAXPROCS(0); most > procs {
		runtime.GOMAXPROCS(most)
		defer runtime.GOMAXPROCS(procs)
	}
	workers, err := newPool(most, o.Pin)
	if err != nil {
		return err
	}
	defer workers.close()
	// No collection falls into a slice. What the rows allocate is little.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))

	end := time.Now().Add(duration) // the warm-up included
	p.begin("warm-up", 0)
	rows := r.prepare(o, workers)
	p.end()
	p.begin("rows", time.Until(end))
	defer p.end()
	order := slices.Clone(rows)
	for round := 0; ctx.Err() == nil && (round < minRounds || time.Now().Before(end)); round++ {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, each := range order {
			if err := each.measure(round); err != nil {
				r.skip(each.id(), err)
				gone := func(other *row) bool { return other == each }
				rows = slices.DeleteFunc(rows, gone)
				order = slices.DeleteFunc(slices.Clone(order), gone)
			}
		}
		p.step()
		if round%64 == 63 {
			runtime.GC() // between slices
		}
	}
	for _, each := range rows {
		if err := each.close(); err != nil {
			r.skip(each.id(), err)
			rows = slices.DeleteFunc(slices.Clone(rows), func(other *row) bool { return other == each })
		}
	}
	r.Rows = summarize(rows)
	return nil
}

// prepare makes the rows, in the order of the report, and finds the length of
// their slices.
func (r *report) prepare(o *options, workers *pool) (rows []*row) {
	for _, c := range chosen(candidates(), o.match) {
		threads := o.Threads
		if c.single {
			threads = []int{1}
		}
		for _, n := range threads {
			each, err := newRow(c, n, workers)
			if err == nil {
				err = each.calibrate(time.Duration(o.Slice))
			}
			if err != nil {
				r.skip(c.id(), err)
				continue
			}
			rows = append(rows, each)
		}
	}
	rank := make(map[string]int)
	for _, each := range rows {
		if _, ok := rank[each.section]; !ok {
			rank[each.section] = len(rank)
		}
	}
	slices.SortStableFunc(rows, func(a, b *row) int {
		if a.section != b.section {
			return rank[a.section] - rank[b.section]
		}
		return a.threads - b.threads
	})
	return rows
}

// memoryTimeout bounds a kind whose time grows faster than its number.
const memoryTimeout = time.Minute

func (r *report) runMemory(ctx context.Context, o *options, p progress) {
	for _, kind := range memoryKinds {
		name := sectionMemory + "/" + kind.name
		if !o.match.MatchString(name) || ctx.Err() != nil {
			continue
		}
		p.begin(name, 0)
		limited, cancel := context.WithTimeout(ctx, memoryTimeout)
		out, err := runChild(limited, nil, childMemory, kind.name, strconv.Itoa(o.Counters))
		if limited.Err() != nil {
			err = fmt.Errorf("took longer than %v; fewer -counters would help: %w", memoryTimeout, err)
		}
		cancel()
		p.end()
		var m memory
		if err == nil {
			err = json.Unmarshal(out, &m)
		}
		if err != nil {
			r.skip(name, err)
			continue
		}
		r.Memory = append(r.Memory, m)
	}
}

func (r *report) runStartUp(ctx context.Context, o *options, p progress) {
	processes := 21
	if o.Quick {
		processes = 7
	}
	wanted := func(name string) bool {
		return o.match.MatchString(sectionStartUp+"/"+name) && ctx.Err() == nil
	}
	// The binaries are compared beside the first call, so they come with it.
	binary := wanted(nameBinary)
	if !binary && !wanted(nameActive) {
		return
	}
	p.begin(sectionStartUp, 0)
	defer p.end()
	var err error
	if r.StartUp, err = measureActive(ctx, processes); err != nil {
		r.skip(sectionStartUp+"/"+nameActive, err)
		return
	}
	if !binary {
		return
	}
	if o.Quick {
		r.skip(sectionStartUp+"/"+nameBinary, errors.New("left out by -quick: it builds two programs"))
		return
	}
	if r.StartUp.Binary, err = measureBinary(ctx, processes); err != nil {
		r.skip(sectionStartUp+"/"+nameBinary, err)
	}
}
