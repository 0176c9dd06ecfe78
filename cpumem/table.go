package cpumem

import (
	"sync/atomic"
	"unsafe"

	"github.com/rseqkit/rseqkit/rseq"
)

// table is a domain's region table as the sections in asm_$GOARCH.s read it:
// by index 1 more than a region's distance in bytes from region 0; or 0: no
// memory yet, or stopped. It is mapped, so that it shares its pages with
// nothing, and only the pages of CPUs that exist become real memory.
type table [tableEntries]uintptr

// tableEntries is a power of two so that a section masks an index instead of
// comparing it: the kernel's "not registered" values, -1 and -2, fall on the
// last two entries, which stay zero and so lead to the slow path.
const tableEntries = 16384

var _ [tableEntries - 2 - rseq.MaxCPUs]struct{} // the last two entries are no CPU's

func (t *table) entry(index int) *atomic.Uintptr {
	return (*atomic.Uintptr)(unsafe.Pointer(&t[index]))
}
