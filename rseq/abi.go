package rseq

import "unsafe"

// Area is the memory that a thread shares with the kernel: struct rseq of
// include/uapi/linux/rseq.h. The kernel writes it on the owning thread's way
// back to user mode. Only the owning thread may write, and of the fields only
// CS and, on Linux 7.0 and later, the request byte of SliceCtrl; the others
// belong to the kernel, which kills a process that changes them when the
// registration is longer than 32 bytes (Documentation/userspace-api/rseq.rst).
// Other threads may read; what they read is a hint.
//
// The fields past MMCID live only where the registered feature size says so.
// Reserved pushes the kernel's feature size past 32, the length that old C
// libraries report without meaning it.
type Area struct {
	CPUIDStart uint32 // offset 0; kernel; 4.18. A valid CPU number at any time, 0 when unregistered.
	CPUID      uint32 // offset 4; kernel; 4.18. CPU number, or CPUIDUninitialized, CPUIDFailed.
	CS         uint64 // offset 8; thread sets, kernel clears; 4.18. Address of a CriticalSection, or 0.
	Flags      uint32 // offset 16; user space before 7.0 (must be 0), kernel since.
	NodeID     uint32 // offset 20; kernel; 6.3. NUMA node of CPUID.
	MMCID      uint32 // offset 24; kernel; 6.3. Concurrency id, below the number of possible CPUs.
	SliceCtrl  uint32 // offset 28; byte 28 request: thread, byte 29 granted: kernel; 7.0.
	Reserved   uint8  // offset 32; nobody; 7.0.
}

// Values of Area.CPUID that are no CPU number (enum rseq_cpu_id_state).
const (
	CPUIDUninitialized = ^uint32(0)     // -1: not registered
	CPUIDFailed        = ^uint32(0) - 1 // -2: registration failed
)

// Offsets and sizes of Area that assembly and probes use. A field is live if
// the registered feature size is at least the field's end.
const (
	offsetCPUID  = unsafe.Offsetof(Area{}.CPUID)
	offsetCS     = unsafe.Offsetof(Area{}.CS)
	offsetNodeID = unsafe.Offsetof(Area{}.NodeID)
	offsetMMCID  = unsafe.Offsetof(Area{}.MMCID)

	endNodeID = uint32(offsetNodeID + 4) // 24
	endMMCID  = uint32(offsetMMCID + 4)  // 28

	// OriginalFeatureSize is what a kernel before 6.3 keeps current: the
	// fields up to and including Flags. Those kernels publish no size.
	OriginalFeatureSize = 20
	// OriginalLength is the one registration length that every kernel takes.
	OriginalLength = 32
	// OriginalAlign is the alignment that goes with it.
	OriginalAlign = 32
)

// CriticalSection is the descriptor of a critical section: struct rseq_cs of
// include/uapi/linux/rseq.h, 32 bytes at a 32-byte aligned address. A thread
// is inside while its instruction pointer minus Start, unsigned, is below
// PostCommitOffset: the committing instruction is the last one inside. The
// four bytes before Abort hold the registered signature, and Abort lies
// outside.
type CriticalSection struct {
	Version          uint32 // 0
	Flags            uint32 // 0; a set bit kills on Linux 6.0 and later
	Start            uint64 // address of the first instruction
	PostCommitOffset uint64 // bytes from Start to the instruction after the commit
	Abort            uint64 // address of the abort handler
}

// CriticalSectionAlign is the alignment of a CriticalSection in bytes.
const CriticalSectionAlign = 32

// Flags of the rseq system call (enum rseq_flags).
const (
	FlagUnregister     = 1 << 0 // alone
	FlagSliceDefaultOn = 1 << 1 // 7.0, with registration only
)

// Entries of the auxiliary vector (include/uapi/linux/auxvec.h, Linux 6.3).
const (
	auxFeatureSize = 27 // AT_RSEQ_FEATURE_SIZE
	auxAlign       = 28 // AT_RSEQ_ALIGN
)
