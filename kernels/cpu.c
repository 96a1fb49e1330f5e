/*-------------------------------------------------------------------------
 *
 * cpu.c
 *	  What this CPU can do and this operating system lets it do.
 *
 * On x86 a CPU may have instructions whose registers the system does not save
 * (an old kernel, a hypervisor that masks XCR0), so CPUID alone is not enough.
 *
 * kernels/cpu.c
 *
 *-------------------------------------------------------------------------
 */
#include "cpu.h"

#include <stdint.h>

#if defined(__x86_64__)

#include <cpuid.h>

/* CPUID leaf 1, ECX */
#define HAS_FMA (1u << 12)
#define HAS_OSXSAVE (1u << 27)
#define HAS_AVX (1u << 28)
#define HAS_F16C (1u << 29)

/* CPUID leaf 7, subleaf 0, EBX */
#define HAS_AVX2 (1u << 5)
#define HAS_AVX512F (1u << 16)
#define HAS_AVX512DQ (1u << 17)
#define HAS_AVX512BW (1u << 30)
#define HAS_AVX512VL (1u << 31)

/* the same, ECX */
#define HAS_AVX512VBMI (1u << 1)
#define HAS_AVX512VNNI (1u << 11)

/* XCR0: SSE and AVX state; with AVX-512 also opmask and both ZMM parts */
#define STATE_AVX 0x06u
#define STATE_AVX512 0xe6u

typedef struct cpu_words
{
	uint32_t	leaf1_ecx;
	uint32_t	leaf7_ebx;
	uint32_t	leaf7_ecx;
	uint32_t	xcr0;
} cpu_words;

static bool
has_all(uint32_t word, uint32_t bits)
{
	return (word & bits) == bits;
}

static cpu_words
read_cpu(void)
{
	cpu_words	cpu = {0};
	uint32_t	eax,
				ebx,
				ecx,
				edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return cpu;
	cpu.leaf1_ecx = ecx;
	if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
	{
		cpu.leaf7_ebx = ebx;
		cpu.leaf7_ecx = ecx;
	}
	if (has_all(cpu.leaf1_ecx, HAS_OSXSAVE))
	{
		/* without intrinsics, which would need a target of their own */
		__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
		cpu.xcr0 = eax;
	}
	return cpu;
}

bool
bn_cpu_has_avx2(void)
{
	cpu_words	cpu = read_cpu();

	return has_all(cpu.leaf1_ecx, HAS_AVX | HAS_FMA | HAS_F16C) &&
		has_all(cpu.leaf7_ebx, HAS_AVX2) &&
		has_all(cpu.xcr0, STATE_AVX);
}

bool
bn_cpu_has_avx512vnni(void)
{
	cpu_words	cpu = read_cpu();

	return bn_cpu_has_avx2() &&
		has_all(cpu.leaf7_ebx, HAS_AVX512F | HAS_AVX512DQ | HAS_AVX512BW | HAS_AVX512VL) &&
		has_all(cpu.leaf7_ecx, HAS_AVX512VNNI) &&
		has_all(cpu.xcr0, STATE_AVX512);
}

bool
bn_cpu_has_avx512vbmi(void)
{
	return bn_cpu_has_avx512vnni() && has_all(read_cpu().leaf7_ecx, HAS_AVX512VBMI);
}

#else

bool
bn_cpu_has_avx2(void)
{
	return false;
}

bool
bn_cpu_has_avx512vnni(void)
{
	return false;
}

bool
bn_cpu_has_avx512vbmi(void)
{
	return false;
}

#endif							/* __x86_64__ */

#if defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1ul << 20)
#endif

bool
bn_cpu_has_neon_dotprod(void)
{
	return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}

#else

bool
bn_cpu_has_neon_dotprod(void)
{
	return false;
}

#endif
