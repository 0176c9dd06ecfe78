/*
 * A per-CPU counter on restartable sequences in C, to compare Go's with. The
 * thread's area is the one that glibc registered (2.35 or later).
 *
 * Reads lines "inline N" or "function N" from standard input, makes N
 * additions, and answers with the nanoseconds that they took and how often the
 * thread lost its CPU meanwhile. Before the first line it prints "ready" or the
 * reason why it cannot run. At the end of the input it compares the counter's
 * sum with the additions made.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <time.h>

#define CPUS 8192

/* A word per CPU, two cache lines apart. */
static struct {
	int64_t value;
	char pad[120];
} counters[CPUS] __attribute__((aligned(128)));

/* The first fields of the kernel's struct rseq (linux/rseq.h). */
struct area {
	uint32_t cpu_id_start;
	uint32_t cpu_id;
	uint64_t rseq_cs;
};

static inline __attribute__((always_inline)) struct area *thread_area(void)
{
	char *thread;
#if defined(__x86_64__)
	__asm__("movq %%fs:0, %0" : "=r"(thread));
#elif defined(__aarch64__)
	__asm__("mrs %0, tpidr_el0" : "=r"(thread));
#else
#error "no critical section is written for this architecture"
#endif
	return (struct area *)(thread + __rseq_offset);
}

/*
 * One attempt: if still on that CPU, word += delta, and jump to moved if not,
 * or if the kernel aborts. From 1 to 2 is the section; the instruction before
 * 2 commits; 3 is its descriptor (struct rseq_cs), 4 the abort handler after
 * the signature that glibc registers.
 */
static inline __attribute__((always_inline)) void add(int64_t delta)
{
	struct area *area = thread_area();
	uint32_t cpu;
	int64_t *word;

moved:
	cpu = *(volatile uint32_t *)&area->cpu_id_start;
	word = &counters[cpu].value;
#if defined(__x86_64__)
	__asm__ goto(
		".pushsection .data.rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3: .long 0, 0\n"
		".quad 1f, 2f - 1f, 4f\n"
		".popsection\n"
		"leaq 3b(%%rip), %%rax\n"
		"movq %%rax, 8(%[area])\n"
		"1:\n"
		"cmpl %[cpu], 4(%[area])\n"
		"jne %l[moved]\n"
		"addq %[delta], (%[word])\n"
		"2:\n"
		".pushsection .text.unlikely, \"ax\"\n"
		".byte 0x0f, 0xb9, 0x3d\n"
		".long 0x53053053\n"
		"4: jmp %l[moved]\n"
		".popsection\n"
		:
		: [area] "r"(area), [cpu] "r"(cpu), [word] "r"(word), [delta] "r"(delta)
		: "rax", "cc", "memory"
		: moved);
#elif defined(__aarch64__)
	__asm__ goto(
		".pushsection .data.rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3: .long 0, 0\n"
		".quad 1f, 2f - 1f, 4f\n"
		".popsection\n"
		"adrp x16, 3b\n"
		"add x16, x16, :lo12:3b\n"
		"str x16, [%[area], #8]\n"
		"1:\n"
		"ldr w16, [%[area], #4]\n"
		"cmp w16, %w[cpu]\n"
		"b.ne 5f\n"
		"ldr x16, [%[word]]\n"
		"add x16, x16, %[delta]\n"
		"str x16, [%[word]]\n"
		"2:\n"
		".subsection 1\n"
		".inst 0xd428bc00\n"
		"4: b %l[moved]\n"
		"5: b %l[moved]\n"
		".previous\n"
		:
		: [area] "r"(area), [cpu] "r"(cpu), [word] "r"(word), [delta] "r"(delta)
		: "x16", "cc", "memory"
		: moved);
#endif
}

static __attribute__((noinline)) void add_function(int64_t delta)
{
	add(delta);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long involuntary_switches(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nivcsw;
}

/* Unknown to the compiler, so that it makes no function without argument. */
static volatile int64_t one = 1;

static void run_inline(uint64_t n)
{
	int64_t delta = one;

	while (n--)
		add(delta);
}

static void run_function(uint64_t n)
{
	int64_t delta = one;

	while (n--)
		add_function(delta);
}

int main(void)
{
	char what[16];
	uint64_t n, total = 0;
	int64_t sum = 0;

	if (__rseq_size == 0 || (int32_t)thread_area()->cpu_id < 0) {
		puts("glibc has not registered rseq: the kernel has none, or the tunable glibc.pthread.rseq=0 is set");
		return 0;
	}
	puts("ready");
	fflush(stdout);
	while (scanf("%15s %" SCNu64, what, &n) == 2) {
		void (*run)(uint64_t) = strcmp(what, "inline") ? run_function : run_inline;
		uint64_t start, took;
		long switches;

		run(n / 8 + 1); /* warms up, like the Go loops */
		switches = involuntary_switches();
		start = now();
		run(n);
		took = now() - start;
		printf("%" PRIu64 " %ld\n", took, involuntary_switches() - switches);
		fflush(stdout);
		total += n + n / 8 + 1;
	}
	for (int i = 0; i < CPUS; i++)
		sum += counters[i].value;
	if ((uint64_t)sum != total) {
		fprintf(stderr, "the counter has %" PRId64 " of %" PRIu64 " additions\n", sum, total);
		return 1;
	}
	return 0;
}
