package rseqkit_test

import (
	"fmt"

	"github.com/rseqkit/rseqkit"
	"github.com/rseqkit/rseqkit/cpumem"
	"github.com/rseqkit/rseqkit/rseq"
)

func ExampleAdd() {
	var h cpumem.Handle // one word, allocated by its first use
	rseqkit.Add(&h, 0, 5)
	rseqkit.Add(&h, 0, -2)
	var sum uint64
	for region := range h.Domain().Regions() {
		if word := h.Word(region, 0); word != nil {
			sum += *word // nobody writes any more
		}
	}
	fmt.Println(sum)
	// Output: 3
}

func ExampleSections() {
	rseqkit.Add(new(cpumem.Handle), 0, 1)
	for _, s := range rseqkit.Sections() {
		if s.Abort <= s.End || s.End <= s.Start {
			fmt.Println("not in order:", s.Name)
		}
	}
	fmt.Println(len(rseqkit.Sections()) > 0 == (rseq.Active() == rseq.EngineRseq))
	// Output: true
}
