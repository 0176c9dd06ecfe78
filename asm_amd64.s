//go:build linux && !purego

#include "textflag.h"

// The critical sections for amd64. asm_arm64.s mirrors this file: the same
// sections in the same order, with the same macros and labels.
//
// # Anatomy
//
// Every section is one function without a frame. Its arguments stay where the
// caller put them, so an attempt that was aborted has lost nothing: the abort
// handler counts, gives up after abortLimit aborts in a row, or else starts
// again from the arguments.
//
//	begin:   arguments, region table (TABLE, or TABLE_BY_CID in the sections
//	         whose names end in ByConcurrencyID), area of the thread; any of
//	         them missing: to slow. These loads are outside the section: a
//	         handle's table, base and shift do not change while somebody can
//	         use them, and the area is the thread's own.
//	ARM      the descriptor's address goes into the area. From the next
//	         instruction on the thread is inside.
//	         index loaded, region looked up: no region: to slow
//	         body, results before the commit
//	         commit: one store. The next instruction is outside: a RET.
//	ABORTED  signature, abort handler
//	slow:    tail jump to the Go function that does the same otherwise and
//	         finds the arguments where they are. aborted: the same for a
//	         section that was aborted too often.
//
// The kernel (or a signal, or a fence) that interrupts a thread between ARM
// and commit sends it to the abort handler. All registers then hold what they
// held at the unknown point of interruption; nothing but R12 is used again.
// A thread that left for slow is outside, and the descriptor that it leaves
// in the area is harmless: the kernel compares addresses.
//
// rseq.Describe derives the descriptor from the code: ARM's store, the RET
// before the signature, the byte after it. So ARM must be the only store of
// R9 to 8(R8), and the order commit, RET, ABORTED is not a matter of taste.
//
// # Registers, in all sections
//
//	R8   area of the calling thread
//	R9   descriptor
//	R12  aborts in a row; the kernel keeps it through an abort
//	BX   region table
//	AX   index, then the distance of the CPU's region from region 0; CX its shift
//	SI   address of the word in region 0
//	DI   handle
//
// R14, R15 and X15 belong to the Go ABI and to dynamic linking, BP to the
// frame pointer: untouched.

#include "sections.h"

// What package cpumem lays out (handle.go, table.go); checked by a test.
#define handle_table  0(DI)
#define handle_base   8(DI)
#define handle_claim  16(DI)
#define handle_shift  24(DI)
#define claim_table   0(BX)
#define claim_shards  8(BX)
#define claim_mask    16(BX)
#define area_cs       8(R8)
#define area_cpu_id   4(R8)
#define area_mm_cid   24(R8)

// TABLE and TABLE_BY_CID load the region table of a domain by CPU number or by
// concurrency id. Each finds none in a handle of the other kind. The handle's
// base and shift are published before either, so they are loaded after them.
#define TABLE \
	MOVQ  handle_table, BX \
	TESTQ BX, BX           \
	JZ    slow

#define TABLE_BY_CID \
	MOVQ  handle_claim, BX \
	TESTQ BX, BX           \
	JZ    slow             \
	MOVQ  claim_table, BX  \
	TESTQ BX, BX           \
	JZ    slow

// AREA loads the calling thread's area, or leaves for slow. rseq/thread_amd64.s
// has the reasons.
#define AREA \
	MOVQ  0(FS), R8                                          \
	TESTQ R8, R8                                             \
	JZ    slow                                               \
	ADDQ  github·com∕rseqkit∕rseqkit∕rseq·areaOffset(SB), R8

// ARM enters the section.
#define ARM \
	MOVQ  R9, area_cs

// REGION turns the index in AX into the distance of its region, if the region
// may be used. The kernel's negative numbers for a thread that is not
// registered fall on empty entries. The address does not come from the entry,
// whose load would delay it; loads are in order here (TSO), so the word is read
// after the entry was found open.
#define REGION \
	ANDL  $(tableEntries-1), AX \
	CMPQ  (BX)(AX*8), $0        \
	JEQ   slow                  \
	SHLQ  CX, AX

// SHARD leaves for go unless the handle's memory is in shards: on the locked
// engine. Else CX becomes the handle's place in the shard that the goroutine's
// address, mixed, selects (2^32 / golden ratio; cpumem's hint in Go). It
// follows slow, outside the section.
#define SHARD \
	MOVQ   handle_claim, BX    \
	TESTQ  BX, BX              \
	JZ     go                  \
	MOVQ   claim_shards, CX    \
	TESTQ  CX, CX              \
	JZ     go                  \
	MOVQ   (TLS), AX           \
	SHRQ   $6, AX              \
	IMUL3L $0x9e3779b1, AX, AX \
	ANDQ   claim_mask, AX      \
	ADDQ  AX, CX

// ABORTED follows the commit's RET: UD1 with the signature as its operand, as
// glibc and librseq write it, and the handler that the descriptor names. It
// falls through to the jump behind it when the limit is reached.
#define ABORTED(section) \
	BYTE $0x0f; BYTE $0xb9; BYTE $0x3d; LONG $0x53053053 \
	LOCK                                                 \
	INCQ section_aborts(section)                         \
	INCL R12                                             \
	CMPL R12, $abortLimit                                \
	JB   begin

#define section_aborts(section) section<>+32(SB)

// func Add(h *cpumem.Handle, displacement uintptr, delta int64)
//
// Does:      word += delta
// Invariant: before the commit nothing has changed that anyone can see
// Commit:    the addition's store to the word (one instruction reads, adds and
//            writes; an interrupt falls before or after it)
// Abort:     nothing is lost; again from begin, at last addAborted
// Ordering:  a plain store (TSO: after all earlier ones)
TEXT ·Add(SB), NOSPLIT|NOFRAME, $0-24
	XORL  R12, R12
begin:
	MOVQ  h+0(FP), DI
	MOVQ  displacement+8(FP), SI
	MOVQ  delta+16(FP), DX
	LEAQ  addSection<>(SB), R9
	TABLE
	MOVQ  handle_shift, CX
	ADDQ  handle_base, SI
	AREA
	ARM
	MOVL  area_cpu_id, AX
	REGION
	ADDQ  DX, (SI)(AX*1)        // commit
	RET
	ABORTED(addSection)
	JMP   ·addAborted(SB)
slow:
	SHARD
	MOVQ  displacement+8(FP), SI
	LOCK
	ADDQ  DX, (CX)(SI*1)
	RET
go:
	JMP   ·addSlow(SB)

// func AddFloat(h *cpumem.Handle, displacement uintptr, delta float64)
//
// Does:      word += delta, as float64
// Invariant: before the commit nothing has changed that anyone can see
// Registers: X0 delta, then the sum (loaded again after begin)
// Commit:    the store of the sum
// Abort:     nothing is lost; again from begin, at last addFloatAborted
// Ordering:  a plain store (TSO: after all earlier ones)
TEXT ·AddFloat(SB), NOSPLIT|NOFRAME, $0-24
	XORL  R12, R12
begin:
	MOVQ  h+0(FP), DI
	MOVQ  displacement+8(FP), SI
	MOVSD delta+16(FP), X0
	LEAQ  addFloatSection<>(SB), R9
	TABLE
	MOVQ  handle_shift, CX
	ADDQ  handle_base, SI
	AREA
	ARM
	MOVL  area_cpu_id, AX
	REGION
	ADDSD (SI)(AX*1), X0       // sum
	MOVSD X0, (SI)(AX*1)       // commit
	RET
	ABORTED(addFloatSection)
	JMP   ·addFloatAborted(SB)
slow:
	JMP   ·addFloatSlow(SB)

// func AddByConcurrencyID(h *cpumem.Handle, displacement uintptr, delta int64)
//
// Does:      word += delta
// Invariant: before the commit nothing has changed that anyone can see
// Commit:    the addition's store to the word (one instruction reads, adds and
//            writes; an interrupt falls before or after it)
// Abort:     nothing is lost; again from begin, at last addAborted
// Ordering:  a plain store (TSO: after all earlier ones)
TEXT ·AddByConcurrencyID(SB), NOSPLIT|NOFRAME, $0-24
	XORL  R12, R12
begin:
	MOVQ  h+0(FP), DI
	MOVQ  displacement+8(FP), SI
	MOVQ  delta+16(FP), DX
	LEAQ  addByConcurrencyIDSection<>(SB), R9
	TABLE_BY_CID
	MOVQ  handle_shift, CX
	ADDQ  handle_base, SI
	AREA
	ARM
	MOVL  area_mm_cid, AX
	REGION
	ADDQ  DX, (SI)(AX*1)        // commit
	RET
	ABORTED(addByConcurrencyIDSection)
	JMP   ·addAborted(SB)
slow:
	JMP   ·addByConcurrencyIDSlow(SB)

// func AddFloatByConcurrencyID(h *cpumem.Handle, displacement uintptr, delta float64)
//
// Does:      word += delta, as float64
// Invariant: before the commit nothing has changed that anyone can see
// Registers: X0 delta, then the sum (loaded again after begin)
// Commit:    the store of the sum
// Abort:     nothing is lost; again from begin, at last addFloatAborted
// Ordering:  a plain store (TSO: after all earlier ones)
TEXT ·AddFloatByConcurrencyID(SB), NOSPLIT|NOFRAME, $0-24
	XORL  R12, R12
begin:
	MOVQ  h+0(FP), DI
	MOVQ  displacement+8(FP), SI
	MOVSD delta+16(FP), X0
	LEAQ  addFloatByConcurrencyIDSection<>(SB), R9
	TABLE_BY_CID
	MOVQ  handle_shift, CX
	ADDQ  handle_base, SI
	AREA
	ARM
	MOVL  area_mm_cid, AX
	REGION
	ADDSD (SI)(AX*1), X0       // sum
	MOVSD X0, (SI)(AX*1)       // commit
	RET
	ABORTED(addFloatByConcurrencyIDSection)
	JMP   ·addFloatAborted(SB)
slow:
	JMP   ·addFloatByConcurrencyIDSlow(SB)

// Each section's data: 32 bytes descriptor, filled when the engine is chosen,
// and 8 bytes that count its aborts. The linker aligns 64 bytes to 32.
GLOBL addSection<>(SB), NOPTR, $64
GLOBL addFloatSection<>(SB), NOPTR, $64
GLOBL addByConcurrencyIDSection<>(SB), NOPTR, $64
GLOBL addFloatByConcurrencyIDSection<>(SB), NOPTR, $64

// func sectionSymbols(to *[sectionCount]symbols)
// Fills in each section's entry and data, in the order of sections.go.
#define SYMBOLS(i, entry, section) \
	LEAQ entry(SB), AX     \
	MOVQ AX, (i*16+0)(DI)  \
	LEAQ section<>(SB), AX \
	MOVQ  AX, (i*16+8)(DI)

TEXT ·sectionSymbols(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ  to+0(FP), DI
	SYMBOLS(0, ·Add, addSection)
	SYMBOLS(1, ·AddFloat, addFloatSection)
	SYMBOLS(2, ·AddByConcurrencyID, addByConcurrencyIDSection)
	SYMBOLS(3, ·AddFloatByConcurrencyID, addFloatByConcurrencyIDSection)
	RET
