//go:build cgo && libc

package percpu_test

import _ "runtime/cgo" // with the tag libc, these tests run in a process with a C library
