//go:build linux && (amd64 || arm64) && !purego

package rseq

// How the C library's rseq registration is found without cgo.
//
// glibc 2.35 and later register rseq for every thread and say so in three
// read-only variables, __rseq_offset, __rseq_size and __rseq_flags (glibc
// manual, "Restartable Sequences"). A dynamically linked program has them in
// the dynamic loader, a static one in its own image. A package that imports
// "C" cannot hold Go assembly, so this file does what a debugger does: it
// follows the auxiliary vector to the program headers, DT_DEBUG to the
// loader's list of objects (link.h, "struct r_debug"), and each object's
// dynamic section to its symbols (System V gABI, "Dynamic Section" and "Hash
// Table"; for DT_GNU_HASH, glibc's elf/dl-lookup.c is the definition).
//
// No pointer found on the way is ever dereferenced. Every byte is copied by
// the kernel, which answers EFAULT for an address that is not mapped, so a
// damaged list, or one that a concurrent dlopen is changing, ends in an error
// and not in a crash. For the same reason address arithmetic may wrap here
// without a check; only loops need bounds.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// libcRseq is what the C library says about its own rseq registration. It is
// a statement, not a proof: the caller still has to probe that the area so
// described is what the kernel knows for the calling thread.
type libcRseq struct {
	// offset is __rseq_offset: bytes from the thread pointer to the thread's
	// struct rseq. Its sign depends on the architecture and on the release
	// of glibc and says nothing. It is meaningful only on threads whose
	// thread pointer belongs to this C library.
	offset int64
	// size is __rseq_size: how many bytes of the area are in use; 0 when the
	// library has not registered (old kernel, seccomp, or switched off by
	// the tunable glibc.pthread.rseq=0). Releases differ in what they count:
	// 20 and 32 both mean "the original fields at least".
	size uint32
	// flags is __rseq_flags, the flags of the registration; 0 so far.
	flags uint32
	// origin names the place of the symbols for people: "dynamic loader
	// PATH", "shared object PATH" or "executable symbol table".
	origin string
}

// findLibcRseq reads the C library's three rseq variables out of this process.
//
// It takes about 0.1 ms in a dynamically linked program. In a
// static one it scans the symbol table of the executable file, which can take
// milliseconds; so call it once, and only when a C library owns the thread
// pointer. A static executable without thread-local storage, which is what a
// plain Go program is, is recognised from its program headers and costs no scan.
//
// A pure Go program linked as PIE does have a dynamic loader, and the loader's
// symbols are found; but its Go threads do not use the loader's thread
// pointer, so the offset must not be applied to them.
//
// The error wraps ErrNoLibcArea when there are no such symbols. Any other
// error says that the process could not be inspected. Not covered: further
// link-map namespaces (dlmopen, LD_AUDIT). A dlopen or dlclose on another
// thread during the call can cut the list short, but not in front of the
// loader, whose own entry stays.
func findLibcRseq() (libcRseq, error) {
	aux, err := readAuxv()
	if err != nil {
		return libcRseq{}, err
	}
	mem := &selfMemory{pid: os.Getpid()}
	defer mem.close()
	return locateLibcRseq(mem, aux, openSelfExe)
}

// The names are exported together since glibc 2.35 (version GLIBC_2.35).
const (
	symOffset = iota
	symSize
	symFlags
	symCount
)

var rseqSymbols = [symCount]struct {
	name string
	size uint64 // of the C type: ptrdiff_t and unsigned int of LP64
}{
	symOffset: {"__rseq_offset", 8},
	symSize:   {"__rseq_size", 4},
	symFlags:  {"__rseq_flags", 4},
}

// ELF64 numbers, named as in the gABI and in elf.h.
const (
	ptLoad    = 1
	ptDynamic = 2
	ptInterp  = 3
	ptPhdr    = 6
	ptTLS     = 7

	dtNull    = 0
	dtHash    = 4
	dtStrtab  = 5
	dtSymtab  = 6
	dtStrsz   = 10
	dtSyment  = 11
	dtDebug   = 21
	dtGNUHash = 0x6ffffef5

	etExec = 2

	shtSymtab = 2
	shtStrtab = 3

	sttNotype    = 0
	sttObject    = 1
	stbLocal     = 0
	shnLoreserve = 0xff00

	ehdrSize  = 64 // Elf64_Ehdr
	phdrSize  = 56 // Elf64_Phdr
	shdrSize  = 64 // Elf64_Shdr
	dynSize   = 16 // Elf64_Dyn
	symSize64 = 24 // Elf64_Sym
)

// Bounds of the search. Real processes stay far below each; a damaged image
// must not keep the caller busy. maxReads bounds the whole search whatever the
// single loops do: about 0.1 s of system calls.
const (
	maxReads   = 1 << 17
	maxPhnum   = 1024
	maxDynamic = 1024    // entries of one dynamic section
	maxObjects = 8192    // loaded objects
	maxChain   = 1 << 14 // symbols in one hash bucket
	maxName    = 4096    // bytes of an object's path, PATH_MAX
	maxShnum   = 1 << 16
	maxStrHits = 64 // places in the string table where a name ends a string
)

var (
	errSearchLong = fmt.Errorf("search given up after %d reads: the loader's tables look damaged", maxReads)
	elfOrder      = binary.LittleEndian // amd64, and arm64 as Go supports it
)

// addrReader copies bytes of a process image. readAddr fills p from addr on,
// or fails; it must survive any address. The process itself is one, the tests
// have others.
type addrReader interface {
	readAddr(p []byte, addr uint64) error
}

// selfMemory reads this process through the kernel: by process_vm_readv, or,
// once that is refused (old kernel, seccomp), by /proc/self/mem. Both permit a
// process its own memory, process_vm_readv also when it is not dumpable.
type selfMemory struct {
	pid     int
	refused error // what process_vm_readv said when it was given up
	file    *os.File
}

func (m *selfMemory) readAddr(p []byte, addr uint64) error {
	if len(p) == 0 {
		return nil
	}
	if runtime.GOARCH == "arm64" {
		// The hardware ignores the top byte of an address; a C library that
		// uses memory tagging stores its tag there. A file offset does not.
		addr &= 1<<56 - 1
	}
	if m.refused == nil {
		n, err := m.vmRead(p, addr)
		switch {
		case err == nil && n == len(p):
			return nil
		case err == nil || err == unix.EFAULT:
			return fmt.Errorf("read %d bytes at %#x: not mapped", len(p), addr)
		}
		m.refused = err
	}
	if m.file == nil {
		f, err := os.Open("/proc/self/mem")
		if err != nil {
			return fmt.Errorf("read own memory: process_vm_readv: %w; and %w: allow one of the two", m.refused, err)
		}
		m.file = f
	}
	if addr > 1<<63-1 {
		return fmt.Errorf("read %d bytes at %#x: not a user address", len(p), addr)
	}
	if _, err := m.file.ReadAt(p, int64(addr)); err != nil {
		return fmt.Errorf("read %d bytes at %#x: %w", len(p), addr, err)
	}
	return nil
}

func (m *selfMemory) vmRead(p []byte, addr uint64) (int, error) {
	local := []unix.Iovec{{Base: &p[0]}}
	local[0].SetLen(len(p))
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(p)}}
	for {
		n, err := unix.ProcessVMReadv(m.pid, local, remote, 0)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (m *selfMemory) close() {
	if m.file != nil {
		m.file.Close()
	}
}

// auxInfo holds the entries of the auxiliary vector (getauxval(3)) that lead
// to the loaded images.
type auxInfo struct {
	phdr, phent, phnum uint64 // AT_PHDR, AT_PHENT, AT_PHNUM: the executable's program headers
	base               uint64 // AT_BASE: where the loader was mapped; 0 without one
	entry              uint64 // AT_ENTRY: the executable's entry point
}

func (a *auxInfo) set(tag, val uint64) {
	switch tag {
	case 3:
		a.phdr = val
	case 4:
		a.phent = val
	case 5:
		a.phnum = val
	case 7:
		a.base = val
	case 9:
		a.entry = val
	}
}

// readAuxv prefers the vector that the Go runtime found on the stack to the
// kernel's copy. They differ where the loader was run as a command
// ("ld.so PROGRAM"): glibc then corrects the one on the stack, while the
// kernel's goes on describing the loader. The search copes with both.
func readAuxv() (auxInfo, error) {
	var aux auxInfo
	if vec, err := unix.Auxv(); err == nil {
		for _, e := range vec {
			aux.set(uint64(e[0]), uint64(e[1]))
		}
	}
	if aux.phdr != 0 {
		return aux, nil
	}
	// A Go library in a C program whose C library passes no arguments to
	// constructors (musl) has no vector on its stack.
	return readProcAuxv()
}

func readProcAuxv() (auxInfo, error) {
	const file = "/proc/self/auxv"
	data, err := os.ReadFile(file)
	if err != nil {
		return auxInfo{}, fmt.Errorf("rseq: auxiliary vector: %w: mount /proc", err)
	}
	var aux auxInfo
	for ; len(data) >= 16; data = data[16:] {
		aux.set(elfOrder.Uint64(data), elfOrder.Uint64(data[8:]))
	}
	if aux.phdr == 0 {
		return auxInfo{}, fmt.Errorf("rseq: auxiliary vector: no AT_PHDR in %s", file)
	}
	return aux, nil
}

// exeFile is the executable's file, for its section headers, which are not
// part of the image in memory.
type exeFile struct {
	io.ReaderAt
	size  int64
	close func() error
}

func openSelfExe() (exeFile, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return exeFile{}, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return exeFile{}, err
	}
	return exeFile{f, st.Size(), f.Close}, nil
}

// locateLibcRseq is findLibcRseq over a given image.
func locateLibcRseq(mem addrReader, aux auxInfo, exe func() (exeFile, error)) (libcRseq, error) {
	im := &elfImage{mem: mem}
	prog, err := im.program(aux)
	if err != nil {
		return libcRseq{}, fmt.Errorf("rseq: find rseq symbols: %w", err)
	}
	if prog.dynamic == 0 && aux.base == 0 {
		if !prog.tls {
			// Every C library keeps errno in thread-local storage.
			return libcRseq{}, fmt.Errorf("%w: static executable without thread-local storage, so without a C library", ErrNoLibcArea)
		}
		return im.fromSymbolTable(aux, exe)
	}

	objs, chainErr := im.objects(prog, aux)
	bad := 0
	var badErr error
	for _, o := range objs {
		r, err := im.fromObject(o)
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, ErrNoLibcArea) {
			bad++
			if badErr == nil {
				badErr = fmt.Errorf("%s: %w", o.describe(), err)
			}
		}
	}
	switch {
	case chainErr != nil:
		return libcRseq{}, fmt.Errorf("rseq: find rseq symbols: none in the first %d loaded objects: %w", len(objs), chainErr)
	case aux.base == 0 && !(len(objs) > 0 && objs[0].loader):
		// Static PIE has a dynamic section, and glibc even makes a list, of
		// the executable and the vDSO; but there is no loader.
		return im.fromSymbolTable(aux, exe)
	case badErr != nil:
		return libcRseq{}, fmt.Errorf("rseq: find rseq symbols: %d of %d loaded objects not readable: %w", bad, len(objs), badErr)
	}
	return libcRseq{}, fmt.Errorf("%w: musl or glibc < 2.35: no %s in %d loaded objects",
		ErrNoLibcArea, rseqSymbols[symOffset].name, len(objs))
}

// elfImage adds typed reads and the overall bound to an addrReader.
type elfImage struct {
	mem   addrReader
	reads int
}

func (im *elfImage) read(p []byte, addr uint64) error {
	if im.reads++; im.reads > maxReads {
		return errSearchLong
	}
	return im.mem.readAddr(p, addr)
}

func (im *elfImage) u32(addr uint64) (uint32, error) {
	var b [4]byte
	err := im.read(b[:], addr)
	return elfOrder.Uint32(b[:]), err
}

// words fills dst with consecutive 64-bit words.
func (im *elfImage) words(dst []uint64, addr uint64) error {
	b := make([]byte, 8*len(dst))
	if err := im.read(b, addr); err != nil {
		return err
	}
	for i := range dst {
		dst[i] = elfOrder.Uint64(b[8*i:])
	}
	return nil
}

// toPageEnd returns how many bytes from addr on can be read before the next
// mapping boundary may come: 4096 divides every page size in use.
func toPageEnd(addr uint64, want int) int {
	return min(want, int(4096-addr%4096))
}

// cstring reads a NUL-terminated string. Longer ones than maxName are cut:
// names only end up in messages.
func (im *elfImage) cstring(addr uint64) (string, error) {
	var s []byte
	buf := make([]byte, 128)
	for len(s) < maxName {
		part := buf[:toPageEnd(addr, len(buf))]
		if err := im.read(part, addr); err != nil {
			return "", err
		}
		if i := bytes.IndexByte(part, 0); i >= 0 {
			return string(append(s, part[:i]...)), nil
		}
		s = append(s, part...)
		addr += uint64(len(part))
	}
	return string(s[:maxName]), nil
}

// elfProgram is what the search needs of a mapped ELF image's program headers.
type elfProgram struct {
	bias    uint64 // address in memory minus address in the file
	dynamic uint64 // address in memory of PT_DYNAMIC, 0 without one
	interp  uint64 // address in memory of the loader's path, 0 without one
	tls     bool   // has PT_TLS
}

// program reads the program headers that AT_PHDR points at.
func (im *elfImage) program(aux auxInfo) (elfProgram, error) {
	if aux.phdr == 0 || aux.phent < phdrSize || aux.phent > 4096 || aux.phnum == 0 || aux.phnum > maxPhnum {
		return elfProgram{}, fmt.Errorf("auxiliary vector: %d program headers of %d bytes at %#x make no sense", aux.phnum, aux.phent, aux.phdr)
	}
	table := make([]byte, aux.phent*aux.phnum)
	if err := im.read(table, aux.phdr); err != nil {
		return elfProgram{}, fmt.Errorf("program headers: %w", err)
	}
	var p elfProgram
	var self, first, dyn, interp uint64
	var hasSelf, hasFirst, hasDyn, hasInterp bool
	for ; len(table) > 0; table = table[aux.phent:] {
		offset, vaddr := elfOrder.Uint64(table[8:]), elfOrder.Uint64(table[16:])
		switch elfOrder.Uint32(table) {
		case ptPhdr:
			self, hasSelf = vaddr, true
		case ptLoad:
			if offset == 0 {
				first, hasFirst = vaddr, true
			}
		case ptDynamic:
			dyn, hasDyn = vaddr, true
		case ptInterp:
			interp, hasInterp = vaddr, true
		case ptTLS:
			p.tls = true
		}
	}
	switch {
	case hasSelf:
		p.bias = aux.phdr - self
	case hasFirst:
		// Linkers put the program headers right behind the ELF header, which
		// starts the segment of file offset 0. The static symbol look-up
		// does not rely on this, see fromSymbolTable.
		p.bias = aux.phdr - ehdrSize - first
	case hasDyn:
		return elfProgram{}, fmt.Errorf("%d program headers at %#x: neither PT_PHDR nor a segment at file offset 0 tells the load address", aux.phnum, aux.phdr)
	}
	if hasDyn {
		p.dynamic = p.bias + dyn
	}
	if hasInterp {
		p.interp = p.bias + interp
	}
	return p, nil
}

// elfObject is one entry of the loader's list (link.h, struct link_map).
type elfObject struct {
	addr   uint64 // l_addr, the load bias
	name   string // l_name, empty for the executable
	ld     uint64 // l_ld, its dynamic section
	loader bool   // the dynamic loader itself
}

func (o elfObject) describe() string {
	switch {
	case o.loader:
		return "dynamic loader " + o.name
	case o.name == "":
		return "executable"
	}
	return "shared object " + o.name
}

// objects lists the loaded objects, the dynamic loader first: its variables
// are the ones that it writes, while an executable that refers to them may
// hold copies (R_*_COPY). The objects found before a non-nil error can be used.
func (im *elfImage) objects(prog elfProgram, aux auxInfo) (objs []elfObject, err error) {
	loaderAt := aux.base
	var rdebug uint64
	if prog.dynamic != 0 {
		d, derr := im.dynamic(prog.dynamic)
		if derr != nil {
			err = fmt.Errorf("executable: %w", derr)
		}
		rdebug = d.debug
	}
	if rdebug != 0 {
		// struct r_debug: r_version (int), r_map, r_brk, r_state, r_ldbase.
		var r [5]uint64
		if rerr := im.words(r[:], rdebug); rerr != nil {
			err = fmt.Errorf("r_debug at %#x: %w", rdebug, rerr)
		} else {
			// r_ldbase is there too when the loader was run as a command
			// and the kernel had no interpreter to map.
			if r[4] != 0 {
				loaderAt = r[4]
			}
			objs, err = im.linkMaps(r[1])
		}
	}
	front := -1
	for i := range objs {
		if loaderAt != 0 && objs[i].addr == loaderAt {
			objs[i].loader = true
			front = i
			break
		}
	}
	if front < 0 && loaderAt != 0 {
		// No list, a damaged one, or one without the loader: glibc leaves
		// itself out if no object needs it, as in a Go PIE without cgo. It
		// can still be found by its ELF header.
		if o, oerr := im.objectAt(loaderAt); oerr == nil {
			if prog.interp != 0 && loaderAt == aux.base {
				if name, nerr := im.cstring(prog.interp); nerr == nil {
					o.name = name
				}
			}
			objs = append(objs, o)
			front = len(objs) - 1
		} else if err == nil {
			err = fmt.Errorf("dynamic loader at %#x: %w", loaderAt, oerr)
		}
	}
	if front > 0 {
		l := objs[front]
		copy(objs[1:], objs[:front])
		objs[0] = l
	}
	if rdebug == 0 && prog.dynamic != 0 {
		// The loader itself, run as a command and seen through the kernel's
		// auxiliary vector, or a static PIE without a list.
		objs = append(objs, elfObject{addr: prog.bias, ld: prog.dynamic})
	}
	return objs, err
}

// linkMaps follows the list from its head.
func (im *elfImage) linkMaps(at uint64) ([]elfObject, error) {
	var objs []elfObject
	seen := map[uint64]bool{}
	for at != 0 {
		if seen[at] {
			return objs, fmt.Errorf("link_map list: entry %d leads back to %#x", len(objs)-1, at)
		}
		seen[at] = true
		if len(objs) == maxObjects {
			return objs, fmt.Errorf("link_map list: no end after %d objects", maxObjects)
		}
		var lm [4]uint64 // l_addr, l_name, l_ld, l_next
		if err := im.words(lm[:], at); err != nil {
			return objs, fmt.Errorf("link_map %d at %#x: %w", len(objs), at, err)
		}
		name, err := im.cstring(lm[1])
		if err != nil {
			name = fmt.Sprintf("(unreadable name, loaded at %#x)", lm[0])
		}
		objs = append(objs, elfObject{addr: lm[0], name: name, ld: lm[2]})
		at = lm[3]
	}
	return objs, nil
}

// objectAt makes an object of the ELF file mapped at base, as AT_BASE gives
// it for the loader: the address of its ELF header.
func (im *elfImage) objectAt(base uint64) (elfObject, error) {
	h := make([]byte, ehdrSize)
	if err := im.read(h, base); err != nil {
		return elfObject{}, err
	}
	eh, err := parseEhdr(h)
	if err != nil {
		return elfObject{}, err
	}
	p, err := im.program(auxInfo{phdr: base + eh.phoff, phent: uint64(eh.phentsize), phnum: uint64(eh.phnum)})
	if err != nil {
		return elfObject{}, err
	}
	if p.dynamic == 0 {
		return elfObject{}, errors.New("no dynamic section")
	}
	return elfObject{addr: p.bias, name: fmt.Sprintf("(loaded at %#x)", base), ld: p.dynamic, loader: true}, nil
}

// elfDynamic holds the values of a dynamic section as they stand there.
type elfDynamic struct {
	symtab, strtab, strsz, syment, hash, gnuHash, debug uint64
}

func (im *elfImage) dynamic(at uint64) (elfDynamic, error) {
	var d elfDynamic
	buf := make([]byte, 32*dynSize)
	for n := 0; n < maxDynamic; {
		part := buf[:max(toPageEnd(at, len(buf))/dynSize, 1)*dynSize]
		if err := im.read(part, at); err != nil {
			return elfDynamic{}, fmt.Errorf("dynamic section, entry %d: %w", n, err)
		}
		at += uint64(len(part))
		for ; len(part) > 0; part = part[dynSize:] {
			n++
			val := elfOrder.Uint64(part[8:])
			switch elfOrder.Uint64(part) {
			case dtNull:
				return d, nil
			case dtHash:
				d.hash = val
			case dtStrtab:
				d.strtab = val
			case dtSymtab:
				d.symtab = val
			case dtStrsz:
				d.strsz = val
			case dtSyment:
				d.syment = val
			case dtDebug:
				d.debug = val
			case dtGNUHash:
				d.gnuHash = val
			}
		}
	}
	return elfDynamic{}, fmt.Errorf("dynamic section: no end after %d entries", maxDynamic)
}

// relocated turns a d_ptr value into an address. The gABI calls for file
// addresses. glibc adds the bias to those in memory, except in dynamic
// sections that are read-only, like the vDSO's; musl never does. An address
// inside an object is not below the object's bias, a file address is, unless
// the object was loaded below its link address (prelink), where the bias is
// negative and only glibc's convention is known.
func relocated(ptr, bias uint64) uint64 {
	if ptr == 0 || ptr >= bias || int64(bias) < 0 {
		return ptr
	}
	return ptr + bias
}

// fromObject reads the three variables of one loaded object. The error wraps
// ErrNoLibcArea if the object simply does not define them.
func (im *elfImage) fromObject(o elfObject) (libcRseq, error) {
	if o.ld == 0 {
		return libcRseq{}, ErrNoLibcArea
	}
	d, err := im.dynamic(o.ld)
	if err != nil {
		return libcRseq{}, err
	}
	if d.symtab == 0 || d.strtab == 0 || d.hash == 0 && d.gnuHash == 0 {
		return libcRseq{}, ErrNoLibcArea // exports nothing
	}
	if d.syment != 0 && d.syment != symSize64 {
		return libcRseq{}, fmt.Errorf("symbols of %d bytes, want %d", d.syment, symSize64)
	}
	d.symtab = relocated(d.symtab, o.addr)
	d.strtab = relocated(d.strtab, o.addr)
	d.hash = relocated(d.hash, o.addr)
	d.gnuHash = relocated(d.gnuHash, o.addr)

	var at [symCount]uint64
	for i, s := range rseqSymbols {
		var v uint64
		if d.gnuHash != 0 {
			v, err = im.lookupGNU(d, s.name, s.size)
		} else {
			v, err = im.lookupSysV(d, s.name, s.size)
		}
		if err != nil {
			if i > 0 && errors.Is(err, ErrNoLibcArea) {
				// The loader has all of them or none.
				err = fmt.Errorf("has %s, lacks %s", rseqSymbols[symOffset].name, s.name)
			}
			return libcRseq{}, err
		}
		at[i] = o.addr + v
	}
	return im.values(at, o.describe())
}

// values reads the variables themselves.
func (im *elfImage) values(at [symCount]uint64, origin string) (libcRseq, error) {
	r := libcRseq{origin: origin}
	var off [1]uint64
	err := im.words(off[:], at[symOffset])
	if err == nil {
		r.size, err = im.u32(at[symSize])
	}
	if err == nil {
		r.flags, err = im.u32(at[symFlags])
	}
	if err != nil {
		return libcRseq{}, fmt.Errorf("rseq variables: %w", err)
	}
	r.offset = int64(off[0])
	return r, nil
}

// lookupGNU finds a symbol through DT_GNU_HASH: four 32-bit words (buckets,
// first hashed symbol, 64-bit bloom words, bloom shift), the bloom filter,
// the buckets, and one word for each hashed symbol, which is its hash with bit
// 0 set on the last one of a bucket. The filter only saves time: it is skipped.
func (im *elfImage) lookupGNU(d elfDynamic, name string, size uint64) (uint64, error) {
	var hdr [2]uint64
	if err := im.words(hdr[:], d.gnuHash); err != nil {
		return 0, fmt.Errorf("DT_GNU_HASH: %w", err)
	}
	nbuckets, first, bloom := uint32(hdr[0]), uint32(hdr[0]>>32), uint32(hdr[1])
	if nbuckets == 0 {
		return 0, ErrNoLibcArea
	}
	h := gnuHash(name)
	buckets := d.gnuHash + 16 + 8*uint64(bloom)
	i, err := im.u32(buckets + 4*uint64(h%nbuckets))
	if err != nil {
		return 0, fmt.Errorf("DT_GNU_HASH: bucket of %d: %w", nbuckets, err)
	}
	if i == 0 {
		return 0, ErrNoLibcArea // empty bucket
	}
	if i < first {
		return 0, fmt.Errorf("DT_GNU_HASH: bucket starts at symbol %d, hashed ones at %d", i, first)
	}
	chain := buckets + 4*uint64(nbuckets)
	for n := 0; n < maxChain; n++ {
		c, err := im.u32(chain + 4*uint64(i-first))
		if err != nil {
			return 0, fmt.Errorf("DT_GNU_HASH: symbol %d: %w", i, err)
		}
		if c|1 == h|1 {
			v, err := im.symbol(d, i, name, size)
			if !errors.Is(err, ErrNoLibcArea) {
				return v, err
			}
		}
		if c&1 != 0 {
			return 0, ErrNoLibcArea
		}
		i++
	}
	return 0, fmt.Errorf("DT_GNU_HASH: no end of a bucket after %d symbols", maxChain)
}

// lookupSysV finds a symbol through DT_HASH: the number of buckets, the
// number of symbols, the buckets, and for each symbol the next of its bucket.
func (im *elfImage) lookupSysV(d elfDynamic, name string, size uint64) (uint64, error) {
	var hdr [1]uint64
	if err := im.words(hdr[:], d.hash); err != nil {
		return 0, fmt.Errorf("DT_HASH: %w", err)
	}
	nbuckets, nsyms := uint32(hdr[0]), uint32(hdr[0]>>32)
	if nbuckets == 0 {
		return 0, ErrNoLibcArea
	}
	buckets := d.hash + 8
	i, err := im.u32(buckets + 4*uint64(sysvHash(name)%nbuckets))
	if err != nil {
		return 0, fmt.Errorf("DT_HASH: bucket of %d: %w", nbuckets, err)
	}
	chain := buckets + 4*uint64(nbuckets)
	for n := 0; n < maxChain; n++ {
		if i == 0 {
			return 0, ErrNoLibcArea
		}
		if i >= nsyms {
			return 0, fmt.Errorf("DT_HASH: symbol %d of %d", i, nsyms)
		}
		v, err := im.symbol(d, i, name, size)
		if !errors.Is(err, ErrNoLibcArea) {
			return v, err
		}
		if i, err = im.u32(chain + 4*uint64(i)); err != nil {
			return 0, fmt.Errorf("DT_HASH: chain: %w", err)
		}
	}
	return 0, fmt.Errorf("DT_HASH: no end of a bucket after %d symbols", maxChain)
}

// symbol returns st_value of dynamic symbol i if it is a definition of name.
func (im *elfImage) symbol(d elfDynamic, i uint32, name string, size uint64) (uint64, error) {
	var raw [symSize64]byte
	if err := im.read(raw[:], d.symtab+symSize64*uint64(i)); err != nil {
		return 0, fmt.Errorf("symbol %d: %w", i, err)
	}
	s := parseSym(raw[:])
	if !s.defines(size) {
		return 0, ErrNoLibcArea
	}
	got := make([]byte, len(name)+1)
	if uint64(s.name)+uint64(len(got)) > d.strsz {
		return 0, ErrNoLibcArea // another, shorter name at the end of the table
	}
	if err := im.read(got, d.strtab+uint64(s.name)); err != nil {
		return 0, fmt.Errorf("name of symbol %d: %w", i, err)
	}
	if string(got[:len(name)]) != name || got[len(name)] != 0 {
		return 0, ErrNoLibcArea
	}
	return s.value, nil
}

// gnuHash is the hash of DT_GNU_HASH: h*33+c from 5381.
func gnuHash(name string) uint32 {
	h := uint32(5381)
	for i := 0; i < len(name); i++ {
		h = h*33 + uint32(name[i])
	}
	return h
}

// sysvHash is the hash of DT_HASH (gABI, "Hash Table").
func sysvHash(name string) uint32 {
	var h uint32
	for i := 0; i < len(name); i++ {
		h = h<<4 + uint32(name[i])
		h ^= h >> 24 & 0xf0
		h &= 0x0fffffff
	}
	return h
}

// elfSym is an Elf64_Sym.
type elfSym struct {
	name        uint32
	info        uint8
	shndx       uint16
	value, size uint64
}

func parseSym(b []byte) elfSym {
	return elfSym{elfOrder.Uint32(b), b[4], elfOrder.Uint16(b[6:]), elfOrder.Uint64(b[8:]), elfOrder.Uint64(b[16:])}
}

// defines says whether the symbol can be a global variable of size bytes,
// defined in a section: not an import, a function, a TLS or absolute symbol.
func (s elfSym) defines(size uint64) bool {
	typ, bind := s.info&15, s.info>>4
	return (typ == sttObject || typ == sttNotype) && bind != stbLocal &&
		s.shndx != 0 && s.shndx < shnLoreserve && s.size == size
}

// elfHeader is the part of an Elf64_Ehdr that is used here.
type elfHeader struct {
	typ, phentsize, phnum, shentsize, shnum uint16
	entry, phoff, shoff                     uint64
}

func parseEhdr(b []byte) (elfHeader, error) {
	// e_ident: magic, ELFCLASS64, ELFDATA2LSB.
	if string(b[:6]) != "\x7fELF\x02\x01" {
		return elfHeader{}, fmt.Errorf("no 64-bit little-endian ELF header: % x", b[:6])
	}
	return elfHeader{
		typ: elfOrder.Uint16(b[16:]), entry: elfOrder.Uint64(b[24:]),
		phoff: elfOrder.Uint64(b[32:]), shoff: elfOrder.Uint64(b[40:]),
		phentsize: elfOrder.Uint16(b[54:]), phnum: elfOrder.Uint16(b[56:]),
		shentsize: elfOrder.Uint16(b[58:]), shnum: elfOrder.Uint16(b[60:]),
	}, nil
}

// fromSymbolTable serves static executables: nothing in memory names their
// symbols, so the section headers of the file have to.
func (im *elfImage) fromSymbolTable(aux auxInfo, open func() (exeFile, error)) (libcRseq, error) {
	f, err := open()
	if err != nil {
		return libcRseq{}, fmt.Errorf("rseq: find rseq symbols: static executable: %w", err)
	}
	defer f.close()
	at, eh, err := symbolTable(f, f.size)
	if err != nil {
		if errors.Is(err, ErrNoLibcArea) {
			return libcRseq{}, err
		}
		return libcRseq{}, fmt.Errorf("rseq: find rseq symbols: executable symbol table: %w", err)
	}
	// AT_ENTRY and e_entry are the same instruction, however the file is laid out.
	bias := aux.entry - eh.entry
	if eh.typ == etExec && bias != 0 {
		return libcRseq{}, fmt.Errorf("rseq: find rseq symbols: entry point %#x in the file, %#x in memory: the file is not the running program", eh.entry, aux.entry)
	}
	for i := range at {
		at[i] += bias
	}
	r, err := im.values(at, "executable symbol table")
	if err != nil {
		return libcRseq{}, fmt.Errorf("rseq: find rseq symbols: executable symbol table: %w", err)
	}
	return r, nil
}

// symbolTable returns the three symbols' addresses as the file has them. It
// reads the tables in pieces and keeps none: first the string table for the
// places where the names stand, then the symbols for those places.
func symbolTable(r io.ReaderAt, size int64) (at [symCount]uint64, eh elfHeader, err error) {
	f := elfFile{r, uint64(max(size, 0))}
	var hdr [ehdrSize]byte
	if err := f.read(hdr[:], 0); err != nil {
		return at, eh, fmt.Errorf("ELF header: %w", err)
	}
	if eh, err = parseEhdr(hdr[:]); err != nil {
		return at, eh, err
	}
	symtab, strtab, err := f.sections(eh)
	if err != nil {
		return at, eh, err
	}

	names := map[uint32]int{} // st_name → index in rseqSymbols
	if err := f.findNames(strtab, names); err != nil {
		return at, eh, err
	}

	var found [symCount]bool
	missing := symCount
	n := symtab.size / symSize64
	const batch = 2048
	buf := make([]byte, batch*symSize64)
	// sh_info is the index of the first symbol that is not local.
	for i := min(uint64(symtab.info), n); i < n && missing > 0 && len(names) > 0; i += batch {
		part := buf[:min(batch, n-i)*symSize64]
		if err := f.read(part, symtab.offset+i*symSize64); err != nil {
			return at, eh, fmt.Errorf("symbols from %d of %d: %w", i, n, err)
		}
		for ; len(part) > 0; part = part[symSize64:] {
			k, ok := names[elfOrder.Uint32(part)]
			if !ok {
				continue
			}
			if s := parseSym(part); s.defines(rseqSymbols[k].size) && !found[k] {
				at[k], found[k] = s.value, true
				missing--
			}
		}
	}
	switch {
	case missing == symCount:
		return at, eh, fmt.Errorf("%w: musl or glibc < 2.35: no %s among the %d symbols of the static executable",
			ErrNoLibcArea, rseqSymbols[symOffset].name, n)
	case missing > 0:
		return at, eh, fmt.Errorf("%d of the %d rseq symbols missing", missing, symCount)
	}
	return at, eh, nil
}

// elfFile is a file with checked reads.
type elfFile struct {
	r    io.ReaderAt
	size uint64
}

func (f elfFile) read(p []byte, off uint64) error {
	n := uint64(len(p))
	if off > f.size || n > f.size-off {
		return fmt.Errorf("%d bytes at offset %d lie outside the file of %d bytes", n, off, f.size)
	}
	// io.ReaderAt may report io.EOF with a full buffer that ends the file.
	if m, err := f.r.ReadAt(p, int64(off)); m < len(p) {
		return err
	}
	return nil
}

// elfSection is the part of an Elf64_Shdr that is used here.
type elfSection struct {
	typ, link, info uint32
	offset, size    uint64
}

func parseShdr(b []byte) elfSection {
	return elfSection{
		typ: elfOrder.Uint32(b[4:]), offset: elfOrder.Uint64(b[24:]), size: elfOrder.Uint64(b[32:]),
		link: elfOrder.Uint32(b[40:]), info: elfOrder.Uint32(b[44:]),
	}
}

// sections finds the symbol table and its string table.
func (f elfFile) sections(eh elfHeader) (symtab, strtab elfSection, err error) {
	stripped := fmt.Errorf("%w: no rseq symbols in memory, no symbol table in the executable file (stripped static executable): link without -s, or dynamically", ErrNoLibcArea)
	if eh.shoff == 0 {
		return symtab, strtab, stripped
	}
	if eh.shentsize != shdrSize {
		return symtab, strtab, fmt.Errorf("section headers of %d bytes, want %d", eh.shentsize, shdrSize)
	}
	var b [shdrSize]byte
	num := uint64(eh.shnum)
	if num == 0 {
		// Too many for the field: section 0 has the number (gABI).
		if err := f.read(b[:], eh.shoff); err != nil {
			return symtab, strtab, fmt.Errorf("section header 0: %w", err)
		}
		num = parseShdr(b[:]).size
	}
	if num > maxShnum {
		return symtab, strtab, fmt.Errorf("%d section headers, more than %d", num, maxShnum)
	}
	get := func(i uint64) (elfSection, error) {
		if err := f.read(b[:], eh.shoff+i*shdrSize); err != nil {
			return elfSection{}, fmt.Errorf("section header %d of %d: %w", i, num, err)
		}
		return parseShdr(b[:]), nil
	}
	for i := range num {
		s, err := get(i)
		if err != nil {
			return symtab, strtab, err
		}
		if s.typ != shtSymtab {
			continue
		}
		if uint64(s.link) >= num {
			return symtab, strtab, fmt.Errorf("string table is section %d of %d", s.link, num)
		}
		str, err := get(uint64(s.link))
		if err != nil {
			return symtab, strtab, err
		}
		if str.typ != shtStrtab {
			return symtab, strtab, fmt.Errorf("section %d has type %d, not a string table", s.link, str.typ)
		}
		return s, str, nil
	}
	return symtab, strtab, stripped
}

// findNames records where in the string table the names stand. A linker may
// let a name share the tail of a longer string, so it need not follow a NUL,
// and there may be several such places.
func (f elfFile) findNames(tab elfSection, names map[uint32]int) error {
	// The longest name with its NUL, less one: what a piece has to see of
	// the piece before it.
	const overlap = len("__rseq_offset\x00") - 1
	if tab.size > 1<<32 {
		return fmt.Errorf("string table of %d bytes: st_name has 32 bits", tab.size)
	}
	buf := make([]byte, 64<<10)
	for pos := uint64(0); pos < tab.size; {
		part := buf[:min(uint64(len(buf)), tab.size-pos)]
		if err := f.read(part, tab.offset+pos); err != nil {
			return fmt.Errorf("string table of %d bytes: %w", tab.size, err)
		}
		for k, s := range rseqSymbols {
			pattern := []byte(s.name + "\x00")
			for from := 0; ; {
				i := bytes.Index(part[from:], pattern)
				if i < 0 {
					break
				}
				names[uint32(pos)+uint32(from+i)] = k
				if len(names) > maxStrHits {
					return fmt.Errorf("string table: more than %d places end in an rseq symbol's name", maxStrHits)
				}
				from += i + 1
			}
		}
		if pos+uint64(len(part)) >= tab.size {
			break
		}
		pos += uint64(len(part) - overlap)
	}
	return nil
}
