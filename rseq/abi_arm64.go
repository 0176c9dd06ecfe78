package rseq

// Signature precedes every abort handler (RSEQ_SIG_CODE, shared with glibc).
// In code it is BRK #0x45e0.
const Signature uint32 = 0xd428bc00

// How a section looks in memory, for Describe: the store that arms it
// (MOVD R9, 8(R8): descriptor to area), the commit's RET, the signature.
var (
	codeArm       = []byte{0x09, 0x05, 0x00, 0xf9}
	codeReturn    = []byte{0xc0, 0x03, 0x5f, 0xd6}
	codeSignature = []byte{0x00, 0xbc, 0x28, 0xd4}
)

const codeStep = 4
