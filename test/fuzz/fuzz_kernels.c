/*-------------------------------------------------------------------------
 *
 * fuzz_kernels.c
 *	  Fuzzing: every table this CPU supports gives the bits of scalar.
 *
 * The first bytes of the input choose a kernel and the shape, the rest are the
 * values, taken as they are as far as the kernel allows.  Every array is a
 * block of exactly its size.  Outputs that are not finite are unspecified and
 * not compared.
 *
 * test/fuzz/fuzz_kernels.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "../../kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHAPE_BYTES 12
#define MAX_WORK (1 << 18)		/* products in one call */
#define MAX_ARRAYS 16

typedef enum kernel
{
	QUANTIZE, TERNARY_GEMM, INT6_GEMM, QUANT_LOSS, RMS_NORM, RELU2_GATE, ADD, ROPE_NEOX,
	F32_TO_F16, F16_TO_F32, MATMUL_F16_LISTED, ATTN_SCORES, SOFTMAX, ATTN_VALUES, MATMUL_F16,
	MATMUL_F32, TERNARY5_GEMM, N_KERNELS
} kernel;

/* Whoever adds a kernel to the table adds it here. */
_Static_assert(offsetof(bn_kernels, quantize) + N_KERNELS * sizeof(void (*) (void)) ==
			   sizeof(bn_kernels), "all kernels of the table");

/* The values of an input, over and over; zeros if there are none. */
typedef struct input
{
	const uint8_t *data;
	size_t		size;
	size_t		next;
} input;

/* A call without the table it goes to, and without its output */
typedef struct call
{
	kernel		which;
	int			n;				/* values, columns, or dimensions of a head */
	int			rows;			/* or positions, or heads */
	int			n_vectors;		/* tokens or queries */
	int			begin;			/* rows, or groups of 16 */
	int			end;
	bool		in_place;
	float		scale;
	size_t		ldx;
	size_t		ldy;
	size_t		ldw;
	const void *x;
	const void *w;
	const void *next;			/* keys or values of a later call */
	const void *row_scale;
	const int32_t *listed;		/* [rows] of rows */
	const void *token_scale;	/* floats, or bn_quants */
} call;

static void *arrays[MAX_ARRAYS];
static int	n_arrays;

static void *
allocate(size_t bytes)
{
	void	   *p = malloc(bytes);

	if (p == NULL || n_arrays == MAX_ARRAYS)
		abort();
	return arrays[n_arrays++] = p;
}

static uint8_t
next_byte(input *in)
{
	return in->size == 0 ? 0 : in->data[in->next++ % in->size];
}

static void *
any_bytes(size_t bytes, input *in)
{
	uint8_t    *p = allocate(bytes);

	for (size_t i = 0; i < bytes; i++)
		p[i] = next_byte(in);
	return p;
}

static float *
finite_floats(size_t n, input *in)
{
	float	   *x = any_bytes(n * sizeof(float), in);

	for (size_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			x[i] = 0.0f;
	return x;
}

/* Rows of n int8, padded with zeros */
static int8_t *
padded_rows(size_t rows, size_t n, input *in)
{
	size_t		stride = bn_quant_stride(n);
	int8_t	   *q = allocate(rows * stride);

	memset(q, 0, rows * stride);
	for (size_t r = 0; r < rows; r++)
		for (size_t i = 0; i < n; i++)
			q[r * stride + i] = (int8_t) next_byte(in);
	return q;
}

/* The elements of rows with a stride, of which the last ends where it ends */
static size_t
strided(int rows, size_t ld, int n)
{
	return (size_t) (rows - 1) * ld + (size_t) n;
}

/*
 * Makes the arrays that the call reads; returns the bytes of its output, and
 * whether that is of floats.
 */
static size_t
prepare(call *c, input *in, bool *floats)
{
	size_t		n = (size_t) c->n;
	int			x_length;
	int			y_length;
	const float *scale;
	bn_quant   *info;
	int32_t    *listed;

	*floats = true;
	switch (c->which)
	{
		case QUANTIZE:
			*floats = false;
			c->x = any_bytes(n * sizeof(float), in);
			return bn_quant_stride(n);
		case F32_TO_F16:
			*floats = false;
			c->x = any_bytes(n * sizeof(float), in);
			return n * sizeof(uint16_t);
		case F16_TO_F32:
			c->x = any_bytes(n * sizeof(uint16_t), in);
			return n * sizeof(float);
		case QUANT_LOSS:
			c->x = finite_floats(n, in);
			c->w = padded_rows(1, n, in);
			return 2 * sizeof(float);
		case ROPE_NEOX:
			c->n = c->n / 2 * 2 + 2;
			c->x = finite_floats((size_t) c->n / 2, in);
			c->w = finite_floats((size_t) c->n / 2, in);
			return (size_t) c->rows * (size_t) c->n * sizeof(float);
		case RMS_NORM:
		case RELU2_GATE:
		case ADD:
		case SOFTMAX:
			c->x = finite_floats(n, in);
			c->w = finite_floats(n, in);
			return n * sizeof(float);
		case TERNARY_GEMM:
		case TERNARY5_GEMM:
			c->ldy += (size_t) c->rows;
			c->w = any_bytes(c->which == TERNARY_GEMM ? bn_ternary_bytes((size_t) c->rows, n) :
							 bn_ternary5_bytes((size_t) c->rows, n), in);
			c->x = padded_rows((size_t) c->n_vectors, n, in);
			c->token_scale = info = allocate((size_t) c->n_vectors * sizeof(bn_quant));
			scale = finite_floats((size_t) c->n_vectors, in);
			for (int t = 0; t < c->n_vectors; t++)
			{
				info[t] = (bn_quant) {scale[t], 0};
				for (int i = 0; i < c->n; i++)
					info[t].sum += ((const int8_t *) c->x)[(size_t) t * bn_quant_stride(n) + (size_t) i];
			}
			return strided(c->n_vectors, c->ldy, c->rows) * sizeof(float);
		case INT6_GEMM:
			c->n = 1 + c->n % 1000; /* sums within int32 */
			n = (size_t) c->n;
			c->ldy += (size_t) c->rows;
			c->w = any_bytes(bn_int6_bytes((size_t) c->rows, n), in);
			c->x = padded_rows(2 * (size_t) c->n_vectors, n, in);
			c->row_scale = finite_floats((size_t) c->rows, in);
			c->token_scale = finite_floats((size_t) c->n_vectors, in);
			return strided(c->n_vectors, c->ldy, c->rows) * sizeof(float);
		case ATTN_SCORES:
		case ATTN_VALUES:
			c->ldw += n;
			c->w = any_bytes(strided(c->rows, c->ldw, c->n) * sizeof(uint16_t), in);
			c->next = c->begin == 0 ? NULL : c->begin == 1 ? c->w :
				any_bytes(strided(c->rows, c->ldw, c->n) * sizeof(uint16_t), in);
			x_length = c->which == ATTN_SCORES ? c->n : c->rows;
			y_length = c->which == ATTN_SCORES ? c->rows : c->n;
			c->ldx += (size_t) x_length;
			c->ldy += (size_t) y_length;
			c->x = finite_floats(strided(c->n_vectors, c->ldx, x_length), in);
			return strided(c->n_vectors, c->ldy, y_length) * sizeof(float);
		default:				/* MATMUL_F16, MATMUL_F32, MATMUL_F16_LISTED */
			c->ldx += n;
			c->ldy += (size_t) c->rows;
			c->w = c->which != MATMUL_F32 ? any_bytes((size_t) c->rows * n * sizeof(uint16_t), in) :
				(void *) finite_floats((size_t) c->rows * n, in);
			c->x = finite_floats(strided(c->n_vectors, c->ldx, c->n), in);
			c->listed = listed = allocate((size_t) c->rows * sizeof(int32_t));
			for (int r = 0; r < c->rows; r++)
				listed[r] = next_byte(in) % c->rows;
			return strided(c->n_vectors, c->ldy, c->rows) * sizeof(float);
	}
}

static void
run(const bn_kernels *k, const call *c, void *y, bn_quant *info)
{
	switch (c->which)
	{
		case QUANTIZE:
			k->quantize(y, info, c->x, c->n, c->in_place ? BN_INT6_MAX : BN_INT8_MAX);
			break;
		case TERNARY_GEMM:
			k->ternary_gemm(y, c->ldy, c->w, c->rows, c->n, c->scale, c->begin, c->end,
							c->x, c->token_scale, c->n_vectors);
			break;
		case TERNARY5_GEMM:
			k->ternary5_gemm(y, c->ldy, c->w, c->rows, c->n, c->scale, c->begin, c->end,
							 c->x, c->token_scale, c->n_vectors);
			break;
		case INT6_GEMM:
			k->int6_gemm(y, c->ldy, c->w, c->rows, c->n, c->row_scale, c->begin, c->end,
						 c->x, c->token_scale, c->n_vectors);
			break;
		case QUANT_LOSS:
			k->quant_loss(y, c->x, c->w, c->scale, c->n);
			break;
		case RMS_NORM:
			k->rms_norm(y, c->in_place ? y : c->x, c->w, c->n, c->scale);
			break;
		case RELU2_GATE:
			k->relu2_gate(y, c->in_place ? y : c->x, c->w, c->n);
			break;
		case ADD:
			k->add(y, c->x, c->n);
			break;
		case ROPE_NEOX:
			k->rope_neox(y, c->x, c->w, c->rows, c->n);
			break;
		case F32_TO_F16:
			k->f32_to_f16(y, c->x, c->n);
			break;
		case F16_TO_F32:
			k->f16_to_f32(y, c->x, c->n);
			break;
		case ATTN_SCORES:
			k->attn_scores(y, c->ldy, c->x, c->ldx, c->n_vectors, c->w, c->next, c->ldw,
						   c->rows, c->n);
			break;
		case SOFTMAX:
			k->softmax(y, c->n, c->scale);
			break;
		case ATTN_VALUES:
			k->attn_values(y, c->ldy, c->x, c->ldx, c->n_vectors, c->w, c->next, c->ldw,
						   c->rows, c->n);
			break;
		case MATMUL_F16:
			k->matmul_f16(y, c->ldy, c->w, c->n, c->begin, c->end, c->x, c->ldx, c->n_vectors);
			break;
		case MATMUL_F16_LISTED:
			k->matmul_f16_listed(y, c->w, c->n, c->listed + c->begin, c->end - c->begin, c->x);
			break;
		default:
			k->matmul_f32(y, c->ldy, c->w, c->n, c->begin, c->end, c->x, c->ldx, c->n_vectors);
			break;
	}
}

static void
compare(const void *got, const void *expected, size_t bytes, bool floats)
{
	for (size_t i = 0; floats && i < bytes; i += sizeof(float))
	{
		float		f;

		memcpy(&f, (const char *) expected + i, sizeof(f));
		if (isfinite(f) && memcmp((const char *) got + i, &f, sizeof(f)) != 0)
			abort();
	}
	if (!floats && memcmp(got, expected, bytes) != 0)
		abort();
}

/* What the first bytes say, kept to what can be */
static call
make_call(const uint8_t *shape)
{
	bool		groups;
	int			limit;
	int			parts;
	call		c = {
		.which = (kernel) (shape[0] % N_KERNELS), .rows = 1 + shape[1] % 100,
		.n_vectors = 1 + shape[2] % 80, .in_place = shape[3] & 1,
		.scale = (float) shape[4] / 256.0f,
		.ldx = shape[5] & 3, .ldy = shape[5] >> 2 & 3, .ldw = shape[5] >> 4 & 3
	};

	groups = c.which == TERNARY_GEMM || c.which == TERNARY5_GEMM || c.which == INT6_GEMM;
	if (c.which == ATTN_SCORES || c.which == ATTN_VALUES)
		c.n_vectors = 1 + shape[2] % 12;
	limit = MAX_WORK / (c.rows * c.n_vectors);
	c.n = 1 + (shape[6] | shape[7] << 8) % (limit < 2048 ? limit : 2048);
	parts = groups ? (int) bn_ternary_groups((size_t) c.rows) : c.rows;
	c.begin = shape[8] % parts;
	c.end = shape[3] & 2 ? parts : c.begin + shape[9] % (parts - c.begin + 1);
	return c;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const bn_kernels *scalar = bn_kernels_select("scalar");
	uint8_t		shape[SHAPE_BYTES] = {0};
	input		in = {data, size, 0};
	bool		floats;
	size_t		bytes;
	call		c;
	void	   *before;
	void	   *expected;
	bn_quant	expected_info = {0};

	if (size > SHAPE_BYTES)
		in = (input) {data + SHAPE_BYTES, size - SHAPE_BYTES, 0};
	memcpy(shape, data, size < SHAPE_BYTES ? size : SHAPE_BYTES);
	c = make_call(shape);
	bytes = prepare(&c, &in, &floats);
	before = floats ? (void *) finite_floats(bytes / sizeof(float), &in) : any_bytes(bytes, &in);
	expected = allocate(bytes);
	memcpy(expected, before, bytes);
	run(scalar, &c, expected, &expected_info);

	for (int i = 0; bn_kernels_list[i] != NULL; i++)
	{
		const bn_kernels *k = bn_kernels_list[i];
		void	   *y;
		bn_quant	info = {0};

		if (k == scalar || !k->supported())
			continue;
		y = allocate(bytes);
		memcpy(y, before, bytes);
		run(k, &c, y, &info);
		compare(y, expected, bytes, floats);
		compare(&info, &expected_info, sizeof(info), false);
	}
	while (n_arrays > 0)
		free(arrays[--n_arrays]);
	return 0;
}
