package rseq

import "errors"

// What can be missing or wrong. Functions wrap these with the numbers and
// what would help; decide with errors.Is.
var (
	// ErrNotSupported: the kernel has no rseq, or an emulator or sandbox
	// answers as if it had none (ENOSYS). Linux 4.18 has it with CONFIG_RSEQ.
	ErrNotSupported = errors.New("no restartable sequences in this kernel")
	// ErrDenied: a filter answers for the kernel (EPERM where no kernel says
	// EPERM), usually an old seccomp profile.
	ErrDenied = errors.New("system call denied")
	// ErrForeignRegistration: another area is registered for this thread.
	ErrForeignRegistration = errors.New("another area is registered for this thread")
	// ErrAlreadyRegistered: exactly this registration exists (EBUSY).
	ErrAlreadyRegistered = errors.New("already registered")
	// ErrSignature: this area is registered with another signature (EPERM).
	ErrSignature = errors.New("registered with another signature")
	// ErrNotRegistered: the thread has no such registration.
	ErrNotRegistered = errors.New("no such registration")
	// ErrFlags: a flag is unknown to the kernel, or does not go with the others.
	ErrFlags = errors.New("flags not accepted")
	// ErrLayout: the kernel takes no area of that length or alignment.
	ErrLayout = errors.New("area length or alignment not accepted")
	// ErrFault: the area is no writable user memory (EFAULT).
	ErrFault = errors.New("area is not writable memory")
	// ErrLibcOwned: the registration belongs to the C library and stays.
	ErrLibcOwned = errors.New("registration belongs to the C library")
	// ErrNoLibcArea: the C library of this process, as far as can be seen, keeps
	// no area for its threads: musl, glibc before 2.35, or one linked
	// statically and stripped. It does not prove that nobody registered.
	ErrNoLibcArea = errors.New("no rseq symbols of a C library")
	// ErrNoFence: the kernel cannot fence critical sections: membarrier's
	// PRIVATE_EXPEDITED_RSEQ is missing (Linux 5.10 has it) or filtered.
	ErrNoFence = errors.New("no membarrier for restartable sequences")
	// ErrNoConcurrencyID: the area has no mm_cid field (Linux 6.3 has it).
	ErrNoConcurrencyID = errors.New("no concurrency id in this kernel")
	// ErrCPU: no such CPU can exist here.
	ErrCPU = errors.New("CPU number out of range")
	// ErrBrokenKernel: the kernel registers threads and never aborts them.
	ErrBrokenKernel = errors.New("kernel never aborts critical sections")
	// ErrGoRelease: this Go release is not in the table of known layouts.
	ErrGoRelease = errors.New("unknown Go release")
	// ErrSelfTest: a check at start found something else than expected.
	ErrSelfTest = errors.New("start-up check failed")
	// ErrEngine: RSEQKIT_ENGINE names an engine that is unknown or cannot run.
	ErrEngine = errors.New("RSEQKIT_ENGINE not honoured")
	// ErrBuild: this build has no critical sections.
	ErrBuild = errors.New("no critical sections in this build")
)
