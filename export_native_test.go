//go:build linux && (amd64 || arm64) && !purego

package rseqkit

// The slow paths of sections that are aborted too often, which nothing but a
// debugger reaches reliably.
var (
	AddAborted      = addAborted
	AddFloatAborted = addFloatAborted
)

// Numbers that sections.h has too.
const (
	TableEntries = tableEntries
	AbortLimit   = abortLimit
)
