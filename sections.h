// What the sections of both architectures share. sections_native.go has the
// same numbers for Go, and a test compares them.

// tableEntries is the number of entries of a region table (cpumem).
#define tableEntries 16384

// abortLimit is how often in a row a section is aborted before it gives up
// and takes its slow path. Preemption aborts a section once, rarely twice; a
// debugger that single-steps aborts it for ever.
#define abortLimit 16
