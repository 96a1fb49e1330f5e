/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  What the parts of a step share with each other.
 *
 *	step.c			the layers, their norms and ternary matrices
 *	attention.c		rotary embedding, the cache, attention
 *	head.c			the last norm and the output matrix
 *
 * src/core/engine.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_ENGINE_H
#define BN_ENGINE_H

#include <stdatomic.h>

#include "step.h"

/*
 * Multiply-adds between two looks at should_stop, about: 50 ms of the slowest
 * kernel.  A ternary matrix gets more at once where many tokens meet wide rows
 * (GEMM_GRAIN: 57 million for 128 tokens and 2B4T's), or sums are looked up.
 */
#define BN_STOP_CHECK_WORK (16 * 1024 * 1024)

/* Multiply-adds that are worth handing to another thread, some microseconds. */
#define BN_PIECE_WORK (64 * 1024)

/* Rows of the output matrix that the head looks at together, whole groups of 16. */
#define BN_OUTPUT_BLOCK 32

/* In a step of at most so many tokens the attention to one KV head is divided among threads. */
#define BN_SPLIT_TOKENS 8

/* What is known of a row of the head's input, for the screen; see head.c. */
typedef struct bn_screened
{
	float		error_factor;	/* of a head row's error */
	float		norm_factor;	/* of a head row's norm */
	float		threshold;		/* the wanted logits are not below it */
	enum
	{
		BN_REST_NONE,
		BN_REST_SURVIVORS,		/* rows of the head that the screen did not exclude */
		BN_REST_ALL				/* the screen is of no use */
	}			rest;			/* what find_best leaves to be multiplied; before it, nothing or all */
} bn_screened;

struct bn_engine
{
	const bn_model *model;
	bn_kv	   *kv;
	const bn_kernels *kernels;
	bn_pool    *pool;
	int			n_threads;		/* of a step, at most */
	int			max_entries;
	int32_t		max_positions;
	size_t		score_stride;	/* floats per query head */
	int			max_block;		/* tokens that attend together */
	size_t		scratch_stride; /* floats per thread */
	size_t		quant_stride;	/* values per token */

	double	   *frequency;		/* [head_dim / 2], of the rotary embedding */
	float	   *cosine;			/* [max_entries, head_dim / 2] */
	float	   *sine;
	float	   *x;				/* [max_entries, d_model], residual stream */
	float	   *branch;			/* [max_entries, d_model], to be added to x */
	float	   *q;				/* [max_entries, n_heads * head_dim] */
	float	   *k;				/* [max_entries, n_kv_heads * head_dim] */
	float	   *v;
	float	   *attention;		/* [max_entries, n_heads * head_dim] */
	float	   *gate;			/* [max_entries, d_ffn] */
	float	   *up;
	int8_t	   *quantized;		/* [max_entries, quant_stride] */
	bn_quant   *quant;			/* [max_entries] */
	float	   *scores;			/* [n_threads, max_block queries of a group, score_stride] */
	float	   *split_scores;	/* [BN_SPLIT_TOKENS, n_heads, score_stride] */
	float	   *block_q;		/* [n_threads, max_block queries of a group, head_dim] */
	float	   *block_out;		/* the same */
	int32_t    *block_begin;	/* [max_entries + 1], see attention.c */
	float	   *scratch;		/* [n_threads, scratch_stride] */
	int32_t    *head_entry;		/* [max_entries], of the rows of the head's input */
	int8_t	   *head_fixed;		/* [max_entries][2: high, low][quant stride of d_model] */
	float	   *head_scale;		/* [max_entries], of head_fixed */
	bn_screened *screened;		/* [max_entries] */
	float	   *block_bound;	/* [max_entries, n_output_blocks], of logits */
	int			n_output_blocks;	/* of BN_OUTPUT_BLOCK rows of the output matrix */
	int32_t    *survivors;		/* [n_threads, max_survivors] */
	int32_t		max_survivors;

	/* the step under way */
	const bn_step_entry *entries;
	int			n_entries;
	int			n_blocks;
	const bn_hooks *hooks;
	atomic_bool stop;
	atomic_bool overflow;		/* a value inside the step was not finite */
	int			layer;
	bn_profile *profile;		/* or NULL */
};

static inline float *
bn_row(float *base, int row, int width)
{
	return base + (size_t) row * (size_t) width;
}

/* To be asked by every job now and then; only thread 0 looks at the hooks. */
static inline bool
bn_engine_stopping(bn_engine *e, int thread)
{
	if (thread == 0 && bn_should_stop(e->hooks))
		atomic_store_explicit(&e->stop, true, memory_order_relaxed);
	return atomic_load_explicit(&e->stop, memory_order_relaxed);
}

/*
 * Runs a job on the pool, in pieces that are worth it: item_work is about how
 * many multiply-adds an item takes, grain the least number of items.
 */
extern void bn_engine_run(bn_engine *e, bn_part part, bn_pool_fn fn, void *arg,
						  int n_items, int grain, int64_t item_work);

/* Finds the blocks of tokens that attend together; once per step. */
extern void bn_attention_plan(bn_engine *e);

/*
 * Turns q and k of the engine by their positions, stores k and v in the cache
 * and fills attention, for the layer under way.
 */
extern void bn_attention_run(bn_engine *e);

/* The last norm, and the head for the entries that want logits. */
extern bn_status bn_head_run(bn_engine *e, bn_error *err);

#endif							/* BN_ENGINE_H */
