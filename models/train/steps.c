/*-------------------------------------------------------------------------
 *
 * steps.c
 *	  One step of training, shared among the threads, and evaluation.
 *
 * Every thread takes a batch of its own through the model; then the gradients
 * are summed, and each thread updates its share of the parameters.
 *
 * models/train/steps.c
 *
 *-------------------------------------------------------------------------
 */
#include "train.h"

#include <math.h>

#define PREFERENCE_BETA 0.1
#define PREFERENCE_ANCHOR 0.2	/* weight of the plain loss of the good answers beside it */
#define CLIP_NORM 1.0

static void
job_prepare(trainer *tr, int thread)
{
	model_prepare(&tr->model, thread, tr->threads);
}

void
prepare_weights(trainer *tr)
{
	workers_run(tr, job_prepare);
}

bool
next_batches(trainer *tr, dataset *ds, cursor *c, int rows, bool once)
{
	bool		any = false;

	for (int i = 0; i < tr->threads; i++)
	{
		tr->batch[i].max_rows = rows;
		tr->groups[i] = dataset_fill(ds, c, &tr->batch[i], tr->model.config.context, once, tr->ids[i]);
		any |= tr->groups[i] > 0;
	}
	return any;
}

static int
count_targets(const batch *b, const sequence *s)
{
	int			n = 0;

	for (int t = s->start; t < s->start + s->len; t++)
		n += b->target[t] >= 0;
	return n;
}

/*
 * Direct preference optimisation: the loss of a pair is -log sigmoid(z), z =
 * beta * (gain of the good answer - gain of the bad one), a gain being log p
 * against the reference model.  As a function of each answer's loss its slope
 * is beta * sigmoid(-z), up for the good and down for the bad one.
 */
static void
preference_weights(trainer *tr, int thread)
{
	batch	   *b = &tr->batch[thread];

	for (int i = 0; i < tr->groups[thread]; i++)
	{
		const real *reference = tr->reference + 2 * (size_t) tr->ids[thread][i];
		const sequence_score *good = &tr->score[thread][2 * i];
		const sequence_score *bad = good + 1;
		double		gain = -good->loss - reference[0];
		double		loss = -bad->loss - reference[1];
		double		slope = PREFERENCE_BETA / (1 + exp(PREFERENCE_BETA * (gain - loss)));
		int			targets = good->targets > 0 ? good->targets : 1;

		b->sequence[2 * i].weight = (slope + PREFERENCE_ANCHOR / targets) / tr->target_weight;
		b->sequence[2 * i + 1].weight = -slope / tr->target_weight;
	}
}

static void
job_gradients(trainer *tr, int thread)
{
	workspace  *ws = &tr->ws[thread];
	batch	   *b = &tr->batch[thread];

	if (tr->groups[thread] == 0)
		return;
	model_forward(&tr->model, ws, b);
	if (tr->contrast)
	{
		memset(ws->dx, 0, sizeof(real) * b->rows * tr->model.config.dim);
		model_contrast(&tr->model, ws, b, tr->score[thread], true);
		model_backward(&tr->model, ws, b);
		return;
	}
	if (tr->reference)
	{
		model_head(&tr->model, ws, b, tr->score[thread], false);
		preference_weights(tr, thread);
	}
	model_head(&tr->model, ws, b, tr->score[thread], true);
	model_backward(&tr->model, ws, b);
}

static void
job_sum(trainer *tr, int thread)
{
	size_t		from = tr->model.n_params * thread / tr->threads;
	size_t		to = tr->model.n_params * (thread + 1) / tr->threads;
	real	   *restrict sum = tr->ws[0].grad;

	for (int i = 1; i < tr->threads; i++)
	{
		real	   *restrict grad = tr->ws[i].grad;

		for (size_t k = from; k < to; k++)
		{
			sum[k] += grad[k];
			grad[k] = 0;
		}
	}
}

static void
job_unscale(trainer *tr, int thread)
{
	model_unscale(&tr->model, tr->ws[0].grad, thread, tr->threads);
}

static void
job_norm(trainer *tr, int thread)
{
	tr->partial[thread] = sum_of_squares(tr->ws[0].grad, tr->model.n_params * thread / tr->threads,
										 tr->model.n_params * (thread + 1) / tr->threads);
}

static void
job_update(trainer *tr, int thread)
{
	optimizer_step(&tr->optimizer, &tr->model, tr->ws[0].grad, tr->clip, tr->rates, thread, tr->threads);
}

static void
job_forward(trainer *tr, int thread)
{
	if (tr->groups[thread] == 0)
		return;
	model_forward(&tr->model, &tr->ws[thread], &tr->batch[thread]);
	if (tr->contrast)
		model_contrast(&tr->model, &tr->ws[thread], &tr->batch[thread], tr->score[thread], false);
	else
		model_head(&tr->model, &tr->ws[thread], &tr->batch[thread], tr->score[thread], false);
}

/* Adds up what the threads found; the sums become means in finish_result(). */
static void
add_result(trainer *tr, pass_result *r)
{
	for (int i = 0; i < tr->threads; i++)
	{
		if (tr->groups[i] == 0)
			continue;
		r->rows += tr->batch[i].rows;
		for (int s = 0; s < tr->batch[i].n_sequences; s++)
		{
			const sequence_score *score = &tr->score[i][s];

			if (score->targets == 0)
				continue;
			r->loss += score->loss;
			r->targets += score->targets;
			r->accuracy += score->correct;
			r->exact += score->correct == score->targets;
			r->sequences++;
		}
		for (int p = 0; tr->reference && p < tr->groups[i]; p++)
		{
			const real *reference = tr->reference + 2 * (size_t) tr->ids[i][p];

			r->margin += reference[1] + tr->score[i][2 * p + 1].loss > reference[0] + tr->score[i][2 * p].loss;
		}
	}
}

static void
finish_result(pass_result *r)
{
	r->loss /= r->targets > 0 ? r->targets : 1;
	r->accuracy /= r->targets > 0 ? r->targets : 1;
	r->exact /= r->sequences > 0 ? r->sequences : 1;
	r->margin /= r->sequences > 1 ? r->sequences / 2 : 1;
}

/* Sets the weight of each sequence's targets to targets^-power, scaled so that those of all targets sum to 1. */
static void
share_weight(trainer *tr, double power)
{
	double		sum = 0;

	for (int i = 0; i < tr->threads; i++)
		for (int k = 0; tr->groups[i] > 0 && k < tr->batch[i].n_sequences; k++)
		{
			sequence   *q = &tr->batch[i].sequence[k];
			int			targets = tr->contrast ? q->weight != 0 : count_targets(&tr->batch[i], q);

			q->weight = targets > 0 ? pow(targets, -power) : 0;
			sum += q->weight * targets;
		}
	for (int i = 0; i < tr->threads; i++)
		for (int k = 0; tr->groups[i] > 0 && k < tr->batch[i].n_sequences; k++)
			tr->batch[i].sequence[k].weight /= sum > 0 ? sum : 1;
}

/* From the batches to new parameters; returns the norm of the gradient. */
static double
update(trainer *tr, step_rates rates, pass_result *result)
{
	double		norm = 0;

	workers_run(tr, job_gradients);
	workers_run(tr, job_sum);
	if (tr->model.quant == QUANT_TERNARY)
		workers_run(tr, job_unscale);
	workers_run(tr, job_norm);
	for (int i = 0; i < tr->threads; i++)
		norm += tr->partial[i];
	norm = sqrt(norm);
	tr->clip = norm > CLIP_NORM ? CLIP_NORM / norm : 1;
	tr->rates = rates;
	tr->optimizer.steps++;
	tr->optimizer.next = 0;
	workers_run(tr, job_update);
	workers_run(tr, job_prepare);

	memset(result, 0, sizeof(*result));
	add_result(tr, result);
	finish_result(result);
	return norm;
}

double
train_step(trainer *tr, const stage *s, step_rates rates, const real *reference, pass_result *result)
{
	double		norm;

	tr->reference = reference;
	tr->target_weight = 0;
	if (reference)
		for (int i = 0; i < tr->threads; i++)
			tr->target_weight += tr->groups[i];
	else
		share_weight(tr, s->answer_power);
	norm = update(tr, rates, result);
	tr->reference = NULL;
	return norm;
}

double
train_embeddings(trainer *tr, step_rates rates, pass_result *result)
{
	double		norm;

	tr->contrast = true;
	share_weight(tr, 0);
	norm = update(tr, rates, result);
	tr->contrast = false;
	return norm;
}

pass_result
evaluate_embeddings(trainer *tr, dataset *ds, int64_t rows)
{
	pass_result result;

	tr->contrast = true;
	result = evaluate(tr, ds, rows, NULL);
	tr->contrast = false;
	return result;
}

pass_result
evaluate(trainer *tr, dataset *ds, int64_t rows, real *log_p)
{
	pass_result result = {0};
	cursor		c = {0};

	while (result.rows < rows && next_batches(tr, ds, &c, tr->rows, true))
	{
		workers_run(tr, job_forward);
		add_result(tr, &result);
		if (log_p == NULL)
			continue;
		for (int i = 0; i < tr->threads; i++)
			for (int k = 0; k < tr->groups[i] * ds->group; k++)
				log_p[(size_t) tr->ids[i][k / ds->group] * ds->group + k % ds->group] = -tr->score[i][k].loss;
	}
	finish_result(&result);
	return result;
}
