//go:build linux && (amd64 || arm64) && !purego

package rseq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// flatMemory is one mapping at base; everything else is unmapped.
type flatMemory struct {
	base  uint64
	data  []byte
	reads int
}

func (m *flatMemory) readAddr(p []byte, addr uint64) error {
	m.reads++
	off := addr - m.base
	if off > uint64(len(m.data)) || uint64(len(p)) > uint64(len(m.data))-off {
		return fmt.Errorf("read %d bytes at %#x: not mapped", len(p), addr)
	}
	copy(p, m.data[off:])
	return nil
}

// The synthetic process: an executable, a library and the loader, one after
// another in one mapping, and the loader's list at its end.
const (
	fakeBase   = 0x40_0000
	fakeExe    = fakeBase
	fakeLib    = fakeBase + 1*fakeObject
	fakeLoader = fakeBase + 2*fakeObject
	fakeList   = fakeBase + 3*fakeObject
	fakeObject = 0x1000
	fakeSize   = 3*fakeObject + 0x200

	// Inside an object. The exported variables are at fakeVars.
	fakePhdr    = 0x040
	fakeDynamic = 0x200
	fakeSymtab  = 0x300
	fakeStrtab  = 0x600
	fakeHash    = 0x800
	fakeVars    = 0xc00

	fakeRDebug   = fakeList
	fakeNames    = fakeList + 0x30
	fakeLinkMaps = fakeList + 0x80
	fakeLinkMap  = 0x28
)

var (
	fakeAux  = auxInfo{phdr: fakeExe + fakePhdr, phent: phdrSize, phnum: 2, base: fakeLoader}
	fakeWant = libcRseq{offset: -192, size: 28, flags: 3, origin: "dynamic loader /lib/ld.so"}
)

// fakeProcess describes the synthetic process; the zero value is a usual one.
type fakeProcess struct {
	sysv        bool                // DT_HASH only, else DT_GNU_HASH only
	unrelocated bool                // d_ptr values as in the file
	symbols     []string            // of the loader; nil for the usual ones
	in          uint64              // the object with the symbols, fakeLoader if 0
	edit        func(m *flatMemory) // damage done afterwards
}

func (m *flatMemory) put32(addr uint64, v uint32) {
	binary.LittleEndian.PutUint32(m.data[addr-m.base:], v)
}

func (m *flatMemory) put64(addr uint64, v ...uint64) {
	for i, w := range v {
		binary.LittleEndian.PutUint64(m.data[addr-m.base+8*uint64(i):], w)
	}
}

func (p fakeProcess) build() *flatMemory {
	m := &flatMemory{base: fakeBase, data: make([]byte, fakeSize)}
	symbols := p.symbols
	if symbols == nil {
		symbols = []string{"_dl_argv", "__rseq_flags", "__libc_stack_end", "__rseq_offset", "_rtld_global", "__rseq_size"}
	}
	in := p.in
	if in == 0 {
		in = fakeLoader
	}
	for _, base := range []uint64{fakeExe, fakeLib, fakeLoader} {
		if base == in {
			p.object(m, base, symbols)
		} else {
			p.object(m, base, []string{"main", "printf", "__rseq_offset_of_something"})
		}
	}
	// Values differ from the addresses' order on purpose.
	off := int64(-192)
	m.put64(in+fakeVars, uint64(off))
	m.put32(in+fakeVars+8, 28)
	m.put32(in+fakeVars+12, 3)

	m.put64(fakeRDebug, 1, fakeLinkMaps, 0, 0, fakeLoader)
	copy(m.data[fakeNames-fakeBase:], "\x00/lib/libx.so\x00/lib/ld.so\x00")
	for i, o := range []struct{ addr, name uint64 }{{fakeExe, 0}, {fakeLib, 1}, {fakeLoader, 14}} {
		at := fakeLinkMaps + uint64(i)*fakeLinkMap
		next := at + fakeLinkMap
		if i == 2 {
			next = 0
		}
		m.put64(at, o.addr, fakeNames+o.name, o.addr+fakeDynamic, next)
	}
	if p.edit != nil {
		p.edit(m)
	}
	return m
}

// object writes one ELF image, linked at address 0, with the given exports.
func (p fakeProcess) object(m *flatMemory, base uint64, symbols []string) {
	d := m.data[base-m.base:]
	copy(d, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint64(d[32:], fakePhdr)
	binary.LittleEndian.PutUint16(d[54:], phdrSize)
	binary.LittleEndian.PutUint16(d[56:], 2)
	m.put32(base+fakePhdr, ptPhdr)
	m.put64(base+fakePhdr+8, fakePhdr, fakePhdr)
	m.put32(base+fakePhdr+phdrSize, ptDynamic)
	m.put64(base+fakePhdr+phdrSize+8, fakeDynamic, fakeDynamic)

	ptr := base
	if p.unrelocated {
		ptr = 0
	}
	hashTag := uint64(dtGNUHash)
	if p.sysv {
		hashTag = dtHash
	}
	m.put64(base+fakeDynamic,
		dtStrtab, ptr+fakeStrtab, dtSymtab, ptr+fakeSymtab, dtStrsz, 0x100,
		dtSyment, symSize64, hashTag, ptr+fakeHash, dtDebug, fakeRDebug, dtNull, 0)

	const nbuckets = 2
	if !p.sysv {
		// The GNU table wants the symbols grouped by bucket.
		var sorted []string
		for b := range uint32(nbuckets) {
			for _, s := range symbols {
				if gnuHash(s)%nbuckets == b {
					sorted = append(sorted, s)
				}
			}
		}
		symbols = sorted
	}
	str := []byte{0}
	for i, s := range symbols {
		at := base + fakeSymtab + symSize64*uint64(i+1)
		value, size, info := uint64(fakeVars+0x100+16*i), uint64(8), uint64(0x11) // GLOBAL OBJECT
		switch s {
		case "__rseq_offset":
			value = fakeVars
		case "__rseq_size":
			value, size = fakeVars+8, 4
		case "__rseq_flags":
			value, size = fakeVars+12, 4
		}
		m.put64(at, uint64(len(str))|info<<32|5<<48, value, size)
		str = append(append(str, s...), 0)
	}
	copy(d[fakeStrtab:fakeHash], str)
	m.put64(base+fakeDynamic+5*8, uint64(len(str))) // DT_STRSZ

	if p.sysv {
		buckets := base + fakeHash + 8
		chain := buckets + 4*nbuckets
		m.put32(base+fakeHash, nbuckets)
		m.put32(base+fakeHash+4, uint32(len(symbols)+1))
		for i, s := range symbols {
			b := buckets + 4*uint64(sysvHash(s)%nbuckets)
			old := binary.LittleEndian.Uint32(m.data[b-m.base:])
			m.put32(chain+4*uint64(i+1), old)
			m.put32(b, uint32(i+1))
		}
		return
	}
	const bloom = 1
	buckets := base + fakeHash + 16 + 8*bloom
	chain := buckets + 4*nbuckets
	m.put32(base+fakeHash, nbuckets)
	m.put32(base+fakeHash+4, 1) // first hashed symbol
	m.put32(base+fakeHash+8, bloom)
	for i, s := range symbols {
		h := gnuHash(s)
		if b := buckets + 4*uint64(h%nbuckets); binary.LittleEndian.Uint32(m.data[b-m.base:]) == 0 {
			m.put32(b, uint32(i+1))
		}
		h &^= 1
		if i+1 == len(symbols) || gnuHash(symbols[i+1])%nbuckets != gnuHash(s)%nbuckets {
			h |= 1
		}
		m.put32(chain+4*uint64(i), h)
	}
}

func noExe() (exeFile, error) { return exeFile{}, errors.New("no executable file in this test") }

func TestLibcImage(t *testing.T) {
	rename := func(in uint64, from, to string) func(*flatMemory) {
		return func(m *flatMemory) {
			o := m.data[in-fakeBase : in-fakeBase+fakeObject]
			i := bytes.Index(o, []byte(from+"\x00"))
			copy(o[i:], to)
		}
	}
	// entry n of the list of objects
	linkMap := func(n uint64) uint64 { return fakeLinkMaps + n*fakeLinkMap }
	const bad = 0xdead_0000_0000

	tests := []struct {
		name string
		p    fakeProcess
		aux  func(*auxInfo)
		want libcRseq // zero: an error is wanted
		err  string   // part of its text
		none bool     // it is ErrNoLibcArea
	}{
		{name: "gnu hash", want: fakeWant},
		{name: "sysv hash", p: fakeProcess{sysv: true}, want: fakeWant},
		{name: "gnu hash, unrelocated", p: fakeProcess{unrelocated: true}, want: fakeWant},
		{name: "sysv hash, unrelocated", p: fakeProcess{sysv: true, unrelocated: true}, want: fakeWant},
		{
			name: "in a library", p: fakeProcess{in: fakeLib},
			want: libcRseq{offset: -192, size: 28, flags: 3, origin: "shared object /lib/libx.so"},
		},
		{
			name: "loader run as a command: only r_ldbase names it",
			aux:  func(a *auxInfo) { a.base = 0 }, want: fakeWant,
		},
		{
			name: "loader run as a command, seen by the kernel",
			p:    fakeProcess{edit: func(m *flatMemory) { m.put64(fakeLoader+fakeDynamic+5*16, dtDebug, 0) }},
			aux:  func(a *auxInfo) { a.base, a.phdr = 0, fakeLoader+fakePhdr },
			want: libcRseq{offset: -192, size: 28, flags: 3, origin: "executable"},
		},
		{
			name: "no list",
			p:    fakeProcess{edit: func(m *flatMemory) { m.put64(fakeExe+fakeDynamic+5*16, dtDebug, 0) }},
			want: libcRseq{offset: -192, size: 28, flags: 3, origin: "dynamic loader (loaded at 0x402000)"},
		},
		{
			name: "loader not in the list",
			p:    fakeProcess{edit: func(m *flatMemory) { m.put64(linkMap(1)+24, 0) }},
			want: libcRseq{offset: -192, size: 28, flags: 3, origin: "dynamic loader (loaded at 0x402000)"},
		},
		{
			name: "both have it, the loader counts",
			p: fakeProcess{edit: func(m *flatMemory) {
				copy(m.data[fakeLib-fakeBase:], m.data[fakeLoader-fakeBase:][:fakeObject])
				(fakeProcess{}).object(m, fakeLib, []string{"__rseq_offset", "__rseq_size", "__rseq_flags"})
				m.put64(fakeLib+fakeVars, 1)
			}},
			want: fakeWant,
		},
		{
			name: "list loops, loader found",
			p:    fakeProcess{edit: func(m *flatMemory) { m.put64(linkMap(2)+24, linkMap(0)) }}, want: fakeWant,
		},
		{
			name: "list loops, nothing found", err: "leads back to",
			p: fakeProcess{symbols: []string{"a"}, edit: func(m *flatMemory) { m.put64(linkMap(2)+24, linkMap(0)) }},
		},
		{
			name: "list leads nowhere", err: "link_map 2 at 0xdead00000000",
			p: fakeProcess{symbols: []string{"a"}, edit: func(m *flatMemory) { m.put64(linkMap(1)+24, bad) }},
		},
		{
			name: "name unreadable", p: fakeProcess{edit: func(m *flatMemory) { m.put64(linkMap(2)+8, bad) }},
			want: libcRseq{offset: -192, size: 28, flags: 3, origin: "dynamic loader (unreadable name, loaded at 0x402000)"},
		},
		{name: "no such symbols", p: fakeProcess{symbols: []string{"a", "b"}}, err: "no __rseq_offset in 3 loaded objects", none: true},
		{name: "no such symbols, sysv hash", p: fakeProcess{sysv: true, symbols: []string{"a", "b"}}, err: "no __rseq_offset in 3 loaded objects", none: true},
		{name: "no symbols", p: fakeProcess{symbols: []string{}}, none: true},
		{name: "no symbols, sysv hash", p: fakeProcess{sysv: true, symbols: []string{}}, none: true},
		{name: "one of three missing", p: fakeProcess{symbols: []string{"__rseq_offset", "__rseq_flags"}}, err: "has __rseq_offset, lacks __rseq_size"},
		{name: "name is only the start of another", p: fakeProcess{symbols: []string{"__rseq_offset_x", "__rseq_size_x", "__rseq_flags_x"}}, none: true},
		{
			// In both buckets, and DT_HASH tells names apart by nothing else.
			name: "name is only the start of others, sysv hash", none: true,
			p: fakeProcess{sysv: true, symbols: []string{"__rseq_offseta", "__rseq_offsetb", "__rseq_offsetc"}},
		},
		{
			// Same hash word, other name: the string decides.
			name: "hash says yes, name says no", none: true,
			p: fakeProcess{edit: rename(fakeLoader, "__rseq_offset", "__other_offse")},
		},
		{
			name: "import, not a definition", none: true,
			p: fakeProcess{symbols: []string{"__rseq_offset"}, edit: func(m *flatMemory) { m.put64(fakeLoader+fakeSymtab+symSize64, 1|0x11<<32) }},
		},
		{
			name: "wrong size of the variable", none: true,
			p: fakeProcess{symbols: []string{"__rseq_offset"}, edit: func(m *flatMemory) { m.put64(fakeLoader+fakeSymtab+symSize64+16, 4) }},
		},
		{
			name: "no buckets", none: true,
			p: fakeProcess{edit: func(m *flatMemory) { m.put32(fakeLoader+fakeHash, 0) }},
		},
		{
			name: "gnu hash cut off", err: "DT_GNU_HASH: bucket of 4026531840",
			p: fakeProcess{edit: func(m *flatMemory) { m.put32(fakeLoader+fakeHash, 0xf0000000) }},
		},
		{
			name: "gnu hash starts before its first symbol", err: "hashed ones at 1000",
			p: fakeProcess{edit: func(m *flatMemory) { m.put32(fakeLoader+fakeHash+4, 1000) }},
		},
		{
			name: "gnu hash bucket without end", err: "DT_GNU_HASH: symbol",
			p: fakeProcess{symbols: []string{"a"}, edit: func(m *flatMemory) {
				b := m.data[fakeLoader+fakeHash-fakeBase:]
				clear(b[16+8+8:]) // all chain words to the end of memory
				m.put32(fakeLoader+fakeHash+24, 1)
				m.put32(fakeLoader+fakeHash+28, 1)
			}},
		},
		{
			name: "sysv hash cut off", err: "DT_HASH: bucket of 4026531840",
			p: fakeProcess{sysv: true, edit: func(m *flatMemory) { m.put32(fakeLoader+fakeHash, 0xf0000000) }},
		},
		{
			name: "sysv hash loops", err: "no end of a bucket",
			p: fakeProcess{sysv: true, symbols: []string{"a"}, edit: func(m *flatMemory) {
				for i := uint64(8); i <= 20; i += 4 { // two buckets, two chain words
					m.put32(fakeLoader+fakeHash+i, 1)
				}
			}},
		},
		{
			name: "sysv hash names a symbol out of range", err: "DT_HASH: symbol 77 of 7",
			p: fakeProcess{sysv: true, edit: func(m *flatMemory) {
				m.put32(fakeLoader+fakeHash+8, 77)
				m.put32(fakeLoader+fakeHash+12, 77)
			}},
		},
		{
			name: "string table shorter than the name", none: true,
			p: fakeProcess{edit: func(m *flatMemory) { m.put64(fakeLoader+fakeDynamic+5*8, 3) }},
		},
		{
			name: "symbols of another size", err: "symbols of 16 bytes, want 24",
			p: fakeProcess{edit: func(m *flatMemory) { m.put64(fakeLoader+fakeDynamic+7*8, 16) }},
		},
		{
			name: "dynamic section without end", err: "dynamic section",
			p: fakeProcess{edit: func(m *flatMemory) {
				m.data = m.data[:fakeList-fakeBase]
				b := m.data[fakeExe+fakeDynamic+5*16-fakeBase:]
				for i := range b {
					b[i] = 1
				}
			}},
		},
		{
			name: "variables unreadable", err: "rseq variables",
			p: fakeProcess{symbols: []string{"__rseq_offset", "__rseq_size", "__rseq_flags"}, edit: func(m *flatMemory) {
				for i := range uint64(3) {
					m.put64(fakeLoader+fakeSymtab+symSize64*(i+1)+8, bad)
				}
			}},
		},
		{
			name: "list unreadable, loader at AT_BASE",
			p:    fakeProcess{edit: func(m *flatMemory) { m.put64(fakeExe+fakeDynamic+5*16, dtDebug, bad) }},
			want: libcRseq{offset: -192, size: 28, flags: 3, origin: "dynamic loader (loaded at 0x402000)"},
		},
		{name: "no program headers", aux: func(a *auxInfo) { a.phnum = 0 }, err: "0 program headers"},
		{name: "too many program headers", aux: func(a *auxInfo) { a.phnum = 1 << 40 }, err: "1099511627776 program headers"},
		{name: "program headers unreadable", aux: func(a *auxInfo) { a.phdr = bad }, err: "not mapped"},
		{
			name: "plain Go program", none: true, err: "without thread-local storage",
			p:   fakeProcess{edit: func(m *flatMemory) { m.put32(fakeExe+fakePhdr+phdrSize, ptLoad) }},
			aux: func(a *auxInfo) { a.base = 0 },
		},
		{
			name: "static executable asks for its file", err: "no executable file in this test",
			p:   fakeProcess{edit: func(m *flatMemory) { m.put32(fakeExe+fakePhdr+phdrSize, ptTLS) }},
			aux: func(a *auxInfo) { a.base = 0 },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			aux := fakeAux
			if tt.aux != nil {
				tt.aux(&aux)
			}
			got, err := locateLibcRseq(tt.p.build(), aux, noExe)
			if tt.want != (libcRseq{}) {
				if err != nil || got != tt.want {
					t.Fatalf("got %+v, %v; want %+v", got, err, tt.want)
				}
				return
			}
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			if none := errors.Is(err, ErrNoLibcArea); none != tt.none {
				t.Errorf("error %q: ErrNoLibcArea %v, want %v", err, none, tt.none)
			}
			if !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %q, want it to contain %q", err, tt.err)
			}
		})
	}
}

// A list of objects that never ends and never repeats, all of them with tables
// that lead astray, must end by the bound on reads.
func TestLibcSearchIsBounded(t *testing.T) {
	m := &endlessMemory{}
	_, err := locateLibcRseq(m, fakeAux, noExe)
	if err == nil || m.reads > maxReads {
		t.Fatalf("%d reads, at most %d wanted; error %v", m.reads, maxReads, err)
	}
	t.Logf("%d reads, %v", m.reads, err)
}

// endlessMemory answers every address with some pattern of its own.
type endlessMemory struct{ reads int }

func (m *endlessMemory) readAddr(p []byte, addr uint64) error {
	m.reads++
	switch {
	case addr == fakeAux.phdr:
		clear(p)
		p[0], p[phdrSize] = ptPhdr, ptDynamic
		binary.LittleEndian.PutUint64(p[16:], fakePhdr)
		binary.LittleEndian.PutUint64(p[phdrSize+16:], 0x10000)
	case addr == fakeExe+0x10000:
		clear(p)
		for i, v := range []uint64{dtDebug, 1 << 32, dtSymtab, 2 << 32, dtStrtab, 3 << 32, dtStrsz, 1 << 20, dtHash, 4 << 32} {
			binary.LittleEndian.PutUint64(p[8*i:], v)
		}
	case addr>>32 == 1: // r_debug and the list
		for i := 0; i+8 <= len(p); i += 8 {
			binary.LittleEndian.PutUint64(p[i:], fakeExe+0x10000)
		}
		if len(p) == 40 {
			binary.LittleEndian.PutUint64(p[8:], 1<<32+64)
		} else if len(p) == 32 {
			binary.LittleEndian.PutUint64(p[24:], addr+64)
		} else {
			clear(p)
		}
	default: // hash tables and symbols: always one more, never the right one
		for i := range p {
			p[i] = 1
		}
		if addr>>32 == 4 && len(p) == 8 {
			copy(p[4:], "\xff\xff\xff\xff")
		}
	}
	return nil
}

func TestLibcRelocated(t *testing.T) {
	for _, tt := range []struct{ ptr, bias, want uint64 }{
		{0x300, 0x7f00_0000_0000, 0x7f00_0000_0300},            // as in the file
		{0x7f00_0000_0300, 0x7f00_0000_0000, 0x7f00_0000_0300}, // relocated
		{0x400300, 0, 0x400300},                                // not PIE
		{0, 0x7f00_0000_0000, 0},                               // absent
		{0x1000, ^uint64(0xfff), 0x1000},                       // loaded below its link address
	} {
		if got := relocated(tt.ptr, tt.bias); got != tt.want {
			t.Errorf("relocated(%#x, %#x) = %#x, want %#x", tt.ptr, tt.bias, got, tt.want)
		}
	}
}

// Known values: the synthetic images are hashed with the same functions and
// would not notice a wrong one.
func TestLibcHashes(t *testing.T) {
	for _, tt := range []struct {
		name      string
		sysv, gnu uint32
	}{
		{"", 0, 0x1505},
		{"printf", 0x077905a6, 0x156b2bb8},
		{"exit", 0x0006cf04, 0x7c967e3f},
		{"syscall", 0x0b09985c, 0xbac212a0},
	} {
		if got := sysvHash(tt.name); got != tt.sysv {
			t.Errorf("sysvHash(%q) = %#x, want %#x", tt.name, got, tt.sysv)
		}
		if got := gnuHash(tt.name); got != tt.gnu {
			t.Errorf("gnuHash(%q) = %#x, want %#x", tt.name, got, tt.gnu)
		}
	}
}

// fakeFile builds a static executable's file: header, string table, symbols,
// section headers. Names may be given with a prefix that shares their tail.
func fakeFile(pad int, syms ...string) []byte {
	str := append(make([]byte, 1), bytes.Repeat([]byte("x"), pad)...)
	str = append(str, 0)
	tab := make([]byte, symSize64)
	add := func(name uint32, info byte, value, size uint64) {
		b := make([]byte, symSize64)
		binary.LittleEndian.PutUint32(b, name)
		b[4], b[6] = info, 1
		binary.LittleEndian.PutUint64(b[8:], value)
		binary.LittleEndian.PutUint64(b[16:], size)
		tab = append(tab, b...)
	}
	for i, s := range syms {
		at := uint32(len(str))
		if j := strings.Index(s, "__rseq"); j > 0 {
			at += uint32(j)
		}
		str = append(append(str, s...), 0)
		size := uint64(4)
		if strings.HasSuffix(s, "offset") {
			size = 8
		}
		add(at, 0x11, 0x1000+0x10*uint64(i), size)
	}
	file := make([]byte, ehdrSize)
	copy(file, "\x7fELF\x02\x01\x01")
	file[16] = etExec
	strOff := len(file)
	file = append(file, str...)
	symOff := len(file)
	file = append(file, tab...)
	binary.LittleEndian.PutUint64(file[24:], 0x401000) // e_entry
	binary.LittleEndian.PutUint64(file[40:], uint64(len(file)))
	binary.LittleEndian.PutUint16(file[58:], shdrSize)
	binary.LittleEndian.PutUint16(file[60:], 3)
	for _, s := range []elfSection{{}, {typ: shtStrtab, offset: uint64(strOff), size: uint64(len(str))},
		{typ: shtSymtab, offset: uint64(symOff), size: uint64(len(tab)), link: 1, info: 1}} {
		b := make([]byte, shdrSize)
		binary.LittleEndian.PutUint32(b[4:], s.typ)
		binary.LittleEndian.PutUint64(b[24:], s.offset)
		binary.LittleEndian.PutUint64(b[32:], s.size)
		binary.LittleEndian.PutUint32(b[40:], s.link)
		binary.LittleEndian.PutUint32(b[44:], s.info)
		file = append(file, b...)
	}
	return file
}

func TestLibcSymbolTable(t *testing.T) {
	const headers = 3 * shdrSize // at the end of the file
	usual := []string{"main", "__rseq_size", "__rseq_offset", "x", "__rseq_flags"}
	want := [symCount]uint64{symOffset: 0x1020, symSize: 0x1010, symFlags: 0x1040}
	find := func(b []byte) ([symCount]uint64, error) {
		at, _, err := symbolTable(bytes.NewReader(b), int64(len(b)))
		return at, err
	}
	// Every position of the names relative to the pieces that are read.
	for pad := 64<<10 - 100; pad < 64<<10+20; pad++ {
		if at, err := find(fakeFile(pad, usual...)); err != nil || at != want {
			t.Fatalf("%d bytes in front of the names: %#x, %v; want %#x", pad, at, err, want)
		}
	}
	if at, err := find(fakeFile(0, "main", "my__rseq_size", "a__rseq_offset", "x", "b__rseq_flags")); err != nil || at != want {
		t.Errorf("names that share the tail of a string: %#x, %v; want %#x", at, err, want)
	}

	edit := func(f func(b []byte)) []byte {
		b := fakeFile(0, usual...)
		f(b)
		return b
	}
	for _, tt := range []struct {
		name string
		file []byte
		err  string
		none bool
	}{
		{"none", fakeFile(0, "main"), "among the 2 symbols", true},
		{"two of three", fakeFile(0, "__rseq_size", "__rseq_offset"), "1 of the 3", false},
		{"wrong size", fakeFile(0, "__rseq_flags", "__rseq_size", "a__rseq_flags__rseq_offset_no"), "1 of the 3", false},
		{"empty", nil, "ELF header", false},
		{"not ELF", make([]byte, 100), "no 64-bit little-endian ELF header", false},
		{"stripped", edit(func(b []byte) { b[len(b)-shdrSize+4] = 1 }), "stripped static executable", true},
		{"no section headers", edit(func(b []byte) { clear(b[40:48]) }), "stripped static executable", true},
		{"odd section headers", edit(func(b []byte) { b[58] = 40 }), "section headers of 40 bytes", false},
		{"section headers outside", edit(func(b []byte) { b[47] = 0x7f }), "outside the file", false},
		{"string table outside", edit(func(b []byte) { b[len(b)-2*shdrSize+28] = 1 }), "string table", false},
		{"string table endless", edit(func(b []byte) { b[len(b)-2*shdrSize+38] = 1 }), "st_name has 32 bits", false},
		{"string table of another type", edit(func(b []byte) { b[len(b)-2*shdrSize+4] = 1 }), "not a string table", false},
		{"string table missing", edit(func(b []byte) { b[len(b)-shdrSize+40] = 9 }), "section 9 of 3", false},
		{"symbols outside", edit(func(b []byte) { b[len(b)-shdrSize+28] = 1 }), "symbols from 1", false},
		{"too many sections", edit(func(b []byte) {
			b[60] = 0
			b[len(b)-headers+35] = 1
		}), "16777216 section headers", false},
		{"crowded string table", fakeFile(0, bytesRepeat("__rseq_size", maxStrHits+1)...), "more than 64 places", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := find(tt.file)
			if err == nil || !strings.Contains(err.Error(), tt.err) || errors.Is(err, ErrNoLibcArea) != tt.none {
				t.Errorf("error %v, want %q, ErrNoLibcArea %v", err, tt.err, tt.none)
			}
		})
	}
	t.Run("many sections", func(t *testing.T) {
		b := edit(func(b []byte) {
			b[60] = 0
			b[len(b)-headers+32] = 3
		})
		if at, err := find(b); err != nil || at != want {
			t.Errorf("%#x, %v; want %#x", at, err, want)
		}
	})
	t.Run("another program's file", func(t *testing.T) {
		m := fakeProcess{edit: func(m *flatMemory) { m.put32(fakeExe+fakePhdr+phdrSize, ptTLS) }}.build()
		aux := fakeAux
		aux.base, aux.entry = 0, 0x999999
		b := fakeFile(0, usual...)
		_, err := locateLibcRseq(m, aux, func() (exeFile, error) {
			return exeFile{bytes.NewReader(b), int64(len(b)), func() error { return nil }}, nil
		})
		if err == nil || !strings.Contains(err.Error(), "not the running program") {
			t.Errorf("error %v, want one about the entry point", err)
		}
	})
}

func bytesRepeat(s string, n int) []string {
	r := make([]string, n)
	for i := range r {
		r[i] = s
	}
	return r
}

// Both ways to read the own memory give the same and survive any address.
func TestLibcSelfMemory(t *testing.T) {
	page, err := unix.Mmap(-1, 0, 3*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	aux, err := readAuxv()
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []error{nil, unix.EPERM} {
		t.Run(fmt.Sprint("refused=", refused), func(t *testing.T) {
			m := &selfMemory{pid: os.Getpid(), refused: refused}
			defer m.close()
			got := make([]byte, 8)
			if err := m.readAddr(got, aux.phdr); err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(got, make([]byte, 8)) {
				t.Error("program headers are all zero")
			}
			for _, addr := range []uint64{0, 1, 0xfff, 1 << 47, 1<<56 - 8, 1 << 63, ^uint64(0), ^uint64(7)} {
				if err := m.readAddr(got, addr); err == nil {
					t.Errorf("read at %#x succeeded", addr)
				}
			}
			if probe := (&selfMemory{pid: os.Getpid()}); m.refused != refused && probe.readAddr(got, aux.phdr) == nil && probe.refused == nil {
				t.Errorf("an unmapped address changed the method: %v", m.refused)
			}
		})
	}
	t.Run("refused for good", func(t *testing.T) {
		// Another process's id: ESRCH sends it to /proc/self/mem.
		m := &selfMemory{pid: -1}
		defer m.close()
		if err := m.readAddr(make([]byte, 8), aux.phdr); err != nil || m.refused == nil {
			t.Errorf("error %v, refused %v", err, m.refused)
		}
	})
}

// TestLibcNative runs the search on this test binary, whatever it is.
func TestLibcNative(t *testing.T) {
	r, err := findLibcRseq()
	t.Logf("%+v, %v", r, err)
	if err != nil && !errors.Is(err, ErrNoLibcArea) {
		t.Error(err)
	}
	if err == nil && r.origin == "" {
		t.Error("found without an origin")
	}
	stack, err := readAuxv()
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := readProcAuxv()
	if err != nil {
		t.Fatal(err)
	}
	if stack != kernel {
		t.Logf("auxiliary vectors differ, as under \"ld.so PROGRAM\": %x, kernel %x", stack, kernel)
	}
}

// TestLibcVariants links this test binary with the C library in several ways
// and lets TestLibcSelf compare our findings with C's own in each.
// RSEQKIT_TEST_LOADER names the dynamic loader of another glibc, its
// libraries beside it, for one more variant.
func TestLibcVariants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds several test binaries: skipped by -short")
	}
	goCmd, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("needs the go command: %v", err)
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	if _, err := exec.LookPath(strings.Fields(cc)[0]); err != nil {
		t.Skipf("needs a C compiler: %v", err)
	}
	if _, err := os.Stat("libc_linux_test.go"); err != nil {
		t.Skipf("needs the source of the package: %v", err)
	}
	dir := t.TempDir()

	build := func(t *testing.T, name string, args ...string) string {
		bin := filepath.Join(dir, name)
		cmd := exec.Command(goCmd, append([]string{"test", "-c", "-tags", "libcself", "-o", bin}, append(args, ".")...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
		if out, err := cmd.CombinedOutput(); err != nil {
			if strings.Contains(string(out), "cannot find -lc") || strings.Contains(string(out), "rcrt1.o") {
				t.Skipf("needs the static C library: %s", out)
			}
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
		return bin
	}
	run := func(t *testing.T, want, origin string, env []string, args ...string) {
		cmd := exec.Command(args[0], append(args[1:], "-test.run=^TestLibcSelf$", "-test.v")...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), append(env, "RSEQKIT_TEST_LIBC="+want, "RSEQKIT_TEST_LIBC_ORIGIN="+origin)...)
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestLibcSelf (")) {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "offset ") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}

	const loader, symtab = "dynamic loader", "executable symbol table"
	off := []string{"GLIBC_TUNABLES=glibc.pthread.rseq=0"}
	for _, v := range []struct {
		name, want, origin string
		args               []string
	}{
		{"dynamic", "", loader, nil},
		{"internal", "", loader, []string{"-ldflags=-linkmode=internal"}},
		{"pie", "", loader, []string{"-buildmode=pie"}},
		{"static", "", symtab, []string{"-ldflags=-linkmode external -extldflags -static"}},
		{"static-pie", "", symtab, []string{"-buildmode=pie", "-ldflags=-linkmode external -extldflags -static-pie"}},
		{"stripped", "", loader, []string{"-ldflags=-s -w -linkmode external"}},
		{"static-stripped", "missing", "", []string{"-ldflags=-s -w -linkmode external -extldflags -static"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			bin := build(t, v.name, v.args...)
			run(t, v.want, v.origin, nil, bin)
			if v.want == "" {
				// Only a library that has the symbols can be switched off.
				run(t, "", v.origin, off, bin)
			}
		})
	}
	t.Run("other loader", func(t *testing.T) {
		ld := os.Getenv("RSEQKIT_TEST_LOADER")
		if ld == "" {
			t.Skip("RSEQKIT_TEST_LOADER is not set")
		}
		bin := build(t, "dynamic-again")
		with := []string{ld, "--library-path", filepath.Dir(ld), bin}
		run(t, "", loader+" "+ld, nil, with...)
		run(t, "unregistered", loader+" "+ld, off, with...)
	})
}

// FuzzLibcImage searches in damaged images: edits is a list of ten bytes each,
// where in the process (16 bits) and what to write there (64 bits). Whole
// images as input would be too large for the fuzzer to minimise.
func FuzzLibcImage(f *testing.F) {
	images := []fakeProcess{{}, {sysv: true}, {unrelocated: true}, {symbols: []string{"a"}}, {in: fakeLib}}
	for i := range images {
		f.Add(uint8(i), true, []byte{})
		f.Add(uint8(i), false, []byte{})
		for _, at := range []int{
			fakeLinkMaps + 24, fakeRDebug + 8, // the list
			fakeExe + fakePhdr + 16, fakeLoader + fakePhdr, // program headers
			fakeExe + fakeDynamic + 5*16 + 8, fakeLoader + fakeDynamic + 4*16 + 8, // DT_DEBUG, the hash table
			fakeLoader + fakeHash, fakeLoader + fakeHash + 8, fakeLoader + fakeHash + 24, fakeLoader + fakeHash + 32,
			fakeLoader + fakeSymtab + symSize64, fakeLoader + fakeSymtab + symSize64 + 8,
		} {
			edit := binary.LittleEndian.AppendUint16(nil, uint16(at-fakeBase))
			f.Add(uint8(i), true, binary.LittleEndian.AppendUint64(edit, fakeLoader))
			f.Add(uint8(i), false, binary.LittleEndian.AppendUint64(edit, 1<<32+1))
		}
	}
	f.Fuzz(func(t *testing.T, image uint8, interp bool, edits []byte) {
		aux := fakeAux
		if !interp {
			aux.base = 0
		}
		m := images[int(image)%len(images)].build()
		for ; len(edits) >= 10; edits = edits[10:] {
			at := int(binary.LittleEndian.Uint16(edits)) % len(m.data)
			copy(m.data[at:], edits[2:10])
		}
		r, err := locateLibcRseq(m, aux, noExe)
		if m.reads > maxReads {
			t.Errorf("%d reads", m.reads)
		}
		if err == nil && r.origin == "" || err != nil && r != (libcRseq{}) {
			t.Errorf("got %+v, %v", r, err)
		}
		// The search has no state.
		m.reads = 0
		if r2, err2 := locateLibcRseq(m, aux, noExe); r2 != r || fmt.Sprint(err2) != fmt.Sprint(err) {
			t.Errorf("got %+v, %v; the first time %+v, %v", r2, err2, r, err)
		}
	})
}

// FuzzLibcSymbolTable reads damaged executable files.
func FuzzLibcSymbolTable(f *testing.F) {
	f.Add(fakeFile(0, "main", "__rseq_size", "__rseq_offset", "__rseq_flags"))
	f.Add(fakeFile(9, "a__rseq_size", "b__rseq_offset", "c__rseq_flags"))
	f.Add(fakeFile(0, "main"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &countingReader{r: bytes.NewReader(data)}
		_, _, err := symbolTable(in, int64(len(data)))
		// Each table is read once; overlapping pieces add a little.
		if limit := 4*len(data) + maxShnum*shdrSize; in.bytes > limit {
			t.Errorf("%d bytes read of a file of %d (%v)", in.bytes, len(data), err)
		}
	})
}

type countingReader struct {
	r     io.ReaderAt
	bytes int
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	c.bytes += len(p)
	return c.r.ReadAt(p, off)
}
