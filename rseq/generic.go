//go:build !linux || (!amd64 && !arm64) || purego

package rseq

import (
	"fmt"
	"runtime"
)

// This build has no critical sections: another operating system or
// architecture, or the tag purego.

const nativeBuild = false

type threadLookup struct {
	features  uint32
	sharedIDs bool
}

func startNative() (threadLookup, error) {
	return threadLookup{}, fmt.Errorf("rseq: %w: they need linux/amd64 or linux/arm64 without the build tag purego; this is %s/%s", ErrBuild, runtime.GOOS, runtime.GOARCH)
}

// AreaOffset returns 0: there is no area in this build.
func AreaOffset() uintptr { return 0 }

func loadField(uintptr) int32 { return -1 }

func slowCPU() (cpu, node int) { return -1, -1 }

func describeNative(*Info, *choice) {}

// RegisterThread returns false: no thread of this build runs sections.
func RegisterThread() bool { return false }

// Register returns ErrBuild.
func Register() error { return current().obstacle }

// Unregister returns ErrBuild.
func Unregister() error { return current().obstacle }

// Supported returns ErrBuild.
func Supported() error { return current().obstacle }

// Fence returns ErrNoFence.
func Fence() error { return current().fenceErr }

// FenceCPU returns ErrNoFence, or ErrCPU for a CPU out of range.
func FenceCPU(cpu int) error {
	if cpu < 0 || cpu >= PossibleCPUs() {
		return cpuError(cpu)
	}
	return current().fenceErr
}

// ProveAbort returns ErrBuild.
func ProveAbort(int) (AbortProof, error) { return AbortProof{}, current().obstacle }
