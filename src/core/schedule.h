/*-------------------------------------------------------------------------
 *
 * schedule.h
 *	  Runs the requests of any number of callers through shared steps.
 *
 * A request is a prompt and what is wanted of it: a continuation, the
 * log-probability of given tokens, a vector, or the distribution of the next
 * token.  A run is the requests of one caller, which are admitted in their
 * order.  The scheduler admits requests while the KV cache has room for all
 * they can ever need, so that an admitted request always finishes, and fills
 * each step with the next tokens of what decodes and chunks of what is still
 * in its prompt.
 *
 *	bn_schedule_init(...)
 *	bn_schedule_add(schedule, run, err)			any number, at any time
 *	while (!bn_schedule_idle(s))
 *	{
 *		bn_schedule_step(s, hooks, err);
 *		(look at the requests of the runs; end some with bn_schedule_stop)
 *	}
 *
 * Prompts that begin alike share their beginning in the cache, within a run,
 * between runs, and with what was computed before; see kv.h.
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

	/* the scheduler's; a caller may read the state */
	bn_request_state state;
	int32_t		slot;			/* sequence, or -1 */
	int32_t		n_draft;		/* tokens to guess next time */
} bn_request;

/* Progress, for views and EXPLAIN */
typedef struct bn_schedule_stats
{
	int64_t		steps;
	int64_t		sequence_steps; /* sum over steps of the sequences in them */
	int64_t		prefill_tokens; /* of prompts, computed */
	int64_t		reused_tokens;	/* of prompts, taken from the cache */
	int64_t		output_tokens;
	int64_t		drafted_tokens; /* guessed and computed */
	int64_t		accepted_tokens;	/* of those, the ones that were right */
} bn_schedule_stats;

/* The requests of one caller. */
typedef struct bn_run
{
	/* filled by the caller, who keeps all of it in place until it is removed */
	bn_request *requests;		/* [n_requests] */
	int32_t		n_requests;

	/* results */
	int32_t		n_finished;		/* requests */
	bn_status	status;			/* not BN_OK: a step failed, nothing more will come */
	bn_error	error;			/* why */
	bn_schedule_stats stats;	/* of the steps that the run had a part in */

	/* the scheduler's */
	int32_t		n_admitted;
	int32_t		n_live;			/* sequences */
	int64_t		ticket;			/* place in the order of those who wait for room, or 0 */
	bool		in_step;		/* it had a part in the last step */
	struct bn_run *next;
} bn_run;

typedef struct bn_schedule bn_schedule;

/* What a schedule may use; the product of the settings. */
typedef struct bn_schedule_limits
{
	int32_t		max_sequences;	/* that are in the cache at the same time */
	int32_t		max_run_sequences;	/* the same for one run */
	int32_t		max_step_tokens;	/* entries of one step */
	int32_t		max_positions;	/* of a sequence: at most the model's context */
	int32_t		n_threads;		/* the most that a step may use */
	int64_t		kv_bytes;		/* of cache */
} bn_schedule_limits;

/* How much memory a schedule within these limits needs, its cache included. */
extern bn_status bn_schedule_size(const bn_model *model, const bn_schedule_limits *limits,
								  size_t *size, bn_error *err);

/* The cache that these requests can make use of, if it is less than limit; for limits->kv_bytes. */
extern int64_t bn_schedule_kv_bytes(const bn_model *model, const bn_request *requests,
									int n_requests, int32_t max_sequences, int64_t limit);

/*
 * Makes an empty schedule in memory (64-byte aligned, of the size above).  Most
 * of it is not touched before it is needed.  kernels as bn_kernels_select gives
 * them.
 */
extern bn_status bn_schedule_init(bn_schedule **schedule, void *memory, size_t size,
								  const bn_model *model, const bn_kernels *kernels,
								  const bn_schedule_limits *limits, bn_error *err);

/* Computes from the next step on with these; results are the same with any. */
extern void bn_schedule_use(bn_schedule *schedule, const bn_kernels *kernels, int n_threads);

/*
 * Takes a run in.  BN_ERR_LIMIT if one of its requests is longer than
 * max_positions or can never fit into the cache (with the numbers); then the
 * schedule has nothing to do with it.
 */
extern bn_status bn_schedule_add(bn_schedule *schedule, bn_run *run, bn_error *err);

/* Forgets a run, finished or not. */
extern void bn_schedule_remove(bn_schedule *schedule, bn_run *run);

/* True if no run has anything left to compute. */
extern bool bn_schedule_idle(const bn_schedule *schedule);

/* Is anything of the run left to compute? */
extern bool bn_run_done(const bn_run *run);

/*
 * One step for all runs.  Threads exist only inside.  What fails because of one
 * run's requests ends that run with its status, and no other.  After
 * BN_ERR_CANCELED, the only error, the requests go on from where they are.
 */
extern bn_status bn_schedule_step(bn_schedule *schedule, const bn_hooks *hooks,
								  bn_error *err);

/* Ends a request whose output so far is enough (a stop string, say), if it is still at work. */
extern void bn_schedule_stop(bn_schedule *schedule, bn_run *run, int request);

/* Of all steps so far. */
extern const bn_schedule_stats *bn_schedule_get_stats(const bn_schedule *schedule);

/* What the cache holds: pages in all, in use by sequences, and kept for later use. */
typedef struct bn_cache_use
{
	int32_t		n_pages;
	int32_t		n_used;
	int32_t		n_cached;
	int32_t		n_sequences;
} bn_cache_use;

extern bn_cache_use bn_schedule_cache_use(const bn_schedule *schedule);

#endif							/* BN_SCHEDULE_H */
