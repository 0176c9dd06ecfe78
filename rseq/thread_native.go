//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file decides where a thread's area is and registers threads. It reads
// words of the Go runtime and of the C library through the assembly's peek,
// in an order in which each address was confirmed before it is followed, and
// only under a Go release whose layout is known (golayout.go). Neither the
// runtime nor the C library promises these places; selfTest is what they are
// believed for.

const nativeBuild = true

// Implemented in thread_amd64.s and thread_arm64.s.
func loadThreadWord() uintptr
func storeThreadWord(word uintptr)
func currentG() uintptr
func peek(address uintptr) uintptr
func currentArea() uintptr
func loadField(offset uintptr) int32
func probe(area uintptr, spins uint64, word *uint64) (aborted uint64)
func probeSection() (entry, descriptor unsafe.Pointer)

// What the assembly needs to find an area. Written once, before any section
// can run.
var (
	//lint:ignore U1000 read by the assembly
	areaOffset uintptr // see the head of thread_$GOARCH.s
	areaKnown  uint32  // 1 as soon as areaOffset is final
)

// threadLookup is where the areas of this process's threads are.
type threadLookup struct {
	owner      Owner
	areaOffset uintptr
	length     uint32 // registration length in bytes
	features   uint32 // bytes of Area that the kernel keeps current
	sharedIDs  bool   // concurrency ids are not exclusive
	libc       string
	lookup     string
}

// AreaOffset is what critical sections in assembly add to find the calling
// thread's area: on amd64 area = 0(FS) + AreaOffset; on arm64 area =
// TPIDR_EL0 + AreaOffset where TPIDR_EL0 is not 0, else the word at m +
// AreaOffset. Only meaningful when [Active] is EngineRseq.
func AreaOffset() uintptr { return current().thread.areaOffset }

// lengthVariable forces the registration length, for tests of the kernel's
// two modes (Documentation/userspace-api/rseq.rst).
const lengthVariable = "RSEQKIT_LENGTH"

// startNative makes everything ready for sections on the calling process:
// kernel, fence, the place of the areas, and one proven section. The error is
// the obstacle.
func startNative() (threadLookup, error) {
	lookup, err := locateAreas()
	if err != nil {
		return lookup, err
	}
	if err := registerFence(); err != nil {
		return lookup, err
	}
	return lookup, selfTest(lookup)
}

func locateAreas() (threadLookup, error) {
	var lookup threadLookup
	if err := Supported(); err != nil {
		return lookup, err
	}
	if release := kernelRelease(); neverAborts(release, runtime.GOARCH) {
		return lookup, fmt.Errorf("rseq: %w: arm64 Linux %q; 7.0.14 and 7.1 are repaired", ErrBrokenKernel, release)
	}
	layout, err := layoutFor(goVersion())
	if err != nil {
		return lookup, fmt.Errorf("rseq: %w; a newer rseqkit may know it", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	features := KernelFeatures()
	lookup.features = features.Size
	lookup.sharedIDs = sharesConcurrencyIDs(kernelRelease(), runtime.GOARCH)
	if pointer := libcThreadPointer(); pointer != 0 {
		return locateInLibc(lookup, pointer, features)
	}
	lookup.libc = "none in this process"
	lookup.owner = OwnerRseqkit
	lookup.length = features.RegistrationLength()
	if lookup.length > areaStride || features.Align > areaStride {
		lookup.length = OriginalLength // a kernel that wants more than our areas have
	}
	if forced, err := strconv.Atoi(os.Getenv(lengthVariable)); err == nil && forced >= OriginalLength && forced <= areaStride {
		lookup.length = uint32(forced)
	}
	if lookup.length == OriginalLength {
		lookup.features = min(lookup.features, OriginalLength)
	}
	lookup.areaOffset, lookup.lookup, err = locateInRuntime(layout)
	return lookup, err
}

// locateInLibc finds the area that glibc 2.35 and later keeps for every
// thread at a fixed offset from the thread pointer, registered or not.
func locateInLibc(lookup threadLookup, pointer uintptr, features Features) (threadLookup, error) {
	symbols, err := findLibcRseq()
	if err != nil {
		lookup.libc = err.Error()
		return lookup, fmt.Errorf("rseq: no place for the area beside this C library: %w; glibc 2.35 or later or CGO_ENABLED=0 would help", err)
	}
	lookup.libc = fmt.Sprintf("%s: __rseq_size %d, __rseq_offset %d", symbols.origin, symbols.size, symbols.offset)
	lookup.lookup = fmt.Sprintf("thread pointer%+d", symbols.offset)
	lookup.areaOffset = uintptr(symbols.offset)
	area := pointer + lookup.areaOffset
	if area%OriginalAlign != 0 || area == pointer {
		return lookup, fmt.Errorf("rseq: %w: libc's area at thread pointer%+d is not aligned to %d bytes", ErrSelfTest, symbols.offset, OriginalAlign)
	}
	for _, length := range []uint32{OriginalLength, features.Size} {
		if registeredHere(area, length) {
			lookup.owner, lookup.length = OwnerLibc, length
			if symbols.size == 0 { // not by libc, hence by us
				lookup.owner = OwnerDormant
			}
			// glibc up to 2.40 reports 20 or 32 of the 32 bytes it registers,
			// whatever the kernel fills in.
			lookup.features = min(features.Size, length)
			return lookup, nil
		}
	}
	var word [4]byte
	memory := selfMemory{pid: unix.Getpid()}
	defer memory.close()
	if err := memory.readAddr(word[:], uint64(area+offsetCPUID)); err != nil {
		return lookup, fmt.Errorf("rseq: %w: libc's area is not readable: %w", ErrSelfTest, err)
	}
	if id := *(*uint32)(unsafe.Pointer(&word)); symbols.size != 0 || id != CPUIDFailed && id != CPUIDUninitialized {
		return lookup, fmt.Errorf("rseq: %w: libc names an area (size %d, cpu_id %d) that is not registered", ErrForeignRegistration, symbols.size, int32(id))
	}
	lookup.owner, lookup.length = OwnerDormant, OriginalLength
	lookup.features = min(features.Size, OriginalLength)
	return lookup, nil
}

// RegisterThread makes the calling thread ready for sections: the slow path
// of a section that found its thread without an area. It returns false where
// that cannot be done (somebody else registered the thread first, or no
// memory); the caller then does its operation without a section. Cost: two
// system calls, once per thread.
func RegisterThread() bool {
	c := current()
	if c.engine != EngineRseq {
		return false
	}
	if c.thread.owner == OwnerRseqkit && uint32(loadField(offsetCPUID)) == CPUIDFailed {
		return false // it was tried; quick, since every section there asks again
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return registerThread(c.thread) == nil
}

// registerThread registers the calling thread, which the caller has locked.
func registerThread(lookup threadLookup) error {
	address := currentArea()
	if lookup.owner != OwnerRseqkit {
		// libc's area exists and lives as long as the thread. A thread that
		// libc registered answers here without a system call.
		if id := uint32(peek(address) >> 32); id != CPUIDFailed && id != CPUIDUninitialized {
			return nil
		}
		return registerAt(address, lookup.length)
	}
	if address != 0 {
		if uint32(peek(address)>>32) != CPUIDFailed {
			return nil
		}
		return errUnregistrable
	}
	tid := unix.Gettid()
	area, err := areas.take(tid)
	if err != nil {
		return fmt.Errorf("rseq: map an area for thread %d: %w", tid, err)
	}
	address = uintptr(unsafe.Pointer(area))
	if err = registerAt(address, lookup.length); err != nil {
		// An area that says "failed" sends every later section on this thread
		// straight to its slow path, without asking the kernel again.
		area.CPUID = CPUIDFailed
	}
	storeThreadWord(address)
	return err
}

var errUnregistrable = errors.New("rseq: registration of this thread failed before")

func registerAt(area uintptr, length uint32) error {
	errno := rawRseq(area, length, 0, Signature)
	if errno == 0 || errno == unix.EBUSY {
		return nil
	}
	return &SyscallError{Op: "register", Length: length, Errno: errno, Cause: cause(errno, area, length, 0)}
}

// Register registers the calling thread now instead of at its first section,
// so that the section does not pay for it. The goroutine must be locked to
// its thread (runtime.LockOSThread), which is not checked: otherwise the call
// says nothing about the thread it goes on with. It returns nil if the thread
// is registered, by whomever we share with; else the obstacle.
func Register() error {
	c := current()
	if c.engine != EngineRseq {
		return c.obstacle
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return registerThread(c.thread)
}

// Unregister removes this package's registration of the calling thread, to
// which the goroutine must be locked. The next section on the thread
// registers it again. It returns ErrLibcOwned where the area is the C
// library's, ErrNotRegistered where the thread has none.
func Unregister() error {
	c := current()
	switch {
	case c.engine != EngineRseq:
		return c.obstacle
	case c.thread.owner != OwnerRseqkit:
		return fmt.Errorf("rseq: unregister: %w", ErrLibcOwned)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	address := currentArea()
	if address == 0 {
		return fmt.Errorf("rseq: unregister: %w", ErrNotRegistered)
	}
	// Sections look for the pointer first, and none runs on this thread
	// between the two steps: it is executing this function.
	if errno := rawRseq(address, c.thread.length, FlagUnregister, Signature); errno != 0 {
		return &SyscallError{Op: "unregister", Length: c.thread.length, Errno: errno, Cause: cause(errno, address, c.thread.length, FlagUnregister)}
	}
	storeThreadWord(0)
	areas.put(unix.Gettid())
	return nil
}

// selfTest proves the lookup on a live thread: the registration takes, the
// lookup finds it again, the kernel confirms it, and a section commits.
func selfTest(lookup threadLookup) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	entry, descriptor := probeSection()
	section, err := Describe(entry)
	if err != nil {
		return fmt.Errorf("rseq: probe section: %w", err)
	}
	if uintptr(descriptor)%CriticalSectionAlign != 0 {
		return fmt.Errorf("rseq: %w: descriptor at %p is not aligned to %d bytes", ErrSelfTest, descriptor, CriticalSectionAlign)
	}
	*(*CriticalSection)(descriptor) = section
	areaOffset = lookup.areaOffset
	if err := registerThread(lookup); err != nil {
		return err
	}
	area := currentArea()
	if area == 0 || !registeredHere(area, lookup.length) {
		return fmt.Errorf("rseq: %w: the kernel does not know the area at %#x, %d bytes, of a thread just registered", ErrSelfTest, area, lookup.length)
	}
	if cpu := uint32(peek(area) >> 32); cpu >= uint32(PossibleCPUs()) {
		return fmt.Errorf("rseq: %w: cpu_id %d of a registered thread; possible are 0 to %d", ErrSelfTest, int32(cpu), PossibleCPUs()-1)
	}
	const attempts = 1000 // one is enough unless the thread is preempted right then
	var word uint64
	for range attempts {
		if probe(area, 1, &word) == 0 {
			break
		}
	}
	if word != 1 {
		return fmt.Errorf("rseq: %w: a section did not commit in %d attempts", ErrSelfTest, attempts)
	}
	atomic.StoreUint32(&areaKnown, 1)
	return nil
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

func describeNative(info *Info, c *choice) {
	features := KernelFeatures()
	info.Kernel = kernelRelease()
	info.MembarrierCommands = membarrierCommands()
	if Supported() == nil {
		info.FeatureSize, info.Align = features.Size, features.Align
	}
	info.Libc = c.thread.libc
	if c.engine != EngineRseq {
		return
	}
	info.Owner = c.thread.owner
	info.Lookup = c.thread.lookup
	info.RegistrationLength = c.thread.length
	info.HasNodeID = c.thread.features >= endNodeID
	info.HasConcurrencyID = HasConcurrencyID() == nil
	info.HasSliceExtension = c.thread.features > OriginalLength
	info.AreasInUse, info.AreasMapped, info.AreasReused = areas.counts()
}
