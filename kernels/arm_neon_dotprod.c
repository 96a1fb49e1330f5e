/*-------------------------------------------------------------------------
 *
 * arm_neon_dotprod.c
 *	  Kernels for 64-bit Arm with the dot product instructions of Armv8.2.
 *
 * sdot multiplies bytes and adds four neighbouring products to an int32; the
 * form with a lane takes the four activations of all rows from one word of a
 * register.
 *
 * kernels/arm_neon_dotprod.c
 *
 *-------------------------------------------------------------------------
 */
#include "cpu.h"
#include "tables.h"

#ifdef BN_HAVE_NEON_DOTPROD

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#define INLINE inline __attribute__((always_inline))

/* int32 never overflows; the part is what is unpacked at once */
#define PART_BLOCKS 32
#define TILE_TOKENS 4

typedef struct group_sum
{
	int32x4_t	s[4];			/* four rows each */
} group_sum;

static INLINE group_sum
sum_zero(void)
{
	int32x4_t	zero = vdupq_n_s32(0);

	return (group_sum) {{zero, zero, zero, zero}};
}

#define SUM_STEP(lane) \
	((group_sum) {{vdotq_laneq_s32(s.s[0], c0, q, lane), vdotq_laneq_s32(s.s[1], c1, q, lane), \
			vdotq_laneq_s32(s.s[2], c2, q, lane), vdotq_laneq_s32(s.s[3], c3, q, lane)}})

static INLINE group_sum
sum_step(group_sum s, int8x16_t c0, int8x16_t c1, int8x16_t c2, int8x16_t c3,
		 int8x16_t q, const int j)
{
	switch (j)
	{
		case 0:
			return SUM_STEP(0);
		case 1:
			return SUM_STEP(1);
		case 2:
			return SUM_STEP(2);
		default:
			return SUM_STEP(3);
	}
}

#undef SUM_STEP

static INLINE int32x4_t
sum_rows(group_sum s, const int k)
{
	return s.s[k];
}

/* the four products of each word are added to its sum */
static INLINE int32x4_t
dot_words(int32x4_t s, int8x16_t w, int8x16_t x)
{
	return vdotq_s32(s, w, x);
}

#include "arm_common.h"

const bn_kernels bn_kernels_neon_dotprod = {
	.name = "neon_dotprod",
	.description = "64-bit Arm with dot product instructions",
	.supported = bn_cpu_has_neon_dotprod,
	.ternary_gemm = ternary_gemm,
	.ternary5_gemm = bn_scalar_ternary5_gemm,
	LANES_MEMBERS
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif							/* BN_HAVE_NEON_DOTPROD */
