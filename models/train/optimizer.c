/*-------------------------------------------------------------------------
 *
 * optimizer.c
 *	  AdamW and the two-phase schedule.
 *
 * models/train/optimizer.c
 *
 *-------------------------------------------------------------------------
 */
#include "optimizer.h"

#include <tgmath.h>

#define BETA1 0.9
#define BETA2 0.95
#define EPSILON 1e-8

/* After the middle the rate starts again at this share of the peak. */
#define SECOND_PHASE 0.4

void
optimizer_init(optimizer *o, const model *m)
{
	o->first = mm_alloc(sizeof(real) * m->n_params);
	o->second = mm_alloc(sizeof(real) * m->n_params);
	o->steps = 0;
}

step_rates
schedule(double progress, double warmup, double peak, double decay)
{
	step_rates	r;

	if (progress < 0.5)
	{
		double		up = warmup > 0 && progress < warmup ? progress / warmup : 1;

		r.rate = peak * up * (1 - 0.8 * progress);
		r.decay = decay;
	}
	else
	{
		r.rate = peak * SECOND_PHASE * 2 * (1 - (progress < 1 ? progress : 1));
		r.decay = 0;
	}
	return r;
}

double
sum_of_squares(const real *x, size_t first, size_t last)
{
	double		sum = 0;

	for (size_t i = first; i < last; i++)
		sum += (double) x[i] * x[i];
	return sum;
}

static void
adam(real *restrict w, real *restrict g, real *restrict m, real *restrict v, size_t n,
	 real clip, real rate, real second_correction)
{
	for (size_t i = 0; i < n; i++)
	{
		real		d = g[i] * clip;

		m[i] = (real) BETA1 * m[i] + (real) (1 - BETA1) * d;
		v[i] = (real) BETA2 * v[i] + (real) (1 - BETA2) * d * d;
		w[i] -= rate * m[i] / (sqrt(v[i] * second_correction) + (real) EPSILON);
		g[i] = 0;
	}
}

/* Segment "index" of all matrices, or false. */
static bool
find_segment(model *m, int index, size_t *at, int *out, int *in)
{
	for (int i = 0; i < m->config.layers * LAYER_MATRICES; i++)
	{
		const matrix *x = model_matrix(m, i);

		if (index < x->segments)
		{
			int			start = index > 0 ? x->segment_end[index - 1] : 0;

			*at = x->at + (size_t) start * x->in;
			*out = x->segment_end[index] - start;
			*in = x->in;
			return true;
		}
		index -= x->segments;
	}
	return false;
}

void
optimizer_step(optimizer *o, model *m, real *grad, double clip, step_rates rates, int part, int parts)
{
	static _Thread_local muon_scratch *scratch;
	double		rate = rates.rate / (1 - pow(BETA1, (double) o->steps));
	double		correction = 1 / (1 - pow(BETA2, (double) o->steps));
	size_t		from = m->n_params * part / parts;
	size_t		to = m->n_params * (part + 1) / parts;
	int			matrices = m->config.layers * LAYER_MATRICES;
	size_t		start = 0;
	size_t		at;
	int			out;
	int			in;

	/* Matrices lie in order; what is between them is AdamW's. */
	for (int i = 0; i <= matrices; i++)
	{
		const matrix *x = i < matrices ? model_matrix(m, i) : NULL;
		size_t		end = x ? x->at : m->n_params;
		size_t		first = start > from ? start : from;
		size_t		last = end < to ? end : to;

		if (first < last)
			adam(m->param + first, grad + first, o->first + first, o->second + first, last - first, clip, rate, correction);
		if (x)
			start = x->at + (size_t) x->out * x->in;
	}
	if (model_matrix(m, 0)->fixed)
		return;
	if (scratch == NULL)
	{
		int			size = 0;
		int			side = 0;

		for (int i = 0; find_segment(m, i, &at, &out, &in); i++)
		{
			int			shorter = out < in ? out : in;

			size = out * in > size ? out * in : size;
			side = shorter > side ? shorter : side;
		}
		scratch = muon_scratch_new(size, side);
	}
	while (find_segment(m, atomic_fetch_add(&o->next, 1), &at, &out, &in))
		muon_step(m->param + at, grad + at, o->first + at, out, in, clip, rates, scratch);
}
