package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/rseqkit/rseqkit/rseq"
)

// machine is what the figures depend on besides the code.
type machine struct {
	CPU        string `json:"cpu"`
	Allowed    int    `json:"allowed"`  // CPUs that this process may use
	Possible   int    `json:"possible"` // one more than the highest CPU number
	GOMAXPROCS int    `json:"gomaxprocs"`
	GOOS       string `json:"goos"`
	GOARCH     string `json:"goarch"`
	Kernel     string `json:"kernel,omitempty"`
	GoVersion  string `json:"goVersion"`
}

func thisMachine(status rseq.Info) machine {
	return machine{
		CPU:        cpuModel(),
		Allowed:    runtime.NumCPU(),
		Possible:   rseq.PossibleCPUs(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		GOOS:       runtime.GOOS,
		GOARCH:     runtime.GOARCH,
		Kernel:     status.Kernel,
		GoVersion:  status.GoVersion,
	}
}

// cpuModel is the model's name from /proc/cpuinfo, where arm64 has only
// numbers.
func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	var part []string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name":
			return strings.TrimSpace(value)
		case "CPU implementer", "CPU part":
			part = append(part, strings.TrimSpace(key)+" "+strings.TrimSpace(value))
		case "":
			if len(part) > 0 { // the first CPU's
				return strings.Join(part, ", ")
			}
		}
	}
	return runtime.GOARCH + " of unknown model"
}

// load is what else the machine did during a run.
type load struct {
	Known         bool    `json:"known"`
	Before        string  `json:"before"`        // load average of the last minute
	After         string  `json:"after"`         // the same
	OthersCPUs    float64 `json:"othersCPUs"`    // CPUs kept busy by other processes, on average
	StolenPercent float64 `json:"stolenPercent"` // of all CPUs' time, by the hypervisor
}

// loadMeter compares two readings of the machine's and our own CPU time.
type loadMeter struct {
	start        time.Time
	average      string
	busy, stolen float64 // seconds
	total        float64
	own          time.Duration
}

func readLoad() loadMeter {
	m := loadMeter{start: time.Now(), own: ownCPUTime()}
	text, _ := os.ReadFile("/proc/loadavg")
	m.average, _, _ = strings.Cut(string(text), " ")
	text, _ = os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	// proc_stat(5): user nice system idle iowait irq softirq steal
	for i, field := range strings.Fields(line) {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 {
			continue
		}
		seconds := ticks / 100 // USER_HZ, the same everywhere
		m.total += seconds
		switch i {
		case 4, 5: // nobody
		case 8:
			m.stolen += seconds
		default:
			m.busy += seconds
		}
	}
	return m
}

func (m loadMeter) since() load {
	now := readLoad()
	if m.average == "" || now.total <= m.total {
		return load{}
	}
	elapsed := now.start.Sub(m.start).Seconds()
	others := (now.busy - m.busy - (now.own - m.own).Seconds()) / elapsed
	return load{
		Known: true, Before: m.average, After: now.average,
		OthersCPUs:    max(0, others),
		StolenPercent: 100 * (now.stolen - m.stolen) / (now.total - m.total),
	}
}
