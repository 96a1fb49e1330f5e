/*-------------------------------------------------------------------------
 *
 * lanes.h
 *	  The float kernels, written once over a vector of 16 lanes.
 *
 * A file of one instruction set includes this after it has defined
 *
 *	 v16					16 floats in however many registers it takes
 *	 v_set1(f)				all lanes f
 *	 v_load(p), v_store(p, v)
 *	 v_load_n(p, n), v_store_n(p, v, n)
 *							the first n lanes, 0 < n < 16; the others are
 *							loaded as zero.  Touches no more than n elements.
 *							These and the others with _n are made here for
 *							V_PARTS_BY_COPY.
 *	 v_load_half, v_store_half, and the same with _n
 *							from and to IEEE half precision
 *	 v_load_int8(p)			from int8
 *	 v_add, v_sub, v_mul, v_fma(a, b, c) = a * b + c rounded once
 *	 v_max(a, b)			b where a is a NaN
 *	 v_abs(a), v_round(a)	round half to even
 *	 v_first(n, a, b)		the first n lanes of a, the others of b
 *	 v_scale(p, n)			p * 2^n, for integral n in -126 .. 0
 *	 v_keep_from(v, x, low)	v where x >= low, else 0
 *	 v_sum(v), v_largest(v)	sum as the tree of kernels.h
 *	 v_sum4(out, a, b, c, d)	four such sums
 *	 i16, i_zero(), i_add, i_sum(i)
 *							16 int32
 *	 i_round(v)				round half to even; NaN gives 0
 *	 i_store_int8(p, i), i_store_int8_n(p, i, n)
 *							limited to -128 .. 127
 *	 V_TOKENS				4 if 16 sums and their operands fit in the
 *							registers, else 2
 *
 * There are no sums here but in the 16 lanes, so the order of additions is
 * that of scalar.c by construction.
 *
 * kernels/lanes.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_LANES_H
#define BN_LANES_H

#include "exp.h"

#define LANES 16

#ifdef V_PARTS_BY_COPY
static INLINE v16
v_load_n(const float *p, int n)
{
	float		tmp[LANES] = {0};

	memcpy(tmp, p, (size_t) n * sizeof(float));
	return v_load(tmp);
}

static INLINE void
v_store_n(float *p, v16 v, int n)
{
	float		tmp[LANES];

	v_store(tmp, v);
	memcpy(p, tmp, (size_t) n * sizeof(float));
}

static INLINE v16
v_load_half_n(const uint16_t *p, int n)
{
	uint16_t	tmp[LANES] = {0};

	memcpy(tmp, p, (size_t) n * sizeof(uint16_t));
	return v_load_half(tmp);
}

static INLINE void
v_store_half_n(uint16_t *p, v16 v, int n)
{
	uint16_t	tmp[LANES];

	v_store_half(tmp, v);
	memcpy(p, tmp, (size_t) n * sizeof(uint16_t));
}

static INLINE void
i_store_int8_n(int8_t *p, i16 x, int n)
{
	int8_t		tmp[LANES];

	i_store_int8(tmp, x);
	memcpy(p, tmp, (size_t) n);
}
#endif

/* How many of n elements fill whole vectors */
static INLINE int
whole(int n)
{
	return n / LANES * LANES;
}

static void
quantize(int8_t *q, bn_quant *info, const float *x, int n, int levels)
{
	int			n_whole = whole(n);
	v16			largest = v_set1(1e-5f);
	i16			sum = i_zero();
	float		m;
	v16			s;
	int			i;

	for (i = 0; i < n_whole; i += LANES)
		largest = v_max(v_abs(v_load(x + i)), largest);
	if (i < n)
		largest = v_max(v_abs(v_load_n(x + i, n - i)), largest);
	m = v_largest(largest);
	s = v_set1((float) levels / m);

	/* |x * s| stays below levels + 0.5, so limiting never changes what is summed */
	for (i = 0; i < n_whole; i += LANES)
	{
		i16			v = i_round(v_mul(v_load(x + i), s));

		i_store_int8(q + i, v);
		sum = i_add(sum, v);
	}
	if (i < n)
	{
		i16			v = i_round(v_mul(v_load_n(x + i, n - i), s));

		i_store_int8_n(q + i, v, n - i);
		sum = i_add(sum, v);
	}
	memset(q + n, 0, bn_quant_stride((size_t) n) - (size_t) n);
	info->scale = m / (float) levels;
	info->sum = i_sum(sum);
}

static void
quant_loss(float sums[2], const float *x, const int8_t *q, float scale, int n)
{
	v16			minus_scale = v_set1(-scale);
	v16			squares = v_set1(0.0f);
	v16			losses = v_set1(0.0f);

	/* q is padded with zeros, so that a tail adds nothing */
	for (int i = 0; i < n; i += LANES)
	{
		v16			v = n - i < LANES ? v_load_n(x + i, n - i) : v_load(x + i);
		v16			d = v_fma(minus_scale, v_load_int8(q + i), v);

		squares = v_fma(v, v, squares);
		losses = v_fma(d, d, losses);
	}
	sums[0] = v_sum(squares);
	sums[1] = v_sum(losses);
}

static float
rms_norm(float *y, const float *x, const float *w, int n, float eps)
{
	int			n_whole = whole(n);
	v16			sum = v_set1(0.0f);
	float		squares;
	v16			scale;
	int			i;

	for (i = 0; i < n_whole; i += LANES)
	{
		v16			v = v_load(x + i);

		sum = v_fma(v, v, sum);
	}
	if (i < n)
	{
		v16			v = v_load_n(x + i, n - i);

		sum = v_first(n - i, v_fma(v, v, sum), sum);
	}
	squares = v_sum(sum);
	scale = v_set1(1.0f / sqrtf(squares / (float) n + eps));
	for (i = 0; i < n_whole; i += LANES)
		v_store(y + i, v_mul(v_mul(v_load(x + i), scale), v_load(w + i)));
	if (i < n)
		v_store_n(y + i, v_mul(v_mul(v_load_n(x + i, n - i), scale), v_load_n(w + i, n - i)),
				  n - i);
	return squares;
}

static INLINE v16
relu2(v16 gate, v16 up)
{
	v16			r = v_max(gate, v_set1(0.0f));

	return v_mul(v_mul(r, r), up);
}

static void
relu2_gate(float *y, const float *gate, const float *up, int n)
{
	int			n_whole = whole(n);
	int			i;

	for (i = 0; i < n_whole; i += LANES)
		v_store(y + i, relu2(v_load(gate + i), v_load(up + i)));
	if (i < n)
		v_store_n(y + i, relu2(v_load_n(gate + i, n - i), v_load_n(up + i, n - i)), n - i);
}

static void
add(float *y, const float *x, int n)
{
	int			n_whole = whole(n);
	int			i;

	for (i = 0; i < n_whole; i += LANES)
		v_store(y + i, v_add(v_load(y + i), v_load(x + i)));
	if (i < n)
		v_store_n(y + i, v_add(v_load_n(y + i, n - i), v_load_n(x + i, n - i)), n - i);
}

static void
rope_neox(float *x, const float *cosine, const float *sine, int n_heads, int head_dim)
{
	int			half = head_dim / 2;
	int			n_whole = whole(half);

	for (int h = 0; h < n_heads; h++)
	{
		float	   *a = x + (size_t) h * (size_t) head_dim;
		float	   *b = a + half;
		int			i;

		for (i = 0; i < n_whole; i += LANES)
		{
			v16			va = v_load(a + i);
			v16			vb = v_load(b + i);
			v16			c = v_load(cosine + i);
			v16			s = v_load(sine + i);

			v_store(a + i, v_sub(v_mul(va, c), v_mul(vb, s)));
			v_store(b + i, v_add(v_mul(va, s), v_mul(vb, c)));
		}
		if (i < half)
		{
			int			rest = half - i;
			v16			va = v_load_n(a + i, rest);
			v16			vb = v_load_n(b + i, rest);
			v16			c = v_load_n(cosine + i, rest);
			v16			s = v_load_n(sine + i, rest);

			v_store_n(a + i, v_sub(v_mul(va, c), v_mul(vb, s)), rest);
			v_store_n(b + i, v_add(v_mul(va, s), v_mul(vb, c)), rest);
		}
	}
}

static void
f32_to_f16(uint16_t *y, const float *x, int n)
{
	int			n_whole = whole(n);
	int			i;

	for (i = 0; i < n_whole; i += LANES)
		v_store_half(y + i, v_load(x + i));
	if (i < n)
		v_store_half_n(y + i, v_load_n(x + i, n - i), n - i);
}

static void
f16_to_f32(float *y, const uint16_t *x, int n)
{
	int			n_whole = whole(n);
	int			i;

	for (i = 0; i < n_whole; i += LANES)
		v_store(y + i, v_load_half(x + i));
	if (i < n)
		v_store_n(y + i, v_load_half_n(x + i, n - i), n - i);
}

/* As exp_nonpositive of scalar.c */
static INLINE v16
v_exp(v16 x)
{
	v16			one = v_set1(1.0f);
	v16			n = v_round(v_mul(x, v_set1(BN_EXP_LOG2E)));
	v16			r = v_fma(n, v_set1(-BN_EXP_LN2_HIGH), x);
	v16			p = v_set1(BN_EXP_C6);

	r = v_fma(n, v_set1(-BN_EXP_LN2_LOW), r);
	p = v_fma(p, r, v_set1(BN_EXP_C5));
	p = v_fma(p, r, v_set1(BN_EXP_C4));
	p = v_fma(p, r, v_set1(BN_EXP_C3));
	p = v_fma(p, r, v_set1(BN_EXP_C2));
	p = v_fma(p, r, one);
	p = v_fma(p, r, one);
	return v_keep_from(v_scale(p, n), x, v_set1(BN_EXP_LOWEST));
}

static void
softmax(float *s, int n, float scale)
{
	int			n_whole = whole(n);
	v16			vscale = v_set1(scale);
	v16			largest = v_set1(-INFINITY);
	v16			sum = v_set1(0.0f);
	v16			max;
	v16			factor;
	int			i;

	for (i = 0; i < n_whole; i += LANES)
	{
		v16			t = v_mul(v_load(s + i), vscale);

		v_store(s + i, t);
		largest = v_max(t, largest);
	}
	if (i < n)
	{
		v16			t = v_mul(v_load_n(s + i, n - i), vscale);

		v_store_n(s + i, t, n - i);
		largest = v_first(n - i, v_max(t, largest), largest);
	}
	max = v_set1(v_largest(largest));
	for (i = 0; i < n_whole; i += LANES)
	{
		v16			e = v_exp(v_sub(v_load(s + i), max));

		v_store(s + i, e);
		sum = v_add(sum, e);
	}
	if (i < n)
	{
		v16			e = v_exp(v_sub(v_load_n(s + i, n - i), max));

		v_store_n(s + i, e, n - i);
		sum = v_first(n - i, v_add(sum, e), sum);
	}
	factor = v_set1(1.0f / v_sum(sum));
	for (i = 0; i < n_whole; i += LANES)
		v_store(s + i, v_mul(v_load(s + i), factor));
	if (i < n)
		v_store_n(s + i, v_mul(v_load_n(s + i, n - i), factor), n - i);
}

/*
 * Rows of half floats that a later call needs.  They are asked for line by line
 * in the order of addresses, which hardware prefetch recognises, and a line or
 * two between pieces of work: a core waits when it has asked for more lines than
 * it can keep track of (some two dozen).
 */
#define LINE_HALVES 32

typedef struct later_rows
{
	const uint16_t *row;
	size_t		ld;
	int			n_rows;
	int			n_columns;
	int			column;			/* of the next line */
} later_rows;

static INLINE void
ask_for_line(later_rows *later)
{
	if (later->n_rows == 0)
		return;
	__builtin_prefetch(later->row + later->column, 0, 3);
	later->column += LINE_HALVES;
	if (later->column >= later->n_columns)
	{
		later->column = 0;
		later->row += later->ld;
		later->n_rows--;
	}
}

/*
 * Weighted sum of values for up to four heads of one group at 16 columns; the
 * sums stay in registers while the positions go by, and a value is converted
 * once for all heads.
 */
static INLINE void
values_16(float *out, size_t ldo, const float *w, size_t ldw, const int n_heads,
		  const uint16_t *v, size_t ldv, int n_pos, int n, const bool tail, later_rows *later)
{
	v16			o0 = tail ? v_load_n(out, n) : v_load(out);
	v16			o1 = o0;
	v16			o2 = o0;
	v16			o3 = o0;

	if (n_heads > 1)
		o1 = tail ? v_load_n(out + ldo, n) : v_load(out + ldo);
	if (n_heads > 2)
		o2 = tail ? v_load_n(out + 2 * ldo, n) : v_load(out + 2 * ldo);
	if (n_heads > 3)
		o3 = tail ? v_load_n(out + 3 * ldo, n) : v_load(out + 3 * ldo);
	for (int p = 0; p < n_pos; p++)
	{
		v16			x = tail ? v_load_half_n(v, n) : v_load_half(v);

		ask_for_line(later);
		o0 = v_fma(v_set1(w[p]), x, o0);
		if (n_heads > 1)
			o1 = v_fma(v_set1(w[ldw + p]), x, o1);
		if (n_heads > 2)
			o2 = v_fma(v_set1(w[2 * ldw + p]), x, o2);
		if (n_heads > 3)
			o3 = v_fma(v_set1(w[3 * ldw + p]), x, o3);
		v += ldv;
	}
	for (int h = 0; h < n_heads; h++)
	{
		v16			o = h == 0 ? o0 : h == 1 ? o1 : h == 2 ? o2 : o3;

		if (tail)
			v_store_n(out + h * ldo, o, n);
		else
			v_store(out + h * ldo, o);
	}
}

#if V_TOKENS == 4

/*
 * Four heads at 64 columns: a sum waits for its own addition before, so four of
 * them do not keep the units busy, and the more columns there are the less often
 * a weight is loaded.  (What is left of a head goes 16 columns at a time.)
 */
#define FOUR_HEADS(DO) \
	DO(0); \
	DO(1); \
	DO(2); \
	DO(3)
#define LOAD_SUMS(h) \
	v16			s##h##0 = v_load(out + h * ldo); \
	v16			s##h##1 = v_load(out + h * ldo + LANES); \
	v16			s##h##2 = v_load(out + h * ldo + 2 * LANES); \
	v16			s##h##3 = v_load(out + h * ldo + 3 * LANES)
#define ADD_VALUES(h) \
	do { \
		v16			wh = v_set1(w[h * ldw + p]); \
		s##h##0 = v_fma(wh, x0, s##h##0); \
		s##h##1 = v_fma(wh, x1, s##h##1); \
		s##h##2 = v_fma(wh, x2, s##h##2); \
		s##h##3 = v_fma(wh, x3, s##h##3); \
	} while (0)
#define STORE_SUMS(h) \
	v_store(out + h * ldo, s##h##0); \
	v_store(out + h * ldo + LANES, s##h##1); \
	v_store(out + h * ldo + 2 * LANES, s##h##2); \
	v_store(out + h * ldo + 3 * LANES, s##h##3)

static INLINE void
values_4x64(float *out, size_t ldo, const float *w, size_t ldw, const uint16_t *v, size_t ldv,
			int n_pos, later_rows *later)
{
	FOUR_HEADS(LOAD_SUMS);
	for (int p = 0; p < n_pos; p++)
	{
		v16			x0 = v_load_half(v);
		v16			x1 = v_load_half(v + LANES);
		v16			x2 = v_load_half(v + 2 * LANES);
		v16			x3 = v_load_half(v + 3 * LANES);

		ask_for_line(later);
		ask_for_line(later);
		FOUR_HEADS(ADD_VALUES);
		v += ldv;
	}
	FOUR_HEADS(STORE_SUMS);
}

#undef FOUR_HEADS
#undef LOAD_SUMS
#undef ADD_VALUES
#undef STORE_SUMS

#endif

static INLINE void
values_heads(float *out, size_t ldo, const float *w, size_t ldw, const int n_heads,
			 const uint16_t *v, size_t ldv, int n_pos, int head_dim, later_rows *later)
{
	int			i = 0;

#if V_TOKENS == 4
	if (n_heads == 4)
		for (; i + 4 * LANES <= head_dim; i += 4 * LANES)
			values_4x64(out + i, ldo, w, ldw, v + i, ldv, n_pos, later);
#endif
	for (; i + LANES <= head_dim; i += LANES)
		values_16(out + i, ldo, w, ldw, n_heads, v + i, ldv, n_pos, LANES, false, later);
	if (i < head_dim)
		values_16(out + i, ldo, w, ldw, n_heads, v + i, ldv, n_pos, head_dim - i, true, later);
}

static void
attn_values(float *out, size_t ldo, const float *w, size_t ldw, int n_q,
			const uint16_t *v, const uint16_t *next, size_t ldv, int n_pos, int head_dim)
{
	later_rows	later = {next, ldv, next == NULL ? 0 : n_pos, head_dim, 0};
	int			h = 0;

	for (; h + 4 <= n_q; h += 4)
		values_heads(out + h * ldo, ldo, w + h * ldw, ldw, 4, v, ldv, n_pos, head_dim, &later);
	if (n_q - h == 3)
		values_heads(out + h * ldo, ldo, w + h * ldw, ldw, 3, v, ldv, n_pos, head_dim, &later);
	else if (n_q - h == 2)
		values_heads(out + h * ldo, ldo, w + h * ldw, ldw, 2, v, ldv, n_pos, head_dim, &later);
	else if (n_q - h == 1)
		values_heads(out + h * ldo, ldo, w + h * ldw, ldw, 1, v, ldv, n_pos, head_dim, &later);
}

/* 16 elements of a row of half or float values, n of them in a tail */
static INLINE v16
load_row(const void *row, int i, int n, const bool half, const bool tail)
{
	if (half)
		return tail ? v_load_half_n((const uint16_t *) row + i, n) :
			v_load_half((const uint16_t *) row + i);
	return tail ? v_load_n((const float *) row + i, n) : v_load((const float *) row + i);
}

static INLINE v16
load_vector(const float *x, int i, int n, const bool tail)
{
	return tail ? v_load_n(x + i, n) : v_load(x + i);
}

/* acc += a * b in the lanes that have an element */
static INLINE v16
accumulate(v16 a, v16 b, v16 acc, int n, const bool tail)
{
	return tail ? v_first(n, v_fma(a, b, acc), acc) : v_fma(a, b, acc);
}

/* How far ahead of their use the rows of a stream are asked for. */
#define AHEAD_BYTES 1024

static INLINE void
ask_for_element(const void *row, int i, const bool half)
{
	__builtin_prefetch((const char *) row + (size_t) i * (half ? sizeof(uint16_t) : sizeof(float)), 0, 3);
}

/*
 * Tiles of dot products: R rows of w times T vectors x, out[t * 4 + r].  The
 * step over 16 elements is a macro since its sums must be named variables to
 * stay in registers.  "ahead" is what to ask for meanwhile, for each row, or NULL.
 */
#define STEP_4X1(tail) \
	do { \
		if (ahead != NULL && (!half || i % (2 * LANES) == 0)) \
		{ \
			ask_for_element(ahead[0], i, half); \
			ask_for_element(ahead[1], i, half); \
			ask_for_element(ahead[2], i, half); \
			ask_for_element(ahead[3], i, half); \
		} \
		ask_for_line(later); \
		ask_for_line(later); \
		v16			x0 = load_vector(x, i, n - i, tail); \
		s0 = accumulate(load_row(w[0], i, n - i, half, tail), x0, s0, n - i, tail); \
		s1 = accumulate(load_row(w[1], i, n - i, half, tail), x0, s1, n - i, tail); \
		s2 = accumulate(load_row(w[2], i, n - i, half, tail), x0, s2, n - i, tail); \
		s3 = accumulate(load_row(w[3], i, n - i, half, tail), x0, s3, n - i, tail); \
	} while (0)

static INLINE void
dots_4x1(float *out, const void *const *w, const float *x, int n, const bool half,
		 const void *const *ahead, later_rows *later)
{
	v16			s0 = v_set1(0.0f);
	v16			s1 = s0;
	v16			s2 = s0;
	v16			s3 = s0;
	int			i;

	for (i = 0; i < whole(n); i += LANES)
		STEP_4X1(false);
	if (i < n)
		STEP_4X1(true);
	v_sum4(out, s0, s1, s2, s3);
}

#undef STEP_4X1

#if V_TOKENS == 4

#define STEP_TOKEN(t, tail) \
	do { \
		v16			xt = load_vector(x + t * ldx, i, n - i, tail); \
		s##t##0 = accumulate(w0, xt, s##t##0, n - i, tail); \
		s##t##1 = accumulate(w1, xt, s##t##1, n - i, tail); \
		s##t##2 = accumulate(w2, xt, s##t##2, n - i, tail); \
		s##t##3 = accumulate(w3, xt, s##t##3, n - i, tail); \
	} while (0)
#define STEP_4X4(tail) \
	do { \
		v16			w0 = load_row(w[0], i, n - i, half, tail); \
		v16			w1 = load_row(w[1], i, n - i, half, tail); \
		v16			w2 = load_row(w[2], i, n - i, half, tail); \
		v16			w3 = load_row(w[3], i, n - i, half, tail); \
		ask_for_line(later); \
		ask_for_line(later); \
		STEP_TOKEN(0, tail); \
		STEP_TOKEN(1, tail); \
		STEP_TOKEN(2, tail); \
		STEP_TOKEN(3, tail); \
	} while (0)

/* Four rows times four vectors, out[16]. */
static INLINE void
dots_many(float *out, const void *const *w, const float *x, size_t ldx, int n, const bool half,
		  later_rows *later)
{
	v16			s00 = v_set1(0.0f);
	v16			s01 = s00,
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
	int			i;

	for (i = 0; i < whole(n); i += LANES)
		STEP_4X4(false);
	if (i < n)
		STEP_4X4(true);
	v_sum4(out, s00, s01, s02, s03);
	v_sum4(out + 4, s10, s11, s12, s13);
	v_sum4(out + 8, s20, s21, s22, s23);
	v_sum4(out + 12, s30, s31, s32, s33);
}

#undef STEP_4X4
#undef STEP_TOKEN

#else

#define STEP_2X2(tail) \
	do { \
		v16			w0 = load_row(w[0], i, n - i, half, tail); \
		v16			w1 = load_row(w[1], i, n - i, half, tail); \
		v16			x0 = load_vector(x, i, n - i, tail); \
		v16			x1 = load_vector(x + ldx, i, n - i, tail); \
		ask_for_line(later); \
		s00 = accumulate(w0, x0, s00, n - i, tail); \
		s01 = accumulate(w1, x0, s01, n - i, tail); \
		s10 = accumulate(w0, x1, s10, n - i, tail); \
		s11 = accumulate(w1, x1, s11, n - i, tail); \
	} while (0)

/* Two rows times two vectors, out[4] as x0 w0, x0 w1, x1 w0, x1 w1. */
static INLINE void
dots_2x2(float *out, const void *const *w, const float *x, size_t ldx, int n, const bool half,
		 later_rows *later)
{
	v16			s00 = v_set1(0.0f);
	v16			s01 = s00;
	v16			s10 = s00;
	v16			s11 = s00;
	int			i;

	for (i = 0; i < whole(n); i += LANES)
		STEP_2X2(false);
	if (i < n)
		STEP_2X2(true);
	v_sum4(out, s00, s01, s10, s11);
}

#undef STEP_2X2

/* Four rows times two vectors, out[8]. */
static INLINE void
dots_many(float *out, const void *const *w, const float *x, size_t ldx, int n, const bool half,
		  later_rows *later)
{
	float		upper[4];
	float		lower[4];

	dots_2x2(upper, w, x, ldx, n, half, later);
	dots_2x2(lower, w + 2, x, ldx, n, half, later);
	for (int t = 0; t < 2; t++)
	{
		memcpy(out + 4 * t, upper + 2 * t, 2 * sizeof(float));
		memcpy(out + 4 * t + 2, lower + 2 * t, 2 * sizeof(float));
	}
}

#endif							/* V_TOKENS */

/* Up to four sums; all four without a call. */
static INLINE void
store_sums(float *y, const float *sums, int n)
{
	if (n == 4)
		memcpy(y, sums, 4 * sizeof(float));
	else
		memcpy(y, sums, (size_t) n * sizeof(float));
}

/*
 * y[t * ldy + r] = row r of w times vector t of x.  Four rows are four chains
 * of additions and four streams of memory; they stay in the cache while the
 * tokens go by.  A last set of fewer rows repeats its last row and drops the
 * surplus sums.
 */
static INLINE void
dots(float *y, size_t ldy, const void *w, size_t ldw, int n_rows,
	 const float *x, size_t ldx, int n_tokens, int n, const bool half, later_rows *later)
{
	size_t		row_bytes = ldw * (half ? sizeof(uint16_t) : sizeof(float));

	for (int r = 0; r < n_rows; r += 4)
	{
		int			n_out = n_rows - r < 4 ? n_rows - r : 4;
		const void *row[4];
		float		out[4 * V_TOKENS];
		int			t = 0;

		for (int k = 0; k < 4; k++)
			row[k] = (const char *) w + (size_t) (r + (k < n_out ? k : n_out - 1)) * row_bytes;
		for (; t + V_TOKENS <= n_tokens; t += V_TOKENS)
		{
			dots_many(out, row, x + t * ldx, ldx, n, half, later);
			for (int k = 0; k < V_TOKENS; k++)
				store_sums(y + (t + k) * ldy + r, out + 4 * k, n_out);
		}
		for (; t < n_tokens; t++)
		{
			dots_4x1(out, row, x + t * ldx, n, half, NULL, later);
			store_sums(y + t * ldy + r, out, n_out);
		}
	}
}

/*
 * The same for one vector and rows that come from memory: a quarter of the
 * rows is a stream of its own, asked for ahead of its use.
 */
static INLINE void
dots_streamed(float *y, const void *w, size_t ldw, int n_rows, const float *x, int n,
			  const bool half)
{
	size_t		row_bytes = ldw * (half ? sizeof(uint16_t) : sizeof(float));
	int			quarter = n_rows / 4;
	later_rows	none = {0};

	for (int r = 0; r < quarter; r++)
	{
		const void *row[4];
		const void *ahead[4];
		float		out[4];

		for (int k = 0; k < 4; k++)
		{
			row[k] = (const char *) w + (size_t) (r + k * quarter) * row_bytes;
			ahead[k] = (const char *) row[k] + AHEAD_BYTES;
		}
		dots_4x1(out, row, x, n, half, ahead, &none);
		for (int k = 0; k < 4; k++)
			y[r + k * quarter] = out[k];
	}
	dots(y + 4 * quarter, 0, (const char *) w + (size_t) (4 * quarter) * row_bytes, ldw,
		 n_rows - 4 * quarter, x, 0, 1, n, half, &none);
}

static void
attn_scores(float *s, size_t lds, const float *q, size_t ldq, int n_q,
			const uint16_t *k, const uint16_t *next, size_t ldk, int n_pos, int head_dim)
{
	later_rows	later = {next, ldk, next == NULL ? 0 : n_pos, head_dim, 0};

	dots(s, lds, k, ldk, n_pos, q, ldq, n_q, head_dim, true, &later);
}

static INLINE void
matmul(float *y, size_t ldy, const void *w, size_t cols, int n_rows,
	   const float *x, size_t ldx, int n_tokens, const bool half)
{
	later_rows	none = {0};

	if (n_tokens == 1)
		dots_streamed(y, w, cols, n_rows, x, (int) cols, half);
	else
		dots(y, ldy, w, cols, n_rows, x, ldx, n_tokens, (int) cols, half, &none);
}

static void
matmul_f16(float *y, size_t ldy, const uint16_t *w, int cols, int row_begin, int row_end,
		   const float *x, size_t ldx, int n_tokens)
{
	matmul(y + row_begin, ldy, w + (size_t) row_begin * (size_t) cols, (size_t) cols,
		   row_end - row_begin, x, ldx, n_tokens, true);
}

static void
matmul_f32(float *y, size_t ldy, const float *w, int cols, int row_begin, int row_end,
		   const float *x, size_t ldx, int n_tokens)
{
	matmul(y + row_begin, ldy, w + (size_t) row_begin * (size_t) cols, (size_t) cols,
		   row_end - row_begin, x, ldx, n_tokens, false);
}

static void
matmul_f16_listed(float *y, const uint16_t *w, int cols, const int32_t *listed, int n_listed,
				  const float *x)
{
	later_rows	none = {0};
	const void *row[4];

	for (int k = 0; k < 4 && n_listed > 0; k++)
		row[k] = w + (size_t) listed[k < n_listed ? k : n_listed - 1] * (size_t) cols;
	for (int i = 0; i < n_listed; i += 4)
	{
		const void *next[4];
		float		out[4];

		for (int k = 0; k < 4; k++)
			next[k] = w + (size_t) listed[i + 4 + k < n_listed ? i + 4 + k : n_listed - 1] * (size_t) cols;
		dots_4x1(out, row, x, cols, true, next, &none);
		for (int k = 0; k < 4; k++)
		{
			if (i + k < n_listed)
				y[listed[i + k]] = out[k];
			row[k] = next[k];
		}
	}
}

/* The members of a table that are defined here. */
#define LANES_MEMBERS \
	.quantize = quantize, \
	.int6_gemm = int6_gemm, \
	.quant_loss = quant_loss, \
	.rms_norm = rms_norm, \
	.relu2_gate = relu2_gate, \
	.add = add, \
	.rope_neox = rope_neox, \
	.f32_to_f16 = f32_to_f16, \
	.f16_to_f32 = f16_to_f32, \
	.attn_scores = attn_scores, \
	.softmax = softmax, \
	.attn_values = attn_values, \
	.matmul_f16 = matmul_f16, \
	.matmul_f32 = matmul_f32, \
	.matmul_f16_listed = matmul_f16_listed

#endif							/* BN_LANES_H */
