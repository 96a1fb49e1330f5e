/*-------------------------------------------------------------------------
 *
 * test_schedule.c
 *	  Many callers in one schedule.
 *
 * Callers come and go at any time, the cache is large or small, steps are
 * cancelled, requests fail: what the others get is always what they get alone,
 * nobody waits for ever, and nothing is lost of the cache.
 *
 * test/unit/test_schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/core/scheduler.h"
#include "tap.h"
#include "works.h"

#define MAX_RUNS 12
#define MAX_RUN_REQUESTS 16

static work works[N_WORKS];
static result expected[N_WORKS];

/* A schedule with its memory. */
typedef struct rig
{
	const model_file *m;
	bn_schedule *schedule;
	void	   *memory;
} rig;

/* A caller, with some of the works. */
typedef struct caller
{
	bn_run		run;
	bn_request	requests[MAX_RUN_REQUESTS];
	work		works[MAX_RUN_REQUESTS];
	int			numbers[MAX_RUN_REQUESTS];
	bool		present;
} caller;

static void
open_rig(rig *r, const model_file *m, int32_t max_sequences, int32_t max_run_sequences, int32_t step_tokens,
		 int32_t n_pages)
{
	bn_schedule_limits limits = model_file_limits(m, max_sequences, step_tokens, 2,
												  (int64_t) bn_kv_page_bytes(m->model.config) * n_pages);
	bn_error	err = {0};
	size_t		size = 0;

	limits.max_run_sequences = max_run_sequences;
	bn_schedule_size(&m->model, &limits, &size, &err);
	r->m = m;
	r->memory = model_file_memory(size);
	ok(bn_schedule_init(&r->schedule, r->memory, size, &m->model, bn_kernels_select(NULL), &limits,
						&err) == BN_OK, "a schedule for %d sequences, %d pages %s", max_sequences, n_pages,
	   err.detail);
}

/* Everything is over: nothing may be in use. */
static void
close_rig(rig *r, const char *what)
{
	bn_cache_use use = bn_schedule_cache_use(r->schedule);

	ok(use.n_used == 0 && use.n_sequences == 0, "%s: no page and no sequence is left in use", what);
	free(r->memory);
}

/* Takes n works from "first" on (round about) to a schedule. */
static bn_status
add_caller(rig *r, caller *c, int first, int n)
{
	bn_error	err = {0};
	bn_status	status;

	for (int i = 0; i < n; i++)
	{
		c->numbers[i] = (first + i) % N_WORKS;
		c->works[i] = works[c->numbers[i]];
		c->works[i].request.tokens = c->works[i].tokens;
		c->works[i].request.output = c->works[i].output;
		c->works[i].request.embedding = c->works[i].embedding;
		c->works[i].request.candidates = c->works[i].candidates;
		c->requests[i] = works_request(&c->works[i]);
	}
	c->run = (bn_run) {.requests = c->requests, .n_requests = n};
	status = bn_schedule_add(r->schedule, &c->run, &err);
	c->present = status == BN_OK;
	return status;
}

static void
remove_caller(rig *r, caller *c)
{
	bn_schedule_remove(r->schedule, &c->run);
	c->present = false;
}

/* Are all results of a caller that is done those that are expected? */
static bool
is_right(const rig *r, const caller *c)
{
	bool		right = c->run.status == BN_OK && c->run.n_finished == c->run.n_requests;

	for (int i = 0; right && i < c->run.n_requests; i++)
	{
		result		found;

		works_result(&found, &c->works[i], &c->requests[i], r->m->model.config->d_model);
		right = memcmp(&found, &expected[c->numbers[i]], sizeof(found)) == 0;
		if (!right)
			printf("# work %d, kind %d, differs\n", c->numbers[i], (int) c->requests[i].kind);
	}
	return right;
}

static int
step_until_idle(rig *r)
{
	bn_error	err = {0};
	int			n = 0;

	for (; !bn_schedule_idle(r->schedule) && n < 100000; n++)
		if (bn_schedule_step(r->schedule, NULL, &err) != BN_OK)
			return -1;
	return n;
}

/* A cancel that strikes the n-th time that it is asked for. */
typedef struct interruption
{
	int			left;
} interruption;

static bool
interrupt(void *arg)
{
	return ((interruption *) arg)->left-- == 0;
}

/* Callers that come, go and are cancelled at random. */
static void
test_turmoil(const model_file *m, int32_t max_sequences, int32_t step_tokens, int32_t n_pages, uint32_t random)
{
	static caller callers[MAX_RUNS];
	rig			r;
	bn_error	err = {0};
	int			n_done = 0;
	int			n_right = 0;
	int			n_removed = 0;
	int			n_canceled = 0;
	bool		failed = false;

	memset(callers, 0, sizeof(callers));
	open_rig(&r, m, max_sequences, max_sequences * 3 / 4 + 1, step_tokens, n_pages);
	for (int i = 0; i < 600 && !failed; i++)
	{
		caller	   *c = &callers[works_random(&random) % MAX_RUNS];
		interruption when = {works_random(&random) % 4 == 0 ? (int) (works_random(&random) % 30) : -1};
		bn_hooks	hooks = {.should_stop = interrupt, .ctx = &when};
		bn_status	status;

		if (!c->present && i < 500)
			failed |= add_caller(&r, c, (int) (works_random(&random) % N_WORKS),
								 1 + (int) (works_random(&random) % (works_random(&random) % 4 ? 3 : MAX_RUN_REQUESTS))) != BN_OK;
		else if (c->present && works_random(&random) % 8 == 0)
		{
			remove_caller(&r, c);
			n_removed++;
		}
		status = bn_schedule_step(r.schedule, &hooks, &err);
		n_canceled += status == BN_ERR_CANCELED;
		failed |= status != BN_OK && status != BN_ERR_CANCELED;
		for (int k = 0; k < MAX_RUNS; k++)
			if (callers[k].present && bn_run_done(&callers[k].run))
			{
				n_done++;
				n_right += is_right(&r, &callers[k]);
				remove_caller(&r, &callers[k]);
			}
	}
	failed |= step_until_idle(&r) < 0;
	for (int k = 0; k < MAX_RUNS; k++)
		if (callers[k].present)
		{
			n_done++;
			n_right += is_right(&r, &callers[k]);
			remove_caller(&r, &callers[k]);
		}
	ok(!failed && n_done > 20 && n_right == n_done && n_removed > 5 && n_canceled > 5,
	   "%d pages, %d tokens a step: %d of %d callers got what they get alone, %d left, %d steps were cancelled",
	   n_pages, step_tokens, n_right, n_done, n_removed, n_canceled);
	close_rig(&r, "afterwards");
}

/*
 * Prompt tokens that must be computed though all of them are in the cache: those
 * whose logits or hidden states are wanted, and beginnings of under 16 tokens.
 */
static int32_t
least_prefill(const bn_request *r)
{
	bool		scores = r->kind == BN_REQUEST_SCORE;
	int32_t		n = scores ? r->n_tokens - 1 : r->n_tokens;
	int32_t		reused = scores ? r->n_context - 1 : r->n_tokens - 1;

	if (r->kind == BN_REQUEST_EMBED && r->pooling != BN_POOL_LAST)
		return n;
	return reused < 16 ? n : n - reused;
}

/* What has been computed is not computed again: for another caller, at the same time or later. */
static void
test_sharing(const model_file *m, int64_t n_alone)
{
	static caller callers[2 * N_WORKS / MAX_RUN_REQUESTS];
	enum {HALF = N_WORKS / MAX_RUN_REQUESTS};
	int64_t		n_first = 0;
	int64_t		n_second = 0;
	int64_t		n_needed = 0;
	bool		right = true;
	rig			r;

	open_rig(&r, m, 2 * N_WORKS, N_WORKS, 64, 1024);
	for (int i = 0; i < HALF; i++)
		add_caller(&r, &callers[i], i * MAX_RUN_REQUESTS, MAX_RUN_REQUESTS);
	right &= step_until_idle(&r) > 0;
	for (int i = 0; i < HALF; i++)
		add_caller(&r, &callers[HALF + i], i * MAX_RUN_REQUESTS, MAX_RUN_REQUESTS);
	right &= step_until_idle(&r) > 0;
	for (int i = 0; i < 2 * HALF; i++)
	{
		caller	   *c = &callers[i];

		right &= is_right(&r, c);
		for (int k = 0; k < MAX_RUN_REQUESTS; k++)
		{
			*(i < HALF ? &n_first : &n_second) += c->requests[k].n_prefilled;
			if (i < HALF)
				n_needed += least_prefill(&c->requests[k]);
		}
		remove_caller(&r, c);
	}
	ok(right, "two times four callers with common beginnings get what they get alone");
	ok(n_first < n_alone * 3 / 4, "beginnings are computed once (%ld of %ld tokens)", (long) n_first, (long) n_alone);
	ok(n_second == n_needed, "and not at all the second time (%ld, %ld are needed)", (long) n_second, (long) n_needed);
	close_rig(&r, "then");
}

static void
make_generate(caller *c, int i, int32_t n_tokens, int32_t first, int32_t max_output, int32_t *output)
{
	work	   *w = &c->works[i];

	memset(w, 0, sizeof(*w));
	for (int k = 0; k < n_tokens; k++)
		w->tokens[k] = 3 + (first + k * 7) % 250;
	c->requests[i] = (bn_request) {
		.kind = BN_REQUEST_GENERATE, .tokens = w->tokens, .n_tokens = n_tokens,
		.sampling = bn_sampling_default, .max_output = max_output, .output = output
	};
}

/* Ending at different times, never at a stop token's whim: n long answers. */
static void
make_job(caller *c, int n, int32_t n_tokens, int32_t max_output, int32_t first)
{
	for (int i = 0; i < n; i++)
		make_generate(c, i, n_tokens, first + 31 * i, max_output, calloc((size_t) max_output, sizeof(int32_t)));
	c->run = (bn_run) {.requests = c->requests, .n_requests = n};
}

static void
free_job(caller *c)
{
	for (int i = 0; i < c->run.n_requests; i++)
		free(c->requests[i].output);
}

static void
add_job(rig *r, caller *c, int n, int32_t n_tokens, int32_t max_output, int32_t first)
{
	bn_error	err = {0};

	make_job(c, n, n_tokens, max_output, first);
	bn_schedule_add(r->schedule, &c->run, &err);
}

static void
remove_job(rig *r, caller *c)
{
	bn_schedule_remove(r->schedule, &c->run);
	free_job(c);
}

/*
 * What rows have in common is computed for one of them, also where the cache has
 * a little of it from earlier.
 */
static void
test_beginnings(const model_file *m)
{
	enum {ROWS = 4, KNOWN = 12, COMMON = 24, ALL = 28};
	static caller earlier;
	static caller rows;
	bn_error	err = {0};
	int64_t		n_prefilled = 0;
	rig			r;

	open_rig(&r, m, 64, 64, 64, 1024);
	add_job(&r, &earlier, 1, ALL, 4, 1);
	step_until_idle(&r);
	bn_schedule_remove(r.schedule, &earlier.run);

	make_job(&rows, ROWS, ALL, 4, 1);
	for (int i = 0; i < ROWS; i++)
		for (int k = 0; k < COMMON; k++)
			rows.works[i].tokens[k] = earlier.works[0].tokens[k] + (k >= KNOWN);
	bn_schedule_add(r.schedule, &rows.run, &err);
	step_until_idle(&r);
	for (int i = 0; i < ROWS; i++)
		n_prefilled += rows.requests[i].n_prefilled;
	ok(n_prefilled == ALL + (ROWS - 1) * (ALL - COMMON),
	   "rows that have %d tokens in common, %d of them from earlier: %d are computed", COMMON, KNOWN, (int) n_prefilled);
	bn_schedule_remove(r.schedule, &rows.run);
	close_rig(&r, "after rows");
	free_job(&earlier);
	free_job(&rows);
}

/* One answer beside a job of many: it takes as many steps as alone, and the job goes on. */
static void
test_fairness(const model_file *m)
{
	static caller job;
	static caller single;
	bn_error	err = {0};
	int64_t		before;
	int64_t		most = 0;
	int			n_steps;
	rig			r;

	open_rig(&r, m, 64, 64, 64, 1024);
	add_job(&r, &job, MAX_RUN_REQUESTS, 20, 100, 1);
	for (int i = 0; i < 10; i++)
		bn_schedule_step(r.schedule, NULL, &err);
	before = job.run.stats.output_tokens;
	add_job(&r, &single, 1, 6, 30, 5);
	for (n_steps = 0; !bn_run_done(&single.run) && n_steps < 1000; n_steps++)
	{
		int64_t		all = bn_schedule_get_stats(r.schedule)->sequence_steps;

		bn_schedule_step(r.schedule, NULL, &err);
		all = bn_schedule_get_stats(r.schedule)->sequence_steps - all;
		most = all > most ? all : most;
	}
	ok(single.requests[0].n_output > 0 && n_steps <= single.requests[0].n_output + 1,
	   "an answer of %d tokens beside a job takes %d steps", single.requests[0].n_output, n_steps);
	ok(most <= 8, "of at most %d sequences", (int) most);
	ok(job.run.stats.output_tokens - before >= 2 * n_steps, "and the job proceeds (%ld tokens)",
	   (long) (job.run.stats.output_tokens - before));
	bn_schedule_remove(r.schedule, &single.run);
	step_until_idle(&r);
	ok(job.run.n_finished == job.run.n_requests, "to its end");
	for (int i = 1; i < job.run.n_requests; i++)
		if (job.requests[i].finish != BN_FINISH_STOP && job.requests[i].n_output != 100)
			ok(false, "answer %d has %d tokens", i, job.requests[i].n_output);
	bn_schedule_remove(r.schedule, &job.run);
	close_rig(&r, "at the end");
	free_job(&job);
	free_job(&single);
}

/*
 * Callers with prompts of n_prompt tokens, who ask again as soon as they have
 * their n_answer tokens or a few more, beside a job: none of them waits for his
 * first token for more steps than "longest", and the job goes on.
 */
static void
test_crowd(const model_file *m, int n_callers, int32_t n_prompt, int32_t n_answer, int longest, const char *what)
{
	enum {CALLERS = 80, STEPS = 1000};
	static caller callers[CALLERS];
	static caller job;
	int			since[CALLERS] = {0};
	bn_error	err = {0};
	int64_t		n_job = 0;
	int			pause = 0;
	int			longest_pause = 0;
	int			longest_wait = 0;
	rig			r;

	open_rig(&r, m, 128, 64, 128, 4096);
	add_job(&r, &job, MAX_RUN_REQUESTS, 50, 150, 1);
	for (int i = 0; i < 4; i++)	/* some of its prompts are done, some are not */
		bn_schedule_step(r.schedule, NULL, &err);
	for (int i = 0; i < n_callers; i++)
		add_job(&r, &callers[i], 1, n_prompt, n_answer + i % 7, 10 + 5 * i);
	for (int step = 1; step <= STEPS && !bn_run_done(&job.run); step++)
	{
		bn_schedule_step(r.schedule, NULL, &err);
		pause = job.run.stats.output_tokens > n_job ? 0 : pause + 1;
		n_job = job.run.stats.output_tokens;
		if (pause > longest_pause)
			longest_pause = pause;
		for (int i = 0; i < n_callers; i++)
		{
			if (callers[i].requests[0].n_output == 0 && step - since[i] > longest_wait)
				longest_wait = step - since[i];
			if (!bn_run_done(&callers[i].run))
				continue;
			remove_job(&r, &callers[i]);
			add_job(&r, &callers[i], 1, n_prompt, n_answer + i % 7, 10 + 5 * i + step * 31);
			since[i] = step;
		}
	}
	ok(longest_wait <= longest, "%s: the first token comes after %d steps at most", what, longest_wait);
	ok(longest_pause <= 10, "%s: the job pauses for %d steps at most", what, longest_pause);
	for (int i = 0; i < n_callers; i++)
		remove_job(&r, &callers[i]);
	remove_job(&r, &job);
	close_rig(&r, what);
}

/*
 * Short prompts of several who wait for answers are read in one step; of a long
 * one there is a part in each, beside the answers' tokens.
 */
static void
test_prompts(const model_file *m)
{
	enum {SHORT = 15, SESSIONS = 4, LONG = 100};
	static caller sessions[SESSIONS + 1];
	caller	   *late = &sessions[SESSIONS];
	bn_error	err = {0};
	int			n_answers = 0;
	int			n_steps = 0;
	rig			r;

	open_rig(&r, m, 16, 16, 64, 1024);
	for (int i = 0; i < SESSIONS; i++)
		add_job(&r, &sessions[i], 1, SHORT, 100, 50 * i);
	bn_schedule_step(r.schedule, NULL, &err);
	for (int i = 0; i < SESSIONS; i++)
		n_answers += sessions[i].requests[0].n_output == 1;
	ok(n_answers == SESSIONS, "%d prompts that come together take one step", n_answers);

	add_job(&r, late, 1, LONG, 4, 7);
	n_answers = sessions[0].requests[0].n_output;
	for (; late->requests[0].n_output == 0 && n_steps < 100; n_steps++)
		bn_schedule_step(r.schedule, NULL, &err);
	n_answers = sessions[0].requests[0].n_output - n_answers;
	ok(n_steps == 4 && n_answers >= 4, "a prompt of %d takes %d, in which an answer gets %d tokens", LONG, n_steps, n_answers);
	for (int i = 0; i <= SESSIONS; i++)
		remove_job(&r, &sessions[i]);
	close_rig(&r, "after prompts");
}

/*
 * Beside somebody who waits for an answer, a job's prompt is read while another
 * job's answers would take all that a step has for jobs; and whoever begins alike,
 * and so waits for that prompt, gets an answer.
 */
static void
test_job_prompt(const model_file *m)
{
	enum {PROMPT = 60, SHARED = 56, LENGTH = 240, STEPS = 200};
	static caller answers;
	static caller job;
	static caller single;
	static caller alike;
	bn_error	err = {0};
	int			n_steps = 0;
	rig			r;

	open_rig(&r, m, 128, 64, 64, 4096);
	add_job(&r, &answers, MAX_RUN_REQUESTS, 4, LENGTH, 1);
	for (int i = 0; i < 4; i++)
		bn_schedule_step(r.schedule, NULL, &err);
	add_job(&r, &single, 1, 4, LENGTH, 3);
	bn_schedule_step(r.schedule, NULL, &err);
	make_job(&job, 8, PROMPT, 4, 90);
	make_job(&alike, 1, PROMPT, 4, 17);
	for (int i = 1; i < 8; i++)
		memcpy(job.works[i].tokens, job.works[0].tokens, sizeof(int32_t) * SHARED);
	memcpy(alike.works[0].tokens, job.works[0].tokens, sizeof(int32_t) * SHARED);
	bn_schedule_add(r.schedule, &job.run, &err);
	bn_schedule_step(r.schedule, NULL, &err);
	bn_schedule_add(r.schedule, &alike.run, &err);
	for (; alike.requests[0].n_output == 0 && n_steps < STEPS; n_steps++)
		bn_schedule_step(r.schedule, NULL, &err);
	ok(alike.requests[0].n_output > 0 && !bn_run_done(&answers.run) && !bn_run_done(&single.run),
	   "a prompt that begins like a job's has its answer after %d steps", n_steps);
	remove_job(&r, &answers);
	remove_job(&r, &single);
	remove_job(&r, &job);
	remove_job(&r, &alike);
	close_rig(&r, "beside a job's prompt");
}

/* A large request waits its turn, but no longer: what comes after it does not overtake it. */
static void
test_order(const model_file *m)
{
	static caller jobs[3];
	bn_error	err = {0};
	int			n_steps = 0;
	rig			r;

	open_rig(&r, m, 16, 16, 64, 8);
	make_job(&jobs[0], MAX_RUN_REQUESTS, 10, 40, 1);	/* 2 pages each */
	bn_schedule_add(r.schedule, &jobs[0].run, &err);
	bn_schedule_step(r.schedule, NULL, &err);
	make_job(&jobs[1], 1, 100, 100, 2); /* 7 of the 8 pages */
	make_job(&jobs[2], MAX_RUN_REQUESTS, 5, 40, 3);
	bn_schedule_add(r.schedule, &jobs[1].run, &err);
	bn_schedule_step(r.schedule, NULL, &err);
	bn_schedule_add(r.schedule, &jobs[2].run, &err);
	while (jobs[1].requests[0].state == BN_WAITING && n_steps++ < 1000)
		bn_schedule_step(r.schedule, NULL, &err);
	ok(jobs[1].requests[0].state != BN_WAITING && jobs[0].run.n_finished < 8 && jobs[2].run.n_admitted == 0,
	   "a large request is admitted in its turn, after %d steps and %d answers", n_steps, jobs[0].run.n_finished);
	ok(step_until_idle(&r) > 0 && jobs[2].run.n_finished == MAX_RUN_REQUESTS, "and all others after it");
	for (int i = 0; i < 3; i++)
		remove_job(&r, &jobs[i]);
	close_rig(&r, "in the end");
}

/* A request that takes the whole cache, after another that begins like it. */
static void
test_whole_cache(const model_file *m)
{
	static caller job;
	bn_error	err = {0};
	int			n_done = 0;
	rig			r;

	open_rig(&r, m, 16, 16, 64, 4);
	for (int i = 0; i < 3; i++)
	{
		make_job(&job, 1, 49, 80, 7);	/* 128 positions: 4 pages */
		bn_schedule_add(r.schedule, &job.run, &err);
		for (int k = 0; k < 1000 && !bn_run_done(&job.run); k++)
			bn_schedule_step(r.schedule, NULL, &err);
		n_done += job.run.n_finished;
		remove_job(&r, &job);
	}
	ok(n_done == 3, "a request that takes the whole cache is served again");
	close_rig(&r, "the whole cache");
}

/* What cannot be is refused at once; what fails, fails alone. */
static void
test_errors(const model_file *m)
{
	static caller good;
	static caller bad;
	bn_error	err = {0};
	rig			r;

	open_rig(&r, m, 16, 16, 64, 4);
	make_job(&bad, 2, 100, 100, 1);
	ok(bn_schedule_add(r.schedule, &bad.run, &err) == BN_ERR_LIMIT && strstr(err.detail, "KV cache") != NULL &&
	   bn_schedule_idle(r.schedule), "a request that never fits is refused: %s", err.detail);
	bad.requests[0].max_output = 1000;
	ok(bn_schedule_add(r.schedule, &bad.run, &err) == BN_ERR_LIMIT && strstr(err.detail, "1100 tokens") != NULL,
	   "so is one beyond the context: %s", err.detail);
	free_job(&bad);

	add_caller(&r, &good, 0, 3);
	make_job(&bad, 2, 10, 10, 1);
	bad.works[1].tokens[9] = m->model.config->vocab_size;
	ok(bn_schedule_add(r.schedule, &bad.run, &err) == BN_ERR_INVALID,
	   "a token that does not exist is refused: %s", err.detail);
	bad.works[1].tokens[9] = 3;
	ok(bn_schedule_add(r.schedule, &bad.run, &err) == BN_OK, "without it the request is taken");
	bad.works[1].tokens[9] = m->model.config->vocab_size;	/* somebody writes into what is shared */
	ok(step_until_idle(&r) > 0 && bad.run.status == BN_ERR_INVALID &&
	   bad.run.error.detail[0] != '\0', "a request that fails ends its run: %s", bad.run.error.detail);
	ok(is_right(&r, &good), "and no other");
	bn_schedule_remove(r.schedule, &bad.run);
	remove_caller(&r, &good);
	close_rig(&r, "after that");
	free_job(&bad);
}

/* Is there an infinity or a NaN in any page of the cache, used or not? */
static bool
cache_is_finite(const rig *r, int32_t n_pages)
{
	const bn_config *c = r->m->model.config;
	size_t		bytes = bn_kv_page_bytes(c) * (size_t) n_pages;
	const uint16_t *values = (const uint16_t *) ((const char *) r->schedule->kv + bn_kv_size(c, n_pages) - bytes);

	for (size_t i = 0; i < bytes / sizeof(uint16_t); i++)
		if ((values[i] & 0x7C00) == 0x7C00)
			return false;
	return true;
}

/*
 * Values too large for the cache's half floats, or for a float's square, must not
 * be lost: from a scale at which all is well to one at which nothing is.
 */
static void
test_overflow(const model_file *m, bn_layer_role role, int32_t layer)
{
	enum {PAGES = 8};
	static caller c;
	bn_tensor  *weights = (bn_tensor *) m->model.layers + layer * BN_LAYER_ROLES + role;	/* of our own memory */
	float		old_scale = weights->scale;
	int			n_good = 0;
	int			n_refused = 0;
	bool		lost = false;
	rig			r;

	open_rig(&r, m, 16, 16, 64, PAGES);
	for (weights->scale = 1; weights->scale < 1e30f; weights->scale *= 2)
	{
		add_job(&r, &c, 1, 40, 10, 1);
		step_until_idle(&r);
		if (c.run.status == BN_OK)
			n_good++;
		else if (c.run.status == BN_ERR_NUMERIC)
			n_refused++;
		lost |= c.run.status == BN_OK && (n_refused > 0 || !cache_is_finite(&r, PAGES));
		bn_schedule_stop(r.schedule, &c.run, 0);
		remove_job(&r, &c);
	}
	weights->scale = old_scale;
	ok(n_good > 0 && n_refused > 0 && n_good + n_refused == 100 && !lost,
	   "values that overflow are an error: %d scales are good, %d not", n_good, n_refused);
	close_rig(&r, "after an overflow");
}

/* A caller's stop ends one request, whose output stays. */
static void
test_stop(const model_file *m)
{
	static caller job;
	bn_error	err = {0};
	rig			r;

	open_rig(&r, m, 16, 16, 64, 64);
	add_job(&r, &job, 2, 10, 60, 4);
	while (job.requests[1].n_output < 5 && !bn_run_done(&job.run))
		bn_schedule_step(r.schedule, NULL, &err);
	bn_schedule_stop(r.schedule, &job.run, 1);
	ok(job.requests[1].state == BN_FINISHED && job.requests[1].n_output == 5 && job.run.n_finished == 1,
	   "a request can be stopped");
	step_until_idle(&r);
	ok(job.run.n_finished == 2 && job.requests[0].n_output > 5, "the other goes on");
	bn_schedule_remove(r.schedule, &job.run);
	close_rig(&r, "stopped");
	free_job(&job);
}

/* Where an answer repeats itself, or the prompt, steps give several tokens; which ones is the same. */
static void
test_drafts(const model_file *m)
{
	static caller job;
	bn_error	err = {0};
	const bn_schedule_stats *stats = &job.run.stats;
	int32_t		output[2][120];
	int			n_steps[2];
	bool		good = true;
	rig			r;

	/* With a companion that is there all the time nothing is tried. */
	for (int beside = 0; beside < 2; beside++)
	{
		open_rig(&r, m, 16, 16, 64, 128);
		make_job(&job, beside ? 3 : 1, 90, 120, 0);
		for (int i = 0; i < 90; i++)
			job.works[0].tokens[i] = 3 + i % 10;
		good &= bn_schedule_add(r.schedule, &job.run, &err) == BN_OK;
		for (n_steps[beside] = 0; job.requests[0].state != BN_FINISHED && n_steps[beside] < 1000; n_steps[beside]++)
			bn_schedule_step(r.schedule, NULL, &err);
		if (!beside)
			ok(stats->accepted_tokens > 10 && stats->drafted_tokens >= stats->accepted_tokens &&
			   n_steps[0] == job.requests[0].n_output - stats->accepted_tokens + 1,
			   "%d tokens in %d steps: %ld were tried, %ld of them right", job.requests[0].n_output, n_steps[0],
			   (long) stats->drafted_tokens, (long) stats->accepted_tokens);
		memset(output[beside], 0, sizeof(output[beside]));
		memcpy(output[beside], job.requests[0].output, (size_t) job.requests[0].n_output * sizeof(int32_t));
		bn_schedule_remove(r.schedule, &job.run);
		close_rig(&r, "drafts");
		free_job(&job);
	}
	ok(good && memcmp(output[0], output[1], sizeof(output[0])) == 0, "the answer is that of %d steps", n_steps[1]);
}

int
main(int argc, char **argv)
{
	model_file	m;
	int64_t		n_alone;

	model_file_init(argv[0]);
	if (!ok(model_file_make(&m, "--layers 2 --hidden 128 --ffn 256 --heads 4 --kv 2 --vocab 320 --ctx 256 --seed 31"),
			"make_model"))
		return done_testing();
	works_make(works, &m.model);
	n_alone = works_alone(works, &m, bn_kernels_select(NULL), 64, expected);
	ok(n_alone > 0, "each alone");
	test_turmoil(&m, 32, 64, 400, 1);
	test_turmoil(&m, 8, 7, 60, 2);
	test_turmoil(&m, 16, 33, 10, 3);
	test_sharing(&m, n_alone);
	test_beginnings(&m);
	test_fairness(&m);
	test_crowd(&m, 6, 100, 20, 400, "long prompts");
	test_crowd(&m, 20, 8, 20, 200, "short prompts");
	test_crowd(&m, 70, 4, 200, 200, "more callers than a step has logits for");
	test_prompts(&m);
	test_job_prompt(&m);
	test_order(&m);
	test_whole_cache(&m);
	test_errors(&m);
	test_overflow(&m, BN_ATTN_V, 0);
	test_overflow(&m, BN_ATTN_K, 0);
	test_overflow(&m, BN_FFN_DOWN, m.model.config->n_layers - 1);
	test_stop(&m);
	test_drafts(&m);
	model_file_close(&m);
	return done_testing();
}
