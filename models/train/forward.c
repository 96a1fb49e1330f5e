/*-------------------------------------------------------------------------
 *
 * forward.c
 *	  The forward pass through the layers.
 *
 * models/train/forward.c
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

#include <tgmath.h>

/*
 * Quantises y[n] to int8 values and returns the size of a step.  The other
 * modes keep the numbers as they are, or add the recorded errors.
 */
static real
quantize_row(const model *m, workspace *ws, const real *restrict y, mm_t *restrict q, int n)
{
	real		max = (real) 1e-5;
	real		inverse;

	if (m->quant == QUANT_NONE)
	{
		for (int i = 0; i < n; i++)
			q[i] = mm_put(y[i]);
		return 1;
	}
	if (m->quant == QUANT_FROZEN)
	{
		for (int i = 0; i < n; i++)
			q[i] = mm_put(y[i] + ws->frozen[ws->frozen_at + i]);
		ws->frozen_at += n;
		return 1;
	}
	for (int i = 0; i < n; i++)
		max = fabs(y[i]) > max ? fabs(y[i]) : max;
	inverse = 127 / max;
	for (int i = 0; i < n; i++)
		q[i] = mm_put(rint(y[i] * inverse));
	if (ws->record)
	{
		for (int i = 0; i < n; i++)
			ws->frozen[ws->frozen_at + i] = mm_get(q[i]) / inverse - y[i];
		ws->frozen_at += n;
	}
	return 1 / inverse;
}

/* RMSNorm of each row, then its quantisation: the input of a linear layer. */
static void
norm_quantize(const model *m, workspace *ws, const real *x, const real *weight, int rows, int n,
			  mm_t *q, real *step, real *rstd)
{
	real	   *restrict y = ws->row;

	for (int t = 0; t < rows; t++, x += n, q += n)
	{
		real		sum = 0;
		real		r;

		for (int i = 0; i < n; i++)
			sum += x[i] * x[i];
		r = 1 / sqrt(sum / n + m->config.eps);
		for (int i = 0; i < n; i++)
			y[i] = x[i] * r * weight[i];
		rstd[t] = r;
		step[t] = quantize_row(m, ws, y, q, n);
	}
}

/* Applies the scales to the sums of q, k and v and turns q and k by their positions. */
static void
scale_rope(const model *m, const matrix *x, const batch *b, const real *step, real *qkv)
{
	const model_config *c = &m->config;
	int			half = c->head_dim / 2;
	int			turned = c->heads + c->kv_heads;
	int			n = x->out;

	for (int s = 0; s < b->n_sequences; s++)
		for (int p = 0; p < b->sequence[s].len; p++)
		{
			size_t		t = b->sequence[s].start + p;
			real	   *row = qkv + t * n;
			const real *rope = m->rope + (size_t) p * c->head_dim;

			for (int i = 0; i < n; i++)
				row[i] *= step[t] * x->scale[i];
			for (int h = 0; h < turned; h++)
			{
				real	   *restrict low = row + h * c->head_dim;
				real	   *restrict high = low + half;

				for (int i = 0; i < half; i++)
				{
					real		re = low[i];
					real		im = high[i];

					low[i] = re * rope[2 * i] - im * rope[2 * i + 1];
					high[i] = re * rope[2 * i + 1] + im * rope[2 * i];
				}
			}
			if (m->published)
				for (int i = c->heads * c->head_dim; i < n; i++)
					row[i] = (real) (_Float16) row[i];
		}
}

/* y = x + sums * scales */
static void
scale_add(real *restrict y, const real *restrict x, const matrix *w, const real *step, int rows)
{
	int			n = w->out;

	for (int t = 0; t < rows; t++, x += n, y += n)
		for (int i = 0; i < n; i++)
			y[i] = x[i] + y[i] * step[t] * w->scale[i];
}

/* Scales gate and up, then relu(gate)^2 * up, its norm and quantisation. */
static void
gate_norm_quantize(const model *m, workspace *ws, const layer *y, activation *a, int rows)
{
	int			n = m->config.ffn;
	real	   *restrict h = ws->row;
	real	   *restrict norm = ws->row + n;
	const real *weight = m->param + y->ffn_sub_norm;

	for (int t = 0; t < rows; t++)
	{
		real	   *restrict gate = a->gate_up + (size_t) t * 2 * n;
		real	   *restrict up = gate + n;
		real		sum = 0;
		real		r;

		for (int i = 0; i < n; i++)
		{
			real		positive;

			gate[i] *= a->ffn_step[t] * y->gate_up.scale[i];
			up[i] *= a->ffn_step[t] * y->gate_up.scale[n + i];
			positive = gate[i] > 0 ? gate[i] : 0;
			h[i] = positive * positive * up[i];
			sum += h[i] * h[i];
		}
		r = 1 / sqrt(sum / n + m->config.eps);
		for (int i = 0; i < n; i++)
			norm[i] = h[i] * r * weight[i];
		a->down_rstd[t] = r;
		a->down_step[t] = quantize_row(m, ws, norm, a->down_in + (size_t) t * n, n);
	}
}

void
model_forward(const model *m, workspace *ws, const batch *b)
{
	const model_config *c = &m->config;
	const real *embedding = m->published ? m->embedding_f16 : m->param + m->embedding;
	int			rows = b->rows;
	int			q = c->heads * c->head_dim;

	ws->frozen_at = 0;
	for (int t = 0; t < rows; t++)
		memcpy(ws->act[0].x + (size_t) t * c->dim, embedding + (size_t) b->token[t] * c->dim, sizeof(real) * c->dim);
	for (int l = 0; l < c->layers; l++)
	{
		const layer *y = &m->layer[l];
		activation *a = &ws->act[l];
		real	   *next = l + 1 < c->layers ? ws->act[l + 1].x : ws->final;

		norm_quantize(m, ws, a->x, m->param + y->attn_norm, rows, c->dim, a->attn_in, a->attn_step, a->attn_rstd);
		mm_forward(a->qkv, a->attn_in, &y->qkv.packed, rows);
		scale_rope(m, &y->qkv, b, a->attn_step, a->qkv);
		attention_forward(c, b, a->qkv, a->attn, a->lse, ws->attn_scratch);
		norm_quantize(m, ws, a->attn, m->param + y->attn_sub_norm, rows, q, a->out_in, a->out_step, a->out_rstd);
		mm_forward(a->middle, a->out_in, &y->output.packed, rows);
		scale_add(a->middle, a->x, &y->output, a->out_step, rows);

		norm_quantize(m, ws, a->middle, m->param + y->ffn_norm, rows, c->dim, a->ffn_in, a->ffn_step, a->ffn_rstd);
		mm_forward(a->gate_up, a->ffn_in, &y->gate_up.packed, rows);
		gate_norm_quantize(m, ws, y, a, rows);
		mm_forward(next, a->down_in, &y->down.packed, rows);
		scale_add(next, a->middle, &y->down, a->down_step, rows);
	}
}
