/*-------------------------------------------------------------------------
 *
 * arm_common.h
 *	  What the two kernel tables for 64-bit Arm share: everything but the
 *	  integer dot product.
 *
 * The including file defines INLINE and, for the sums of one group of 16 rows
 * and one token,
 *
 *	 group_sum				in registers, good for PART_BLOCKS blocks
 *	 PART_BLOCKS
 *	 TILE_TOKENS			how many of them fit, with operands: 2 or 4
 *	 sum_zero()
 *	 sum_step(s, c0, c1, c2, c3, q, j)
 *							adds columns 4 j .. 4 j + 3; c0 .. c3 are the codes
 *							of 4 rows each, q the activations of the 16 columns
 *							of the block
 *	 sum_rows(s, k)			int32 sums of rows 4 k .. 4 k + 3
 *
 * kernels/arm_common.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_ARM_COMMON_H
#define BN_ARM_COMMON_H

/* lanes 0 .. 3, 4 .. 7, 8 .. 11, 12 .. 15 */
typedef struct v16
{
	float32x4_t a;
	float32x4_t b;
	float32x4_t c;
	float32x4_t d;
} v16;

typedef struct i16
{
	int32x4_t	a;
	int32x4_t	b;
	int32x4_t	c;
	int32x4_t	d;
} i16;

static INLINE v16
v_set1(float f)
{
	float32x4_t v = vdupq_n_f32(f);

	return (v16) {v, v, v, v};
}

static INLINE v16
v_load(const float *p)
{
	return (v16) {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}

static INLINE void
v_store(float *p, v16 v)
{
	vst1q_f32(p, v.a);
	vst1q_f32(p + 4, v.b);
	vst1q_f32(p + 8, v.c);
	vst1q_f32(p + 12, v.d);
}

static INLINE float32x4_t
from_half(const uint16_t *p)
{
	return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

static INLINE uint16x4_t
to_half(float32x4_t v)
{
	return vreinterpret_u16_f16(vcvt_f16_f32(v));
}

static INLINE v16
v_load_half(const uint16_t *p)
{
	return (v16) {from_half(p), from_half(p + 4), from_half(p + 8), from_half(p + 12)};
}

static INLINE void
v_store_half(uint16_t *p, v16 v)
{
	vst1_u16(p, to_half(v.a));
	vst1_u16(p + 4, to_half(v.b));
	vst1_u16(p + 8, to_half(v.c));
	vst1_u16(p + 12, to_half(v.d));
}

static INLINE v16
v_load_int8(const int8_t *p)
{
	int16x8_t	lo = vmovl_s8(vld1_s8(p));
	int16x8_t	hi = vmovl_s8(vld1_s8(p + 8));

	return (v16) {vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo))),
		vcvtq_f32_s32(vmovl_s16(vget_high_s16(lo))),
		vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi))),
		vcvtq_f32_s32(vmovl_s16(vget_high_s16(hi)))};
}

static INLINE v16
v_add(v16 x, v16 y)
{
	return (v16) {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b),
		vaddq_f32(x.c, y.c), vaddq_f32(x.d, y.d)};
}

static INLINE v16
v_sub(v16 x, v16 y)
{
	return (v16) {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b),
		vsubq_f32(x.c, y.c), vsubq_f32(x.d, y.d)};
}

static INLINE v16
v_mul(v16 x, v16 y)
{
	return (v16) {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b),
		vmulq_f32(x.c, y.c), vmulq_f32(x.d, y.d)};
}

static INLINE v16
v_fma(v16 x, v16 y, v16 z)
{
	return (v16) {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b),
		vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
}

/* by comparison, since the instructions for a maximum treat a NaN otherwise */
static INLINE float32x4_t
larger(float32x4_t x, float32x4_t y)
{
	return vbslq_f32(vcgtq_f32(x, y), x, y);
}

static INLINE v16
v_max(v16 x, v16 y)
{
	return (v16) {larger(x.a, y.a), larger(x.b, y.b), larger(x.c, y.c), larger(x.d, y.d)};
}

static INLINE v16
v_abs(v16 x)
{
	return (v16) {vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)};
}

static INLINE v16
v_round(v16 x)
{
	return (v16) {vrndnq_f32(x.a), vrndnq_f32(x.b), vrndnq_f32(x.c), vrndnq_f32(x.d)};
}

static INLINE float32x4_t
first4(int n, float32x4_t x, float32x4_t y)
{
	static const int32_t index[4] = {0, 1, 2, 3};

	return vbslq_f32(vcgtq_s32(vdupq_n_s32(n), vld1q_s32(index)), x, y);
}

static INLINE v16
v_first(int n, v16 x, v16 y)
{
	return (v16) {first4(n, x.a, y.a), first4(n - 4, x.b, y.b),
		first4(n - 8, x.c, y.c), first4(n - 12, x.d, y.d)};
}

static INLINE float32x4_t
scale4(float32x4_t p, float32x4_t n)
{
	int32x4_t	exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));

	return vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
}

static INLINE v16
v_scale(v16 p, v16 n)
{
	return (v16) {scale4(p.a, n.a), scale4(p.b, n.b), scale4(p.c, n.c), scale4(p.d, n.d)};
}

static INLINE float32x4_t
keep4(float32x4_t v, float32x4_t x, float32x4_t low)
{
	return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), vcgeq_f32(x, low)));
}

static INLINE v16
v_keep_from(v16 v, v16 x, v16 low)
{
	return (v16) {keep4(v.a, x.a, low.a), keep4(v.b, x.b, low.b),
		keep4(v.c, x.c, low.c), keep4(v.d, x.d, low.d)};
}

/* the first two steps of the tree */
static INLINE float32x4_t
sum_to_4(v16 v)
{
	return vaddq_f32(vaddq_f32(v.a, v.c), vaddq_f32(v.b, v.d));
}

static INLINE float
v_sum(v16 v)
{
	float32x4_t s4 = sum_to_4(v);
	float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));

	return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
}

static INLINE float
v_largest(v16 v)
{
	return vmaxvq_f32(larger(larger(v.a, v.c), larger(v.b, v.d)));
}

/* lanes 0 and 1 of x and y plus their lanes 2 and 3 */
static INLINE float32x4_t
sum_to_2(float32x4_t x, float32x4_t y)
{
	return vaddq_f32(vcombine_f32(vget_low_f32(x), vget_low_f32(y)),
					 vcombine_f32(vget_high_f32(x), vget_high_f32(y)));
}

static INLINE void
v_sum4(float *out, v16 a, v16 b, v16 c, v16 d)
{
	vst1q_f32(out, vpaddq_f32(sum_to_2(sum_to_4(a), sum_to_4(b)),
							  sum_to_2(sum_to_4(c), sum_to_4(d))));
}

static INLINE i16
i_zero(void)
{
	int32x4_t	zero = vdupq_n_s32(0);

	return (i16) {zero, zero, zero, zero};
}

static INLINE i16
i_add(i16 x, i16 y)
{
	return (i16) {vaddq_s32(x.a, y.a), vaddq_s32(x.b, y.b),
		vaddq_s32(x.c, y.c), vaddq_s32(x.d, y.d)};
}

static INLINE int32_t
i_sum(i16 x)
{
	return vaddvq_s32(vaddq_s32(vaddq_s32(x.a, x.b), vaddq_s32(x.c, x.d)));
}

/* the instruction gives 0 for a NaN */
static INLINE i16
i_round(v16 v)
{
	return (i16) {vcvtnq_s32_f32(v.a), vcvtnq_s32_f32(v.b),
		vcvtnq_s32_f32(v.c), vcvtnq_s32_f32(v.d)};
}

static INLINE void
i_store_int8(int8_t *p, i16 x)
{
	int16x8_t	low = vcombine_s16(vqmovn_s32(x.a), vqmovn_s32(x.b));
	int16x8_t	high = vcombine_s16(vqmovn_s32(x.c), vqmovn_s32(x.d));

	vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
}

#define V_TOKENS 2
#define V_PARTS_BY_COPY

#include "lanes.h"

/*
 * The kernels of ternary matrices.
 *
 * The weights' codes 0 .. 2 are multiplied as they are, so a sum of products
 * comes out too large by the sum of the activations, which bn_quant has.  The
 * int32 sums of one group for CHUNK_TOKENS tokens are kept while the columns go
 * by in parts, whose codes are unpacked once for all these tokens.
 */
#define CHUNK_TOKENS 64
#define STREAMS TILE_TOKENS		/* groups read at once for a single token */
#define PREFETCH_BYTES 512

/* four columns of 16 rows, 4 rows in each register */
typedef struct row_codes
{
	int8x16_t	r[4];
} row_codes;

/* columns 4 j .. 4 j + 3 of 4 rows of a tile */
static INLINE int8x16_t
codes(uint8x16_t tile, const int j)
{
	uint8x16_t	mask = vdupq_n_u8(3);

	switch (j)
	{
		case 0:
			return vreinterpretq_s8_u8(vandq_u8(tile, mask));
		case 1:
			return vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(tile, 2), mask));
		case 2:
			return vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(tile, 4), mask));
		default:
			return vreinterpretq_s8_u8(vshrq_n_u8(tile, 6));
	}
}

typedef struct tile_bytes
{
	uint8x16_t	r[4];
} tile_bytes;

static INLINE tile_bytes
load_tile(const uint8_t *w)
{
	return (tile_bytes) {{vld1q_u8(w), vld1q_u8(w + 16), vld1q_u8(w + 32), vld1q_u8(w + 48)}};
}

static INLINE group_sum
step(group_sum s, row_codes c, int8x16_t q, const int j)
{
	return sum_step(s, c.r[0], c.r[1], c.r[2], c.r[3], q, j);
}

static INLINE row_codes
tile_codes(tile_bytes tile, const int j)
{
	return (row_codes) {{codes(tile.r[0], j), codes(tile.r[1], j),
		codes(tile.r[2], j), codes(tile.r[3], j)}};
}

/* Adds the sums of a part to int32 sums of 16 rows. */
static INLINE void
add_sums(int32_t *sums, group_sum s)
{
	vst1q_s32(sums, vaddq_s32(vld1q_s32(sums), sum_rows(s, 0)));
	vst1q_s32(sums + 4, vaddq_s32(vld1q_s32(sums + 4), sum_rows(s, 1)));
	vst1q_s32(sums + 8, vaddq_s32(vld1q_s32(sums + 8), sum_rows(s, 2)));
	vst1q_s32(sums + 12, vaddq_s32(vld1q_s32(sums + 12), sum_rows(s, 3)));
}

/* Writes the outputs of one group for one token. */
static INLINE void
store_group(float *y, const int32_t *sums, const bn_quant *info, float w_scale, int n_rows)
{
	int32x4_t	excess = vdupq_n_s32(info->sum);
	v16			v = {vcvtq_f32_s32(vsubq_s32(vld1q_s32(sums), excess)),
		vcvtq_f32_s32(vsubq_s32(vld1q_s32(sums + 4), excess)),
		vcvtq_f32_s32(vsubq_s32(vld1q_s32(sums + 8), excess)),
	vcvtq_f32_s32(vsubq_s32(vld1q_s32(sums + 12), excess))};

	v = v_mul(v, v_set1(info->scale * w_scale));
	if (n_rows >= BN_TILE_ROWS)
		v_store(y, v);
	else
		v_store_n(y, v, n_rows);
}

/* All columns of one block, for one group and one token */
static INLINE group_sum
sum_block(group_sum s, const uint8_t *w, int8x16_t q)
{
	tile_bytes	tile = load_tile(w);

	__builtin_prefetch(w + PREFETCH_BYTES);
	s = step(s, tile_codes(tile, 0), q, 0);
	s = step(s, tile_codes(tile, 1), q, 1);
	s = step(s, tile_codes(tile, 2), q, 2);
	return step(s, tile_codes(tile, 3), q, 3);
}

/* One token, n_groups groups that are step groups apart, each a stream. */
static INLINE void
single_token(float *y, const uint8_t *w, size_t n_blocks, float w_scale,
			 const int8_t *q, const bn_quant *info, const int n_groups, int step, int n_rows)
{
	size_t		step_bytes = (size_t) step * n_blocks * BN_TILE_BYTES;
	int32_t		sums[4 * BN_TILE_ROWS] = {0};

	for (size_t part = 0; part < n_blocks; part += PART_BLOCKS)
	{
		size_t		end = n_blocks - part < PART_BLOCKS ? n_blocks : part + PART_BLOCKS;
		group_sum	s0 = sum_zero();
		group_sum	s1 = s0;
		group_sum	s2 = s0;
		group_sum	s3 = s0;

		for (size_t b = part; b < end; b++)
		{
			const uint8_t *p = w + b * BN_TILE_BYTES;
			int8x16_t	qb = vld1q_s8(q + b * BN_TILE_COLS);

			s0 = sum_block(s0, p, qb);
			if (n_groups > 1)
				s1 = sum_block(s1, p + step_bytes, qb);
			if (n_groups > 2)
			{
				s2 = sum_block(s2, p + 2 * step_bytes, qb);
				s3 = sum_block(s3, p + 3 * step_bytes, qb);
			}
		}
		add_sums(sums, s0);
		if (n_groups > 1)
			add_sums(sums + BN_TILE_ROWS, s1);
		if (n_groups > 2)
		{
			add_sums(sums + 2 * BN_TILE_ROWS, s2);
			add_sums(sums + 3 * BN_TILE_ROWS, s3);
		}
	}
	for (int g = 0; g < n_groups; g++)
		store_group(y + g * step * BN_TILE_ROWS, sums + g * BN_TILE_ROWS, info, w_scale,
					n_rows - g * step * BN_TILE_ROWS);
}

/* Unpacks a part of a group: [4 n_blocks]. */
static INLINE void
unpack_group(row_codes *out, const uint8_t *w, size_t n_blocks)
{
	for (size_t b = 0; b < n_blocks; b++)
	{
		tile_bytes	tile = load_tile(w + b * BN_TILE_BYTES);

		out[4 * b] = tile_codes(tile, 0);
		out[4 * b + 1] = tile_codes(tile, 1);
		out[4 * b + 2] = tile_codes(tile, 2);
		out[4 * b + 3] = tile_codes(tile, 3);
	}
}

#define STEP_COLUMNS(j) \
	do { \
		row_codes	c = unpacked[4 * b + j]; \
		s0 = step(s0, c, q0, j); \
		if (n_tokens > 1) \
			s1 = step(s1, c, q1, j); \
		if (n_tokens > 2) \
			s2 = step(s2, c, q2, j); \
		if (n_tokens > 3) \
			s3 = step(s3, c, q3, j); \
	} while (0)

/* sums[n_tokens][BN_TILE_ROWS] += one group times n_tokens tokens, for a part */
static INLINE void
group_tile(int32_t *sums, const row_codes *unpacked, size_t n_blocks,
		   const int8_t *q, size_t ldq, const int n_tokens)
{
	group_sum	s0 = sum_zero();
	group_sum	s1 = s0;
	group_sum	s2 = s0;
	group_sum	s3 = s0;

	for (size_t b = 0; b < n_blocks; b++)
	{
		const int8_t *qb = q + b * BN_TILE_COLS;
		int8x16_t	q0 = vld1q_s8(qb);
		int8x16_t	q1 = vld1q_s8(qb + (n_tokens > 1 ? ldq : 0));
		int8x16_t	q2 = vld1q_s8(qb + (n_tokens > 2 ? 2 * ldq : 0));
		int8x16_t	q3 = vld1q_s8(qb + (n_tokens > 3 ? 3 * ldq : 0));

		STEP_COLUMNS(0);
		STEP_COLUMNS(1);
		STEP_COLUMNS(2);
		STEP_COLUMNS(3);
	}
	add_sums(sums, s0);
	if (n_tokens > 1)
		add_sums(sums + BN_TILE_ROWS, s1);
	if (n_tokens > 2)
		add_sums(sums + 2 * BN_TILE_ROWS, s2);
	if (n_tokens > 3)
		add_sums(sums + 3 * BN_TILE_ROWS, s3);
}

#undef STEP_COLUMNS

/* sums[n_tokens][BN_TILE_ROWS] of one group over all its columns */
static void
group_sums(int32_t *sums, const uint8_t *w, size_t n_blocks,
		   const int8_t *q, size_t ldq, int n_tokens)
{
	memset(sums, 0, (size_t) n_tokens * BN_TILE_ROWS * sizeof(int32_t));
	for (size_t b = 0; b < n_blocks; b += PART_BLOCKS)
	{
		size_t		n = n_blocks - b < PART_BLOCKS ? n_blocks - b : PART_BLOCKS;
		row_codes	unpacked[PART_BLOCKS * 4];
		int			t = 0;

		unpack_group(unpacked, w + b * BN_TILE_BYTES, n);
		for (; t + TILE_TOKENS <= n_tokens; t += TILE_TOKENS)
			group_tile(sums + t * BN_TILE_ROWS, unpacked, n,
					   q + t * ldq + b * BN_TILE_COLS, ldq, TILE_TOKENS);
		for (; t < n_tokens; t++)
			group_tile(sums + t * BN_TILE_ROWS, unpacked, n,
					   q + t * ldq + b * BN_TILE_COLS, ldq, 1);
	}
}

static void
ternary_gemm(float *y, size_t ldy, const uint8_t *w, int rows, int cols, float w_scale,
			 int group_begin, int group_end,
			 const int8_t *q, const bn_quant *info, int n_tokens)
{
	size_t		n_blocks = bn_ternary_blocks((size_t) cols);
	size_t		group_bytes = n_blocks * BN_TILE_BYTES;
	size_t		ldq = bn_quant_stride((size_t) cols);

	if (n_tokens == 1)
	{
		/* long streams far from each other, which hardware prefetch can follow */
		int			step = (group_end - group_begin) / STREAMS;
		int			g = group_begin;

		for (; g < group_begin + step; g++)
			single_token(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks, w_scale, q, info,
						 STREAMS, step, rows - g * BN_TILE_ROWS);
		for (g = group_begin + STREAMS * step; g < group_end; g++)
			single_token(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks, w_scale, q, info,
						 1, 0, rows - g * BN_TILE_ROWS);
		return;
	}

	for (int t0 = 0; t0 < n_tokens; t0 += CHUNK_TOKENS)
	{
		int			n = n_tokens - t0 < CHUNK_TOKENS ? n_tokens - t0 : CHUNK_TOKENS;
		int32_t		sums[CHUNK_TOKENS * BN_TILE_ROWS];

		for (int g = group_begin; g < group_end; g++)
		{
			group_sums(sums, w + g * group_bytes, n_blocks, q + t0 * ldq, ldq, n);
			for (int t = 0; t < n; t++)
				store_group(y + (t0 + t) * ldy + g * BN_TILE_ROWS, sums + t * BN_TILE_ROWS,
							&info[t0 + t], w_scale, rows - g * BN_TILE_ROWS);
		}
	}
}

/* four values for all rows */
static INLINE int8x16_t
spread_word(const int8_t *x)
{
	int32_t		word;

	memcpy(&word, x, sizeof(word));
	return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

/* The values of four rows of a tile, four columns in each */
typedef struct int6_values
{
	int8x16_t	v[4];
} int6_values;

static INLINE int8x16_t
int6_decode(uint8x16_t codes)
{
	return vsubq_s8(vreinterpretq_s8_u8(codes), vdupq_n_s8(BN_INT6_ZERO));
}

static INLINE int6_values
int6_load(const uint8_t *w)
{
	uint8x16_t	mask = vdupq_n_u8(63);
	uint8x16_t	l0 = vld1q_u8(w);
	uint8x16_t	l1 = vld1q_u8(w + BN_TILE_BYTES);
	uint8x16_t	l2 = vld1q_u8(w + 2 * BN_TILE_BYTES);
	uint8x16_t	last = vsliq_n_u8(vsliq_n_u8(vshrq_n_u8(l0, 6), vshrq_n_u8(l1, 6), 2),
								  vshrq_n_u8(l2, 6), 4);

	return (int6_values) {{int6_decode(vandq_u8(l0, mask)), int6_decode(vandq_u8(l1, mask)),
		int6_decode(vandq_u8(l2, mask)), int6_decode(last)}};
}

/* One group of a matrix of six bits and one token: sums[BN_TILE_ROWS] */
static INLINE void
int6_tile(int32_t *sums, const uint8_t *w, size_t n_blocks, const int8_t *x, size_t stride)
{
	int32x4_t	high[4];
	int32x4_t	low[4];

	for (int k = 0; k < 4; k++)
		high[k] = low[k] = vdupq_n_s32(0);
	for (size_t b = 0; b < n_blocks; b++)
	{
		const int8_t *xb = x + b * BN_TILE_COLS;

		for (int k = 0; k < 4; k++)
		{
			int6_values values = int6_load(w + b * BN_INT6_BYTES + 16 * k);

			for (int j = 0; j < 4; j++)
			{
				high[k] = dot_words(high[k], values.v[j], spread_word(xb + 4 * j));
				low[k] = dot_words(low[k], values.v[j], spread_word(xb + stride + 4 * j));
			}
		}
	}
	for (int k = 0; k < 4; k++)
		vst1q_s32(sums + 4 * k, vaddq_s32(vshlq_n_s32(high[k], 7), low[k]));
}

static void
int6_gemm(float *y, size_t ldy, const uint8_t *w, int rows, int cols, const float *row_scale,
		  int group_begin, int group_end, const int8_t *x, const float *x_scale, int n_tokens)
{
	size_t		n_blocks = bn_ternary_blocks((size_t) cols);
	size_t		stride = bn_quant_stride((size_t) cols);

	for (int g = group_begin; g < group_end; g++)
	{
		int			r0 = g * BN_TILE_ROWS;
		int			n_rows = rows - r0 < BN_TILE_ROWS ? rows - r0 : BN_TILE_ROWS;

		for (int t = 0; t < n_tokens; t++)
		{
			int32_t		sums[BN_TILE_ROWS];

			int6_tile(sums, w + (size_t) g * n_blocks * BN_INT6_BYTES, n_blocks,
					  x + 2 * (size_t) t * stride, stride);
			for (int r = 0; r < n_rows; r++)
				y[(size_t) t * ldy + r0 + r] = (float) sums[r] *
					(row_scale[r0 + r] * x_scale[t]);
		}
	}
}

#endif							/* BN_ARM_COMMON_H */
