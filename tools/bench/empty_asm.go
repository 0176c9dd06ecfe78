//go:build amd64 || arm64

package main

import "github.com/rseqkit/rseqkit/cpumem"

const emptyAssembly = true

// emptyAdd has the signature of rseqkit.Add and returns at once: no counter
// that is an assembly function can cost less.
func emptyAdd(h *cpumem.Handle, displacement uintptr, delta int64)
