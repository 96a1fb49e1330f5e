/*-------------------------------------------------------------------------
 *
 * attention.c
 *	  Rotary embedding, the cache, attention.
 *
 * Consecutive tokens of one sequence attend in blocks: a key or value that the
 * kernels have loaded and converted serves all of a block's queries.  What one
 * query gets does not depend on its block, since a kernel's result for a query
 * does not depend on the other queries.
 *
 * src/core/attention.c
 *
 *-------------------------------------------------------------------------
 */
#include "engine.h"

#include <math.h>
#include <string.h>

/* Positions whose keys or values are worked on at once; divides a page. */
#define PART_TOKENS 16

void
bn_attention_plan(bn_engine *e)
{
	int			t;

	e->n_blocks = 0;
	for (t = 0; t < e->n_entries; t++)
	{
		if (t == 0 || e->entries[t].sequence != e->entries[t - 1].sequence ||
			t - e->block_begin[e->n_blocks - 1] == e->max_block)
			e->block_begin[e->n_blocks++] = t;
	}
	e->block_begin[e->n_blocks] = e->n_entries;
}

/* Turns queries and keys by their positions; keys and values go to the cache. */
static void
rotate_and_store(void *arg, int begin, int end, int thread)
{
	bn_engine  *e = arg;
	const bn_config *c = e->model->config;
	const bn_kernels *kernels = e->kernels;
	int			half = c->head_dim / 2;
	int			t;

	for (t = begin; t < end && !bn_engine_stopping(e, thread); t++)
	{
		const bn_step_entry *entry = &e->entries[t];
		const float *cosine = bn_row(e->cosine, t, half);
		const float *sine = bn_row(e->sine, t, half);
		float	   *k = bn_row(e->k, t, c->n_kv_heads * c->head_dim);
		float	   *v = bn_row(e->v, t, c->n_kv_heads * c->head_dim);
		int			h;

		kernels->rope_neox(bn_row(e->q, t, c->n_heads * c->head_dim), cosine, sine,
						   c->n_heads, c->head_dim);
		kernels->rope_neox(k, cosine, sine, c->n_kv_heads, c->head_dim);
		for (h = 0; h < c->n_kv_heads; h++)
		{
			kernels->f32_to_f16(bn_kv_row(e->kv, entry->sequence, e->layer, 0, h, entry->position),
								k + h * c->head_dim, c->head_dim);
			kernels->f32_to_f16(bn_kv_row(e->kv, entry->sequence, e->layer, 1, h, entry->position),
								v + h * c->head_dim, c->head_dim);
		}
	}
}

/*
 * The rows of position p and how many of them, before end, to work on at once;
 * asks memory for the same part of the next page, into the second level of
 * cache, since the first can wait for few lines at a time.  With few queries it is
 * memory that sets the pace, and no hardware guesses the way from page to page.
 */
static inline const uint16_t *
next_rows(bn_engine *e, const bn_sequence *seq, int kv_head, int is_value,
		  int32_t p, int32_t end, int *n)
{
	int			head_dim = e->model->config->head_dim;
	int32_t		part_end = p - p % PART_TOKENS + PART_TOKENS;

	*n = (part_end < end ? part_end : end) - p;
	if (p + BN_PAGE_TOKENS < end)
	{
		const char *next = (const char *) bn_kv_row(e->kv, seq, e->layer, is_value, kv_head,
													p + BN_PAGE_TOKENS);
		int			bytes = *n * head_dim * (int) sizeof(uint16_t);
		int			i;

		for (i = 0; i < bytes; i += 64)
			__builtin_prefetch(next + i, 0, 2);
	}
	return bn_kv_row(e->kv, seq, e->layer, is_value, kv_head, p);
}

/* out[n_queries, head_dim] += weighted values of the positions [begin, end) */
static void
add_values(bn_engine *e, const bn_sequence *seq, int kv_head, float *out,
		   const float *weights, int n_queries, int32_t begin, int32_t end)
{
	int			head_dim = e->model->config->head_dim;
	int32_t		p;
	int			n;

	for (p = begin; p < end; p += n)
	{
		const uint16_t *values = next_rows(e, seq, kv_head, 1, p, end, &n);

		e->kernels->attn_values(out, (size_t) head_dim, weights + p, e->score_stride, n_queries,
								values, (size_t) head_dim, n, head_dim);
	}
}

/*
 * One KV head for the tokens [begin, end).  q and out are [end - begin,
 * n_heads / n_kv_heads, head_dim].
 */
static void
attend_block(bn_engine *e, int begin, int end, int kv_head, const float *q, float *out,
			 float *scores)
{
	const bn_config *c = e->model->config;
	const bn_sequence *seq = e->entries[begin].sequence;
	int			group = c->n_heads / c->n_kv_heads;
	int			n_queries = (end - begin) * group;
	int32_t		first = e->entries[begin].position;
	int32_t		n_positions = e->entries[end - 1].position + 1;
	float		scale = 1.0f / sqrtf((float) c->head_dim);
	int32_t		p;
	int			n;
	int			i;

	/* what a token sees of the tokens after it in the block is not used */
	for (p = 0; p < n_positions; p += n)
	{
		const uint16_t *keys = next_rows(e, seq, kv_head, 0, p, n_positions, &n);

		e->kernels->attn_scores(scores + p, e->score_stride, q, (size_t) c->head_dim, n_queries,
								keys, (size_t) c->head_dim, n, c->head_dim);
	}
	for (i = 0; i < n_queries; i++)
		e->kernels->softmax(scores + (size_t) i * e->score_stride, first + i / group + 1, scale);

	/* the values that all tokens see, then those that only the later ones do */
	memset(out, 0, (size_t) n_queries * (size_t) c->head_dim * sizeof(float));
	add_values(e, seq, kv_head, out, scores, n_queries, 0, first + 1);
	for (i = 1; i < end - begin; i++)
		add_values(e, seq, kv_head, bn_row(out, i * group, c->head_dim),
				   scores + (size_t) (i * group) * e->score_stride, group,
				   first + 1, first + i + 1);
}

/*
 * Items are (block, KV head); the last blocks, whose tokens see most, come
 * first.
 */
static void
attend(void *arg, int begin, int end, int thread)
{
	bn_engine  *e = arg;
	const bn_config *c = e->model->config;
	int			width = c->n_heads / c->n_kv_heads * c->head_dim;	/* of a group */
	size_t		block_floats = (size_t) e->max_block * (size_t) width;
	float	   *block_q = e->block_q + (size_t) thread * block_floats;
	float	   *block_out = e->block_out + (size_t) thread * block_floats;
	float	   *scores = e->scores + (size_t) thread * (size_t) e->max_block *
		(size_t) (c->n_heads / c->n_kv_heads) * e->score_stride;
	int			item;

	for (item = begin; item < end && !bn_engine_stopping(e, thread); item++)
	{
		int			block = e->n_blocks - 1 - item / c->n_kv_heads;
		int			head = item % c->n_kv_heads;
		int			from = e->block_begin[block];
		int			to = e->block_begin[block + 1];
		size_t		bytes = (size_t) width * sizeof(float);
		int			t;

		for (t = from; t < to; t++)
			memcpy(bn_row(block_q, t - from, width),
				   bn_row(e->q, t, c->n_heads * c->head_dim) + head * width, bytes);
		attend_block(e, from, to, head, block_q, block_out, scores);
		for (t = from; t < to; t++)
			memcpy(bn_row(e->attention, t, c->n_heads * c->head_dim) + head * width,
				   bn_row(block_out, t - from, width), bytes);
	}
}

void
bn_attention_run(bn_engine *e)
{
	const bn_config *c = e->model->config;
	int			width = c->n_heads * c->head_dim;
	int			n_items = e->n_blocks * c->n_kv_heads;
	int64_t		work = 0;
	int			t;

	for (t = 0; t < e->n_entries; t++)
		work += 2 * (int64_t) width * (e->entries[t].position + 1);
	bn_engine_run(e, BN_PART_ROPE, rotate_and_store, e, e->n_entries, 1, 4 * width);
	bn_engine_run(e, BN_PART_ATTENTION, attend, e, n_items, 1, work / n_items);
}
