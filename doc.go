// Package rseqkit is the set of critical sections: per-CPU operations in
// hand-written assembly that Linux restarts when their thread is preempted,
// migrated or signalled inside them, so that they need no atomic instruction,
// no lock and no cache line that CPUs share.
//
// Each operation is one Go function. It works on an 8-byte word of per-CPU
// memory: the one at displacement bytes from the handle's place in the region
// of the CPU that runs it (package cpumem). Displacements are not checked on
// the fast path; a structure that takes them from outside checks them.
//
//	Add       word += delta
//	AddFloat  word += delta, in float64
//
// An operation always happens exactly once, on every engine: if its section
// cannot run (no engine for it, a thread that cannot be registered, a CPU that
// somebody has stopped) it is done with atomics on a word that every read of
// the same handle counts in; if its section was aborted again and again (a
// debugger steps through it) it runs as an operation vector of package cpuopv
// on the same word.
//
// Most programs want package percpu, which builds counters and more on this.
// [Sections] lists the sections with their addresses and abort counts.
package rseqkit
