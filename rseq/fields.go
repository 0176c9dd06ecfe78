package rseq

import "fmt"

// Fields of Area that select a CPU's memory, for [Field].
const (
	CPUIDField         = offsetCPUID
	ConcurrencyIDField = offsetMMCID
)

// Field returns a field of the calling thread's area, by its offset in [Area],
// or false where the thread is not registered yet. For the layers above, which
// know that the field is live.
func Field(offset uintptr) (int, bool) {
	v := loadField(offset)
	return int(v), v >= 0
}

// CPU returns the number of the CPU that the caller runs on, from 0 to
// [PossibleCPUs]-1, or -1 where that is not known (the portable engine). It is
// a hint the moment it returns. Cost: about 2 ns on the rseq engine.
func CPU() int {
	if cpu := loadField(offsetCPUID); cpu >= 0 {
		return int(cpu)
	}
	cpu, _ := slowCPU()
	return cpu
}

// Node returns the number of the caller's NUMA node, or -1 where that is not
// known. A hint, at the cost of [CPU] on Linux 6.3 and later.
func Node() int {
	if current().thread.features >= endNodeID {
		if node := loadField(offsetNodeID); node >= 0 {
			return int(node)
		}
	}
	_, node := slowCPU()
	return node
}

// HasConcurrencyID returns nil if the areas of this process have the
// concurrency id, else ErrNoConcurrencyID.
func HasConcurrencyID() error {
	c := current()
	if c.engine != EngineRseq || c.thread.features < endMMCID {
		return fmt.Errorf("rseq: %w: needs the rseq engine on Linux 6.3", ErrNoConcurrencyID)
	}
	if c.thread.sharedIDs {
		return fmt.Errorf("rseq: %w that holds: arm64 Linux before 6.9 may give one id to two threads", ErrNoConcurrencyID)
	}
	return nil
}

// ConcurrencyID returns the caller's concurrency id (mm_cid, Linux 6.3): a
// small number below the number of possible CPUs that no two running threads
// of the process share; few threads on a big machine have few ids. A hint, at
// the cost of [CPU]. The error is ErrNoConcurrencyID, or the obstacle that
// keeps this thread from being registered.
func ConcurrencyID() (int, error) {
	if err := HasConcurrencyID(); err != nil {
		return 0, err
	}
	for range 2 { // once more after registering
		if id := loadField(offsetMMCID); id >= 0 {
			return int(id), nil
		}
		if !RegisterThread() {
			break
		}
	}
	return 0, fmt.Errorf("rseq: %w: this thread cannot be registered", ErrNoConcurrencyID)
}
