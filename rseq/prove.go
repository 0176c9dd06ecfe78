package rseq

import "time"

// AbortProof is what ProveAbort saw.
type AbortProof struct {
	Attempts int           `json:"attempts"` // sections started
	Aborts   int           `json:"aborts"`   // of them, sent to their abort handler by the kernel
	Commits  int           `json:"commits"`  // of them, committed
	Fences   int           `json:"fences"`   // fences issued meanwhile from another thread
	Elapsed  time.Duration `json:"elapsedNanoseconds"`
}
