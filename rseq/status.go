package rseq

import (
	"runtime"
)

// Owner says who registers a process's threads.
type Owner string

const (
	OwnerNone    Owner = "nobody"  // no thread is registered by anyone we know
	OwnerRseqkit Owner = "rseqkit" // this package, lazily, with areas of its own
	OwnerLibc    Owner = "libc"    // glibc 2.35 or later, when it creates a thread
	// OwnerDormant: glibc keeps an area for each thread but was told not to
	// register it (the tunable glibc.pthread.rseq=0); this package does.
	OwnerDormant Owner = "rseqkit, in the area that libc left unregistered"
)

// Info is a report on the engine and what it stands on. Its text fields are
// for people; decide by Engine and the errors.
type Info struct {
	Engine     Engine `json:"engine"`
	Reason     string `json:"reason"`               // why this engine
	Err        error  `json:"-"`                    // what keeps the rseq engine away, or nil
	Requested  string `json:"requested,omitempty"`  // RSEQKIT_ENGINE
	RequestErr error  `json:"-"`                    // why it was not honoured, or nil
	RequestMsg string `json:"requestErr,omitempty"` // the same as text

	GOOS         string `json:"goos"`
	GOARCH       string `json:"goarch"`
	GoVersion    string `json:"goVersion"`
	Kernel       string `json:"kernel"`       // uname's release, or ""
	PossibleCPUs int    `json:"possibleCPUs"` // one more than the highest CPU number

	FeatureSize        uint32 `json:"featureSize"`        // bytes of struct rseq the kernel knows; 0 unknown
	Align              uint32 `json:"align"`              // bytes
	RegistrationLength uint32 `json:"registrationLength"` // bytes; 0 if nothing is registered
	Owner              Owner  `json:"owner"`
	Lookup             string `json:"lookup"` // how a section finds its thread's area
	Libc               string `json:"libc"`   // where the C library's symbols were found, or why not
	HasNodeID          bool   `json:"hasNodeID"`
	HasConcurrencyID   bool   `json:"hasConcurrencyID"`
	HasSliceExtension  bool   `json:"hasSliceExtension"` // fields known to the kernel, 7.0

	HasFence           bool `json:"hasFence"`
	MembarrierCommands int  `json:"membarrierCommands"` // mask that the kernel lists; incomplete before 5.17

	AreasInUse  int `json:"areasInUse"`  // threads with an area of this package, dead ones not yet noticed included
	AreasMapped int `json:"areasMapped"` // areas ever mapped
	AreasReused int `json:"areasReused"` // areas taken over from dead threads
}

// Status reports which engine runs, why, and what this machine offers. It
// chooses the engine if nothing has been used yet; see [Active].
func Status() Info {
	c := current()
	info := Info{
		Engine:       c.engine,
		Reason:       "rseq engine: every check at start passed",
		Err:          c.obstacle,
		Requested:    c.requested,
		RequestErr:   c.requestErr,
		GOOS:         runtime.GOOS,
		GOARCH:       runtime.GOARCH,
		GoVersion:    goVersion(),
		PossibleCPUs: PossibleCPUs(),
		Owner:        OwnerNone,
		Lookup:       "none: no section runs",
		HasFence:     c.fenceErr == nil,
	}
	if c.obstacle != nil {
		info.Reason = c.engine.String() + " engine: " + c.obstacle.Error()
	}
	if c.requestErr != nil {
		info.RequestMsg = c.requestErr.Error()
	}
	describeNative(&info, c)
	return info
}

func goVersion() string {
	if goVersionOverride != "" {
		return goVersionOverride
	}
	return runtime.Version()
}
