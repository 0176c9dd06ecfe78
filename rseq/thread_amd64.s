//go:build linux && !purego

#include "textflag.h"

// The thread lookup and the probe section for amd64. thread_arm64.s mirrors
// this file name by name.
//
// Without libc the runtime points FS at m.tls[1] of the running thread's m:
// -8(FS) is g, and 0(FS) is the next word, unused and zero in a new m. That
// word holds our area's address. With libc 0(FS) holds FS itself (the ABI's
// thread control block), and the area lies at areaOffset from it. So in both
// builds area = 0(FS) + areaOffset, where areaOffset is 0 without libc.

// func loadThreadWord() uintptr
TEXT ·loadThreadWord(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ 0(FS), AX
	MOVQ AX, ret+0(FP)
	RET

// func storeThreadWord(word uintptr)
TEXT ·storeThreadWord(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ word+0(FP), AX
	MOVQ AX, 0(FS)
	RET

// func currentG() uintptr
TEXT ·currentG(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ (TLS), AX
	MOVQ AX, ret+0(FP)
	RET

// func peek(address uintptr) uintptr
TEXT ·peek(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ address+0(FP), AX
	MOVQ (AX), AX
	MOVQ AX, ret+8(FP)
	RET

// func currentArea() uintptr
TEXT ·currentArea(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ 0(FS), AX
	TESTQ AX, AX
	JZ   none
	ADDQ ·areaOffset(SB), AX
none:
	MOVQ AX, ret+0(FP)
	RET

// func loadField(offset uintptr) int32
// Returns: the field; or the cpu_id, negative, of an area that is not
// registered; or -1 when the thread has no area or no engine was chosen.
TEXT ·loadField(SB), NOSPLIT|NOFRAME, $0-12
	MOVL $-1, DX
	CMPL ·areaKnown(SB), $0
	JEQ  done
	MOVQ 0(FS), AX
	TESTQ AX, AX
	JZ   done
	ADDQ ·areaOffset(SB), AX
	MOVL 4(AX), DX             // cpu_id
	TESTL DX, DX
	JLT  done
	MOVQ offset+0(FP), CX
	MOVL (AX)(CX*1), DX
done:
	MOVL DX, ret+8(FP)
	RET

// func probe(area uintptr, spins uint64, word *uint64) (aborted uint64)
// Does:      inside a section: spin; *word = 1. An abort is not retried.
// Registers: area R8, spins CX, word DX, descriptor R9
// Commit:    the store to *word
// Abort:     aborted = 1, *word untouched
TEXT ·probe(SB), NOSPLIT|NOFRAME, $0-32
	MOVQ area+0(FP), R8
	MOVQ spins+8(FP), CX
	MOVQ word+16(FP), DX
	MOVQ $0, aborted+24(FP)
	LEAQ probeCS<>(SB), R9
	MOVQ R9, 8(R8)             // armed
spin:
	SUBQ $1, CX
	JGT  spin
	MOVQ $1, 0(DX)             // commit
	RET
	BYTE $0x0f; BYTE $0xb9; BYTE $0x3d; LONG $0x53053053
	MOVQ $1, aborted+24(FP)    // abort
	RET

GLOBL probeCS<>(SB), NOPTR, $32

// func probeSection() (entry, descriptor unsafe.Pointer)
TEXT ·probeSection(SB), NOSPLIT|NOFRAME, $0-16
	LEAQ ·probe(SB), AX
	MOVQ AX, entry+0(FP)
	LEAQ probeCS<>(SB), AX
	MOVQ AX, descriptor+8(FP)
	RET
