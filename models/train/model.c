/*-------------------------------------------------------------------------
 *
 * model.c
 *	  Layout of the parameters, their first values, and their quantisation.
 *
 * models/train/model.c
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

#include <stdlib.h>
#include <tgmath.h>

#include "random.h"

static size_t
take(size_t *next, size_t n)
{
	size_t		at = *next;

	*next += n;
	return at;
}

static void
matrix_init(matrix *x, size_t *next, int in, int segments, int first, int second, int third)
{
	x->in = in;
	x->segments = segments;
	x->segment_end[0] = first;
	x->segment_end[1] = first + second;
	x->segment_end[2] = first + second + third;
	x->out = x->segment_end[segments - 1];
	x->at = take(next, (size_t) x->out * in);
	x->scale = mm_alloc(sizeof(real) * x->out);
	mm_weight_init(&x->packed, x->out, in);
}

void
model_init(model *m, const model_config *config, quant_mode quant)
{
	const model_config *c = &m->config;
	int			half = config->head_dim / 2;
	int			kv = config->kv_heads * config->head_dim;
	size_t		next = 0;

	memset(m, 0, sizeof(*m));
	m->config = *config;
	m->quant = quant;
	m->embedding = take(&next, (size_t) c->vocab * c->dim);
	m->layer = mm_alloc(sizeof(layer) * c->layers);
	for (int l = 0; l < c->layers; l++)
	{
		layer	   *y = &m->layer[l];

		y->attn_norm = take(&next, c->dim);
		matrix_init(&y->qkv, &next, c->dim, 3, c->heads * c->head_dim, kv, kv);
		y->attn_sub_norm = take(&next, c->heads * c->head_dim);
		matrix_init(&y->output, &next, c->heads * c->head_dim, 1, c->dim, 0, 0);
		y->ffn_norm = take(&next, c->dim);
		matrix_init(&y->gate_up, &next, c->dim, 2, c->ffn, c->ffn, 0);
		y->ffn_sub_norm = take(&next, c->ffn);
		matrix_init(&y->down, &next, c->ffn, 1, c->dim, 0, 0);
	}
	m->output_norm = take(&next, c->dim);
	m->n_params = next;
	m->param = mm_alloc(sizeof(real) * next);
	m->embedding_f16 = mm_alloc(sizeof(real) * c->vocab * c->dim);
	mm_weight_init(&m->head, c->vocab, c->dim);

	m->rope = mm_alloc(sizeof(real) * c->context * half * 2);
	for (int p = 0; p < c->context; p++)
		for (int i = 0; i < half; i++)
		{
			double		angle = p * pow(c->theta, -2.0 * i / c->head_dim);

			m->rope[((size_t) p * half + i) * 2] = cos(angle);
			m->rope[((size_t) p * half + i) * 2 + 1] = sin(angle);
		}
}

matrix *
model_matrix(model *m, int index)
{
	layer	   *y = &m->layer[index / LAYER_MATRICES];
	matrix	   *all[LAYER_MATRICES] = {&y->qkv, &y->output, &y->gate_up, &y->down};

	return all[index % LAYER_MATRICES];
}

static void
fill_normal(real *x, size_t n, double deviation, uint64_t *state)
{
	for (size_t i = 0; i < n; i++)
		x[i] = deviation * random_normal(state);
}

static void
fill(real *x, size_t n, real value)
{
	for (size_t i = 0; i < n; i++)
		x[i] = value;
}

void
model_randomize(model *m, uint64_t seed)
{
	const model_config *c = &m->config;
	uint64_t	state = seed;

	fill_normal(m->param + m->embedding, (size_t) c->vocab * c->dim, 0.02, &state);
	for (int l = 0; l < c->layers; l++)
	{
		layer	   *y = &m->layer[l];
		double		residual = 1 / sqrt(2.0 * c->layers);

		fill(m->param + y->attn_norm, c->dim, 1);
		fill(m->param + y->attn_sub_norm, c->heads * c->head_dim, 1);
		fill(m->param + y->ffn_norm, c->dim, 1);
		fill(m->param + y->ffn_sub_norm, c->ffn, 1);
		for (int i = 0; i < LAYER_MATRICES; i++)
		{
			matrix	   *x = model_matrix(m, l * LAYER_MATRICES + i);
			double		deviation = 0.5 / sqrt(x->in);

			if (x == &y->output || x == &y->down)
				deviation *= residual;
			fill_normal(m->param + x->at, (size_t) x->out * x->in, deviation, &state);
		}
	}
	fill(m->param + m->output_norm, c->dim, 1);
}

real
quantize_segment(const real *w, real *code, size_t n)
{
	double		sum = 0;
	real		mean;
	real		inverse;

	for (size_t i = 0; i < n; i++)
		sum += fabs((double) w[i]);
	mean = sum / n;
	if (mean < (real) 1e-5)
		mean = (real) 1e-5;
	inverse = 1 / mean;
	for (size_t i = 0; i < n; i++)
	{
		real		r = rint(w[i] * inverse);

		code[i] = r > 1 ? 1 : r < -1 ? -1 : r;
	}
	return mean;
}

static void
matrix_prepare(model *m, matrix *x)
{
	const real *w = m->param + x->at;
	size_t		n = (size_t) x->out * x->in;
	real	   *value;

	for (int i = 0; i < x->out; i++)
		x->scale[i] = 1;
	if (m->quant == QUANT_NONE)
	{
		mm_weight_set(&x->packed, w, 0, x->out, false);
		return;
	}
	value = mm_alloc(sizeof(real) * n);
	if (m->quant == QUANT_FROZEN)
	{
		for (size_t i = 0; i < n; i++)
			value[i] = w[i] + m->frozen[x->at + i];
	}
	else
	{
		for (int s = 0, first = 0; s < x->segments; first = x->segment_end[s++])
		{
			size_t		at = (size_t) first * x->in;
			size_t		size = (size_t) (x->segment_end[s] - first) * x->in;
			real		scale = quantize_segment(w + at, value + at, size);

			fill(x->scale + first, x->segment_end[s] - first, scale);
			if (m->frozen)
				for (size_t i = at; i < at + size; i++)
					m->frozen[x->at + i] = scale * value[i] - w[i];
		}
	}
	mm_weight_set(&x->packed, value, 0, x->out, m->quant == QUANT_TERNARY);
	free(value);
}

void
model_prepare(model *m, int part, int parts)
{
	const model_config *c = &m->config;
	const real *embedding = m->param + m->embedding;
	int			first = (int) ((int64_t) c->vocab / 32 * part / parts) * 32;
	int			last = part == parts - 1 ? c->vocab : (int) ((int64_t) c->vocab / 32 * (part + 1) / parts) * 32;

	for (int i = part; i < c->layers * LAYER_MATRICES; i += parts)
		matrix_prepare(m, model_matrix(m, i));
	if (m->published)
		for (size_t i = (size_t) first * c->dim; i < (size_t) last * c->dim; i++)
			m->embedding_f16[i] = (real) (_Float16) embedding[i];
	else
		mm_weight_set(&m->head, embedding, first, last, false);
}

void
model_unscale(model *m, real *grad, int part, int parts)
{
	for (int i = part; i < m->config.layers * LAYER_MATRICES; i += parts)
	{
		const matrix *x = model_matrix(m, i);

		for (int n = 0; n < x->out; n++)
		{
			real	   *row = grad + x->at + (size_t) n * x->in;
			real		inverse = 1 / x->scale[n];

			for (int k = 0; k < x->in; k++)
				row[k] *= inverse;
		}
	}
}

void
workspace_init(workspace *ws, const model *m, int max_rows, bool backward)
{
	const model_config *c = &m->config;
	size_t		rows = max_rows;
	size_t		q = c->heads * c->head_dim;
	size_t		qkv = q + 2 * c->kv_heads * c->head_dim;
	size_t		ffn = 2 * (size_t) c->ffn;
	size_t		widest = ffn > qkv ? ffn : qkv;
	size_t		scratch = mm_scratch_size(HEAD_ROWS, c->vocab, c->dim);

	memset(ws, 0, sizeof(*ws));
	ws->act = mm_alloc(sizeof(activation) * c->layers);
	for (int l = 0; l < c->layers; l++)
	{
		activation *a = &ws->act[l];

		/* Without a backward pass the layers share their memory. */
		if (l > 0 && !backward)
		{
			*a = ws->act[0];
			if (l == 1)
				a->x = mm_alloc(sizeof(real) * rows * c->dim);
			else
				a->x = ws->act[l - 2].x;
			continue;
		}
		a->x = mm_alloc(sizeof(real) * rows * c->dim);
		a->attn_rstd = mm_alloc(sizeof(real) * rows);
		a->attn_in = mm_alloc(sizeof(mm_t) * rows * c->dim);
		a->attn_step = mm_alloc(sizeof(real) * rows);
		a->qkv = mm_alloc(sizeof(real) * rows * qkv);
		a->lse = mm_alloc(sizeof(real) * rows * c->heads);
		a->attn = mm_alloc(sizeof(real) * rows * q);
		a->out_rstd = mm_alloc(sizeof(real) * rows);
		a->out_in = mm_alloc(sizeof(mm_t) * rows * q);
		a->out_step = mm_alloc(sizeof(real) * rows);
		a->middle = mm_alloc(sizeof(real) * rows * c->dim);
		a->ffn_rstd = mm_alloc(sizeof(real) * rows);
		a->ffn_in = mm_alloc(sizeof(mm_t) * rows * c->dim);
		a->ffn_step = mm_alloc(sizeof(real) * rows);
		a->gate_up = mm_alloc(sizeof(real) * rows * 2 * c->ffn);
		a->down_rstd = mm_alloc(sizeof(real) * rows);
		a->down_in = mm_alloc(sizeof(mm_t) * rows * c->ffn);
		a->down_step = mm_alloc(sizeof(real) * rows);
	}
	ws->final = mm_alloc(sizeof(real) * rows * c->dim);
	ws->row = mm_alloc(sizeof(real) * 2 * widest);
	ws->attn_scratch = mm_alloc(sizeof(real) * attention_scratch_size(c));
	ws->head_rows = mm_alloc(sizeof(int) * rows);
	ws->head_norm = mm_alloc(sizeof(real) * HEAD_ROWS * c->dim);
	ws->head_in = mm_alloc(sizeof(mm_t) * HEAD_ROWS * c->dim);
	ws->logits = mm_alloc(sizeof(real) * HEAD_ROWS * c->vocab);
	if (backward)
	{
		int			shapes[LAYER_MATRICES][2] = {{(int) qkv, c->dim}, {c->dim, (int) q}, {2 * c->ffn, c->dim},
		{c->dim, c->ffn}};

		for (int i = 0; i < LAYER_MATRICES; i++)
		{
			size_t		n = mm_scratch_size(max_rows, shapes[i][0], shapes[i][1]);

			if (n > scratch)
				scratch = n;
		}
		ws->grad = mm_alloc(sizeof(real) * m->n_params);
		ws->dx = mm_alloc(sizeof(real) * rows * c->dim);
		ws->dattn = mm_alloc(sizeof(real) * rows * q);
		ws->wide = mm_alloc(sizeof(real) * rows * widest);
		ws->dy = mm_alloc(sizeof(mm_t) * rows * widest);
		ws->mm_scratch = mm_alloc(sizeof(mm_t) * scratch);
		ws->dlogits = mm_alloc(sizeof(mm_t) * HEAD_ROWS * c->vocab);
	}
}

void
batch_init(batch *b, int max_rows)
{
	memset(b, 0, sizeof(*b));
	b->max_rows = max_rows;
	b->token = mm_alloc(sizeof(int32_t) * (max_rows + MM_ROWS));
	b->target = mm_alloc(sizeof(int32_t) * (max_rows + MM_ROWS));
	b->sequence = mm_alloc(sizeof(sequence) * (max_rows + 1));
}
