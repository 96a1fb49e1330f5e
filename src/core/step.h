/*-------------------------------------------------------------------------
 *
 * step.h
 *	  One pass over the weights for any tokens of any sequences.
 *
 * Everything the product computes is made of steps.  An entry's result depends
 * on the model and on the tokens before it in its sequence, not on what else
 * is in the step, on the number of threads or on the kernels: byte for byte.
 *
 * src/core/step.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_STEP_H
#define BN_STEP_H

#include "kv.h"
#include "pool.h"
#include "sampler.h"
#include "../../kernels/kernels.h"

typedef struct bn_engine bn_engine;

typedef struct bn_step_entry
{
	bn_sequence *sequence;		/* with room reserved for position */
	int32_t		position;		/* 0-based; entries of a sequence in order */
	int32_t		token;
	float	   *logits;			/* [vocab_size] or NULL; the rows of a step's
								 * entries follow each other in memory */
	float	   *hidden;			/* [d_model], after the last norm, or NULL */
	int32_t		n_best;			/* not 0: only so many of the largest logits are
								 * wanted, and logits is a work space */
	bn_candidate *best;			/* [n_best], largest first, with logits in place
								 * of log-probabilities; of equal ones the lower
								 * token first */
} bn_step_entry;

/*
 * Memory for an engine that takes at most max_entries per step, n_threads
 * threads and sequences of at most max_positions; 64-byte aligned.
 */
extern size_t bn_engine_size(const bn_config *config, int max_entries, int n_threads,
							 int32_t max_positions);
extern bn_engine *bn_engine_init(void *memory, const bn_model *model, bn_kv *kv,
								 const bn_kernels *kernels, bn_pool *pool,
								 int max_entries, int32_t max_positions);

/* Computes from the next step on with these kernels and at most so many threads. */
extern void bn_engine_use(bn_engine *engine, const bn_kernels *kernels, int n_threads);

/* Parts of a step, for a profile. */
typedef enum bn_part
{
	BN_PART_EMBED = 0,
	BN_PART_NORM,				/* with activation and quantisation */
	BN_PART_TERNARY,
	BN_PART_ROPE,				/* with storing to the cache */
	BN_PART_ATTENTION,
	BN_PART_HEAD,
	BN_PARTS
} bn_part;

typedef struct bn_profile
{
	double		(*now) (void);	/* seconds */
	double		seconds[BN_PARTS];	/* are added to */
} bn_profile;

/* Measures the steps from now on; NULL ends that. */
extern void bn_engine_set_profile(bn_engine *engine, bn_profile *profile);

/*
 * Runs the entries: stores their keys and values, sets n_tokens of their
 * sequences, fills logits (or best, of at most vocab_size candidates, the same
 * as from all logits) and hidden.  Asks should_stop many times per layer.
 * After an error the sequences are as before.  Errors: BN_ERR_CANCELED,
 * BN_ERR_NUMERIC (a value that is not finite), BN_ERR_INVALID (a token
 * outside the vocabulary, or a position that is not the sequence's next).
 */
extern bn_status bn_step(bn_engine *engine, const bn_step_entry *entries, int n_entries,
						 const bn_hooks *hooks, bn_error *err);

#endif							/* BN_STEP_H */
