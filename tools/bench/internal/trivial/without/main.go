// Command without is a program that counts to one. Package with does the same
// on a per-CPU counter; what the two differ by is what the toolkit costs.
package main

import (
	"os"
	"sync/atomic"
)

func main() {
	var c atomic.Int64
	c.Add(1)
	os.Exit(int(c.Load() - 1))
}
