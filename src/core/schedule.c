/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Runs the requests of any number of callers through shared steps.
 *
 * Invariants:
 *
 *	- The requests of a run are admitted in their order.  One whose beginning
 *	  another sequence is about to compute waits for that, and takes it over.
 *	- At admission a request gets a slot and all pages that it can ever need,
 *	  so what runs never waits for memory.
 *	- Of the runs that wait for room the one that waits longest comes first, and
 *	  what is behind it waits too, however small.
 *	- A run that has something in the cache leaves a part of the room to those
 *	  that have nothing.
 *
 * src/core/schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include "scheduler.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

#include "bytes.h"

/* Logits of one step; a row is large (128256 floats in 2B4T). */
#define MAX_LOGIT_ROWS 64

/* A shorter common beginning is computed again sooner than waited for. */
#define MIN_SHARED_TOKENS 16

/* 1 / so much of the slots and pages is kept for runs that have none. */
#define RESERVED_SHARE 4

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

int32_t
bn_prompt_positions(const bn_request *r)
{
	return r->kind == BN_REQUEST_SCORE ? positions_needed(r) : r->n_tokens;
}

/*
 * How much of the prompt may come from the cache: at least one position must be
 * left to compute, since its logits are what the request is about.  A pooled
 * vector needs the hidden state of every token.
 */
static int32_t
reusable_positions(const bn_request *r)
{
	if ((r->kind == BN_REQUEST_EMBED && r->pooling != BN_POOL_LAST) || positions_needed(r) == 0)
		return 0;
	return (r->kind == BN_REQUEST_SCORE ? r->n_context : r->n_tokens) - 1;
}

/* ---- memory ---- */

/* The next size bytes of the schedule's memory, or NULL if it is only measured. */
static void *
take(char *memory, size_t *used, size_t size)
{
	void	   *result = memory ? memory + *used : NULL;

	*used += bn_align_up(size, 64);
	return result;
}

/* Sets the numbers and pointers of *s into memory (NULL: only counts); returns the size. */
static size_t
lay_out(bn_schedule *s, char *memory, const bn_model *model, const bn_schedule_limits *limits)
{
	const bn_config *c = model->config;
	size_t		d = (size_t) c->d_model;
	size_t		used = 0;
	int32_t		max_pages = bn_kv_pages(limits->max_positions);
	int64_t		n_pages = limits->kv_bytes / (int64_t) bn_kv_page_bytes(c);
	size_t		n_entries = (size_t) limits->max_step_tokens;
	int32_t    *pages;
	int32_t		i;

	if (n_pages > INT32_MAX)
		n_pages = INT32_MAX;
	take(memory, &used, sizeof(*s));
	s->n_slots = limits->max_sequences;
	s->max_run_sequences = limits->max_run_sequences;
	s->max_entries = limits->max_step_tokens;
	s->max_positions = limits->max_positions;
	s->n_logit_rows = s->max_entries < MAX_LOGIT_ROWS ? s->max_entries : MAX_LOGIT_ROWS;
	s->slots = take(memory, &used, sizeof(bn_slot) * (size_t) s->n_slots);
	pages = take(memory, &used, sizeof(int32_t) * (size_t) s->n_slots * (size_t) max_pages);
	for (i = 0; memory && i < s->n_slots; i++)
	{
		bn_sequence seq = {0, 0, max_pages, pages + (size_t) i * (size_t) max_pages};

		s->slots[i] = (bn_slot) {seq, NULL, -1, 0, 0};
	}
	s->entries = take(memory, &used, sizeof(bn_step_entry) * n_entries);
	s->entry_slot = take(memory, &used, sizeof(bn_slot *) * n_entries);
	s->logits = take(memory, &used, sizeof(float) * (size_t) s->n_logit_rows * (size_t) c->vocab_size);
	s->best = take(memory, &used, sizeof(bn_candidate) * (size_t) s->n_logit_rows * BN_MAX_BEST);
	s->hidden = take(memory, &used, sizeof(float) * n_entries * d);
	s->pooled = take(memory, &used, sizeof(double) * (size_t) s->n_slots * d);
	s->sampler_scratch = take(memory, &used, bn_sampler_scratch_size(c->vocab_size));
	s->pool = take(memory, &used, bn_pool_size(limits->n_threads));
	s->engine = take(memory, &used, bn_engine_size(c, s->max_entries, limits->n_threads,
												   s->max_positions));
	s->kv = take(memory, &used, bn_kv_size(c, (int32_t) n_pages));
	if (memory)
		s->kv = bn_kv_init(s->kv, c, (int32_t) n_pages);
	return used;
}

static bn_status
check_limits(const bn_model *model, const bn_schedule_limits *limits, bn_error *err)
{
	if (limits->max_sequences < 1 || limits->max_run_sequences < 1 || limits->max_step_tokens < 1 ||
		limits->n_threads < 1 || limits->kv_bytes < 0 || limits->max_positions < 1 ||
		limits->max_positions > model->config->context_length)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET, "impossible limits of a schedule");
	return BN_OK;
}

bn_status
bn_schedule_size(const bn_model *model, const bn_schedule_limits *limits, size_t *size,
				 bn_error *err)
{
	bn_schedule measured;

	BN_TRY(check_limits(model, limits, err));
	*size = lay_out(&measured, NULL, model, limits);
	return BN_OK;
}

int64_t
bn_schedule_kv_bytes(const bn_model *model, const bn_request *requests, int n_requests,
					 int32_t max_sequences, int64_t limit)
{
	int64_t		page_bytes = (int64_t) bn_kv_page_bytes(model->config);
	int64_t		all_pages = 0;
	int64_t		most_pages = 0;
	int			i;

	for (i = 0; i < n_requests; i++)
	{
		int64_t		pages = bn_kv_pages(positions_needed(&requests[i]));

		all_pages += pages;
		if (pages > most_pages)
			most_pages = pages;
	}
	if (all_pages > max_sequences * most_pages)
		all_pages = max_sequences * most_pages;
	/* what is reserved for others is not needed, but nor is it touched */
	all_pages += all_pages / (RESERVED_SHARE - 1) + 1;
	return all_pages * page_bytes < limit ? all_pages * page_bytes : limit;
}

bn_status
bn_schedule_init(bn_schedule **schedule, void *memory, size_t size, const bn_model *model,
				 const bn_kernels *kernels, const bn_schedule_limits *limits, bn_error *err)
{
	bn_schedule *s = memory;
	fenv_t		environment;
	size_t		needed;

	BN_TRY(bn_schedule_size(model, limits, &needed, err));
	if (size < needed)
		return bn_fail(err, BN_ERR_NOSPACE, BN_NO_OFFSET,
					   "%lu bytes of memory where %lu are needed",
					   (uint64_t) size, (uint64_t) needed);
	memset(s, 0, sizeof(*s));
	lay_out(s, memory, model, limits);
	s->model = model;
	s->pool = bn_pool_init(s->pool, limits->n_threads);
	fegetenv(&environment);
	fesetenv(FE_DFL_ENV);		/* as in a step */
	s->engine = bn_engine_init(s->engine, model, s->kv, kernels, s->pool,
							   s->max_entries, s->max_positions);
	fesetenv(&environment);
	*schedule = s;
	return BN_OK;
}

void
bn_schedule_use(bn_schedule *s, const bn_kernels *kernels, int n_threads)
{
	bn_engine_use(s->engine, kernels, n_threads);
}

const bn_schedule_stats *
bn_schedule_get_stats(const bn_schedule *s)
{
	return &s->stats;
}

bn_cache_use
bn_schedule_cache_use(const bn_schedule *s)
{
	bn_cache_use use = {
		.n_pages = bn_kv_n_pages(s->kv),
		.n_cached = bn_kv_cached_pages(s->kv)
	};
	int32_t		i;

	use.n_used = use.n_pages - use.n_cached - bn_kv_free_pages(s->kv);
	for (i = 0; i < s->n_slots; i++)
		use.n_sequences += s->slots[i].run != NULL;
	return use;
}

/* ---- runs ---- */

static bn_status
check_request(const bn_schedule *s, const bn_request *requests, int index, bn_error *err)
{
	const bn_request *r = &requests[index];
	int64_t		length = r->n_tokens;
	int64_t		page_bytes = (int64_t) bn_kv_page_bytes(s->model->config);

	if (r->kind == BN_REQUEST_GENERATE)
		length += r->max_output;
	if (r->n_tokens < 1 ||
		((r->kind == BN_REQUEST_GENERATE || r->kind == BN_REQUEST_NEXT) && r->max_output < 1) ||
		(r->kind == BN_REQUEST_SCORE && (r->n_context < 1 || r->n_context > r->n_tokens)))
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET, "request %d has no tokens", index);
	if (length > s->max_positions)
		return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
					   "%ld tokens are needed, the model's context holds %d",
					   length, (int) s->max_positions);
	for (int32_t i = 0; i < r->n_tokens; i++)
		if (r->tokens[i] < 0 || r->tokens[i] >= s->model->config->vocab_size)
			return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
						   "token %d of request %d is not in the vocabulary", (int) i, index);
	if (bn_kv_pages(positions_needed(r)) > bn_kv_n_pages(s->kv))
		return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
					   "%ld MB of KV cache are needed, %ld MB are allowed",
					   (bn_kv_pages(positions_needed(r)) * page_bytes + 1048575) / 1048576,
					   (bn_kv_n_pages(s->kv) * page_bytes + 1048575) / 1048576);
	return BN_OK;
}

bn_status
bn_schedule_add(bn_schedule *s, bn_run *run, bn_error *err)
{
	bn_run	  **last = &s->first_run;
	int			i;

	for (i = 0; i < run->n_requests; i++)
		BN_TRY(check_request(s, run->requests, i, err));
	for (i = 0; i < run->n_requests; i++)
	{
		bn_request *r = &run->requests[i];

		r->n_output = 0;
		r->finish = BN_FINISH_NONE;
		r->logprob = 0.0;
		r->is_greedy = true;
		r->n_prefilled = 0;
		r->state = BN_WAITING;
		r->slot = -1;
		r->n_draft = 1;
	}
	*run = (bn_run) {.requests = run->requests, .n_requests = run->n_requests};
	while (*last)
		last = &(*last)->next;
	*last = run;
	return BN_OK;
}

bool
bn_run_done(const bn_run *run)
{
	return run->status != BN_OK || run->n_finished == run->n_requests;
}

bool
bn_schedule_idle(const bn_schedule *s)
{
	const bn_run *run;

	for (run = s->first_run; run; run = run->next)
		if (!bn_run_done(run))
			return false;
	return true;
}

static void
release_slot(bn_schedule *s, bn_slot *sl)
{
	sl->run->requests[sl->request].slot = -1;
	sl->run->n_live--;
	bn_sequence_release(s->kv, &sl->sequence);
	sl->run = NULL;
}

static void
release_run(bn_schedule *s, const bn_run *run)
{
	int32_t		i;

	for (i = 0; i < s->n_slots && run->n_live > 0; i++)
		if (s->slots[i].run == run)
			release_slot(s, &s->slots[i]);
}

void
bn_schedule_remove(bn_schedule *s, bn_run *run)
{
	bn_run	  **link = &s->first_run;

	release_run(s, run);
	while (*link && *link != run)
		link = &(*link)->next;
	if (*link)
		*link = run->next;
	run->next = NULL;
}

static void
fail_run(bn_schedule *s, bn_run *run, bn_status status, const bn_error *err)
{
	run->status = status;
	run->error = *err;
	run->ticket = 0;
	release_run(s, run);
}

static void
finish(bn_schedule *s, bn_slot *sl, bn_finish how)
{
	bn_request *r = &sl->run->requests[sl->request];

	r->state = BN_FINISHED;
	r->finish = how;
	sl->run->n_finished++;
	release_slot(s, sl);
}

void
bn_schedule_stop(bn_schedule *s, bn_run *run, int request)
{
	const bn_request *r = &run->requests[request];

	if (r->state == BN_DECODE && r->slot >= 0)
		finish(s, &s->slots[r->slot], BN_FINISH_STOP);
}

/* ---- admission ---- */

typedef enum admission
{
	ADMITTED,
	NOTHING_TO_ADMIT,			/* or not now, for reasons of the run's own */
	NO_ROOM
} admission;

static bn_slot *
free_slot(bn_schedule *s, int32_t *n_free)
{
	bn_slot    *found = NULL;
	int32_t		i;

	*n_free = 0;
	for (i = 0; i < s->n_slots; i++)
		if (s->slots[i].run == NULL)
		{
			if (!found)
				found = &s->slots[i];
			(*n_free)++;
		}
	return found;
}

/* How much of a request's prompt the cache has; -1: it should be waited for. */
static int32_t
find_beginning(const bn_schedule *s, const bn_request *r)
{
	bn_kv_match match = bn_kv_find(s->kv, r->tokens, reusable_positions(r));
	int32_t		reused = match.n_ready >= MIN_SHARED_TOKENS ? match.n_ready : 0;

	return match.n_promised >= reused + MIN_SHARED_TOKENS ? -1 : reused;
}

/*
 * While a page is copied it is there twice, for which a request that needs the
 * whole cache has no room: then full pages only are taken over.
 */
static bool
begin_sequence(bn_schedule *s, bn_slot *sl, const bn_request *r, int32_t *reused)
{
	int32_t		full = *reused - *reused % BN_PAGE_TOKENS;

	if (bn_sequence_begin(s->kv, &sl->sequence, r->tokens, bn_prompt_positions(r), *reused,
						  positions_needed(r)) == BN_OK)
		return true;
	if (full == *reused)
		return false;
	*reused = full;
	return bn_sequence_begin(s->kv, &sl->sequence, r->tokens, bn_prompt_positions(r), full,
							 positions_needed(r)) == BN_OK;
}

static admission
admit_next(bn_schedule *s, bn_run *run)
{
	bn_request *r = &run->requests[run->n_admitted];
	int32_t		n_free_slots;
	int32_t		n_free_pages = bn_kv_free_pages(s->kv) + bn_kv_cached_pages(s->kv);
	int32_t		n_new_pages;
	int32_t		reused;
	bn_slot    *sl;

	if (bn_run_done(run) || run->n_admitted == run->n_requests ||
		run->n_live >= s->max_run_sequences)
		return NOTHING_TO_ADMIT;
	reused = find_beginning(s, r);
	if (reused < 0)
		return NOTHING_TO_ADMIT;
	n_new_pages = bn_kv_pages(positions_needed(r)) - reused / BN_PAGE_TOKENS;
	sl = free_slot(s, &n_free_slots);
	if (run->n_live > 0 &&
		(n_free_slots <= s->n_slots / RESERVED_SHARE ||
		 n_free_pages - n_new_pages < bn_kv_n_pages(s->kv) / RESERVED_SHARE))
		return NOTHING_TO_ADMIT;
	if (!sl)
		return NO_ROOM;
	if (!begin_sequence(s, sl, r, &reused))
		return run->n_live > 0 ? NOTHING_TO_ADMIT : NO_ROOM;

	sl->run = run;
	sl->request = run->n_admitted++;
	run->n_live++;
	run->ticket = 0;
	run->stats.reused_tokens += reused;
	s->stats.reused_tokens += reused;
	r->slot = (int32_t) (sl - s->slots);
	r->state = BN_PREFILL;
	if (r->kind == BN_REQUEST_EMBED)
		memset(s->pooled + (size_t) r->slot * (size_t) s->model->config->d_model, 0,
			   sizeof(double) * (size_t) s->model->config->d_model);
	if (bn_prompt_positions(r) == 0)
		finish(s, sl, BN_FINISH_STOP);	/* a score of no tokens */
	return ADMITTED;
}

/* The run that has waited for room longest. */
static bn_run *
next_waiting(const bn_schedule *s)
{
	bn_run	   *found = NULL;
	bn_run	   *run;

	for (run = s->first_run; run; run = run->next)
		if (run->ticket > 0 && (!found || run->ticket < found->ticket))
			found = run;
	return found;
}

/*
 * One request of each run, while there are any and there is room: first those
 * who wait for it.
 */
static void
admit_all(bn_schedule *s)
{
	bool		any = true;

	while (any)
	{
		bn_run	   *run;

		any = false;
		while ((run = next_waiting(s)) != NULL)
		{
			if (admit_next(s, run) == NO_ROOM)
				return;
			run->ticket = 0;
			any = true;
		}
		for (run = s->first_run; run; run = run->next)
		{
			admission	result = admit_next(s, run);

			if (result == NO_ROOM)
			{
				run->ticket = ++s->last_ticket;
				return;
			}
			any |= result == ADMITTED;
		}
	}
}

/* ---- steps ---- */

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
take_token(bn_schedule *s, bn_slot *sl, const bn_step_entry *entry)
{
	bn_run	   *run = sl->run;
	bn_request *r = &run->requests[sl->request];
	int32_t		token;

	if (entry->n_best > 0)
		token = bn_sample_best(&r->sampling, entry->best, entry->n_best, r->n_output);
	else
		token = bn_sample(&r->sampling, entry->logits, s->model->config->vocab_size,
						  r->tokens, r->n_tokens, r->output, r->n_output, s->sampler_scratch);
	r->state = BN_DECODE;
	if (bn_token_is_stop(s->model->vocab, token))
	{
		finish(s, sl, BN_FINISH_STOP);
		return;
	}
	r->output[r->n_output++] = token;
	run->stats.output_tokens++;
	s->stats.output_tokens++;
	if (r->n_output == r->max_output)
		finish(s, sl, BN_FINISH_LENGTH);
}

/*
 * After the result of a decoding sequence's entry, of which "next" is the token
 * that was tried after it: if that is not what came out, it and what follows
 * did not happen.  Guesses that go well become longer.
 */
static void
check_draft(bn_schedule *s, bn_slot *sl, const bn_step_entry *next)
{
	bn_run	   *run = sl->run;
	bn_request *r = &run->requests[sl->request];

	if (next->token == r->output[r->n_output - 1])
	{
		run->stats.accepted_tokens++;
		s->stats.accepted_tokens++;
		if (r->n_draft < BN_MAX_DRAFT)
			r->n_draft++;
		return;
	}
	sl->sequence.n_tokens = next->position;
	sl->next_position = -1;
	r->n_draft = r->n_draft > 1 ? r->n_draft / 2 : 1;
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
take_result(bn_schedule *s, const bn_step_entry *entry, bn_slot *sl)
{
	int32_t		d = s->model->config->d_model;
	bn_request *r = &sl->run->requests[sl->request];
	bool		last;
	int32_t		i;

	bn_sequence_fill(s->kv, &sl->sequence, entry->position, entry->token);
	if (r->state == BN_PREFILL)
	{
		r->n_prefilled++;
		sl->run->stats.prefill_tokens++;
		s->stats.prefill_tokens++;
	}
	if (entry->hidden)
	{
		double	   *pooled = s->pooled + (size_t) r->slot * (size_t) d;

		for (i = 0; i < d; i++)
			pooled[i] += entry->hidden[i];
	}
	last = entry->position + 1 == bn_prompt_positions(r);
	switch (r->kind)
	{
		case BN_REQUEST_GENERATE:
			if (entry->logits)
				take_token(s, sl, entry);
			break;
		case BN_REQUEST_SCORE:
			if (entry->logits)
				score_token(s, r, entry->position, entry->logits);
			if (last)
				finish(s, sl, BN_FINISH_STOP);
			break;
		case BN_REQUEST_EMBED:
			if (last)
			{
				finish_embedding(s, r);
				finish(s, sl, BN_FINISH_STOP);
			}
			break;
		case BN_REQUEST_NEXT:
			if (last)
			{
				r->n_output = bn_top_candidates(entry->logits, s->model->config->vocab_size,
												r->candidates, r->max_output);
				finish(s, sl, BN_FINISH_STOP);
			}
			break;
	}
}

/* Counts the sequences of a step that has been done, for all and for each run. */
static void
count_step(bn_schedule *s, int32_t n)
{
	int32_t		n_sequences = 0;
	bn_run	   *run;
	int32_t		i;

	for (run = s->first_run; run; run = run->next)
		run->in_step = false;
	for (i = 0; i < n; i++)
	{
		bn_slot    *sl = s->entry_slot[i];

		sl->run->in_step = true;
		if (i > 0 && sl == s->entry_slot[i - 1])
			continue;
		n_sequences++;
		sl->run->stats.drafted_tokens += sl->n_drafted;
		s->stats.drafted_tokens += sl->n_drafted;
	}
	s->stats.steps++;
	s->stats.sequence_steps += n_sequences;
	for (run = s->first_run; run; run = run->next)
		if (run->in_step)
		{
			run->stats.steps++;
			run->stats.sequence_steps += n_sequences;
		}
}

/* One step for all runs, or for one; *n is the number of its entries. */
static bn_status
run_step(bn_schedule *s, const bn_run *only, int32_t *n, const bn_hooks *hooks, bn_error *err)
{
	int32_t		i;

	*n = bn_compose_step(s, only);
	if (*n == 0)
		return BN_OK;
	BN_TRY(bn_step(s->engine, s->entries, *n, hooks, err));
	count_step(s, *n);
	for (i = 0; i < *n; i++)
	{
		bn_slot    *sl = s->entry_slot[i];

		/* it may have ended, or gone another way */
		if (!sl->run || sl->next_position != s->entries[i].position)
			continue;
		sl->next_position++;
		take_result(s, &s->entries[i], sl);
		if (i + 1 < *n && s->entry_slot[i + 1] == sl && sl->run &&
			sl->run->requests[sl->request].state == BN_DECODE)
			check_draft(s, sl, &s->entries[i + 1]);
	}
	return BN_OK;
}

/* After a step that failed: one for each run, to find out whose fault it is. */
static bn_status
run_apart(bn_schedule *s, const bn_hooks *hooks, bn_error *err)
{
	bn_error	own;
	bn_run	   *run;

	/* the run wants the reason even where the caller does not */
	if (!err)
		err = &own;
	for (run = s->first_run; run; run = run->next)
	{
		int32_t		n;
		bn_status	status = run->n_live > 0 ? run_step(s, run, &n, hooks, err) : BN_OK;

		if (status == BN_ERR_CANCELED)
			return status;
		if (status != BN_OK)
			fail_run(s, run, status, err);
	}
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
	int32_t		n;

	fegetenv(&environment);
	fesetenv(FE_DFL_ENV);
	admit_all(s);
	status = run_step(s, NULL, &n, hooks, err);
	if (status != BN_OK && status != BN_ERR_CANCELED)
		status = run_apart(s, hooks, err);
	fesetenv(&environment);
	return status;
}
