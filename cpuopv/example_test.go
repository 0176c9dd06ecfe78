package cpuopv_test

import (
	"fmt"

	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/cpuopv"
)

// Compare and store on CPU 0, from wherever the caller runs.
func ExampleExec() {
	var h cpumem.Handle
	if err := cpumem.Allocate(&h, cpumem.WordSize); err != nil {
		fmt.Println(err)
		return
	}
	for _, expect := range []uint64{0, 0} {
		stopped, err := cpuopv.Exec(0,
			cpuopv.CompareEqual(&h, 0, expect),
			cpuopv.Store(&h, 0, 5))
		fmt.Println(stopped, err, *h.Word(0, 0))
	}
	// Output:
	// 0 <nil> 5
	// 1 <nil> 5
}
