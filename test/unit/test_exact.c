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

#include "tap.h"
#include "works.h"

#define FEW GROUP				/* where a way is slow */
#define LONG_PROMPT 900

static work works[N_WORKS];
static bn_request requests[N_WORKS];
static result expected[N_WORKS];

/*
 * Runs the first n requests together and puts what came out into results.
 * Returns how many prompt tokens were computed, or -1.
 */
static int64_t
run_together(const model_file *m, const bn_kernels *kernels, int n,
			 const bn_schedule_limits *limits, result *results)
{
	bn_error	err = {0};
	int64_t		n_prefilled = 0;

	for (int i = 0; i < n; i++)
		requests[i] = works_request(&works[i]);
	if (model_file_run(m, kernels, requests, n, limits, &err) != BN_OK)
	{
		printf("# %s\n", err.detail);
		return -1;
	}
	for (int i = 0; i < n; i++)
	{
		works_result(&results[i], &works[i], &requests[i], m->model.config->d_model);
		n_prefilled += requests[i].n_prefilled;
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
check_batch(const model_file *m, const bn_kernels *kernels, int n, int threads, int chunk,
			int max_sequences, int64_t kv_bytes)
{
	static result results[N_WORKS];
	bn_schedule_limits limits = model_file_limits(m, max_sequences, chunk, threads, kv_bytes);
	char		what[256];
	int64_t		n_prefilled;

	snprintf(what, sizeof(what), "%s, %d threads, %d tokens a step, %d sequences%s",
			 kernels->name, threads, chunk, max_sequences,
			 kv_bytes < LARGE_CACHE ? ", small cache" : "");
	memset(results, 0, sizeof(results));
	n_prefilled = run_together(m, kernels, n, &limits, results);
	check_same(results, n, n_prefilled, what);
}

/* In a process whose arithmetic somebody has changed, and wants changed. */
static void
check_foreign_arithmetic(const model_file *m, const bn_kernels *kernels)
{
	static result results[N_WORKS];
	bn_schedule_limits limits = model_file_limits(m, N_WORKS, 32, 2, LARGE_CACHE);
	int64_t		n_prefilled;
	int			rounding;

	memset(results, 0, sizeof(results));
	fesetround(FE_UPWARD);
	n_prefilled = run_together(m, kernels, FEW, &limits, results);
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

	for (int i = 0; i < N_WORKS; i++)
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
	ok(n_tokens > 100 && n_different == N_WORKS - 1,
	   "%d tokens generated, all results differ from each other", n_tokens);
}

/* The logits and hidden states of all positions of a prompt, cut into steps. */
static bool
run_steps(const model_file *m, const bn_kernels *kernels, int threads, int chunk,
		  const int32_t *tokens, int n, float *logits, float *hidden)
{
	const bn_config *c = m->model.config;
	void	   *memory[4];
	int32_t		pages[LONG_PROMPT / BN_PAGE_TOKENS + 1];
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
	status = bn_sequence_begin(kv, &seq, NULL, 0, 0, n);
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
 * Far behind others, a few tokens' attention is divided among threads: steps of
 * 1, 5 and 8 tokens, or without the first of these.
 */
static void
test_long(const char *options, int first_chunk)
{
	static int32_t tokens[LONG_PROMPT];
	uint32_t	random = 9;
	model_file	m;
	size_t		logits_bytes;
	float	   *logits[2];
	float	   *hidden;
	bool		good;

	if (!ok(model_file_make(&m, options), "a model with a longer context"))
		return;
	for (int i = 0; i < LONG_PROMPT; i++)
		tokens[i] = (int32_t) (works_random(&random) % 300);
	logits_bytes = sizeof(float) * (size_t) LONG_PROMPT * (size_t) m.model.config->vocab_size;
	logits[0] = model_file_memory(logits_bytes);
	logits[1] = model_file_memory(logits_bytes);
	hidden = model_file_memory(sizeof(float) * (size_t) LONG_PROMPT * (size_t) m.model.config->d_model);
	good = run_steps(&m, bn_kernels_select(NULL), 1, 64, tokens, LONG_PROMPT, logits[0], hidden);
	for (int k = 0; bn_kernels_list[k]; k++)
	{
		static const int chunks[] = {1, 5, 8};

		bool		slow = strcmp(bn_kernels_list[k]->name, "scalar") == 0;

		for (int i = slow ? 2 : first_chunk; i < 3 && bn_kernels_list[k]->supported(); i++)
		{
			memset(logits[1], 0, logits_bytes);
			ok(good && run_steps(&m, bn_kernels_list[k], 2 + i % 2, chunks[i], tokens, LONG_PROMPT, logits[1], hidden) &&
			   memcmp(logits[0], logits[1], logits_bytes) == 0,
			   "%s, %d threads, %d tokens a step: logits of %d positions", bn_kernels_list[k]->name, 2 + i % 2,
			   chunks[i], LONG_PROMPT);
		}
	}
	free(logits[0]);
	free(logits[1]);
	free(hidden);
	model_file_close(&m);
}

/* All kernels, with the layout of weights that the best ones do not prefer. */
static void
test_other_layout(const char *options)
{
	model_file	m;

	model_file_use_five(!model_file_uses_five());
	if (ok(model_file_make(&m, options), "the same with %s weights to a byte",
		   model_file_uses_five() ? "five" : "four"))
	{
		for (int k = 0; bn_kernels_list[k]; k++)
			if (bn_kernels_list[k]->supported())
				check_batch(&m, bn_kernels_list[k], FEW, 2, 32, N_WORKS, LARGE_CACHE);
		model_file_close(&m);
	}
	model_file_use_five(!model_file_uses_five());
}

/*
 * All ways for the best kernels, one busy way for the others.  A step of one
 * token is short, and starting threads for it takes longer than the step.
 */
static void
test_model(const char *options, bool all_ways)
{
	static const int chunks[] = {1, 7, 32, 512};
	static result results[N_WORKS];
	const bn_kernels *best = bn_kernels_select(NULL);
	int64_t		n_alone;
	model_file	m;

	if (!ok(model_file_make(&m, options), "make_model %s", options))
		return;
	works_make(works, &m.model);
	n_alone = works_alone(works, &m, best, 1, expected);
	if (ok(n_alone > 0, "%s, one by one", best->name))
	{
		int64_t		small_cache = (int64_t) bn_kv_page_bytes(m.model.config) * 16;

		check_expected();
		test_steps(&m);
		for (int k = 0; bn_kernels_list[k]; k++)
			if (bn_kernels_list[k]->supported())
				check_batch(&m, bn_kernels_list[k],
							strcmp(bn_kernels_list[k]->name, "scalar") == 0 ? FEW : N_WORKS,
							2, 32, N_WORKS, LARGE_CACHE);
		for (int i = 0; all_ways && i < 4; i++)
		{
			char		what[64];

			snprintf(what, sizeof(what), "%s, one by one, %d tokens a step", best->name, chunks[i]);
			check_same(results, N_WORKS, works_alone(works, &m, best, chunks[i], results), what);
			for (int threads = 1; threads <= 3; threads++)
			{
				int			n = chunks[i] < 32 && threads > 1 ? FEW : N_WORKS;

				check_batch(&m, best, n, threads, chunks[i], N_WORKS, LARGE_CACHE);
			}
		}
		check_foreign_arithmetic(&m, best);
		check_batch(&m, best, N_WORKS, 2, 33, 5, LARGE_CACHE);
		check_batch(&m, best, N_WORKS, 2, 64, N_WORKS, small_cache);
		test_other_layout(options);
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
	if (!emulated)
	{
		/* fewer heads than threads; a head or two left over when each has as many */
		test_long("--layers 2 --hidden 192 --ffn 256 --heads 6 --kv 2 --vocab 300 --ctx 2048 --seed 23", 0);
		test_long("--layers 1 --hidden 160 --ffn 1024 --heads 10 --kv 5 --vocab 300 --ctx 2048 --seed 24", 1);
	}
	test_model("--layers 2 --hidden 160 --ffn 352 --heads 5 --kv 1 --vocab 299 --ctx 256 --seed 22 "
			   "--embd q8_0 --output f32", false);
	return done_testing();
}
