/*-------------------------------------------------------------------------
 *
 * x86_vnni_ternary.h
 *	  Ternary matrices with AVX-512 and VNNI, in either layout of kernels.h.
 *
 * The weights' codes 0 .. 2 are the unsigned operand of vpdpbusd, so a sum of
 * products comes out too large by the sum of the activations, which bn_quant
 * has.
 *
 * Included once for each layout, with
 *	TERNARY(name)	the name of a function for it
 *	QUADS			how many times four columns a tile has, 4 or 5
 *	expand_tile		of a tile, a "planes"
 *
 * kernels/x86_vnni_ternary.h
 *
 *-------------------------------------------------------------------------
 */

#define BLOCK_COLS (4 * QUADS)

/* The next tile of a group, after which others are asked for */
static INLINE planes
TERNARY(load)(const uint8_t *w, const int ahead)
{
	ask_for_weights(w, ahead);
	return expand_tile(_mm512_loadu_si512(w));
}

/*
 * One token, n_groups groups that are step groups apart, each a stream of its
 * own.  The codes need not even be shifted into place: with the mask alone they
 * count 1, 4, 16 or 64 fold, still as an unsigned byte, and so does the sum of
 * each place.  (At most 2^18 per block and place: no overflow below 131072
 * columns.)
 */
#define STEP_GROUP(g) \
	do { \
		planes		p = TERNARY(load)(w + g * step_bytes + b * BN_TILE_BYTES, NEAR_BYTES); \
		s##g##0 = dot(s##g##0, _mm512_and_si512(p.four, mask0), q0); \
		s##g##1 = dot(s##g##1, _mm512_and_si512(p.four, mask1), q1); \
		s##g##2 = dot(s##g##2, _mm512_and_si512(p.four, mask2), q2); \
		s##g##3 = dot(s##g##3, _mm512_and_si512(p.four, mask3), q3); \
		if (QUADS == 5) \
			s##g##3 = dot(s##g##3, p.fifth, spread(q + b * BLOCK_COLS + 16)); \
	} while (0)
#define SUM_GROUP(g) \
	_mm512_sub_epi32(_mm512_add_epi32(_mm512_add_epi32(s##g##0, _mm512_srai_epi32(s##g##1, 2)), \
									  _mm512_add_epi32(_mm512_srai_epi32(s##g##2, 4), \
													   _mm512_srai_epi32(s##g##3, 6))), \
					 _mm512_set1_epi32(info->sum))

static INLINE void
TERNARY(single_token)(float *y, const uint8_t *w, size_t n_blocks, float w_scale,
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
		__m512i		q0 = spread(q + b * BLOCK_COLS);
		__m512i		q1 = spread(q + b * BLOCK_COLS + 4);
		__m512i		q2 = spread(q + b * BLOCK_COLS + 8);
		__m512i		q3 = spread(q + b * BLOCK_COLS + 12);

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

#define ZERO_TOKEN(t) \
	__m512i		s##t##0 = _mm512_setzero_si512(); \
	__m512i		s##t##1 = s##t##0; \
	__m512i		s##t##2 = s##t##0; \
	__m512i		s##t##3 = s##t##0
#define STEP_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		__m512i		qt = spread(q + t * ldq + b * BLOCK_COLS + 4 * j); \
		s##t##0 = dot(s##t##0, quad(p0, j), qt); \
		s##t##1 = dot(s##t##1, quad(p1, j), qt); \
		if (n_groups == 4) \
		{ \
			s##t##2 = dot(s##t##2, quad(p2, j), qt); \
			s##t##3 = dot(s##t##3, quad(p3, j), qt); \
		} \
	}
#define STEP_COLUMNS(column) \
	do { \
		const int	j = column; \
		EACH_TOKEN(STEP_TOKEN); \
	} while (0)
#define STORE_GROUP(t, g) \
	store_group(y + t * ldy + g * step_rows, \
				_mm512_sub_epi32(s##t##g, _mm512_set1_epi32(info[t].sum)), \
				info[t].scale * w_scale, n_rows - g * step_rows)
#define STORE_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		STORE_GROUP(t, 0); \
		if (step > 0) \
			STORE_GROUP(t, 1); \
		if (n_groups == 4) \
		{ \
			STORE_GROUP(t, 2); \
			STORE_GROUP(t, 3); \
		} \
	}

/*
 * n_groups groups that are step groups apart, or, with a step of 0, one; and
 * n_tokens tokens.  Codes are unpacked for each tile of tokens anew: that takes
 * instructions for which the processor has units of their own, while keeping
 * them takes loads.
 */
static INLINE void
TERNARY(tile)(float *y, size_t ldy, const uint8_t *w, int step, size_t n_blocks, float w_scale,
			  const int8_t *q, size_t ldq, const bn_quant *info, int n_rows,
			  const int n_groups, const int n_tokens)
{
	size_t		step_bytes = (size_t) step * n_blocks * BN_TILE_BYTES;
	int			step_rows = step * BN_TILE_ROWS;
	const int	ahead = n_groups == 4 ? NEAR_BYTES : FAR_BYTES;

	EACH_TOKEN(ZERO_TOKEN);
	for (size_t b = 0; b < n_blocks; b++, w += BN_TILE_BYTES)
	{
		planes		p0 = TERNARY(load)(w, ahead);
		planes		p1 = TERNARY(load)(w + step_bytes, ahead);
		planes		p2 = n_groups == 4 ? TERNARY(load)(w + 2 * step_bytes, ahead) : p1;
		planes		p3 = n_groups == 4 ? TERNARY(load)(w + 3 * step_bytes, ahead) : p1;

		STEP_COLUMNS(0);
		STEP_COLUMNS(1);
		STEP_COLUMNS(2);
		STEP_COLUMNS(3);
		if (QUADS == 5)
			STEP_COLUMNS(4);
	}
	EACH_TOKEN(STORE_TOKEN);
}

#undef ZERO_TOKEN
#undef STEP_TOKEN
#undef STEP_COLUMNS
#undef STORE_GROUP
#undef STORE_TOKEN

/* Two groups, or one, and the first TILE_TOKENS of n_tokens tokens, or all */
static void
TERNARY(two_groups)(float *y, size_t ldy, const uint8_t *w, int step, size_t n_blocks,
					float w_scale, const int8_t *q, size_t ldq, const bn_quant *info,
					int n_rows, int n_tokens)
{
#define TILE_OF(n) TERNARY(tile)(y, ldy, w, step, n_blocks, w_scale, q, ldq, info, n_rows, 2, n)
	CASE_OF_TOKENS(n_tokens, TILE_OF);
#undef TILE_OF
}

/* Four groups and 2 to 4 tokens, whose sums for two would not be enough for all units */
static void
TERNARY(four_groups)(float *y, size_t ldy, const uint8_t *w, int step, size_t n_blocks,
					 float w_scale, const int8_t *q, size_t ldq, const bn_quant *info,
					 int n_rows, int n_tokens)
{
	if (n_tokens == 2)
		TERNARY(tile)(y, ldy, w, step, n_blocks, w_scale, q, ldq, info, n_rows, 4, 2);
	else if (n_tokens == 3)
		TERNARY(tile)(y, ldy, w, step, n_blocks, w_scale, q, ldq, info, n_rows, 4, 3);
	else
		TERNARY(tile)(y, ldy, w, step, n_blocks, w_scale, q, ldq, info, n_rows, 4, 4);
}

static void
TERNARY(gemm)(float *y, size_t ldy, const uint8_t *w, int rows, int cols, float w_scale,
			  int group_begin, int group_end,
			  const int8_t *q, const bn_quant *info, int n_tokens)
{
	size_t		n_blocks = ((size_t) cols + BLOCK_COLS - 1) / BLOCK_COLS;
	size_t		group_bytes = n_blocks * BN_TILE_BYTES;
	size_t		ldq = bn_quant_stride((size_t) cols);
	int			quarter = n_tokens <= 4 ? (group_end - group_begin) / 4 : 0;
	int			g = group_begin;

	/* long streams far from each other, which hardware prefetch can follow */
	if (n_tokens == 1)
	{
		for (; g < group_begin + quarter; g++)
			TERNARY(single_token)(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks, w_scale, q,
								  info, 4, quarter, rows - g * BN_TILE_ROWS);
		for (g = group_begin + 4 * quarter; g < group_end; g++)
			TERNARY(single_token)(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks, w_scale, q,
								  info, 1, 0, rows - g * BN_TILE_ROWS);
		return;
	}
	for (; g < group_begin + quarter; g++)
		TERNARY(four_groups)(y + g * BN_TILE_ROWS, ldy, w + g * group_bytes, quarter, n_blocks,
							 w_scale, q, ldq, info, rows - g * BN_TILE_ROWS, n_tokens);
	group_begin += 4 * quarter;

	for (int t0 = 0; t0 < n_tokens; t0 += CHUNK_TOKENS)
	{
		int			n = n_tokens - t0 < CHUNK_TOKENS ? n_tokens - t0 : CHUNK_TOKENS;
		int			step = pair_step(group_begin, group_end);

		/* a pair of groups stays in the cache for all tokens of the chunk */
		for (g = group_begin; g < group_begin + step; g++)
			for (int t = t0; t < t0 + n; t += TILE_TOKENS)
				TERNARY(two_groups)(y + (size_t) t * ldy + g * BN_TILE_ROWS, ldy,
									w + g * group_bytes, g + step < group_end ? step : 0, n_blocks,
									w_scale, q + (size_t) t * ldq, ldq, info + t,
									rows - g * BN_TILE_ROWS, t0 + n - t);
	}
}

#undef BLOCK_COLS
#undef TERNARY
#undef QUADS
#undef expand_tile
