// Command with is a program that counts to one on a per-CPU counter. Package
// without does the same on an atomic.
package main

import (
	"os"

	"github.com/rseqkit/rseqkit/percpu"
)

func main() {
	var c percpu.Counter
	c.Add(1)
	os.Exit(int(c.Value() - 1))
}
