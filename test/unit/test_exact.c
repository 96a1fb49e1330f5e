/*-------------------------------------------------------------------------
 *
 * test_exact.c
 *	  The same bytes, however the work is done.
 *
 * Every request is first run alone, in one thread, one token per step.  All
 * other ways must give the same bits: other kernels, more threads, other chunks
 * of the prompt, 64 different requests together, a cache with room for a few of
 * them only, and beginnings shared between them.
 *
 * test/unit/test_exact.c
 *
 *-------------------------------------------------------------------------
 */
#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#include "model_file.h"
#include "tap.h"

#define N_REQUESTS 64
#define GROUP 8					/* requests with a common beginning */
#define FEW GROUP				/* where a way is slow */
#define MAX_PROMPT 128
#define MAX_OUTPUT 24
#define MAX_WIDTH 256
#define LARGE_CACHE ((int64_t) 256 * 1024 * 1024)

/* One request with room for its results. */
typedef struct work
{
	bn_request	request;
	int32_t		tokens[MAX_PROMPT];
	int32_t		output[MAX_OUTPUT];
	float		embedding[MAX_WIDTH];
	bn_candidate candidates[MAX_OUTPUT];
} work;

/* What came out of a request, without holes, to be compared as bytes. */
typedef struct result
{
	int32_t		n_output;
	int32_t		finish;
	int32_t		is_greedy;
	int32_t		output[MAX_OUTPUT];
	int32_t		candidate_token[MAX_OUTPUT];
	double		candidate_logprob[MAX_OUTPUT];
	double		logprob;
	float		embedding[MAX_WIDTH];
} result;

static work works[N_REQUESTS];
static bn_request requests[N_REQUESTS];
static result expected[N_REQUESTS];

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
	return *state >> 8;
}

/*
 * Requests of all kinds.  The first of a group has a prompt of its own; the
 * others begin with some of it, the third with some of the second.
 */
static void
make_requests(const bn_model *model)
{
	static const int lengths[GROUP] = {70, 41, 45, 3, 37, 66, 40, 97};
	static const int shared[GROUP] = {0, 32, 40, 1, 33, 64, 31, 70};
	static const int parents[GROUP] = {-1, 0, 1, 0, 0, 0, 0, 0};
	static const bn_request_kind kinds[] = {
		BN_REQUEST_GENERATE, BN_REQUEST_SCORE, BN_REQUEST_NEXT, BN_REQUEST_EMBED,
		BN_REQUEST_GENERATE
	};
	uint32_t	random = 1;

	for (int i = 0; i < N_REQUESTS; i++)
	{
		work	   *w = &works[i];
		bn_request *r = &w->request;
		int			leader = i / GROUP * GROUP;
		int			place = i % GROUP;
		int			parent = parents[place] < 0 ? -1 : leader + parents[place];

		memset(w, 0, sizeof(*w));
		r->kind = kinds[(i + i / GROUP) % 5];
		r->tokens = w->tokens;
		r->n_tokens = lengths[place] - (place > 0 ? 0 : i / GROUP);
		r->shared_with = parent;
		r->n_shared = shared[place];
		for (int k = 0; k < r->n_tokens; k++)
			w->tokens[k] = (int32_t) (next_random(&random) % (uint32_t) model->config->vocab_size);
		if (parent >= 0)
		{
			if (r->n_shared > works[parent].request.n_tokens)
				r->n_shared = works[parent].request.n_tokens;
			memcpy(w->tokens, works[parent].tokens, (size_t) r->n_shared * sizeof(int32_t));
		}
		r->n_context = r->n_tokens / 2 > 0 ? r->n_tokens / 2 : 1;
		r->pooling = BN_POOL_MEAN + i / 5 % 3;
		r->sampling = bn_sampling_default;
		if (i % 2)
			r->sampling = (bn_sampling) {
				.temperature = 0.9, .top_k = i % 3 ? 50 : 0, .top_p = 0.95, .min_p = 0.01,
				.repeat_penalty = 1.1, .seed = i
			};
		r->max_output = r->kind == BN_REQUEST_NEXT ? MAX_OUTPUT : 5 + i % 13;
		r->output = w->output;
		r->embedding = w->embedding;
		r->candidates = w->candidates;
	}
}

static void
take_result(result *out, const work *w, const bn_request *r, int width)
{
	memset(out, 0, sizeof(*out));
	out->n_output = r->n_output;
	out->finish = r->finish;
	if (r->kind == BN_REQUEST_GENERATE)
		memcpy(out->output, w->output, (size_t) r->n_output * sizeof(int32_t));
	for (int i = 0; r->kind == BN_REQUEST_NEXT && i < r->n_output; i++)
	{
		out->candidate_token[i] = w->candidates[i].token;
		out->candidate_logprob[i] = w->candidates[i].logprob;
	}
	if (r->kind == BN_REQUEST_SCORE)
	{
		out->logprob = r->logprob;
		out->is_greedy = r->is_greedy;
	}
	if (r->kind == BN_REQUEST_EMBED)
		memcpy(out->embedding, w->embedding, (size_t) width * sizeof(float));
}

/*
 * Runs requests [first, first + n) together and puts what came out into
 * results; with their beginnings shared if they are all there and that is
 * wanted.  Returns how many prompt tokens were computed, or -1.
 */
static int64_t
run_together(const model_file *m, const bn_kernels *kernels, int first, int n, bool share,
			 const bn_schedule_limits *limits, result *results)
{
	bn_error	err = {0};
	int64_t		n_prefilled = 0;

	for (int i = 0; i < n; i++)
	{
		work	   *w = &works[first + i];

		memset(w->output, 0xff, sizeof(w->output));
		memset(w->embedding, 0xff, sizeof(w->embedding));
		memset(w->candidates, 0xff, sizeof(w->candidates));
		requests[i] = w->request;
		if (!share)
			requests[i].shared_with = -1;
	}
	if (model_file_run(m, kernels, requests, n, limits, &err) != BN_OK)
	{
		printf("# %s\n", err.detail);
		return -1;
	}
	for (int i = 0; i < n; i++)
	{
		take_result(&results[first + i], &works[first + i], &requests[i],
					m->model.config->d_model);
		n_prefilled += requests[i].n_prefilled;
	}
	return n_prefilled;
}

static int64_t
run_alone(const model_file *m, const bn_kernels *kernels, const bn_schedule_limits *limits,
		  result *results)
{
	int64_t		n_prefilled = 0;

	for (int i = 0; i < N_REQUESTS; i++)
	{
		int64_t		n = run_together(m, kernels, i, 1, false, limits, results);

		if (n < 0)
			return -1;
		n_prefilled += n;
	}
	return n_prefilled;
}

/* One check: the first n results are the expected ones, bit for bit. */
static void
check_same(const result *results, int n, int64_t n_prefilled, const char *what)
{
	int			same = 0;

	for (int i = 0; i < n; i++)
	{
		if (memcmp(&results[i], &expected[i], sizeof(result)) == 0)
			same++;
		else
			printf("# request %d, kind %d, differs\n", i, (int) works[i].request.kind);
	}
	ok(n_prefilled >= 0 && same == n, "%s: %d of %d results are the same", what, same, n);
}

/* The first n requests together. */
static void
check_batch(const model_file *m, const bn_kernels *kernels, int n, bool share, int threads,
			int chunk, int max_sequences, int64_t kv_bytes)
{
	static result results[N_REQUESTS];
	bn_schedule_limits limits = {max_sequences, chunk, threads, kv_bytes};
	char		what[256];
	int64_t		n_prefilled;

	snprintf(what, sizeof(what), "%s, %d threads, %d tokens a step, %d sequences%s%s",
			 kernels->name, threads, chunk, max_sequences, share ? ", shared" : "",
			 kv_bytes < LARGE_CACHE ? ", small cache" : "");
	memset(results, 0, sizeof(results));
	n_prefilled = run_together(m, kernels, 0, n, share, &limits, results);
	check_same(results, n, n_prefilled, what);
}

/* In a process whose arithmetic somebody has changed, and wants changed. */
static void
check_foreign_arithmetic(const model_file *m, const bn_kernels *kernels)
{
	static result results[N_REQUESTS];
	bn_schedule_limits limits = {N_REQUESTS, 32, 2, LARGE_CACHE};
	int64_t		n_prefilled;
	int			rounding;

	memset(results, 0, sizeof(results));
	fesetround(FE_UPWARD);
	n_prefilled = run_together(m, kernels, 0, FEW, true, &limits, results);
	rounding = fegetround();
	fesetround(FE_TONEAREST);
	check_same(results, FEW, n_prefilled, "rounding upward outside");
	ok(rounding == FE_UPWARD, "the caller's rounding mode is left alone");
}

/* Something must have happened that could differ. */
static void
check_expected(void)
{
	int			n_tokens = 0;
	int			n_different = 0;

	for (int i = 0; i < N_REQUESTS; i++)
	{
		const bn_request *r = &works[i].request;

		if (r->kind == BN_REQUEST_GENERATE)
			n_tokens += expected[i].n_output;
		for (int k = 0; k < i; k++)
			if (memcmp(&expected[i], &expected[k], sizeof(result)) == 0)
				break;
			else if (k == i - 1)
				n_different++;
		if (r->kind == BN_REQUEST_SCORE && !(expected[i].logprob < 0))
			n_different--;
	}
	ok(n_tokens > 100 && n_different == N_REQUESTS - 1,
	   "%d tokens generated, all results differ from each other", n_tokens);
}

/* The logits and hidden states of all positions of a prompt, cut into steps. */
static bool
run_steps(const model_file *m, const bn_kernels *kernels, int threads, int chunk,
		  const int32_t *tokens, int n, float *logits, float *hidden)
{
	const bn_config *c = m->model.config;
	void	   *memory[4];
	int32_t		pages[8];
	bn_sequence seq = {0, 0, bn_kv_pages(n), pages};
	bn_step_entry entries[MAX_PROMPT];
	bn_kv	   *kv;
	bn_pool    *pool;
	bn_engine  *engine;
	bn_status	status;
	int			done = 0;

	memory[0] = model_file_memory(bn_kv_size(c, seq.max_pages));
	memory[1] = model_file_memory(bn_pool_size(threads));
	memory[2] = model_file_memory(bn_engine_size(c, chunk, threads, n));
	kv = bn_kv_init(memory[0], c, seq.max_pages);
	pool = bn_pool_init(memory[1], threads);
	engine = bn_engine_init(memory[2], &m->model, kv, kernels, pool, chunk, n);
	status = bn_sequence_reserve(kv, &seq, n);
	while (status == BN_OK && done < n)
	{
		int			k;

		for (k = 0; k < chunk && done + k < n; k++)
			entries[k] = (bn_step_entry) {
				.sequence = &seq, .position = done + k, .token = tokens[done + k],
				.logits = logits + (size_t) (done + k) * (size_t) c->vocab_size,
				.hidden = hidden + (size_t) (done + k) * (size_t) c->d_model
			};
		status = bn_step(engine, entries, k, NULL, NULL);
		done += k;
	}
	for (int i = 0; i < 3; i++)
		free(memory[i]);
	return status == BN_OK;
}

static void
test_steps(const model_file *m)
{
	static const int chunks[] = {1, 7, 32, MAX_PROMPT};
	const bn_config *c = m->model.config;
	int			n = 70;
	const int32_t *tokens = works[7].tokens;
	size_t		logits_bytes = sizeof(float) * (size_t) (n * c->vocab_size);
	size_t		hidden_bytes = sizeof(float) * (size_t) (n * c->d_model);
	float	   *logits[2] = {model_file_memory(logits_bytes), model_file_memory(logits_bytes)};
	float	   *hidden[2] = {model_file_memory(hidden_bytes), model_file_memory(hidden_bytes)};
	bool		good = run_steps(m, bn_kernels_select("scalar"), 1, 1, tokens, n,
								 logits[0], hidden[0]);

	for (int k = 0; bn_kernels_list[k]; k++)
	{
		const bn_kernels *kernels = bn_kernels_list[k];

		if (!kernels->supported())
		{
			skip("%s: not on this CPU", kernels->name);
			continue;
		}
		for (int i = 0; i < 4; i++)
		{
			int			threads = 1 + i % 3;

			memset(logits[1], 0, logits_bytes);
			memset(hidden[1], 0, hidden_bytes);
			ok(good && run_steps(m, kernels, threads, chunks[i], tokens, n, logits[1], hidden[1]) &&
			   memcmp(logits[0], logits[1], logits_bytes) == 0 &&
			   memcmp(hidden[0], hidden[1], hidden_bytes) == 0,
			   "%s, %d threads, %d tokens a step: logits and hidden states of %d positions",
			   kernels->name, threads, chunks[i], n);
		}
	}
	for (int i = 0; i < 2; i++)
	{
		free(logits[i]);
		free(hidden[i]);
	}
}

/*
 * All ways for the best kernels, one busy way for the others.  A step of one
 * token is short, and starting threads for it takes longer than the step.
 */
static void
test_model(const char *options, bool all_ways)
{
	static const int chunks[] = {1, 7, 32, 512};
	static result results[N_REQUESTS];
	const bn_kernels *best = bn_kernels_select(NULL);
	bn_schedule_limits limits = {1, 1, 1, LARGE_CACHE};
	model_file	m;

	if (!ok(model_file_make(&m, options), "make_model %s", options))
		return;
	make_requests(&m.model);
	if (ok(run_alone(&m, best, &limits, expected) > 0, "%s, one by one", best->name))
	{
		int64_t		small_cache = (int64_t) bn_kv_page_bytes(m.model.config) * 16;

		check_expected();
		test_steps(&m);
		for (int k = 0; bn_kernels_list[k]; k++)
			if (bn_kernels_list[k]->supported())
				check_batch(&m, bn_kernels_list[k],
							strcmp(bn_kernels_list[k]->name, "scalar") == 0 ? FEW : N_REQUESTS,
							true, 2, 32, N_REQUESTS, LARGE_CACHE);
		for (int i = 0; all_ways && i < 4; i++)
		{
			char		what[64];

			limits = (bn_schedule_limits) {1, chunks[i], 1, LARGE_CACHE};
			snprintf(what, sizeof(what), "%s, one by one, %d tokens a step", best->name, chunks[i]);
			check_same(results, N_REQUESTS, run_alone(&m, best, &limits, results), what);
			for (int threads = 1; threads <= 3; threads++)
			{
				int			n = chunks[i] < 32 && threads > 1 ? FEW : N_REQUESTS;

				check_batch(&m, best, n, false, threads, chunks[i], N_REQUESTS, LARGE_CACHE);
				check_batch(&m, best, n, true, threads, chunks[i], N_REQUESTS, LARGE_CACHE);
			}
		}
		check_foreign_arithmetic(&m, best);
		check_batch(&m, best, N_REQUESTS, true, 2, 33, 5, LARGE_CACHE);
		check_batch(&m, best, N_REQUESTS, true, 2, 64, N_REQUESTS, small_cache);
		check_batch(&m, best, N_REQUESTS, false, 2, 64, N_REQUESTS, small_cache);
	}
	model_file_close(&m);
}

int
main(int argc, char **argv)
{
	bool		emulated = getenv("RUNNER") && *getenv("RUNNER");	/* and slow */

	model_file_init(argv[0]);
	test_model("--layers 2 --hidden 128 --ffn 256 --heads 4 --kv 2 --vocab 320 --ctx 256 --seed 21",
			   !emulated);
	test_model("--layers 2 --hidden 160 --ffn 352 --heads 5 --kv 1 --vocab 299 --ctx 256 --seed 22 "
			   "--embd q8_0 --output f32", false);
	return done_testing();
}
