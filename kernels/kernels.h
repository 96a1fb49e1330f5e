/*-------------------------------------------------------------------------
 *
 * kernels.h
 *	  The table of compute kernels, the data layouts they share, and the
 *	  definition of their results.
 *
 * scalar.c is the definition: every other table must give the same bits for
 * the same input.  Integer parts are exact in any order.  Float parts follow
 * these rules, which do not depend on the width of a vector register, on the
 * number of threads or on the batch:
 *
 *   - A sum over n values runs in 16 virtual lanes: element i is added to
 *	   lane i % 16, in increasing i, with one fused multiply-add per product.
 *	   Lanes that get no element in a tail keep their value.  The lanes are
 *	   reduced as a tree: lane i += lane i + 8, then + 4, + 2, + 1.
 *   - Nothing else is fused: a * b + c is two roundings unless the comment
 *	   says fma.
 *   - exp is our own polynomial (scalar.c), division and square root are
 *	   those of IEEE 754.
 *
 * Values that are not finite give unspecified results, never undefined
 * behaviour.  There is at least one token in every call.  No kernel allocates,
 * and none touches memory outside the arrays described here.
 *
 * kernels/kernels.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_KERNELS_H
#define BN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Ternary matrices, y = W x, W [rows, cols] of -1, 0, +1.
 *
 * Layout: rows are taken in groups of 16 and columns in blocks of 16; one
 * (group, block) is a tile of 64 bytes, and the tiles of a group follow each
 * other: tile (g, b) starts at ((g * n_blocks) + b) * 64.  In a tile, row r
 * owns the four bytes 4 r .. 4 r + 3, and column c of the tile is in byte
 * c % 4 of those, in bits 2 (c / 4) and 2 (c / 4) + 1, as the code w + 1.
 * So one shift and mask of a 64-byte tile gives 4 columns of all 16 rows, next
 * to each other in the order in which a 4-way int8 dot product wants them, and
 * the 4 activations that go with it are one 32-bit word to be broadcast.
 * Missing rows and columns (padding up to 16) hold code 1, that is, zero.
 */
#define BN_TILE_ROWS 16
#define BN_TILE_COLS 16
#define BN_TILE_BYTES 64

/*
 * The same in fewer bytes: tiles of 16 rows by 20 columns, five weights to a
 * byte.  Column c of the tile is in byte c % 4 of the row's four, as one of
 * the byte's codes t[c / 4].  With n = t[0] + 3 t[1] + 9 t[2] + 27 t[3], the
 * byte is n + 64 t[4] if n is below 64, else 192 + 3 (n - 64) + t[4].  So most
 * bytes say t[4] in two bits and the others in a number for a table of 64, and
 * the other 51 have a table of their own.  (Bytes from
 * 243 on are not made; what they mean follows from the same formula.)
 */
#define BN_TILE5_COLS 20

/*
 * Arrays of quantised activations are padded with zeros to a multiple of
 * BN_QUANT_ALIGN values, and to whole tiles of either kind, so that kernels may
 * read whole registers.
 */
#define BN_QUANT_ALIGN 64

static inline size_t
bn_ternary_groups(size_t rows)
{
	return (rows + BN_TILE_ROWS - 1) / BN_TILE_ROWS;
}

static inline size_t
bn_ternary_blocks(size_t cols)
{
	return (cols + BN_TILE_COLS - 1) / BN_TILE_COLS;
}

static inline size_t
bn_ternary_bytes(size_t rows, size_t cols)
{
	return bn_ternary_groups(rows) * bn_ternary_blocks(cols) * BN_TILE_BYTES;
}

static inline size_t
bn_ternary5_blocks(size_t cols)
{
	return (cols + BN_TILE5_COLS - 1) / BN_TILE5_COLS;
}

static inline size_t
bn_ternary5_bytes(size_t rows, size_t cols)
{
	return bn_ternary_groups(rows) * bn_ternary5_blocks(cols) * BN_TILE_BYTES;
}

/* The byte of five codes 0 .. 2, the first four as n */
static inline uint8_t
bn_ternary5_encode(int n, int t4)
{
	return (uint8_t) (n < 64 ? n + 64 * t4 : 192 + 3 * (n - 64) + t4);
}

/* And back */
static inline void
bn_ternary5_decode(uint8_t byte, int *n, int *t4)
{
	int			low = byte & 63;

	*t4 = byte < 192 ? byte >> 6 : low % 3;
	*n = byte < 192 ? low : 64 + low / 3;
}

/* IEEE 754 binary16 to binary32; a signalling NaN becomes quiet, as in hardware */
static inline float
bn_float_from_half(uint16_t h)
{
	uint32_t	sign = (uint32_t) (h & 0x8000) << 16;
	uint32_t	magnitude = h & 0x7fff;
	uint32_t	bits;
	float		f;

	if (magnitude < 0x0400)		/* zero or subnormal: magnitude times 2^-24, which a float holds exactly */
	{
		f = (float) magnitude * 0x1p-24f;
		return sign ? -f : f;
	}
	bits = magnitude << 13;
	if (magnitude < 0x7c00)
		bits += 112u << 23;		/* what the exponent's bias grows by */
	else
		bits |= magnitude == 0x7c00 ? 0x7f800000 : 0x7fc00000;
	bits |= sign;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

/*
 * Matrices of six bits, values -BN_INT6_MAX .. BN_INT6_MAX, likewise in groups
 * of 16 rows, and in tiles of three lines of 64 bytes with 16 rows by
 * BN_TILE_COLS columns.  Of row r, byte 4 r + c % 4 of line c / 4 holds the code
 * (value + 32) of column c < 12 in its lowest six bits; in the highest two, line
 * k holds bits 2 k and 2 k + 1 of the code of column 12 + c % 4.  Missing rows
 * and columns hold anything.
 */
#define BN_INT6_MAX 31
#define BN_INT6_ZERO 32			/* the code of 0 */
#define BN_INT6_BYTES (3 * BN_TILE_BYTES)
#define BN_INT6_MAX_COLS 65536	/* that int6_gemm takes */

static inline size_t
bn_int6_bytes(size_t rows, size_t cols)
{
	return bn_ternary_groups(rows) * bn_ternary_blocks(cols) * BN_INT6_BYTES;
}

static inline size_t
bn_quant_stride(size_t cols)
{
	size_t		whole = bn_ternary5_blocks(cols) * BN_TILE5_COLS;

	return (whole + BN_QUANT_ALIGN - 1) / BN_QUANT_ALIGN * BN_QUANT_ALIGN;
}

#define BN_INT8_MAX 127			/* of quantised activations */

/* What goes with one row of int8 activations. */
typedef struct bn_quant
{
	float		scale;			/* x is about q * scale */
	int32_t		sum;			/* sum of all q of the row */
} bn_quant;

/*
 * For each token t < n_tokens and each row r of the groups
 * [group_begin, group_end), r < rows:
 *   y[t * ldy + r] = (float) (sum_c w[r][c] q[t][c]) * (info[t].scale * w_scale)
 * with the sum exact in int32.  w is the whole matrix; q is
 * [n_tokens, bn_quant_stride(cols)].  Rows outside the groups are not
 * written.
 */
typedef void (*bn_ternary_gemm) (float *y, size_t ldy,
								 const uint8_t *w, int rows, int cols, float w_scale,
								 int group_begin, int group_end,
								 const int8_t *q, const bn_quant *info, int n_tokens);

typedef struct bn_kernels
{
	const char *name;
	const char *description;
	bool		(*supported) (void);	/* by this CPU and this system */
	bool		prefers_five;	/* reads ternary matrices faster with five weights to a byte */

	/*
	 * With gemm_tokens tokens or more, ternary_gemm prepares something for all groups
	 * of a call: it should have gemm_groups of them, of a matrix that has so many.
	 * Fewer make it slower, and give the same.  0: it does not.
	 */
	int			gemm_tokens;
	int			gemm_groups;

	/*
	 * q[i] = x[i] * s rounded half to even and limited to -128 .. 127, with
	 * m = max(largest |x[i]|, 1e-5) and s = levels / m; info->scale = m / levels
	 * (float divisions).  q[n .. bn_quant_stride(n)) is set to zero.  A NaN
	 * quantises to 0.  With 127 levels as the model was trained: arXiv
	 * 2504.12285, 2.
	 */
	void		(*quantize) (int8_t *q, bn_quant *info, const float *x, int n, int levels);

	bn_ternary_gemm ternary_gemm;
	bn_ternary_gemm ternary5_gemm;	/* of a matrix with five weights to a byte */

	/*
	 * For each token t < n_tokens and each row r of the groups
	 * [group_begin, group_end), r < rows:
	 *   y[t * ldy + r] = (float) s * (row_scale[r] * x_scale[t])
	 *   s = sum_c w[r][c] (128 high[t][c] + low[t][c])
	 * x is [n_tokens][2: high, low][bn_quant_stride(cols)], and zero from cols
	 * on.  s is exact: the caller sees to it that sums of any of its terms stay
	 * within int32.
	 */
	void		(*int6_gemm) (float *y, size_t ldy, const uint8_t *w, int rows, int cols,
							  const float *row_scale, int group_begin, int group_end,
							  const int8_t *x, const float *x_scale, int n_tokens);

	/*
	 * What is lost by quantize: sums[0] = sum x[i]^2, sums[1] = sum d[i]^2 with
	 * d[i] = fma(-scale, q[i], x[i]), both in 16 lanes.  q is as quantize
	 * leaves it.
	 */
	void		(*quant_loss) (float sums[2], const float *x, const int8_t *q, float scale,
							  int n);

	/*
	 * y[i] = (x[i] * (1 / sqrt(sum(x^2) / n + eps))) * w[i]; y may be x.  Returns
	 * sum(x^2), which is not finite if an x[i] is not.
	 */
	float		(*rms_norm) (float *y, const float *x, const float *w, int n, float eps);

	/* y[i] = (r * r) * up[i] with r = max(gate[i], 0); y may be gate */
	void		(*relu2_gate) (float *y, const float *gate, const float *up, int n);

	/* y[i] = y[i] + x[i] */
	void		(*add) (float *y, const float *x, int n);

	/*
	 * Rotary embedding, pairs (i, i + head_dim / 2), in place, of n_heads
	 * consecutive heads; cosine and sine are [head_dim / 2]:
	 *   a' = a * cos - b * sin, b' = a * sin + b * cos
	 */
	void		(*rope_neox) (float *x, const float *cosine, const float *sine,
							  int n_heads, int head_dim);

	/* float to half, round half to even; overflow gives infinity */
	void		(*f32_to_f16) (uint16_t *y, const float *x, int n);

	/* half to float, exact */
	void		(*f16_to_f32) (float *y, const uint16_t *x, int n);

	/*
	 * Scores of n_q queries against n_pos keys of one KV head:
	 *   s[h * lds + p] = sum_i q[h * ldq + i] * k[p * ldk + i]	 (i < head_dim)
	 * as a 16-lane sum.  "next" is where the keys of a later call are, laid out
	 * the same, or NULL: memory is asked for them meanwhile.
	 */
	void		(*attn_scores) (float *s, size_t lds, const float *q, size_t ldq, int n_q,
								const uint16_t *k, const uint16_t *next, size_t ldk,
								int n_pos, int head_dim);

	/*
	 * In place: t[i] = s[i] * scale; e[i] = exp(t[i] - max t);
	 * s[i] = e[i] * (1 / sum e), the sum in 16 lanes.
	 */
	void		(*softmax) (float *s, int n, float scale);

	/*
	 * Weighted sum of values, added to out, for increasing p:
	 *   out[h * ldo + i] = fma(w[h * ldw + p], v[p * ldv + i], out[h * ldo + i])
	 * next: as above, of values
	 */
	void		(*attn_values) (float *out, size_t ldo, const float *w, size_t ldw, int n_q,
								const uint16_t *v, const uint16_t *next, size_t ldv,
								int n_pos, int head_dim);

	/*
	 * Rows of a dense matrix times activations, 16-lane sums:
	 *   y[t * ldy + r] = sum_i w[r * cols + i] * x[t * ldx + i]
	 * for r in [row_begin, row_end), t < n_tokens.
	 */
	void		(*matmul_f16) (float *y, size_t ldy, const uint16_t *w, int cols,
							   int row_begin, int row_end,
							   const float *x, size_t ldx, int n_tokens);
	void		(*matmul_f32) (float *y, size_t ldy, const float *w, int cols,
							   int row_begin, int row_end,
							   const float *x, size_t ldx, int n_tokens);

	/* The same of one token and the listed rows: y[r], for r in listed[n_listed] */
	void		(*matmul_f16_listed) (float *y, const uint16_t *w, int cols,
									  const int32_t *listed, int n_listed, const float *x);
} bn_kernels;

/*
 * The compiled tables, best first, ended by NULL.  Which of them this CPU can
 * run is another question: ask supported().
 */
extern const bn_kernels *const bn_kernels_list[];

/*
 * The table of that name, or the best one for NULL or "auto".  NULL if the
 * name is unknown or this CPU cannot run it.
 */
extern const bn_kernels *bn_kernels_select(const char *name);

#endif							/* BN_KERNELS_H */
