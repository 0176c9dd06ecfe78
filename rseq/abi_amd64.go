package rseq

// Signature precedes every abort handler (RSEQ_SIG, shared with glibc). In
// code it is the tail of a UD1 instruction: 0f b9 3d 53 30 05 53.
const Signature uint32 = 0x53053053

// How a section looks in memory, for Describe: the store that arms it
// (MOVQ R9, 8(R8): descriptor to area), the commit's RET, the bytes that end
// in the signature.
var (
	codeArm       = []byte{0x4d, 0x89, 0x48, 0x08}
	codeReturn    = []byte{0xc3}
	codeSignature = []byte{0x0f, 0xb9, 0x3d, 0x53, 0x30, 0x05, 0x53}
)

const codeStep = 1
