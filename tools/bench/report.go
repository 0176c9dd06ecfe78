package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aclements/go-moremath/stats"

	"github.com/rseqkit/rseqkit/rseq"
)

// report is the result of a run. Its JSON keys are stable.
type report struct {
	Machine machine     `json:"machine"`
	Engine  rseq.Engine `json:"engine"`
	Reason  string      `json:"reason"` // why this engine
	Load    load        `json:"load"`
	Options options     `json:"options"`
	Rows    []rowReport `json:"rows"`
	Targets []target    `json:"targets,omitempty"`
	Memory  []memory    `json:"memory,omitempty"`
	StartUp *startUp    `json:"startUp,omitempty"`
	Skipped []skip      `json:"skipped,omitempty"`
}

// rowReport is a candidate with a number of threads. Times are nanoseconds an
// operation: the time of a slice, from the first thread's start to the last
// one's end, by all threads' operations.
type rowReport struct {
	Section string      `json:"section"`
	Name    string      `json:"name"`
	Engine  rseq.Engine `json:"engine"` // of the process that measured it
	Threads int         `json:"threads"`
	Ours    bool        `json:"ours,omitempty"` // what the section's ratios are to
	Rounds  int         `json:"rounds"`
	OpsEach int         `json:"opsEach"` // operations of a thread in a slice
	Median  spread      `json:"ns"`
	// Ratio is how many times as long as the section's reference it takes, of
	// slices of the same round; nil without a reference.
	Ratio     *spread   `json:"ratio,omitempty"`
	Places    []float64 `json:"places,omitempty"`    // the medians with data, and for some rows code, at other addresses
	Preempted int       `json:"preempted,omitempty"` // slices in which a thread lost its CPU to others
}

// spread says where the middle half of the values lies.
type spread struct {
	Median float64 `json:"median"`
	P25    float64 `json:"p25"`
	P75    float64 `json:"p75"`
	Min    float64 `json:"min"`
}

func spreadOf(values []float64) spread {
	s := stats.Sample{Xs: slices.Sorted(slices.Values(values)), Sorted: true}
	return spread{Median: s.Quantile(0.5), P25: s.Quantile(0.25), P75: s.Quantile(0.75), Min: s.Xs[0]}
}

// skip says why something is not in the report.
type skip struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// summarize turns rows, which all went through the same rounds, into lines.
func summarize(rows []*row) []rowReport {
	type key struct {
		section string
		threads int
	}
	references := make(map[key]*row)
	for _, r := range rows {
		if r.ours {
			references[key{r.section, r.threads}] = r
		}
	}
	var list []rowReport
	for _, r := range rows {
		if len(r.perOp) == 0 {
			continue // interrupted in the first round
		}
		line := rowReport{
			Section: r.section, Name: r.name, Engine: rseq.Active(), Threads: r.threads, Ours: r.ours,
			Rounds: len(r.perOp), OpsEach: r.turns * r.opsPerTurn(),
			Median: spreadOf(r.perOp), Preempted: r.preempted,
		}
		if reference := references[key{r.section, r.threads}]; reference != nil && len(reference.perOp) > 0 {
			ratios := make([]float64, min(len(r.perOp), len(reference.perOp)))
			for i := range ratios {
				ratios[i] = r.perOp[i] / reference.perOp[i]
			}
			ratio := spreadOf(ratios)
			line.Ratio = &ratio
		}
		if len(r.byPlace) > 1 && len(r.perOp) >= len(r.byPlace) {
			for _, values := range r.byPlace {
				line.Places = append(line.Places, spreadOf(values).Median)
			}
		}
		list = append(list, line)
	}
	return list
}

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	var text strings.Builder
	r.printHead(&text)
	r.printRows(&text)
	r.printTargets(&text)
	printMemory(&text, r.Memory)
	if r.StartUp != nil {
		r.StartUp.print(&text)
	}
	for i, s := range r.Skipped {
		if i == 0 {
			fmt.Fprintf(&text, "\nNot measured\n")
		}
		fmt.Fprintf(&text, "  %s: %s\n", s.Name, s.Reason)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (r *report) printHead(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "machine  %s, %d CPUs allowed of %d possible, GOMAXPROCS %d\n", m.CPU, m.Allowed, m.Possible, m.GOMAXPROCS)
	fmt.Fprintf(w, "system   %s/%s, kernel %s, %s\n", m.GOOS, m.GOARCH, orUnknown(m.Kernel), m.GoVersion)
	fmt.Fprintf(w, "engine   %s\n", r.Reason)
	if r.Load.Known {
		fmt.Fprintf(w, "load     %s before, %s after; others used %.1f CPUs meanwhile, the hypervisor took %.1f %%\n", r.Load.Before, r.Load.After, r.Load.OthersCPUs, r.Load.StolenPercent)
	}
	fmt.Fprintf(w, "ns/op    the median of all rounds; p25–p75: the middle half of them; slices of %v\n", time.Duration(r.Options.Slice))
	fmt.Fprintf(w, "to ours  how many times as long as the row marked with *, slices of one round compared; below 1: faster than ours\n")
	fmt.Fprintf(w, "places   ns/op of the same with its data (and often its code) at other addresses; lost: slices in which a thread lost its CPU\n")
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func (r *report) printRows(w io.Writer) {
	section := ""
	var table *tabwriter.Writer
	for _, row := range r.Rows {
		if row.Section != section {
			if table != nil {
				table.Flush()
			}
			section = row.Section
			fmt.Fprintf(w, "\n%s\n", section)
			table = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(table, "threads\tns/op\tp25–p75\tmin\tto ours\tp25–p75\trounds\tlost\tplaces\t    name")
		}
		mark := " "
		if row.Ours {
			mark = "*"
		}
		ratio, ratioSpread := "–", ""
		if row.Ratio != nil {
			ratio, ratioSpread = number(row.Ratio.Median), number(row.Ratio.P25)+"–"+number(row.Ratio.P75)
		}
		var places []string
		for _, place := range row.Places {
			places = append(places, number(place))
		}
		fmt.Fprintf(table, "%d\t%s\t%s–%s\t%s\t%s\t%s\t%d\t%d%%\t%s\t  %s %s\n", row.Threads,
			number(row.Median.Median), number(row.Median.P25), number(row.Median.P75), number(row.Median.Min),
			ratio, ratioSpread, row.Rounds, (row.Preempted*100+row.Rounds/2)/row.Rounds, strings.Join(places, " "), mark, row.Name)
	}
	if table != nil {
		table.Flush()
	}
}

// number has three significant digits.
func number(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
}
