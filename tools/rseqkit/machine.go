package main

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"github.com/rseqkit/rseqkit/rseq"
)

// What the machine and the container give, read from files that need no
// privilege. A file that is missing or unreadable leaves its field empty:
// nothing here decides anything, it is shown.

// cpuFacts are the CPU counts that people confuse.
type cpuFacts struct {
	Possible    int     `json:"possible"`              // one more than the highest CPU number
	Online      int     `json:"online,omitempty"`      // 0: unknown
	OnlineList  string  `json:"onlineList,omitempty"`  // such as "0-3,8"
	Allowed     int     `json:"allowed"`               // by affinity, when this process started
	AllowedList string  `json:"allowedList,omitempty"` // of the main thread, now
	GOMAXPROCS  int     `json:"gomaxprocs"`
	Quota       float64 `json:"quota,omitempty"` // CPUs worth of time by cgroup; 0: no limit found
}

// sandboxFacts are hints at what stands between this process and the kernel.
type sandboxFacts struct {
	Container      string `json:"container,omitempty"` // what says so
	GVisor         bool   `json:"gvisor"`
	Seccomp        string `json:"seccomp"` // "off", "strict", "filter" or "unknown"
	SeccompFilters int    `json:"seccompFilters,omitempty"`
	TracerPID      int    `json:"tracerPid,omitempty"` // a debugger or strace; 0: none
}

// rootFS is the file system that the facts are read from.
func rootFS() fs.FS { return os.DirFS("/") }

func readCPUs(files fs.FS) cpuFacts {
	status := readStatus(files)
	facts := cpuFacts{
		Possible:    rseq.PossibleCPUs(),
		OnlineList:  readLine(files, "sys/devices/system/cpu/online"),
		Allowed:     runtime.NumCPU(),
		AllowedList: status["Cpus_allowed_list"],
		GOMAXPROCS:  runtime.GOMAXPROCS(0),
		Quota:       readQuota(files),
	}
	facts.Online = countList(facts.OnlineList)
	return facts
}

func readSandbox(files fs.FS, getenv func(string) string) sandboxFacts {
	status := readStatus(files)
	facts := sandboxFacts{Seccomp: "unknown"}
	switch status["Seccomp"] {
	case "0":
		facts.Seccomp = "off"
	case "1":
		facts.Seccomp = "strict"
	case "2":
		facts.Seccomp = "filter"
	}
	facts.SeccompFilters, _ = strconv.Atoi(status["Seccomp_filters"])
	facts.TracerPID, _ = strconv.Atoi(status["TracerPid"])

	// gVisor answers with a fixed version: "gvisor" in the release of newer
	// ones, and this build date in all (pkg/sentry/syscalls/linux).
	version := readLine(files, "proc/version")
	facts.GVisor = strings.Contains(version, "gvisor") || strings.Contains(version, "Jan 10 15:06:54 PST 2016")

	switch {
	case exists(files, ".dockerenv"):
		facts.Container = "/.dockerenv"
	case exists(files, "run/.containerenv"):
		facts.Container = "/run/.containerenv"
	case getenv("KUBERNETES_SERVICE_HOST") != "":
		facts.Container = "KUBERNETES_SERVICE_HOST"
	case getenv("container") != "":
		facts.Container = "container=" + getenv("container")
	}
	return facts
}

// readStatus reads the fields of /proc/self/status.
func readStatus(files fs.FS) map[string]string {
	fields := make(map[string]string)
	text, _ := fs.ReadFile(files, "proc/self/status")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

func readLine(files fs.FS, name string) string {
	text, _ := fs.ReadFile(files, name)
	return strings.TrimSpace(string(text))
}

func exists(files fs.FS, name string) bool {
	_, err := fs.Stat(files, name)
	return err == nil
}

// countList counts the numbers in a list such as "0-3,8"; 0 if it is none.
func countList(list string) int {
	count := 0
	for field := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(field, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || to < from {
			return 0
		}
		count += to - from + 1
	}
	return count
}

// readQuota returns the lowest CPU limit on the way from this process's
// control group to the root, in CPUs, or 0 if there is none to be seen.
func readQuota(files fs.FS) float64 {
	lowest := math.Inf(1)
	for line := range strings.Lines(readLine(files, "proc/self/cgroup")) {
		// "hierarchy:controllers:path", cgroups(7)
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var mounts []string
		limit := unifiedLimit
		switch {
		case fields[1] == "":
			mounts = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}
		case hasField(fields[1], "cpu"):
			mounts = []string{"sys/fs/cgroup/cpu", "sys/fs/cgroup/" + fields[1]}
			limit = legacyLimit
		}
		for _, mount := range mounts {
			for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
				if cpus, ok := limit(files, path.Join(mount, group)); ok {
					lowest = min(lowest, cpus)
				}
				if group == "/" {
					break
				}
			}
		}
	}
	if math.IsInf(lowest, 1) {
		return 0
	}
	return lowest
}

func hasField(list, want string) bool {
	for field := range strings.SplitSeq(list, ",") {
		if field == want {
			return true
		}
	}
	return false
}

// unifiedLimit reads "quota period" or "max period", in microseconds.
func unifiedLimit(files fs.FS, group string) (cpus float64, ok bool) {
	quota, period, _ := strings.Cut(readLine(files, path.Join(group, "cpu.max")), " ")
	return quotient(quota, period)
}

// legacyLimit reads the two files of version 1; a quota of -1 is no limit.
func legacyLimit(files fs.FS, group string) (cpus float64, ok bool) {
	return quotient(readLine(files, path.Join(group, "cpu.cfs_quota_us")), readLine(files, path.Join(group, "cpu.cfs_period_us")))
}

func quotient(quota, period string) (float64, bool) {
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	return q / p, err1 == nil && err2 == nil && q > 0 && p > 0
}
