// Package libcself asks the C library itself about its rseq registration, for
// tests that check what package rseq finds out without cgo. It has something
// to say only in programs built with cgo on Linux. Importing it makes the
// program a cgo program.
package libcself
