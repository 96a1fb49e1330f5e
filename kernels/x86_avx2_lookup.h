/*-------------------------------------------------------------------------
 *
 * x86_avx2_lookup.h
 *	  Ternary matrices with AVX2 and many tokens: sums that are looked up.
 *
 * A byte of a tile holds four weights of a row, so there are 81 sums that it can
 * make of four activations.  For 16 tokens at a time all 81 are computed, one
 * register each; then every byte costs one load and one addition, which do as
 * much as 64 multiplications.  Known as the method of four Russians (Arlazarov,
 * Dinic, Kronrod, Faradzev 1970).
 *
 * The tables of one block of columns, four of them, are used for LOOKUP_GROUPS
 * groups, whose int16 sums wait in the cache for the next block.
 *
 * Included by x86_avx2.c.
 *
 * kernels/x86_avx2_lookup.h
 *
 *-------------------------------------------------------------------------
 */

#define LOOKUP_TOKENS 16
#define LOOKUP_GROUPS 40		/* which take some 80 kB of a stack */
#define LOOKUP_LEAST_TOKENS 10	/* fewer, or fewer groups, are multiplied as fast */
#define LOOKUP_LEAST_GROUPS 6

/* Blocks whose sums fit into int16: a byte adds 4 * 128 at most. */
#define LOOKUP_BLOCKS 15

/* The sums of a byte are at its number; the last is that of four codes 2. */
#define LOOKUP_BYTES 171

typedef struct lookup
{
	__m256i		table[4][LOOKUP_BYTES]; /* for byte 4 r + i of a tile: [i] */
	__m256i		sums[LOOKUP_GROUPS * BN_TILE_ROWS];
	i16			totals[LOOKUP_GROUPS * BN_TILE_ROWS];
} lookup;

/* The BN_TILE_COLS columns of a block, each the values of 16 tokens */
static INLINE void
load_columns(__m256i columns[BN_TILE_COLS], const int8_t *q, size_t ldq, int n_tokens)
{
	__m128i		rows[LOOKUP_TOKENS];

	for (int t = 0; t < LOOKUP_TOKENS; t++)
		rows[t] = t < n_tokens ? _mm_loadu_si128((const __m128i *) (q + t * ldq)) :
			_mm_setzero_si128();
	/* to mix the first half with the second, four times, transposes */
	for (int round = 0; round < 4; round++)
	{
		__m128i		mixed[LOOKUP_TOKENS];

		for (int i = 0; i < LOOKUP_TOKENS / 2; i++)
		{
			mixed[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + LOOKUP_TOKENS / 2]);
			mixed[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + LOOKUP_TOKENS / 2]);
		}
		memcpy(rows, mixed, sizeof(rows));
	}
	for (int c = 0; c < BN_TILE_COLS; c++)
		columns[c] = _mm256_cvtepi8_epi16(rows[c]);
}

/* All sums of four columns with weights -1, 0 and 1 */
static INLINE void
fill_table(__m256i table[LOOKUP_BYTES], __m256i c0, __m256i c1, __m256i c2, __m256i c3)
{
	__m256i		s3 = _mm256_sub_epi16(_mm256_setzero_si256(),
									  _mm256_add_epi16(_mm256_add_epi16(c0, c1),
													   _mm256_add_epi16(c2, c3)));

	for (int i3 = 0; i3 < 3; i3++, s3 = _mm256_add_epi16(s3, c3))
	{
		__m256i		s2 = s3;

		for (int i2 = 0; i2 < 3; i2++, s2 = _mm256_add_epi16(s2, c2))
		{
			__m256i		s1 = s2;

			for (int i1 = 0; i1 < 3; i1++, s1 = _mm256_add_epi16(s1, c1))
			{
				__m256i	   *p = table + (i1 << 2 | i2 << 4 | i3 << 6);

				p[0] = s1;
				p[1] = _mm256_add_epi16(p[0], c0);
				p[2] = _mm256_add_epi16(p[1], c0);
			}
		}
	}
}

/* The sums of byte i of the four */
static INLINE __m256i
sums_of(const lookup *l, uint32_t bytes, const int i)
{
	/* the place of a register, without another instruction to multiply by its size */
	uint32_t	offset = (i == 0 ? bytes << 5 : bytes >> (8 * i - 5)) & 255 << 5;

	return *(const __m256i *) ((const char *) l->table[i] + offset);
}

/* Row r of a tile */
static INLINE void
add_row(lookup *l, __m256i *sums, const uint8_t *w, int r)
{
	uint32_t	bytes;
	__m256i		even;
	__m256i		odd;

	memcpy(&bytes, w + 4 * r, sizeof(bytes));
	even = _mm256_add_epi16(sums_of(l, bytes, 0), sums_of(l, bytes, 2));
	odd = _mm256_add_epi16(sums_of(l, bytes, 1), sums_of(l, bytes, 3));
	sums[r] = _mm256_add_epi16(sums[r], _mm256_add_epi16(even, odd));
}

/* Adds one tile of each group. */
static INLINE void
add_tiles(lookup *l, const uint8_t *w, size_t group_bytes, int n_groups)
{
	__m256i    *sums = l->sums;

	for (int g = 0; g < n_groups; g++, w += group_bytes, sums += BN_TILE_ROWS)
	{
		_mm_prefetch((const char *) w + 2 * BN_TILE_BYTES, _MM_HINT_T0);
		for (int r = 0; r < BN_TILE_ROWS; r += 4)
		{
			add_row(l, sums, w, r);
			add_row(l, sums, w, r + 1);
			add_row(l, sums, w, r + 2);
			add_row(l, sums, w, r + 3);
		}
	}
}

static INLINE void
widen_sums(lookup *l, int n_groups)
{
	for (int r = 0; r < n_groups * BN_TILE_ROWS; r++)
	{
		__m256i		s = l->sums[r];

		l->totals[r].lo = _mm256_add_epi32(l->totals[r].lo,
										   _mm256_cvtepi16_epi32(_mm256_castsi256_si128(s)));
		l->totals[r].hi = _mm256_add_epi32(l->totals[r].hi,
										   _mm256_cvtepi16_epi32(_mm256_extracti128_si256(s, 1)));
		l->sums[r] = _mm256_setzero_si256();
	}
}

/* At most LOOKUP_GROUPS groups from the first of w on, at most LOOKUP_TOKENS tokens */
static void
lookup_groups(lookup *l, float *y, size_t ldy, const uint8_t *w, int n_groups, int n_rows,
			  size_t n_blocks, float w_scale,
			  const int8_t *q, size_t ldq, const bn_quant *info, int n_tokens)
{
	const int32_t *totals = (const int32_t *) l->totals;

	memset(l->sums, 0, sizeof(l->sums[0]) * BN_TILE_ROWS * (size_t) n_groups);
	memset(l->totals, 0, sizeof(l->totals[0]) * BN_TILE_ROWS * (size_t) n_groups);
	for (size_t b = 0; b < n_blocks; b++)
	{
		__m256i		c[BN_TILE_COLS];

		load_columns(c, q + b * BN_TILE_COLS, ldq, n_tokens);
		for (int i = 0; i < 4; i++)
			fill_table(l->table[i], c[i], c[4 + i], c[8 + i], c[12 + i]);
		add_tiles(l, w + b * BN_TILE_BYTES, n_blocks * BN_TILE_BYTES, n_groups);
		if (b % LOOKUP_BLOCKS == LOOKUP_BLOCKS - 1 || b == n_blocks - 1)
			widen_sums(l, n_groups);
	}
	for (int t = 0; t < n_tokens; t++)
		for (int r = 0; r < n_rows; r++)
			y[t * ldy + r] = (float) totals[r * LOOKUP_TOKENS + t] * (info[t].scale * w_scale);
}

static void
lookup_gemm(float *y, size_t ldy, const uint8_t *w, int rows, size_t n_blocks, float w_scale,
			int group_begin, int group_end,
			const int8_t *q, size_t ldq, const bn_quant *info, int n_tokens)
{
	lookup		l;

	for (int g = group_begin; g < group_end; g += LOOKUP_GROUPS)
	{
		int			n_groups = group_end - g < LOOKUP_GROUPS ? group_end - g : LOOKUP_GROUPS;
		int			n_rows = rows - g * BN_TILE_ROWS;

		if (n_rows > n_groups * BN_TILE_ROWS)
			n_rows = n_groups * BN_TILE_ROWS;
		for (int t = 0; t < n_tokens; t += LOOKUP_TOKENS)
			lookup_groups(&l, y + t * ldy + g * BN_TILE_ROWS, ldy,
						  w + (size_t) g * n_blocks * BN_TILE_BYTES, n_groups, n_rows, n_blocks,
						  w_scale, q + t * ldq, ldq, info + t,
						  n_tokens - t < LOOKUP_TOKENS ? n_tokens - t : LOOKUP_TOKENS);
	}
}
