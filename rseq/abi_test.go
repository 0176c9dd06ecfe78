package rseq

import (
	"testing"
	"unsafe"
)

// TestABI compares the structures with include/uapi/linux/rseq.h, field by
// field: the numbers here were read off the header, not computed.
func TestABI(t *testing.T) {
	var a Area
	var c CriticalSection
	for _, field := range []struct {
		name      string
		got, want uintptr
	}{
		{"rseq.cpu_id_start", unsafe.Offsetof(a.CPUIDStart), 0},
		{"rseq.cpu_id", unsafe.Offsetof(a.CPUID), 4},
		{"rseq.rseq_cs", unsafe.Offsetof(a.CS), 8},
		{"rseq.flags", unsafe.Offsetof(a.Flags), 16},
		{"rseq.node_id", unsafe.Offsetof(a.NodeID), 20},
		{"rseq.mm_cid", unsafe.Offsetof(a.MMCID), 24},
		{"rseq.slice_ctrl", unsafe.Offsetof(a.SliceCtrl), 28},
		{"rseq.__reserved", unsafe.Offsetof(a.Reserved), 32},
		{"rseq_cs.version", unsafe.Offsetof(c.Version), 0},
		{"rseq_cs.flags", unsafe.Offsetof(c.Flags), 4},
		{"rseq_cs.start_ip", unsafe.Offsetof(c.Start), 8},
		{"rseq_cs.post_commit_offset", unsafe.Offsetof(c.PostCommitOffset), 16},
		{"rseq_cs.abort_ip", unsafe.Offsetof(c.Abort), 24},
		{"sizeof rseq_cs", unsafe.Sizeof(c), 32},
		{"end of node_id", uintptr(endNodeID), 24},
		{"end of mm_cid", uintptr(endMMCID), 28},
	} {
		if field.got != field.want {
			t.Errorf("%s: %d, want %d", field.name, field.got, field.want)
		}
	}
}

func TestParseKernelVersion(t *testing.T) {
	for release, want := range map[string]kernelVersion{
		"6.1.0-38-cloud-amd64":     {6, 1, 0},
		"6.18.44-fc-v445":          {6, 18, 44},
		"7.0.13":                   {7, 0, 13},
		"7.1-rc3":                  {7, 1, 0},
		"5.15.153.1-microsoft-WSL": {5, 15, 153},
		"6.6":                      {6, 6, 0},
		"7.3+deb13-cloud-arm64":    {7, 3, 0},
	} {
		if got, ok := parseKernelVersion(release); !ok || got != want {
			t.Errorf("%q: %v, %t, want %v", release, got, ok, want)
		}
	}
	for _, release := range []string{"", "x", "6", "six.one", ".1", "4.x"} {
		if got, ok := parseKernelVersion(release); ok {
			t.Errorf("%q: taken for %v", release, got)
		}
	}
}

func TestBrokenKernels(t *testing.T) {
	for _, c := range []struct {
		release, arch string
		never, shares bool
	}{
		{"6.1.0-38-cloud-arm64", "arm64", false, true},
		{"6.8.12", "arm64", false, true},
		{"6.9.0", "arm64", false, false},
		{"6.18.44", "arm64", false, false},
		{"6.19.0", "arm64", true, false},
		{"6.19.12", "arm64", true, false},
		{"7.0.0-rc3", "arm64", true, false},
		{"7.0.13", "arm64", true, false},
		{"7.0.14", "arm64", false, false},
		{"7.1.0", "arm64", false, false},
		{"somebody's", "arm64", true, true},
		{"6.19.0", "amd64", false, false},
		{"6.3.1", "amd64", false, false},
		{"somebody's", "amd64", false, false},
	} {
		if got := neverAborts(c.release, c.arch); got != c.never {
			t.Errorf("%s on %s: never aborts %t", c.release, c.arch, got)
		}
		if got := sharesConcurrencyIDs(c.release, c.arch); got != c.shares {
			t.Errorf("%s on %s: shares concurrency ids %t", c.release, c.arch, got)
		}
	}
}

func TestParseCPUList(t *testing.T) {
	for list, want := range map[string]int{"0\n": 1, "0-1\n": 2, "0-3,8,10-11": 12, "0,64-127\n": 128} {
		if got, err := parseCPUList(list); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", list, got, err, want)
		}
	}
	for _, list := range []string{"", "x", "0-", "-1", "0-99999", "0,,1"} {
		if got, err := parseCPUList(list); err == nil {
			t.Errorf("%q: taken for %d CPUs", list, got)
		}
	}
}

func TestLayoutFor(t *testing.T) {
	for _, version := range []string{"go1.25.0", "go1.26.8", "go1.27", "go1.27rc1 X:aliastypeparams", "go1.25.3-fips"} {
		if _, err := layoutFor(version); err != nil {
			t.Errorf("%q: %v", version, err)
		}
	}
	for _, version := range []string{"", "go1", "go1.24.9", "go1.28", "go1.28rc1", "go2.0", "devel go1.27-0a1b2c3 Mon Jan 1", "tip"} {
		if l, err := layoutFor(version); err == nil {
			t.Errorf("%q: taken for go1.%d", version, l.minor)
		}
	}
}
