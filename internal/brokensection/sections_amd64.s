//go:build linux && !purego

#include "textflag.h"

// The root's asm_amd64.s explains anatomy and registers. Here DX is the delay
// loop's counter and AX the word's new value.

#define BEGIN \
	MOVQ h+0(FP), DI              \
	MOVQ spins+8(FP), DX          \
	MOVB $0, done+16(FP)          \
	MOVQ 0(DI), BX                \
	TESTQ BX, BX                  \
	JZ   out                      \
	MOVQ 8(DI), SI                \
	MOVQ 0(FS), R8                \
	TESTQ R8, R8                  \
	JZ   out                      \
	ADDQ github·com∕rseqkit∕rseqkit∕rseq·areaOffset(SB), R8

#define ADD_SLOWLY \
	MOVL 4(R8), CX                \
	ANDL $16383, CX               \
	MOVQ (BX)(CX*8), CX           \
	SUBQ $1, CX                   \
	JB   out                      \
	MOVB $1, done+16(FP)          \
	MOVQ (CX)(SI*1), AX           \
	INCQ AX

// func Add(h *cpumem.Handle, spins uint64) (done bool)
// The right section: read, delay, store.
TEXT ·Add(SB), NOSPLIT|NOFRAME, $0-17
begin:
	BEGIN
	LEAQ addSection<>(SB), R9
	MOVQ R9, 8(R8)             // armed
	ADD_SLOWLY
delay:
	SUBQ $1, DX
	JGT  delay
	MOVQ AX, (CX)(SI*1)        // commit
	RET
	BYTE $0x0f; BYTE $0xb9; BYTE $0x3d; LONG $0x53053053
	JMP  begin
out:
	MOVB $0, done+16(FP)
	RET

// func AddUnarmed(h *cpumem.Handle, spins uint64) (done bool)
// Wrong: nobody tells the kernel about the section, so it is never aborted.
TEXT ·AddUnarmed(SB), NOSPLIT|NOFRAME, $0-17
	BEGIN
	ADD_SLOWLY
delay:
	SUBQ $1, DX
	JGT  delay
	MOVQ AX, (CX)(SI*1)
	RET
out:
	MOVB $0, done+16(FP)
	RET

GLOBL addSection<>(SB), NOPTR, $32

// func section() (entry, descriptor unsafe.Pointer)
TEXT ·section(SB), NOSPLIT|NOFRAME, $0-16
	LEAQ ·Add(SB), AX
	MOVQ AX, entry+0(FP)
	LEAQ addSection<>(SB), AX
	MOVQ AX, descriptor+8(FP)
	RET
