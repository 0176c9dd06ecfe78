package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rseqkit/rseqkit/rseq"
)

func manyCPUs(n int) *demoReport {
	r := &demoReport{Engine: rseq.EngineRseq, Goroutines: n, GOMAXPROCS: n, Seconds: 1.2, Aborts: 1234, Ratio: 9.87}
	for i := range n {
		r.Regions = append(r.Regions, regionRow{Kind: "CPU", Number: i, Additions: 1_000_000, Share: 1 / float64(n), rate: 1e6})
	}
	return r
}

// TestTableHeight: a machine with more CPUs than lines is summed up at the
// end, and nothing is left out of the sum.
func TestTableHeight(t *testing.T) {
	for _, n := range []int{0, 1, 2, 15, 16, 17, 200} {
		table := tableOf(manyCPUs(n), 5*time.Second, 24)
		if len(table) > 24 {
			t.Errorf("%d CPUs: %d lines", n, len(table))
		}
		text := strings.Join(table, "\n")
		if all, want := strings.Contains(text, "more"), n > 24-tableFrame; all != want {
			t.Errorf("%d CPUs: summed up %v:\n%s", n, all, text)
		}
		if !strings.Contains(text, fmt.Sprintf("%18s", grouped(int64(n)*1_000_000))) {
			t.Errorf("%d CPUs: no total in\n%s", n, text)
		}
		checkWidth(t, text)
	}
	full := tableOf(manyCPUs(16), 0, 16+tableFrame)
	if len(full) != 16+tableFrame {
		t.Errorf("a table of 16 rows has %d lines, tableFrame says %d", len(full), 16+tableFrame)
	}
}

// screen is a terminal that knows what the live table uses: cursor up, erase
// to the end of the line, erase below, newline.
type screen struct {
	lines   []string
	row     int
	unknown string
	columns int
}

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		var up int
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			text = text[3:]
		case strings.HasPrefix(text, "\x1b[J"):
			s.lines, text = s.lines[:s.row], text[3:]
		case strings.HasPrefix(text, "\x1b["):
			if n, _ := fmt.Sscanf(text, "\x1b[%dA", &up); n != 1 || up > s.row {
				s.unknown = text[:min(len(text), 8)]
				return len(p), nil
			}
			s.row -= up
			text = text[strings.IndexByte(text, 'A')+1:]
		default:
			line, rest, _ := strings.Cut(text, "\n")
			line = strings.TrimSuffix(line, "\x1b[K")
			if len(line) >= s.columns {
				s.unknown = "a line that wraps: " + line
			}
			for len(s.lines) <= s.row {
				s.lines = append(s.lines, "")
			}
			s.lines[s.row] = line
			s.row++
			text = rest
		}
	}
	return len(p), nil
}

// TestRedraw: the table stays where it is, grows and shrinks, and leaves
// nothing of an older one behind.
func TestRedraw(t *testing.T) {
	s := &screen{columns: 60}
	rows := 24
	d := &display{w: s, size: func() (int, int, bool) { return s.columns, rows, true }}
	for _, n := range []int{1, 2, 40, 3} {
		r := manyCPUs(n)
		d.progress(r, 5*time.Second)
		if want := tableOf(r, 5*time.Second, rows-linesBelow); s.unknown != "" || strings.Join(s.lines, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%d CPUs: %q\n%s\nwant\n%s", n, s.unknown, strings.Join(s.lines, "\n"), strings.Join(want, "\n"))
		}
		if len(s.lines) >= rows {
			t.Errorf("%d CPUs: %d lines scroll", n, len(s.lines))
		}
	}
	s.columns = 20 // cut, never wrapped
	d.progress(manyCPUs(2), 5*time.Second)
	if s.unknown != "" {
		t.Error(s.unknown)
	}
	d.finish(manyCPUs(3), 5*time.Second)
	if s.unknown != "" {
		t.Error(s.unknown)
	}
}

// TestPlainLines: one line a second where there is no terminal.
func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	d := newDisplay(&out)
	r := manyCPUs(2)
	for tenth := range 35 {
		r.Seconds = float64(tenth) / 10
		d.progress(r, 5*time.Second)
	}
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines in 3.4 seconds:\n%s", n, &out)
	}
	checkWidth(t, out.String())
}

func TestText(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 1234567890: "1,234,567,890"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is grouped as %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 942: "942ns", 14_312_345: "14.3ms", 1_234_567_890: "1.23s"} {
		if got := rounded(d); got != want {
			t.Errorf("%d is rounded to %q, want %q", d, got, want)
		}
	}
	if got := strings.Join(wrap("aa bb  cc dddddddd e", 5), "|"); got != "aa bb|cc|dddddddd|e" {
		t.Errorf("wrapped as %q", got)
	}
}
