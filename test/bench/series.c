/*-------------------------------------------------------------------------
 *
 * series.c
 *	  Which pieces of work are measured, and the rounds.
 *
 * A round does each piece of work once with every setup, one after the other,
 * so that what is compared was measured within seconds, and a machine that is
 * shared or throttled slows all of it alike.
 *
 * test/bench/series.c
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

#include <unistd.h>

static const int batches[] = {1, 2, 4, 8, 16, 32, 64};
static const int positions[] = {0, 256, 512, 1024, 2048, 4096};
static const int prompts[] = {32, 64, 128, 256, 512, 1024, 2048};

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))

static int
smaller(int a, int b)
{
	return a < b ? a : b;
}

int
find_work(const work_plan *p, work_kind kind, int n, int position)
{
	int			i;

	for (i = 0; i < p->n_works; i++)
		if (p->works[i].kind == kind && p->works[i].n == n && p->works[i].position == position)
			return i;
	return -1;
}

/* Returns the number of the work. */
static int
add_work(work_plan *p, work_kind kind, int n, int position)
{
	int			i = find_work(p, kind, n, position);

	if (i >= 0)
		return i;
	p->works[p->n_works] = (work) {kind, n, position};
	return p->n_works++;
}

/* What does not fit into the model's context is left out or goes as far as that. */
void
make_plan(work_plan *p, int context, bool series)
{
	int			i;

	p->n_works = 0;
	add_work(p, DECODE, 1, 0);
	add_work(p, DECODE, 8, 0);
	add_work(p, DECODE, 16, 0);
	p->short_prompt = add_work(p, PREFILL, smaller(128, context), 0);
	p->long_prompt = add_work(p, PREFILL, smaller(512, context), 0);
	if (context >= FAR_POSITION + DECODE_STEPS)
		add_work(p, DECODE, 1, FAR_POSITION);
	p->n_table = p->n_works;
	if (!series)
		return;
	for (i = 0; i < LENGTH(batches); i++)
		add_work(p, DECODE, batches[i], 0);
	for (i = 1; i < LENGTH(positions); i++)
		if (positions[i] <= context)
			add_work(p, DECODE, 1, smaller(positions[i], context - DECODE_STEPS));
	for (i = 0; i < LENGTH(prompts); i++)
		if (prompts[i] <= context)
			add_work(p, PREFILL, prompts[i], 0);
}

/* ---- the works of a series, in the order of what it runs over ---- */

static int
is_batch(const work *w)
{
	return w->kind == DECODE && w->position == 0 ? w->n : -1;
}

static int
is_position(const work *w)
{
	return w->kind == DECODE && w->n == 1 ? w->position : -1;
}

static int
is_prefill(const work *w)
{
	return w->kind == PREFILL ? w->n : -1;
}

/* The work with the next larger x of those that have one; i = -1: the first. */
static int
next_work(const work_plan *p, int i, int (*x) (const work *))
{
	int			after = i < 0 ? -1 : x(&p->works[i]);
	int			next = -1;

	for (i = 0; i < p->n_works; i++)
		if (x(&p->works[i]) > after && (next < 0 || x(&p->works[i]) < x(&p->works[next])))
			next = i;
	return next;
}

int
next_batch(const work_plan *p, int i)
{
	return next_work(p, i, is_batch);
}

int
next_position(const work_plan *p, int i)
{
	return next_work(p, i, is_position);
}

int
next_prefill(const work_plan *p, int i)
{
	return next_work(p, i, is_prefill);
}

void
name_work(const work *w, char *name, size_t size)
{
	if (w->kind == PREFILL)
		snprintf(name, size, "prefill_%d", w->n);
	else if (w->position > 0)
		snprintf(name, size, "decode_at_%d", w->position);
	else if (w->n > 1)
		snprintf(name, size, "decode_%d", w->n);
	else
		snprintf(name, size, "decode");
}

/* ---- rounds ---- */

static void
measure_limits(bench *b, const rig *r)
{
	int			i;

	for (i = 0; i < b->n_setups; i++)
	{
		setup	   *s = &b->setups[i];

		samples_add(&s->bandwidth, measure_bandwidth(&b->models[s->image], r->pool, s->n_threads));
		samples_add(&s->peak, measure_peak(s->kernels, r->pool, s->n_threads));
	}
}

/* Notes how fast tokens were made in seconds, and what the parts took. */
static void
note(figure *f, int n_tokens, double seconds, const double *parts)
{
	double		rest = 1;
	int			part;

	samples_add(&f->speed, n_tokens / seconds);
	for (part = 0; part < BN_PARTS; part++)
	{
		samples_add(&f->share[part], parts[part] / seconds);
		rest -= parts[part] / seconds;
	}
	samples_add(&f->share[OTHER_PART], rest);
}

static void
measure_work(bench *b, rig *rigs, int number)
{
	const work *w = &b->plan.works[number];
	int			i;

	for (i = 0; i < b->n_setups; i++)
	{
		setup	   *s = &b->setups[i];
		rig		   *r = &rigs[s->image];
		double		seconds;

		if (number >= b->plan.n_table && !s->has_series)
			continue;
		seconds = rig_run(r, w, s->kernels, s->n_threads);
		note(&s->figures[number], work_tokens(w), seconds, r->profile.seconds);
	}
}

static void
measure_round(bench *b, rig *rigs)
{
	int			number;

	for (number = 0; number < b->plan.n_works; number++)
	{
		if (number == 0 || number == b->plan.n_table)
			measure_limits(b, &rigs[0]);
		measure_work(b, rigs, number);
	}
}

/* Lets each setup go once over what it will use. */
static void
warm_up(bench *b, rig *rigs)
{
	int			i;

	for (i = 0; i < b->n_setups; i++)
	{
		const setup *s = &b->setups[i];
		rig		   *r = &rigs[s->image];

		rig_run(r, &b->plan.works[find_work(&b->plan, DECODE, 16, 0)], s->kernels, s->n_threads);
		rig_run(r, &b->plan.works[b->plan.short_prompt], s->kernels, s->n_threads);
	}
}

void
measure_rounds(bench *b)
{
	rig			rigs[2];
	int			max_batch = 0;
	int			max_positions = 0;
	int			i;

	for (i = 0; i < b->plan.n_works; i++)
	{
		const work *w = &b->plan.works[i];
		int			n_positions = w->kind == DECODE ? w->position + DECODE_STEPS : w->n;

		if (w->kind == DECODE && w->n > max_batch)
			max_batch = w->n;
		if (n_positions > max_positions)
			max_positions = n_positions;
	}
	for (i = 0; i < b->n_models; i++)
		rig_init(&rigs[i], &b->models[i], b->setups[0].kernels, b->options.threads, max_batch,
				 max_positions, b->options.profile);
	warm_up(b, rigs);
	for (i = 0; i < b->options.rounds; i++)
	{
		measure_round(b, rigs);
		if (isatty(2))
			fprintf(stderr, "round %d of %d\r", i + 1, b->options.rounds);
	}
}

/* ---- limits ---- */

double
memory_limit(const bench *b, const setup *s, int position)
{
	const bn_model *m = &b->models[s->image];
	double		cache = (double) bn_kv_page_bytes(m->config) / BN_PAGE_TOKENS * position;
	double		bytes = (double) m->header->weights_bytes + head_bytes(m) + cache;

	return samples_median(&s->bandwidth) / bytes;
}

double
int8_limit(const bench *b, const setup *s, bool with_head)
{
	const bn_image_header *h = b->models[s->image].header;
	double		products = (double) bn_ternary_weights(&h->config);

	/* activations in front of the screen have two parts of eight bits */
	if (with_head && h->screen.type != BN_TENSOR_NONE)
		products += 2.0 * h->screen.rows * h->screen.cols;
	return samples_median(&s->peak) / products;
}
