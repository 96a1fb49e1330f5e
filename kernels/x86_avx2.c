/*-------------------------------------------------------------------------
 *
 * x86_avx2.c
 *	  Kernels for x86-64 with AVX2, FMA and F16C.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds two neighbouring
 * products to an int16.  The weights' codes 0 .. 2 are the unsigned operand,
 * so a sum of products comes out too large by the sum of the activations,
 * which bn_quant has.  Half a tile, one register, holds four columns of 8 rows;
 * the four activations are one word, the same for all rows.
 *
 * kernels/x86_avx2.c
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
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define INLINE inline __attribute__((always_inline))

/* lanes 0 .. 7 and 8 .. 15 */
typedef struct v16
{
	__m256		lo;
	__m256		hi;
} v16;

typedef struct i16
{
	__m256i		lo;
	__m256i		hi;
} i16;

static INLINE v16
v_set1(float f)
{
	return (v16) {_mm256_set1_ps(f), _mm256_set1_ps(f)};
}

static INLINE v16
v_load(const float *p)
{
	return (v16) {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

static INLINE void
v_store(float *p, v16 v)
{
	_mm256_storeu_ps(p, v.lo);
	_mm256_storeu_ps(p + 8, v.hi);
}

static INLINE v16
v_load_half(const uint16_t *p)
{
	return (v16) {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p)),
		_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (p + 8)))};
}

static INLINE void
v_store_half(uint16_t *p, v16 v)
{
	_mm_storeu_si128((__m128i *) p, _mm256_cvtps_ph(v.lo, _MM_FROUND_TO_NEAREST_INT));
	_mm_storeu_si128((__m128i *) (p + 8), _mm256_cvtps_ph(v.hi, _MM_FROUND_TO_NEAREST_INT));
}

static INLINE v16
v_load_int8(const int8_t *p)
{
	__m128i		v = _mm_loadu_si128((const __m128i *) p);

	return (v16) {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(v)),
		_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(v, 8)))};
}

static INLINE v16
v_add(v16 a, v16 b)
{
	return (v16) {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

static INLINE v16
v_sub(v16 a, v16 b)
{
	return (v16) {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}

static INLINE v16
v_mul(v16 a, v16 b)
{
	return (v16) {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}

static INLINE v16
v_fma(v16 a, v16 b, v16 c)
{
	return (v16) {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

static INLINE v16
v_max(v16 a, v16 b)
{
	return (v16) {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}

static INLINE v16
v_abs(v16 a)
{
	__m256		sign = _mm256_set1_ps(-0.0f);

	return (v16) {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}

static INLINE v16
v_round(v16 a)
{
	return (v16) {_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
		_mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

static INLINE v16
v_first(int n, v16 a, v16 b)
{
	__m256i		index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	__m256i		lo = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), index);
	__m256i		hi = _mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), index);

	return (v16) {_mm256_blendv_ps(b.lo, a.lo, _mm256_castsi256_ps(lo)),
		_mm256_blendv_ps(b.hi, a.hi, _mm256_castsi256_ps(hi))};
}

static INLINE __m256
power_of_two(__m256 n)
{
	__m256i		exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));

	return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}

static INLINE v16
v_scale(v16 p, v16 n)
{
	return (v16) {_mm256_mul_ps(p.lo, power_of_two(n.lo)),
		_mm256_mul_ps(p.hi, power_of_two(n.hi))};
}

static INLINE v16
v_keep_from(v16 v, v16 x, v16 low)
{
	return (v16) {_mm256_and_ps(v.lo, _mm256_cmp_ps(x.lo, low.lo, _CMP_GE_OQ)),
		_mm256_and_ps(v.hi, _mm256_cmp_ps(x.hi, low.hi, _CMP_GE_OQ))};
}

static INLINE float
v_sum(v16 v)
{
	__m256		s8 = _mm256_add_ps(v.lo, v.hi);
	__m128		s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
	__m128		s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));

	return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

static INLINE float
v_largest(v16 v)
{
	__m256		m8 = _mm256_max_ps(v.lo, v.hi);
	__m128		m4 = _mm_max_ps(_mm256_castps256_ps128(m8), _mm256_extractf128_ps(m8, 1));
	__m128		m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));

	return _mm_cvtss_f32(_mm_max_ss(m2, _mm_movehdup_ps(m2)));
}

static INLINE void
v_sum4(float *out, v16 a, v16 b, v16 c, v16 d)
{
	__m256		a8 = _mm256_add_ps(a.lo, a.hi);
	__m256		b8 = _mm256_add_ps(b.lo, b.hi);
	__m256		c8 = _mm256_add_ps(c.lo, c.hi);
	__m256		d8 = _mm256_add_ps(d.lo, d.hi);

	/* 4 lanes left of a and b, of c and d */
	__m256		ab = _mm256_add_ps(_mm256_permute2f128_ps(a8, b8, 0x20),
								   _mm256_permute2f128_ps(a8, b8, 0x31));
	__m256		cd = _mm256_add_ps(_mm256_permute2f128_ps(c8, d8, 0x20),
								   _mm256_permute2f128_ps(c8, d8, 0x31));

	/* 2 lanes left: a c in the lower half, b d in the upper; then 1 */
	__m256		s2 = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44),
								   _mm256_shuffle_ps(ab, cd, 0xee));
	__m256		s1 = _mm256_hadd_ps(s2, s2);

	_mm_storeu_ps(out, _mm_unpacklo_ps(_mm256_castps256_ps128(s1), _mm256_extractf128_ps(s1, 1)));
}

static INLINE i16
i_zero(void)
{
	return (i16) {_mm256_setzero_si256(), _mm256_setzero_si256()};
}

static INLINE i16
i_add(i16 a, i16 b)
{
	return (i16) {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}

static INLINE int32_t
i_sum(i16 a)
{
	__m256i		s8 = _mm256_add_epi32(a.lo, a.hi);
	__m128i		s4 = _mm_add_epi32(_mm256_castsi256_si128(s8), _mm256_extracti128_si256(s8, 1));
	__m128i		s2 = _mm_add_epi32(s4, _mm_shuffle_epi32(s4, 0x4e));

	return _mm_cvtsi128_si32(_mm_add_epi32(s2, _mm_shuffle_epi32(s2, 0xb1)));
}

static INLINE __m256i
round_ordered(__m256 v)
{
	return _mm256_cvtps_epi32(_mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q)));
}

static INLINE i16
i_round(v16 v)
{
	return (i16) {round_ordered(v.lo), round_ordered(v.hi)};
}

static INLINE void
i_store_int8(int8_t *p, i16 a)
{
	__m256i		words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xd8);

	_mm_storeu_si128((__m128i *) p, _mm_packs_epi16(_mm256_castsi256_si128(words),
													_mm256_extracti128_si256(words, 1)));
}

#define V_TOKENS 2
#define V_PARTS_BY_COPY

#include "lanes.h"

/*
 * The kernels of ternary matrices.
 *
 * Products are added in int16 for the PART_BLOCKS blocks of a part, then
 * widened: 4 additions a block of at most 2 * 3 * 128 each (even for the code 3
 * that no matrix has) make 30720 at most.  The int32 sums of one group for
 * CHUNK_TOKENS tokens are kept meanwhile.
 */
#define CHUNK_TOKENS 64
#define TILE_TOKENS 4
#define PART_BLOCKS 10

/* how far ahead of the use the weights are asked for */
#define PREFETCH_BYTES 2048

/* four activations for 8 rows */
static INLINE __m256i
spread(const int8_t *q)
{
	int32_t		word;

	memcpy(&word, q, sizeof(word));
	return _mm256_set1_epi32(word);
}

/* columns 4 j .. 4 j + 3 of half a tile */
static INLINE __m256i
codes(__m256i tile, const int j)
{
	__m256i		mask = _mm256_set1_epi8(3);

	return _mm256_and_si256(j == 0 ? tile : _mm256_srli_epi16(tile, 2 * j), mask);
}

static INLINE __m256i
load_half_tile(const uint8_t *w)
{
	return _mm256_loadu_si256((const __m256i *) w);
}

/* Adds int16 sums to the int32 sums of 8 rows. */
static INLINE void
widen(int32_t *sums, __m256i words)
{
	__m256i	   *p = (__m256i *) sums;

	_mm256_storeu_si256(p, _mm256_add_epi32(_mm256_loadu_si256(p),
											_mm256_madd_epi16(words, _mm256_set1_epi16(1))));
}

/* Writes the outputs of one group for one token. */
static INLINE void
store_group(float *y, const int32_t *sums, const bn_quant *info, float w_scale, int n_rows)
{
	__m256i		excess = _mm256_set1_epi32(info->sum);
	__m256i		lo = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *) sums), excess);
	__m256i		hi = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *) (sums + 8)), excess);
	v16			v = {_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)};

	v = v_mul(v, v_set1(info->scale * w_scale));
	if (n_rows >= BN_TILE_ROWS)
		v_store(y, v);
	else
		v_store_n(y, v, n_rows);
}

/* One token, n_groups groups that are step groups apart, each a stream. */
#define STEP_HALF(s, w, offset) \
	do { \
		__m256i		tile = load_half_tile((w) + (offset)); \
		s = _mm256_add_epi16(s, _mm256_maddubs_epi16(codes(tile, 0), q0)); \
		s = _mm256_add_epi16(s, _mm256_maddubs_epi16(codes(tile, 1), q1)); \
		s = _mm256_add_epi16(s, _mm256_maddubs_epi16(codes(tile, 2), q2)); \
		s = _mm256_add_epi16(s, _mm256_maddubs_epi16(codes(tile, 3), q3)); \
	} while (0)
#define STEP_GROUP(g) \
	do { \
		const uint8_t *p = w + g * step_bytes + b * BN_TILE_BYTES; \
		_mm_prefetch((const char *) p + PREFETCH_BYTES, _MM_HINT_T0); \
		STEP_HALF(s##g##0, p, 0); \
		STEP_HALF(s##g##1, p, 32); \
	} while (0)
#define WIDEN_GROUP(g) \
	do { \
		widen(sums + g * BN_TILE_ROWS, s##g##0); \
		widen(sums + g * BN_TILE_ROWS + 8, s##g##1); \
	} while (0)

static INLINE void
single_token(float *y, const uint8_t *w, size_t n_blocks, float w_scale,
			 const int8_t *q, const bn_quant *info, const int n_groups, int step, int n_rows)
{
	size_t		step_bytes = (size_t) step * n_blocks * BN_TILE_BYTES;
	int32_t		sums[4 * BN_TILE_ROWS] = {0};

	for (size_t part = 0; part < n_blocks; part += PART_BLOCKS)
	{
		size_t		end = n_blocks - part < PART_BLOCKS ? n_blocks : part + PART_BLOCKS;
		__m256i		s00 = _mm256_setzero_si256();
		__m256i		s01 = s00,
					s10 = s00,
					s11 = s00,
					s20 = s00,
					s21 = s00,
					s30 = s00,
					s31 = s00;

		for (size_t b = part; b < end; b++)
		{
			__m256i		q0 = spread(q + b * BN_TILE_COLS);
			__m256i		q1 = spread(q + b * BN_TILE_COLS + 4);
			__m256i		q2 = spread(q + b * BN_TILE_COLS + 8);
			__m256i		q3 = spread(q + b * BN_TILE_COLS + 12);

			STEP_GROUP(0);
			if (n_groups == 4)
			{
				STEP_GROUP(1);
				STEP_GROUP(2);
				STEP_GROUP(3);
			}
		}
		WIDEN_GROUP(0);
		if (n_groups == 4)
		{
			WIDEN_GROUP(1);
			WIDEN_GROUP(2);
			WIDEN_GROUP(3);
		}
	}
	for (int g = 0; g < n_groups; g++)
		store_group(y + g * step * BN_TILE_ROWS, sums + g * BN_TILE_ROWS, info, w_scale,
					n_rows - g * step * BN_TILE_ROWS);
}

#undef STEP_HALF
#undef STEP_GROUP
#undef WIDEN_GROUP

/* Unpacks a part of a group: [4 n_blocks][2] registers. */
static INLINE void
unpack_group(__m256i *out, const uint8_t *w, size_t n_blocks)
{
	for (size_t b = 0; b < n_blocks; b++)
	{
		__m256i		lo = load_half_tile(w + b * BN_TILE_BYTES);
		__m256i		hi = load_half_tile(w + b * BN_TILE_BYTES + 32);

		out[0] = codes(lo, 0);
		out[1] = codes(hi, 0);
		out[2] = codes(lo, 1);
		out[3] = codes(hi, 1);
		out[4] = codes(lo, 2);
		out[5] = codes(hi, 2);
		out[6] = codes(lo, 3);
		out[7] = codes(hi, 3);
		out += 8;
	}
}

#define STEP_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		__m256i		qt = spread(q + t * ldq + b * BN_TILE_COLS + 4 * j); \
		s##t##0 = _mm256_add_epi16(s##t##0, _mm256_maddubs_epi16(c0, qt)); \
		s##t##1 = _mm256_add_epi16(s##t##1, _mm256_maddubs_epi16(c1, qt)); \
	}
#define STEP_COLUMNS(column) \
	do { \
		const int	j = column; \
		__m256i		c0 = !direct ? unpacked[8 * b + 2 * j] : codes(lo, j); \
		__m256i		c1 = !direct ? unpacked[8 * b + 2 * j + 1] : codes(hi, j); \
		STEP_TOKEN(0); \
		STEP_TOKEN(1); \
		STEP_TOKEN(2); \
		STEP_TOKEN(3); \
	} while (0)
#define WIDEN_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		widen(sums + t * BN_TILE_ROWS, s##t##0); \
		widen(sums + t * BN_TILE_ROWS + 8, s##t##1); \
	}

/*
 * sums[n_tokens][BN_TILE_ROWS] += one group times n_tokens tokens, for a part.
 * The codes come from unpack_group, or straight from the weights.
 */
static INLINE void
group_tile(int32_t *sums, const __m256i *unpacked, const uint8_t *w, size_t n_blocks,
		   const int8_t *q, size_t ldq, const int n_tokens, const bool direct)
{
	__m256i		s00 = _mm256_setzero_si256();
	__m256i		s01 = s00,
				s10 = s00,
				s11 = s00,
				s20 = s00,
				s21 = s00,
				s30 = s00,
				s31 = s00;

	for (size_t b = 0; b < n_blocks; b++)
	{
		__m256i		lo = _mm256_setzero_si256();
		__m256i		hi = lo;

		if (direct)
		{
			lo = load_half_tile(w + b * BN_TILE_BYTES);
			hi = load_half_tile(w + b * BN_TILE_BYTES + 32);
			_mm_prefetch((const char *) w + b * BN_TILE_BYTES + PREFETCH_BYTES, _MM_HINT_T0);
		}
		STEP_COLUMNS(0);
		STEP_COLUMNS(1);
		STEP_COLUMNS(2);
		STEP_COLUMNS(3);
	}
	WIDEN_TOKEN(0);
	WIDEN_TOKEN(1);
	WIDEN_TOKEN(2);
	WIDEN_TOKEN(3);
}

#undef STEP_TOKEN
#undef STEP_COLUMNS
#undef WIDEN_TOKEN

static INLINE void
group_tokens(int32_t *sums, const __m256i *unpacked, const uint8_t *w, size_t n_blocks,
			 const int8_t *q, size_t ldq, int n_tokens, const bool direct)
{
	switch (n_tokens)
	{
		case 1:
			group_tile(sums, unpacked, w, n_blocks, q, ldq, 1, direct);
			break;
		case 2:
			group_tile(sums, unpacked, w, n_blocks, q, ldq, 2, direct);
			break;
		case 3:
			group_tile(sums, unpacked, w, n_blocks, q, ldq, 3, direct);
			break;
		default:
			group_tile(sums, unpacked, w, n_blocks, q, ldq, TILE_TOKENS, direct);
			break;
	}
}

/* sums[n_tokens][BN_TILE_ROWS] of one group over all its columns */
static void
group_sums(int32_t *sums, const uint8_t *w, size_t n_blocks,
		   const int8_t *q, size_t ldq, int n_tokens)
{
	memset(sums, 0, (size_t) n_tokens * BN_TILE_ROWS * sizeof(int32_t));
	for (size_t b = 0; b < n_blocks; b += PART_BLOCKS)
	{
		size_t		n = n_blocks - b < PART_BLOCKS ? n_blocks - b : PART_BLOCKS;
		const uint8_t *part = w + b * BN_TILE_BYTES;
		const int8_t *part_q = q + b * BN_TILE_COLS;
		__m256i		unpacked[PART_BLOCKS * 8];

		if (n_tokens <= TILE_TOKENS)
		{
			group_tokens(sums, NULL, part, n, part_q, ldq, n_tokens, true);
			continue;
		}
		unpack_group(unpacked, part, n);
		for (int t = 0; t < n_tokens; t += TILE_TOKENS)
			group_tokens(sums + t * BN_TILE_ROWS, unpacked, NULL, n, part_q + t * ldq, ldq,
						 n_tokens - t < TILE_TOKENS ? n_tokens - t : TILE_TOKENS, false);
	}
}

#include "x86_avx2_lookup.h"

static void
ternary_gemm(float *y, size_t ldy, const uint8_t *w, int rows, int cols, float w_scale,
			 int group_begin, int group_end,
			 const int8_t *q, const bn_quant *info, int n_tokens)
{
	size_t		n_blocks = bn_ternary_blocks((size_t) cols);
	size_t		group_bytes = n_blocks * BN_TILE_BYTES;
	size_t		ldq = bn_quant_stride((size_t) cols);

	if (group_end - group_begin >= LOOKUP_LEAST_GROUPS)
	{
		int			rest = n_tokens % LOOKUP_TOKENS;
		int			n = rest < LOOKUP_LEAST_TOKENS ? n_tokens - rest : n_tokens;

		lookup_gemm(y, ldy, w, rows, n_blocks, w_scale, group_begin, group_end, q, ldq, info, n);
		y += n * ldy;
		q += n * ldq;
		info += n;
		n_tokens -= n;
	}
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

/*
 * Matrices of six bits.  The unsigned operand is the code, w + 32, so small that
 * the products of four columns fit into 16 bits; 32 times the sum of the other
 * operand is subtracted.  High parts are left out where there are none.
 */
#define INT6_TOKENS 2
#define INT6_PREFETCH_BYTES 2048

/* The codes of 8 rows of a tile, four columns in each */
typedef struct int6_codes
{
	__m256i		c[4];
} int6_codes;

static INLINE int6_codes
int6_load(const uint8_t *w)
{
	__m256i		mask = _mm256_set1_epi8(63);
	__m256i		l0 = _mm256_loadu_si256((const __m256i *) w);
	__m256i		l1 = _mm256_loadu_si256((const __m256i *) (w + BN_TILE_BYTES));
	__m256i		l2 = _mm256_loadu_si256((const __m256i *) (w + 2 * BN_TILE_BYTES));
	__m256i		last = _mm256_or_si256(
		_mm256_and_si256(_mm256_srli_epi16(l0, 6), _mm256_set1_epi8(0x03)),
		_mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l1, 4), _mm256_set1_epi8(0x0c)),
						_mm256_and_si256(_mm256_srli_epi16(l2, 2), _mm256_set1_epi8(0x30))));

	return (int6_codes) {{_mm256_and_si256(l0, mask), _mm256_and_si256(l1, mask),
		_mm256_and_si256(l2, mask), last}};
}

/* Four times four columns of 8 rows times 16 values of a token */
static INLINE __m256i
int6_step(__m256i sum, const int6_codes *w, const int8_t *x)
{
	__m256i		ones = _mm256_set1_epi16(1);
	__m256i		front = _mm256_add_epi16(_mm256_maddubs_epi16(w->c[0], spread(x)),
										 _mm256_maddubs_epi16(w->c[1], spread(x + 4)));
	__m256i		back = _mm256_add_epi16(_mm256_maddubs_epi16(w->c[2], spread(x + 8)),
										_mm256_maddubs_epi16(w->c[3], spread(x + 12)));

	return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(front, ones),
												  _mm256_madd_epi16(back, ones)));
}

#define STEP_TOKEN(t) \
	do { \
		const int8_t *high = x + 2 * t * stride + b * BN_TILE_COLS; \
		__m128i		any = _mm_loadu_si128((const __m128i *) high); \
		low##t##0 = int6_step(low##t##0, &upper, high + stride); \
		low##t##1 = int6_step(low##t##1, &lower, high + stride); \
		if (!_mm_testz_si128(any, any)) \
		{ \
			high##t##0 = int6_step(high##t##0, &upper, high); \
			high##t##1 = int6_step(high##t##1, &lower, high); \
		} \
	} while (0)
#define STORE_TOKEN(t) \
	do { \
		_mm256_storeu_si256((__m256i *) (sums + t * BN_TILE_ROWS), \
							_mm256_add_epi32(_mm256_slli_epi32(high##t##0, 7), low##t##0)); \
		_mm256_storeu_si256((__m256i *) (sums + t * BN_TILE_ROWS + 8), \
							_mm256_add_epi32(_mm256_slli_epi32(high##t##1, 7), low##t##1)); \
	} while (0)

/* sums[n_tokens][BN_TILE_ROWS] of one group */
static INLINE void
int6_tile(int32_t *sums, const uint8_t *w, size_t n_blocks, const int8_t *x, size_t stride,
		  const int n_tokens)
{
	__m256i		high00 = _mm256_setzero_si256();
	__m256i		high01 = high00,
				high10 = high00,
				high11 = high00,
				low00 = high00,
				low01 = high00,
				low10 = high00,
				low11 = high00;

	for (size_t b = 0; b < n_blocks; b++)
	{
		const uint8_t *p = w + b * BN_INT6_BYTES;
		int6_codes	upper = int6_load(p);
		int6_codes	lower = int6_load(p + 32);

		for (int line = 0; line < BN_INT6_BYTES; line += BN_TILE_BYTES)
			_mm_prefetch((const char *) p + line + INT6_PREFETCH_BYTES, _MM_HINT_T0);
		STEP_TOKEN(0);
		if (n_tokens > 1)
			STEP_TOKEN(1);
	}
	STORE_TOKEN(0);
	if (n_tokens > 1)
		STORE_TOKEN(1);
}

#undef STEP_TOKEN
#undef STORE_TOKEN

/* 32 times the sum of 128 high + low, modulo 2^32 */
static uint32_t
int6_surplus(const int8_t *x, size_t stride)
{
	uint32_t	sum = 0;

	for (size_t i = 0; i < stride; i++)
		sum += (uint32_t) (128 * x[i] + x[stride + i]);
	return BN_INT6_ZERO * sum;
}

static void
int6_gemm(float *y, size_t ldy, const uint8_t *w, int rows, int cols, const float *row_scale,
		  int group_begin, int group_end, const int8_t *x, const float *x_scale, int n_tokens)
{
	size_t		n_blocks = bn_ternary_blocks((size_t) cols);
	size_t		stride = bn_quant_stride((size_t) cols);

	for (int t0 = 0; t0 < n_tokens; t0 += CHUNK_TOKENS)
	{
		int			n_chunk = n_tokens - t0 < CHUNK_TOKENS ? n_tokens - t0 : CHUNK_TOKENS;
		uint32_t	surplus[CHUNK_TOKENS];

		for (int t = 0; t < n_chunk; t++)
			surplus[t] = int6_surplus(x + 2 * (size_t) (t0 + t) * stride, stride);
		for (int g = group_begin; g < group_end; g++)
		{
			int			r0 = g * BN_TILE_ROWS;
			int			n_rows = rows - r0 < BN_TILE_ROWS ? rows - r0 : BN_TILE_ROWS;
			const uint8_t *group = w + (size_t) g * n_blocks * BN_INT6_BYTES;

			for (int i = 0; i < n_chunk; i += INT6_TOKENS)
			{
				int			n = n_chunk - i < INT6_TOKENS ? n_chunk - i : INT6_TOKENS;
				const int8_t *xt = x + 2 * (size_t) (t0 + i) * stride;
				int32_t		sums[INT6_TOKENS * BN_TILE_ROWS];

				if (n == 1)
					int6_tile(sums, group, n_blocks, xt, stride, 1);
				else
					int6_tile(sums, group, n_blocks, xt, stride, INT6_TOKENS);
				for (int t = 0; t < n; t++)
					for (int r = 0; r < n_rows; r++)
						y[(size_t) (t0 + i + t) * ldy + r0 + r] =
							(float) (int32_t) ((uint32_t) sums[t * BN_TILE_ROWS + r] - surplus[i + t]) *
							(row_scale[r0 + r] * x_scale[t0 + i + t]);
			}
		}
	}
}

const bn_kernels bn_kernels_avx2 = {
	.name = "avx2",
	.description = "x86-64 with AVX2, FMA and F16C",
	.supported = bn_cpu_has_avx2,
	.gemm_tokens = LOOKUP_LEAST_TOKENS,
	.gemm_groups = LOOKUP_GROUPS,
	.ternary_gemm = ternary_gemm,
	.ternary5_gemm = bn_scalar_ternary5_gemm,
	LANES_MEMBERS
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif							/* __x86_64__ */
