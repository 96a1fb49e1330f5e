/*-------------------------------------------------------------------------
 *
 * schedule.h
 *	  Runs any number of requests through shared steps.
 *
 * A request is a prompt and what is wanted of it: a continuation, the
 * log-probability of given tokens, a vector, or the distribution of the next
 * token.  The scheduler admits requests in order while the KV cache has room
 * for all they can ever need, so that an admitted request always finishes, and
 * fills each step with the next token of everything that decodes and chunks of
 * what is still in its prompt.
 *
 *	bn_schedule_init(...)
 *	while (!bn_schedule_done(s))
 *	{
 *		bn_schedule_step(s, hooks, err);
 *		(look at n_output of the requests; end some with bn_schedule_stop)
 *	}
 *
 * src/core/schedule.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_SCHEDULE_H
#define BN_SCHEDULE_H

#include "sampler.h"
#include "step.h"

typedef enum bn_request_kind
{
	BN_REQUEST_GENERATE,		/* continue: output, n_output, finish */
	BN_REQUEST_SCORE,			/* log-probability of tokens[n_context ..] */
	BN_REQUEST_EMBED,			/* pooled, L2-normalised hidden state */
	BN_REQUEST_NEXT				/* the likeliest next tokens */
} bn_request_kind;

typedef enum bn_request_state
{
	BN_WAITING = 0, BN_PREFILL, BN_DECODE, BN_FINISHED
} bn_request_state;

typedef enum bn_finish
{
	BN_FINISH_NONE = 0,
	BN_FINISH_STOP,				/* a stop token, or bn_schedule_stop */
	BN_FINISH_LENGTH			/* max_output reached */
} bn_finish;

typedef struct bn_request
{
	/* filled by the caller, who owns all arrays and keeps them in place */
	bn_request_kind kind;
	const int32_t *tokens;		/* [n_tokens], at least one, BOS included */
	int32_t		n_tokens;
	int32_t		shared_with;	/* an earlier request with the same first
								 * n_shared tokens, whose cache is reused, or -1 */
	int32_t		n_shared;
	int32_t		n_context;		/* SCORE: >= 1 */
	int32_t		pooling;		/* EMBED: a bn_pooling other than unspecified */
	bn_sampling sampling;		/* GENERATE */
	int32_t		max_output;		/* GENERATE: tokens, > 0; NEXT: candidates */
	int32_t    *output;			/* GENERATE: [max_output] */
	float	   *embedding;		/* EMBED: [d_model] */
	bn_candidate *candidates;	/* NEXT: [max_output] */

	/* results */
	int32_t		n_output;		/* without the stop token */
	bn_finish	finish;
	double		logprob;		/* SCORE: natural logarithm */
	bool		is_greedy;		/* SCORE: every token was the likeliest */
	int32_t		n_prefilled;	/* prompt tokens computed (not reused) */

	/* the scheduler's */
	bn_request_state state;
	int32_t		n_done;			/* prompt tokens in the cache */
	int32_t		n_children;		/* requests that still want to fork this one */
	int32_t		slot;			/* sequence, or -1 */
} bn_request;

typedef struct bn_schedule bn_schedule;

/* What a schedule may use; the product of the settings. */
typedef struct bn_schedule_limits
{
	int32_t		max_sequences;	/* that are in the cache at the same time */
	int32_t		max_step_tokens;	/* entries of one step */
	int32_t		n_threads;
	int64_t		kv_bytes;		/* of cache */
} bn_schedule_limits;

/*
 * Chooses max_sequences, the step size and the cache for these requests within
 * the limits, and says how much memory that needs in all.  BN_ERR_LIMIT if a
 * request is longer than the model's context or can never fit into kv_bytes
 * (with the numbers).
 */
extern bn_status bn_schedule_size(const bn_model *model, const bn_request *requests,
								  int n_requests, const bn_schedule_limits *limits,
								  size_t *size, bn_error *err);

/*
 * Prepares the requests in memory (64-byte aligned, of the size above; the
 * requests array must stay in place).  kernels as bn_kernels_select gives them.
 */
extern bn_status bn_schedule_init(bn_schedule **schedule, void *memory, size_t size,
								  const bn_model *model, const bn_kernels *kernels,
								  bn_request *requests, int n_requests,
								  const bn_schedule_limits *limits, bn_error *err);

extern bool bn_schedule_done(const bn_schedule *schedule);

/*
 * One step.  Threads exist only inside.  After BN_ERR_CANCELED the schedule may
 * be stepped again or dropped; its memory is all there is to free.
 */
extern bn_status bn_schedule_step(bn_schedule *schedule, const bn_hooks *hooks,
								  bn_error *err);

/* Ends a request whose output so far is enough (a stop string, say). */
extern void bn_schedule_stop(bn_schedule *schedule, int request);

/* Progress, for views and EXPLAIN */
typedef struct bn_schedule_stats
{
	int64_t		steps;
	int64_t		entries;		/* tokens run through the weights */
	int64_t		prefill_tokens;
	int64_t		reused_tokens;
	int64_t		output_tokens;
} bn_schedule_stats;

extern const bn_schedule_stats *bn_schedule_get_stats(const bn_schedule *schedule);

#endif							/* BN_SCHEDULE_H */
