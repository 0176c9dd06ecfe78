package main

import (
	"testing"
	"testing/fstest"
)

func files(contents map[string]string) fstest.MapFS {
	fs := make(fstest.MapFS)
	for name, text := range contents {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

func TestReadQuota(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  float64
	}{
		"nothing readable": {nil, 0},
		"version 2, own group": {map[string]string{
			"proc/self/cgroup":                "0::/a/b\n",
			"sys/fs/cgroup/a/b/cpu.max":       "max 100000\n",
			"sys/fs/cgroup/a/cpu.max":         "150000 100000\n",
			"sys/fs/cgroup/elsewhere/cpu.max": "1000 100000\n",
		}, 1.5},
		"version 2, root of a container": {map[string]string{
			"proc/self/cgroup":      "0::/\n",
			"sys/fs/cgroup/cpu.max": "50000 100000\n",
		}, 0.5},
		"version 2, group not visible": {map[string]string{
			"proc/self/cgroup":      "0::/../../x\n",
			"sys/fs/cgroup/cpu.max": "200000 100000\n",
		}, 2},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/c\n0::/\n",
			"sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us":  "300000\n",
			"sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
		}, 3},
		"version 1, no limit": {map[string]string{
			"proc/self/cgroup":                    "1:cpu:/\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 0},
		"nonsense": {map[string]string{
			"proc/self/cgroup":      "x\n0::/\n",
			"sys/fs/cgroup/cpu.max": "lots 0\n",
		}, 0},
	} {
		if got := readQuota(files(test.files)); got != test.want {
			t.Errorf("%s: %v CPUs, want %v", name, got, test.want)
		}
	}
}

func TestReadSandbox(t *testing.T) {
	none := func(string) string { return "" }
	status := "Name:\tx\nTracerPid:\t12\nSeccomp:\t2\nSeccomp_filters:\t3\nCpus_allowed_list:\t0-1\n"
	box := readSandbox(files(map[string]string{"proc/self/status": status, ".dockerenv": ""}), none)
	if want := (sandboxFacts{Container: "/.dockerenv", Seccomp: "filter", SeccompFilters: 3, TracerPID: 12}); box != want {
		t.Errorf("%+v, want %+v", box, want)
	}
	if got := readSandbox(files(nil), none); got != (sandboxFacts{Seccomp: "unknown"}) {
		t.Errorf("no files: %+v", got)
	}
	for _, version := range []string{"Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016", "Linux version 4.19.0-gvisor #1"} {
		if !readSandbox(files(map[string]string{"proc/version": version}), none).GVisor {
			t.Errorf("%q is not taken for gVisor", version)
		}
	}
	kubernetes := func(name string) string { return map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}[name] }
	if box := readSandbox(files(nil), kubernetes); box.Container != "KUBERNETES_SERVICE_HOST" {
		t.Errorf("%+v", box)
	}
}

func TestCountList(t *testing.T) {
	for list, want := range map[string]int{"": 0, "0": 1, "0-3": 4, "0-3,8,10-11": 7, "x": 0, "3-1": 0, "0-": 0} {
		if got := countList(list); got != want {
			t.Errorf("%q: %d CPUs, want %d", list, got, want)
		}
	}
}
