/*-------------------------------------------------------------------------
 *
 * screen.c
 *	  The head once more, in six bits a weight, with bounds on what that loses.
 *
 * src/core/screen.c
 *
 *-------------------------------------------------------------------------
 */
#include "image_plan.h"

#include <math.h>
#include <string.h>

#include "../../kernels/kernels.h"

_Static_assert(BN_MAX_DIM <= BN_INT6_MAX_COLS, "int6_gemm takes every width of a model");

#define ROWS_PER_CHECK 1024		/* between two looks at should_stop */

/*
 * Sums of squares in float are short of the truth by n / 16 + 5 roundings, that
 * is by less than one part in a thousand for BN_MAX_DIM values, and by squares
 * that are too small for a float.
 */
static float
upper_norm(float sum_of_squares, int32_t n)
{
	return sqrtf(sum_of_squares) * 1.001f + (float) n * 1e-18f;
}

/* Puts a row's values, padded with zeros, into the tiles of its group. */
static void
store_row(uint8_t *tile, const int8_t *q, int32_t cols)
{
	int32_t		c;

	for (c = 0; c < cols; c += BN_TILE_COLS, tile += BN_INT6_BYTES)
	{
		uint32_t	codes[4];	/* of four values, a byte each */
		int			k;

		memcpy(codes, q + c, sizeof(codes));
		/* to each byte, without a carry into the next */
		for (k = 0; k < 4; k++)
			codes[k] = ((codes[k] & 0x7f7f7f7f) + BN_INT6_ZERO * 0x01010101u) ^
				(codes[k] & 0x80808080);
		for (k = 0; k < 3; k++)
		{
			uint32_t	line = codes[k] | (codes[3] >> 2 * k & 0x03030303) << 6;

			memcpy(tile + k * BN_TILE_BYTES, &line, sizeof(line));
		}
	}
}

bn_status
bn_screen_build(bn_image_header *h, void *scratch, const bn_hooks *hooks, bn_error *err)
{
	const bn_kernels *kernels = bn_kernels_select(NULL);
	uint8_t    *image = (uint8_t *) h;
	int32_t		rows = h->screen.rows;
	int32_t		cols = h->screen.cols;
	size_t		n_blocks = bn_ternary_blocks((size_t) cols);
	float	   *scale = (float *) (image + h->screen_rows_offset);
	float	   *error = scale + bn_screen_row_count(h);
	float	   *norm = error + bn_screen_row_count(h);
	float	   *values = scratch;
	int8_t	   *q = (int8_t *) (values + BN_MAX_DIM);
	int32_t		r;

	h->screen_norm = 0;
	if (h->screen.type == BN_TENSOR_NONE)
		return BN_OK;
	for (r = 0; r < rows; r++)
	{
		uint8_t    *tile = image + h->screen.offset +
			(size_t) (r / BN_TILE_ROWS) * n_blocks * BN_INT6_BYTES + 4 * (r % BN_TILE_ROWS);
		bn_quant	info;
		float		sums[2];

		if (r % ROWS_PER_CHECK == 0 && bn_should_stop(hooks))
			return bn_fail(err, BN_ERR_CANCELED, BN_NO_OFFSET, "canceled");
		if (h->output.type == BN_TENSOR_F16)
			kernels->f16_to_f32(values, (const uint16_t *) (image + h->output.offset) +
								(size_t) r * (size_t) cols, cols);
		else
			bn_dequantize_row(values, image, &h->output, r);
		kernels->quantize(q, &info, values, cols, BN_INT6_MAX);
		store_row(tile, q, cols);
		kernels->quant_loss(sums, values, q, info.scale, cols);
		scale[r] = info.scale;
		error[r] = upper_norm(sums[1], cols);
		norm[r] = upper_norm(sums[0], cols) + error[r];
		if (norm[r] > h->screen_norm)
			h->screen_norm = norm[r];
	}
	for (; r < (int32_t) bn_screen_row_count(h); r++)
		scale[r] = error[r] = norm[r] = 0;
	return BN_OK;
}
