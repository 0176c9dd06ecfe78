//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"errors"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func needRseq(t *testing.T) {
	t.Helper()
	if Active() != EngineRseq {
		t.Skipf("needs the rseq engine: %v", Available())
	}
}

// onOwnThread runs f on a thread of its own that ends afterwards. It may have
// run other goroutines before.
func onOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		defer close(done)
		f()
	}()
	<-done
}

// TestFeatureSize: the auxiliary vector's numbers are those the kernel's
// history knows, and our Area reaches as far as we use it.
func TestFeatureSize(t *testing.T) {
	needRseq(t)
	f := KernelFeatures()
	switch f {
	case Features{20, 32}: // before 6.3: nothing published
	case Features{28, 32}: // 6.3 to 6.19
	case Features{33, 64}: // 7.0
	default:
		t.Logf("a kernel that knows more than we do: %+v", f)
		if f.Size < 33 || f.Align < 64 {
			t.Errorf("feature size %d, align %d: no such kernel", f.Size, f.Align)
		}
	}
	if areaStride%f.Align != 0 || uintptr(f.Size) > areaStride {
		t.Errorf("areas of %d bytes do not hold %+v", areaStride, f)
	}
}

// TestErrno goes through the kernel's table of refusals (kernel/rseq.c, in
// the order of its checks) on a thread that nobody has registered.
func TestErrno(t *testing.T) {
	if err := Supported(); err != nil {
		t.Skipf("needs rseq: %v", err)
	}
	page, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	at := func(offset int) *Area { return (*Area)(unsafe.Pointer(&page[offset])) }
	const sig, other = Signature, Signature + 1
	length := KernelFeatures().RegistrationLength()
	onOwnThread(func() {
		_ = Unregister() // a goroutine may get a thread that has run sections
		if free := Syscall(at(0), OriginalLength, FlagUnregister, sig); !errors.Is(free, ErrNotRegistered) {
			t.Errorf("unregister, nothing of ours registered: %v", free)
		}
		if first := Syscall(at(0), OriginalLength, 0, sig); errors.Is(first, ErrForeignRegistration) && Status().Owner != OwnerRseqkit {
			t.Logf("the rest needs a thread that the C library has not registered: %v", first)
			return
		} else if first != nil {
			t.Errorf("register: %v", first)
			return
		}
		for _, c := range []struct {
			name   string
			area   *Area
			length uint32
			flags  int
			sig    uint32
			want   error
			errno  unix.Errno
		}{
			{"register the same again", at(0), OriginalLength, 0, sig, ErrAlreadyRegistered, unix.EBUSY},
			{"register with another signature", at(0), OriginalLength, 0, other, ErrSignature, unix.EPERM},
			{"register another area", at(4096), OriginalLength, 0, sig, ErrForeignRegistration, unix.EINVAL},
			{"unknown flag", at(0), OriginalLength, 1 << 20, sig, ErrFlags, unix.EINVAL},
			{"unregister with another flag", at(0), OriginalLength, FlagUnregister | 2, sig, ErrFlags, unix.EINVAL},
			{"unregister another area", at(4096), OriginalLength, FlagUnregister, sig, ErrNotRegistered, unix.EINVAL},
			{"unregister another length", at(0), OriginalLength + 1, FlagUnregister, sig, ErrNotRegistered, unix.EINVAL},
			{"unregister with another signature", at(0), OriginalLength, FlagUnregister, other, ErrSignature, unix.EPERM},
			{"unregister", at(0), OriginalLength, FlagUnregister, sig, nil, 0},
			{"unregister twice", at(0), OriginalLength, FlagUnregister, sig, ErrNotRegistered, unix.EINVAL},
			{"too short", at(0), 28, 0, sig, ErrLayout, unix.EINVAL},
			{"length 31", at(0), 31, 0, sig, ErrLayout, unix.EINVAL},
			{"misaligned by 16", at(16), OriginalLength, 0, sig, ErrLayout, unix.EINVAL},
			{"nil area", nil, OriginalLength, 0, sig, ErrFault, unix.EFAULT},
			{"the kernel's own length", at(4096), length, 0, sig, nil, 0},
			{"unregister the kernel's own length", at(4096), length, FlagUnregister, sig, nil, 0},
		} {
			err := Syscall(c.area, c.length, c.flags, c.sig)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if c.errno != 0 && !errors.Is(err, c.errno) {
				t.Errorf("%s: %v, want errno %v", c.name, err, c.errno)
			}
		}
		if a := at(4096); a.CPUID != CPUIDUninitialized {
			t.Errorf("after unregistering, cpu_id is %d", int32(a.CPUID))
		}
	})
}

// TestRegister: explicit registration, removal, and a lazy one afterwards.
func TestRegister(t *testing.T) {
	needRseq(t)
	onOwnThread(func() {
		for range 2 {
			if err := Register(); err != nil {
				t.Errorf("Register: %v", err)
			}
		}
		if _, ok := Field(CPUIDField); !ok {
			t.Error("registered, and no CPU number")
		}
		err := Unregister()
		if Status().Owner != OwnerRseqkit {
			if !errors.Is(err, ErrLibcOwned) {
				t.Errorf("Unregister from libc's area: %v", err)
			}
			return
		}
		if err != nil {
			t.Errorf("Unregister: %v", err)
		}
		if cpu, ok := Field(CPUIDField); ok {
			t.Errorf("unregistered, and on CPU %d", cpu)
		}
		if err := Unregister(); !errors.Is(err, ErrNotRegistered) {
			t.Errorf("Unregister twice: %v", err)
		}
		if CPU() < 0 {
			t.Error("CPU() < 0 on an unregistered thread")
		}
		if _, ok := Field(CPUIDField); !ok {
			t.Error("CPU() did not register the thread for the next time")
		}
	})
}

// TestForeignThread: a thread that somebody else has registered elsewhere
// cannot run sections; we notice, ask the kernel no second time, and leave
// the registration alone.
func TestForeignThread(t *testing.T) {
	needRseq(t)
	if Status().Owner == OwnerLibc {
		t.Skip("needs threads that the C library does not register")
	}
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	foreign := (*Area)(unsafe.Pointer(&page[0]))
	onOwnThread(func() {
		if Status().Owner == OwnerDormant {
			rawRseq(currentArea(), OriginalLength, FlagUnregister, Signature)
		}
		_ = Unregister()
		if err := Syscall(foreign, OriginalLength, 0, Signature); err != nil {
			t.Errorf("register elsewhere: %v", err)
			return
		}
		for range 2 {
			if err := Register(); err == nil {
				t.Error("registered a thread twice")
			}
			if RegisterThread() {
				t.Error("RegisterThread on a foreign thread succeeds")
			}
		}
		if err := Syscall(foreign, OriginalLength, FlagUnregister, Signature); err != nil {
			t.Errorf("the foreign registration is gone: %v", err)
		}
	})
}

// TestDescribe: the derived descriptor of the probe section fits its code.
func TestDescribe(t *testing.T) {
	entry, _ := probeSection()
	d, err := Describe(entry)
	if err != nil {
		t.Fatal(err)
	}
	at := uint64(uintptr(entry))
	if d.Version != 0 || d.Flags != 0 || d.Start <= at || d.PostCommitOffset == 0 || d.Abort <= d.Start+d.PostCommitOffset {
		t.Errorf("entry %#x: %+v", at, d)
	}
	signature := *(*uint32)(unsafe.Add(entry, d.Abort-at-4))
	if signature != Signature {
		t.Errorf("before the abort handler: %#x, want the signature %#x", signature, Signature)
	}
	if _, err := Describe(unsafe.Pointer(&make([]byte, maxSectionCode+16)[0])); !errors.Is(err, ErrSelfTest) {
		t.Errorf("a function without a section: %v", err)
	}
}

// TestThreadChurn: threads end without telling anyone, and their areas are
// used again.
func TestThreadChurn(t *testing.T) {
	needRseq(t)
	threads := 3000
	if testing.Short() {
		threads = 1200
	}
	for range threads {
		onOwnThread(func() {
			if err := Register(); err != nil {
				t.Errorf("Register: %v", err)
			}
		})
	}
	info := Status()
	if info.Owner != OwnerRseqkit {
		return // libc's areas live in its own thread memory
	}
	if info.AreasMapped > 2*areaChunk/areaStride || info.AreasReused < threads/2 {
		t.Errorf("%d threads, one at a time: %d areas mapped, %d reused, %d in use", threads, info.AreasMapped, info.AreasReused, info.AreasInUse)
	}
}
