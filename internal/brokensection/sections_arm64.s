//go:build linux && !purego

#include "textflag.h"

// The root's asm_arm64.s explains anatomy and registers. Here R4 is the delay
// loop's counter and R5 the word's new value.

#define BEGIN \
	MOVD h+0(FP), R0              \
	MOVD spins+8(FP), R4          \
	MOVB ZR, done+16(FP)          \
	MOVD 0(R0), R1                \
	CBZ  R1, out                  \
	MOVD 8(R0), R3                \
	MOVD github·com∕rseqkit∕rseqkit∕rseq·areaOffset(SB), R10 \
	MRS  TPIDR_EL0, R8            \
	CBNZ R8, libc                 \
	MOVD 48(g), R8                \
	MOVD (R8)(R10), R8            \
	MOVD ZR, R10                  \
	CBZ  R8, out                  \
libc:                                 \
	ADD  R10, R8

#define ADD_SLOWLY \
	MOVWU 4(R8), R2               \
	AND  $16383, R2               \
	MOVD (R1)(R2<<3), R2          \
	CBZ  R2, out                  \
	SUB  $1, R2                   \
	MOVD $1, R6                   \
	MOVB R6, done+16(FP)          \
	MOVD (R2)(R3), R5             \
	ADD  $1, R5

// func Add(h *cpumem.Handle, spins uint64) (done bool)
// The right section: read, delay, store.
TEXT ·Add(SB), NOSPLIT|NOFRAME, $0-17
begin:
	BEGIN
	MOVD $addSection<>(SB), R9
	MOVD R9, 8(R8)             // armed
	ADD_SLOWLY
delay:
	SUBS $1, R4
	BGT  delay
	MOVD R5, (R2)(R3)          // commit
	RET
	WORD $0xd428bc00
	B    begin
out:
	MOVB ZR, done+16(FP)
	RET

// func AddUnarmed(h *cpumem.Handle, spins uint64) (done bool)
// Wrong: nobody tells the kernel about the section, so it is never aborted.
TEXT ·AddUnarmed(SB), NOSPLIT|NOFRAME, $0-17
	BEGIN
	ADD_SLOWLY
delay:
	SUBS $1, R4
	BGT  delay
	MOVD R5, (R2)(R3)
	RET
out:
	MOVB ZR, done+16(FP)
	RET

GLOBL addSection<>(SB), NOPTR, $32

// func section() (entry, descriptor unsafe.Pointer)
TEXT ·section(SB), NOSPLIT|NOFRAME, $0-16
	MOVD $·Add(SB), R0
	MOVD R0, entry+0(FP)
	MOVD $addSection<>(SB), R0
	MOVD R0, descriptor+8(FP)
	RET
