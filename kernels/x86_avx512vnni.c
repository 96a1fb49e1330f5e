/*-------------------------------------------------------------------------
 *
 * x86_avx512vnni.c
 *	  Kernels for x86-64 with AVX-512 F, DQ, BW, VL and VNNI.
 *
 * vpdpbusd multiplies unsigned by signed bytes and adds four neighbouring
 * products to an int32.  The weights' codes 0 .. 2 are the unsigned operand,
 * so a sum of products comes out too large by the sum of the activations,
 * which bn_quant has.  One register holds four columns of 16 rows; the four
 * activations are one word, the same for all rows.
 *
 * kernels/x86_avx512vnni.c
 *
 *-------------------------------------------------------------------------
 */
#include "cpu.h"
#include "tables.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")
#endif

#include "x86_avx512.h"
#include "lanes.h"

/*
 * The kernels of ternary matrices.
 *
 * CHUNK_TOKENS sums of PAIR groups are kept in int32 while the columns go by
 * in parts of PART_BLOCKS blocks, whose codes are unpacked once, into the
 * first level of cache, for all tokens of the chunk.
 */
#define CHUNK_TOKENS 64
#define TILE_TOKENS 8
#define PART_BLOCKS 16
#define PAIR 2
#define PAIR_ROWS (PAIR * BN_TILE_ROWS)

/* how far ahead of the use the weights of a single token are asked for */
#define PREFETCH_BYTES 4096

/* four activations for all 16 rows */
static INLINE __m512i
spread(const int8_t *q)
{
	int32_t		word;

	memcpy(&word, q, sizeof(word));
	return _mm512_set1_epi32(word);
}

/* columns 4 j .. 4 j + 3 of a tile */
static INLINE __m512i
codes(__m512i tile, const int j)
{
	__m512i		mask = _mm512_set1_epi8(3);

	return _mm512_and_si512(j == 0 ? tile : _mm512_srli_epi16(tile, 2 * j), mask);
}

/* Writes the outputs of one group for one token. */
static INLINE void
store_group(float *y, __m512i sum, float scale, int n_rows)
{
	__m512		v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale));

	if (n_rows >= BN_TILE_ROWS)
		_mm512_storeu_ps(y, v);
	else
		_mm512_mask_storeu_ps(y, first_lanes(n_rows), v);
}

/*
 * One token, n_groups groups that are step groups apart, each a stream of its
 * own.  The codes need not even be shifted into place: with the mask alone they
 * count 1, 4, 16 or 64 fold, still as an unsigned byte, and so does the sum of
 * each place.  (At most 2^17 per block and place: no overflow below 262144
 * columns.)
 */
#define STEP_GROUP(g) \
	do { \
		__m512i		tile = _mm512_loadu_si512(w + g * step_bytes + b * BN_TILE_BYTES); \
		_mm_prefetch((const char *) w + g * step_bytes + b * BN_TILE_BYTES + PREFETCH_BYTES, \
					 _MM_HINT_T1); \
		s##g##0 = _mm512_dpbusd_epi32(s##g##0, _mm512_and_si512(tile, mask0), q0); \
		s##g##1 = _mm512_dpbusd_epi32(s##g##1, _mm512_and_si512(tile, mask1), q1); \
		s##g##2 = _mm512_dpbusd_epi32(s##g##2, _mm512_and_si512(tile, mask2), q2); \
		s##g##3 = _mm512_dpbusd_epi32(s##g##3, _mm512_and_si512(tile, mask3), q3); \
	} while (0)
#define SUM_GROUP(g) \
	_mm512_sub_epi32(_mm512_add_epi32(_mm512_add_epi32(s##g##0, _mm512_srai_epi32(s##g##1, 2)), \
									  _mm512_add_epi32(_mm512_srai_epi32(s##g##2, 4), \
													   _mm512_srai_epi32(s##g##3, 6))), \
					 _mm512_set1_epi32(info->sum))

static INLINE void
single_token(float *y, const uint8_t *w, size_t n_blocks, float w_scale,
			 const int8_t *q, const bn_quant *info, const int n_groups, int step, int n_rows)
{
	size_t		step_bytes = (size_t) step * n_blocks * BN_TILE_BYTES;
	int			step_rows = step * BN_TILE_ROWS;
	float		scale = info->scale * w_scale;
	__m512i		mask0 = _mm512_set1_epi8(0x03);
	__m512i		mask1 = _mm512_set1_epi8(0x0c);
	__m512i		mask2 = _mm512_set1_epi8(0x30);
	__m512i		mask3 = _mm512_set1_epi8((char) 0xc0);
	__m512i		s00 = _mm512_setzero_si512();
	__m512i		s01 = s00,
				s02 = s00,
				s03 = s00,
				s10 = s00,
				s11 = s00,
				s12 = s00,
				s13 = s00,
				s20 = s00,
				s21 = s00,
				s22 = s00,
				s23 = s00,
				s30 = s00,
				s31 = s00,
				s32 = s00,
				s33 = s00;

	for (size_t b = 0; b < n_blocks; b++)
	{
		__m512i		q0 = spread(q + b * BN_TILE_COLS);
		__m512i		q1 = spread(q + b * BN_TILE_COLS + 4);
		__m512i		q2 = spread(q + b * BN_TILE_COLS + 8);
		__m512i		q3 = spread(q + b * BN_TILE_COLS + 12);

		STEP_GROUP(0);
		if (n_groups == 4)
		{
			STEP_GROUP(1);
			STEP_GROUP(2);
			STEP_GROUP(3);
		}
	}
	store_group(y, SUM_GROUP(0), scale, n_rows);
	if (n_groups == 4)
	{
		store_group(y + step_rows, SUM_GROUP(1), scale, n_rows - step_rows);
		store_group(y + 2 * step_rows, SUM_GROUP(2), scale, n_rows - 2 * step_rows);
		store_group(y + 3 * step_rows, SUM_GROUP(3), scale, n_rows - 3 * step_rows);
	}
}

#undef STEP_GROUP
#undef SUM_GROUP

/* Unpacks a part of two groups: [4 n_blocks][PAIR] registers. */
static INLINE void
unpack_pair(__m512i *out, const uint8_t *w0, const uint8_t *w1, size_t n_blocks)
{
	for (size_t b = 0; b < n_blocks; b++)
	{
		__m512i		tile0 = _mm512_loadu_si512(w0 + b * BN_TILE_BYTES);
		__m512i		tile1 = _mm512_loadu_si512(w1 + b * BN_TILE_BYTES);

		out[0] = codes(tile0, 0);
		out[1] = codes(tile1, 0);
		out[2] = codes(tile0, 1);
		out[3] = codes(tile1, 1);
		out[4] = codes(tile0, 2);
		out[5] = codes(tile1, 2);
		out[6] = codes(tile0, 3);
		out[7] = codes(tile1, 3);
		out += 8;
	}
}

/*
 * Where the codes of a tile come from: from unpack_pair, or, if there are only
 * a few tokens, straight from the weights.
 */
typedef struct pair_source
{
	const __m512i *unpacked;	/* or NULL */
	const uint8_t *w0;
	const uint8_t *w1;
} pair_source;

#define STEP_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		__m512i		qt = spread(q + t * ldq + b * BN_TILE_COLS + 4 * j); \
		s##t##0 = _mm512_dpbusd_epi32(s##t##0, c0, qt); \
		s##t##1 = _mm512_dpbusd_epi32(s##t##1, c1, qt); \
	}
#define LOAD_TOKEN(t) \
	__m512i		s##t##0 = zero; \
	__m512i		s##t##1 = zero; \
	if (n_tokens > t) \
	{ \
		s##t##0 = _mm512_load_si512(sums + t * PAIR_ROWS); \
		s##t##1 = _mm512_load_si512(sums + t * PAIR_ROWS + BN_TILE_ROWS); \
	}
#define STORE_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		_mm512_store_si512(sums + t * PAIR_ROWS, s##t##0); \
		_mm512_store_si512(sums + t * PAIR_ROWS + BN_TILE_ROWS, s##t##1); \
	}
#define STEP_COLUMNS(column) \
	do { \
		const int	j = column; \
		__m512i		c0 = unpacked ? from.unpacked[8 * b + 2 * j] : codes(tile0, j); \
		__m512i		c1 = unpacked ? from.unpacked[8 * b + 2 * j + 1] : codes(tile1, j); \
		STEP_TOKEN(0); \
		STEP_TOKEN(1); \
		STEP_TOKEN(2); \
		STEP_TOKEN(3); \
		STEP_TOKEN(4); \
		STEP_TOKEN(5); \
		STEP_TOKEN(6); \
		STEP_TOKEN(7); \
	} while (0)

/* sums[n_tokens][PAIR_ROWS] += two groups times n_tokens tokens */
static INLINE void
pair_tile(int32_t *sums, pair_source from, size_t n_blocks,
		  const int8_t *q, size_t ldq, const int n_tokens, const bool unpacked)
{
	__m512i		zero = _mm512_setzero_si512();

	LOAD_TOKEN(0);
	LOAD_TOKEN(1);
	LOAD_TOKEN(2);
	LOAD_TOKEN(3);
	LOAD_TOKEN(4);
	LOAD_TOKEN(5);
	LOAD_TOKEN(6);
	LOAD_TOKEN(7);
	for (size_t b = 0; b < n_blocks; b++)
	{
		__m512i		tile0 = zero;
		__m512i		tile1 = zero;

		if (!unpacked)
		{
			tile0 = _mm512_loadu_si512(from.w0 + b * BN_TILE_BYTES);
			tile1 = _mm512_loadu_si512(from.w1 + b * BN_TILE_BYTES);
			_mm_prefetch((const char *) from.w0 + b * BN_TILE_BYTES + PREFETCH_BYTES, _MM_HINT_T1);
			_mm_prefetch((const char *) from.w1 + b * BN_TILE_BYTES + PREFETCH_BYTES, _MM_HINT_T1);
		}
		STEP_COLUMNS(0);
		STEP_COLUMNS(1);
		STEP_COLUMNS(2);
		STEP_COLUMNS(3);
	}
	STORE_TOKEN(0);
	STORE_TOKEN(1);
	STORE_TOKEN(2);
	STORE_TOKEN(3);
	STORE_TOKEN(4);
	STORE_TOKEN(5);
	STORE_TOKEN(6);
	STORE_TOKEN(7);
}

#undef STEP_TOKEN
#undef LOAD_TOKEN
#undef STORE_TOKEN
#undef STEP_COLUMNS

static INLINE void
pair_tokens(int32_t *sums, pair_source from, size_t n_blocks,
			const int8_t *q, size_t ldq, int n_tokens, const bool unpacked)
{
	switch (n_tokens)
	{
		case 1:
			pair_tile(sums, from, n_blocks, q, ldq, 1, unpacked);
			break;
		case 2:
			pair_tile(sums, from, n_blocks, q, ldq, 2, unpacked);
			break;
		case 3:
			pair_tile(sums, from, n_blocks, q, ldq, 3, unpacked);
			break;
		case 4:
			pair_tile(sums, from, n_blocks, q, ldq, 4, unpacked);
			break;
		case 5:
			pair_tile(sums, from, n_blocks, q, ldq, 5, unpacked);
			break;
		case 6:
			pair_tile(sums, from, n_blocks, q, ldq, 6, unpacked);
			break;
		case 7:
			pair_tile(sums, from, n_blocks, q, ldq, 7, unpacked);
			break;
		default:
			pair_tile(sums, from, n_blocks, q, ldq, TILE_TOKENS, unpacked);
			break;
	}
}

static void
few_tokens(int32_t *sums, const uint8_t *w0, const uint8_t *w1, size_t n_blocks,
		   const int8_t *q, size_t ldq, int n_tokens)
{
	pair_source from = {NULL, w0, w1};

	pair_tokens(sums, from, n_blocks, q, ldq, n_tokens, false);
}

static void
many_tokens(int32_t *sums, const uint8_t *w0, const uint8_t *w1, size_t n_blocks,
			const int8_t *q, size_t ldq, int n_tokens)
{
	__m512i		unpacked[PART_BLOCKS * 4 * PAIR];
	pair_source from = {unpacked, NULL, NULL};

	for (size_t b = 0; b < n_blocks; b += PART_BLOCKS)
	{
		size_t		n = n_blocks - b < PART_BLOCKS ? n_blocks - b : PART_BLOCKS;

		unpack_pair(unpacked, w0 + b * BN_TILE_BYTES, w1 + b * BN_TILE_BYTES, n);
		for (int t = 0; t < n_tokens; t += TILE_TOKENS)
			pair_tokens(sums + t * PAIR_ROWS, from, n, q + t * ldq + b * BN_TILE_COLS, ldq,
						n_tokens - t < TILE_TOKENS ? n_tokens - t : TILE_TOKENS, true);
	}
}

/*
 * How far apart the two groups of a pair are: each half of the groups is a
 * stream of its own, in which what is asked for ahead is what comes next.
 */
static INLINE int
pair_step(int group_begin, int group_end)
{
	return (group_end - group_begin + PAIR - 1) / PAIR;
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
		int			step = (group_end - group_begin) / 4;
		int			g = group_begin;

		for (; g < group_begin + step; g++)
			single_token(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks, w_scale, q, info,
						 4, step, rows - g * BN_TILE_ROWS);
		for (g = group_begin + 4 * step; g < group_end; g++)
			single_token(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks, w_scale, q, info,
						 1, 0, rows - g * BN_TILE_ROWS);
		return;
	}

	for (int t0 = 0; t0 < n_tokens; t0 += CHUNK_TOKENS)
	{
		int			n = n_tokens - t0 < CHUNK_TOKENS ? n_tokens - t0 : CHUNK_TOKENS;
		int			step = pair_step(group_begin, group_end);

		for (int g = group_begin; g < group_begin + step; g++)
		{
			_Alignas(64) int32_t sums[CHUNK_TOKENS * PAIR_ROWS];

			/* a last group without a second is its own second */
			const uint8_t *w0 = w + g * group_bytes;
			const uint8_t *w1 = g + step < group_end ? w0 + step * group_bytes : w0;

			memset(sums, 0, (size_t) n * PAIR_ROWS * sizeof(int32_t));
			if (n <= 2 * TILE_TOKENS)
				for (int t = 0; t < n; t += TILE_TOKENS)
					few_tokens(sums + t * PAIR_ROWS, w0, w1, n_blocks, q + (t0 + t) * ldq, ldq,
							   n - t < TILE_TOKENS ? n - t : TILE_TOKENS);
			else
				many_tokens(sums, w0, w1, n_blocks, q + t0 * ldq, ldq, n);

			for (int t = 0; t < n; t++)
			{
				const bn_quant *it = &info[t0 + t];
				float	   *out = y + (t0 + t) * ldy + g * BN_TILE_ROWS;

				for (int k = 0; k < PAIR && g + k * step < group_end; k++)
				{
					__m512i		sum = _mm512_load_si512(sums + t * PAIR_ROWS + k * BN_TILE_ROWS);

					store_group(out + k * step * BN_TILE_ROWS,
								_mm512_sub_epi32(sum, _mm512_set1_epi32(it->sum)),
								it->scale * w_scale, rows - (g + k * step) * BN_TILE_ROWS);
				}
			}
		}
	}
}

/*
 * int8 matrices.  The unsigned operand is w + 128, which is w with its sign bit
 * turned over; the surplus is 128 times the sum of the other operand.
 */
#define INT8_PREFETCH_BYTES 2048

/* Writes the outputs of one group for one token, from sums modulo 2^32. */
static INLINE void
store_int8(float *y, __m512i high, __m512i low, int32_t surplus, const float *row_scale,
		   float x_scale, int n_rows)
{
	__mmask16	lanes = n_rows >= BN_TILE_ROWS ? 0xffff : first_lanes(n_rows);
	__m512i		sum = _mm512_sub_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 7), low),
									   _mm512_set1_epi32(surplus));
	__m512		scale = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, row_scale),
									  _mm512_set1_ps(x_scale));

	_mm512_mask_storeu_ps(y, lanes, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
}

/* 128 times the sum of 128 high + low, modulo 2^32 */
static INLINE int32_t
int8_surplus(const int8_t *x, size_t stride)
{
	__m512i		ones = _mm512_set1_epi8(1);
	__m512i		high = _mm512_setzero_si512();
	__m512i		low = high;

	for (size_t i = 0; i < stride; i += 64)
	{
		high = _mm512_dpbusd_epi32(high, ones, _mm512_loadu_si512(x + i));
		low = _mm512_dpbusd_epi32(low, ones, _mm512_loadu_si512(x + stride + i));
	}
	return (int32_t) (((uint32_t) _mm512_reduce_add_epi32(high) * 128 +
					   (uint32_t) _mm512_reduce_add_epi32(low)) * 128);
}

/* One token, n_groups groups that are step groups apart, each a stream. */
#define STEP_GROUP(g) \
	do { \
		const int8_t *p = w + g * step_bytes + b * BN_TILE_BYTES; \
		__m512i		tile = _mm512_xor_si512(_mm512_loadu_si512(p), flip); \
		_mm_prefetch((const char *) p + INT8_PREFETCH_BYTES, _MM_HINT_T1); \
		high##g = _mm512_dpbusd_epi32(high##g, tile, xh); \
		low##g = _mm512_dpbusd_epi32(low##g, tile, xl); \
	} while (0)
#define STORE_GROUP(g) \
	store_int8(y + g * step_rows, high##g, low##g, surplus, row_scale + g * step_rows, x_scale, \
			   n_rows - g * step_rows)

static INLINE void
int8_single_token(float *y, const int8_t *w, size_t n_blocks, const float *row_scale,
				  const int8_t *x, size_t stride, float x_scale, int32_t surplus,
				  const int n_groups, int step, int n_rows)
{
	size_t		step_bytes = (size_t) step * n_blocks * BN_TILE_BYTES;
	int			step_rows = step * BN_TILE_ROWS;
	__m512i		flip = _mm512_set1_epi8((char) 0x80);
	__m512i		high0 = _mm512_setzero_si512();
	__m512i		high1 = high0,
				high2 = high0,
				high3 = high0,
				low0 = high0,
				low1 = high0,
				low2 = high0,
				low3 = high0;

	for (size_t b = 0; b < n_blocks; b++)
	{
		__m512i		xh = spread(x + b * BN_INT8_COLS);
		__m512i		xl = spread(x + stride + b * BN_INT8_COLS);

		STEP_GROUP(0);
		if (n_groups == 4)
		{
			STEP_GROUP(1);
			STEP_GROUP(2);
			STEP_GROUP(3);
		}
	}
	STORE_GROUP(0);
	if (n_groups == 4)
	{
		STORE_GROUP(1);
		STORE_GROUP(2);
		STORE_GROUP(3);
	}
}

#undef STEP_GROUP
#undef STORE_GROUP

#define STEP_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		__m512i		xt = spread(part + 2 * t * stride + b * BN_INT8_COLS); \
		s##t##0 = _mm512_dpbusd_epi32(s##t##0, tile0, xt); \
		s##t##1 = _mm512_dpbusd_epi32(s##t##1, tile1, xt); \
	}
#define STEP_BLOCK() \
	do { \
		__m512i		tile0 = _mm512_xor_si512(_mm512_loadu_si512(w0 + b * BN_TILE_BYTES), flip); \
		__m512i		tile1 = _mm512_xor_si512(_mm512_loadu_si512(w1 + b * BN_TILE_BYTES), flip); \
		STEP_TOKEN(0); \
		STEP_TOKEN(1); \
		STEP_TOKEN(2); \
		STEP_TOKEN(3); \
		STEP_TOKEN(4); \
		STEP_TOKEN(5); \
		STEP_TOKEN(6); \
		STEP_TOKEN(7); \
	} while (0)
#define KEEP_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		low[2 * t] = s##t##0; \
		low[2 * t + 1] = s##t##1; \
		s##t##0 = s##t##1 = zero; \
	}
#define STORE_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		store_int8(y + t * ldy, s##t##0, low[2 * t], surplus[t], row_scale, x_scale[t], n_rows); \
		if (step_rows > 0) \
			store_int8(y + t * ldy + step_rows, s##t##1, low[2 * t + 1], surplus[t], \
					   row_scale + step_rows, x_scale[t], n_rows - step_rows); \
	}
#define EACH_TOKEN(DO) \
	DO(0); \
	DO(1); \
	DO(2); \
	DO(3); \
	DO(4); \
	DO(5); \
	DO(6); \
	DO(7)

/* A bit for each block among 64 columns: has any of n_tokens rows a value there that is not zero? */
static INLINE uint32_t
blocks_in_use(const int8_t *x, size_t ldx, const int n_tokens)
{
	__m512i		any = _mm512_loadu_si512(x);

	for (int t = 1; t < n_tokens; t++)
		any = _mm512_or_si512(any, _mm512_loadu_si512(x + t * ldx));
	return _mm512_test_epi32_mask(any, any);
}

/*
 * Two groups, step_rows apart (0: there is only one), n_tokens tokens: the low
 * parts, then those blocks of the high parts that there are.  Whoever chooses a
 * scale by which most values need no high part has half the work.
 */
static INLINE void
int8_pair(float *y, size_t ldy, const int8_t *w0, int step_rows, size_t n_blocks,
		  const float *row_scale, const int8_t *x, size_t stride, const float *x_scale,
		  const int32_t *surplus, const int n_tokens, int n_rows)
{
	const int8_t *w1 = w0 + (size_t) (step_rows / BN_TILE_ROWS) * n_blocks * BN_TILE_BYTES;
	const int8_t *part = x + stride;
	__m512i		flip = _mm512_set1_epi8((char) 0x80);
	__m512i		zero = _mm512_setzero_si512();
	__m512i		low[2 * TILE_TOKENS];
	__m512i		s00 = zero,
				s01 = zero,
				s10 = zero,
				s11 = zero,
				s20 = zero,
				s21 = zero,
				s30 = zero,
				s31 = zero,
				s40 = zero,
				s41 = zero,
				s50 = zero,
				s51 = zero,
				s60 = zero,
				s61 = zero,
				s70 = zero,
				s71 = zero;

	for (size_t b = 0; b < n_blocks; b++)
	{
		_mm_prefetch((const char *) w0 + b * BN_TILE_BYTES + INT8_PREFETCH_BYTES, _MM_HINT_T1);
		_mm_prefetch((const char *) w1 + b * BN_TILE_BYTES + INT8_PREFETCH_BYTES, _MM_HINT_T1);
		STEP_BLOCK();
	}
	EACH_TOKEN(KEEP_TOKEN);
	part = x;
	for (size_t column = 0; column < stride; column += 64)
		for (uint32_t left = blocks_in_use(x + column, 2 * stride, n_tokens); left != 0;
			 left &= left - 1)
		{
			size_t		b = column / BN_INT8_COLS + (size_t) __builtin_ctz(left);

			STEP_BLOCK();
		}
	EACH_TOKEN(STORE_TOKEN);
}

#undef STEP_TOKEN
#undef STEP_BLOCK
#undef KEEP_TOKEN
#undef STORE_TOKEN
#undef EACH_TOKEN

/* Two groups, the first TILE_TOKENS of n_tokens tokens, or all */
static void
int8_tokens(float *y, size_t ldy, const int8_t *w0, int step_rows, size_t n_blocks,
			const float *row_scale, const int8_t *x, size_t stride, const float *x_scale,
			const int32_t *surplus, int n_tokens, int n_rows)
{
#define PAIR_OF(n) \
	int8_pair(y, ldy, w0, step_rows, n_blocks, row_scale, x, stride, x_scale, surplus, n, n_rows)
	switch (n_tokens)
	{
		case 1:
			PAIR_OF(1);
			break;
		case 2:
			PAIR_OF(2);
			break;
		case 3:
			PAIR_OF(3);
			break;
		case 4:
			PAIR_OF(4);
			break;
		case 5:
			PAIR_OF(5);
			break;
		case 6:
			PAIR_OF(6);
			break;
		case 7:
			PAIR_OF(7);
			break;
		default:
			PAIR_OF(TILE_TOKENS);
			break;
	}
#undef PAIR_OF
}

static void
int8_gemm(float *y, size_t ldy, const int8_t *w, int rows, int cols, const float *row_scale,
		  int group_begin, int group_end, const int8_t *x, const float *x_scale, int n_tokens)
{
	size_t		n_blocks = bn_int8_blocks((size_t) cols);
	size_t		group_bytes = n_blocks * BN_TILE_BYTES;
	size_t		stride = bn_quant_stride((size_t) cols);
	int			g = group_begin;

	if (n_tokens == 1)
	{
		int32_t		surplus = int8_surplus(x, stride);
		int			step = (group_end - group_begin) / 4;

		for (; g < group_begin + step; g++)
			int8_single_token(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks,
							  row_scale + g * BN_TILE_ROWS, x, stride, *x_scale, surplus,
							  4, step, rows - g * BN_TILE_ROWS);
		for (g = group_begin + 4 * step; g < group_end; g++)
			int8_single_token(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks,
							  row_scale + g * BN_TILE_ROWS, x, stride, *x_scale, surplus,
							  1, 0, rows - g * BN_TILE_ROWS);
		return;
	}

	for (int t0 = 0; t0 < n_tokens; t0 += CHUNK_TOKENS)
	{
		int			n = n_tokens - t0 < CHUNK_TOKENS ? n_tokens - t0 : CHUNK_TOKENS;
		int			step = pair_step(group_begin, group_end);
		int32_t		surplus[CHUNK_TOKENS];

		for (int t = 0; t < n; t++)
			surplus[t] = int8_surplus(x + 2 * (size_t) (t0 + t) * stride, stride);

		/* a pair of groups stays in the cache for all tokens of the chunk */
		for (g = group_begin; g < group_begin + step; g++)
			for (int t = 0; t < n; t += TILE_TOKENS)
				int8_tokens(y + (size_t) (t0 + t) * ldy + g * BN_TILE_ROWS, ldy, w + g * group_bytes,
							g + step < group_end ? step * BN_TILE_ROWS : 0, n_blocks,
							row_scale + g * BN_TILE_ROWS, x + 2 * (size_t) (t0 + t) * stride, stride,
							x_scale + t0 + t, surplus + t, n - t, rows - g * BN_TILE_ROWS);
	}
}

const bn_kernels bn_kernels_avx512vnni = {
	.name = "avx512vnni",
	.description = "x86-64 with AVX-512 and VNNI",
	.supported = bn_cpu_has_avx512vnni,
	.ternary_gemm = ternary_gemm,
	LANES_MEMBERS
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif							/* __x86_64__ */
