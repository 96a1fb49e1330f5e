/*-------------------------------------------------------------------------
 *
 * rig.c
 *	  An engine and a cache that do a piece of work and say how long it took.
 *
 * test/bench/rig.c
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

/* Begins again with an empty cache, whose memory keeps what it held. */
static void
empty_cache(rig *r)
{
	int			k;

	bn_kv_init(r->kv, r->model->config, r->n_pages);
	for (k = 0; k < MAX_BATCH; k++)
		r->sequences[k] = (bn_sequence) {0, 0, r->n_pages, r->pages + (size_t) k * (size_t) r->n_pages};
}

/* Sequence k with room for some more tokens after a position. */
static bn_sequence *
begin_sequence(rig *r, int k, int position, int n_tokens)
{
	bn_sequence *seq = &r->sequences[k];

	if (bn_sequence_begin(r->kv, seq, NULL, 0, 0, position + n_tokens) != BN_OK)
		die("the cache is too small", NULL);
	seq->n_tokens = position;
	return seq;
}

/*
 * Puts keys and values into all of the cache.  So a sequence can be at any
 * position without its beginning being computed, and memory has been touched.
 */
static void
fill_cache(rig *r)
{
	const bn_config *c = r->model->config;
	int			n_positions = r->n_pages * BN_PAGE_TOKENS;
	bn_sequence *seq = begin_sequence(r, 0, 0, n_positions);
	uint32_t	random = 1;
	int			layer;
	int			head;
	int32_t		p;
	int			i;

	for (layer = 0; layer < c->n_layers; layer++)
		for (head = 0; head < 2 * c->n_kv_heads; head++)
			for (p = 0; p < n_positions; p++)
			{
				uint16_t   *row = bn_kv_row(r->kv, seq, layer, head % 2, head / 2, p);

				for (i = 0; i < c->head_dim; i++)
				{
					/* halves between 0.5 and 1 of both signs */
					random = random * 1664525 + 1013904223;
					row[i] = (uint16_t) (0x3800 | (random >> 16 & 0x83ff));
				}
			}
}

void
rig_init(rig *r, const bn_model *model, const bn_kernels *kernels, int n_threads,
		 int max_batch, int max_positions, bool profile)
{
	const bn_config *c = model->config;

	memset(r, 0, sizeof(*r));
	r->model = model;
	r->n_pages = bn_kv_pages(max_positions);
	if (r->n_pages < max_batch)
		r->n_pages = max_batch; /* decoding takes a page of each sequence */
	r->pages = malloc(sizeof(int32_t) * MAX_BATCH * (size_t) r->n_pages);
	r->logits = malloc(sizeof(float) * MAX_BATCH * (size_t) c->vocab_size);
	r->pool = bn_pool_init(malloc(bn_pool_size(n_threads)), n_threads);
	r->kv = bn_kv_init(allocate(bn_kv_size(c, r->n_pages), true), c, r->n_pages);
	r->engine = bn_engine_init(allocate(bn_engine_size(c, STEP_TOKENS, n_threads, max_positions), true),
							   model, r->kv, kernels, r->pool, STEP_TOKENS, max_positions);
	r->profile.now = now;
	if (profile)
		bn_engine_set_profile(r->engine, &r->profile);
	empty_cache(r);
	fill_cache(r);
}

static void
step(rig *r, const bn_step_entry *entries, int n)
{
	bn_error	err;

	if (bn_step(r->engine, entries, n, NULL, &err) != BN_OK)
		die("step", &err);
}

/* n tokens of a prompt. */
static void
run_prefill(rig *r, int n)
{
	bn_step_entry entries[STEP_TOKENS];
	bn_sequence *seq = begin_sequence(r, 0, 0, n);
	int			done;

	for (done = 0; done < n; done += STEP_TOKENS)
	{
		int			n_entries = n - done < STEP_TOKENS ? n - done : STEP_TOKENS;
		int			i;

		for (i = 0; i < n_entries; i++)
			entries[i] = (bn_step_entry) {
				.sequence = seq,
				.position = done + i,
				.token = (int32_t) ((done + i) * 7919 % r->model->config->vocab_size),
				.logits = done + i == n - 1 ? r->logits : NULL,
				.n_best = 1,
				.best = r->best
			};
		step(r, entries, n_entries);
	}
}

/* DECODE_STEPS tokens of each of n sequences. */
static void
run_decode(rig *r, int n, int position)
{
	bn_step_entry entries[MAX_BATCH];
	int32_t		vocab_size = r->model->config->vocab_size;
	int			i;
	int			k;

	for (k = 0; k < n; k++)
		begin_sequence(r, k, position, DECODE_STEPS);
	for (i = 0; i < DECODE_STEPS; i++)
	{
		for (k = 0; k < n; k++)
			entries[k] = (bn_step_entry) {
				.sequence = &r->sequences[k],
				.position = position + i,
				.token = (int32_t) ((i * 104729 + k) % vocab_size),
				.logits = r->logits + (size_t) k * (size_t) vocab_size,
				.n_best = 1,
				.best = &r->best[k]
			};
		step(r, entries, n);
	}
}

double
rig_run(rig *r, const work *w, const bn_kernels *kernels, int n_threads)
{
	double		start;

	bn_engine_use(r->engine, kernels, n_threads);
	empty_cache(r);
	memset(r->profile.seconds, 0, sizeof(r->profile.seconds));
	start = now();
	if (w->kind == DECODE)
		run_decode(r, w->n, w->position);
	else
		run_prefill(r, w->n);
	return now() - start;
}

int
work_tokens(const work *w)
{
	return w->kind == DECODE ? w->n * DECODE_STEPS : w->n;
}
