package rseq

import (
	"fmt"
	"strconv"
	"strings"
)

// goLayout says where a Go release keeps what the thread lookup of builds
// without cgo needs: offsets in bytes into runtime.g and runtime.m
// (src/runtime/runtime2.go), the same on amd64 and arm64.
//
// The runtime promises none of this. Three guards stand in for the promise:
// this table with its upper bound, the checks of selfTest on a live thread
// before anything is believed, and a test that reads the offsets out of the
// debug information of whatever Go release runs it.
type goLayout struct {
	minor   int     // of go1.minor
	gM      uintptr // g.m: the thread a goroutine runs on
	mProcid uintptr // m.procid: equals gettid, the cross-check
	mTLS    uintptr // m.tls: six words; what slotWord says of them is unused
}

var goLayouts = []goLayout{
	{minor: 25, gM: 48, mProcid: 64, mTLS: 128},
	{minor: 26, gM: 48, mProcid: 64, mTLS: 128},
	{minor: 27, gM: 48, mProcid: 64, mTLS: 128},
}

// goVersionOverride replaces runtime.Version when the linker sets it
// (-ldflags=-X), so that a test can run under a release of the future.
var goVersionOverride string

// layoutFor finds the layout of a runtime.Version string such as "go1.26.8",
// "go1.27rc1 X:aliastypeparams" or "devel go1.28-0a1b2c Tue ...".
func layoutFor(version string) (goLayout, error) {
	first, last := goLayouts[0].minor, goLayouts[len(goLayouts)-1].minor
	unknown := fmt.Errorf("%w: %q; known are go1.%d to go1.%d", ErrGoRelease, version, first, last)
	_, rest, found := strings.Cut(version, "go1.")
	if !found {
		return goLayout{}, unknown
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	minor, err := strconv.Atoi(rest[:end])
	if err != nil || strings.HasPrefix(version, "devel") {
		return goLayout{}, unknown
	}
	for _, l := range goLayouts {
		if l.minor == minor {
			return l, nil
		}
	}
	return goLayout{}, unknown
}
