/*-------------------------------------------------------------------------
 *
 * sampler.h
 *	  From logits to the next token.
 *
 * A pure function: what is drawn as the output's token i depends on the logits,
 * the parameters, the seed and i alone.
 *
 * src/core/sampler.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_SAMPLER_H
#define BN_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

typedef struct bn_sampling
{
	double		temperature;	/* 0: greedy */
	int32_t		top_k;			/* 0: off */
	double		top_p;			/* 1: off */
	double		min_p;			/* 0: off */
	double		repeat_penalty; /* 1: off */
	int64_t		seed;
} bn_sampling;

/* Greedy, everything off, seed 0. */
extern const bn_sampling bn_sampling_default;

/* A token with its log-probability (or what else orders candidates). */
typedef struct bn_candidate
{
	int32_t		token;
	double		logprob;
} bn_candidate;

/* Scratch memory for a vocabulary. */
extern size_t bn_sampler_scratch_size(int32_t vocab_size);

/*
 * The next token.  A repeat penalty divides the positive logits of all tokens
 * of prompt and output by its value and multiplies the negative ones (logits,
 * [vocab_size], are changed).  Then the temperature applies, then top_k, top_p
 * and min_p, and the draw.  Of equal logits the lower token id comes first.
 */
extern int32_t bn_sample(const bn_sampling *sampling, float *logits, int32_t vocab_size,
						 const int32_t *prompt, int32_t n_prompt,
						 const int32_t *output, int32_t n_output, void *scratch);

/*
 * Whether the next token follows from a few of the largest logits: how many, or
 * 0 if all are needed.
 */
extern int32_t bn_sample_needs(const bn_sampling *sampling, int32_t vocab_size);

/*
 * The same token as bn_sample's, from the bn_sample_needs largest logits, best
 * first, in candidates (which are changed).  n_output is how many tokens of the
 * output came before.
 */
extern int32_t bn_sample_best(const bn_sampling *sampling, bn_candidate *candidates,
							  int32_t n, int32_t n_output);

/*
 * The n best of n_listed tokens (ascending; NULL for the tokens 0 .. n_listed -
 * 1), best first, with their logits; logits is indexed by token.  Returns how
 * many (at most n_listed).
 */
extern int32_t bn_select_best(const float *logits, const int32_t *listed, int32_t n_listed,
							  bn_candidate *out, int32_t n);

/* log of the sum of exp(logits), in double: log p(t) = logits[t] - this. */
extern double bn_log_sum_exp(const float *logits, int32_t vocab_size);

/* The n most probable tokens, best first; returns how many (at most vocab_size). */
extern int32_t bn_top_candidates(const float *logits, int32_t vocab_size,
								 bn_candidate *out, int32_t n);

#endif							/* BN_SAMPLER_H */
