/*-------------------------------------------------------------------------
 *
 * step.c
 *	  One pass over the weights for any tokens of any sequences.
 *
 * The forward pass of a layer, x [n, d_model] being the residual stream:
 *
 *	a = quantize(norm(x)); q, k, v = Wq a, Wk a, Wv a; rope(q), rope(k)
 *	store k, v in the cache; o = attention(q, cache)
 *	x += Wo quantize(sub_norm(o))
 *	f = quantize(norm(x)); h = relu(Wgate f)^2 * Wup f
 *	x += Wdown quantize(sub_norm(h))
 *
 * and after the last layer logits = E norm(x) (arXiv 2402.17764, 2504.12285).
 * Each line is one or two "jobs": a loop that the pool shares out among its
 * threads, over tokens, over blocks of tokens for each KV head, or over groups
 * of output rows.  A job's result for one token does not depend on the other tokens.
 *
 * src/core/step.c
 *
 *-------------------------------------------------------------------------
 */
#include "engine.h"

#include <math.h>
#include <string.h>

#include "bytes.h"
#include "fmath.h"

#define MAX_JOB_MATRICES 3
#define GEMM_GRAIN 4			/* row groups that one thread takes at least */

/*
 * Multiply-adds that a thread takes at least where each has some pieces: reading
 * weights begins slowly each time.
 */
#define GEMM_PIECE_WORK (640 * 1024)
#define GEMM_PIECES 4			/* of each thread, at least */

/* Multiply-adds of a step for which starting another thread pays. */
#define THREAD_WORK (4 * 1024 * 1024)

/* If more than a part of the head's rows survives the screen, all are computed. */
#define SURVIVOR_SHARE 8

/* Queries that share a key, and floats for their scores, per thread */
#define BLOCK_QUERIES 64
#define BLOCK_SCORES (1024 * 1024)

/* Matrices that are applied to the same activations. */
typedef struct gemm_job
{
	bn_engine  *engine;
	int			n_matrices;
	struct
	{
		const bn_tensor *w;
		float	   *y;			/* [n_entries, w->rows] */
	}			m[MAX_JOB_MATRICES];
} gemm_job;

/* One normalisation in front of a matrix: x [n, dim] -> quantized; changes x. */
typedef struct norm_job
{
	bn_engine  *engine;
	float	   *x;
	const bn_tensor *weight;
	const float *residual;		/* [n, dim], added to x first, or NULL */
	const float *up;			/* [n, dim]: x is relu(x)^2 * up first, or NULL */
} norm_job;

static inline size_t
max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

/*
 * Gives the engine its arrays in the memory after it, or, with memory NULL,
 * only adds up their sizes.  Returns the whole size.
 */
static size_t
lay_out(bn_engine *e, char *memory, const bn_config *c)
{
	size_t		n = (size_t) e->max_entries;
	size_t		d_q = (size_t) c->n_heads * (size_t) c->head_dim;
	size_t		d_kv = (size_t) c->n_kv_heads * (size_t) c->head_dim;
	size_t		widest = max_size(max_size((size_t) c->d_model, d_q), (size_t) c->d_ffn);
	size_t		group = (size_t) (c->n_heads / c->n_kv_heads);
	size_t		used = bn_align_up(sizeof(bn_engine), 64);
	size_t		block_queries;

	e->score_stride = bn_align_up((size_t) e->max_positions, 16);
	e->scratch_stride = bn_align_up(widest, 16);
	e->quant_stride = bn_quant_stride(widest);
	e->max_block = (int) (max_size(1, BLOCK_QUERIES / group));
	if ((size_t) e->max_block * group * e->score_stride > BLOCK_SCORES)
		e->max_block = (int) max_size(1, BLOCK_SCORES / (group * e->score_stride));
	e->n_output_blocks = (c->vocab_size + BN_OUTPUT_BLOCK - 1) / BN_OUTPUT_BLOCK;
	e->max_survivors = c->vocab_size / SURVIVOR_SHARE + 1;
	block_queries = (size_t) e->max_block * group;

#define TAKE(field, count) \
	do { \
		if (memory) \
			e->field = (void *) (memory + used); \
		used += bn_align_up((count) * sizeof(*e->field), 64); \
	} while (0)

	TAKE(frequency, (size_t) c->head_dim / 2);
	TAKE(cosine, n * (size_t) c->head_dim / 2);
	TAKE(sine, n * (size_t) c->head_dim / 2);
	TAKE(x, n * (size_t) c->d_model);
	TAKE(branch, n * (size_t) c->d_model);
	TAKE(q, n * d_q);
	TAKE(k, n * d_kv);
	TAKE(v, n * d_kv);
	TAKE(attention, n * d_q);
	TAKE(gate, n * (size_t) c->d_ffn);
	TAKE(up, n * (size_t) c->d_ffn);
	TAKE(quantized, n * e->quant_stride);
	TAKE(quant, n);
	TAKE(scores, (size_t) e->n_threads * block_queries * e->score_stride);
	TAKE(split_scores, BN_SPLIT_TOKENS * (size_t) c->n_heads * e->score_stride);
	TAKE(block_q, (size_t) e->n_threads * block_queries * (size_t) c->head_dim);
	TAKE(block_out, (size_t) e->n_threads * block_queries * (size_t) c->head_dim);
	TAKE(block_begin, n + 1);
	TAKE(scratch, (size_t) e->n_threads * e->scratch_stride);
	TAKE(head_entry, n);
	TAKE(head_fixed, n * 2 * bn_quant_stride((size_t) c->d_model));
	TAKE(head_scale, n);
	TAKE(screened, n);
	TAKE(block_bound, n * (size_t) e->n_output_blocks);
	TAKE(survivors, (size_t) e->n_threads * (size_t) e->max_survivors);
#undef TAKE
	return used;
}

size_t
bn_engine_size(const bn_config *config, int max_entries, int n_threads, int32_t max_positions)
{
	bn_engine	e = {.n_threads = n_threads, .max_entries = max_entries, .max_positions = max_positions};

	return lay_out(&e, NULL, config);
}

/* bn_pool_poll: thread 0 waits, and others look at what it finds. */
static void
look_at_hooks(void *engine)
{
	(void) bn_engine_stopping(engine, 0);
}

bn_engine *
bn_engine_init(void *memory, const bn_model *model, bn_kv *kv, const bn_kernels *kernels,
			   bn_pool *pool, int max_entries, int32_t max_positions)
{
	bn_engine  *e = memory;
	const bn_config *c = model->config;
	int			i;

	memset(e, 0, sizeof(*e));
	e->model = model;
	e->kv = kv;
	e->kernels = kernels;
	e->pool = pool;
	bn_pool_poll(pool, look_at_hooks, e);
	e->n_threads = bn_pool_threads(pool);
	e->max_entries = max_entries;
	e->max_positions = max_positions;
	lay_out(e, memory, c);

	/* theta^(-2 i / head_dim) */
	for (i = 0; i < c->head_dim / 2; i++)
		e->frequency[i] = bn_exp(-2.0 * i / c->head_dim * bn_log(c->rope_theta));
	return e;
}

void
bn_engine_use(bn_engine *e, const bn_kernels *kernels, int n_threads)
{
	int			most = bn_pool_threads(e->pool);

	e->kernels = kernels;
	e->n_threads = n_threads < 1 ? 1 : n_threads < most ? n_threads : most;
}

void
bn_engine_set_profile(bn_engine *e, bn_profile *profile)
{
	e->profile = profile;
}

void
bn_engine_run(bn_engine *e, bn_part part, bn_pool_fn fn, void *arg,
			  int n_items, int grain, int64_t item_work)
{
	int64_t		least = BN_PIECE_WORK / (item_work > 0 ? item_work : 1);
	double		start = e->profile ? e->profile->now() : 0;

	if (least > n_items)
		least = n_items;
	if (least > grain)
		grain = (int) (least + grain - 1) / grain * grain;
	bn_pool_run(e->pool, fn, arg, n_items, grain);
	if (e->profile)
		e->profile->seconds[part] += e->profile->now() - start;
}

/* Embedding rows and the angles of the positions. */
static void
embed_tokens(void *arg, int begin, int end, int thread)
{
	bn_engine  *e = arg;
	const bn_config *c = e->model->config;
	int			half = c->head_dim / 2;
	int			t;

	for (t = begin; t < end && !bn_engine_stopping(e, thread); t++)
	{
		const bn_step_entry *entry = &e->entries[t];
		int			i;

		bn_dequantize_row(bn_row(e->x, t, c->d_model), e->model->image,
						  &e->model->header->token_embd, entry->token);
		for (i = 0; i < half; i++)
		{
			double		sine;
			double		cosine;

			bn_sincos(entry->position * e->frequency[i], &sine, &cosine);
			bn_row(e->sine, t, half)[i] = (float) sine;
			bn_row(e->cosine, t, half)[i] = (float) cosine;
		}
	}
}

static void
norm_and_quantize(void *arg, int begin, int end, int thread)
{
	norm_job   *job = arg;
	bn_engine  *e = job->engine;
	const bn_kernels *kernels = e->kernels;
	int			dim = job->weight->cols;
	float	   *normed = e->scratch + (size_t) thread * e->scratch_stride;
	int			t;

	for (t = begin; t < end && !bn_engine_stopping(e, thread); t++)
	{
		size_t		at = (size_t) t * (size_t) dim;
		float	   *x = job->x + at;

		if (job->residual)
			kernels->add(x, job->residual + at, dim);
		if (job->up)
			kernels->relu2_gate(x, x, job->up + at, dim);
		if (!isfinite(kernels->rms_norm(normed, x, bn_tensor_data(e->model, job->weight), dim,
										e->model->config->rms_eps)))
			atomic_store_explicit(&e->overflow, true, memory_order_relaxed);
		kernels->quantize(e->quantized + (size_t) t * bn_quant_stride((size_t) dim),
						  &e->quant[t], normed, dim, BN_INT8_MAX);
	}
}

/* As many row groups at once as the work allows, but not so few that the kernel gets slow */
static int
limit_groups(const bn_engine *e, const bn_tensor *w, int64_t work)
{
	int			n = (int) (work / ((int64_t) BN_TILE_ROWS * w->cols * e->n_entries));
	int			least = GEMM_GRAIN;

	if (w->type == BN_TENSOR_TERNARY && e->kernels->gemm_tokens > 0 &&
		e->n_entries >= e->kernels->gemm_tokens)
		least = e->kernels->gemm_groups;
	return n > least ? n : least;
}

/* Items are the row groups of all matrices, one matrix after the other. */
static void
multiply(void *arg, int begin, int end, int thread)
{
	gemm_job   *job = arg;
	bn_engine  *e = job->engine;
	int			first = 0;
	int			i;

	for (i = 0; i < job->n_matrices; i++)
	{
		const bn_tensor *w = job->m[i].w;
		bn_ternary_gemm gemm = w->type == BN_TENSOR_TERNARY5 ? e->kernels->ternary5_gemm :
			e->kernels->ternary_gemm;
		int			n_groups = (int) bn_ternary_groups((size_t) w->rows);
		int			from = begin > first ? begin - first : 0;
		int			to = end - first < n_groups ? end - first : n_groups;
		int			most = limit_groups(e, w, BN_STOP_CHECK_WORK);

		for (; from < to && !bn_engine_stopping(e, thread); from += most)
			gemm(job->m[i].y, (size_t) w->rows,
				 bn_tensor_data(e->model, w), w->rows, w->cols, w->scale,
				 from, to - from > most ? from + most : to,
				 e->quantized, e->quant, e->n_entries);
		first += n_groups;
	}
}

/* The normalised, quantised input of the next matrices. */
static void
run_norm(bn_engine *e, float *x, const bn_tensor *weight, const float *residual, const float *up)
{
	norm_job	job = {e, x, weight, residual, up};

	bn_engine_run(e, BN_PART_NORM, norm_and_quantize, &job, e->n_entries, 1, 8 * weight->cols);
}

static void
run_gemm(bn_engine *e, gemm_job *job)
{
	int64_t		group_work = (int64_t) BN_TILE_ROWS * job->m[0].w->cols * e->n_entries;
	int			n_groups = 0;
	int			most;
	int			grain;
	int			i;

	job->engine = e;
	for (i = 0; i < job->n_matrices; i++)
		n_groups += (int) bn_ternary_groups((size_t) job->m[i].w->rows);
	most = limit_groups(e, job->m[0].w, GEMM_PIECE_WORK);
	grain = n_groups / (GEMM_PIECES * e->n_threads);
	if (grain > most)
		grain = most;
	if (grain < GEMM_GRAIN)
		grain = GEMM_GRAIN;
	bn_engine_run(e, BN_PART_TERNARY, multiply, job, n_groups, grain, group_work);
}

static void
run_layer(bn_engine *e, int layer)
{
	const bn_model *m = e->model;
	gemm_job	qkv = {.n_matrices = 3, .m = {
			{bn_layer_tensor(m, layer, BN_ATTN_Q), e->q},
			{bn_layer_tensor(m, layer, BN_ATTN_K), e->k},
			{bn_layer_tensor(m, layer, BN_ATTN_V), e->v}}};
	gemm_job	output = {.n_matrices = 1, .m = {
			{bn_layer_tensor(m, layer, BN_ATTN_OUTPUT), e->branch}}};
	gemm_job	gate_up = {.n_matrices = 2, .m = {
			{bn_layer_tensor(m, layer, BN_FFN_GATE), e->gate},
			{bn_layer_tensor(m, layer, BN_FFN_UP), e->up}}};
	gemm_job	down = {.n_matrices = 1, .m = {
			{bn_layer_tensor(m, layer, BN_FFN_DOWN), e->branch}}};

	e->layer = layer;
	run_norm(e, e->x, bn_layer_tensor(m, layer, BN_ATTN_NORM), layer > 0 ? e->branch : NULL,
			 NULL);
	run_gemm(e, &qkv);
	bn_attention_run(e);
	run_norm(e, e->attention, bn_layer_tensor(m, layer, BN_ATTN_SUB_NORM), NULL, NULL);
	run_gemm(e, &output);

	run_norm(e, e->x, bn_layer_tensor(m, layer, BN_FFN_NORM), e->branch, NULL);
	run_gemm(e, &gate_up);
	run_norm(e, e->gate, bn_layer_tensor(m, layer, BN_FFN_SUB_NORM), NULL, e->up);
	run_gemm(e, &down);
}

static bn_status
check_entries(const bn_engine *e, const bn_step_entry *entries, int n_entries, bn_error *err)
{
	const float *next_logits = NULL;
	int			t;

	if (n_entries < 1 || n_entries > e->max_entries)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
					   "a step of %d tokens, the limit being %d", n_entries, e->max_entries);
	for (t = 0; t < n_entries; t++)
	{
		const bn_step_entry *entry = &entries[t];
		bool		follows = t > 0 && entries[t - 1].sequence == entry->sequence;
		int32_t		expected = follows ? entries[t - 1].position + 1 : entry->sequence->n_tokens;

		if (entry->token < 0 || entry->token >= e->model->config->vocab_size)
			return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
						   "token %d is not in the vocabulary of %d tokens",
						   (int) entry->token, (int) e->model->config->vocab_size);
		if (entry->position != expected || entry->position >= e->max_positions ||
			entry->position / BN_PAGE_TOKENS >= entry->sequence->n_pages)
			return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
						   "position %d where %d is next", (int) entry->position, (int) expected);
		if (entry->logits)
		{
			if (next_logits && entry->logits != next_logits)
				return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
							   "the rows for logits do not follow each other");
			if (entry->n_best < 0 || entry->n_best > e->model->config->vocab_size)
				return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
							   "%d best of %d tokens", (int) entry->n_best,
							   (int) e->model->config->vocab_size);
			next_logits = entry->logits + e->model->config->vocab_size;
		}
	}
	return BN_OK;
}

/* Starting a thread takes some 20 us; in a small step that is not worth it. */
static int
useful_threads(const bn_engine *e)
{
	const bn_image_header *h = e->model->header;
	int64_t		work = e->n_entries * bn_ternary_weights(&h->config);
	int			t;

	for (t = 0; t < e->n_entries; t++)
	{
		if (e->entries[t].logits)
			work += (int64_t) h->output.rows * h->output.cols;
		work += 2 * (int64_t) h->config.n_layers * h->config.n_heads * h->config.head_dim *
			e->entries[t].position;
	}
	work = work / THREAD_WORK + 1;
	return work < e->n_threads ? (int) work : e->n_threads;
}

bn_status
bn_step(bn_engine *e, const bn_step_entry *entries, int n_entries,
		const bn_hooks *hooks, bn_error *err)
{
	bn_status	status;
	int			layer;
	int			t;

	BN_TRY(check_entries(e, entries, n_entries, err));
	e->entries = entries;
	e->n_entries = n_entries;
	e->hooks = hooks;
	atomic_init(&e->stop, false);
	atomic_init(&e->overflow, false);

	bn_attention_plan(e);

	bn_pool_begin(e->pool, useful_threads(e));
	bn_engine_run(e, BN_PART_EMBED, embed_tokens, e, n_entries, 1, 8 * e->model->config->d_model);
	for (layer = 0; layer < e->model->config->n_layers && !bn_engine_stopping(e, 0); layer++)
		run_layer(e, layer);
	status = bn_engine_stopping(e, 0) ? BN_OK : bn_head_run(e, err);
	bn_pool_end(e->pool);

	if (status == BN_OK && atomic_load(&e->stop))
		status = bn_fail(err, BN_ERR_CANCELED, BN_NO_OFFSET, "the step was canceled");
	if (status == BN_OK && atomic_load(&e->overflow))
		status = bn_fail(err, BN_ERR_NUMERIC, BN_NO_OFFSET, "a value inside the model is not finite");
	if (status != BN_OK)
		return status;
	for (t = 0; t < n_entries; t++)
		entries[t].sequence->n_tokens = entries[t].position + 1;
	return BN_OK;
}
