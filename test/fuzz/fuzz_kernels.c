/*-------------------------------------------------------------------------
 *
 * fuzz_kernels.c
 *	  Fuzzing: every table this CPU supports gives the bits of scalar.
 *
 * The first bytes choose a kernel and the shape, the rest are the values, taken
 * as they are.  Outputs that are not finite are unspecified and not compared.
 *
 * test/fuzz/fuzz_kernels.c
 *
 *-------------------------------------------------------------------------
 */
#include "../../kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUES 2048

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input
{
	const uint8_t *data;
	size_t		size;
	size_t		next;
} input;

/* The data over and over; zeros if there is none. */
static uint8_t
next_byte(input *in)
{
	return in->size == 0 ? 0 : in->data[in->next++ % in->size];
}

static void
fill(void *to, size_t bytes, input *in)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *) to)[i] = next_byte(in);
}

static void
fill_floats(float *x, size_t n, input *in)
{
	fill(x, n * sizeof(float), in);
	for (size_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			x[i] = 0.0f;
}

static void
compare(const float *got, const float *expected, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (isfinite(expected[i]) && memcmp(&got[i], &expected[i], sizeof(float)) != 0)
			abort();
}

/* One kernel on arrays of exactly the size they are said to have. */
static void
run_vector(const bn_kernels *k, int which, float *y, const float *a, const float *b, int n)
{
	switch (which)
	{
		case 0:
			k->rms_norm(y, a, b, n, 1e-5f);
			break;
		case 1:
			k->relu2_gate(y, a, b, n);
			break;
		case 2:
			k->add(y, a, n);
			break;
		case 3:
			k->rope_neox(y, a, b, 1, n / 2 * 2);
			break;
		case 4:
			k->softmax(y, n, 0.1f);
			break;
		case 5:
			k->f16_to_f32(y, (const uint16_t *) a, n);
			break;
		case 6:
			k->attn_scores(y, 1, a, (size_t) n, 1, (const uint16_t *) b, NULL, (size_t) n, 1, n);
			break;
		case 7:
			k->attn_values(y, (size_t) n, a, 1, 1, (const uint16_t *) b, NULL, (size_t) n, 1, n);
			break;
		default:
			k->matmul_f32(y, 1, b, n, 0, 1, a, (size_t) n, 1);
			break;
	}
}

static void
check_vector(const bn_kernels *scalar, const bn_kernels *k, int which, int n, input in)
{
	size_t		bytes = (size_t) n * sizeof(float);
	float	   *a = malloc(bytes);
	float	   *b = malloc(bytes);
	float	   *y = malloc(bytes);
	float	   *expected = malloc(bytes);

	if (a == NULL || b == NULL || y == NULL || expected == NULL)
		abort();
	fill_floats(a, (size_t) n, &in);
	fill_floats(b, (size_t) n, &in);
	fill_floats(y, (size_t) n, &in);
	memcpy(expected, y, bytes);
	run_vector(scalar, which, expected, a, b, n);
	run_vector(k, which, y, a, b, n);
	compare(y, expected, (size_t) n);
	free(a);
	free(b);
	free(y);
	free(expected);
}

static void
check_quantize(const bn_kernels *scalar, const bn_kernels *k, int n, input in)
{
	size_t		stride = bn_quant_stride((size_t) n);
	float	   *x = malloc((size_t) n * sizeof(float));
	int8_t	   *q = malloc(2 * stride);
	uint16_t   *h = malloc(2 * (size_t) n * sizeof(uint16_t));
	bn_quant	expected;
	bn_quant	info;

	if (x == NULL || q == NULL || h == NULL)
		abort();
	fill(x, (size_t) n * sizeof(float), &in);
	scalar->quantize(q, &expected, x, n);
	k->quantize(q + stride, &info, x, n);
	if (memcmp(q, q + stride, stride) != 0 || info.sum != expected.sum ||
		memcmp(&info.scale, &expected.scale, sizeof(float)) != 0)
		abort();
	scalar->f32_to_f16(h, x, n);
	k->f32_to_f16(h + n, x, n);
	if (memcmp(h, h + n, (size_t) n * sizeof(uint16_t)) != 0)
		abort();
	free(x);
	free(q);
	free(h);
}

static void
check_ternary(const bn_kernels *scalar, const bn_kernels *k, int rows, int cols, int n_tokens,
			  input in)
{
	size_t		stride = bn_quant_stride((size_t) cols);
	size_t		w_bytes = bn_ternary_bytes((size_t) rows, (size_t) cols);
	size_t		n_y = (size_t) rows * (size_t) n_tokens;
	uint8_t    *w = malloc(w_bytes);
	int8_t	   *q = calloc((size_t) n_tokens, stride);
	bn_quant   *info = malloc((size_t) n_tokens * sizeof(bn_quant));
	float	   *y = calloc(n_y, 2 * sizeof(float));
	int			groups = (int) bn_ternary_groups((size_t) rows);

	if (w == NULL || q == NULL || info == NULL || y == NULL)
		abort();
	fill(w, w_bytes, &in);
	for (int t = 0; t < n_tokens; t++)
	{
		fill(q + (size_t) t * stride, (size_t) cols, &in);
		info[t].scale = 0.5f;
		info[t].sum = 0;
		for (int c = 0; c < cols; c++)
			info[t].sum += q[(size_t) t * stride + (size_t) c];
	}
	scalar->ternary_gemm(y, (size_t) rows, w, rows, cols, 3.0f, 0, groups, q, info, n_tokens);
	k->ternary_gemm(y + n_y, (size_t) rows, w, rows, cols, 3.0f, 0, groups, q, info, n_tokens);
	compare(y + n_y, y, n_y);
	free(w);
	free(q);
	free(info);
	free(y);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input		in = {data, size, 0};
	const bn_kernels *scalar = bn_kernels_select("scalar");
	int			which = next_byte(&in) % 11;
	int			n = 1 + (next_byte(&in) | next_byte(&in) << 8) % MAX_VALUES;
	int			rows = 1 + next_byte(&in) % 100;
	int			n_tokens = 1 + next_byte(&in) % 80;

	for (int i = 0; bn_kernels_list[i] != NULL; i++)
	{
		const bn_kernels *k = bn_kernels_list[i];

		if (k == scalar || !k->supported())
			continue;
		if (which == 9)
			check_quantize(scalar, k, n, in);
		else if (which == 10)
			check_ternary(scalar, k, rows, 1 + n % 400, n_tokens, in);
		else
			check_vector(scalar, k, which, n, in);
	}
	return 0;
}
