// Package cpumem is the memory that critical sections work on: a region for
// every CPU, the table through which a section finds its CPU's region, and
// the protocol that stops a CPU so that somebody else may touch its region.
//
// # Terms
//
//   - A [Domain] is a set of regions of one size. A [Handle] names some bytes
//     at one offset, the same in every region of its domain: a counter of
//     eight bytes costs eight bytes on each CPU that is used, and shares cache
//     lines only with other data of the same CPU.
//   - The region table holds, for each CPU, where its region is, or zero: no
//     memory yet, or the CPU is stopped. A section that finds zero takes its
//     slow path. Regions are a power of two apart, so on a processor that keeps
//     loads in order a section computes the place and only tests the entry.
//   - A domain's index is the CPU number, or the concurrency id (mm_cid): few
//     threads on a big machine then use few regions.
//   - The overflow region is the one that is no CPU's. Whoever cannot run a
//     section works there with atomics, and every read counts it in.
//
// On the rseq engine there is a region per possible CPU (mapped when the CPU
// is first used, its pages first touched there) and the sections of the
// module's root package write them. On the locked and portable engines the
// regions are shards: chosen by a hint, written with atomics or under the
// shard's lock, found in the same way by readers.
//
// # Stopping a CPU
//
// [Domain.Stop] takes the CPU's owner lock, swaps its table entry for zero
// and fences the CPU (rseq.FenceCPU). Every section on that CPU has then
// committed, with its stores visible, or will restart and find zero. The
// region belongs to the caller until [Stopped.Resume] stores the entry again
// with release order; a section that loads the new entry reaches the region
// through it, or after it, and so sees what was done meanwhile. A concurrency id is no CPU:
// stopping one fences them all.
//
// This is the layer for those who write structures of their own; ready-made
// ones are in package percpu.
package cpumem
