package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/rseqkit/rseqkit/rseq"
)

// target is a ratio that the project aims at, beside what was measured. It is
// information: no run fails because of it.
type target struct {
	Name     string  `json:"name"`
	Threads  int     `json:"threads"`
	Goal     float64 `json:"goal"`
	AtMost   bool    `json:"atMost"` // or at least
	Measured float64 `json:"measured"`
}

// lineOf finds a row, or nil.
func lineOf(rows []rowReport, section, name string, threads int) *rowReport {
	for i := range rows {
		if r := &rows[i]; r.Section == section && r.Name == name && r.Threads == threads {
			return r
		}
	}
	return nil
}

// targetsOf picks the ratios that have a target out of the rows. Those of
// sectionAdd are for the rseq engine.
func targetsOf(rows []rowReport, threads []int) []target {
	var list []target
	// A goal for one thread, and one for more.
	ratio := func(name, section, rival string, one, more float64, inverted bool) {
		for _, n := range threads {
			goal := one
			if n > 1 {
				goal = more
			}
			r := lineOf(rows, section, rival, n)
			if r == nil || r.Ratio == nil || goal == 0 || (section == sectionAdd && r.Engine != rseq.EngineRseq) {
				continue
			}
			t := target{Name: name, Threads: n, Goal: goal, AtMost: inverted, Measured: r.Ratio.Median}
			if inverted {
				t.Measured = 1 / t.Measured
			}
			list = append(list, t)
		}
	}
	ratio("Counter.Add / empty assembly call", sectionAdd, nameEmptyCall, 1.4, 0, true)
	ratio("atomic.AddInt64 / Counter.Add", sectionAdd, nameAtomic, 3.5, 8, false)
	ratio("xsync.Counter / Counter.Add", sectionAdd, nameXsync, 7, 7, false)
	ratio("Counter.Add / C, as a function", sectionAdd, nameCFunction, 1.35, 0, true)
	for _, engine := range otherEngines {
		ratio(engine.String()+" engine: Counter.Add / atomic.AddInt64 of an own word", engineSection(engine), nameOwnAtomic, 1.5, 1.5, true)
	}
	one := lineOf(rows, sectionAdd, nameCounterAdd, 1)
	for _, n := range threads {
		if more := lineOf(rows, sectionAdd, nameCounterAdd, n); n > 1 && one != nil && more != nil && one.Engine == rseq.EngineRseq {
			list = append(list, target{Name: "Counter.Add: operations in the same time as one thread's", Threads: n, Goal: 0.95 * float64(n), Measured: one.Median.Median / more.Median.Median})
		}
	}
	return list
}

func (r *report) printTargets(w io.Writer) {
	if len(r.Targets) == 0 {
		return
	}
	fmt.Fprintf(w, "\nRatios that the project aims at\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "threads\tmeasured\taim\t    ratio")
	for _, t := range r.Targets {
		bound := "≥"
		if t.AtMost {
			bound = "≤"
		}
		fmt.Fprintf(table, "%d\t%s\t%s %s\t    %s\n", t.Threads, number(t.Measured), bound, number(t.Goal), t.Name)
	}
	table.Flush()
}
