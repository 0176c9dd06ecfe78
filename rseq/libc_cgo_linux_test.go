//go:build linux && (amd64 || arm64) && !purego && cgo && libcself

package rseq

// Built only with the tag libcself, by TestLibcVariants and by hand: importing
// libcself turns the whole test binary into a cgo program, and the other tests
// are to run as what they were built as.

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rseqkit/rseqkit/rseq/internal/libcself"
)

// TestLibcSelf compares what findLibcRseq finds with what C says, in the
// variant of linking that this test binary is. RSEQKIT_TEST_LIBC says what to
// expect: "" the values of C, "registered" and "unregistered" further a size
// above and of 0, "missing" ErrNoLibcArea.
func TestLibcSelf(t *testing.T) {
	want := os.Getenv("RSEQKIT_TEST_LIBC")
	start := time.Now()
	got, err := findLibcRseq()
	t.Logf("glibc %q: offset %d, size %d, flags %d, origin %q, error %v, %v",
		libcself.Version(), got.offset, got.size, got.flags, got.origin, err, time.Since(start))
	if want == "missing" {
		if !errors.Is(err, ErrNoLibcArea) {
			t.Fatalf("error %v, want ErrNoLibcArea", err)
		}
		return
	}
	c, ok := libcself.Rseq()
	if !ok {
		if !errors.Is(err, ErrNoLibcArea) {
			t.Fatalf("C has no such symbols; got %+v, %v", got, err)
		}
		if want != "" {
			t.Fatalf("C has no such symbols, want %s", want)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got.offset != c.Offset || got.size != c.Size || got.flags != c.Flags {
		t.Errorf("found %+v, C says %+v", got, c)
	}
	if (want == "registered" && got.size == 0) || (want == "unregistered" && got.size != 0) {
		t.Errorf("size %d, want it %s", got.size, want)
	}
	// With size 0 the area says -2, or the CPU if the engine has registered it.
	if cpu := libcself.CPU(); cpu < 0 && got.size != 0 {
		t.Errorf("size %d, but the area at the offset says cpu_id %d", got.size, cpu)
	}
	if o := os.Getenv("RSEQKIT_TEST_LIBC_ORIGIN"); !strings.Contains(got.origin, o) {
		t.Errorf("origin %q, want it to contain %q", got.origin, o)
	}

	t.Run("kernel's auxiliary vector", func(t *testing.T) {
		aux, err := readProcAuxv()
		if err != nil {
			t.Fatal(err)
		}
		mem := &selfMemory{pid: os.Getpid()}
		defer mem.close()
		again, err := locateLibcRseq(mem, aux, openSelfExe)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("origin %q", again.origin)
		again.origin = got.origin
		if again != got {
			t.Errorf("found %+v, want %+v", again, got)
		}
	})
	t.Run("proc mem", func(t *testing.T) {
		aux, err := readAuxv()
		if err != nil {
			t.Fatal(err)
		}
		mem := &selfMemory{pid: os.Getpid(), refused: errors.New("refused by the test")}
		defer mem.close()
		again, err := locateLibcRseq(mem, aux, openSelfExe)
		if err != nil {
			t.Fatal(err)
		}
		if again != got {
			t.Errorf("found %+v, want %+v", again, got)
		}
	})
	t.Run("without the list", func(t *testing.T) {
		aux, err := readAuxv()
		if err != nil {
			t.Fatal(err)
		}
		if aux.base == 0 {
			t.Skip("no AT_BASE: static, or loader run as a command")
		}
		mem := &selfMemory{pid: os.Getpid()}
		o, err := (&elfImage{mem: mem}).objectAt(aux.base)
		if err != nil {
			t.Fatal(err)
		}
		again, err := (&elfImage{mem: mem}).fromObject(o)
		if err != nil {
			t.Fatal(err)
		}
		again.origin = got.origin
		if again != got {
			t.Errorf("found %+v, want %+v", again, got)
		}
	})
}

func BenchmarkFindLibcRseq(b *testing.B) {
	for b.Loop() {
		if _, err := findLibcRseq(); err != nil {
			b.Fatal(err)
		}
	}
}
