package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/rseq"
)

// infoReport is all that the doctor found. Its JSON keys are stable.
type infoReport struct {
	Build    buildFacts        `json:"build"`
	Status   rseq.Info         `json:"status"`
	CPUs     cpuFacts          `json:"cpus"`
	Sandbox  sandboxFacts      `json:"sandbox"`
	Fence    fenceCost         `json:"fence"`
	Sections []rseqkit.Section `json:"sections"`
	Probe    probeProof        `json:"probe"` // a section of package rseq made for this
	Add      addProof          `json:"add"`   // the section behind every counter
	Advice   []advice          `json:"advice"`
	Verdict  string            `json:"verdict"`
	ExitCode int               `json:"exitCode"`
}

func newInfo() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "info",
		Short: "Which engine runs here and why; proves an abort; what would help",
		Long: `info is the doctor. It shows what this machine, kernel, C library, Go release
and container give, which engine runs and why, and lets the kernel abort
critical sections until their abort counts rise: that is the proof that no
version number can give. It takes some tens of milliseconds, and a few seconds
where the aborts do not come.

Exit codes:
  0  the rseq engine runs, and aborts were proven
  3  another engine runs (locked or portable): everything works, more slowly
  1  something is wrong: the rseq engine was chosen but no abort could be
     proven, or RSEQKIT_ENGINE was not honoured
  2  wrong usage`,
		Example: `  rseqkit info
  rseqkit info --json
  RSEQKIT_ENGINE=locked rseqkit info`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			defer announce(c.ErrOrStderr(), "rseqkit: waiting for the kernel to abort a section ...")()
			r := examine()
			if err := r.print(c.OutOrStdout(), asJSON); err != nil {
				return fmt.Errorf("print the report: %w", err)
			}
			if r.ExitCode != exitOK {
				return exitStatus(r.ExitCode)
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return command
}

// announce says on a terminal what is being waited for, if it takes long. The
// caller calls stop before it writes there itself.
func announce(w io.Writer, text string) (stop func()) {
	file, ok := w.(*os.File)
	if !ok {
		return func() {}
	}
	if _, _, ok := terminalSize(file); !ok {
		return func() {}
	}
	timer := time.AfterFunc(500*time.Millisecond, func() { fmt.Fprintln(file, text) })
	return func() { timer.Stop() }
}

// examine gathers everything and judges it.
func examine() *infoReport {
	r := &infoReport{
		Build:   readBuild(),
		CPUs:    readCPUs(rootFS()),
		Sandbox: readSandbox(rootFS(), os.Getenv),
	}
	r.Fence = measureFence()
	r.Probe = proveProbe()
	r.Add = proveAdd(2 * time.Second)
	r.Status = rseq.Status() // last: its counts of areas, and the abort counts, include the proof's
	r.Sections = append([]rseqkit.Section{}, rseqkit.Sections()...)
	r.Advice = advise(r.Status, r.Sandbox)
	r.ExitCode, r.Verdict = r.judge()
	return r
}

// judge turns what was found into an exit code and one sentence.
func (r *infoReport) judge() (code int, verdict string) {
	switch {
	case r.Status.RequestErr != nil:
		return exitWrong, rseq.EngineVariable + " was not honoured; the " + r.Status.Engine.String() + " engine runs"
	case r.Status.Engine != rseq.EngineRseq:
		return exitFallback, "the " + r.Status.Engine.String() + " engine runs; everything works on it"
	case !r.Probe.Proven:
		return exitWrong, "the rseq engine was chosen, but no abort could be proven"
	case r.Add.Error != "" || !r.Add.Exact:
		return exitWrong, "the rseq engine was chosen, but additions under fences went wrong"
	}
	return exitOK, "the rseq engine runs, and the kernel aborts critical sections"
}

func (r *infoReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(r)
	}
	_, err := io.WriteString(w, r.text())
	return err
}

// text is the report for people, at most 80 columns wide.
func (r *infoReport) text() string {
	var p page
	s := r.Status
	p.heading("Engine")
	p.field("engine", "%v", s.Engine)
	p.field("why", "%s", shortReason(s.Engine, s.Reason))
	if s.Requested != "" {
		p.field(rseq.EngineVariable, "%s", s.Requested)
	}
	if s.RequestMsg != "" {
		p.field("not honoured", "%s", s.RequestMsg)
	}

	p.heading("Machine")
	p.field("kernel", "%s", orUnknown(s.Kernel))
	p.field("system", "%s/%s", s.GOOS, s.GOARCH)
	p.field("Go", "%s, cgo %s%s", s.GoVersion, onOff(r.Build.Cgo), prefixed(", tags ", r.Build.Tags))
	p.field("rseqkit", "%s%s", r.Build.Version, prefixed(", revision ", r.Build.Revision))
	p.field("C library", "%s", orUnknown(s.Libc))
	p.field("CPUs possible", "%d", r.CPUs.Possible)
	p.field("online", "%s", countOf(r.CPUs.Online, r.CPUs.OnlineList))
	p.field("allowed", "%s", countOf(r.CPUs.Allowed, r.CPUs.AllowedList))
	p.field("GOMAXPROCS", "%d", r.CPUs.GOMAXPROCS)
	if r.CPUs.Quota > 0 {
		p.field("cgroup quota", "%.2f CPUs", r.CPUs.Quota)
	} else {
		p.field("cgroup quota", "none found")
	}
	p.field("container", "%s", describeContainer(r.Sandbox))
	p.field("seccomp", "%s", describeSeccomp(r.Sandbox))
	if r.Sandbox.TracerPID != 0 {
		p.field("traced by", "process %d", r.Sandbox.TracerPID)
	}

	p.heading("Registration")
	p.field("owner", "%s", s.Owner)
	if s.RegistrationLength > 0 {
		p.field("length", "%d bytes", s.RegistrationLength)
	}
	if s.FeatureSize > 0 {
		p.field("kernel knows", "%d bytes of the area, alignment %d", s.FeatureSize, s.Align)
	}
	p.field("area found by", "%s", s.Lookup)
	if s.Engine == rseq.EngineRseq {
		if s.Owner == rseq.OwnerRseqkit {
			p.field("areas", "%d in use, %d mapped, %d taken over from ended threads", s.AreasInUse, s.AreasMapped, s.AreasReused)
		}
		p.field("NUMA node", "%s", yesNo(s.HasNodeID))
		p.field("concurrency id", "%s", yesNo(s.HasConcurrencyID))
		p.field("slice extension", "%s", yesNo(s.HasSliceExtension))
	}
	p.field("fence", "%s", r.Fence.describe(s.HasFence))

	if len(r.Sections) > 0 {
		p.heading("Critical sections")
		p.line("  %-24s %14s %6s %14s %10s", "name", "start", "bytes", "abort handler", "aborts")
		for _, section := range r.Sections {
			p.line("  %-24s %#14x %6d %#14x %10s", section.Name, section.Start, section.End-section.Start, section.Abort, grouped(int64(section.Aborts)))
		}
	}

	p.heading("Abort, proven live")
	p.field("probe section", "%s", r.Probe.describe())
	p.field("Add", "%s", r.Add.describe())

	p.heading("What would help")
	for _, a := range r.Advice {
		p.bullet(a.Help)
	}
	if len(r.Advice) == 0 {
		p.bullet("nothing is missing")
	}
	p.heading("Result")
	p.bullet(fmt.Sprintf("%s (exit code %d)", r.Verdict, r.ExitCode))
	return p.String()
}

// shortReason leaves out the engine's name, which stands beside it.
func shortReason(engine rseq.Engine, reason string) string {
	return strings.TrimPrefix(reason, engine.String()+" engine: ")
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func countOf(n int, list string) string {
	switch {
	case n == 0:
		return "unknown"
	case list == "":
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d (%s)", n, list)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func describeContainer(box sandboxFacts) string {
	switch {
	case box.GVisor && box.Container != "":
		return "gVisor, and a container by " + box.Container
	case box.GVisor:
		return "gVisor"
	case box.Container != "":
		return "yes, by " + box.Container
	}
	return "no sign of one"
}

func describeSeccomp(box sandboxFacts) string {
	if box.SeccompFilters > 0 {
		return fmt.Sprintf("%s, filters: %d", box.Seccomp, box.SeccompFilters)
	}
	return box.Seccomp
}
