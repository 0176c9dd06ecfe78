// Package percpu has data structures whose updates stay on the CPU that makes
// them: no atomic instruction, no lock, no cache line that CPUs share. They
// run on Linux restartable sequences where those are available and keep the
// same contracts everywhere else; rseq.Status says which of the two it is.
//
//   - [Counter], [UintCounter], [FloatCounter]: exact sums, zero value ready.
//   - [CounterGroup]: many counters allocated together and read in one pass.
//
// # When not to use it
//
// A value that is read as often as it is written, must be read as a snapshot
// together with others, or is updated by one goroutine only, is better off as
// an atomic: reading a per-CPU value visits every CPU's memory.
package percpu
