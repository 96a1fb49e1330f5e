/*-------------------------------------------------------------------------
 *
 * peak.c
 *	  How many int8 multiply-adds this CPU can do, with all data in registers.
 *
 * test/bench/peak.c
 *
 *-------------------------------------------------------------------------
 */
#include "peak.h"

#include <string.h>

#define REPEAT 4096				/* of the loop, per call */
#define CHAINS 12				/* independent sums, to hide the latency */

/* The same instruction for each of twelve registers. */
#define TWELVE(X) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

#if defined(__x86_64__)

__attribute__((target("avx512f")))
static double
peak_avx512vnni(void)
{
	int			i;

#define STEP(n) "vpdpbusd %%zmm0, %%zmm0, %%zmm" #n "\n\t"
	for (i = 0; i < REPEAT; i++)
		__asm__ volatile (TWELVE(STEP) : : : "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
						  "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#undef STEP
	return (double) REPEAT * CHAINS * 64;
}

/* multiply to pairs in 16 bits, and the sums of such pairs in 16 bits */
__attribute__((target("avx2")))
static double
peak_avx2(void)
{
	int			i;

#define STEP(n) "vpmaddubsw %%ymm0, %%ymm0, %%ymm1\n\tvpaddw %%ymm1, %%ymm" #n ", %%ymm" #n "\n\t"
	for (i = 0; i < REPEAT; i++)
		__asm__ volatile (TWELVE(STEP) : : : "xmm1", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
						  "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#undef STEP
	return (double) REPEAT * CHAINS * 32;
}

#elif defined(__aarch64__)

static double
peak_neon_dotprod(void)
{
	int			i;

#define STEP(n) "sdot v" #n ".4s, v0.16b, v1.16b\n\t"
	for (i = 0; i < REPEAT; i++)
		__asm__ volatile (".arch_extension dotprod\n\t" TWELVE(STEP)
						  : : : "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",
						  "v13", "v14", "v15");
#undef STEP
	return (double) REPEAT * CHAINS * 16;
}
#endif

peak_fn
find_peak(const char *kernel)
{
#if defined(__x86_64__)
	if (strcmp(kernel, "avx512vnni") == 0 || strcmp(kernel, "avx512vbmi") == 0)
		return peak_avx512vnni;
	if (strcmp(kernel, "avx2") == 0)
		return peak_avx2;
#elif defined(__aarch64__)
	if (strcmp(kernel, "neon_dotprod") == 0)
		return peak_neon_dotprod;
#endif
	return NULL;
}
