/*-------------------------------------------------------------------------
 *
 * sampler.c
 *	  From logits to the next token.
 *
 * src/core/sampler.c
 *
 *-------------------------------------------------------------------------
 */
#include "sampler.h"

#include <float.h>
#include <stdbool.h>
#include <string.h>

#include "fmath.h"

const bn_sampling bn_sampling_default = {
	.temperature = 0.0, .top_k = 0, .top_p = 1.0, .min_p = 0.0, .repeat_penalty = 1.0, .seed = 0
};

/* Exponentials that are computed together */
#define EXP_PART 256

/*
 * In this file a candidate's logprob is whatever orders it: its logit, or the
 * weight it is drawn with.
 */
static inline bool
is_better(const bn_candidate *a, const bn_candidate *b)
{
	return a->logprob > b->logprob || (a->logprob == b->logprob && a->token < b->token);
}

static inline void
swap(bn_candidate *a, bn_candidate *b)
{
	bn_candidate t = *a;

	*a = *b;
	*b = t;
}

/* Restores a heap, whose root is the best (or worst) of all, where node i may be misplaced. */
static void
sift_down(bn_candidate *heap, int32_t n, int32_t i, bool best_first)
{
	for (;;)
	{
		int32_t		child = 2 * i + 1;

		if (child >= n)
			return;
		if (child + 1 < n && is_better(&heap[child + 1], &heap[child]) == best_first)
			child++;
		if (is_better(&heap[child], &heap[i]) != best_first)
			return;
		swap(&heap[child], &heap[i]);
		i = child;
	}
}

static void
make_heap(bn_candidate *heap, int32_t n, bool best_first)
{
	int32_t		i;

	for (i = n / 2 - 1; i >= 0; i--)
		sift_down(heap, n, i, best_first);
}

int32_t
bn_select_best(const float *logits, const int32_t *listed, int32_t n_listed,
			   bn_candidate *out, int32_t n)
{
	int32_t		i;

	if (n > n_listed)
		n = n_listed;
	if (n <= 0)
		return 0;
	for (i = 0; i < n; i++)
	{
		int32_t		token = listed ? listed[i] : i;

		out[i] = (bn_candidate) {token, logits[token]};
	}
	make_heap(out, n, false);
	for (; i < n_listed; i++)
	{
		int32_t		token = listed ? listed[i] : i;

		/* of equals the first is better, and tokens ascend */
		if (logits[token] > out[0].logprob)
		{
			out[0] = (bn_candidate) {token, logits[token]};
			sift_down(out, n, 0, false);
		}
	}
	for (i = n - 1; i > 0; i--)
	{
		swap(&out[0], &out[i]);
		sift_down(out, i, 0, false);
	}
	return n;
}

static float
largest(const float *logits, int32_t vocab_size)
{
	float		best = logits[0];
	int32_t		i;

	for (i = 1; i < vocab_size; i++)
		best = logits[i] > best ? logits[i] : best;
	return best;
}

double
bn_log_sum_exp(const float *logits, int32_t vocab_size)
{
	double		max = largest(logits, vocab_size);
	double		sum = 0.0;
	double		part[EXP_PART];
	int32_t		begin;
	int32_t		i;

	for (begin = 0; begin < vocab_size; begin += EXP_PART)
	{
		int32_t		n = vocab_size - begin < EXP_PART ? vocab_size - begin : EXP_PART;

		for (i = 0; i < n; i++)
			part[i] = logits[begin + i] - max;
		bn_exp_all(part, n);
		for (i = 0; i < n; i++)
			sum += part[i];
	}
	return max + bn_log(sum);
}

int32_t
bn_top_candidates(const float *logits, int32_t vocab_size, bn_candidate *out, int32_t n)
{
	double		log_sum = bn_log_sum_exp(logits, vocab_size);
	int32_t		i;

	n = bn_select_best(logits, NULL, vocab_size, out, n);
	for (i = 0; i < n; i++)
		out[i].logprob -= log_sum;
	return n;
}

size_t
bn_sampler_scratch_size(int32_t vocab_size)
{
	return (size_t) vocab_size * sizeof(bn_candidate);
}

/* Every token that occurs is penalised once, however often it occurs. */
static void
penalize(float *logits, int32_t vocab_size, double penalty,
		 const int32_t *prompt, int32_t n_prompt,
		 const int32_t *output, int32_t n_output, uint8_t *seen)
{
	int32_t		i;

	memset(seen, 0, (size_t) vocab_size);
	for (i = 0; i < n_prompt + n_output; i++)
	{
		int32_t		token = i < n_prompt ? prompt[i] : output[i - n_prompt];
		double		logit;

		if (seen[token])
			continue;
		seen[token] = 1;
		logit = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;

		/* infinite ones would have a difference that is no number */
		logits[token] = (float) (logit > FLT_MAX ? FLT_MAX : logit < -FLT_MAX ? -FLT_MAX : logit);
	}
}

/* A number in [0, 1) from seed and index (the mixing of splitmix64). */
static double
uniform(int64_t seed, int64_t index)
{
	uint64_t	z = (uint64_t) seed;
	int			round;

	for (round = 0; round < 2; round++)
	{
		z += UINT64_C(0x9e3779b97f4a7c15) * ((uint64_t) index + 1);
		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		z ^= z >> 31;
	}
	return (double) (z >> 11) * (1.0 / 9007199254740992.0);
}

/* Makes weights of candidates' logits, in units of the probability of the one whose logit is best. */
static void
make_weights(bn_candidate *candidates, int32_t n, double best, double temperature)
{
	double		part[EXP_PART];
	int32_t		begin;
	int32_t		i;

	for (begin = 0; begin < n; begin += EXP_PART)
	{
		bn_candidate *c = candidates + begin;
		int32_t		n_part = n - begin < EXP_PART ? n - begin : EXP_PART;

		for (i = 0; i < n_part; i++)
			part[i] = (c[i].logprob - best) / temperature;
		bn_exp_all(part, n_part);
		for (i = 0; i < n_part; i++)
			c[i].logprob = part[i];
	}
}

/* Keeps, in their order, those that weigh at least so much; returns how many. */
static int32_t
keep_heavy(bn_candidate *candidates, int32_t n, double least)
{
	int32_t		kept = 0;
	int32_t		i;

	for (i = 0; i < n; i++)
		if (candidates[i].logprob >= least)
			candidates[kept++] = candidates[i];
	return kept;
}

/*
 * Keeps the best candidates whose probabilities first reach top_p together,
 * best first.  Candidates hold weights; returns how many are kept.
 */
static int32_t
keep_top_p(bn_candidate *candidates, int32_t n, double top_p)
{
	double		total = 0.0;
	double		sum = 0.0;
	int32_t		kept = 0;
	int32_t		i;

	for (i = 0; i < n; i++)
		total += candidates[i].logprob;

	/* all that weigh less than this have half of 1 - top_p together: it is reached without them */
	n = keep_heavy(candidates, n, 0.5 * (1.0 - top_p) * total / n);

	/* the best of those left is the root of the heap, from where it goes behind it */
	make_heap(candidates, n, true);
	while (kept < n && sum < top_p * total)
	{
		sum += candidates[0].logprob;
		kept++;
		swap(&candidates[0], &candidates[n - kept]);
		sift_down(candidates, n - kept, 0, true);
	}
	for (i = 0; i < n - 1 - i; i++)
		swap(&candidates[i], &candidates[n - 1 - i]);
	return kept;
}

/*
 * Draws among n candidates with logits, of which best is the largest of all
 * tokens.
 */
static int32_t
draw_token(const bn_sampling *sampling, bn_candidate *candidates, int32_t n, double best,
		   int32_t n_output)
{
	double		sum = 0.0;
	double		draw;
	int32_t		i;

	make_weights(candidates, n, best, sampling->temperature);
	if (sampling->top_p < 1.0)
		n = keep_top_p(candidates, n, sampling->top_p);
	if (sampling->min_p > 0.0)
		n = keep_heavy(candidates, n, sampling->min_p);

	for (i = 0; i < n; i++)
		sum += candidates[i].logprob;
	draw = uniform(sampling->seed, n_output) * sum;
	for (i = 0; i < n - 1; i++)
	{
		draw -= candidates[i].logprob;
		if (draw < 0.0)
			break;
	}
	return candidates[i].token;
}

int32_t
bn_sample_needs(const bn_sampling *sampling, int32_t vocab_size)
{
	if (sampling->repeat_penalty != 1.0)
		return 0;
	if (sampling->temperature <= 0.0)
		return 1;
	return sampling->top_k > 0 && sampling->top_k < vocab_size ? sampling->top_k : 0;
}

int32_t
bn_sample_best(const bn_sampling *sampling, bn_candidate *candidates, int32_t n,
			   int32_t n_output)
{
	if (sampling->temperature <= 0.0)
		return candidates[0].token;
	return draw_token(sampling, candidates, n, candidates[0].logprob, n_output);
}

int32_t
bn_sample(const bn_sampling *sampling, float *logits, int32_t vocab_size,
		  const int32_t *prompt, int32_t n_prompt,
		  const int32_t *output, int32_t n_output, void *scratch)
{
	bn_candidate *candidates = scratch;
	int32_t		n = vocab_size;
	int32_t		i;

	if (sampling->repeat_penalty != 1.0)
		penalize(logits, vocab_size, sampling->repeat_penalty, prompt, n_prompt,
				 output, n_output, scratch);

	if (sampling->temperature <= 0.0)
	{
		bn_select_best(logits, NULL, vocab_size, candidates, 1);
		return candidates[0].token;
	}

	if (sampling->top_k > 0 && sampling->top_k < vocab_size)
		n = bn_select_best(logits, NULL, vocab_size, candidates, sampling->top_k);
	else
		for (i = 0; i < n; i++)
			candidates[i] = (bn_candidate) {i, logits[i]};
	return draw_token(sampling, candidates, n, largest(logits, vocab_size), n_output);
}
