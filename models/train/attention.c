/*-------------------------------------------------------------------------
 *
 * attention.c
 *	  Causal attention inside each sequence of a batch, and its gradient.
 *
 * Rows of queries are taken BLOCK at a time against all keys up to the end of
 * the block.  The backward pass computes the probabilities again from the
 * logarithm of their sum.
 *
 * models/train/attention.c
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

#include <tgmath.h>

#include "blas.h"

#define BLOCK 64

/* The columns of q, k, v in a row of qkv. */
typedef struct heads_layout
{
	int			row;			/* numbers in a row of qkv */
	int			out_row;
	int			q;
	int			k;
	int			v;
} heads_layout;

static heads_layout
layout_of(const model_config *c, int head)
{
	int			q = c->heads * c->head_dim;
	int			kv = c->kv_heads * c->head_dim;
	int			kv_head = head / (c->heads / c->kv_heads);

	return (heads_layout)
	{
		q + 2 * kv, q, head * c->head_dim, q + kv_head * c->head_dim, q + kv + kv_head * c->head_dim
	};
}

size_t
attention_scratch_size(const model_config *c)
{
	return (size_t) 2 * BLOCK * c->context + BLOCK;
}

void
attention_forward(const model_config *c, const batch *b, const real *qkv, real *out, real *lse, real *scratch)
{
	real		scale = 1 / sqrt((double) c->head_dim);
	int			hd = c->head_dim;

	for (int s = 0; s < b->n_sequences; s++)
		for (int head = 0; head < c->heads; head++)
		{
			heads_layout at = layout_of(c, head);
			int			len = b->sequence[s].len;
			const real *rows = qkv + (size_t) b->sequence[s].start * at.row;

			for (int first = 0; first < len; first += BLOCK)
			{
				int			n = len - first < BLOCK ? len - first : BLOCK;
				int			keys = first + n;
				size_t		row = b->sequence[s].start + first;

				blas_gemm(PLAIN, TRANSPOSED, n, keys, hd, scale, rows + (size_t) first * at.row + at.q, at.row,
						  rows + at.k, at.row, 0, scratch, keys);
				for (int i = 0; i < n; i++)
				{
					real	   *p = scratch + (size_t) i * keys;
					int			visible = first + i + 1;
					real		max = p[0];
					real		sum = 0;

					for (int j = 1; j < visible; j++)
						max = p[j] > max ? p[j] : max;
					for (int j = 0; j < visible; j++)
					{
						p[j] = exp(p[j] - max);
						sum += p[j];
					}
					for (int j = visible; j < keys; j++)
						p[j] = 0;
					lse[(row + i) * c->heads + head] = max + log(sum);
					sum = 1 / sum;
					for (int j = 0; j < visible; j++)
						p[j] *= sum;
				}
				blas_gemm(PLAIN, PLAIN, n, hd, keys, 1, scratch, keys, rows + at.v, at.row, 0,
						  out + row * at.out_row + head * hd, at.out_row);
			}
		}
}

void
attention_backward(const model_config *c, const batch *b, const real *qkv, const real *out, const real *lse,
				   const real *dout, real *dqkv, real *scratch)
{
	real		scale = 1 / sqrt((double) c->head_dim);
	int			hd = c->head_dim;
	real	   *probs = scratch;
	real	   *dprobs = scratch + (size_t) BLOCK * c->context;

	memset(dqkv, 0, sizeof(real) * b->rows * layout_of(c, 0).row);
	for (int s = 0; s < b->n_sequences; s++)
		for (int head = 0; head < c->heads; head++)
		{
			heads_layout at = layout_of(c, head);
			int			len = b->sequence[s].len;
			const real *rows = qkv + (size_t) b->sequence[s].start * at.row;
			real	   *drows = dqkv + (size_t) b->sequence[s].start * at.row;

			for (int first = 0; first < len; first += BLOCK)
			{
				int			n = len - first < BLOCK ? len - first : BLOCK;
				int			keys = first + n;
				size_t		row = b->sequence[s].start + first;
				const real *o = out + row * at.out_row + head * hd;
				const real *d = dout + row * at.out_row + head * hd;

				blas_gemm(PLAIN, TRANSPOSED, n, keys, hd, scale, rows + (size_t) first * at.row + at.q, at.row,
						  rows + at.k, at.row, 0, probs, keys);
				blas_gemm(PLAIN, TRANSPOSED, n, keys, hd, 1, d, at.out_row, rows + at.v, at.row, 0, dprobs, keys);
				for (int i = 0; i < n; i++)
				{
					real	   *p = probs + (size_t) i * keys;
					real	   *dp = dprobs + (size_t) i * keys;
					int			visible = first + i + 1;
					real		log_sum = lse[(row + i) * c->heads + head];
					real		dot = 0;

					for (int j = 0; j < hd; j++)
						dot += o[(size_t) i * at.out_row + j] * d[(size_t) i * at.out_row + j];
					for (int j = 0; j < visible; j++)
					{
						p[j] = exp(p[j] - log_sum);
						dp[j] = p[j] * (dp[j] - dot) * scale;
					}
					for (int j = visible; j < keys; j++)
						p[j] = dp[j] = 0;
				}
				blas_gemm(PLAIN, PLAIN, n, hd, keys, 1, dprobs, keys, rows + at.k, at.row, 0,
						  drows + (size_t) first * at.row + at.q, at.row);
				blas_gemm(TRANSPOSED, PLAIN, keys, hd, n, 1, dprobs, keys, rows + (size_t) first * at.row + at.q,
						  at.row, 1, drows + at.k, at.row);
				blas_gemm(TRANSPOSED, PLAIN, keys, hd, n, 1, probs, keys, d, at.out_row, 1, drows + at.v, at.row);
			}
		}
}
