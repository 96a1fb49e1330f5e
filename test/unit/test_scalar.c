/*-------------------------------------------------------------------------
 *
 * test_scalar.c
 *	  The scalar kernels, which define all others, against their mathematical
 *	  definition computed in another way: wider types, library functions,
 *	  plain matrices.
 *
 * test/unit/test_scalar.c
 *
 *-------------------------------------------------------------------------
 */
#include "tap.h"

#include "../../kernels/kernels.h"

#include <math.h>
#include <string.h>

static const bn_kernels *k;
static uint32_t random_state = 2463534242u;

static uint32_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* -1 .. 1 */
static float
random_float(void)
{
	return (float) ((double) next_random() / 0x1p31 - 1.0);
}

static bool
close_to(double got, double expected, double tolerance)
{
	return fabs(got - expected) <= tolerance * (fabs(expected) + 1e-30);
}

/* The value of a finite half by its definition */
static double
half_value(int h)
{
	int			exponent = h >> 10 & 31;
	double		magnitude = exponent == 0 ? ldexp(h & 0x3ff, -24) :
		ldexp((h & 0x3ff) + 1024, exponent - 25);

	return h & 0x8000 ? -magnitude : magnitude;
}

static void
test_half(void)
{
	bool		widen = true;
	bool		back = true;
	bool		ties = true;
	bool		specials;
	uint16_t	h[4] = {0x7c00, 0xfc00, 0x7e01, 0x7c01};
	float		f[4];

	for (int i = 0; i < 65536; i++)
	{
		uint16_t	half = (uint16_t) i;
		uint16_t	again;
		float		value;

		if ((i & 0x7c00) == 0x7c00)
			continue;
		k->f16_to_f32(&value, &half, 1);
		widen = widen && value == half_value(i) && (signbit(value) != 0) == (i >> 15);
		k->f32_to_f16(&again, &value, 1);
		back = back && again == half;
	}
	ok(widen, "f16_to_f32 is exact for every finite half");
	ok(back, "f32_to_f16 gives every finite half back");

	/* between two neighbours: below, at and above the middle */
	for (int i = 0; i <= 0x7bff; i++)
	{
		double		low = half_value(i);
		double		high = i == 0x7bff ? 65536.0 : half_value(i + 1);
		float		middle = (float) ((low + high) / 2);
		float		x[3] = {nextafterf(middle, 0.0f), middle, nextafterf(middle, INFINITY)};
		uint16_t	y[3];

		k->f32_to_f16(y, x, 3);
		ties = ties && y[0] == i && y[1] == (i & 1 ? i + 1 : i) && y[2] == i + 1;
		for (int j = 0; j < 3; j++)
			x[j] = -x[j];
		k->f32_to_f16(y, x, 3);
		ties = ties && y[0] == (i | 0x8000) && y[1] == ((i & 1 ? i + 1 : i) | 0x8000) &&
			y[2] == ((i + 1) | 0x8000);
	}
	ok(ties, "f32_to_f16 rounds half to even, overflow to infinity");

	k->f16_to_f32(f, h, 4);
	specials = f[0] == INFINITY && f[1] == -INFINITY && isnan(f[2]) && isnan(f[3]);
	f[0] = 1e30f;
	f[1] = -INFINITY;
	f[2] = NAN;
	f[3] = -1e-30f;
	k->f32_to_f16(h, f, 4);
	ok(specials && h[0] == 0x7c00 && h[1] == 0xfc00 && (h[2] & 0x7fff) > 0x7c00 && h[3] == 0x8000,
	   "infinities, NaN and the sign of zero survive conversion");
}

/*
 * exp is seen through softmax: with a score of 0 that is the largest, the
 * quotient of an output and that score's output is exp but for one rounding.
 */
static void
test_exp(void)
{
	enum
	{
		N = 8192
	};
	static float s[N];
	static float x[N];
	double		worst = 0.0;
	bool		zero;

	for (int round = 0; round < 12; round++)
	{
		x[0] = 0.0f;
		for (int i = 1; i < N; i++)
			x[i] = -(round < 4 ? 1.0f : 87.33f) * (float) ((double) next_random() / 0x1p32);
		memcpy(s, x, sizeof(s));
		k->softmax(s, N, 1.0f);
		for (int i = 1; i < N; i++)
		{
			/* a denormal output has less precision than exp itself */
			if (s[i] >= 0x1p-126f)
			{
				double		expected = exp((double) x[i]);
				double		error = fabs((double) s[i] / s[0] - expected) / expected;

				worst = error > worst ? error : worst;
			}
		}
	}
	ok(worst < 0x1p-23, "exp is within one unit in the last place (%.2f of 2^-24)", worst * 0x1p24);

	s[0] = 0.0f;
	s[1] = -20.0f;
	s[2] = -87.35f;
	s[3] = -1000.0f;
	s[4] = -3e38f;
	k->softmax(s, 5, 1.0f);
	zero = s[0] == 1.0f && close_to(s[1], exp(-20.0), 0x1p-23) &&
		s[2] == 0.0f && s[3] == 0.0f && s[4] == 0.0f;
	ok(zero, "exp underflows to zero below -87.34");
}

static void
test_softmax(void)
{
	bool		good = true;

	for (int n = 1; n <= 300; n += n < 40 ? 1 : 37)
	{
		float		s[300];
		double		e[300];
		double		sum = 0.0;
		double		max = -INFINITY;

		for (int i = 0; i < n; i++)
		{
			s[i] = 40.0f * random_float();
			max = s[i] * 0.25 > max ? s[i] * 0.25 : max;
		}
		for (int i = 0; i < n; i++)
			sum += e[i] = exp(s[i] * 0.25 - max);
		k->softmax(s, n, 0.25f);
		for (int i = 0; i < n; i++)
			good = good && close_to(s[i], e[i] / sum, 2e-6);
	}
	ok(good, "softmax against double");
}

static void
test_rms_norm(void)
{
	bool		good = true;

	for (int n = 1; n <= 2560; n = n * 3 / 2 + 1)
	{
		float		x[2560];
		float		w[2560];
		float		y[2560];
		double		sum = 0.0;

		for (int i = 0; i < n; i++)
		{
			x[i] = 3.0f * random_float();
			w[i] = random_float();
			sum += (double) x[i] * x[i];
		}
		good = good && close_to(k->rms_norm(y, x, w, n, 1e-5f), sum, 1e-5);
		for (int i = 0; i < n; i++)
			good = good && close_to(y[i], x[i] / sqrt(sum / n + 1e-5) * w[i], 1e-6);
		x[n - 1] = n % 2 ? INFINITY : NAN;
		good = good && !isfinite(k->rms_norm(y, x, w, n, 1e-5f));
	}
	ok(good, "rms_norm against double");
}

static void
test_quantize(int levels)
{
	bool		good = true;

	for (int n = 1; n <= 1500; n = n * 3 / 2 + 1)
	{
		float		x[1500];
		int8_t		q[1536];
		bn_quant	info;
		float		m = 1e-5f;
		float		s;
		int64_t		sum = 0;

		for (int i = 0; i < n; i++)
		{
			/* many of them at or near halves of the step, which is 1 / levels */
			x[i] = i % 2 ? random_float() :
				(float) ((int) (next_random() % (uint64_t) (2 * levels - 1)) - levels + 1.5) /
				(float) levels;
			if (i == n / 2)
				x[i] = n % 2 ? 1.0f : -1.0f;
			m = fabsf(x[i]) > m ? fabsf(x[i]) : m;
		}
		k->quantize(q, &info, x, n, levels);

		/* a quotient or product of two floats, rounded from double, is exact */
		s = (float) (levels / (double) m);
		for (int i = 0; i < n; i++)
		{
			double		v = rint((double) (float) ((double) x[i] * (double) s));

			v = v > 127 ? 127 : v < -128 ? -128 : v;
			good = good && q[i] == (int) v;
			sum += q[i];
		}
		for (size_t i = (size_t) n; i < bn_quant_stride((size_t) n); i++)
			good = good && q[i] == 0;
		good = good && info.sum == sum && info.scale == (float) ((double) m / levels);
	}
	ok(good, "quantize to %d levels by its definition", levels);

	{
		float		x[3] = {1.0f, NAN, -0.5f};
		float		zeros[2] = {0.0f, -0.0f};
		int8_t		q[64];
		bn_quant	info;

		k->quantize(q, &info, x, 3, levels);
		ok(q[0] == levels && q[1] == 0 && q[2] == -(levels + 1) / 2 && info.sum == levels / 2,
		   "a NaN quantises to 0 and does not disturb the others");
		k->quantize(q, &info, zeros, 2, levels);
		ok(q[0] == 0 && q[1] == 0 && info.scale == 1e-5f / (float) levels, "zeros quantise to zeros");
	}
}

/* Sets the weight of row r and column c; all weights of packed[] are zero before. */
static void
set_four(uint8_t *packed, int cols, int r, int c, int weight)
{
	int			tile = r / 16 * ((cols + 15) / 16) + c / 16;
	uint8_t    *byte = &packed[tile * 64 + r % 16 * 4 + c % 4];
	int			shift = c % 16 / 4 * 2;

	*byte = (uint8_t) ((*byte & ~(3 << shift)) | (weight + 1) << shift);
}

static void
set_five(uint8_t *packed, int cols, int r, int c, int weight)
{
	int			tile = r / 16 * ((cols + 19) / 20) + c / 20;
	uint8_t    *byte = &packed[tile * 64 + r % 16 * 4 + c % 4];
	int			codes[5] = {0};
	int			first;
	int			n;

	/* what the byte says, by trying all that it may say */
	for (first = 0; first < 243; first++)
	{
		int			low = first % 81;
		int			high = first / 81;

		if ((low < 64 ? low + 64 * high : 192 + 3 * (low - 64) + high) == *byte)
			break;
	}
	for (int i = 0; i < 5; i++, first /= 3)
		codes[i] = first % 3;
	codes[c % 20 / 4] = weight + 1;
	n = codes[0] + 3 * codes[1] + 9 * codes[2] + 27 * codes[3];
	*byte = (uint8_t) (n < 64 ? n + 64 * codes[4] : 192 + 3 * (n - 64) + codes[4]);
}

/* A matrix of small integers, packed here by the description in kernels.h. */
static void
test_ternary(const char *name, bn_ternary_gemm gemm,
			 void (*set) (uint8_t *packed, int cols, int r, int c, int weight), int zeros)
{
	enum
	{
		MAX_ROWS = 50, MAX_COLS = 150, TOKENS = 3
	};
	static int8_t w[MAX_ROWS][MAX_COLS];
	static uint8_t packed[64 * 64 * 4];
	static int8_t q[TOKENS * 192];
	static float y[TOKENS * MAX_ROWS];
	bool		good = true;

	for (int round = 0; round < 40; round++)
	{
		int			rows = 1 + (int) (next_random() % MAX_ROWS);
		int			cols = 1 + (int) (next_random() % MAX_COLS);
		size_t		stride = bn_quant_stride((size_t) cols);
		bn_quant	info[TOKENS];

		memset(packed, zeros, sizeof(packed));
		for (int r = 0; r < rows; r++)
			for (int c = 0; c < cols; c++)
			{
				w[r][c] = (int8_t) ((int) (next_random() % 3) - 1);
				set(packed, cols, r, c, w[r][c]);
			}
		memset(q, 0, sizeof(q));
		for (int t = 0; t < TOKENS; t++)
		{
			info[t].sum = 0;
			info[t].scale = random_float();
			for (int c = 0; c < cols; c++)
			{
				q[t * stride + c] = (int8_t) (next_random() % 256 - 128);
				info[t].sum += q[t * stride + c];
			}
		}
		gemm(y, MAX_ROWS, packed, rows, cols, 0.7f, 0,
			 (int) bn_ternary_groups((size_t) rows), q, info, TOKENS);
		for (int t = 0; t < TOKENS; t++)
			for (int r = 0; r < rows; r++)
			{
				int64_t		sum = 0;
				volatile float scale = info[t].scale * 0.7f;

				for (int c = 0; c < cols; c++)
					sum += w[r][c] * q[t * stride + c];
				good = good && y[t * MAX_ROWS + r] == (float) sum * scale;
			}
	}
	ok(good, "%s against a plain matrix", name);
}

/* Rows of six bits, packed here by the description in kernels.h, and what quantize loses */
static void
test_int6(void)
{
	enum
	{
		ROWS = 37, COLS = 70, STRIDE = 128
	};
	static int8_t w[ROWS][COLS];
	static uint8_t packed[3 * 5 * 192];
	static int8_t x[2][2 * STRIDE];
	static int32_t fixed[2][COLS];
	float		row_scale[ROWS];
	float		x_scale[2] = {0.7f, -1e-3f};
	float		y[2 * ROWS];
	float		values[COLS];
	float		sums[2];
	double		squares = 0;
	double		losses = 0;
	bool		good = true;

	for (int r = 0; r < ROWS; r++)
	{
		row_scale[r] = random_float();
		for (int c = 0; c < COLS; c++)
		{
			uint8_t    *byte = &packed[(r / 16 * 5 + c / 16) * 192 + r % 16 * 4 + c % 4];
			int			code;

			w[r][c] = (int8_t) ((int) (next_random() % 63) - 31);
			code = w[r][c] + 32;
			if (c % 16 < 12)
				byte[c % 16 / 4 * 64] |= (uint8_t) code;
			else
				for (int line = 0; line < 3; line++)
					byte[line * 64] |= (uint8_t) ((code >> 2 * line & 3) << 6);
		}
	}
	for (int t = 0; t < 2; t++)
		for (int c = 0; c < COLS; c++)
		{
			x[t][c] = (int8_t) ((int) (next_random() % 253) - 126);
			x[t][STRIDE + c] = (int8_t) ((int) (next_random() % 128) - 64);
			fixed[t][c] = 128 * x[t][c] + x[t][STRIDE + c];
		}
	k->int6_gemm(y, ROWS, packed, ROWS, COLS, row_scale, 0, 3, x[0], x_scale, 2);
	for (int t = 0; t < 2; t++)
		for (int r = 0; r < ROWS; r++)
		{
			int64_t		sum = 0;
			volatile float scale = row_scale[r] * x_scale[t];

			for (int c = 0; c < COLS; c++)
				sum += w[r][c] * fixed[t][c];
			good = good && y[t * ROWS + r] == (float) sum * scale;
		}
	ok(good, "int6_gemm against a plain matrix");

	for (int c = 0; c < COLS; c++)
	{
		double		loss;

		values[c] = random_float();
		loss = values[c] - 0.01 * w[0][c];
		squares += (double) values[c] * values[c];
		losses += loss * loss;
	}
	k->quant_loss(sums, values, w[0], 0.01f, COLS);
	ok(fabs(sums[0] - squares) < 1e-5 * squares && fabs(sums[1] - losses) < 1e-5 * losses,
	   "quant_loss against sums in double");
}

/* Each product is rounded by itself: a compiler that fuses them is found out. */
static void
test_rope(void)
{
	bool		good = true;

	for (int round = 0; round < 1000; round++)
	{
		float		x[4] = {random_float(), random_float(), random_float(), random_float()};
		float		c[2] = {random_float(), random_float()};
		float		s[2] = {random_float(), random_float()};
		float		y[4];

		memcpy(y, x, sizeof(y));
		k->rope_neox(y, c, s, 1, 4);
		for (int i = 0; i < 2; i++)
		{
			volatile float ac = x[i] * c[i];
			volatile float bs = x[i + 2] * s[i];
			volatile float as = x[i] * s[i];
			volatile float bc = x[i + 2] * c[i];

			good = good && y[i] == ac - bs && y[i + 2] == as + bc;
		}
	}
	ok(good, "rope_neox turns pairs half a head apart, without fusing");
}

static void
test_elementwise(void)
{
	float		gate[4] = {2.0f, -3.0f, 0.5f, 0.0f};
	float		up[4] = {3.0f, 5.0f, -8.0f, 7.0f};
	float		y[4];

	k->relu2_gate(y, gate, up, 4);
	ok(y[0] == 12.0f && y[1] == 0.0f && y[2] == -2.0f && y[3] == 0.0f, "relu2_gate");
	k->add(y, up, 4);
	ok(y[0] == 15.0f && y[1] == 5.0f && y[2] == -10.0f && y[3] == 7.0f, "add");
}

static void
test_dense(void)
{
	enum
	{
		ROWS = 6, MAX = 200, VECTORS = 3
	};
	static uint16_t h[ROWS * MAX];
	static float f[ROWS * MAX];
	static float x[VECTORS * MAX];
	bool		products = true;
	bool		scores = true;
	bool		values = true;

	for (int n = 1; n <= MAX; n += 1 + n / 4)
	{
		float		y[VECTORS * ROWS];
		float		y32[VECTORS * ROWS];
		float		listed[ROWS] = {0};
		float		s[VECTORS * ROWS];
		float		out[MAX] = {0};

		for (int i = 0; i < VECTORS * n; i++)
			x[i] = random_float();
		for (int i = 0; i < ROWS * n; i++)
			h[i] = (uint16_t) ((next_random() & 0x83ff) | 0x3400);
		for (int i = 0; i < ROWS * n; i++)
			f[i] = (float) half_value(h[i]);
		k->matmul_f16(y, ROWS, h, n, 0, ROWS, x, (size_t) n, VECTORS);
		k->matmul_f32(y32, ROWS, f, n, 0, ROWS, x, (size_t) n, VECTORS);
		k->matmul_f16_listed(listed, h, n, (const int32_t[]) {ROWS - 1, 1}, 2, x);
		k->attn_scores(s, ROWS, x, (size_t) n, VECTORS, h, NULL, (size_t) n, ROWS, n);
		k->attn_values(out, (size_t) n, x, ROWS, 1, h, NULL, (size_t) n, n < ROWS ? n : ROWS, n);
		for (int v = 0; v < VECTORS; v++)
			for (int r = 0; r < ROWS; r++)
			{
				double		sum = 0.0;

				for (int i = 0; i < n; i++)
					sum += half_value(h[r * n + i]) * x[v * n + i];
				products = products && fabs(y[v * ROWS + r] - sum) < 1e-5 &&
					fabs(y32[v * ROWS + r] - sum) < 1e-5;
				if (v == 0)
					products = products && listed[r] == (r == 1 || r == ROWS - 1 ? y[r] : 0);
				scores = scores && fabs(s[v * ROWS + r] - sum) < 1e-5;
			}
		for (int i = 0; i < n; i++)
		{
			double		sum = 0.0;

			for (int p = 0; p < (n < ROWS ? n : ROWS); p++)
				sum += half_value(h[p * n + i]) * x[p];
			values = values && fabs(out[i] - sum) < 1e-5;
		}
	}
	ok(products, "matmul_f16, matmul_f32 and matmul_f16_listed against double");
	ok(scores, "attn_scores against double");
	ok(values, "attn_values against double");
}

/* 16 lanes and their tree: sums that come out otherwise in any other order. */
static void
test_order(void)
{
	float		w[33] = {0};
	float		x[33];
	float		y;

	for (int i = 0; i < 33; i++)
		x[i] = 1.0f;

	/* lane 0 cancels before lane 1 comes in */
	w[0] = 0x1p30f;
	w[16] = -0x1p30f;
	w[1] = 1.0f;
	k->matmul_f32(&y, 1, w, 33, 0, 1, x, 33, 1);
	ok(y == 1.0f, "elements 16 apart share a lane");

	/* lanes 0 and 8 meet first; 0 and 1 meet last */
	memset(w, 0, sizeof(w));
	w[0] = 0x1p30f;
	w[8] = -0x1p30f;
	w[4] = 1.0f;
	k->matmul_f32(&y, 1, w, 33, 0, 1, x, 33, 1);
	ok(y == 1.0f, "lane 0 meets lane 8 first");
	memset(w, 0, sizeof(w));
	w[0] = 0x1p30f;
	w[1] = -0x1p30f;
	w[4] = 1.0f;
	k->matmul_f32(&y, 1, w, 33, 0, 1, x, 33, 1);
	ok(y == 0.0f, "lane 0 meets lane 1 last");

	/* the product is not rounded before it is added */
	memset(w, 0, sizeof(w));
	w[0] = -1.0f;
	w[16] = 1.0f + 0x1p-12f;
	x[16] = 1.0f - 0x1p-12f;
	k->matmul_f32(&y, 1, w, 33, 0, 1, x, 33, 1);
	ok(y == -0x1p-24f, "product and sum are fused");
}

int
main(void)
{
	k = bn_kernels_select("scalar");
	if (!ok(k != NULL, "the scalar kernels are always there"))
		return done_testing();
	test_half();
	test_exp();
	test_softmax();
	test_rms_norm();
	test_quantize(BN_INT8_MAX);
	test_quantize(BN_INT6_MAX);
	test_ternary("ternary_gemm", k->ternary_gemm, set_four, 0x55);
	test_ternary("ternary5_gemm", k->ternary5_gemm, set_five, 40 + 64);
	test_int6();
	test_rope();
	test_elementwise();
	test_dense();
	test_order();
	return done_testing();
}
