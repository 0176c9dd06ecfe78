//go:build linux && !purego

#include "textflag.h"

// The thread lookup and the probe section for arm64. thread_amd64.s mirrors
// this file name by name.
//
// Without libc TPIDR_EL0 is 0, and the area's address is kept in the running
// thread's m, in a word of m.tls, which only x86 uses: areaOffset is the
// offset of that word from m. (TPIDR_EL0 itself is no place for it: clone
// hands it on to new threads.) With libc TPIDR_EL0 is the thread pointer and
// the area lies at areaOffset from it.

#define g_m 48 // offset of m in runtime.g; checked by goLayouts

// func loadThreadWord() uintptr
TEXT ·loadThreadWord(SB), NOSPLIT|NOFRAME, $0-8
	MRS  TPIDR_EL0, R0
	CBNZ R0, done
	MOVD ·areaOffset(SB), R1
	MOVD g_m(g), R0
	MOVD (R0)(R1), R0
done:
	MOVD R0, ret+0(FP)
	RET

// func storeThreadWord(word uintptr)
TEXT ·storeThreadWord(SB), NOSPLIT|NOFRAME, $0-8
	MOVD word+0(FP), R2
	MOVD ·areaOffset(SB), R1
	MOVD g_m(g), R0
	MOVD R2, (R0)(R1)
	RET

// func threadPointer() uintptr
TEXT ·threadPointer(SB), NOSPLIT|NOFRAME, $0-8
	MRS  TPIDR_EL0, R0
	MOVD R0, ret+0(FP)
	RET

// func currentG() uintptr
TEXT ·currentG(SB), NOSPLIT|NOFRAME, $0-8
	MOVD g, ret+0(FP)
	RET

// func peek(address uintptr) uintptr
TEXT ·peek(SB), NOSPLIT|NOFRAME, $0-16
	MOVD address+0(FP), R0
	MOVD (R0), R0
	MOVD R0, ret+8(FP)
	RET

// func currentArea() uintptr
TEXT ·currentArea(SB), NOSPLIT|NOFRAME, $0-8
	MOVD ·areaOffset(SB), R1
	MRS  TPIDR_EL0, R0
	CBNZ R0, libc
	MOVD g_m(g), R0
	MOVD (R0)(R1), R0
	MOVD R0, ret+0(FP)
	RET
libc:
	ADD  R1, R0
	MOVD R0, ret+0(FP)
	RET

// func loadField(offset uintptr) int32
// Returns: the field; or the cpu_id, negative, of an area that is not
// registered; or -1 when the thread has no area or no engine was chosen.
TEXT ·loadField(SB), NOSPLIT|NOFRAME, $0-12
	MOVW $-1, R3
	MOVD $·areaKnown(SB), R0
	LDARW (R0), R0             // areaOffset was stored before it
	CBZ  R0, done
	MOVD ·areaOffset(SB), R1
	MRS  TPIDR_EL0, R0
	CBNZ R0, libc
	MOVD g_m(g), R0
	MOVD (R0)(R1), R0
	CBZ  R0, done
	B    area
libc:
	ADD  R1, R0
area:
	MOVW 4(R0), R3             // cpu_id
	TBNZ $31, R3, done
	MOVD offset+0(FP), R1
	MOVW (R0)(R1), R3
done:
	MOVW R3, ret+8(FP)
	RET

// func probe(area uintptr, spins uint64, word *uint64) (aborted uint64)
// Does:      inside a section: spin; *word = 1. An abort is not retried.
// Registers: area R8, spins R1, word R2, one R3, descriptor R9
// Commit:    the store to *word
// Abort:     aborted = 1, *word untouched
TEXT ·probe(SB), NOSPLIT|NOFRAME, $0-32
	MOVD area+0(FP), R8
	MOVD spins+8(FP), R1
	MOVD word+16(FP), R2
	MOVD $1, R3
	MOVD ZR, aborted+24(FP)
	MOVD $probeCS<>(SB), R9
	MOVD R9, 8(R8)             // armed
spin:
	SUBS $1, R1
	BGT  spin
	MOVD R3, (R2)              // commit
	RET
	WORD $0xd428bc00
	MOVD $1, R3                // abort
	MOVD R3, aborted+24(FP)
	RET

GLOBL probeCS<>(SB), NOPTR, $32

// func probeSection() (entry, descriptor unsafe.Pointer)
TEXT ·probeSection(SB), NOSPLIT|NOFRAME, $0-16
	MOVD $·probe(SB), R0
	MOVD R0, entry+0(FP)
	MOVD $probeCS<>(SB), R0
	MOVD R0, descriptor+8(FP)
	RET
