package main

import (
	"errors"

	"github.com/rseqkit/rseqkit/rseq"
)

// advice is one thing that stands in the way, or that is missing, and what
// would help. Codes are stable: scripts may decide by them.
type advice struct {
	Code string `json:"code"`
	Help string `json:"help"`
}

// remedies are in the order in which they are looked for: an obstacle may
// wrap several, and the first is what to do first.
var remedies = []struct {
	obstacle error
	advice   advice
}{
	{rseq.ErrBuild, advice{"build", "critical sections exist for linux/amd64 and linux/arm64, built without the tag purego; everywhere else the portable engine does the same work"}},
	{rseq.ErrGoRelease, advice{"goRelease", "update rseqkit to a version that knows this Go release, or build with one that it knows; both are named above"}},
	{rseq.ErrDenied, advice{"denied", "allow the system calls rseq and membarrier in the seccomp profile (Docker's default profile has both since 20.10); to see whether it is the profile, run once without: docker run --security-opt seccomp=unconfined"}},
	{rseq.ErrNoFence, advice{"noFence", "use Linux 5.10 or later, which has membarrier for restartable sequences; if the kernel is newer, allow the system call membarrier in the seccomp profile"}},
	{rseq.ErrNotSupported, advice{"notSupported", "use Linux 4.18 or later built with CONFIG_RSEQ=y; an emulator (qemu-user) or a sandbox with a kernel of its own may not have it whatever the host has"}},
	{rseq.ErrBrokenKernel, advice{"brokenKernel", "this kernel would let per-CPU data go wrong: use Linux 7.0.14, 7.1 or later, or one before 6.19"}},
	{rseq.ErrNoLibcArea, advice{"noLibcArea", "build with CGO_ENABLED=0, or use glibc 2.35 or later, whose symbols say where its area is"}},
	{rseq.ErrForeignRegistration, advice{"foreignRegistration", "another library has registered this process's threads and does not say where: build with CGO_ENABLED=0, or with glibc 2.35 or later, which shares its registration"}},
	{rseq.ErrLibcOwned, advice{"libcOwned", "the C library keeps the registration to itself: build with CGO_ENABLED=0"}},
	{rseq.ErrSelfTest, advice{"selfTest", "a check at start found something that rseqkit does not know: please report it with the output of rseqkit info --json"}},
	{rseq.ErrLayout, advice{"layout", "this kernel takes no area of the length used: please report it with the output of rseqkit info --json"}},
}

// advise says what would help, most pressing first: on the request that was
// not honoured, on the obstacle, on what the kernel lacks.
func advise(status rseq.Info, box sandboxFacts) []advice {
	list := []advice{} // not nil: an empty JSON list
	if status.RequestErr != nil {
		list = append(list, advice{"engineRequest", "unset " + rseq.EngineVariable + ", or set it to an engine that runs here: rseq, locked or portable"})
	}
	if status.Err != nil {
		list = append(list, onObstacle(status, box))
	}
	if status.Engine == rseq.EngineRseq && !status.HasConcurrencyID {
		list = append(list, advice{"noConcurrencyID", "domains by concurrency id need Linux 6.3 (mm_cid); all else works without"})
	}
	if status.Engine == rseq.EngineRseq && box.TracerPID != 0 {
		list = append(list, advice{"traced", "a debugger or tracer is attached: what it interrupts is aborted, and what it steps through takes the slow path"})
	}
	return list
}

func onObstacle(status rseq.Info, box sandboxFacts) advice {
	if status.Requested != "" && status.RequestErr == nil && status.Engine != rseq.EngineRseq {
		return advice{"engineForced", "unset " + rseq.EngineVariable + " to let rseqkit choose; with it set, the rseq engine was not even tried"}
	}
	if box.GVisor && (errors.Is(status.Err, rseq.ErrNotSupported) || errors.Is(status.Err, rseq.ErrNoFence)) {
		return advice{"gvisor", "gVisor stands between this program and the kernel: run it on the host's kernel (runtime runc) for the rseq engine"}
	}
	for _, r := range remedies {
		if errors.Is(status.Err, r.obstacle) {
			return r.advice
		}
	}
	return advice{"unknown", "please report it with the output of rseqkit info --json"}
}
