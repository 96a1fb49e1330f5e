/*-------------------------------------------------------------------------
 *
 * arm_neon.c
 *	  Kernels for 64-bit Arm with what every such CPU has.
 *
 * Products of codes and activations are added in int16, one lane per row and
 * column of a word, and the four columns only at the end of a part.
 *
 * kernels/arm_neon.c
 *
 *-------------------------------------------------------------------------
 */
#include "tables.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#define INLINE inline __attribute__((always_inline))

/*
 * 64 additions a part of at most 3 * 128 each (even for the code 3 that no
 * matrix has): 24576 at most.
 */
#define PART_BLOCKS 16
#define TILE_TOKENS 2

typedef struct group_sum
{
	int16x8_t	s[8];			/* two rows of four columns each */
} group_sum;

static INLINE group_sum
sum_zero(void)
{
	int16x8_t	zero = vdupq_n_s16(0);

	return (group_sum) {{zero, zero, zero, zero, zero, zero, zero, zero}};
}

/* the four activations of word j, for two rows */
static INLINE int8x8_t
spread(int8x16_t q, const int j)
{
	int32x4_t	words = vreinterpretq_s32_s8(q);

	switch (j)
	{
		case 0:
			return vreinterpret_s8_s32(vdup_laneq_s32(words, 0));
		case 1:
			return vreinterpret_s8_s32(vdup_laneq_s32(words, 1));
		case 2:
			return vreinterpret_s8_s32(vdup_laneq_s32(words, 2));
		default:
			return vreinterpret_s8_s32(vdup_laneq_s32(words, 3));
	}
}

static INLINE group_sum
sum_step(group_sum s, int8x16_t c0, int8x16_t c1, int8x16_t c2, int8x16_t c3,
		 int8x16_t q, const int j)
{
	int8x8_t	qj = spread(q, j);

	return (group_sum) {{
		vmlal_s8(s.s[0], vget_low_s8(c0), qj), vmlal_s8(s.s[1], vget_high_s8(c0), qj),
		vmlal_s8(s.s[2], vget_low_s8(c1), qj), vmlal_s8(s.s[3], vget_high_s8(c1), qj),
		vmlal_s8(s.s[4], vget_low_s8(c2), qj), vmlal_s8(s.s[5], vget_high_s8(c2), qj),
		vmlal_s8(s.s[6], vget_low_s8(c3), qj), vmlal_s8(s.s[7], vget_high_s8(c3), qj)
	}};
}

static INLINE int32x4_t
sum_rows(group_sum s, const int k)
{
	return vpaddq_s32(vpaddlq_s16(s.s[2 * k]), vpaddlq_s16(s.s[2 * k + 1]));
}

/* the four products of each word are added to its sum */
static INLINE int32x4_t
dot_words(int32x4_t s, int8x16_t w, int8x16_t x)
{
	int16x8_t	lo = vmull_s8(vget_low_s8(w), vget_low_s8(x));
	int16x8_t	hi = vmull_s8(vget_high_s8(w), vget_high_s8(x));

	return vaddq_s32(s, vpaddq_s32(vpaddlq_s16(lo), vpaddlq_s16(hi)));
}

#include "arm_common.h"

static bool
supported(void)
{
	return true;
}

const bn_kernels bn_kernels_neon = {
	.name = "neon",
	.description = "64-bit Arm with Advanced SIMD",
	.supported = supported,
	.ternary_gemm = ternary_gemm,
	.ternary5_gemm = bn_scalar_ternary5_gemm,
	LANES_MEMBERS
};

#endif							/* __aarch64__ */
