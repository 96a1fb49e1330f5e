/*-------------------------------------------------------------------------
 *
 * test_core.c
 *	  Elementary functions, sampler, thread pool, KV pages, error texts.
 *
 * test/unit/test_core.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/core/fmath.h"
#include "../../src/core/kv.h"
#include "../../src/core/pool.h"
#include "../../src/core/sampler.h"
#include "tap.h"

/* Against the C library's long double functions. */
static void
test_fmath(void)
{
	double		exp_error = 0;
	double		log_error = 0;
	double		sin_error = 0;
	int			n_same = 0;
	int			i;

	for (i = 0; i < 200000; i++)
	{
		double		x = -700.0 + i * 0.007;
		double		y = 1e-290 * pow(1.006, i % 220000) + i * 1e-9;
		double		angle = i * 5.2313;
		double		s;
		double		c;

		exp_error = fmax(exp_error, fabs((double) (bn_exp(x) / expl(x) - 1)));
		log_error = fmax(log_error, fabs((double) (bn_log(y) - logl(y))) / fmax(1.0, fabs(log(y))));
		bn_sincos(angle, &s, &c);
		sin_error = fmax(sin_error, fabs((double) (s - sinl(angle))));
		sin_error = fmax(sin_error, fabs((double) (c - cosl(angle))));
	}
	ok(exp_error < 5e-16, "exp: largest relative error %g", exp_error);
	ok(log_error < 5e-16, "log: largest error %g", log_error);
	ok(sin_error < 5e-16, "sin and cos: largest error %g", sin_error);
	ok(bn_exp(-709) == 0.0 && bn_exp(710) == INFINITY && bn_exp(0) == 1.0 &&
	   fabs(bn_exp(709.78) / exp(709.78) - 1) < 1e-15 && fabs(bn_exp(-708) / exp(-708) - 1) < 1e-15,
	   "exp: ends of the range");

	/* all lengths that a vectorised loop may see */
	for (int n = 0; n <= 40; n++)
	{
		double		x[40];

		for (i = 0; i < 40; i++)
			x[i] = i % 7 == 3 ? -INFINITY : -0.37 * i * n;
		bn_exp_all(x, n);
		for (i = 0; i < 40; i++)
			n_same += x[i] == (i % 7 == 3 ? (i < n ? 0.0 : -INFINITY) : i < n ? bn_exp(-0.37 * i * n) : -0.37 * i * n);
	}
	ok(n_same == 41 * 40, "exp of many: each as alone");
}

static int32_t
sample(bn_sampling sampling, const float *logits, int32_t n, int64_t draw)
{
	int32_t		previous[4096];
	float	   *copy = malloc((size_t) n * sizeof(float));
	void	   *scratch = malloc(bn_sampler_scratch_size(n));
	int32_t		token;

	memset(previous, 0, sizeof(previous));
	memcpy(copy, logits, (size_t) n * sizeof(float));
	token = bn_sample(&sampling, copy, n, NULL, 0, previous, (int32_t) draw, scratch);
	free(copy);
	free(scratch);
	return token;
}

static void
test_sampler(void)
{
	enum {N = 8, DRAWS = 4000};
	const float logits[N] = {0.0f, 2.0f, -1.0f, 2.0f, 1.0f, -30.0f, 0.5f, 1.5f};
	bn_sampling greedy = bn_sampling_default;
	bn_sampling warm = bn_sampling_default;
	bn_sampling narrow;
	int			count[N] = {0};
	int			other = 0;
	double		total = 0;
	bool		agrees = true;
	int			i;

	ok(sample(greedy, logits, N, 0) == 1, "greedy: of equal logits the lower id wins");

	/* frequencies of a plain draw against the softmax */
	warm.temperature = 0.7;
	for (i = 0; i < N; i++)
		total += exp(logits[i] / 0.7);
	for (i = 0; i < DRAWS; i++)
		count[sample(warm, logits, N, i)]++;
	for (i = 0; i < N; i++)
	{
		double		p = exp(logits[i] / 0.7) / total;

		agrees &= fabs(count[i] - p * DRAWS) < 5 * sqrt(p * (1 - p) * DRAWS) + 1;
	}
	ok(agrees, "4000 draws at temperature 0.7 follow the softmax");
	ok(sample(warm, logits, N, 17) == sample(warm, logits, N, 17), "a draw is a function of its inputs");
	for (i = 0; i < 200; i++)
	{
		bn_sampling seeded = warm;

		seeded.seed = 1;
		other += sample(seeded, logits, N, i) != sample(warm, logits, N, i);
	}
	ok(other > 50, "another seed draws otherwise (%d of 200)", other);

	narrow = warm;
	narrow.top_k = 2;
	agrees = true;
	for (i = 0; i < 300; i++)
	{
		int32_t		token = sample(narrow, logits, N, i);

		agrees &= token == 1 || token == 3;
	}
	ok(agrees, "top_k 2 draws from the best two");

	/* at temperature 1 the two best have about 0.29 each, the third 0.18 */
	narrow = warm;
	narrow.temperature = 1.0;
	narrow.top_p = 0.5;
	agrees = true;
	for (i = 0; i < 300; i++)
	{
		int32_t		token = sample(narrow, logits, N, i);

		agrees &= token == 1 || token == 3;
	}
	ok(agrees, "top_p 0.5 keeps the smallest set that reaches it");

	narrow.top_p = 1.0;
	narrow.min_p = 0.5;			/* exp(-0.5) is 0.61, exp(-1) is 0.37 */
	agrees = true;
	for (i = 0; i < 300; i++)
	{
		int32_t		token = sample(narrow, logits, N, i);

		agrees &= token == 1 || token == 3 || token == 7;
	}
	ok(agrees, "min_p 0.5 keeps what is at least half as likely as the best");

	{
		bn_sampling penal = bn_sampling_default;
		float		copy[N];
		bn_candidate scratch[N];
		const int32_t seen[] = {1, 1, 3, 1};

		penal.repeat_penalty = 1.5;
		memcpy(copy, logits, sizeof(copy));
		ok(bn_sample(&penal, copy, N, seen, 2, seen + 2, 2, scratch) == 7 &&
		   copy[1] == copy[3] && fabs(copy[1] - 2.0 / 1.5) < 1e-6,
		   "a repeat penalty counts each token once");

		penal.repeat_penalty = 0.01;
		penal.temperature = 1;
		memcpy(copy, logits, sizeof(copy));
		copy[1] = copy[3] = 3e38f;
		copy[2] = -3e38f;
		i = bn_sample(&penal, copy, N, seen, 2, seen + 2, 2, scratch);
		ok((i == 1 || i == 3) && isfinite(copy[1]) && isfinite(copy[3]),
		   "a repeat penalty keeps logits finite");
	}
	{
		bn_candidate top[4];
		double		log_sum = 0;

		for (i = 0; i < N; i++)
			log_sum += exp(logits[i]);
		log_sum = log(log_sum);
		ok(bn_top_candidates(logits, N, top, 4) == 4 &&
		   top[0].token == 1 && top[1].token == 3 && top[2].token == 7 && top[3].token == 4 &&
		   fabs(top[2].logprob - (1.5 - log_sum)) < 1e-12,
		   "the likeliest candidates, best first, with their log-probabilities");
		ok(fabs(bn_log_sum_exp(logits, N) - log_sum) < 1e-12, "log of the sum of exponentials");
	}
}

typedef struct pool_work
{
	atomic_int	touched[1000];
	atomic_int	threads[64];
	sigset_t	worker_mask;
} pool_work;

static void
touch(void *arg, int begin, int end, int thread)
{
	pool_work  *work = arg;

	for (; begin < end; begin++)
		atomic_fetch_add(&work->touched[begin], 1);
	atomic_fetch_add(&work->threads[thread], 1);
	if (thread == 1)
		pthread_sigmask(SIG_SETMASK, NULL, &work->worker_mask);
}

static void
test_pool(void)
{
	int			n_threads;

	for (n_threads = 1; n_threads <= 5; n_threads += 2)
	{
		pool_work  *work = calloc(1, sizeof(*work));
		bn_pool    *pool = bn_pool_init(malloc(bn_pool_size(n_threads)), n_threads);
		bool		once = true;
		int			begun;
		int			round;
		int			i;

		for (round = 0; round < 20; round++)
		{
			int			run;

			begun = bn_pool_begin(pool, 4);
			for (run = 0; run < 50; run++)
				bn_pool_run(pool, touch, work, 1000 - run, 1 + run % 7);
			bn_pool_end(pool);
		}
		for (i = 0; i < 1000; i++)
			once &= atomic_load(&work->touched[i]) == 20 * (i < 951 ? 50 : 1000 - i);
		ok(once && begun == (n_threads < 4 ? n_threads : 4), "%d threads: every item of 1000 runs exactly once", n_threads);
		if (n_threads > 1)
			ok(atomic_load(&work->threads[1]) == 0 ||
			   (sigismember(&work->worker_mask, SIGINT) && sigismember(&work->worker_mask, SIGTERM) &&
				sigismember(&work->worker_mask, SIGALRM)), "%d threads: workers block signals", n_threads);
		free(pool);
		free(work);
	}
}

/* Two threads, of which the caller is done as soon as the other has begun; that one ends when it is told to. */
typedef struct poll_work
{
	atomic_bool begun;
	atomic_bool told;
	time_t		limit;
} poll_work;

static void
tell(void *arg)
{
	atomic_store(&((poll_work *) arg)->told, true);
}

static void
wait_for_other(void *arg, int begin, int end, int thread)
{
	poll_work  *work = arg;
	atomic_bool *awaited = thread > 0 ? &work->told : &work->begun;

	(void) begin;
	(void) end;
	if (thread > 0)
		atomic_store(&work->begun, true);
	while (!atomic_load(awaited) && time(NULL) < work->limit)
		;
}

static void
test_poll(void)
{
	bn_pool    *pool = bn_pool_init(malloc(bn_pool_size(2)), 2);
	poll_work	work = {.limit = time(NULL) + 30};

	bn_pool_poll(pool, tell, &work);
	bn_pool_begin(pool, 2);
	bn_pool_run(pool, wait_for_other, &work, 2, 1);
	bn_pool_end(pool);
	ok(atomic_load(&work.told), "who waits for another thread looks around meanwhile");
	free(pool);
}

/* Begins a sequence and "computes" n of its tokens: the key of each is 1000 + its position. */
static bn_status
compute(bn_kv *kv, bn_sequence *seq, const int32_t *tokens, int32_t n_tokens, int32_t n_reused,
		int32_t n_positions, int32_t n)
{
	bn_status	status = bn_sequence_begin(kv, seq, tokens, n_tokens, n_reused, n_positions);

	for (; status == BN_OK && seq->n_tokens < n; seq->n_tokens++)
	{
		*bn_kv_row(kv, seq, 2, 1, 1, seq->n_tokens) = (uint16_t) (1000 + seq->n_tokens);
		bn_sequence_fill(kv, seq, seq->n_tokens, tokens[seq->n_tokens]);
	}
	return status;
}

static bool
has_rows(bn_kv *kv, const bn_sequence *seq, int32_t n)
{
	for (int32_t p = 0; p < n; p++)
		if (*bn_kv_row(kv, seq, 2, 1, 1, p) != 1000 + p)
			return false;
	return true;
}

static bool
finds(const bn_kv *kv, const int32_t *tokens, int32_t n, int32_t n_ready, int32_t n_promised)
{
	bn_kv_match match = bn_kv_find(kv, tokens, n);

	return match.n_ready == n_ready && match.n_promised == n_promised;
}

static void
test_kv(void)
{
	enum {PAGES = 6, PAGE = BN_PAGE_TOKENS, N = 2 * PAGE + 5};
	bn_config	config = {.n_layers = 3, .n_kv_heads = 2, .head_dim = 8};
	void	   *memory = aligned_alloc(64, (bn_kv_size(&config, PAGES) + 63) / 64 * 64);
	bn_kv	   *kv = bn_kv_init(memory, &config, PAGES);
	int32_t		pages[3][8];
	bn_sequence a = {0, 0, 8, pages[0]};
	bn_sequence b = {0, 0, 8, pages[1]};
	bn_sequence c = {0, 0, 8, pages[2]};
	int32_t		tokens[N];
	int32_t		other[N];

	for (int i = 0; i < N; i++)
		tokens[i] = other[i] = i * i;
	other[PAGE + 3] = -1;

	ok(finds(kv, tokens, N, 0, 0), "an empty cache has nothing");
	ok(compute(kv, &a, tokens, N, 0, N, PAGE + 10) == BN_OK && a.n_pages == 3 &&
	   bn_kv_free_pages(kv) == 3, "three pages for two and a bit");
	ok(finds(kv, tokens, N, PAGE + 10, N) && finds(kv, other, N, PAGE + 3, PAGE + 3) &&
	   finds(kv, tokens, 7, 7, 7) && finds(kv, tokens + 1, N - 1, 0, 0),
	   "what is stored and what will be are found by their tokens");

	ok(compute(kv, &b, other, N, PAGE + 3, PAGE + 9, PAGE + 9) == BN_OK && b.n_pages == 2 &&
	   b.pages[0] == a.pages[0] && b.pages[1] != a.pages[1] && bn_kv_free_pages(kv) == 2,
	   "a sequence shares the full page and copies the partial one");
	*bn_kv_row(kv, &b, 2, 1, 1, PAGE + 3) = 7;
	ok(has_rows(kv, &a, PAGE + 10) && has_rows(kv, &b, PAGE + 3),
	   "it has the same rows, and writing to it leaves the other alone");
	ok(bn_sequence_begin(kv, &c, tokens, N, PAGE + 10, PAGE * 4) == BN_ERR_NOSPACE &&
	   c.n_pages == 0 && bn_kv_free_pages(kv) == 2 && bn_kv_cached_pages(kv) == 0,
	   "a full cache changes nothing");

	bn_sequence_release(kv, &a);
	ok(bn_kv_free_pages(kv) == 3 && bn_kv_cached_pages(kv) == 1 && has_rows(kv, &b, PAGE) &&
	   finds(kv, tokens, N, PAGE + 10, PAGE + 10),
	   "what was computed is kept, what was promised is not");
	bn_sequence_release(kv, &b);
	ok(bn_kv_free_pages(kv) == 3 && bn_kv_cached_pages(kv) == 3, "the shared page, too");

	ok(compute(kv, &a, tokens, N, PAGE + 10, N, N) == BN_OK && has_rows(kv, &a, N) &&
	   bn_kv_free_pages(kv) == 2 && bn_kv_cached_pages(kv) == 1,
	   "a later sequence takes it over, and no page is there twice");
	ok(compute(kv, &c, tokens + 1, N - 1, 0, 3 * PAGE, 1) == BN_OK &&
	   bn_kv_free_pages(kv) == 0 && bn_kv_cached_pages(kv) == 0 && finds(kv, other, N, PAGE + 3, PAGE + 3) &&
	   has_rows(kv, &a, N), "when there is no other room, what nobody uses is given up");
	bn_sequence_release(kv, &c);
	bn_sequence_release(kv, &a);
	ok(bn_kv_free_pages(kv) + bn_kv_cached_pages(kv) == PAGES, "all pages come back");

	ok(compute(kv, &b, other + 2, 1, 0, PAGE * 5, 1) == BN_OK && finds(kv, tokens, N, PAGE, PAGE),
	   "the end of a text is given up before its beginning");
	bn_sequence_release(kv, &b);
	free(memory);
}

static void
test_errors(void)
{
	bn_error	err;
	char		small[8];

	bn_fail(&err, BN_ERR_FORMAT, 17, "%s: %d %u %ld %lu 100%%", "na\nme\xff", -5,
			(uint32_t) 4000000000u, INT64_MIN, UINT64_MAX);
	ok(strcmp(err.detail, "na?me?: -5 4000000000 -9223372036854775808 18446744073709551615 100%") == 0 &&
	   err.offset == 17 && err.hint[0] == '\0', "error detail: %s", err.detail);
	ok(bn_format(small, sizeof(small), "%s", "longer than that") == 7 && strcmp(small, "longer ") == 0,
	   "a long text is cut");
}

int
main(void)
{
	test_fmath();
	test_sampler();
	test_pool();
	test_poll();
	test_kv();
	test_errors();
	return done_testing();
}
