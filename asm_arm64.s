//go:build linux && !purego

#include "textflag.h"

// The critical sections for arm64. asm_amd64.s mirrors this file, and its head
// explains the anatomy that the sections share: begin, ARM, commit, RET,
// ABORTED, slow.
//
// # Registers, in all sections
//
//	R8   area of the calling thread
//	R9   descriptor
//	R12  aborts in a row; the kernel keeps it through an abort
//	R1   region table
//	R2   index, then the distance of the CPU's region from region 0
//	R3   address of the word in region 0
//	R0   handle
//	R4   operand, R5 new value
//	R10, R11, R13  scratch outside the section
//
// R27 is the assembler's own scratch (addresses of symbols). R16 and R17
// (linker veneers), R18 (platform), R26 and R28 to R30 (Go ABI) are untouched.
// Two labels exist only here: libc in AREA, count in ABORTED.

#include "sections.h"

#define handle_table  0(R0)
#define handle_base   8(R0)
#define claim_table   0(R1)
#define claim_shards  8(R1)
#define claim_mask    16(R1)
#define area_cs       8(R8)
#define area_cpu_id   4(R8)
#define area_mm_cid   24(R8)
#define g_m           48

// TABLE and TABLE_BY_CID load the region table of a domain by CPU number or by
// concurrency id. Each finds none in a handle of the other kind. The handle's
// base is published before either, so an acquire load comes before its own.
#define TABLE \
	LDAR handle_table, R1 \
	CBZ  R1, slow

#define TABLE_BY_CID \
	ADD  $16, R0, R1     \
	LDAR (R1), R1        \
	CBZ  R1, slow        \
	MOVD claim_table, R1 \
	CBZ  R1, slow

// AREA loads the calling thread's area, or leaves for slow. rseq/thread_arm64.s
// has the reasons.
#define AREA \
	MOVD github·com∕rseqkit∕rseqkit∕rseq·areaOffset(SB), R10      \
	MRS  TPIDR_EL0, R8                                            \
	CBNZ R8, libc                                                 \
	MOVD g_m(g), R8                                               \
	MOVD (R8)(R10), R8                                            \
	MOVD ZR, R10                                                  \
	CBZ  R8, slow                                                 \
libc:                                                                 \
	ADD   R10, R8

// ARM enters the section.
#define ARM \
	MOVD  R9, area_cs

// REGION turns the index in R2 into the distance of its region, if the region
// may be used. The kernel's negative numbers for a thread that is not
// registered fall on empty entries. The address comes from the entry, which is
// 1 more than the distance: only through this dependency is the word read
// after the entry was found open.
#define REGION \
	AND  $(tableEntries-1), R2 \
	MOVD (R1)(R2<<3), R2       \
	CBZ  R2, slow              \
	SUB   $1, R2

// SHARD leaves for go unless the handle's memory is in shards: on the locked
// engine. Else R2 becomes the handle's place in the shard that the goroutine's
// address, mixed, selects (2^32 / golden ratio; cpumem's hint in Go). It
// follows slow, outside the section.
#define SHARD \
	ADD   $16, R0, R1       \
	LDAR  (R1), R1          \
	CBZ   R1, go            \
	MOVD  claim_shards, R2  \
	CBZ   R2, go            \
	LSR   $6, g, R10        \
	MOVD  $0x9e3779b1, R11  \
	MULW  R11, R10, R10     \
	MOVD  claim_mask, R11   \
	AND   R11, R10          \
	ADD   R10, R2

// ABORTED follows the commit's RET: BRK #0x45e0, as glibc and librseq write
// it, and the handler that the descriptor names. Counting needs an exclusive
// pair; it is outside every section. It falls through to the jump behind it
// when the limit is reached.
#define ABORTED(section) \
	WORD  $0xd428bc00            \
	MOVD  $section<>(SB), R10    \
	ADD   $32, R10               \
count:                               \
	LDXR  (R10), R11             \
	ADD   $1, R11                \
	STXR  R11, (R10), R13        \
	CBNZ  R13, count             \
	ADD   $1, R12                \
	CMP   $abortLimit, R12       \
	BLO   begin

// func Add(h *cpumem.Handle, displacement uintptr, delta int64)
//
// Does:      word += delta
// Invariant: before the commit nothing has changed that anyone can see
// Registers: R4 delta, R5 sum
// Commit:    the store of the sum
// Abort:     nothing is lost; again from begin, at last addAborted
// Ordering:  a plain store; publish by Go synchronisation
TEXT ·Add(SB), NOSPLIT|NOFRAME, $0-24
	MOVD  ZR, R12
begin:
	MOVD  h+0(FP), R0
	MOVD  displacement+8(FP), R3
	MOVD  delta+16(FP), R4
	MOVD  $addSection<>(SB), R9
	TABLE
	MOVD  handle_base, R10
	ADD   R10, R3
	AREA
	ARM
	MOVWU area_cpu_id, R2
	REGION
	MOVD  (R2)(R3), R5
	ADD   R4, R5                // sum
	MOVD  R5, (R2)(R3)          // commit
	RET
	ABORTED(addSection)
	JMP   ·addAborted(SB)
slow:
	SHARD
	MOVD  displacement+8(FP), R3
	ADD   R3, R2
shard:
	LDAXR (R2), R5
	ADD   R4, R5
	STLXR R5, (R2), R13
	CBNZ  R13, shard
	RET
go:
	JMP   ·addSlow(SB)

// func AddFloat(h *cpumem.Handle, displacement uintptr, delta float64)
//
// Does:      word += delta, as float64
// Invariant: before the commit nothing has changed that anyone can see
// Registers: F0 delta, F1 sum
// Commit:    the store of the sum
// Abort:     nothing is lost; again from begin, at last addFloatAborted
// Ordering:  a plain store; publish by Go synchronisation
TEXT ·AddFloat(SB), NOSPLIT|NOFRAME, $0-24
	MOVD  ZR, R12
begin:
	MOVD  h+0(FP), R0
	MOVD  displacement+8(FP), R3
	FMOVD delta+16(FP), F0
	MOVD  $addFloatSection<>(SB), R9
	TABLE
	MOVD  handle_base, R10
	ADD   R10, R3
	AREA
	ARM
	MOVWU area_cpu_id, R2
	REGION
	FMOVD (R2)(R3), F1
	FADDD F0, F1               // sum
	FMOVD F1, (R2)(R3)         // commit
	RET
	ABORTED(addFloatSection)
	JMP   ·addFloatAborted(SB)
slow:
	JMP   ·addFloatSlow(SB)

// func AddByConcurrencyID(h *cpumem.Handle, displacement uintptr, delta int64)
//
// Does:      word += delta
// Invariant: before the commit nothing has changed that anyone can see
// Registers: R4 delta, R5 sum
// Commit:    the store of the sum
// Abort:     nothing is lost; again from begin, at last addAborted
// Ordering:  a plain store; publish by Go synchronisation
TEXT ·AddByConcurrencyID(SB), NOSPLIT|NOFRAME, $0-24
	MOVD  ZR, R12
begin:
	MOVD  h+0(FP), R0
	MOVD  displacement+8(FP), R3
	MOVD  delta+16(FP), R4
	MOVD  $addByConcurrencyIDSection<>(SB), R9
	TABLE_BY_CID
	MOVD  handle_base, R10
	ADD   R10, R3
	AREA
	ARM
	MOVWU area_mm_cid, R2
	REGION
	MOVD  (R2)(R3), R5
	ADD   R4, R5                // sum
	MOVD  R5, (R2)(R3)          // commit
	RET
	ABORTED(addByConcurrencyIDSection)
	JMP   ·addAborted(SB)
slow:
	JMP   ·addByConcurrencyIDSlow(SB)

// func AddFloatByConcurrencyID(h *cpumem.Handle, displacement uintptr, delta float64)
//
// Does:      word += delta, as float64
// Invariant: before the commit nothing has changed that anyone can see
// Registers: F0 delta, F1 sum
// Commit:    the store of the sum
// Abort:     nothing is lost; again from begin, at last addFloatAborted
// Ordering:  a plain store; publish by Go synchronisation
TEXT ·AddFloatByConcurrencyID(SB), NOSPLIT|NOFRAME, $0-24
	MOVD  ZR, R12
begin:
	MOVD  h+0(FP), R0
	MOVD  displacement+8(FP), R3
	FMOVD delta+16(FP), F0
	MOVD  $addFloatByConcurrencyIDSection<>(SB), R9
	TABLE_BY_CID
	MOVD  handle_base, R10
	ADD   R10, R3
	AREA
	ARM
	MOVWU area_mm_cid, R2
	REGION
	FMOVD (R2)(R3), F1
	FADDD F0, F1               // sum
	FMOVD F1, (R2)(R3)         // commit
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
	MOVD $entry(SB), R0       \
	MOVD R0, (i*16+0)(R10)    \
	MOVD $section<>(SB), R0   \
	MOVD  R0, (i*16+8)(R10)

TEXT ·sectionSymbols(SB), NOSPLIT|NOFRAME, $0-8
	MOVD  to+0(FP), R10
	SYMBOLS(0, ·Add, addSection)
	SYMBOLS(1, ·AddFloat, addFloatSection)
	SYMBOLS(2, ·AddByConcurrencyID, addByConcurrencyIDSection)
	SYMBOLS(3, ·AddFloatByConcurrencyID, addFloatByConcurrencyIDSection)
	RET
