/*-------------------------------------------------------------------------
 *
 * x86_vnni.h
 *	  What kernels with AVX-512 and VNNI have in common, and matrices of six bits.
 *
 * vpdpbusd multiplies unsigned by signed bytes and adds four neighbouring
 * products to an int32.  One register holds four columns of 16 rows; the four
 * activations are one word, the same for all rows.
 *
 * For files that have chosen the instructions and included lanes.h.
 *
 * kernels/x86_vnni.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_X86_VNNI_H
#define BN_X86_VNNI_H

/*
 * Tokens are taken TILE_TOKENS at a time, with PAIR groups of rows (of ternary
 * matrices, four groups with up to four tokens): their sums are the registers.
 * The activations of CHUNK_TOKENS stay in the second level of cache while all
 * groups go by.
 */
#define CHUNK_TOKENS 64
#define TILE_TOKENS 8
#define PAIR 2

/* A statement for each token of a tile */
#define EACH_TOKEN(DO) \
	DO(0); \
	DO(1); \
	DO(2); \
	DO(3); \
	DO(4); \
	DO(5); \
	DO(6); \
	DO(7)

/* The statement for a tile of n tokens, TILE_TOKENS at most */
#define CASE_OF_TOKENS(n, DO) \
	switch (n) \
	{ \
		case 1: \
			DO(1); \
			break; \
		case 2: \
			DO(2); \
			break; \
		case 3: \
			DO(3); \
			break; \
		case 4: \
			DO(4); \
			break; \
		case 5: \
			DO(5); \
			break; \
		case 6: \
			DO(6); \
			break; \
		case 7: \
			DO(7); \
			break; \
		default: \
			DO(TILE_TOKENS); \
			break; \
	}

/*
 * How far ahead of its use a stream of weights is asked for: with few tokens,
 * where memory decides, and with many, where it need not be waited for.
 */
#define NEAR_BYTES 2048
#define FAR_BYTES 4096

static INLINE void
ask_for_weights(const uint8_t *w, const int ahead)
{
	_mm_prefetch((const char *) w + ahead, _MM_HINT_T0);
}

/* A tile of ternary weights: four codes in each byte, and a fifth in its highest bits */
typedef struct planes
{
	__m512i		four;
	__m512i		fifth;
} planes;

/* Of a tile with four codes in a byte */
static INLINE planes
four_codes(__m512i tile)
{
	return (planes) {tile, _mm512_setzero_si512()};
}

/* columns 4 j .. 4 j + 3 of a tile */
static INLINE __m512i
quad(planes p, const int j)
{
	__m512i		codes = j == 4 ? _mm512_srli_epi16(p.fifth, 6) :
		j == 0 ? p.four : _mm512_srli_epi16(p.four, 2 * j);

	return _mm512_and_si512(codes, _mm512_set1_epi8(3));
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
 * sum + four products of neighbours each.  gcc 12 takes the intrinsic for an
 * instruction with three operands, and copies most sums back and forth, which
 * made loops up to half as fast.
 */
static INLINE __m512i
dot(__m512i sum, __m512i codes, __m512i activations)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(activations));
	return sum;
}

/* four activations for all 16 rows */
static INLINE __m512i
spread(const int8_t *q)
{
	int32_t		word;

	memcpy(&word, q, sizeof(word));
	return _mm512_set1_epi32(word);
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

/*
 * Matrices of six bits.  The unsigned operand is the code, w + 32; the surplus is
 * 32 times the sum of the other operand.
 */
#define INT6_NEAR_BYTES 1024	/* measured, as the others */

/* Writes the outputs of one group for one token, from sums modulo 2^32. */
static INLINE void
store_int6(float *y, __m512i high, __m512i low, int32_t surplus, const float *row_scale,
		   float x_scale, int n_rows)
{
	__mmask16	lanes = n_rows >= BN_TILE_ROWS ? 0xffff : first_lanes(n_rows);
	__m512i		sum = _mm512_sub_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 7), low),
									   _mm512_set1_epi32(surplus));
	__m512		scale = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, row_scale),
									  _mm512_set1_ps(x_scale));

	_mm512_mask_storeu_ps(y, lanes, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
}

/* 32 times the sum of 128 high + low, modulo 2^32 */
static INLINE int32_t
int6_surplus(const int8_t *x, size_t stride)
{
	__m512i		ones = _mm512_set1_epi8(1);
	__m512i		high = _mm512_setzero_si512();
	__m512i		low = high;

	for (size_t i = 0; i < stride; i += 64)
	{
		high = dot(high, ones, _mm512_loadu_si512(x + i));
		low = dot(low, ones, _mm512_loadu_si512(x + stride + i));
	}
	return (int32_t) (((uint32_t) _mm512_reduce_add_epi32(high) * 128 +
					   (uint32_t) _mm512_reduce_add_epi32(low)) * BN_INT6_ZERO);
}

/* The codes of a tile, four columns of 16 rows in each */
typedef struct int6_codes
{
	__m512i		c[4];
} int6_codes;

/* bits of b where the mask has them, of a elsewhere */
#define SELECT_BITS 0xd8

static INLINE int6_codes
int6_load(const uint8_t *w, const int ahead)
{
	__m512i		mask = _mm512_set1_epi8(63);
	__m512i		l0 = _mm512_loadu_si512(w);
	__m512i		l1 = _mm512_loadu_si512(w + BN_TILE_BYTES);
	__m512i		l2 = _mm512_loadu_si512(w + 2 * BN_TILE_BYTES);
	__m512i		last = _mm512_ternarylogic_epi32(_mm512_srli_epi16(l0, 6), _mm512_srli_epi16(l1, 4),
												 _mm512_set1_epi8(0x0c), SELECT_BITS);

	ask_for_weights(w, ahead);
	ask_for_weights(w + BN_TILE_BYTES, ahead);
	ask_for_weights(w + 2 * BN_TILE_BYTES, ahead);
	last = _mm512_ternarylogic_epi32(last, _mm512_srli_epi16(l2, 2),
									 _mm512_set1_epi8(0x30), SELECT_BITS);
	return (int6_codes) {{_mm512_and_si512(l0, mask), _mm512_and_si512(l1, mask),
		_mm512_and_si512(l2, mask), _mm512_and_si512(last, mask)}};
}

/* One token, n_groups groups that are step groups apart, each a stream. */
#define STEP_COLUMNS(g, j) \
	high##g = dot(high##g, codes.c[j], xh##j); \
	low##g = dot(low##g, codes.c[j], xl##j)
#define STEP_GROUP(g) \
	do { \
		int6_codes	codes = int6_load(w + g * step_bytes + b * BN_INT6_BYTES, INT6_NEAR_BYTES); \
		STEP_COLUMNS(g, 0); \
		STEP_COLUMNS(g, 1); \
		STEP_COLUMNS(g, 2); \
		STEP_COLUMNS(g, 3); \
	} while (0)
#define STORE_GROUP(g) \
	store_int6(y + g * step_rows, high##g, low##g, surplus, row_scale + g * step_rows, x_scale, \
			   n_rows - g * step_rows)

static INLINE void
int6_single_token(float *y, const uint8_t *w, size_t n_blocks, const float *row_scale,
				  const int8_t *x, size_t stride, float x_scale, int32_t surplus,
				  const int n_groups, int step, int n_rows)
{
	size_t		step_bytes = (size_t) step * n_blocks * BN_INT6_BYTES;
	int			step_rows = step * BN_TILE_ROWS;
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
		const int8_t *xb = x + b * BN_TILE_COLS;
		__m512i		xh0 = spread(xb);
		__m512i		xh1 = spread(xb + 4);
		__m512i		xh2 = spread(xb + 8);
		__m512i		xh3 = spread(xb + 12);
		__m512i		xl0 = spread(xb + stride);
		__m512i		xl1 = spread(xb + stride + 4);
		__m512i		xl2 = spread(xb + stride + 8);
		__m512i		xl3 = spread(xb + stride + 12);

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

#undef STEP_COLUMNS
#undef STEP_GROUP
#undef STORE_GROUP

#define STEP_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		__m512i		xt = spread(part + 2 * t * stride + b * BN_TILE_COLS + 4 * j); \
		s##t##0 = dot(s##t##0, codes0.c[j], xt); \
		s##t##1 = dot(s##t##1, codes1.c[j], xt); \
	}
#define STEP_COLUMNS(column) \
	do { \
		const int	j = column; \
		EACH_TOKEN(STEP_TOKEN); \
	} while (0)
#define STEP_BLOCK() \
	do { \
		int6_codes	codes0 = int6_load(w0 + b * BN_INT6_BYTES, FAR_BYTES); \
		int6_codes	codes1 = int6_load(w1 + b * BN_INT6_BYTES, FAR_BYTES); \
		STEP_COLUMNS(0); \
		STEP_COLUMNS(1); \
		STEP_COLUMNS(2); \
		STEP_COLUMNS(3); \
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
		store_int6(y + t * ldy, s##t##0, low[2 * t], surplus[t], row_scale, x_scale[t], n_rows); \
		if (step_rows > 0) \
			store_int6(y + t * ldy + step_rows, s##t##1, low[2 * t + 1], surplus[t], \
					   row_scale + step_rows, x_scale[t], n_rows - step_rows); \
	}

/*
 * A bit for each block of columns: has any of n_tokens rows a value there that is
 * not zero?
 */
#define USED_WORDS (BN_INT6_MAX_COLS / BN_TILE_COLS / 64)

static void
int6_used(uint64_t *used, const int8_t *x, size_t ldx, size_t n_blocks, int n_tokens)
{
	memset(used, 0, USED_WORDS * sizeof(uint64_t));
	for (size_t b = 0; b < n_blocks; b++)
	{
		__m128i		any = _mm_setzero_si128();

		for (int t = 0; t < n_tokens; t++)
			any = _mm_or_si128(any, _mm_loadu_si128((const __m128i *) (x + t * ldx + b * BN_TILE_COLS)));
		used[b / 64] |= (uint64_t) !_mm_testz_si128(any, any) << b % 64;
	}
}

/*
 * Two groups, step_rows apart (0: there is only one), n_tokens tokens: the low
 * parts, then those blocks of the high parts that there are.  Whoever chooses a
 * scale by which most values need no high part has half the work.
 */
static INLINE void
int6_pair(float *y, size_t ldy, const uint8_t *w0, int step_rows, size_t n_blocks,
		  const float *row_scale, const int8_t *x, size_t stride, const float *x_scale,
		  const int32_t *surplus, const uint64_t *used, const int n_tokens, int n_rows)
{
	const uint8_t *w1 = w0 + (size_t) (step_rows / BN_TILE_ROWS) * n_blocks * BN_INT6_BYTES;
	const int8_t *part = x + stride;
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
		STEP_BLOCK();
	EACH_TOKEN(KEEP_TOKEN);
	part = x;
	for (size_t word = 0; word * 64 < n_blocks; word++)
		for (uint64_t left = used[word]; left != 0; left &= left - 1)
		{
			size_t		b = word * 64 + (size_t) __builtin_ctzll(left);

			STEP_BLOCK();
		}
	EACH_TOKEN(STORE_TOKEN);
}

#undef STEP_TOKEN
#undef STEP_COLUMNS
#undef STEP_BLOCK
#undef KEEP_TOKEN
#undef STORE_TOKEN

/* Two groups, the first TILE_TOKENS of n_tokens tokens, or all */
static void
int6_tokens(float *y, size_t ldy, const uint8_t *w0, int step_rows, size_t n_blocks,
			const float *row_scale, const int8_t *x, size_t stride, const float *x_scale,
			const int32_t *surplus, const uint64_t *used, int n_tokens, int n_rows)
{
#define PAIR_OF(n) \
	int6_pair(y, ldy, w0, step_rows, n_blocks, row_scale, x, stride, x_scale, surplus, used, n, n_rows)
	CASE_OF_TOKENS(n_tokens, PAIR_OF);
#undef PAIR_OF
}

static void
int6_gemm(float *y, size_t ldy, const uint8_t *w, int rows, int cols, const float *row_scale,
		  int group_begin, int group_end, const int8_t *x, const float *x_scale, int n_tokens)
{
	size_t		n_blocks = bn_ternary_blocks((size_t) cols);
	size_t		group_bytes = n_blocks * BN_INT6_BYTES;
	size_t		stride = bn_quant_stride((size_t) cols);
	int			g = group_begin;

	if (n_tokens == 1)
	{
		int32_t		surplus = int6_surplus(x, stride);
		int			step = (group_end - group_begin) / 4;

		for (; g < group_begin + step; g++)
			int6_single_token(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks,
							  row_scale + g * BN_TILE_ROWS, x, stride, *x_scale, surplus,
							  4, step, rows - g * BN_TILE_ROWS);
		for (g = group_begin + 4 * step; g < group_end; g++)
			int6_single_token(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks,
							  row_scale + g * BN_TILE_ROWS, x, stride, *x_scale, surplus,
							  1, 0, rows - g * BN_TILE_ROWS);
		return;
	}

	for (int t0 = 0; t0 < n_tokens; t0 += CHUNK_TOKENS)
	{
		int			n = n_tokens - t0 < CHUNK_TOKENS ? n_tokens - t0 : CHUNK_TOKENS;
		int			step = pair_step(group_begin, group_end);
		int32_t		surplus[CHUNK_TOKENS];
		uint64_t	used[CHUNK_TOKENS / TILE_TOKENS][USED_WORDS];

		for (int t = 0; t < n; t++)
			surplus[t] = int6_surplus(x + 2 * (size_t) (t0 + t) * stride, stride);
		for (int t = 0; t < n; t += TILE_TOKENS)
			int6_used(used[t / TILE_TOKENS], x + 2 * (size_t) (t0 + t) * stride, 2 * stride, n_blocks,
					  n - t < TILE_TOKENS ? n - t : TILE_TOKENS);

		/* a pair of groups stays in the cache for all tokens of the chunk */
		for (g = group_begin; g < group_begin + step; g++)
			for (int t = 0; t < n; t += TILE_TOKENS)
				int6_tokens(y + (size_t) (t0 + t) * ldy + g * BN_TILE_ROWS, ldy, w + g * group_bytes,
							g + step < group_end ? step * BN_TILE_ROWS : 0, n_blocks,
							row_scale + g * BN_TILE_ROWS, x + 2 * (size_t) (t0 + t) * stride, stride,
							x_scale + t0 + t, surplus + t, used[t / TILE_TOKENS], n - t,
							rows - g * BN_TILE_ROWS);
	}
}

#endif							/* BN_X86_VNNI_H */
