/*-------------------------------------------------------------------------
 *
 * backward.c
 *	  The backward pass through the layers.
 *
 * A linear layer computes y = scale * step * (codes . q), with q and codes
 * the quantised input and weights.  The gradient dy is multiplied by scale
 * and step once, as it becomes an operand: then the input's gradient is the
 * product with the codes over step, and the weights' gradient the product
 * with q over scale.  The division by scale waits until all batches of a step
 * are summed (model_unscale).
 *
 * models/train/backward.c
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

/* dy of a linear layer as an operand */
static void
put_gradient(mm_t *restrict to, const real *restrict dy, const matrix *w, const real *step, int rows)
{
	int			n = w->out;

	for (int t = 0; t < rows; t++, to += n, dy += n)
		for (int i = 0; i < n; i++)
			to[i] = mm_put(dy[i] * step[t] * w->scale[i]);
}

/* Gradients of a linear layer from ws->dy: its weights' unless they are fixed, and its input's times step into ws->wide. */
static void
linear_backward(workspace *ws, const matrix *w, const mm_t *in, int rows)
{
	if (!w->fixed)
		mm_weight_grad(ws->grad + w->at, ws->dy, in, rows, w->out, w->in, ws->mm_scratch, w->packed.ternary);
	mm_input_grad(ws->wide, ws->dy, &w->packed, rows);
}

/*
 * Gradient of y = x * rstd * weight for one row, dy already divided by step
 * through "inverse".  dx is set or added to.
 */
static inline void
norm_row_backward(real *restrict dx, real *restrict dweight, const real *restrict dy, real inverse,
				  const real *restrict x, const real *restrict weight, real rstd, int n, bool add)
{
	real		dot = 0;
	real		along;

	for (int i = 0; i < n; i++)
		dot += dy[i] * weight[i] * x[i];
	rstd *= inverse;
	along = dot * rstd * (rstd / inverse) * (rstd / inverse) / n;
	for (int i = 0; i < n; i++)
	{
		real		d = dy[i] * weight[i] * rstd - x[i] * along;

		dweight[i] += dy[i] * x[i] * rstd;
		dx[i] = add ? dx[i] + d : d;
	}
}

static void
norm_backward(real *dx, real *dweight, const real *dy, const real *step, const real *x, const real *weight,
			  const real *rstd, int rows, int n, bool add)
{
	for (int t = 0; t < rows; t++, dx += n, dy += n, x += n)
		norm_row_backward(dx, dweight, dy, 1 / step[t], x, weight, rstd[t], n, add);
}

/* From ws->wide, the gradient of the input of down, to ws->dy, that of gate and up. */
static void
gate_backward(const model *m, workspace *ws, const layer *y, const activation *a, int rows)
{
	int			n = m->config.ffn;
	real	   *restrict h = ws->row;
	real	   *restrict dh = ws->row + n;
	const real *scale = y->gate_up.scale;

	for (int t = 0; t < rows; t++)
	{
		const real *restrict gate = a->gate_up + (size_t) t * 2 * n;
		const real *restrict up = gate + n;
		mm_t	   *restrict dgate = ws->dy + (size_t) t * 2 * n;
		mm_t	   *restrict dup = dgate + n;

		for (int i = 0; i < n; i++)
		{
			real		positive = gate[i] > 0 ? gate[i] : 0;

			h[i] = positive * positive * up[i];
		}
		norm_row_backward(dh, ws->grad + y->ffn_sub_norm, ws->wide + (size_t) t * n, 1 / a->down_step[t], h,
						  m->param + y->ffn_sub_norm, a->down_rstd[t], n, false);
		for (int i = 0; i < n; i++)
		{
			real		positive = gate[i] > 0 ? gate[i] : 0;
			real		d = dh[i] * positive * a->ffn_step[t];

			dgate[i] = mm_put(2 * d * up[i] * scale[i]);
			dup[i] = mm_put(d * positive * scale[n + i]);
		}
	}
}

/* Turns the gradients of q and k back. */
static void
rope_backward(const model *m, const batch *b, real *dqkv, int row_size)
{
	const model_config *c = &m->config;
	int			half = c->head_dim / 2;

	for (int s = 0; s < b->n_sequences; s++)
		for (int p = 0; p < b->sequence[s].len; p++)
		{
			real	   *row = dqkv + (size_t) (b->sequence[s].start + p) * row_size;
			const real *rope = m->rope + (size_t) p * c->head_dim;

			for (int h = 0; h < c->heads + c->kv_heads; h++)
			{
				real	   *restrict low = row + h * c->head_dim;
				real	   *restrict high = low + half;

				for (int i = 0; i < half; i++)
				{
					real		re = low[i];
					real		im = high[i];

					low[i] = re * rope[2 * i] + im * rope[2 * i + 1];
					high[i] = im * rope[2 * i] - re * rope[2 * i + 1];
				}
			}
		}
}

void
model_backward(const model *m, workspace *ws, const batch *b)
{
	const model_config *c = &m->config;
	int			rows = b->rows;
	int			q = c->heads * c->head_dim;

	for (int l = c->layers - 1; l >= 0; l--)
	{
		const layer *y = &m->layer[l];
		const activation *a = &ws->act[l];

		put_gradient(ws->dy, ws->dx, &y->down, a->down_step, rows);
		linear_backward(ws, &y->down, a->down_in, rows);
		gate_backward(m, ws, y, a, rows);
		linear_backward(ws, &y->gate_up, a->ffn_in, rows);
		norm_backward(ws->dx, ws->grad + y->ffn_norm, ws->wide, a->ffn_step, a->middle, m->param + y->ffn_norm,
					  a->ffn_rstd, rows, c->dim, true);

		put_gradient(ws->dy, ws->dx, &y->output, a->out_step, rows);
		linear_backward(ws, &y->output, a->out_in, rows);
		norm_backward(ws->dattn, ws->grad + y->attn_sub_norm, ws->wide, a->out_step, a->attn,
					  m->param + y->attn_sub_norm, a->out_rstd, rows, q, false);
		attention_backward(c, b, a->qkv, a->attn, a->lse, ws->dattn, ws->wide, ws->attn_scratch);
		rope_backward(m, b, ws->wide, y->qkv.out);
		put_gradient(ws->dy, ws->wide, &y->qkv, a->attn_step, rows);
		linear_backward(ws, &y->qkv, a->attn_in, rows);
		norm_backward(ws->dx, ws->grad + y->attn_norm, ws->wide, a->attn_step, a->x, m->param + y->attn_norm,
					  a->attn_rstd, rows, c->dim, true);
	}
	for (int t = 0; t < rows; t++)
	{
		real	   *restrict grad = ws->grad + m->embedding + (size_t) b->token[t] * c->dim;
		const real *restrict dx = ws->dx + (size_t) t * c->dim;

		for (int i = 0; i < c->dim; i++)
			grad[i] += dx[i];
	}
}
