package cpumem_test

import (
	"fmt"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
)

// A structure of two words a CPU, its sum read from anywhere.
func ExampleHandle() {
	var h cpumem.Handle
	if err := cpumem.Allocate(&h, 2*cpumem.WordSize); err != nil {
		fmt.Println(err)
		return
	}
	rseqkit.Add(&h, 0, 40)
	rseqkit.Add(&h, 8, 1)
	rseqkit.Add(&h, 0, 2)
	var sums [2]uint64
	for region := range h.Domain().Regions() {
		for i := range sums {
			if word := h.Word(region, uintptr(i)*cpumem.WordSize); word != nil {
				sums[i] += *word // nobody writes any more
			}
		}
	}
	fmt.Println(sums)
	// Output: [42 1]
}

// Work alone on one CPU's memory, whatever runs there.
func ExampleDomain_Stop() {
	d, err := cpumem.New(cpumem.Config{Size: 4096})
	if err != nil {
		fmt.Println(err)
		return
	}
	var h cpumem.Handle
	if err := d.Allocate(&h, cpumem.WordSize); err != nil {
		fmt.Println(err)
		return
	}
	stopped, err := d.Stop(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	*h.Word(0, 0) = 7
	stopped.Resume()
	fmt.Println(*h.Word(0, 0))
	// Output: 7
}
