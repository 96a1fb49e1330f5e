/*-------------------------------------------------------------------------
 *
 * test_kernels.c
 *	  Every table of kernels gives the bits of the scalar one, and touches no
 *	  memory but its arrays.
 *
 * What the scalar kernels themselves give is tested in test_scalar.c.  Here
 * each case computes what scalar gives on plain arrays, then runs the table
 * under test on copies that end, and then on copies that begin, at a page that
 * must not be touched.  Outputs are compared with everything around them.
 *
 * test/unit/test_kernels.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE				/* MAP_ANONYMOUS */
#include "tap.h"

#include "../../kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const bn_kernels *scalar;
static const bn_kernels *table;
static uint64_t random_state = 88172645463325252u;

static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* How the numbers of a case are drawn */
typedef enum values
{
	ORDINARY,					/* about -1 .. 1 */
	EXTREME,					/* zeros of both signs, denormals, large values */
	N_VALUES
} values;

static float
random_float(values kind)
{
	float		f = (float) ((double) (next_random() >> 11) * 0x1p-52 - 1.0);

	if (kind == EXTREME)
		switch (next_random() % 8)
		{
			case 0:
				return 0.0f;
			case 1:
				return -0.0f;
			case 2:
				return f * 0x1p-127f;
			case 3:
				return f * 0x1p-70f;
			case 4:
				return f * 0x1p15f;
			case 5:
				return f * 0x1p40f;
			default:
				break;
		}
	return f;
}

static uint16_t
random_half(values kind)
{
	uint16_t	h = (uint16_t) next_random();

	if (kind == EXTREME)
	{
		/* any finite half */
		while ((h & 0x7c00) == 0x7c00)
			h = (uint16_t) next_random();
		return h;
	}
	return (uint16_t) ((h & 0x83ff) | (0x3000 + (next_random() % 4 << 10)));
}

/*
 * An array with a forbidden page behind its last byte (or before its first).
 */
typedef struct guarded
{
	void	   *map;
	size_t		map_bytes;
	void	   *p;
	size_t		bytes;
} guarded;

static size_t
page_size(void)
{
	return (size_t) sysconf(_SC_PAGESIZE);
}

static guarded
guard_copy(const void *from, size_t bytes, bool at_end)
{
	size_t		page = page_size();
	size_t		inner = (bytes + page - 1) / page * page + (bytes == 0 ? page : 0);
	guarded		g;

	g.map_bytes = inner + 2 * page;
	g.bytes = bytes;
	g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g.map == MAP_FAILED)
	{
		perror("mmap");
		exit(1);
	}
	if (mprotect(g.map, page, PROT_NONE) != 0 ||
		mprotect((char *) g.map + page + inner, page, PROT_NONE) != 0)
	{
		perror("mprotect");
		exit(1);
	}
	g.p = (char *) g.map + page + (at_end ? inner - bytes : 0);
	memcpy(g.p, from, bytes);
	return g;
}

static void
guard_free(guarded *g)
{
	munmap(g->map, g->map_bytes);
}

static void *
allocate(size_t bytes)
{
	void	   *p = malloc(bytes + 1);

	if (p == NULL)
	{
		perror("malloc");
		exit(1);
	}
	return p;
}

static float *
random_floats(size_t n, values kind)
{
	float	   *x = allocate(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		x[i] = random_float(kind);
	return x;
}

static uint16_t *
random_halves(size_t n, values kind)
{
	uint16_t   *x = allocate(n * sizeof(uint16_t));

	for (size_t i = 0; i < n; i++)
		x[i] = random_half(kind);
	return x;
}

/* Lengths around the widths of registers, and those of the 2B4T model. */
static const int lengths[] = {
	1, 2, 3, 4, 5, 7, 8, 9, 10, 13, 15, 16, 17, 18, 23, 24, 25, 31, 32, 33, 40,
	47, 48, 49, 63, 64, 65, 79, 96, 100, 127, 128, 129, 250, 640, 1023, 2560, 6912
};
#define N_LENGTHS ((int) (sizeof(lengths) / sizeof(lengths[0])))

/*
 * A test that changes one array of floats, given other arrays of floats.
 */
typedef void (*float_case) (const bn_kernels *k, float *inout, const float *a, const float *b, int n);

static bool
same_floats(float_case run, int n, values kind)
{
	float	   *x = random_floats((size_t) n, kind);
	float	   *a = random_floats((size_t) n, kind);
	float	   *b = random_floats((size_t) n, kind);
	float	   *expected = allocate((size_t) n * sizeof(float));
	size_t		bytes = (size_t) n * sizeof(float);
	bool		same = true;

	memcpy(expected, x, bytes);
	run(scalar, expected, a, b, n);
	for (int at_end = 0; at_end < 2; at_end++)
	{
		guarded		gx = guard_copy(x, bytes, at_end);
		guarded		ga = guard_copy(a, bytes, at_end);
		guarded		gb = guard_copy(b, bytes, at_end);

		run(table, gx.p, ga.p, gb.p, n);
		if (memcmp(gx.p, expected, bytes) != 0 ||
			memcmp(ga.p, a, bytes) != 0 || memcmp(gb.p, b, bytes) != 0)
			same = false;
		guard_free(&gx);
		guard_free(&ga);
		guard_free(&gb);
	}
	free(x);
	free(a);
	free(b);
	free(expected);
	return same;
}

static void
run_rms_norm(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	k->rms_norm(inout, a, b, n, 1e-5f);
}

static void
run_rms_norm_in_place(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	k->rms_norm(inout, inout, b, n, 1e-6f);
}

static void
run_rms_norm_for_sum(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	float		sum = k->rms_norm(inout, a, b, n, 1e-5f);

	if (n > 0)
		inout[0] = sum;
}

static void
run_relu2_gate(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	k->relu2_gate(inout, a, b, n);
}

static void
run_relu2_gate_in_place(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	k->relu2_gate(inout, inout, b, n);
}

static void
run_add(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	k->add(inout, a, n);
}

static void
run_softmax(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	k->softmax(inout, n, 0.125f);
}

static void
run_softmax_wide(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	k->softmax(inout, n, 150.0f);
}

/* The arrays a and b serve as cosine and sine; n is half of a head. */
static void
run_rope_one_head(const bn_kernels *k, float *inout, const float *a, const float *b, int n)
{
	k->rope_neox(inout, a, b, 1, n / 2 * 2);
}

static void
test_floats(const char *name, float_case run)
{
	bool		same = true;
	int			bad = 0;

	for (int kind = 0; kind < N_VALUES; kind++)
		for (int i = 0; i < N_LENGTHS; i++)
			for (int again = 0; again < 3; again++)
				if (!same_floats(run, lengths[i], (values) kind))
				{
					same = false;
					bad = lengths[i];
				}
	ok(same, "%s: %s as scalar (%d)", table->name, name, bad);
}

static void
test_rope_heads(void)
{
	static const int dims[] = {2, 4, 6, 16, 30, 34, 64, 80, 128, 130};
	bool		same = true;

	for (int i = 0; i < 10; i++)
		for (int heads = 1; heads <= 5; heads++)
		{
			size_t		n = (size_t) (heads * dims[i]);
			float	   *x = random_floats(n, ORDINARY);
			float	   *c = random_floats((size_t) dims[i] / 2, ORDINARY);
			float	   *s = random_floats((size_t) dims[i] / 2, ORDINARY);
			guarded		gx = guard_copy(x, n * sizeof(float), heads % 2);
			guarded		gc = guard_copy(c, (size_t) dims[i] / 2 * sizeof(float), heads % 2);
			guarded		gs = guard_copy(s, (size_t) dims[i] / 2 * sizeof(float), heads % 2);

			scalar->rope_neox(x, c, s, heads, dims[i]);
			table->rope_neox(gx.p, gc.p, gs.p, heads, dims[i]);
			same = same && memcmp(gx.p, x, n * sizeof(float)) == 0;
			guard_free(&gx);
			guard_free(&gc);
			guard_free(&gs);
			free(x);
			free(c);
			free(s);
		}
	ok(same, "%s: rope_neox of several heads as scalar", table->name);
}

/* A NaN's sign is nobody's concern, but it must quantise to zero. */
static void
test_quantize(void)
{
	bool		same = true;
	bool		padded = true;

	for (int kind = 0; kind < N_VALUES + 2; kind++)
		for (int i = 0; i < N_LENGTHS; i++)
			for (int at_end = 0; at_end < 2; at_end++)
			{
				int			n = lengths[i];
				int			levels = next_random() % 2 ? BN_INT8_MAX : BN_INT6_MAX;
				size_t		stride = bn_quant_stride((size_t) n);
				float	   *x = random_floats((size_t) n, kind < N_VALUES ? (values) kind : ORDINARY);
				int8_t	   *q = allocate(stride);
				bn_quant	expected;
				bn_quant	info;
				guarded		gx;
				guarded		gq;
				guarded		gi;

				if (kind == N_VALUES)
					x[next_random() % (uint64_t) n] = NAN;
				if (kind == N_VALUES + 1)
					x[next_random() % (uint64_t) n] = -INFINITY;
				memset(q, 0x55, stride);
				gx = guard_copy(x, (size_t) n * sizeof(float), at_end);
				gq = guard_copy(q, stride, at_end);
				gi = guard_copy(&expected, sizeof(bn_quant), at_end);
				scalar->quantize(q, &expected, x, n, levels);
				table->quantize(gq.p, gi.p, gx.p, n, levels);
				memcpy(&info, gi.p, sizeof(info));
				same = same && memcmp(q, gq.p, stride) == 0 &&
					memcmp(&info.scale, &expected.scale, sizeof(float)) == 0 &&
					info.sum == expected.sum;
				for (size_t k = (size_t) n; k < stride; k++)
					padded = padded && ((int8_t *) gq.p)[k] == 0;
				guard_free(&gx);
				guard_free(&gq);
				guard_free(&gi);
				free(x);
				free(q);
			}
	ok(same, "%s: quantize as scalar", table->name);
	ok(padded, "%s: quantize pads with zeros", table->name);
}

/*
 * Conversions: all halves, every 1021st float and those around the limits of
 * half precision; NaNs too.
 */
static void
test_conversions(void)
{
	enum
	{
		CHUNK = 4096
	};
	static uint16_t halves[65536];
	static float expected[65536];
	static float got[65536];
	static uint16_t half_expected[CHUNK];
	static uint16_t half_got[CHUNK];
	static float x[CHUNK];
	uint64_t	bits = 0;
	bool		same = true;

	for (int i = 0; i < 65536; i++)
		halves[i] = (uint16_t) i;
	scalar->f16_to_f32(expected, halves, 65536);
	table->f16_to_f32(got, halves, 65536);
	ok(memcmp(expected, got, sizeof(got)) == 0, "%s: f16_to_f32 of all halves as scalar", table->name);

	while (bits < (uint64_t) 1 << 32)
	{
		for (int i = 0; i < CHUNK; i++)
		{
			uint32_t	b = (uint32_t) bits;

			memcpy(&x[i], &b, sizeof(b));
			bits += 1021;
		}
		scalar->f32_to_f16(half_expected, x, CHUNK);
		table->f32_to_f16(half_got, x, CHUNK);
		same = same && memcmp(half_expected, half_got, sizeof(half_got)) == 0;
	}
	ok(same, "%s: f32_to_f16 of floats of all sizes as scalar", table->name);

	same = true;
	for (int h = 0; h < 0x7c00; h++)
		for (int sign = 0; sign < 2; sign++)
		{
			/* a half, the middle to the next one, and what lies beside that */
			float		low;
			float		high;
			float		middle;
			uint16_t	pair[2] = {(uint16_t) (h | sign << 15), (uint16_t) ((h + 1) | sign << 15)};
			float		v[2];

			scalar->f16_to_f32(v, pair, 2);
			low = v[0];
			high = h == 0x7bff ? (sign ? -65536.0f : 65536.0f) : v[1];
			middle = (low + high) / 2;
			x[0] = low;
			x[1] = nextafterf(low, high);
			x[2] = nextafterf(middle, low);
			x[3] = middle;
			x[4] = nextafterf(middle, high);
			scalar->f32_to_f16(half_expected, x, 5);
			table->f32_to_f16(half_got, x, 5);
			same = same && memcmp(half_expected, half_got, 5 * sizeof(uint16_t)) == 0;
		}
	ok(same, "%s: f32_to_f16 around every tie as scalar", table->name);

	same = true;
	for (int i = 0; i < N_LENGTHS; i++)
		for (int at_end = 0; at_end < 2; at_end++)
		{
			size_t		n = (size_t) lengths[i];
			float	   *f = random_floats(n, EXTREME);
			uint16_t   *h = random_halves(n, EXTREME);
			guarded		gf = guard_copy(f, n * sizeof(float), at_end);
			guarded		gh = guard_copy(h, n * sizeof(uint16_t), at_end);

			table->f32_to_f16(gh.p, gf.p, (int) n);
			scalar->f32_to_f16(h, f, (int) n);
			same = same && memcmp(gh.p, h, n * sizeof(uint16_t)) == 0;
			table->f16_to_f32(gf.p, gh.p, (int) n);
			scalar->f16_to_f32(f, h, (int) n);
			same = same && memcmp(gf.p, f, n * sizeof(float)) == 0;
			guard_free(&gf);
			guard_free(&gh);
			free(f);
			free(h);
		}
	ok(same, "%s: conversions of all lengths as scalar", table->name);
}

/* How the weights and activations of a ternary case are drawn */
typedef enum ternary_values
{
	TERNARY_RANDOM,
	TERNARY_HIGHEST,			/* all +1 times all 127: the largest sums */
	TERNARY_LOWEST,				/* all +1 times all -128 */
	TERNARY_NEGATED,			/* all -1 times all -128 */
	TERNARY_EDGES				/* -1, 0, +1 times -128 and 127 */
} ternary_values;

/* Which of the layouts, and the functions for it */
typedef struct ternary_layout
{
	const char *name;
	bool		five;
	bn_ternary_gemm gemm;
	bn_ternary_gemm expected;
} ternary_layout;

/* One product; rows and groups outside the range must stay as they were. */
static bool
same_ternary(const ternary_layout *layout, int rows, int cols, int group_begin, int group_end,
			 int n_tokens, ternary_values kind)
{
	size_t		w_bytes = layout->five ? bn_ternary5_bytes((size_t) rows, (size_t) cols) :
		bn_ternary_bytes((size_t) rows, (size_t) cols);
	size_t		stride = bn_quant_stride((size_t) cols);
	size_t		q_bytes = stride * (size_t) n_tokens;
	size_t		ldy = (size_t) rows + next_random() % 5;
	size_t		y_bytes = (((size_t) n_tokens - 1) * ldy + (size_t) rows) * sizeof(float);
	uint8_t    *w = allocate(w_bytes);
	int8_t	   *q = allocate(q_bytes);
	float	   *y = random_floats(y_bytes / sizeof(float), ORDINARY);
	bn_quant   *info = allocate((size_t) n_tokens * sizeof(bn_quant));
	float	   *expected = allocate(y_bytes);
	bool		same = true;

	/* all codes 0 .. 2 at once; what is in the padding must not matter */
	for (size_t i = 0; i < w_bytes; i++)
		w[i] = kind == TERNARY_NEGATED ? 0 : layout->five ? bn_ternary5_encode(80, 2) : 0xaa;
	if (kind == TERNARY_RANDOM || kind == TERNARY_EDGES)
		for (size_t i = 0; i < w_bytes; i++)
		{
			uint64_t	r = next_random();

			w[i] = layout->five ? bn_ternary5_encode((int) (r % 81), (int) ((r >> 8) % 3)) :
				(uint8_t) (r % 3 | (r >> 8) % 3 << 2 | (r >> 16) % 3 << 4 | (r >> 24) % 3 << 6);
		}
	memset(q, 0, q_bytes);
	for (int t = 0; t < n_tokens; t++)
	{
		info[t].scale = random_float(ORDINARY);
		info[t].sum = 0;
		for (int c = 0; c < cols; c++)
		{
			int			v = (int) (next_random() % 256) - 128;

			if (kind == TERNARY_HIGHEST)
				v = 127;
			if (kind == TERNARY_LOWEST || kind == TERNARY_NEGATED)
				v = -128;
			if (kind == TERNARY_EDGES)
				v = v < 0 ? -128 : 127;
			q[(size_t) t * stride + (size_t) c] = (int8_t) v;
			info[t].sum += v;
		}
	}
	memcpy(expected, y, y_bytes);
	layout->expected(expected, ldy, w, rows, cols, 1.7f, group_begin, group_end, q, info, n_tokens);
	for (int at_end = 0; at_end < 2; at_end++)
	{
		guarded		gw = guard_copy(w, w_bytes, at_end);
		guarded		gq = guard_copy(q, q_bytes, at_end);
		guarded		gy = guard_copy(y, y_bytes, at_end);
		guarded		gi = guard_copy(info, (size_t) n_tokens * sizeof(bn_quant), at_end);

		layout->gemm(gy.p, ldy, gw.p, rows, cols, 1.7f, group_begin, group_end,
					 gq.p, gi.p, n_tokens);
		same = same && memcmp(gy.p, expected, y_bytes) == 0;
		guard_free(&gw);
		guard_free(&gq);
		guard_free(&gy);
		guard_free(&gi);
	}
	free(w);
	free(q);
	free(y);
	free(info);
	free(expected);
	return same;
}

static void
test_ternary(const ternary_layout *layout)
{
	static const int rows[] = {1, 15, 16, 17, 33, 48, 64, 79, 80, 97, 112, 130};
	static const int cols[] = {1, 15, 16, 17, 64, 100, 159, 160, 161, 257, 336, 340, 401};
	static const int tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31, 64, 65, 67, 130};
	bool		same = true;
	char		bad[80] = "";

	for (int r = 0; r < 12; r++)
		for (int c = 0; c < 13; c++)
			for (int k = 0; k < 3; k++)
			{
				int			n = tokens[next_random() % 18];
				int			groups = (int) bn_ternary_groups((size_t) rows[r]);
				int			begin = k == 0 ? 0 : (int) (next_random() % (uint64_t) groups);
				int			end = k == 0 ? groups :
					begin + (int) (next_random() % (uint64_t) (groups - begin + 1));

				if (!same_ternary(layout, rows[r], cols[c], begin, end, k == 2 ? 1 : n,
								  next_random() % 2 ? TERNARY_RANDOM : TERNARY_EDGES))
				{
					same = false;
					snprintf(bad, sizeof(bad), "%d x %d, groups %d to %d, %d tokens",
							 rows[r], cols[c], begin, end, k == 2 ? 1 : n);
				}
			}
	ok(same, "%s: %s of many shapes as scalar %s", table->name, layout->name, bad);

	same = true;
	for (int n = 1; n <= 72; n++)
		same = same && same_ternary(layout, 35, 200, 0, 3, n, TERNARY_RANDOM) &&
			same_ternary(layout, 100, 200, 0, 7, n, TERNARY_RANDOM);
	ok(same, "%s: %s of 1 to 72 tokens as scalar", table->name, layout->name);

	ok(same_ternary(layout, 640, 2560, 0, 40, 1, TERNARY_RANDOM) &&
	   same_ternary(layout, 640, 2560, 13, 27, 11, TERNARY_RANDOM) &&
	   same_ternary(layout, 64, 6912, 0, 4, 9, TERNARY_RANDOM) &&
	   same_ternary(layout, 6912, 2560, 400, 432, 1, TERNARY_RANDOM) &&
	   same_ternary(layout, 2560, 6912, 150, 160, 2, TERNARY_RANDOM) &&
	   same_ternary(layout, 2560, 256, 3, 159, 33, TERNARY_EDGES),
	   "%s: %s of the shapes of 2B4T as scalar", table->name, layout->name);

	ok(same_ternary(layout, 64, 6912, 0, 4, 1, TERNARY_HIGHEST) &&
	   same_ternary(layout, 64, 6912, 0, 4, 1, TERNARY_LOWEST) &&
	   same_ternary(layout, 32, 6912, 0, 2, 3, TERNARY_HIGHEST) &&
	   same_ternary(layout, 32, 6912, 0, 2, 3, TERNARY_LOWEST) &&
	   same_ternary(layout, 32, 6912, 0, 2, 10, TERNARY_HIGHEST) &&
	   same_ternary(layout, 32, 6912, 0, 2, 10, TERNARY_LOWEST) &&
	   same_ternary(layout, 112, 6912, 0, 7, 16, TERNARY_HIGHEST) &&
	   same_ternary(layout, 112, 6912, 0, 7, 16, TERNARY_LOWEST) &&
	   same_ternary(layout, 112, 6912, 0, 7, 16, TERNARY_NEGATED) &&
	   same_ternary(layout, 64, 6912, 0, 4, 1, TERNARY_NEGATED) &&
	   same_ternary(layout, 32, 6912, 0, 2, 10, TERNARY_NEGATED) &&
	   same_ternary(layout, 16, 65536, 0, 1, 1, TERNARY_LOWEST),
	   "%s: %s of the largest sums as scalar", table->name, layout->name);
}

/*
 * A product with six bits: as same_ternary.  Kind 0 is random, 2 has high parts for few
 * values only, -1 and 1 have all values the largest.
 */
static bool
same_int6(int rows, int cols, int group_begin, int group_end, int n_tokens, int kind)
{
	size_t		w_bytes = bn_int6_bytes((size_t) rows, (size_t) cols);
	size_t		stride = bn_quant_stride((size_t) cols);
	size_t		x_bytes = 2 * stride * (size_t) n_tokens;
	size_t		ldy = (size_t) rows + next_random() % 5;
	size_t		y_bytes = (((size_t) n_tokens - 1) * ldy + (size_t) rows) * sizeof(float);
	size_t		scale_bytes = (size_t) rows * sizeof(float);
	int			exact = INT32_MAX / (BN_INT6_MAX * cols);
	int			limit = exact < 127 * 127 ? exact : 127 * 127;
	uint8_t    *w = allocate(w_bytes);
	int8_t	   *x = allocate(x_bytes);
	float	   *y = random_floats(y_bytes / sizeof(float), ORDINARY);
	float	   *row_scale = random_floats((size_t) rows, ORDINARY);
	float	   *x_scale = random_floats((size_t) n_tokens, ORDINARY);
	float	   *expected = allocate(y_bytes);
	bool		same = true;

	/* the three lines of a tile in which all codes are 1, and 63 */
	static const uint8_t same_codes[2][3] = {{0x41, 0x01, 0x01}, {0xff, 0xff, 0xff}};

	for (size_t i = 0; i < w_bytes; i++)
		w[i] = kind == 0 || kind == 2 ? (uint8_t) next_random() : same_codes[kind > 0][i / 64 % 3];
	memset(x, 0, x_bytes);
	for (int t = 0; t < n_tokens; t++)
		for (int c = 0; c < cols; c++)
		{
			int			most = kind == 2 && next_random() % 64 != 0 ? 127 : limit;
			int			v = kind % 2 == 0 ? (int) (next_random() % (uint64_t) (2 * most + 1)) - most : most;
			int			low = most == 127 ? v : (v + 64 + 128 * 128) % 128 - 64;

			x[2 * (size_t) t * stride + (size_t) c] = (int8_t) ((v - low) / 128);
			x[(2 * (size_t) t + 1) * stride + (size_t) c] = (int8_t) low;
		}
	memcpy(expected, y, y_bytes);
	scalar->int6_gemm(expected, ldy, w, rows, cols, row_scale, group_begin, group_end,
					  x, x_scale, n_tokens);
	for (int at_end = 0; at_end < 2; at_end++)
	{
		guarded		gw = guard_copy(w, w_bytes, at_end);
		guarded		gx = guard_copy(x, x_bytes, at_end);
		guarded		gy = guard_copy(y, y_bytes, at_end);
		guarded		gs = guard_copy(row_scale, scale_bytes, at_end);

		table->int6_gemm(gy.p, ldy, gw.p, rows, cols, gs.p, group_begin, group_end,
						 gx.p, x_scale, n_tokens);
		same = same && memcmp(gy.p, expected, y_bytes) == 0;
		guard_free(&gw);
		guard_free(&gx);
		guard_free(&gy);
		guard_free(&gs);
	}
	free(w);
	free(x);
	free(y);
	free(row_scale);
	free(x_scale);
	free(expected);
	return same;
}

static void
test_int6(void)
{
	static const int rows[] = {1, 15, 16, 17, 33, 64, 79, 97};
	static const int cols[] = {1, 3, 4, 5, 64, 99, 160, 257};
	bool		same = true;

	for (int r = 0; r < 8; r++)
		for (int c = 0; c < 8; c++)
			for (int k = 0; k < 3; k++)
			{
				int			groups = (int) bn_ternary_groups((size_t) rows[r]);
				int			begin = k == 0 ? 0 : (int) (next_random() % (uint64_t) groups);
				int			end = k == 0 ? groups :
					begin + (int) (next_random() % (uint64_t) (groups - begin + 1));

				same = same && same_int6(rows[r], cols[c], begin, end,
										 k == 2 ? 1 : 1 + (int) (next_random() % 20),
										 next_random() % 2 == 0 ? 0 : 2);
			}
	for (int n = 1; n <= 18; n++)
		same = same && same_int6(35, 200, 0, 3, n, 0) && same_int6(35, 2560, 0, 3, n, 2);
	ok(same, "%s: int6_gemm of many shapes as scalar", table->name);
	ok(same_int6(320, 2560, 0, 20, 1, 0) && same_int6(320, 2560, 3, 19, 9, 0) &&
	   same_int6(64, 2560, 0, 4, 1, 1) && same_int6(64, 2560, 0, 4, 1, -1) &&
	   same_int6(64, 2560, 0, 4, 8, 1) && same_int6(32, 2560, 0, 2, 3, -1) &&
	   same_int6(64, 65536, 0, 4, 1, 1) && same_int6(16, 65536, 0, 1, 2, -1) &&
	   same_int6(32, 65536, 0, 2, 3, 0),
	   "%s: int6_gemm of large shapes and the largest sums as scalar", table->name);
}

static void
test_quant_loss(void)
{
	bool		same = true;

	for (int n = 1; n <= 300; n++)
		for (int kind = ORDINARY; kind < N_VALUES; kind++)
		{
			float	   *x = random_floats((size_t) n, (values) kind);
			int8_t	   *q = allocate(bn_quant_stride((size_t) n));
			guarded		gx = guard_copy(x, (size_t) n * sizeof(float), n % 2);
			guarded		gq;
			bn_quant	info;
			float		expected[2];
			float		sums[2];

			scalar->quantize(q, &info, x, n, BN_INT8_MAX);
			gq = guard_copy(q, bn_quant_stride((size_t) n), n % 2);
			scalar->quant_loss(expected, x, q, info.scale, n);
			table->quant_loss(sums, gx.p, gq.p, info.scale, n);
			same = same && memcmp(sums, expected, sizeof(sums)) == 0;
			guard_free(&gx);
			guard_free(&gq);
			free(x);
			free(q);
		}
	ok(same, "%s: quant_loss of 1 to 300 values as scalar", table->name);
}

/*
 * Scores, values and dense products share one shape: n_rows rows of n values
 * (half or float) with stride ld_row, n_vectors vectors with stride ld.
 */
typedef enum dense_kind
{
	SCORES, VALUES, MATMUL_F16, MATMUL_F32, MATMUL_F16_LISTED
} dense_kind;

static void
run_dense(const bn_kernels *k, dense_kind kind, float *y, size_t ldy, const void *rows,
		  size_t ld_row, int row_begin, int row_end,
		  const float *x, size_t ldx, int n_vectors, int n)
{
	int32_t		listed[64];

	switch (kind)
	{
		case SCORES:
			k->attn_scores(y, ldy, x, ldx, n_vectors, rows, rows, ld_row, row_end, n);
			break;
		case VALUES:
			k->attn_values(y, ldy, x, ldx, n_vectors, rows, rows, ld_row, row_end, n);
			break;
		case MATMUL_F16:
			k->matmul_f16(y, ldy, rows, n, row_begin, row_end, x, ldx, n_vectors);
			break;
		case MATMUL_F32:
			k->matmul_f32(y, ldy, rows, n, row_begin, row_end, x, ldx, n_vectors);
			break;
		case MATMUL_F16_LISTED:
			for (int r = row_begin; r < row_end; r++)
				listed[row_end - 1 - r] = r;
			for (int t = 0; t < n_vectors; t++)
				k->matmul_f16_listed(y + (size_t) t * ldy, rows, n, listed, row_end - row_begin,
									 x + (size_t) t * ldx);
			break;
	}
}

static bool
same_dense(dense_kind kind, int n_rows, int n, int n_vectors, values drawn)
{
	bool		attention = kind == SCORES || kind == VALUES;
	size_t		element = kind == MATMUL_F32 ? sizeof(float) : sizeof(uint16_t);
	size_t		ld_row = (size_t) n + (attention ? next_random() % 4 : 0);
	size_t		n_weights = ((size_t) n_rows - 1) * ld_row + (size_t) n;
	int			x_len = kind == VALUES ? n_rows : n;
	int			y_len = kind == VALUES ? n : n_rows;
	size_t		ldx = (size_t) x_len + next_random() % 4;
	size_t		ldy = (size_t) y_len + next_random() % 4;
	size_t		n_x = ((size_t) n_vectors - 1) * ldx + (size_t) x_len;
	size_t		n_y = ((size_t) n_vectors - 1) * ldy + (size_t) y_len;
	int			begin = attention ? 0 : (int) (next_random() % 3) % n_rows;
	int			end = attention ? n_rows : n_rows - (int) (next_random() % 3) % (n_rows - begin);
	void	   *w = kind == MATMUL_F32 ? (void *) random_floats(n_weights, drawn) :
		(void *) random_halves(n_weights, drawn);
	float	   *x = random_floats(n_x, drawn);
	float	   *y = random_floats(n_y, drawn);
	float	   *expected = allocate(n_y * sizeof(float));
	bool		same = true;

	memcpy(expected, y, n_y * sizeof(float));
	run_dense(scalar, kind, expected, ldy, w, ld_row, begin, end, x, ldx, n_vectors, n);
	for (int at_end = 0; at_end < 2; at_end++)
	{
		guarded		gw = guard_copy(w, n_weights * element, at_end);
		guarded		gx = guard_copy(x, n_x * sizeof(float), at_end);
		guarded		gy = guard_copy(y, n_y * sizeof(float), at_end);

		run_dense(table, kind, gy.p, ldy, gw.p, ld_row, begin, end, gx.p, ldx, n_vectors, n);
		same = same && memcmp(gy.p, expected, n_y * sizeof(float)) == 0;
		guard_free(&gw);
		guard_free(&gx);
		guard_free(&gy);
	}
	free(w);
	free(x);
	free(y);
	free(expected);
	return same;
}

static void
test_dense(const char *name, dense_kind kind)
{
	static const int n_rows[] = {1, 2, 3, 4, 5, 7, 8, 11, 16, 33};
	static const int n_vectors[] = {1, 2, 3, 4, 5, 6, 8, 9, 13};
	static const int dims[] = {2, 4, 6, 8, 14, 16, 18, 30, 32, 34, 50, 64, 80, 96, 126, 128, 130, 256};
	bool		same = true;
	char		bad[80] = "";

	for (int r = 0; r < 10; r++)
		for (int v = 0; v < 9; v++)
			for (int again = 0; again < 4; again++)
			{
				int			n = dims[next_random() % 18];

				if (!same_dense(kind, n_rows[r], n, n_vectors[v], (values) (again % N_VALUES)))
				{
					same = false;
					snprintf(bad, sizeof(bad), "%d rows of %d, %d vectors",
							 n_rows[r], n, n_vectors[v]);
				}
			}
	ok(same, "%s: %s of many shapes as scalar %s", table->name, name, bad);

	same = true;
	for (int i = 0; i < N_LENGTHS; i++)
		same = same && same_dense(kind, 5, lengths[i], 1 + i % 5, ORDINARY);
	ok(same, "%s: %s of all lengths as scalar", table->name, name);
}

/*
 * Products that vanish below zero leave -0 in all lanes.  A tail must not touch
 * the lanes it does not reach: adding a padded +0 would lose the sign.
 */
static void
test_negative_zero(void)
{
	bool		same = true;

	for (int n = 17; n < 32; n++)
	{
		float		w[32];
		float		x[32];
		float		y = 1.0f;
		float		expected = 1.0f;

		for (int i = 0; i < n; i++)
		{
			w[i] = -0x1p-100f;
			x[i] = 0x1p-100f;
		}
		scalar->matmul_f32(&expected, 1, w, n, 0, 1, x, (size_t) n, 1);
		table->matmul_f32(&y, 1, w, n, 0, 1, x, (size_t) n, 1);
		same = same && signbit(expected) && memcmp(&y, &expected, sizeof(y)) == 0;
	}
	ok(same, "%s: a tail keeps the -0 of lanes without an element", table->name);
}

static void
test_table(void)
{
	test_floats("rms_norm", run_rms_norm);
	test_floats("rms_norm in place", run_rms_norm_in_place);
	test_floats("sum of rms_norm", run_rms_norm_for_sum);
	test_floats("relu2_gate", run_relu2_gate);
	test_floats("relu2_gate in place", run_relu2_gate_in_place);
	test_floats("add", run_add);
	test_floats("softmax", run_softmax);
	test_floats("softmax over a wide range", run_softmax_wide);
	test_floats("rope_neox", run_rope_one_head);
	test_rope_heads();
	test_quantize();
	test_conversions();
	test_ternary(&(ternary_layout) {"ternary_gemm", false, table->ternary_gemm, scalar->ternary_gemm});
	test_ternary(&(ternary_layout) {"ternary5_gemm", true, table->ternary5_gemm, scalar->ternary5_gemm});
	test_int6();
	test_quant_loss();
	test_dense("attn_scores", SCORES);
	test_dense("attn_values", VALUES);
	test_dense("matmul_f16", MATMUL_F16);
	test_dense("matmul_f32", MATMUL_F32);
	test_dense("matmul_f16_listed", MATMUL_F16_LISTED);
	test_negative_zero();
}

/* The first table of the list that this CPU supports is the default. */
static void
test_selection(void)
{
	const bn_kernels *best = NULL;

	for (int i = 0; bn_kernels_list[i] != NULL; i++)
	{
		const bn_kernels *k = bn_kernels_list[i];
		bool		supported = k->supported();

		if (supported && best == NULL)
			best = k;
		ok(bn_kernels_select(k->name) == (supported ? k : NULL), "%s is %s by name", k->name,
		   supported ? "chosen" : "refused");
	}
	ok(bn_kernels_select(NULL) == best && best != NULL, "the default is the best, %s", best->name);
	ok(bn_kernels_select("auto") == best, "auto is the same");
	ok(bn_kernels_select("mmx") == NULL, "an unknown name is refused");
	ok(bn_kernels_select("") == NULL, "an empty name is refused");
}

int
main(void)
{
	test_selection();
	scalar = bn_kernels_select("scalar");
	if (scalar == NULL)
		return 1;
	for (int i = 0; bn_kernels_list[i] != NULL; i++)
	{
		table = bn_kernels_list[i];
		if (table == scalar)
			continue;
		if (table->supported())
			test_table();
		else
			skip("%s: not supported by this machine", table->name);
	}
	return done_testing();
}
