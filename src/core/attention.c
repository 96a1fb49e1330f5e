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
#include <sched.h>
#include <string.h>

/* Positions whose keys or values are worked on at once; divides a page. */
#define PART_TOKENS 16

/* Pieces of an item; multiples of a page, and of a vector. */
#define SPLIT_POSITIONS 256
#define SPLIT_COLUMNS 64

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

/* Do these stay finite as half floats?  What rounds to more than 65504 does not. */
static bool
fit_half(const float *x, int n)
{
	bool		fit = true;
	int			i;

	for (i = 0; i < n; i++)
		fit &= fabsf(x[i]) < 65520.0f;
	return fit;
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
		if (!fit_half(k, c->n_kv_heads * c->head_dim) || !fit_half(v, c->n_kv_heads * c->head_dim))
			atomic_store_explicit(&e->overflow, true, memory_order_relaxed);
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
 * The rows of position p and how many of them, before end, to work on at once.
 * *next is the same part of the next page, or NULL: with few queries it is
 * memory that sets the pace, and the next page need not be a neighbour.
 */
static inline const uint16_t *
next_rows(bn_engine *e, const bn_sequence *seq, int kv_head, int is_value,
		  int32_t p, int32_t end, int *n, const uint16_t **next)
{
	int32_t		part_end = p - p % PART_TOKENS + PART_TOKENS;

	*n = (part_end < end ? part_end : end) - p;
	*next = p + BN_PAGE_TOKENS < end ?
		bn_kv_row(e->kv, seq, e->layer, is_value, kv_head, p + BN_PAGE_TOKENS) : NULL;
	return bn_kv_row(e->kv, seq, e->layer, is_value, kv_head, p);
}

/* The tokens [begin, end) of a block and one KV head, with room for what is computed of them. */
typedef struct head_block
{
	int			begin;
	int			end;
	int			kv_head;
	float	   *scores;			/* [(end - begin) * group, score_stride] */
} head_block;

/* Items of the step are (block, KV head); the last blocks, whose tokens see most, come first. */
static head_block
find_item(const bn_engine *e, int item, float *scores)
{
	int			n_kv_heads = e->model->config->n_kv_heads;
	int			block = e->n_blocks - 1 - item / n_kv_heads;

	return (head_block) {e->block_begin[block], e->block_begin[block + 1], item % n_kv_heads, scores};
}

static inline int
group_size(const bn_engine *e)
{
	return e->model->config->n_heads / e->model->config->n_kv_heads;
}

/* Positions that the last token of a block sees. */
static inline int32_t
block_positions(const bn_engine *e, const head_block *b)
{
	return e->entries[b->end - 1].position + 1;
}

/* A thread's room for a block's queries, or for what comes out. */
static float *
thread_rows(const bn_engine *e, float *rows, int thread)
{
	size_t		block_floats = (size_t) e->max_block * (size_t) (group_size(e) * e->model->config->head_dim);

	return rows + (size_t) thread * block_floats;
}

/* Counts multiply-adds, and asks now and then.  What a stopped step leaves is not used. */
static inline bool
stopping_after(bn_engine *e, int thread, int64_t *work, int64_t more)
{
	*work += more;
	if (*work < BN_STOP_CHECK_WORK)
		return false;
	*work = 0;
	return bn_engine_stopping(e, thread);
}

/* Queries [(end - begin) * group, head_dim] times the keys of the positions [from, to) */
static void
compute_scores(bn_engine *e, const head_block *b, int32_t from, int32_t to, int thread)
{
	const bn_config *c = e->model->config;
	const bn_sequence *seq = e->entries[b->begin].sequence;
	int			width = group_size(e) * c->head_dim;
	int			n_queries = (b->end - b->begin) * group_size(e);
	float	   *q = thread_rows(e, e->block_q, thread);
	int64_t		work = 0;
	int32_t		p;
	int			n;
	int			t;

	for (t = b->begin; t < b->end; t++)
		memcpy(bn_row(q, t - b->begin, width),
			   bn_row(e->q, t, c->n_heads * c->head_dim) + b->kv_head * width,
			   (size_t) width * sizeof(float));
	/* what a token sees of the tokens after it in the block is not used */
	for (p = from; p < to; p += n)
	{
		const uint16_t *next;
		const uint16_t *keys = next_rows(e, seq, b->kv_head, 0, p, to, &n, &next);

		e->kernels->attn_scores(b->scores + p, e->score_stride, q, (size_t) c->head_dim,
								n_queries, keys, next, (size_t) c->head_dim, n, c->head_dim);
		if (stopping_after(e, thread, &work, (int64_t) n * n_queries * c->head_dim))
			return;
	}
}

/* Scores of the queries [from, to) of the block to weights. */
static void
compute_weights(bn_engine *e, const head_block *b, int from, int to, int thread)
{
	float		scale = 1.0f / sqrtf((float) e->model->config->head_dim);
	int32_t		first = e->entries[b->begin].position;
	int			i;

	for (i = from; i < to && !bn_engine_stopping(e, thread); i++)
		e->kernels->softmax(b->scores + (size_t) i * e->score_stride,
							first + i / group_size(e) + 1, scale);
}

/* out[n_queries, head_dim] += weighted values of the positions [begin, end), columns [from, to) */
static void
add_values(bn_engine *e, const head_block *b, float *out, const float *weights, int n_queries,
		   int32_t begin, int32_t end, int from, int to, int thread)
{
	const bn_sequence *seq = e->entries[b->begin].sequence;
	int			head_dim = e->model->config->head_dim;
	int64_t		work = 0;
	int32_t		p;
	int			n;

	for (p = begin; p < end; p += n)
	{
		const uint16_t *next;
		const uint16_t *values = next_rows(e, seq, b->kv_head, 1, p, end, &n, &next);

		e->kernels->attn_values(out + from, (size_t) head_dim, weights + p, e->score_stride,
								n_queries, values + from, next == NULL ? NULL : next + from,
								(size_t) head_dim, n, to - from);
		if (stopping_after(e, thread, &work, (int64_t) n * n_queries * (to - from)))
			return;
	}
}

/* The weighted values of a block, columns [from, to) */
static void
compute_values(bn_engine *e, const head_block *b, int from, int to, int thread)
{
	const bn_config *c = e->model->config;
	int			group = group_size(e);
	int			width = group * c->head_dim;
	int			n_tokens = b->end - b->begin;
	int32_t		first = e->entries[b->begin].position;
	float	   *out = thread_rows(e, e->block_out, thread);
	int			i;

	for (i = 0; i < n_tokens * group; i++)
		memset(bn_row(out, i, c->head_dim) + from, 0, (size_t) (to - from) * sizeof(float));
	/* the values that all tokens see, then those that only the later ones do */
	add_values(e, b, out, b->scores, n_tokens * group, 0, first + 1, from, to, thread);
	for (i = 1; i < n_tokens; i++)
		add_values(e, b, bn_row(out, i, width), b->scores + (size_t) (i * group) * e->score_stride,
				   group, first + 1, first + i + 1, from, to, thread);
	for (i = 0; i < n_tokens * group; i++)
		memcpy(bn_row(e->attention, b->begin + i / group, c->n_heads * c->head_dim) +
			   b->kv_head * width + i % group * c->head_dim + from,
			   bn_row(out, i, c->head_dim) + from, (size_t) (to - from) * sizeof(float));
}

static void
attend_to(bn_engine *e, int item, int thread)
{
	float	   *scores = e->scores + (size_t) thread * (size_t) (e->max_block * group_size(e)) * e->score_stride;
	head_block	b = find_item(e, item, scores);

	compute_scores(e, &b, 0, block_positions(e, &b), thread);
	compute_weights(e, &b, 0, (b.end - b.begin) * group_size(e), thread);
	compute_values(e, &b, 0, e->model->config->head_dim, thread);
}

/* Whole items, where there are enough of them. */
static void
attend(void *arg, int begin, int end, int thread)
{
	bn_engine  *e = arg;
	int			item;

	for (item = begin; item < end && !bn_engine_stopping(e, thread); item++)
		attend_to(e, item, thread);
}

/* An item whose scores all threads see. */
static head_block
find_shared(const bn_engine *e, int item)
{
	head_block	b = find_item(e, item, NULL);

	b.scores = e->split_scores +
		(size_t) ((b.begin * e->model->config->n_kv_heads + b.kv_head * (b.end - b.begin)) * group_size(e)) *
		e->score_stride;
	return b;
}

/*
 * With few tokens there are few items, which do not divide evenly among the
 * threads.  Those that are left over when each thread has had as many are
 * computed in two halves: the scores before all else, the values after it, when
 * whoever had the scores has long been done with them.
 */
typedef struct halves_job
{
	bn_engine  *engine;
	int			n_whole;
	int			n_left;
	atomic_int	n_scored;		/* of those left over */
} halves_job;

static void
attend_halves(void *arg, int begin, int end, int thread)
{
	halves_job *job = arg;
	bn_engine  *e = job->engine;
	int			piece;

	for (piece = begin; piece < end && !bn_engine_stopping(e, thread); piece++)
	{
		int			whole = piece - job->n_left;
		head_block	b;

		if (whole >= 0 && whole < job->n_whole)
		{
			attend_to(e, whole, thread);
			continue;
		}
		b = find_shared(e, whole < 0 ? job->n_whole + piece : whole);
		if (whole < 0)
		{
			compute_scores(e, &b, 0, block_positions(e, &b), thread);
			compute_weights(e, &b, 0, (b.end - b.begin) * group_size(e), thread);
			atomic_fetch_add_explicit(&job->n_scored, 1, memory_order_release);
			continue;
		}
		while (atomic_load_explicit(&job->n_scored, memory_order_acquire) < job->n_left)
		{
			if (bn_engine_stopping(e, thread))
				return;
			sched_yield();
		}
		compute_values(e, &b, 0, e->model->config->head_dim, thread);
	}
}

/*
 * Where there are fewer items than threads, each part of the work is divided for
 * itself: scores by positions, values by columns.  That is not for all items,
 * since scores then go from the cache of one core to that of another, and since
 * half a row takes memory as long as a whole one.
 */
typedef struct split_job
{
	bn_engine  *engine;
	int			n_parts;		/* of an item */
	int32_t		part;			/* positions, or columns */
} split_job;

static void
split_scores(void *arg, int begin, int end, int thread)
{
	const split_job *job = arg;
	bn_engine  *e = job->engine;
	int			piece;

	for (piece = begin; piece < end && !bn_engine_stopping(e, thread); piece++)
	{
		head_block	b = find_shared(e, piece / job->n_parts);
		int32_t		from = piece % job->n_parts * job->part;
		int32_t		to = block_positions(e, &b);

		if (from < to)
			compute_scores(e, &b, from, to - from > job->part ? from + job->part : to, thread);
	}
}

static void
split_weights(void *arg, int begin, int end, int thread)
{
	const split_job *job = arg;
	bn_engine  *e = job->engine;
	int			piece;

	for (piece = begin; piece < end && !bn_engine_stopping(e, thread); piece++)
	{
		head_block	b = find_shared(e, piece / job->n_parts);
		int			query = piece % job->n_parts;

		if (query < (b.end - b.begin) * group_size(e))
			compute_weights(e, &b, query, query + 1, thread);
	}
}

static void
split_values(void *arg, int begin, int end, int thread)
{
	const split_job *job = arg;
	bn_engine  *e = job->engine;
	int			head_dim = e->model->config->head_dim;
	int			piece;

	for (piece = begin; piece < end && !bn_engine_stopping(e, thread); piece++)
	{
		head_block	b = find_shared(e, piece / job->n_parts);
		int			from = piece % job->n_parts * job->part;

		compute_values(e, &b, from, from + job->part < head_dim ? from + job->part : head_dim, thread);
	}
}

static void
attend_split(bn_engine *e, int n_items, int64_t item_work)
{
	const bn_config *c = e->model->config;
	int32_t		n_positions = 1;
	int			t;
	split_job	job = {.engine = e};

	for (t = 0; t < e->n_entries; t++)
		if (e->entries[t].position + 1 > n_positions)
			n_positions = e->entries[t].position + 1;

	job.part = SPLIT_POSITIONS;
	job.n_parts = (n_positions + SPLIT_POSITIONS - 1) / SPLIT_POSITIONS;
	bn_engine_run(e, BN_PART_ATTENTION, split_scores, &job, n_items * job.n_parts, 1,
				  item_work / 2 / job.n_parts);
	job.n_parts = BN_SPLIT_TOKENS * group_size(e);
	bn_engine_run(e, BN_PART_ATTENTION, split_weights, &job, n_items * job.n_parts, 1,
				  8 * n_positions);
	job.part = SPLIT_COLUMNS;
	job.n_parts = (c->head_dim + SPLIT_COLUMNS - 1) / SPLIT_COLUMNS;
	bn_engine_run(e, BN_PART_ATTENTION, split_values, &job, n_items * job.n_parts, 1,
				  item_work / 2 / job.n_parts);
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
	if (e->n_entries > BN_SPLIT_TOKENS || e->n_threads == 1 || work / n_items < BN_PIECE_WORK)
		bn_engine_run(e, BN_PART_ATTENTION, attend, e, n_items, 1, work / n_items);
	else if (n_items < e->n_threads)
		attend_split(e, n_items, work / n_items);
	else
	{
		halves_job	job = {.engine = e, .n_left = n_items % e->n_threads};

		job.n_whole = n_items - job.n_left;
		bn_engine_run(e, BN_PART_ATTENTION, attend_halves, &job, n_items + job.n_left, 1,
					  work / n_items / 2);
	}
}
