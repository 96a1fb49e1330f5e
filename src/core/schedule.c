/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Runs any number of requests through shared steps.
 *
 * Invariants:
 *
 *	- Requests are admitted in order.  A request that shares the beginning of
 *	  an earlier one is admitted when that beginning is in the cache.
 *	- At admission a request gets a slot and all pages that it can ever need,
 *	  so what runs never waits for memory.
 *	- A finished request keeps its pages while a later one wants to share them.
 *	  Since requests are in preorder of the sharing tree, the only ones that
 *	  are kept without running are the ancestors of the next request to admit.
 *	  A cache that holds one request and its ancestors is therefore enough to
 *	  finish them all.
 *
 * src/core/schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include "schedule.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

/* Logits of one step; a row is large (128256 floats in 2B4T). */
#define MAX_LOGIT_ROWS 64

/* Up to so many largest logits are asked of a step instead of all. */
#define MAX_BEST 1024

/* What the parts of a schedule need, found from requests and limits. */
typedef struct schedule_plan
{
	int32_t		n_slots;
	int32_t		n_pages;
	int32_t		max_positions;
	int32_t		max_pages;		/* of one sequence */
	int32_t		max_entries;
	int32_t		n_logit_rows;
	int32_t		n_threads;
	bool		embeds;
	bool		samples;
	int32_t		max_best;
} schedule_plan;

typedef struct slot
{
	bn_sequence sequence;
	int32_t		request;		/* or -1 */
} slot;

struct bn_schedule
{
	const bn_model *model;
	bn_engine  *engine;
	bn_kv	   *kv;
	bn_pool    *pool;
	bn_request *requests;
	int32_t		n_requests;
	int32_t		n_admitted;
	int32_t		n_finished;
	int32_t		first_slot;		/* where the next step begins to look */
	schedule_plan plan;
	slot	   *slots;			/* [n_slots] */
	bn_step_entry *entries;		/* [max_entries] */
	int32_t    *entry_request;	/* [max_entries] */
	float	   *logits;			/* [n_logit_rows, vocab_size] */
	bn_candidate *best;			/* [n_logit_rows, max_best] */
	float	   *hidden;			/* [max_entries, d_model], if something embeds */
	double	   *pooled;			/* [n_slots, d_model], likewise */
	void	   *sampler_scratch;
	bn_schedule_stats stats;
};

/* Positions that a request stores in the cache when all is done. */
static int32_t
positions_needed(const bn_request *r)
{
	switch (r->kind)
	{
		case BN_REQUEST_GENERATE:
			return r->n_tokens + r->max_output - 1;
		case BN_REQUEST_SCORE:
			/* nothing follows the last token */
			return r->n_tokens > r->n_context ? r->n_tokens - 1 : 0;
		default:
			return r->n_tokens;
	}
}

/* Prompt positions to be computed or reused before the request can decode. */
static int32_t
prompt_positions(const bn_request *r)
{
	return r->kind == BN_REQUEST_SCORE ? positions_needed(r) : r->n_tokens;
}

/*
 * How much of the parent's cache is of use: at least one position must be left
 * to compute, since its logits are what the request is about.
 */
static int32_t
reusable_positions(const bn_request *requests, const bn_request *r)
{
	int32_t		n;
	int32_t		most;

	if (r->shared_with < 0 || r->n_tokens == 0)
		return 0;
	if (r->kind == BN_REQUEST_EMBED && r->pooling != BN_POOL_LAST)
		return 0;
	n = prompt_positions(&requests[r->shared_with]);
	if (n > r->n_shared)
		n = r->n_shared;
	most = (r->kind == BN_REQUEST_SCORE ? r->n_context : r->n_tokens) - 1;
	return n < most ? n : most;
}

/* Pages that are the request's own, not shared with its parent. */
static int32_t
own_pages(const bn_request *requests, const bn_request *r)
{
	return bn_kv_pages(positions_needed(r)) - reusable_positions(requests, r) / BN_PAGE_TOKENS;
}

/* How many of the largest logits decide about the next token; 0: all. */
static int32_t
best_needed(const bn_request *r, int32_t vocab_size)
{
	int32_t		n = r->kind == BN_REQUEST_GENERATE ? bn_sample_needs(&r->sampling, vocab_size) : 0;

	return n <= MAX_BEST ? n : 0;
}

static bn_status
check_request(const bn_model *model, const bn_request *requests, int index, bn_error *err)
{
	const bn_request *r = &requests[index];
	const bn_config *c = model->config;
	int64_t		length = r->n_tokens;

	if (r->kind == BN_REQUEST_GENERATE)
		length += r->max_output;
	if (r->n_tokens < 1 ||
		((r->kind == BN_REQUEST_GENERATE || r->kind == BN_REQUEST_NEXT) && r->max_output < 1) ||
		(r->kind == BN_REQUEST_SCORE && (r->n_context < 1 || r->n_context > r->n_tokens)))
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET, "request %d has no tokens", index);
	if (length > c->context_length)
		return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
					   "%ld tokens are needed, the model's context holds %d",
					   length, (int) c->context_length);
	if (r->shared_with >= index || r->n_shared > r->n_tokens)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
					   "request %d shares with request %d", index, (int) r->shared_with);
	if (r->shared_with >= 0)
	{
		const bn_request *parent = &requests[r->shared_with];
		int			ancestor = index - 1;

		while (ancestor >= 0 && ancestor != r->shared_with)
			ancestor = requests[ancestor].shared_with;
		if (ancestor < 0 || r->n_shared < 0 || r->n_shared > parent->n_tokens ||
			memcmp(r->tokens, parent->tokens, (size_t) r->n_shared * sizeof(int32_t)) != 0)
			return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
						   "request %d does not share a beginning with request %d",
						   index, (int) r->shared_with);
	}
	return BN_OK;
}

static bn_status
make_plan(const bn_model *model, const bn_request *requests, int n_requests,
		  const bn_schedule_limits *limits, schedule_plan *plan, bn_error *err)
{
	const bn_config *c = model->config;
	int64_t		page_limit = limits->kv_bytes / (int64_t) bn_kv_page_bytes(c);
	int64_t		all_pages = 0;
	int64_t		all_tokens = 0;
	int64_t		all_logits = 0;
	int32_t		most_own_pages = 0;
	int32_t		most_ancestors = 0;
	int			i;

	memset(plan, 0, sizeof(*plan));
	for (i = 0; i < n_requests; i++)
	{
		const bn_request *r = &requests[i];
		int32_t		own;
		int64_t		path_pages = 0;
		int32_t		n_ancestors = 0;
		int			ancestor;

		BN_TRY(check_request(model, requests, i, err));
		own = own_pages(requests, r);
		for (ancestor = r->shared_with; ancestor >= 0; ancestor = requests[ancestor].shared_with)
		{
			path_pages += own_pages(requests, &requests[ancestor]);
			n_ancestors++;
		}
		if (path_pages + own > page_limit)
			return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
						   "%ld MB of KV cache are needed, %ld MB are allowed",
						   ((path_pages + own) * (int64_t) bn_kv_page_bytes(c) + 1048575) / 1048576,
						   limits->kv_bytes / 1048576);
		all_pages += own;
		all_tokens += prompt_positions(r);
		all_logits += r->kind == BN_REQUEST_SCORE ? r->n_tokens - r->n_context :
			r->kind == BN_REQUEST_EMBED ? 0 : 1;
		if (own > most_own_pages)
			most_own_pages = own;
		if (n_ancestors > most_ancestors)
			most_ancestors = n_ancestors;
		if (positions_needed(r) > plan->max_positions)
			plan->max_positions = positions_needed(r);
		plan->embeds |= r->kind == BN_REQUEST_EMBED;
		if (best_needed(r, c->vocab_size) > plan->max_best)
			plan->max_best = best_needed(r, c->vocab_size);
		plan->samples |= r->kind == BN_REQUEST_GENERATE;
	}

	plan->n_slots = limits->max_sequences < n_requests ? limits->max_sequences : n_requests;
	if (plan->n_slots < most_ancestors + 1)
		plan->n_slots = most_ancestors + 1;
	if (all_pages > (int64_t) plan->n_slots * most_own_pages)
		all_pages = (int64_t) plan->n_slots * most_own_pages;
	plan->n_pages = (int32_t) (all_pages < page_limit ? all_pages : page_limit);
	plan->max_pages = bn_kv_pages(plan->max_positions);
	if (all_tokens < plan->n_slots)
		all_tokens = plan->n_slots;
	plan->max_entries = (int32_t) (all_tokens < limits->max_step_tokens ? all_tokens :
								   limits->max_step_tokens);
	if (plan->max_entries < 1)
		plan->max_entries = 1;
	plan->n_logit_rows = plan->max_entries < MAX_LOGIT_ROWS ? plan->max_entries : MAX_LOGIT_ROWS;
	if (all_logits < plan->n_logit_rows)
		plan->n_logit_rows = (int32_t) all_logits;
	plan->n_threads = limits->n_threads < 1 ? 1 : limits->n_threads;
	return BN_OK;
}

/* The next size bytes of the schedule's memory, or NULL if it is only measured. */
static void *
take(char *memory, size_t *used, size_t size)
{
	void	   *result = memory ? memory + *used : NULL;

	*used += (size + 63) / 64 * 64;
	return result;
}

/* Sets the pointers of *s into memory (NULL: only counts); returns the size. */
static size_t
lay_out(bn_schedule *s, char *memory, const bn_model *model, const schedule_plan *plan)
{
	const bn_config *c = model->config;
	size_t		d = (size_t) c->d_model;
	size_t		used = 0;
	int32_t    *pages;
	int32_t		i;

	take(memory, &used, sizeof(*s));
	s->slots = take(memory, &used, sizeof(slot) * (size_t) plan->n_slots);
	pages = take(memory, &used, sizeof(int32_t) * (size_t) plan->n_slots * (size_t) plan->max_pages);
	for (i = 0; memory && i < plan->n_slots; i++)
	{
		bn_sequence seq = {0, 0, plan->max_pages, pages + (size_t) i * (size_t) plan->max_pages};

		s->slots[i] = (slot) {seq, -1};
	}
	s->entries = take(memory, &used, sizeof(bn_step_entry) * (size_t) plan->max_entries);
	s->entry_request = take(memory, &used, sizeof(int32_t) * (size_t) plan->max_entries);
	s->logits = take(memory, &used, sizeof(float) * (size_t) plan->n_logit_rows *
					 (size_t) c->vocab_size);
	s->best = take(memory, &used, sizeof(bn_candidate) * (size_t) plan->n_logit_rows *
				   (size_t) plan->max_best);
	if (plan->embeds)
	{
		s->hidden = take(memory, &used, sizeof(float) * (size_t) plan->max_entries * d);
		s->pooled = take(memory, &used, sizeof(double) * (size_t) plan->n_slots * d);
	}
	if (plan->samples)
		s->sampler_scratch = take(memory, &used, bn_sampler_scratch_size(c->vocab_size));
	s->pool = take(memory, &used, bn_pool_size(plan->n_threads));
	s->kv = take(memory, &used, bn_kv_size(c, plan->n_pages));
	s->engine = take(memory, &used, bn_engine_size(c, plan->max_entries, plan->n_threads,
												   plan->max_positions));
	return used;
}

bn_status
bn_schedule_size(const bn_model *model, const bn_request *requests, int n_requests,
				 const bn_schedule_limits *limits, size_t *size, bn_error *err)
{
	bn_schedule measured;
	schedule_plan plan;

	BN_TRY(make_plan(model, requests, n_requests, limits, &plan, err));
	*size = lay_out(&measured, NULL, model, &plan);
	return BN_OK;
}

bn_status
bn_schedule_init(bn_schedule **schedule, void *memory, size_t size,
				 const bn_model *model, const bn_kernels *kernels,
				 bn_request *requests, int n_requests,
				 const bn_schedule_limits *limits, bn_error *err)
{
	bn_schedule *s = memory;
	bn_schedule measured;
	schedule_plan plan;
	size_t		needed;
	int			i;

	BN_TRY(make_plan(model, requests, n_requests, limits, &plan, err));
	needed = lay_out(&measured, NULL, model, &plan);
	if (size < needed)
		return bn_fail(err, BN_ERR_NOSPACE, BN_NO_OFFSET,
					   "%lu bytes of memory where %lu are needed",
					   (uint64_t) size, (uint64_t) needed);
	memset(s, 0, sizeof(*s));
	s->plan = plan;
	lay_out(s, memory, model, &plan);
	s->model = model;
	s->requests = requests;
	s->n_requests = n_requests;
	s->pool = bn_pool_init(s->pool, plan.n_threads);
	s->kv = bn_kv_init(s->kv, model->config, plan.n_pages);
	s->engine = bn_engine_init(s->engine, model, s->kv, kernels, s->pool,
							   plan.max_entries, plan.max_positions);
	for (i = 0; i < n_requests; i++)
	{
		bn_request *r = &requests[i];

		r->n_output = 0;
		r->finish = BN_FINISH_NONE;
		r->logprob = 0.0;
		r->is_greedy = true;
		r->n_prefilled = 0;
		r->state = BN_WAITING;
		r->n_done = 0;
		r->n_children = 0;
		r->slot = -1;
		if (reusable_positions(requests, r) > 0)
			requests[r->shared_with].n_children++;
	}
	*schedule = s;
	return BN_OK;
}

bool
bn_schedule_done(const bn_schedule *s)
{
	return s->n_finished == s->n_requests;
}

const bn_schedule_stats *
bn_schedule_get_stats(const bn_schedule *s)
{
	return &s->stats;
}

static void
release_if_unused(bn_schedule *s, bn_request *r)
{
	if (r->state != BN_FINISHED || r->n_children > 0 || r->slot < 0)
		return;
	bn_sequence_release(s->kv, &s->slots[r->slot].sequence);
	s->slots[r->slot].request = -1;
	r->slot = -1;
}

static void
finish(bn_schedule *s, bn_request *r, bn_finish how)
{
	r->state = BN_FINISHED;
	r->finish = how;
	s->n_finished++;
	release_if_unused(s, r);
}

void
bn_schedule_stop(bn_schedule *s, int request)
{
	bn_request *r = &s->requests[request];

	/* before its prompt is complete it may have something to give to others */
	if (r->state == BN_DECODE)
		finish(s, r, BN_FINISH_STOP);
}

/* Admits the next request if there is room; false if it has to wait. */
static bool
admit_next(bn_schedule *s)
{
	bn_request *r = &s->requests[s->n_admitted];
	int32_t		reused = reusable_positions(s->requests, r);
	bn_request *parent = reused > 0 ? &s->requests[r->shared_with] : NULL;
	bn_sequence *seq;
	int32_t		i;

	if (parent && parent->n_done < reused)
		return false;
	if (own_pages(s->requests, r) > bn_kv_free_pages(s->kv))
		return false;
	for (i = 0; i < s->plan.n_slots && s->slots[i].request >= 0; i++)
		;
	if (i == s->plan.n_slots)
		return false;

	s->slots[i].request = s->n_admitted;
	seq = &s->slots[i].sequence;
	r->slot = i;
	if (parent)
	{
		bn_sequence_fork(s->kv, seq, &s->slots[parent->slot].sequence, reused);
		parent->n_children--;
		release_if_unused(s, parent);
		s->stats.reused_tokens += reused;
	}
	bn_sequence_reserve(s->kv, seq, positions_needed(r));
	if (s->pooled)
		memset(s->pooled + (size_t) i * (size_t) s->model->config->d_model, 0,
			   sizeof(double) * (size_t) s->model->config->d_model);
	r->n_done = reused;
	r->state = BN_PREFILL;
	s->n_admitted++;
	if (prompt_positions(r) == 0)
		finish(s, r, BN_FINISH_STOP);	/* a score of no tokens */
	return true;
}

/* Does the entry at a prompt position have to give logits? */
static bool
wants_logits(const bn_request *r, int32_t position)
{
	switch (r->kind)
	{
		case BN_REQUEST_SCORE:
			return position + 1 >= r->n_context;
		case BN_REQUEST_EMBED:
			return false;
		default:
			return position + 1 == r->n_tokens;
	}
}

static bool
wants_hidden(const bn_request *r, int32_t position)
{
	if (r->kind != BN_REQUEST_EMBED)
		return false;
	switch (r->pooling)
	{
		case BN_POOL_FIRST:
			return position == 0;
		case BN_POOL_LAST:
			return position + 1 == r->n_tokens;
		default:
			return true;
	}
}

/*
 * Fills the entries of the next step: one token of everything that decodes,
 * then prompts in the order of their slots.  Each step begins at another slot,
 * so that nobody waits for ever where there are more sequences than entries.
 */
static int
gather_entries(bn_schedule *s)
{
	const bn_config *c = s->model->config;
	int			n = 0;
	int			n_rows = 0;
	int			pass;
	int32_t		k;

	for (pass = 0; pass < 2; pass++)
	{
		for (k = 0; k < s->plan.n_slots && n < s->plan.max_entries; k++)
		{
			slot	   *sl = &s->slots[(s->first_slot + k) % s->plan.n_slots];
			bn_request *r = sl->request >= 0 ? &s->requests[sl->request] : NULL;
			int32_t		position;
			int32_t		end;

			if (!r || r->state != (pass == 0 ? BN_DECODE : BN_PREFILL))
				continue;
			position = sl->sequence.n_tokens;
			end = pass == 0 ? position + 1 : prompt_positions(r);
			for (; position < end && n < s->plan.max_entries; position++)
			{
				bool		logits = pass == 0 || wants_logits(r, position);

				if (logits && n_rows == s->plan.n_logit_rows)
					break;
				s->entries[n] = (bn_step_entry) {
					.sequence = &sl->sequence,
					.position = position,
					.token = pass == 0 ? r->output[r->n_output - 1] : r->tokens[position],
					.logits = logits ? s->logits + (size_t) n_rows * (size_t) c->vocab_size : NULL,
					.n_best = logits ? best_needed(r, c->vocab_size) : 0,
					.best = s->best + (size_t) n_rows * (size_t) s->plan.max_best,
					.hidden = wants_hidden(r, position) ?
						s->hidden + (size_t) n * (size_t) c->d_model : NULL
				};
				s->entry_request[n] = sl->request;
				n_rows += logits;
				n++;
			}
		}
	}
	return n;
}

/* Mean (or only) hidden state to a vector of length 1. */
static void
finish_embedding(bn_schedule *s, bn_request *r)
{
	int32_t		d = s->model->config->d_model;
	const double *pooled = s->pooled + (size_t) r->slot * (size_t) d;
	double		sum = 0.0;
	double		norm;
	int32_t		i;

	for (i = 0; i < d; i++)
		sum += pooled[i] * pooled[i];
	norm = sqrt(sum);
	for (i = 0; i < d; i++)
		r->embedding[i] = norm > 0.0 ? (float) (pooled[i] / norm) : 0.0f;
}

/* Takes the next token of a request that generates. */
static void
take_token(bn_schedule *s, bn_request *r, const bn_step_entry *entry)
{
	int32_t		token;

	if (entry->n_best > 0)
		token = bn_sample_best(&r->sampling, entry->best, entry->n_best, r->n_output);
	else
		token = bn_sample(&r->sampling, entry->logits, s->model->config->vocab_size,
						  r->tokens, r->n_tokens, r->output, r->n_output, s->sampler_scratch);
	r->state = BN_DECODE;
	if (bn_token_is_stop(s->model->vocab, token))
	{
		finish(s, r, BN_FINISH_STOP);
		return;
	}
	r->output[r->n_output++] = token;
	s->stats.output_tokens++;
	if (r->n_output == r->max_output)
		finish(s, r, BN_FINISH_LENGTH);
}

static bool
is_likeliest(const float *logits, int32_t vocab_size, int32_t token)
{
	int32_t		i;

	for (i = 0; i < vocab_size; i++)
		if (logits[i] > logits[token] || (logits[i] == logits[token] && i < token))
			return false;
	return true;
}

/* Adds the log-probability of the token that follows a position. */
static void
score_token(bn_schedule *s, bn_request *r, int32_t position, const float *logits)
{
	int32_t		vocab_size = s->model->config->vocab_size;
	int32_t		token = r->tokens[position + 1];

	r->logprob += logits[token] - bn_log_sum_exp(logits, vocab_size);
	r->is_greedy &= is_likeliest(logits, vocab_size, token);
}

/* What one entry's result means for its request. */
static void
take_result(bn_schedule *s, const bn_step_entry *entry, bn_request *r)
{
	int32_t		d = s->model->config->d_model;
	bool		last;
	int32_t		i;

	if (r->state == BN_PREFILL)
	{
		r->n_done = entry->position + 1;
		r->n_prefilled++;
		s->stats.prefill_tokens++;
	}
	if (entry->hidden)
	{
		double	   *pooled = s->pooled + (size_t) r->slot * (size_t) d;

		for (i = 0; i < d; i++)
			pooled[i] += entry->hidden[i];
	}
	last = r->n_done == prompt_positions(r);
	switch (r->kind)
	{
		case BN_REQUEST_GENERATE:
			if (entry->logits)
				take_token(s, r, entry);
			break;
		case BN_REQUEST_SCORE:
			if (entry->logits)
				score_token(s, r, entry->position, entry->logits);
			if (last)
				finish(s, r, BN_FINISH_STOP);
			break;
		case BN_REQUEST_EMBED:
			if (last)
			{
				finish_embedding(s, r);
				finish(s, r, BN_FINISH_STOP);
			}
			break;
		case BN_REQUEST_NEXT:
			if (last)
			{
				r->n_output = bn_top_candidates(entry->logits, s->model->config->vocab_size,
												r->candidates, r->max_output);
				finish(s, r, BN_FINISH_STOP);
			}
			break;
	}
}

static bn_status
run_step(bn_schedule *s, const bn_hooks *hooks, bn_error *err)
{
	int			n;
	int			i;

	while (s->n_admitted < s->n_requests && admit_next(s))
		;
	n = gather_entries(s);
	if (n == 0)
	{
		if (bn_schedule_done(s))
			return BN_OK;		/* all that was left finished at admission */
		return bn_fail(err, BN_ERR_NOSPACE, BN_NO_OFFSET,
					   "request %d cannot be admitted", (int) s->n_admitted);
	}
	BN_TRY(bn_step(s->engine, s->entries, n, hooks, err));
	s->stats.steps++;
	s->stats.entries += n;
	s->first_slot = (s->first_slot + 1) % s->plan.n_slots;
	for (i = 0; i < n; i++)
		take_result(s, &s->entries[i], &s->requests[s->entry_request[i]]);
	return BN_OK;
}

/*
 * Other code in the process may have changed the rounding mode or, as libraries
 * built with fast-math do, flush small numbers to zero.  Results must not
 * depend on that.  Threads begin with the environment of the thread that
 * creates them.
 */
bn_status
bn_schedule_step(bn_schedule *s, const bn_hooks *hooks, bn_error *err)
{
	fenv_t		environment;
	bn_status	status;

	fegetenv(&environment);
	fesetenv(FE_DFL_ENV);
	status = run_step(s, hooks, err);
	fesetenv(&environment);
	return status;
}
