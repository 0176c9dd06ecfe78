// Package rseq speaks the kernel's restartable sequences ABI for Go threads:
// it finds or registers the calling thread's area, reads the CPU number, NUMA
// node and concurrency id from it, fences critical sections with membarrier,
// and chooses the engine that the packages above run on.
//
// # Who owns what
//
// A thread has at most one registration. Where the C library made it (cgo
// with glibc 2.35 or later) this package shares it and never removes it.
// Otherwise it registers threads lazily, the first time a critical section
// runs there, with areas that it maps itself and reuses once their thread is
// gone. Nothing runs at program start: the engine is chosen at first use, or
// when [Status] asks.
//
// # Engines
//
// [EngineRseq] runs critical sections. [EngineLocked] (Linux on amd64 or
// arm64 where something is missing) and [EnginePortable] (everywhere else, or
// with the build tag purego) do the same operations with atomics and locks.
// [Status] says which one runs and why. The environment variable
// RSEQKIT_ENGINE, set to rseq, locked or portable, forces one; a value that
// is unknown or impossible here is reported by Status and otherwise ignored.
package rseq
