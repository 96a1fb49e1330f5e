/*-------------------------------------------------------------------------
 *
 * scheduler.h
 *	  What the parts of the scheduler share with each other.
 *
 *	schedule.c		runs, their admission, what results mean for them
 *	compose.c		what the next step consists of
 *
 * src/core/scheduler.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_SCHEDULER_H
#define BN_SCHEDULER_H

#include "schedule.h"

/* Up to so many largest logits are asked of a step instead of all. */
#define BN_MAX_BEST 1024

/* Tokens that are tried after the next one of an answer, at most; see compose.c. */
#define BN_MAX_DRAFT 7

/* A sequence in the cache and whose it is. */
typedef struct bn_slot
{
	bn_sequence sequence;
	bn_run	   *run;			/* or NULL */
	int32_t		request;
	int32_t		next_position;	/* whose result counts next, in the step under way */
	int32_t		n_drafted;		/* tokens that it tries in that step */
} bn_slot;

/* Runs that a part of a step is made of; each part goes on where the last one of its kind stopped. */
typedef enum bn_run_kind
{
	BN_ALL_RUNS, BN_INTERACTIVE_RUNS, BN_OTHER_RUNS, BN_N_RUN_KINDS
} bn_run_kind;

struct bn_schedule
{
	const bn_model *model;
	bn_engine  *engine;
	bn_kv	   *kv;
	bn_pool    *pool;
	bn_run	   *first_run;		/* in the order in which they came */
	int64_t		last_ticket;
	int32_t		first_slot[BN_N_RUN_KINDS]; /* where the next step begins to look for answers */
	int32_t		first_prompt[BN_N_RUN_KINDS];	/* and for prompts */
	int32_t		n_slots;
	int32_t		max_run_sequences;
	int32_t		max_entries;
	int32_t		max_positions;
	int32_t		n_logit_rows;
	bn_slot    *slots;			/* [n_slots] */
	bn_step_entry *entries;		/* [max_entries] */
	bn_slot   **entry_slot;		/* [max_entries] */
	float	   *logits;			/* [n_logit_rows, vocab_size] */
	bn_candidate *best;			/* [n_logit_rows, BN_MAX_BEST] */
	float	   *hidden;			/* [max_entries, d_model] */
	double	   *pooled;			/* [n_slots, d_model] */
	void	   *sampler_scratch;
	bn_schedule_stats stats;
};

/* Prompt positions to be computed or reused before the request can decode. */
extern int32_t bn_prompt_positions(const bn_request *r);

/*
 * Fills the entries of the next step, for all runs or for one; returns how many
 * there are.
 */
extern int32_t bn_compose_step(bn_schedule *s, const bn_run *only);

#endif							/* BN_SCHEDULER_H */
