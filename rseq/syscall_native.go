//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Syscall is rseq(2) itself for the calling thread, which the caller has
// locked (runtime.LockOSThread): area may be nil, flags is 0 or FlagUnregister
// or FlagSliceDefaultOn. The area must stay mapped, and out of the Go heap,
// for as long as the thread is registered.
//
// Sections of this module find a thread's area by themselves, so programs use
// [Register]; Syscall is for those who test kernels. Errors wrap the errno and
// one of the package's sentinels, told apart as the kernel's order of checks
// allows (kernel/rseq.c).
func Syscall(area *Area, length uint32, flags int, signature uint32) error {
	errno := rawRseq(uintptr(unsafe.Pointer(area)), length, flags, signature)
	if errno == 0 {
		return nil
	}
	op := "register"
	if flags&FlagUnregister != 0 {
		op = "unregister"
	}
	return &SyscallError{Op: op, Length: length, Errno: errno,
		Cause: cause(errno, uintptr(unsafe.Pointer(area)), length, flags)}
}

// SyscallError is a refused rseq(2). errors.Is finds both Cause and Errno.
type SyscallError struct {
	Op     string     // "register" or "unregister"
	Length uint32     // registration length in bytes
	Errno  unix.Errno // the kernel's (or filter's) answer
	Cause  error      // what it means here: one of the package's sentinels
}

func (e *SyscallError) Error() string {
	return fmt.Sprintf("rseq: %s %d bytes: %v (%v)", e.Op, e.Length, e.Cause, e.Errno)
}

func (e *SyscallError) Unwrap() []error { return []error{e.Cause, e.Errno} }

func rawRseq(area uintptr, length uint32, flags int, signature uint32) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_RSEQ, area, uintptr(length), uintptr(flags), uintptr(signature), 0, 0)
	return errno
}

// cause reads an errno the way kernel/rseq.c orders its checks.
func cause(errno unix.Errno, area uintptr, length uint32, flags int) error {
	unregister := flags&FlagUnregister != 0
	switch {
	case errno == unix.ENOSYS:
		return ErrNotSupported
	case errno == unix.EPERM && probeErrno() == unix.EPERM:
		return ErrDenied // even the harmless probe is refused: no kernel does that
	case errno == unix.EPERM:
		return ErrSignature
	case errno == unix.EBUSY:
		return ErrAlreadyRegistered
	case errno == unix.EFAULT:
		return ErrFault
	case errno != unix.EINVAL:
		return ErrDenied // no errno of the kernel's: a filter chose it
	case unregister && flags != FlagUnregister:
		return ErrFlags
	case unregister:
		return ErrNotRegistered
	case flags&^FlagSliceDefaultOn != 0 || flags != 0 && KernelFeatures().Size <= OriginalLength:
		return ErrFlags
	case !KernelFeatures().accepts(area, length):
		return ErrLayout
	}
	return ErrForeignRegistration
}

// probeErrno asks for a registration that no kernel grants and that changes
// nothing: EINVAL means that rseq is there, registered or not.
func probeErrno() unix.Errno { return rawRseq(0, 0, 0, 0) }

// Supported returns nil if the kernel has rseq, else ErrNotSupported or
// ErrDenied. It costs one system call and has no side effect.
func Supported() error {
	switch errno := probeErrno(); errno {
	case unix.EINVAL:
		return nil
	case unix.ENOSYS:
		return fmt.Errorf("rseq: %w: needs Linux 4.18 with CONFIG_RSEQ, and no sandbox or emulator in between (%w)", ErrNotSupported, errno)
	default:
		return fmt.Errorf("rseq: %w: a seccomp filter answers for rseq(2); allow it (container profiles of 2020 and later do) (%w)", ErrDenied, errno)
	}
}

// Features is what the kernel says of its struct rseq in the auxiliary vector.
type Features struct {
	Size  uint32 // bytes up to the end of the last field it knows; 20 before Linux 6.3
	Align uint32 // bytes; alignment of a registration longer than OriginalLength
}

// KernelFeatures reads AT_RSEQ_FEATURE_SIZE and AT_RSEQ_ALIGN. Kernels before
// 6.3 publish neither; then it returns OriginalFeatureSize and OriginalAlign.
func KernelFeatures() Features {
	f := Features{OriginalFeatureSize, OriginalAlign}
	auxv, err := unix.Auxv()
	if err != nil {
		return f
	}
	for _, entry := range auxv {
		switch entry[0] {
		case auxFeatureSize:
			f.Size = uint32(entry[1])
		case auxAlign:
			f.Align = uint32(entry[1])
		}
	}
	return f
}

// RegistrationLength is the length that keeps every field current that the
// kernel knows: the feature size where it is above OriginalLength, which on
// Linux 7.0.10 and later also means that the kernel enforces its ownership of
// the id fields, else OriginalLength.
func (f Features) RegistrationLength() uint32 { return max(f.Size, OriginalLength) }

// accepts restates the kernel's rule for a registration's length and
// alignment (rseq_length_valid and its predecessors): exactly 32 at a
// 32-byte boundary, or, from 6.3 on, more than 32 at the published alignment.
func (f Features) accepts(area uintptr, length uint32) bool {
	if length == OriginalLength {
		return area%OriginalAlign == 0
	}
	return f.Size > OriginalFeatureSize && length > OriginalLength && length >= f.Size && area%uintptr(f.Align) == 0
}

// registeredHere reports whether the calling thread, which the caller has
// locked, has exactly this area registered with our signature. It asks the
// kernel twice, and neither question changes anything where the answer is
// yes: to unregister with a wrong signature (EPERM: area and length are the
// registered ones), to register again (EBUSY: so is the signature).
func registeredHere(area uintptr, length uint32) bool {
	return rawRseq(area, length, FlagUnregister, ^Signature) == unix.EPERM &&
		rawRseq(area, length, 0, Signature) == unix.EBUSY
}
