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
 * threads, over tokens, over (token, KV head) pairs, or over groups of output
 * rows.  A job's result for one token does not depend on the other tokens.
 *
 * src/core/step.c
 *
 *-------------------------------------------------------------------------
 */
#include "step.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "fmath.h"

#define MAX_JOB_MATRICES 3
#define GEMM_GRAIN 4			/* row groups that one thread takes at least */
#define HEAD_GRAIN 64			/* rows of the head, likewise */

/* Multiply-adds between two looks at should_stop: 50 ms of the slowest kernel. */
#define STOP_CHECK_WORK (16 * 1024 * 1024)

struct bn_engine
{
	const bn_model *model;
	bn_kv	   *kv;
	const bn_kernels *kernels;
	bn_pool    *pool;
	int			max_entries;
	int32_t		max_positions;
	size_t		score_stride;	/* floats per query head */
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
	float	   *scores;			/* [n_threads, n_heads / n_kv_heads, score_stride] */
	float	   *scratch;		/* [n_threads, scratch_stride] */

	/* the step under way */
	const bn_step_entry *entries;
	int			n_entries;
	const bn_hooks *hooks;
	atomic_bool stop;
	int			layer;
};

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

/* One normalisation in front of a matrix: x [n, dim] -> quantized. */
typedef struct norm_job
{
	bn_engine  *engine;
	const float *x;
	const bn_tensor *weight;
	const float *residual;		/* [n, dim], added to x first, or NULL */
} norm_job;

typedef struct head_job
{
	bn_engine  *engine;
	const float *x;				/* [n_rows, d_model] */
	float	   *logits;			/* [n_rows, vocab_size] */
	int			n_rows;
} head_job;

static inline size_t
align_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

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
lay_out(bn_engine *e, char *memory, const bn_config *c, int n_threads)
{
	size_t		n = (size_t) e->max_entries;
	size_t		d_q = (size_t) c->n_heads * (size_t) c->head_dim;
	size_t		d_kv = (size_t) c->n_kv_heads * (size_t) c->head_dim;
	size_t		widest = max_size(max_size((size_t) c->d_model, d_q), (size_t) c->d_ffn);
	size_t		used = align_up(sizeof(bn_engine), 64);

	e->score_stride = align_up((size_t) e->max_positions, 16);
	e->scratch_stride = align_up(widest, 16);
	e->quant_stride = bn_quant_stride(widest);

#define TAKE(field, count) \
	do { \
		if (memory) \
			e->field = (void *) (memory + used); \
		used += align_up((count) * sizeof(*e->field), 64); \
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
	TAKE(scores, (size_t) n_threads * (size_t) (c->n_heads / c->n_kv_heads) * e->score_stride);
	TAKE(scratch, (size_t) n_threads * e->scratch_stride);
#undef TAKE
	return used;
}

size_t
bn_engine_size(const bn_config *config, int max_entries, int n_threads, int32_t max_positions)
{
	bn_engine	e = {.max_entries = max_entries, .max_positions = max_positions};

	return lay_out(&e, NULL, config, n_threads);
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
	e->max_entries = max_entries;
	e->max_positions = max_positions;
	lay_out(e, memory, c, bn_pool_threads(pool));

	/* theta^(-2 i / head_dim) */
	for (i = 0; i < c->head_dim / 2; i++)
		e->frequency[i] = bn_exp(-2.0 * i / c->head_dim * bn_log(c->rope_theta));
	return e;
}

/* To be asked by every job now and then; only thread 0 looks at the hooks. */
static bool
stopping(bn_engine *e, int thread)
{
	if (thread == 0 && bn_should_stop(e->hooks))
		atomic_store_explicit(&e->stop, true, memory_order_relaxed);
	return atomic_load_explicit(&e->stop, memory_order_relaxed);
}

static float *
row_of(float *base, int row, int width)
{
	return base + (size_t) row * (size_t) width;
}

/* Embedding rows and the angles of the positions. */
static void
embed_tokens(void *arg, int begin, int end, int thread)
{
	bn_engine  *e = arg;
	const bn_config *c = e->model->config;
	int			half = c->head_dim / 2;
	int			t;

	for (t = begin; t < end && !stopping(e, thread); t++)
	{
		const bn_step_entry *entry = &e->entries[t];
		int			i;

		bn_dequantize_row(row_of(e->x, t, c->d_model), e->model->image,
						  &e->model->header->token_embd, entry->token);
		for (i = 0; i < half; i++)
		{
			double		sine;
			double		cosine;

			bn_sincos(entry->position * e->frequency[i], &sine, &cosine);
			row_of(e->sine, t, half)[i] = (float) sine;
			row_of(e->cosine, t, half)[i] = (float) cosine;
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

	for (t = begin; t < end && !stopping(e, thread); t++)
	{
		const float *x = job->x + (size_t) t * (size_t) dim;

		if (job->residual)
			kernels->add(row_of(e->x, t, dim), job->residual + (size_t) t * (size_t) dim, dim);
		kernels->rms_norm(normed, x, bn_tensor_data(e->model, job->weight), dim,
						  e->model->config->rms_eps);
		kernels->quantize(e->quantized + (size_t) t * bn_quant_stride((size_t) dim),
						  &e->quant[t], normed, dim);
	}
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
		int			n_groups = (int) bn_ternary_groups((size_t) w->rows);
		int			from = begin > first ? begin - first : 0;
		int			to = end - first < n_groups ? end - first : n_groups;
		int64_t		group_work = (int64_t) BN_TILE_ROWS * w->cols * e->n_entries;
		int			most = (int) (STOP_CHECK_WORK / group_work);

		if (most < GEMM_GRAIN)
			most = GEMM_GRAIN;
		for (; from < to && !stopping(e, thread); from += most)
			e->kernels->ternary_gemm(job->m[i].y, (size_t) w->rows,
									 bn_tensor_data(e->model, w), w->rows, w->cols, w->scale,
									 from, to - from > most ? from + most : to,
									 e->quantized, e->quant, e->n_entries);
		first += n_groups;
	}
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

	for (t = begin; t < end && !stopping(e, thread); t++)
	{
		const bn_step_entry *entry = &e->entries[t];
		const float *cosine = row_of(e->cosine, t, half);
		const float *sine = row_of(e->sine, t, half);
		float	   *k = row_of(e->k, t, c->n_kv_heads * c->head_dim);
		float	   *v = row_of(e->v, t, c->n_kv_heads * c->head_dim);
		int			h;

		kernels->rope_neox(row_of(e->q, t, c->n_heads * c->head_dim), cosine, sine,
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

/* Items are (token, KV head): the query heads of a group share their keys. */
static void
attend(void *arg, int begin, int end, int thread)
{
	bn_engine  *e = arg;
	const bn_config *c = e->model->config;
	const bn_kernels *kernels = e->kernels;
	int			n_q = c->n_heads / c->n_kv_heads;
	size_t		hd = (size_t) c->head_dim;
	float	   *scores = e->scores + (size_t) thread * (size_t) n_q * e->score_stride;
	float		scale = 1.0f / sqrtf((float) c->head_dim);
	int			item;

	for (item = begin; item < end && !stopping(e, thread); item++)
	{
		int			t = item / c->n_kv_heads;
		int			head = item % c->n_kv_heads;
		const bn_sequence *seq = e->entries[t].sequence;
		int32_t		n_positions = e->entries[t].position + 1;
		size_t		offset = (size_t) t * (size_t) c->n_heads * hd + (size_t) (head * n_q) * hd;
		float	   *out = e->attention + offset;
		int32_t		p;
		int			h;

		for (p = 0; p < n_positions; p += BN_PAGE_TOKENS)
			kernels->attn_scores(scores + p, e->score_stride, e->q + offset, hd, n_q,
								 bn_kv_row(e->kv, seq, e->layer, 0, head, p), hd,
								 n_positions - p < BN_PAGE_TOKENS ? n_positions - p : BN_PAGE_TOKENS,
								 c->head_dim);
		for (h = 0; h < n_q; h++)
			kernels->softmax(scores + (size_t) h * e->score_stride, n_positions, scale);
		memset(out, 0, (size_t) n_q * hd * sizeof(float));
		for (p = 0; p < n_positions; p += BN_PAGE_TOKENS)
			kernels->attn_values(out, hd, scores + p, e->score_stride, n_q,
								 bn_kv_row(e->kv, seq, e->layer, 1, head, p), hd,
								 n_positions - p < BN_PAGE_TOKENS ? n_positions - p : BN_PAGE_TOKENS,
								 c->head_dim);
	}
}

static void
activate(void *arg, int begin, int end, int thread)
{
	bn_engine  *e = arg;
	int			d_ffn = e->model->config->d_ffn;
	int			t;

	for (t = begin; t < end && !stopping(e, thread); t++)
		e->kernels->relu2_gate(row_of(e->gate, t, d_ffn), row_of(e->gate, t, d_ffn),
							   row_of(e->up, t, d_ffn), d_ffn);
}

/* Items are rows of the output matrix. */
static void
multiply_head(void *arg, int begin, int end, int thread)
{
	head_job   *job = arg;
	bn_engine  *e = job->engine;
	const bn_tensor *w = &e->model->header->output;
	size_t		vocab = (size_t) w->rows;
	size_t		d = (size_t) w->cols;
	const void *data = bn_tensor_data(e->model, w);
	int			most = (int) (STOP_CHECK_WORK / ((int64_t) w->cols * job->n_rows));

	if (most < HEAD_GRAIN)
		most = HEAD_GRAIN;
	for (; begin < end && !stopping(e, thread); begin += most)
	{
		int			to = end - begin > most ? begin + most : end;

		if (w->type == BN_TENSOR_F16)
			e->kernels->matmul_f16(job->logits, vocab, data, w->cols, begin, to,
								   job->x, d, job->n_rows);
		else if (w->type == BN_TENSOR_F32)
			e->kernels->matmul_f32(job->logits, vocab, data, w->cols, begin, to,
								   job->x, d, job->n_rows);
		else
		{
			float	   *row = e->scratch + (size_t) thread * e->scratch_stride;
			int			r;

			for (r = begin; r < to; r++)
			{
				bn_dequantize_row(row, e->model->image, w, r);
				e->kernels->matmul_f32(job->logits + r, vocab, row, w->cols, 0, 1,
									   job->x, d, job->n_rows);
			}
		}
	}
}

/* The normalised, quantised input of the next matrices. */
static void
run_norm(bn_engine *e, const float *x, const bn_tensor *weight, const float *residual)
{
	norm_job	job = {e, x, weight, residual};

	bn_pool_run(e->pool, norm_and_quantize, &job, e->n_entries, 1);
}

static void
run_gemm(bn_engine *e, gemm_job *job)
{
	int			n_groups = 0;
	int			i;

	job->engine = e;
	for (i = 0; i < job->n_matrices; i++)
		n_groups += (int) bn_ternary_groups((size_t) job->m[i].w->rows);
	bn_pool_run(e->pool, multiply, job, n_groups, GEMM_GRAIN);
}

static void
run_layer(bn_engine *e, int layer)
{
	const bn_model *m = e->model;
	int			n = e->n_entries;
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
	run_norm(e, e->x, bn_layer_tensor(m, layer, BN_ATTN_NORM), layer > 0 ? e->branch : NULL);
	run_gemm(e, &qkv);
	bn_pool_run(e->pool, rotate_and_store, e, n, 1);
	bn_pool_run(e->pool, attend, e, n * m->config->n_kv_heads, 1);
	run_norm(e, e->attention, bn_layer_tensor(m, layer, BN_ATTN_SUB_NORM), NULL);
	run_gemm(e, &output);

	run_norm(e, e->x, bn_layer_tensor(m, layer, BN_FFN_NORM), e->branch);
	run_gemm(e, &gate_up);
	bn_pool_run(e->pool, activate, e, n, 1);
	run_norm(e, e->gate, bn_layer_tensor(m, layer, BN_FFN_SUB_NORM), NULL);
	run_gemm(e, &down);
}

static bool
all_finite(const float *x, size_t n)
{
	uint32_t	found = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		uint32_t	bits;

		memcpy(&bits, &x[i], sizeof(bits));
		found |= (bits & 0x7f800000) == 0x7f800000;
	}
	return found == 0;
}

/* The last norm, and the head for the entries that want logits. */
static bn_status
run_outputs(bn_engine *e, bn_error *err)
{
	const bn_config *c = e->model->config;
	const void *norm_weight = bn_tensor_data(e->model, &e->model->header->output_norm);
	head_job	head = {.engine = e, .x = e->branch};
	int			t;

	for (t = 0; t < e->n_entries; t++)
	{
		const bn_step_entry *entry = &e->entries[t];
		float	   *x = row_of(e->x, t, c->d_model);

		if (!entry->logits && !entry->hidden)
			continue;
		e->kernels->add(x, row_of(e->branch, t, c->d_model), c->d_model);
		e->kernels->rms_norm(x, x, norm_weight, c->d_model, c->rms_eps);
		if (!all_finite(x, (size_t) c->d_model))
			return bn_fail(err, BN_ERR_NUMERIC, BN_NO_OFFSET,
						   "the hidden state at position %d is not finite", (int) entry->position);
		if (entry->hidden)
			memcpy(entry->hidden, x, (size_t) c->d_model * sizeof(float));
		if (entry->logits)
		{
			/* row n_rows of branch is free: it was added at entry n_rows <= t */
			memcpy(row_of(e->branch, head.n_rows, c->d_model), x,
				   (size_t) c->d_model * sizeof(float));
			if (head.n_rows == 0)
				head.logits = entry->logits;
			head.n_rows++;
		}
	}
	if (head.n_rows == 0)
		return BN_OK;
	bn_pool_run(e->pool, multiply_head, &head, c->vocab_size, HEAD_GRAIN);
	if (!stopping(e, 0) &&
		!all_finite(head.logits, (size_t) head.n_rows * (size_t) c->vocab_size))
		return bn_fail(err, BN_ERR_NUMERIC, BN_NO_OFFSET, "a logit is not finite");
	return BN_OK;
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
			next_logits = entry->logits + e->model->config->vocab_size;
		}
	}
	return BN_OK;
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

	bn_pool_begin(e->pool);
	bn_pool_run(e->pool, embed_tokens, e, n_entries, 1);
	for (layer = 0; layer < e->model->config->n_layers && !stopping(e, 0); layer++)
		run_layer(e, layer);
	status = stopping(e, 0) ? BN_OK : run_outputs(e, err);
	bn_pool_end(e->pool);

	if (status == BN_OK && atomic_load(&e->stop))
		status = bn_fail(err, BN_ERR_CANCELED, BN_NO_OFFSET, "the step was canceled");
	if (status != BN_OK)
		return status;
	for (t = 0; t < n_entries; t++)
		entries[t].sequence->n_tokens = entries[t].position + 1;
	return BN_OK;
}
