/*-------------------------------------------------------------------------
 *
 * matmul.c
 *	  Matrix products: a bfloat16 kernel of our own, or BLAS.
 *
 * The kernels make tiles of 8 x 32 sums.  vdpbf16ps multiplies two pairs per
 * lane, so operands are laid out with the two neighbours of the summed
 * dimension side by side: "panels" [columns / 32][sum / 2][32][2].  Ternary
 * weights are held as bytes code + 1 for vpdpbusd, which multiplies four pairs
 * per lane, in panels [columns / 32][sum / 4][32][4]; the sum of the other
 * operand is subtracted in the end.  There gradients become int8 as well, with
 * one scale for each row, or for each column where rows are summed: an error of
 * about one percent that has no direction.
 *
 * models/train/matmul.c
 *
 *-------------------------------------------------------------------------
 */
#include "matmul.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef MM_BF16
#include <immintrin.h>
#else
#include "blas.h"
#endif

void *
mm_alloc(size_t bytes)
{
	size_t		rounded = (bytes + 4095) & ~(size_t) 4095;
	void	   *p = aligned_alloc(4096, rounded ? rounded : 4096);

	if (p == NULL)
	{
		fprintf(stderr, "trainer: out of memory (%zu bytes)\n", bytes);
		exit(1);
	}
	memset(p, 0, rounded);
	return p;
}

#ifdef MM_BF16

#define TILE_M 8
#define TILE_N 32

/*
 * Sums and products of neighbours, here and in dot_fours().  gcc 12 takes the intrinsics for instructions
 * with three operands, and copies most sums back and forth: that takes twice the time.
 */
static inline __attribute__((always_inline)) __m512
dot_pairs(__m512 sum, __m512i a, __m512i b)
{
	__asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
	return sum;
}

/*
 * c[8][32] (+)= a * b over "pairs" pairs.  Pair p of row m of a is at
 * a[m * a_row + p * a_pair]; b is one panel.
 */
static inline __attribute__((always_inline)) void
tile(float *c, size_t ldc, const uint32_t *a, size_t a_row, size_t a_pair, const mm_t *b, int pairs, int add)
{
	const __m512i *panel = (const __m512i *) b;
	__m512		sum[TILE_M][2];

	for (int m = 0; m < TILE_M; m++)
		sum[m][0] = sum[m][1] = _mm512_setzero_ps();
	for (int p = 0; p < pairs; p++)
	{
		__m512i		b0 = _mm512_load_si512(panel + 2 * p);
		__m512i		b1 = _mm512_load_si512(panel + 2 * p + 1);

#pragma GCC unroll 8
		for (int m = 0; m < TILE_M; m++)
		{
			__m512i		v = _mm512_set1_epi32((int) a[m * a_row + p * a_pair]);

			sum[m][0] = dot_pairs(sum[m][0], v, b0);
			sum[m][1] = dot_pairs(sum[m][1], v, b1);
		}
	}
	for (int m = 0; m < TILE_M; m++)
		for (int half = 0; half < 2; half++)
		{
			float	   *to = c + m * ldc + half * 16;

			if (add)
				sum[m][half] = _mm512_add_ps(sum[m][half], _mm512_loadu_ps(to));
			_mm512_storeu_ps(to, sum[m][half]);
		}
}

#define BLOCK_ROWS 256			/* rows against all panels at a time, for the caches */

/* y[rows][columns] = a[rows][sum] * panels */
static void
rows_by_panels(float *y, const mm_t *a, const mm_t *panels, int rows, int columns, int sum)
{
	for (int first = 0; first < rows; first += BLOCK_ROWS)
	{
		int			last = first + BLOCK_ROWS < rows ? first + BLOCK_ROWS : rows;

		for (int n = 0; n < columns; n += TILE_N)
			for (int t = first; t < last; t += TILE_M)
				tile(y + (size_t) t * columns + n, columns, (const uint32_t *) (a + (size_t) t * sum), sum / 2, 1,
					 panels + (size_t) n * sum, sum / 2, 0);
	}
}

/* From rows x[sum][columns] to panels of "width" columns, 8 or 32. */
static void
make_panels(mm_t *restrict to, const mm_t *restrict x, int sum, int columns, int width)
{
	for (int p = 0; p < sum / 2; p++)
	{
		const mm_t *even = x + (size_t) (2 * p) * columns;
		const mm_t *odd = even + columns;

		for (int n = 0; n < columns; n += width)
		{
			mm_t	   *dst = to + (size_t) n * sum + (size_t) p * width * 2;

			for (int i = 0; i < width; i += 8)
			{
				__m128i		e = _mm_loadu_si128((const __m128i *) (even + n + i));
				__m128i		o = _mm_loadu_si128((const __m128i *) (odd + n + i));

				_mm_store_si128((__m128i *) (dst + 2 * i), _mm_unpacklo_epi16(e, o));
				_mm_store_si128((__m128i *) (dst + 2 * i + 8), _mm_unpackhi_epi16(e, o));
			}
		}
	}
}

#ifdef __AVX512VNNI__

#define MAX_TERNARY 4096		/* longest sum over ternary weights */

static inline __attribute__((always_inline)) __m512i
dot_fours(__m512i sum, __m512i bytes, __m512i integers)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(integers));
	return sum;
}

/*
 * sum[8][2 * 16] += a * b over "fours" groups of four.  Group p of row m of a is at
 * a[m * a_row + p * a_four]; b is one panel, which has the unsigned bytes, or a has.
 */
static inline __attribute__((always_inline)) void
add_fours(__m512i sum[TILE_M][2], const uint32_t *a, size_t a_row, size_t a_four, const uint8_t *b, int fours,
		  const bool b_unsigned)
{
	const __m512i *panel = (const __m512i *) b;

	for (int p = 0; p < fours; p++)
	{
		__m512i		b0 = _mm512_load_si512(panel + 2 * p);
		__m512i		b1 = _mm512_load_si512(panel + 2 * p + 1);

#pragma GCC unroll 8
		for (int m = 0; m < TILE_M; m++)
		{
			__m512i		v = _mm512_set1_epi32((int) a[m * a_row + p * a_four]);

			sum[m][0] = b_unsigned ? dot_fours(sum[m][0], b0, v) : dot_fours(sum[m][0], v, b0);
			sum[m][1] = b_unsigned ? dot_fours(sum[m][1], b1, v) : dot_fours(sum[m][1], v, b1);
		}
	}
}

/* c[8][32] = factor[row] * (a * b - sum[row]) over "fours" groups of four; a has rows of a_row groups */
static inline __attribute__((always_inline)) void
ternary_tile(float *c, size_t ldc, const uint32_t *a, size_t a_row, const uint8_t *b, int fours,
			 const int32_t *sum, const float *factor)
{
	__m512i		dot[TILE_M][2];

	for (int m = 0; m < TILE_M; m++)
		dot[m][0] = dot[m][1] = _mm512_set1_epi32(-sum[m]);
	add_fours(dot, a, a_row, 1, b, fours, true);
	for (int m = 0; m < TILE_M; m++)
		for (int half = 0; half < 2; half++)
			_mm512_storeu_ps(c + m * ldc + half * 16,
							 _mm512_mul_ps(_mm512_cvtepi32_ps(dot[m][half]), _mm512_set1_ps(factor[m])));
}

static inline __m512
load_bf16(const mm_t *x)
{
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *) x)), 16));
}

/* One row as int8; "integers" are taken as they are.  Returns what a step is worth. */
static float
row_to_int8(const mm_t *x, int n, bool integers, int8_t *q, int32_t *sum)
{
	__m512i		total = _mm512_setzero_si512();
	float		step = 1;

	if (!integers)
	{
		__m512		max = _mm512_setzero_ps();

		for (int i = 0; i < n; i += 16)
			max = _mm512_max_ps(max, _mm512_abs_ps(load_bf16(x + i)));
		step = _mm512_reduce_max_ps(max) / 127;
		if (!(step > 0))
			step = 1;
	}
	for (int i = 0; i < n; i += 16)
	{
		__m512i		v = _mm512_cvtps_epi32(_mm512_mul_ps(load_bf16(x + i), _mm512_set1_ps(1 / step)));

		total = _mm512_add_epi32(total, v);
		_mm_storeu_si128((__m128i *) (q + i), _mm512_cvtsepi32_epi8(v));
	}
	*sum = _mm512_reduce_add_epi32(total);
	return step;
}

static void
rows_by_ternary(float *y, const mm_t *a, const uint8_t *panels, int rows, int columns, int sum, bool integers)
{
	int8_t		q[BLOCK_ROWS * MAX_TERNARY] __attribute__((aligned(64)));
	int32_t		total[BLOCK_ROWS];
	float		factor[BLOCK_ROWS];

	for (int first = 0; first < rows; first += BLOCK_ROWS)
	{
		int			n = rows - first < BLOCK_ROWS ? rows - first : BLOCK_ROWS;

		for (int t = 0; t < n; t++)
			factor[t] = row_to_int8(a + (size_t) (first + t) * sum, sum, integers, q + (size_t) t * sum, &total[t]);
		for (int k = 0; k < columns; k += TILE_N)
			for (int t = 0; t < n; t += TILE_M)
				ternary_tile(y + (size_t) (first + t) * columns + k, columns, (const uint32_t *) (q + (size_t) t * sum),
							 sum / 4, panels + (size_t) k * sum, sum / 4, total + t, factor + t);
	}
}

#define GRAD_SIZE 126.5f		/* largest value of a gradient; rounding adds up to a half */

/* What makes the largest of each of 32 columns x[sum][columns] GRAD_SIZE */
static void
column_factors(float *factor, const mm_t *x, int sum, int columns)
{
	__m512		max = _mm512_set1_ps(1e-30f);
	__m512		more = max;

	for (int t = 0; t < sum; t++)
	{
		max = _mm512_max_ps(max, _mm512_abs_ps(load_bf16(x + (size_t) t * columns)));
		more = _mm512_max_ps(more, _mm512_abs_ps(load_bf16(x + (size_t) t * columns + 16)));
	}
	_mm512_storeu_ps(factor, _mm512_div_ps(_mm512_set1_ps(GRAD_SIZE), max));
	_mm512_storeu_ps(factor + 16, _mm512_div_ps(_mm512_set1_ps(GRAD_SIZE), more));
}

/* Numbers from -1/2 to 1/2 */
static inline __m512
next_dither(__m512i *state)
{
	*state = _mm512_add_epi32(_mm512_mullo_epi32(*state, _mm512_set1_epi32(1664525)), _mm512_set1_epi32(1013904223));
	return _mm512_mul_ps(_mm512_cvtepi32_ps(*state), _mm512_set1_ps(0x1p-32f));
}

/*
 * From rows x[sum][columns] to panels of "width" columns, 8 or 32, of bytes.
 * Without factors they are integers.  With them values are rounded up or down by
 * chance, so that the small ones of a column are not lost, and stored as
 * value + 128.
 */
static void
make_byte_panels(uint8_t *restrict to, const mm_t *restrict x, int sum, int columns, int width, const float *factor)
{
	static _Thread_local uint32_t calls;
	__m512i		state = _mm512_setr_epi32(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
	__m512i		byte = _mm512_set1_epi32(255);

	state = _mm512_mullo_epi32(_mm512_add_epi32(state, _mm512_set1_epi32(16 * (int) calls++)), _mm512_set1_epi32(0x9e3779b1));
	for (int p = 0; p < sum / 4; p++)
		for (int n = 0; n < columns; n += 16)
		{
			__m512i		four = _mm512_setzero_si512();
			uint8_t    *dst = to + (size_t) (n / width * width) * sum + ((size_t) p * width + n % width) * 4;

			for (int k = 3; k >= 0; k--)
			{
				__m512		v = load_bf16(x + (size_t) (4 * p + k) * columns + n);

				if (factor)
					v = _mm512_fmadd_ps(v, _mm512_loadu_ps(factor + n), next_dither(&state));
				four = _mm512_or_si512(_mm512_slli_epi32(four, 8), _mm512_and_si512(_mm512_cvtps_epi32(v), byte));
			}
			if (factor)
				four = _mm512_xor_si512(four, _mm512_set1_epi8((char) 0x80));
			if (width == 32)
				_mm512_store_si512(dst, four);
			else
			{
				_mm256_store_si256((__m256i *) dst, _mm512_castsi512_si256(four));
				_mm256_store_si256((__m256i *) (dst + (size_t) width * sum), _mm512_extracti64x4_epi64(four, 1));
			}
		}
}

/* c[8][32] += step[row] * (a * b + start) over "fours" groups of four of one panel each */
static inline __attribute__((always_inline)) void
byte_tile(float *c, size_t ldc, const uint32_t *a, const uint8_t *b, int fours, const __m512i *start, const float *step)
{
	__m512i		sum[TILE_M][2];

	for (int m = 0; m < TILE_M; m++)
		for (int half = 0; half < 2; half++)
			sum[m][half] = start[half];
	add_fours(sum, a, 1, TILE_M, b, fours, false);
	for (int m = 0; m < TILE_M; m++)
		for (int half = 0; half < 2; half++)
		{
			float	   *to = c + m * ldc + half * 16;

			_mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[m][half]), _mm512_set1_ps(step[m]),
												 _mm512_loadu_ps(to)));
		}
}

/* -128 times the sum of each column of a panel, for the 128 in the other operand */
static void
byte_start(__m512i start[2], const uint8_t *panel, int fours)
{
	for (int half = 0; half < 2; half++)
	{
		start[half] = _mm512_setzero_si512();
		for (int p = 0; p < fours; p++)
			start[half] = dot_fours(start[half], _mm512_set1_epi8((char) 128),
									_mm512_load_si512((const __m512i *) panel + 2 * p + half));
		start[half] = _mm512_sub_epi32(_mm512_setzero_si512(), start[half]);
	}
}

/* mm_weight_grad() of at most GRAD_ROWS rows of integers x */
static void
weight_grad_bytes(real *dw, const mm_t *dy, const mm_t *x, int rows, int out, int in, uint8_t *scratch)
{
	float		factor[MAX_TERNARY];
	float		step[MAX_TERNARY];	/* what 1 is worth */
	uint8_t    *a = scratch;
	uint8_t    *b = scratch + (size_t) rows * out;

	for (int m = 0; m < out; m += TILE_N)
		column_factors(factor + m, dy + m, rows, out);
	for (int m = 0; m < out; m++)
		step[m] = 1 / factor[m];
	make_byte_panels(a, dy, rows, out, TILE_M, factor);
	make_byte_panels(b, x, rows, in, TILE_N, NULL);
	for (int k = 0; k < in; k += TILE_N)
	{
		__m512i		start[2];

		byte_start(start, b + (size_t) k * rows, rows / 4);
		for (int m = 0; m < out; m += TILE_M)
			byte_tile(dw + (size_t) m * in + k, in, (const uint32_t *) (a + (size_t) m * rows), b + (size_t) k * rows,
					  rows / 4, start, step + m);
	}
}

static void
set_ternary(mm_weight *w, const real *values, int first, int last)
{
	uint8_t    *forward = (uint8_t *) w->forward;
	uint8_t    *backward = (uint8_t *) w->backward;
	size_t		in = w->in;

	for (size_t n = first; n < (size_t) last; n++)
		for (size_t k = 0; k < in; k++)
		{
			uint8_t		code = (uint8_t) ((int) values[n * in + k] + 1);

			forward[n / TILE_N * TILE_N * in + k / 4 * 4 * TILE_N + n % TILE_N * 4 + k % 4] = code;
			backward[k / TILE_N * TILE_N * w->out + n / 4 * 4 * TILE_N + k % TILE_N * 4 + n % 4] = code;
		}
}

#endif

void
mm_weight_init(mm_weight *w, int out, int in)
{
	w->out = out;
	w->in = in;
	w->forward = mm_alloc(sizeof(mm_t) * (size_t) out * in);
	w->backward = mm_alloc(sizeof(mm_t) * (size_t) out * in);
}

void
mm_weight_set(mm_weight *w, const real *values, int first, int last, bool ternary)
{
	size_t		in = w->in;

	w->ternary = false;
#ifdef __AVX512VNNI__
	w->ternary = ternary && w->in <= MAX_TERNARY && w->out <= MAX_TERNARY;
	if (w->ternary)
	{
		set_ternary(w, values, first, last);
		return;
	}
#endif
	/* Forward sums over in: panels of 32 outputs. */
	for (int n = first; n < last; n += TILE_N)
		for (size_t k = 0; k < in; k += 2)
		{
			mm_t	   *dst = w->forward + n * in + k * TILE_N;

			for (int i = 0; i < TILE_N; i++)
			{
				dst[2 * i] = mm_put(values[(n + i) * in + k]);
				dst[2 * i + 1] = mm_put(values[(n + i) * in + k + 1]);
			}
		}
	/* Backward sums over out: panels of 32 inputs. */
	for (int n = first; n < last; n += 2)
		for (size_t k = 0; k < in; k += TILE_N)
		{
			mm_t	   *dst = w->backward + k * w->out + (size_t) n * TILE_N;

			for (int i = 0; i < TILE_N; i++)
			{
				dst[2 * i] = mm_put(values[n * in + k + i]);
				dst[2 * i + 1] = mm_put(values[(n + 1) * in + k + i]);
			}
		}
}

void
mm_forward(real *y, const mm_t *x, const mm_weight *w, int rows)
{
#ifdef __AVX512VNNI__
	if (w->ternary)
	{
		rows_by_ternary(y, x, (const uint8_t *) w->forward, rows, w->out, w->in, true);
		return;
	}
#endif
	rows_by_panels(y, x, w->forward, rows, w->out, w->in);
}

void
mm_input_grad(real *dx, const mm_t *dy, const mm_weight *w, int rows)
{
#ifdef __AVX512VNNI__
	if (w->ternary)
	{
		rows_by_ternary(dx, dy, (const uint8_t *) w->backward, rows, w->in, w->out, false);
		return;
	}
#endif
	rows_by_panels(dx, dy, w->backward, rows, w->in, w->out);
}

#define GRAD_ROWS 192			/* rows summed at a time, for the caches; panels a power of two apart collide in them */

size_t
mm_scratch_size(int rows, int out, int in)
{
	int			n = rows < GRAD_ROWS ? rows : GRAD_ROWS;

	return (size_t) n * (out + in);
}

void
mm_weight_grad(real *dw, const mm_t *dy, const mm_t *x, int rows, int out, int in, mm_t *scratch, bool integers)
{
	for (int first = 0; first < rows; first += GRAD_ROWS)
	{
		int			n = rows - first < GRAD_ROWS ? rows - first : GRAD_ROWS;
		mm_t	   *a = scratch;
		mm_t	   *b = scratch + (size_t) n * out;

#ifdef __AVX512VNNI__
		if (integers && out <= MAX_TERNARY)
		{
			weight_grad_bytes(dw, dy + (size_t) first * out, x + (size_t) first * in, n, out, in, (uint8_t *) scratch);
			continue;
		}
#endif
		make_panels(a, dy + (size_t) first * out, n, out, TILE_M);
		make_panels(b, x + (size_t) first * in, n, in, TILE_N);
		for (int k = 0; k < in; k += TILE_N)
			for (int m = 0; m < out; m += TILE_M)
				tile(dw + (size_t) m * in + k, in, (const uint32_t *) (a + (size_t) m * n), 1, TILE_M,
					 b + (size_t) k * n, n / 2, 1);
	}
}

#else							/* BLAS */

void
mm_weight_init(mm_weight *w, int out, int in)
{
	w->out = out;
	w->in = in;
	w->forward = mm_alloc(sizeof(mm_t) * (size_t) out * in);
	w->backward = w->forward;
}

void
mm_weight_set(mm_weight *w, const real *values, int first, int last, bool ternary)
{
	size_t		in = w->in;

	memcpy(w->forward + first * in, values + first * in, sizeof(real) * (last - first) * in);
}

void
mm_forward(real *y, const mm_t *x, const mm_weight *w, int rows)
{
	blas_gemm(PLAIN, TRANSPOSED, rows, w->out, w->in, 1, x, w->in, w->forward, w->in, 0, y, w->out);
}

void
mm_input_grad(real *dx, const mm_t *dy, const mm_weight *w, int rows)
{
	blas_gemm(PLAIN, PLAIN, rows, w->in, w->out, 1, dy, w->out, w->forward, w->in, 0, dx, w->in);
}

size_t
mm_scratch_size(int rows, int out, int in)
{
	return 1;
}

void
mm_weight_grad(real *dw, const mm_t *dy, const mm_t *x, int rows, int out, int in, mm_t *scratch, bool integers)
{
	blas_gemm(TRANSPOSED, PLAIN, out, in, rows, 1, dy, out, x, in, 1, dw, in);
}

#endif
