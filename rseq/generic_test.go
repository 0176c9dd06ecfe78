//go:build !linux || (!amd64 && !arm64) || purego

package rseq

var errNoLibcRseqForTest = ErrBuild
