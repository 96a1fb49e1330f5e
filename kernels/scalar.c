/*-------------------------------------------------------------------------
 *
 * scalar.c
 *	  The definition of every kernel, one element at a time.
 *
 * This file is meant to be read.  It follows the comments of kernels.h to the
 * letter and trades all speed for that; the other tables are tested against
 * it, bit for bit.
 *
 * kernels/scalar.c
 *
 *-------------------------------------------------------------------------
 */
#include "exp.h"
#include "tables.h"

#include <math.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#define LANES 16

static bool
supported(void)
{
	return true;
}

static float
bits_to_float(uint32_t bits)
{
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static uint32_t
float_to_bits(float f)
{
	uint32_t	bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/* binary32 to binary16, round half to even; NaN keeps its upper bits, quiet */
static uint16_t
float_to_half(float f)
{
	uint32_t	bits = float_to_bits(f);
	uint16_t	sign = (uint16_t) (bits >> 16 & 0x8000);
	uint32_t	magnitude = bits & 0x7fffffff;
	uint32_t	kept;
	uint32_t	rest;
	uint32_t	tie;

	if (magnitude > 0x7f800000)
		return (uint16_t) (sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
	if (magnitude >= 0x47800000)	/* 2^16 and infinity */
		return (uint16_t) (sign | 0x7c00);
	if (magnitude >= 0x38800000)	/* 2^-14, the smallest normal half */
	{
		/* rebias; a carry out of the mantissa is the next exponent */
		kept = (magnitude - (112u << 23)) >> 13;
		rest = magnitude & 0x1fff;
		tie = 0x1000;
	}
	else
	{
		/* units of 2^-24: the mantissa with its leading one, shifted */
		uint32_t	exponent = magnitude >> 23;
		uint32_t	mantissa = (magnitude & 0x7fffff) | 0x800000;
		uint32_t	shift = 126 - exponent;

		if (exponent < 102)		/* below half of the smallest half */
			return sign;
		kept = mantissa >> shift;
		rest = mantissa & (((uint32_t) 1 << shift) - 1);
		tie = (uint32_t) 1 << (shift - 1);
	}
	if (rest > tie || (rest == tie && (kept & 1)))
		kept++;
	return (uint16_t) (sign | kept);
}

/* The tree over the 16 lanes of a sum. */
static float
sum_lanes(float *lane)
{
	for (int width = LANES / 2; width > 0; width /= 2)
		for (int i = 0; i < width; i++)
			lane[i] = lane[i] + lane[i + width];
	return lane[0];
}

/*
 * exp(x) for x <= 0, within 1 ulp.
 *
 * x = n ln 2 + r with n = rint(x log2 e), |r| <= ln 2 / 2 up to rounding, ln 2
 * taken in two parts of which the first times n is exact.  Then exp(r) as
 * 1 + r + r^2 p(r), p of degree 4 and of least relative error, and the result
 * times 2^n.  Below BN_EXP_LOWEST, where n would reach below -126, the result
 * is 0; a NaN gives 0 too.
 */
static float
exp_nonpositive(float x)
{
	float		n;
	float		r;
	float		p;

	if (!(x >= BN_EXP_LOWEST))
		return 0.0f;
	n = rintf(x * BN_EXP_LOG2E);
	r = fmaf(n, -BN_EXP_LN2_HIGH, x);
	r = fmaf(n, -BN_EXP_LN2_LOW, r);
	p = BN_EXP_C6;
	p = fmaf(p, r, BN_EXP_C5);
	p = fmaf(p, r, BN_EXP_C4);
	p = fmaf(p, r, BN_EXP_C3);
	p = fmaf(p, r, BN_EXP_C2);
	p = fmaf(p, r, 1.0f);
	p = fmaf(p, r, 1.0f);
	return p * bits_to_float((uint32_t) ((int32_t) n + 127) << 23);
}

/*
 * An infinity gives s = 0 and so q = 0 for all of the row; a NaN neither
 * counts for the maximum nor does it quantise to anything but 0.
 */
static void
quantize(int8_t *q, bn_quant *info, const float *x, int n, int levels)
{
	float		m = 1e-5f;
	float		s;
	int32_t		sum = 0;

	for (int i = 0; i < n; i++)
		if (fabsf(x[i]) > m)
			m = fabsf(x[i]);
	s = (float) levels / m;
	for (int i = 0; i < n; i++)
	{
		float		v = rintf(x[i] * s);

		if (isnan(v))
			v = 0.0f;
		if (v > 127.0f)
			v = 127.0f;
		if (v < -128.0f)
			v = -128.0f;
		q[i] = (int8_t) v;
		sum += q[i];
	}
	memset(q + n, 0, bn_quant_stride((size_t) n) - (size_t) n);
	info->scale = m / (float) levels;
	info->sum = sum;
}

static int32_t
ternary_dot(const uint8_t *w, size_t n_blocks, int row, const int8_t *q, int cols)
{
	const uint8_t *group = w + (size_t) (row / BN_TILE_ROWS) * n_blocks * BN_TILE_BYTES;
	int32_t		sum = 0;

	for (int c = 0; c < cols; c++)
	{
		const uint8_t *tile = group + (size_t) (c / BN_TILE_COLS) * BN_TILE_BYTES;
		uint8_t		byte = tile[4 * (row % BN_TILE_ROWS) + c % 4];
		int			code = byte >> (2 * (c % BN_TILE_COLS / 4)) & 3;

		sum += (code - 1) * q[c];
	}
	return sum;
}

static int32_t
ternary5_dot(const uint8_t *w, size_t n_blocks, int row, const int8_t *q, int cols)
{
	static const int powers[4] = {1, 3, 9, 27};
	const uint8_t *group = w + (size_t) (row / BN_TILE_ROWS) * n_blocks * BN_TILE_BYTES;
	int32_t		sum = 0;

	for (int c = 0; c < cols; c++)
	{
		const uint8_t *tile = group + (size_t) (c / BN_TILE5_COLS) * BN_TILE_BYTES;
		int			place = c % BN_TILE5_COLS / 4;
		int			n;
		int			code;

		bn_ternary5_decode(tile[4 * (row % BN_TILE_ROWS) + c % 4], &n, &code);
		if (place < 3)
			code = n / powers[place] % 3;
		else if (place == 3)
			code = n / powers[3];
		sum += (code - 1) * q[c];
	}
	return sum;
}

/* Either layout: with its number of blocks and what multiplies a row of it */
static void
multiply_ternary(int32_t (*dot) (const uint8_t *w, size_t n_blocks, int row, const int8_t *q, int cols),
				 size_t n_blocks, float *y, size_t ldy, const uint8_t *w, int rows, int cols,
				 float w_scale, int group_begin, int group_end,
				 const int8_t *q, const bn_quant *info, int n_tokens)
{
	size_t		ldq = bn_quant_stride((size_t) cols);
	int			row_end = group_end * BN_TILE_ROWS < rows ? group_end * BN_TILE_ROWS : rows;

	for (int t = 0; t < n_tokens; t++)
	{
		float		scale = info[t].scale * w_scale;

		for (int r = group_begin * BN_TILE_ROWS; r < row_end; r++)
			y[t * ldy + r] = (float) dot(w, n_blocks, r, q + t * ldq, cols) * scale;
	}
}

static void
ternary_gemm(float *y, size_t ldy, const uint8_t *w, int rows, int cols, float w_scale,
			 int group_begin, int group_end,
			 const int8_t *q, const bn_quant *info, int n_tokens)
{
	multiply_ternary(ternary_dot, bn_ternary_blocks((size_t) cols), y, ldy, w, rows, cols, w_scale,
					 group_begin, group_end, q, info, n_tokens);
}

void
bn_scalar_ternary5_gemm(float *y, size_t ldy, const uint8_t *w, int rows, int cols, float w_scale,
						int group_begin, int group_end,
						const int8_t *q, const bn_quant *info, int n_tokens)
{
	multiply_ternary(ternary5_dot, bn_ternary5_blocks((size_t) cols), y, ldy, w, rows, cols, w_scale,
					 group_begin, group_end, q, info, n_tokens);
}

static int
int6_value(const uint8_t *tile, int row, int col)
{
	const uint8_t *byte = tile + 4 * row + col % 4;

	if (col < 12)
		return (byte[col / 4 * BN_TILE_BYTES] & 63) - BN_INT6_ZERO;
	return (byte[0] >> 6 | byte[BN_TILE_BYTES] >> 6 << 2 | byte[2 * BN_TILE_BYTES] >> 6 << 4) -
		BN_INT6_ZERO;
}

static int32_t
int6_dot(const uint8_t *w, size_t n_blocks, int row, const int8_t *high, const int8_t *low, int cols)
{
	const uint8_t *group = w + (size_t) (row / BN_TILE_ROWS) * n_blocks * BN_INT6_BYTES;
	int32_t		sum = 0;

	for (int c = 0; c < cols; c++)
		sum += int6_value(group + (size_t) (c / BN_TILE_COLS) * BN_INT6_BYTES,
						  row % BN_TILE_ROWS, c % BN_TILE_COLS) * (128 * high[c] + low[c]);
	return sum;
}

static void
int6_gemm(float *y, size_t ldy, const uint8_t *w, int rows, int cols, const float *row_scale,
		  int group_begin, int group_end, const int8_t *x, const float *x_scale, int n_tokens)
{
	size_t		n_blocks = bn_ternary_blocks((size_t) cols);
	size_t		stride = bn_quant_stride((size_t) cols);
	int			row_end = group_end * BN_TILE_ROWS < rows ? group_end * BN_TILE_ROWS : rows;

	for (int t = 0; t < n_tokens; t++)
		for (int r = group_begin * BN_TILE_ROWS; r < row_end; r++)
			y[t * ldy + r] = (float) int6_dot(w, n_blocks, r, x + 2 * t * stride,
											  x + (2 * t + 1) * stride, cols) *
				(row_scale[r] * x_scale[t]);
}

static void
quant_loss(float sums[2], const float *x, const int8_t *q, float scale, int n)
{
	float		squares[LANES] = {0};
	float		losses[LANES] = {0};

	for (int i = 0; i < n; i++)
	{
		float		d = fmaf(-scale, (float) q[i], x[i]);

		squares[i % LANES] = fmaf(x[i], x[i], squares[i % LANES]);
		losses[i % LANES] = fmaf(d, d, losses[i % LANES]);
	}
	sums[0] = sum_lanes(squares);
	sums[1] = sum_lanes(losses);
}

static float
rms_norm(float *y, const float *x, const float *w, int n, float eps)
{
	float		lane[LANES] = {0};
	float		squares;
	float		scale;

	for (int i = 0; i < n; i++)
		lane[i % LANES] = fmaf(x[i], x[i], lane[i % LANES]);
	squares = sum_lanes(lane);
	scale = 1.0f / sqrtf(squares / (float) n + eps);
	for (int i = 0; i < n; i++)
		y[i] = (x[i] * scale) * w[i];
	return squares;
}

static void
relu2_gate(float *y, const float *gate, const float *up, int n)
{
	for (int i = 0; i < n; i++)
	{
		float		r = gate[i] > 0.0f ? gate[i] : 0.0f;

		y[i] = (r * r) * up[i];
	}
}

static void
add(float *y, const float *x, int n)
{
	for (int i = 0; i < n; i++)
		y[i] = y[i] + x[i];
}

static void
rope_neox(float *x, const float *cosine, const float *sine, int n_heads, int head_dim)
{
	int			half = head_dim / 2;

	for (int h = 0; h < n_heads; h++)
	{
		float	   *a = x + (size_t) h * (size_t) head_dim;
		float	   *b = a + half;

		for (int i = 0; i < half; i++)
		{
			float		a_cos = a[i] * cosine[i];
			float		b_sin = b[i] * sine[i];
			float		a_sin = a[i] * sine[i];
			float		b_cos = b[i] * cosine[i];

			a[i] = a_cos - b_sin;
			b[i] = a_sin + b_cos;
		}
	}
}

static void
f32_to_f16(uint16_t *y, const float *x, int n)
{
	for (int i = 0; i < n; i++)
		y[i] = float_to_half(x[i]);
}

static void
f16_to_f32(float *y, const uint16_t *x, int n)
{
	for (int i = 0; i < n; i++)
		y[i] = bn_float_from_half(x[i]);
}

static float
dot_f16(const uint16_t *a, const float *x, int n)
{
	float		lane[LANES] = {0};

	for (int i = 0; i < n; i++)
		lane[i % LANES] = fmaf(bn_float_from_half(a[i]), x[i], lane[i % LANES]);
	return sum_lanes(lane);
}

static float
dot_f32(const float *a, const float *x, int n)
{
	float		lane[LANES] = {0};

	for (int i = 0; i < n; i++)
		lane[i % LANES] = fmaf(a[i], x[i], lane[i % LANES]);
	return sum_lanes(lane);
}

static void
attn_scores(float *s, size_t lds, const float *q, size_t ldq, int n_q,
			const uint16_t *k, const uint16_t *next, size_t ldk, int n_pos, int head_dim)
{
	for (int h = 0; h < n_q; h++)
		for (int p = 0; p < n_pos; p++)
			s[h * lds + p] = dot_f16(k + p * ldk, q + h * ldq, head_dim);
}

static void
softmax(float *s, int n, float scale)
{
	float		lane[LANES] = {0};
	float		max = -INFINITY;
	float		factor;

	for (int i = 0; i < n; i++)
	{
		s[i] = s[i] * scale;
		if (s[i] > max)
			max = s[i];
	}
	for (int i = 0; i < n; i++)
	{
		s[i] = exp_nonpositive(s[i] - max);
		lane[i % LANES] = lane[i % LANES] + s[i];
	}
	factor = 1.0f / sum_lanes(lane);
	for (int i = 0; i < n; i++)
		s[i] = s[i] * factor;
}

static void
attn_values(float *out, size_t ldo, const float *w, size_t ldw, int n_q,
			const uint16_t *v, const uint16_t *next, size_t ldv, int n_pos, int head_dim)
{
	for (int h = 0; h < n_q; h++)
		for (int p = 0; p < n_pos; p++)
			for (int i = 0; i < head_dim; i++)
				out[h * ldo + i] = fmaf(w[h * ldw + p], bn_float_from_half(v[p * ldv + i]),
										out[h * ldo + i]);
}

static void
matmul_f16(float *y, size_t ldy, const uint16_t *w, int cols, int row_begin, int row_end,
		   const float *x, size_t ldx, int n_tokens)
{
	for (int t = 0; t < n_tokens; t++)
		for (int r = row_begin; r < row_end; r++)
			y[t * ldy + r] = dot_f16(w + (size_t) r * (size_t) cols, x + t * ldx, cols);
}

static void
matmul_f32(float *y, size_t ldy, const float *w, int cols, int row_begin, int row_end,
		   const float *x, size_t ldx, int n_tokens)
{
	for (int t = 0; t < n_tokens; t++)
		for (int r = row_begin; r < row_end; r++)
			y[t * ldy + r] = dot_f32(w + (size_t) r * (size_t) cols, x + t * ldx, cols);
}

static void
matmul_f16_listed(float *y, const uint16_t *w, int cols, const int32_t *listed, int n_listed,
				  const float *x)
{
	for (int i = 0; i < n_listed; i++)
		y[listed[i]] = dot_f16(w + (size_t) listed[i] * (size_t) cols, x, cols);
}

const bn_kernels bn_kernels_scalar = {
	.name = "scalar",
	.description = "portable C, the definition of all results",
	.supported = supported,
	.quantize = quantize,
	.ternary_gemm = ternary_gemm,
	.ternary5_gemm = bn_scalar_ternary5_gemm,
	.int6_gemm = int6_gemm,
	.quant_loss = quant_loss,
	.rms_norm = rms_norm,
	.relu2_gate = relu2_gate,
	.add = add,
	.rope_neox = rope_neox,
	.f32_to_f16 = f32_to_f16,
	.f16_to_f32 = f16_to_f32,
	.attn_scores = attn_scores,
	.softmax = softmax,
	.attn_values = attn_values,
	.matmul_f16 = matmul_f16,
	.matmul_f32 = matmul_f32,
	.matmul_f16_listed = matmul_f16_listed,
};
