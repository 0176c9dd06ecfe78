package main

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/rseqkit/rseqkit/rseq"
)

// TestMain: the command's children are this program again, which then is the
// test.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestRatiosRun runs everything, if only for moments: whatever it times, each
// row must be there, or the reason why not.
func TestRatiosRun(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-json", "-quick", "-duration", "100ms", "-slice", "20us", "-counters", "1000"}
	if code := command(args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, row := range r.Rows {
		seen[row.Section+"/"+row.Name] = true
		if row.Rounds <= 0 || row.OpsEach <= 0 || row.Median.Median <= 0 || row.Median.Min > row.Median.P25 || row.Median.P25 > row.Median.P75 {
			t.Errorf("row %+v", row)
		}
		if row.Ratio == nil {
			t.Errorf("row %s/%s, threads %d: no ratio", row.Section, row.Name, row.Threads)
		}
	}
	for _, m := range r.Memory {
		seen[sectionMemory+"/"+m.Name] = true
		if m.Resident <= 0 && m.Heap <= 0 {
			t.Errorf("memory %+v", m)
		}
	}
	if s := r.StartUp; s != nil && s.Processes > 0 && s.FirstActive.Median > 0 {
		seen[sectionStartUp+"/"+nameActive] = true
	}
	for _, s := range r.Skipped {
		t.Logf("skipped: %s: %s", s.Name, s.Reason)
		seen[s.Name] = true
		if strings.Contains(s.Name, "C, ") || strings.HasPrefix(s.Name, "memory/") || s.Name == sectionStartUp+"/"+nameBinary {
			continue // needs a compiler, an operating system, time
		}
		for _, e := range otherEngines {
			if s.Name == engineSection(e) && (runtime.GOOS == "linux" || e == rseq.EnginePortable) {
				t.Errorf("%s is left out: %s", s.Name, s.Reason)
			}
		}
	}
	for _, name := range names() {
		section, _, _ := strings.Cut(name, "/")
		if !seen[name] && !seen[section] && section != engineSection(r.Engine) {
			t.Errorf("%s is neither measured nor skipped", name)
		}
	}
	if r.Reason == "" || r.Machine.CPU == "" || r.Machine.GoVersion == "" {
		t.Errorf("the report does not say what it was measured on: %+v", r.Machine)
	}
	var text bytes.Buffer
	if err := r.print(&text, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), nameCounterAdd) {
		t.Errorf("the table lacks %s:\n%s", nameCounterAdd, text.String())
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-run", "("}, {"-threads", "0"}, {"-threads", "x"}, {"-duration", "-1s"}, {"more"}, {"-nonsense"},
	} {
		var stdout, stderr bytes.Buffer
		if code := command(args, &stdout, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, stderr.String())
		}
	}
	var stdout, stderr bytes.Buffer
	if code := command([]string{"-run", "nothing of this kind"}, &stdout, &stderr); code != 1 {
		t.Errorf("a -run that matches nothing: exit code %d", code)
	}
	if code := command([]string{"-list"}, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), sectionAdd+"/"+nameCounterAdd+"\n") {
		t.Errorf("-list: exit code %d, %q", code, stdout.String())
	}
}

// TestReferences: each section has one row that the others are compared with.
func TestReferences(t *testing.T) {
	ours := make(map[string]int)
	var ids []string
	for _, c := range candidates() {
		if c.ours {
			ours[c.section]++
		} else {
			ours[c.section] += 0
		}
		ids = append(ids, c.id())
	}
	for section, n := range ours {
		if n != 1 {
			t.Errorf("section %s has %d references", section, n)
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("two candidates have one name: %q", ids)
	}
}

func TestSpread(t *testing.T) {
	s := spreadOf([]float64{5, 1, 4, 2, 3})
	if s.Median != 3 || s.Min != 1 || s.P25 < 1 || s.P25 > 2 || s.P75 < 4 || s.P75 > 5 {
		t.Errorf("1 to 5: %+v", s)
	}
	if s := spreadOf([]float64{7}); s != (spread{7, 7, 7, 7}) {
		t.Errorf("only 7: %+v", s)
	}
}
