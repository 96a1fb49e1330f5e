/*-------------------------------------------------------------------------
 *
 * dequantize.c
 *	  Rows of dense tensors as floats.
 *
 * Block formats: ggml's block_q8_0, block_q4_0 and block_q6_K.
 *
 * src/core/dequantize.c
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include "../../kernels/kernels.h"
#include "bytes.h"

/*
 * Q8_0: 32 values in 34 bytes: half d, then int8 q; value = d q.
 */
static void
expand_q8_0(float *y, const uint8_t *block, int32_t cols)
{
	int32_t		i;
	int			j;

	for (i = 0; i < cols; i += 32, block += 34)
	{
		float		d = bn_float_from_half(bn_load_u16(block));

		for (j = 0; j < 32; j++)
			y[i + j] = d * (float) (int8_t) block[2 + j];
	}
}

/*
 * Q4_0: 32 values in 18 bytes: half d, then 16 bytes whose low nibbles are the
 * first 16 values and whose high nibbles the others; value = d (q - 8).
 */
static void
expand_q4_0(float *y, const uint8_t *block, int32_t cols)
{
	int32_t		i;
	int			j;

	for (i = 0; i < cols; i += 32, block += 18)
	{
		float		d = bn_float_from_half(bn_load_u16(block));

		for (j = 0; j < 16; j++)
		{
			y[i + j] = d * (float) ((block[2 + j] & 15) - 8);
			y[i + 16 + j] = d * (float) ((block[2 + j] >> 4) - 8);
		}
	}
}

/*
 * Q6_K: 256 values in 210 bytes: ql[128], qh[64], int8 scales[16], half d.
 * Each half of the block has 64 bytes of ql and 32 of qh: value l + 32 k of it
 * (l < 32, k < 4) takes its low four bits from ql[l + 32 (k % 2)], nibble
 * k / 2, and its high two from qh[l], bits 2 k; 16 values share a scale;
 * value = d scale (q - 32).
 */
static void
expand_q6_k(float *y, const uint8_t *block, int32_t cols)
{
	int32_t		i;
	int			j;

	for (i = 0; i < cols; i += 256, block += 210)
	{
		float		d = bn_float_from_half(bn_load_u16(block + 208));

		for (j = 0; j < 256; j++)
		{
			int			half = j / 128;
			int			k = j % 128 / 32;
			int			l = j % 32;
			int			low = block[64 * half + l + 32 * (k % 2)] >> (4 * (k / 2)) & 15;
			int			high = block[128 + 32 * half + l] >> (2 * k) & 3;
			int			scale = (int8_t) block[192 + j / 16];

			y[i + j] = d * (float) scale * (float) ((low | high << 4) - 32);
		}
	}
}

size_t
bn_tensor_row_bytes(int32_t type, int32_t cols)
{
	size_t		n = (size_t) cols;

	switch (type)
	{
		case BN_TENSOR_F32:
			return n * 4;
		case BN_TENSOR_F16:
		case BN_TENSOR_BF16:
			return n * 2;
		case BN_TENSOR_Q8_0:
			return n % 32 == 0 ? n / 32 * 34 : 0;
		case BN_TENSOR_Q6_K:
			return n % 256 == 0 ? n / 256 * 210 : 0;
		case BN_TENSOR_Q4_0:
			return n % 32 == 0 ? n / 32 * 18 : 0;
		default:
			return 0;
	}
}

void
bn_dequantize_row(float *y, const void *image, const bn_tensor *tensor, int32_t row)
{
	int32_t		cols = tensor->cols;
	const uint8_t *p = (const uint8_t *) image + tensor->offset +
		(size_t) row * bn_tensor_row_bytes(tensor->type, cols);
	int32_t		i;

	switch (tensor->type)
	{
		case BN_TENSOR_F32:
			memcpy(y, p, (size_t) cols * sizeof(float));
			break;
		case BN_TENSOR_F16:
			for (i = 0; i < cols; i++)
				y[i] = bn_float_from_half(bn_load_u16(p + 2 * (size_t) i));
			break;
		case BN_TENSOR_BF16:
			for (i = 0; i < cols; i++)
				y[i] = bn_float_from_bfloat(bn_load_u16(p + 2 * (size_t) i));
			break;
		case BN_TENSOR_Q8_0:
			expand_q8_0(y, p, cols);
			break;
		case BN_TENSOR_Q6_K:
			expand_q6_k(y, p, cols);
			break;
		case BN_TENSOR_Q4_0:
			expand_q4_0(y, p, cols);
			break;
		default:
			break;
	}
}
