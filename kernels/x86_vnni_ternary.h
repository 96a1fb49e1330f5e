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

/*
 * One token, n_groups groups that are step groups apart, each a stream of its
 * own.  The codes need not even be shifted into place: with the mask alone they
 * count 1, 4, 16 or 64 fold, still as an unsigned byte, and so does the sum of
 * each place.  (At most 2^18 per block and place: no overflow below 131072
 * columns.)
 */
#define STEP_GROUP(g) \
	do { \
		planes		p = expand_tile(_mm512_loadu_si512(w + g * step_bytes + b * BN_TILE_BYTES)); \
		_mm_prefetch((const char *) w + g * step_bytes + b * BN_TILE_BYTES + PREFETCH_BYTES, \
					 _MM_HINT_T1); \
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

/* Unpacks a part of two groups: [n_blocks][QUADS][PAIR] registers. */
static INLINE void
TERNARY(unpack_pair)(__m512i *out, const uint8_t *w0, const uint8_t *w1, size_t n_blocks)
{
	for (size_t b = 0; b < n_blocks; b++)
	{
		planes		p0 = expand_tile(_mm512_loadu_si512(w0 + b * BN_TILE_BYTES));
		planes		p1 = expand_tile(_mm512_loadu_si512(w1 + b * BN_TILE_BYTES));

		for (int j = 0; j < QUADS; j++)
		{
			*out++ = quad(p0, j);
			*out++ = quad(p1, j);
		}
	}
}

/*
 * Where the codes of a tile come from: from unpack_pair, or, if there are only
 * a few tokens, straight from the weights.
 */
typedef struct TERNARY(source)
{
	const __m512i *unpacked;	/* or NULL */
	const uint8_t *w0;
	const uint8_t *w1;
} TERNARY(source);

#define STEP_TOKEN(t) \
	if (n_tokens > t) \
	{ \
		__m512i		qt = spread(q + t * ldq + b * BLOCK_COLS + 4 * j); \
		s##t##0 = dot(s##t##0, c0, qt); \
		s##t##1 = dot(s##t##1, c1, qt); \
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
		__m512i		c0 = unpacked ? from.unpacked[(b * QUADS + j) * PAIR] : quad(p0, j); \
		__m512i		c1 = unpacked ? from.unpacked[(b * QUADS + j) * PAIR + 1] : quad(p1, j); \
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
TERNARY(pair_tile)(int32_t *sums, TERNARY(source) from, size_t n_blocks,
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
		planes		p0 = {zero, zero};
		planes		p1 = {zero, zero};

		if (!unpacked)
		{
			p0 = expand_tile(_mm512_loadu_si512(from.w0 + b * BN_TILE_BYTES));
			p1 = expand_tile(_mm512_loadu_si512(from.w1 + b * BN_TILE_BYTES));
			_mm_prefetch((const char *) from.w0 + b * BN_TILE_BYTES + PREFETCH_BYTES, _MM_HINT_T1);
			_mm_prefetch((const char *) from.w1 + b * BN_TILE_BYTES + PREFETCH_BYTES, _MM_HINT_T1);
		}
		STEP_COLUMNS(0);
		STEP_COLUMNS(1);
		STEP_COLUMNS(2);
		STEP_COLUMNS(3);
		if (QUADS == 5)
			STEP_COLUMNS(4);
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
TERNARY(pair_tokens)(int32_t *sums, TERNARY(source) from, size_t n_blocks,
			const int8_t *q, size_t ldq, int n_tokens, const bool unpacked)
{
	switch (n_tokens)
	{
		case 1:
			TERNARY(pair_tile)(sums, from, n_blocks, q, ldq, 1, unpacked);
			break;
		case 2:
			TERNARY(pair_tile)(sums, from, n_blocks, q, ldq, 2, unpacked);
			break;
		case 3:
			TERNARY(pair_tile)(sums, from, n_blocks, q, ldq, 3, unpacked);
			break;
		case 4:
			TERNARY(pair_tile)(sums, from, n_blocks, q, ldq, 4, unpacked);
			break;
		case 5:
			TERNARY(pair_tile)(sums, from, n_blocks, q, ldq, 5, unpacked);
			break;
		case 6:
			TERNARY(pair_tile)(sums, from, n_blocks, q, ldq, 6, unpacked);
			break;
		case 7:
			TERNARY(pair_tile)(sums, from, n_blocks, q, ldq, 7, unpacked);
			break;
		default:
			TERNARY(pair_tile)(sums, from, n_blocks, q, ldq, TILE_TOKENS, unpacked);
			break;
	}
}

static void
TERNARY(few_tokens)(int32_t *sums, const uint8_t *w0, const uint8_t *w1, size_t n_blocks,
		   const int8_t *q, size_t ldq, int n_tokens)
{
	TERNARY(source) from = {NULL, w0, w1};

	TERNARY(pair_tokens)(sums, from, n_blocks, q, ldq, n_tokens, false);
}

static void
TERNARY(many_tokens)(int32_t *sums, const uint8_t *w0, const uint8_t *w1, size_t n_blocks,
			const int8_t *q, size_t ldq, int n_tokens)
{
	__m512i		unpacked[PART_BLOCKS * QUADS * PAIR];
	TERNARY(source) from = {unpacked, NULL, NULL};

	for (size_t b = 0; b < n_blocks; b += PART_BLOCKS)
	{
		size_t		n = n_blocks - b < PART_BLOCKS ? n_blocks - b : PART_BLOCKS;

		TERNARY(unpack_pair)(unpacked, w0 + b * BN_TILE_BYTES, w1 + b * BN_TILE_BYTES, n);
		for (int t = 0; t < n_tokens; t += TILE_TOKENS)
			TERNARY(pair_tokens)(sums + t * PAIR_ROWS, from, n, q + t * ldq + b * BLOCK_COLS, ldq,
						n_tokens - t < TILE_TOKENS ? n_tokens - t : TILE_TOKENS, true);
	}
}

static void
TERNARY(gemm)(float *y, size_t ldy, const uint8_t *w, int rows, int cols, float w_scale,
			 int group_begin, int group_end,
			 const int8_t *q, const bn_quant *info, int n_tokens)
{
	size_t		n_blocks = ((size_t) cols + BLOCK_COLS - 1) / BLOCK_COLS;
	size_t		group_bytes = n_blocks * BN_TILE_BYTES;
	size_t		ldq = bn_quant_stride((size_t) cols);

	if (n_tokens == 1)
	{
		/* long streams far from each other, which hardware prefetch can follow */
		int			step = (group_end - group_begin) / 4;
		int			g = group_begin;

		for (; g < group_begin + step; g++)
			TERNARY(single_token)(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks, w_scale, q, info,
						 4, step, rows - g * BN_TILE_ROWS);
		for (g = group_begin + 4 * step; g < group_end; g++)
			TERNARY(single_token)(y + g * BN_TILE_ROWS, w + g * group_bytes, n_blocks, w_scale, q, info,
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
					TERNARY(few_tokens)(sums + t * PAIR_ROWS, w0, w1, n_blocks, q + (t0 + t) * ldq, ldq,
							   n - t < TILE_TOKENS ? n - t : TILE_TOKENS);
			else
				TERNARY(many_tokens)(sums, w0, w1, n_blocks, q + t0 * ldq, ldq, n);

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

#undef BLOCK_COLS
#undef TERNARY
#undef QUADS
#undef expand_tile
