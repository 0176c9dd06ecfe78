//go:build cgo && linux

package libcself

/*
#define _GNU_SOURCE
#include <stddef.h>

// Weak, so that the program also links and starts with a C library that has
// none of these. <sys/rseq.h> declares the same without the attribute.
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
extern const unsigned int __rseq_flags __attribute__((weak));
extern const char *gnu_get_libc_version(void) __attribute__((weak));

static int present(void) { return &__rseq_offset && &__rseq_size && &__rseq_flags; }
static long long offset(void) { return __rseq_offset; }
static unsigned size(void) { return __rseq_size; }
static unsigned flags(void) { return __rseq_flags; }
static const char *version(void) { return gnu_get_libc_version ? gnu_get_libc_version() : ""; }
static int cpu_id(void)
{
	char *tp;
#ifdef __x86_64__
	// The builtin needs gcc 11 on this architecture.
	__asm__("mov %%fs:0, %0" : "=r"(tp));
#else
	tp = __builtin_thread_pointer();
#endif
	return *(volatile int *)(tp + __rseq_offset + 4);
}
*/
import "C"

// Values is C's own view of the three variables.
type Values struct {
	Offset int64
	Size   uint32
	Flags  uint32
}

// Rseq returns the values, or false if this program's C library has no such
// variables.
func Rseq() (Values, bool) {
	if C.present() == 0 {
		return Values{}, false
	}
	return Values{int64(C.offset()), uint32(C.size()), uint32(C.flags())}, true
}

// CPU returns cpu_id out of the calling thread's area: -2 if the library left
// the area unregistered. Rseq must have returned true.
func CPU() int32 { return int32(C.cpu_id()) }

// Version returns the version of glibc, or "" for another C library.
func Version() string { return C.GoString(C.version()) }
