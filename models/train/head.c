/*-------------------------------------------------------------------------
 *
 * head.c
 *	  The last norm, the head (the embedding), and the loss.
 *
 * Only rows that have a target are looked at.
 *
 * models/train/head.c
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

#include <tgmath.h>

#include "blas.h"

void
model_final_norm(const model *m, const real *restrict x, real *restrict y)
{
	int			n = m->config.dim;
	const real *weight = m->param + m->output_norm;
	real		sum = 0;
	real		r;

	for (int i = 0; i < n; i++)
		sum += x[i] * x[i];
	r = 1 / sqrt(sum / n + m->config.eps);
	for (int i = 0; i < n; i++)
		y[i] = x[i] * r * weight[i];
}

/* Logits of rows of ws->head_norm, padded to a multiple of MM_ROWS. */
static void
head_logits(const model *m, workspace *ws, int rows)
{
	const model_config *c = &m->config;

	if (m->published)
		blas_gemm(PLAIN, TRANSPOSED, rows, c->vocab, c->dim, 1, ws->head_norm, c->dim, m->embedding_f16, c->dim, 0,
				  ws->logits, c->vocab);
	else
	{
		for (size_t i = 0; i < (size_t) rows * c->dim; i++)
			ws->head_in[i] = mm_put(ws->head_norm[i]);
		mm_forward(ws->logits, ws->head_in, &m->head, rows);
	}
}

/* -log p(target); leaves exponentials in the row and their sum in *sum */
static double
row_loss(real *restrict logits, int n, int target, double *sum, bool *correct)
{
	real		max = logits[0];
	real		wanted = logits[target];
	real		total = 0;

	for (int i = 1; i < n; i++)
		max = logits[i] > max ? logits[i] : max;
	for (int i = 0; i < n; i++)
	{
		logits[i] = exp(logits[i] - max);
		total += logits[i];
	}
	*sum = total;
	*correct = wanted >= max;
	return (double) max - wanted + log((double) total);
}

void
model_final_norm_grad(const model *m, workspace *ws, const real *restrict dy, int t)
{
	int			n = m->config.dim;
	const real *weight = m->param + m->output_norm;
	real	   *restrict dweight = ws->grad + m->output_norm;
	const real *restrict x = ws->final + (size_t) t * n;
	real	   *restrict dx = ws->dx + (size_t) t * n;
	real		sum = 0;
	real		dot = 0;
	real		r;

	for (int i = 0; i < n; i++)
		sum += x[i] * x[i];
	r = 1 / sqrt(sum / n + m->config.eps);
	for (int i = 0; i < n; i++)
		dot += dy[i] * weight[i] * x[i];
	dot *= r * r * r / n;
	for (int i = 0; i < n; i++)
	{
		dweight[i] += dy[i] * x[i] * r;
		dx[i] += dy[i] * weight[i] * r - x[i] * dot;
	}
}

static void
head_backward(const model *m, workspace *ws, const int *row, int n, int padded)
{
	const model_config *c = &m->config;

	mm_weight_grad(ws->grad + m->embedding, ws->dlogits, ws->head_in, padded, c->vocab, c->dim, ws->mm_scratch, false);
	mm_input_grad(ws->wide, ws->dlogits, &m->head, padded);
	for (int i = 0; i < n; i++)
		model_final_norm_grad(m, ws, ws->wide + (size_t) i * c->dim, row[i]);
}

void
model_head(const model *m, workspace *ws, const batch *b, sequence_score *score, bool gradients)
{
	const model_config *c = &m->config;
	int			n_rows = 0;
	int			s = 0;

	if (gradients)
		memset(ws->dx, 0, sizeof(real) * b->rows * c->dim);
	memset(score, 0, sizeof(*score) * b->n_sequences);
	for (int t = 0; t < b->rows; t++)
		if (b->target[t] >= 0)
			ws->head_rows[n_rows++] = t;

	for (int first = 0; first < n_rows; first += HEAD_ROWS)
	{
		const int  *row = ws->head_rows + first;
		int			n = n_rows - first < HEAD_ROWS ? n_rows - first : HEAD_ROWS;
		int			padded = (n + MM_ROWS - 1) / MM_ROWS * MM_ROWS;

		for (int i = 0; i < n; i++)
			model_final_norm(m, ws->final + (size_t) row[i] * c->dim, ws->head_norm + (size_t) i * c->dim);
		memset(ws->head_norm + (size_t) n * c->dim, 0, sizeof(real) * (padded - n) * c->dim);
		head_logits(m, ws, padded);
		for (int i = 0; i < n; i++)
		{
			real	   *restrict logits = ws->logits + (size_t) i * c->vocab;
			int			target = b->target[row[i]];
			double		sum;
			bool		correct;

			while (row[i] >= b->sequence[s].start + b->sequence[s].len)
				s++;
			score[s].loss += row_loss(logits, c->vocab, target, &sum, &correct);
			score[s].targets++;
			score[s].correct += correct;
			if (gradients)
			{
				mm_t	   *restrict to = ws->dlogits + (size_t) i * c->vocab;
				real		weight = b->sequence[s].weight;
				real		factor = weight / sum;

				logits[target] -= sum;
				for (int j = 0; j < c->vocab; j++)
					to[j] = mm_put(logits[j] * factor);
			}
		}
		if (gradients)
		{
			memset(ws->dlogits + (size_t) n * c->vocab, 0, sizeof(mm_t) * (padded - n) * c->vocab);
			head_backward(m, ws, row, n, padded);
		}
	}
}

void
model_logits(const model *m, workspace *ws, int row, real *logits)
{
	const model_config *c = &m->config;

	memset(ws->head_norm, 0, sizeof(real) * MM_ROWS * c->dim);
	model_final_norm(m, ws->final + (size_t) row * c->dim, ws->head_norm);
	head_logits(m, ws, MM_ROWS);
	memcpy(logits, ws->logits, sizeof(real) * c->vocab);
}
