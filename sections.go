package rseqkit

// Section describes one critical section of this process.
type Section struct {
	Name   string  `json:"name"`   // the Go function's name
	Start  uintptr `json:"start"`  // address of the first instruction inside
	End    uintptr `json:"end"`    // address after the committing instruction
	Abort  uintptr `json:"abort"`  // address of the abort handler
	Aborts uint64  `json:"aborts"` // aborts so far, in all threads
}

// The sections, in the order of sectionSymbols in asm_$GOARCH.s.
var sectionNames = [...]string{
	"Add",
	"AddFloat",
	"AddByConcurrencyID",
	"AddFloatByConcurrencyID",
}

const sectionCount = len(sectionNames)
