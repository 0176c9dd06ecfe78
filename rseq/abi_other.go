//go:build !amd64 && !arm64

package rseq

// Signature precedes every abort handler; this architecture has no critical
// sections here.
const Signature uint32 = 0
