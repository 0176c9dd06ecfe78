package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// display shows a demonstration's progress: on a terminal a table that is
// redrawn in place, elsewhere a line a second.
type display struct {
	w     io.Writer
	size  func() (columns, rows int, ok bool) // of the terminal; not ok: plain lines
	drawn int                                 // lines of the table that stand above the cursor
	lines int                                 // plain lines printed
}

func newDisplay(w io.Writer) *display {
	d := &display{w: w, size: func() (int, int, bool) { return 0, 0, false }}
	if file, ok := w.(*os.File); ok {
		d.size = func() (int, int, bool) { return terminalSize(file) }
	}
	return d
}

// progress shows r as it stands. A display that cannot be written to is no
// reason to stop; the final report is written by somebody else.
func (d *display) progress(r *demoReport, duration time.Duration) {
	if columns, rows, ok := d.size(); ok {
		d.redraw(tableOf(r, duration, rows-linesBelow), columns)
		return
	}
	if r.Seconds < float64(d.lines+1) {
		return
	}
	d.lines = int(r.Seconds)
	fmt.Fprintf(d.w, "%4.1f s of %v: per-CPU %s/s, atomic %s/s, %.1fx, aborts %s\n",
		r.Seconds, duration, millions(r.PerCPU.Rate), millions(r.Atomic.Rate), r.Ratio, grouped(int64(r.Aborts)))
}

// finish shows the whole table, for the last time.
func (d *display) finish(r *demoReport, duration time.Duration) {
	table := tableOf(r, duration, len(r.Regions)+tableFrame)
	if columns, rows, ok := d.size(); ok {
		if len(table) > rows-1 { // more than can be redrawn: keep it short
			table = tableOf(r, duration, rows-linesBelow)
		}
		d.redraw(table, columns)
	} else {
		fmt.Fprintln(d.w, strings.Join(table, "\n"))
	}
	fmt.Fprintln(d.w)
}

// redraw replaces the table on the terminal. Lines are cut rather than
// wrapped, which would move what is above.
func (d *display) redraw(table []string, columns int) {
	var out strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", d.drawn) // cursor up
	}
	for _, line := range table {
		out.WriteString(line[:min(len(line), max(columns-1, 0))] + "\x1b[K\n") // erase the rest
	}
	out.WriteString("\x1b[J") // and what a longer table left below
	d.drawn = len(table)
	_, _ = io.WriteString(d.w, out.String())
}

const (
	linesBelow = 1 // where the cursor stands
	tableFrame = 8 // lines of the table that are no region's
)

// tableOf returns the table in at most height lines, or in as few as it can:
// where the CPUs do not fit, one row stands for those at the end.
func tableOf(r *demoReport, duration time.Duration, height int) []string {
	state := fmt.Sprintf("%.1f s of %v", r.Seconds, duration)
	table := []string{
		fmt.Sprintf("%v engine, %s, %s", r.Engine, r.at(), state),
		"",
		fmt.Sprintf("%10s %18s %7s %12s", "where", "additions", "share", "a second"),
	}
	shown, rest := r.Regions, []regionRow(nil)
	if room := max(height-tableFrame, 2); len(shown) > room {
		shown, rest = shown[:room-1], shown[room-1:]
	}
	for _, row := range shown {
		table = append(table, row.line(row.name()))
	}
	if len(rest) > 0 {
		table = append(table, sumRows(rest).line(fmt.Sprintf("%d more", len(rest))))
	}
	total := sumRows(r.Regions)
	return append(table,
		total.line("per-CPU"),
		fmt.Sprintf("%10s %18s %7s %12s", "atomic", grouped(r.Atomic.Added), "", millions(r.Atomic.now)),
		"",
		fmt.Sprintf("%10s %18s", "aborts", grouped(int64(r.Aborts))),
		fmt.Sprintf("%10s %18s", "ratio", fmt.Sprintf("%.1fx", r.Ratio)),
	)
}

func (row regionRow) name() string {
	if row.Kind == "shared" {
		return row.Kind
	}
	return fmt.Sprintf("%s %d", row.Kind, row.Number)
}

func (row regionRow) line(name string) string {
	return fmt.Sprintf("%10s %18s %6.1f%% %12s", name, grouped(row.Additions), 100*row.Share, millions(row.rate))
}

func sumRows(rows []regionRow) (sum regionRow) {
	for _, row := range rows {
		sum.Additions += row.Additions
		sum.Share += row.Share
		sum.rate += row.rate
	}
	return sum
}
