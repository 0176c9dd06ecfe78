package rseq

import (
	"fmt"
	"strconv"
	"strings"
)

// kernelVersion is the numeric head of uname's release.
type kernelVersion struct{ major, minor, patch int }

// parseKernelVersion reads "6.1.0-38-cloud-amd64" as 6.1.0. Vendors put
// anything behind the numbers; a release without two of them is no version.
func parseKernelVersion(release string) (kernelVersion, bool) {
	var n [3]int
	rest := release
	for i := range n {
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		v, err := strconv.Atoi(rest[:end])
		if err != nil {
			return kernelVersion{n[0], n[1], 0}, i == 2
		}
		n[i] = v
		if rest = rest[end:]; !strings.HasPrefix(rest, ".") {
			return kernelVersion{n[0], n[1], n[2]}, i >= 1
		}
		rest = rest[1:]
	}
	return kernelVersion{n[0], n[1], n[2]}, true
}

func (v kernelVersion) String() string {
	return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch)
}

// neverAborts reports the arm64 kernels whose entry code lost the fact that
// user mode was interrupted, so that a critical section is never aborted: the
// rework in 6.19, repaired for 7.0.14 and 7.1 by kernel commit 411c1cf43039.
// 6.19 went out of support without the repair. A release that cannot be read
// may be one of them.
func neverAborts(release, goarch string) bool {
	if goarch != "arm64" {
		return false
	}
	v, ok := parseKernelVersion(release)
	return !ok || v.major == 6 && v.minor >= 19 || v.major == 7 && v.minor == 0 && v.patch < 14
}

// sharesConcurrencyIDs reports the arm64 kernels on which two running threads
// could have the same concurrency id for a moment: before 6.9 switch_mm_cid
// lacked a barrier that weakly ordered processors need. Some stable series
// have the repair under an older number, which nothing tells us.
func sharesConcurrencyIDs(release, goarch string) bool {
	if goarch != "arm64" {
		return false
	}
	v, ok := parseKernelVersion(release)
	return !ok || v.major < 6 || v.major == 6 && v.minor < 9
}
