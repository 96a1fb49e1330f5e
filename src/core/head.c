/*-------------------------------------------------------------------------
 *
 * head.c
 *	  The last norm and the output matrix.
 *
 * Who wants only the n largest logits gets them without most of the output
 * matrix being read.  Let w be a row of it, w' = s w6 its copy of six bits in the
 * screen, x the vector, x' = t x16 its copy in fixed point.  Then
 *
 *	|w x - w' x'| <= ||w - w'|| ||x|| + ||w'|| ||x - x'||
 *
 * by Cauchy and Schwarz.  w' x' is a sum of integers, exact but for the last
 * roundings; the kernel's w x differs from the true one by at most n + 64
 * roundings of products whose sizes add up to ||w|| ||x|| or less.  That makes
 * a bound E on the difference of the two logits.  First n rows that look good
 * are computed exactly.  With T the least of their logits, rows with
 * w' x' + E < T are not among the n largest; all others are computed, too.
 *
 * The threads that multiply the screen also keep the largest w' x' + E of each
 * block of rows, so that whoever looks for the rows need not look at them all.
 *
 * src/core/head.c
 *
 *-------------------------------------------------------------------------
 */
#include "engine.h"

#include <math.h>
#include <string.h>

#define HEAD_GRAIN 64			/* rows that one thread takes at least */
#define SCREEN_GRAIN (8 * BN_OUTPUT_BLOCK / BN_TILE_ROWS)	/* groups of rows, likewise */
#define BEST_SHARE BN_OUTPUT_BLOCK	/* more than a row of each block: no screen */
#define BOUND_LANES 8			/* that a compiler can compute at once */
#define USUAL_SIZE 4.0			/* of a value: so many times the root of the mean square */

#define USUAL_SURVIVORS 128		/* rows that are computed exactly, about */

/* An input with up to this part of max_survivors multiplies its survivors by itself. */
#define FEW_SHARE 16

/* So many blocks' exact rows stay in the cache while each input needs some of them. */
#define SHARED_BLOCKS 16

/* Sizes for which no step of the bounds over- or underflows */
#define LEAST_X 1e-30f
#define LARGEST_LOGIT 1e30

typedef struct head_job
{
	bn_engine  *engine;
	int			first;			/* row of the head's input */
	int			n_rows;
} head_job;

/* Rows of the head's input are in branch, which is free after the last layer. */
static inline const float *
input_row(bn_engine *e, int row)
{
	return bn_row(e->branch, row, e->model->config->d_model);
}

static inline const bn_step_entry *
entry_of(const bn_engine *e, int row)
{
	return &e->entries[e->head_entry[row]];
}

/* A thread's list of rows that the screen did not exclude */
static inline int32_t *
survivors_of(const bn_engine *e, int thread)
{
	return e->survivors + (size_t) thread * (size_t) e->max_survivors;
}

/* Logits of the rows [begin, end) of the output matrix for n_x vectors. */
static void
multiply_rows(bn_engine *e, float *logits, int begin, int end, const float *x, int n_x, int thread)
{
	const bn_tensor *w = &e->model->header->output;
	size_t		vocab = (size_t) w->rows;
	size_t		d = (size_t) w->cols;
	const void *data = bn_tensor_data(e->model, w);
	float	   *row = e->scratch + (size_t) thread * e->scratch_stride;
	int			r;

	if (w->type == BN_TENSOR_F16)
		e->kernels->matmul_f16(logits, vocab, data, w->cols, begin, end, x, d, n_x);
	else if (w->type == BN_TENSOR_F32)
		e->kernels->matmul_f32(logits, vocab, data, w->cols, begin, end, x, d, n_x);
	else
		for (r = begin; r < end; r++)
		{
			bn_dequantize_row(row, e->model->image, w, r);
			e->kernels->matmul_f32(logits + r, vocab, row, w->cols, 0, 1, x, d, n_x);
		}
}

/* Items are rows of the output matrix. */
static void
multiply_head(void *arg, int begin, int end, int thread)
{
	head_job   *job = arg;
	bn_engine  *e = job->engine;
	int64_t		row_work = (int64_t) e->model->config->d_model * job->n_rows;
	int			most = (int) (BN_STOP_CHECK_WORK / row_work);

	if (most < HEAD_GRAIN)
		most = HEAD_GRAIN;
	for (; begin < end && !bn_engine_stopping(e, thread); begin += most)
		multiply_rows(e, entry_of(e, job->first)->logits, begin,
					  end - begin > most ? begin + most : end,
					  input_row(e, job->first), job->n_rows, thread);
}

/* What a row of the head's input may lose by the screen. */
typedef struct bounds
{
	const float *error;			/* of each row of the screen */
	const float *norm;
	float		error_factor;
	float		norm_factor;
} bounds;

/* Of the rows of the output matrix: the screen's scales, their errors, their norms */
static inline const float *
screen_rows(const bn_engine *e)
{
	return (const float *) ((const char *) e->model->image + e->model->header->screen_rows_offset);
}

static inline bounds
bounds_of(const bn_engine *e, int row)
{
	const bn_image_header *h = e->model->header;
	const float *rows = screen_rows(e);
	size_t		n = bn_screen_row_count(h);

	return (bounds) {rows + n, rows + 2 * n,
		e->screened[row].error_factor, e->screened[row].norm_factor};
}

/* The logit of row r of the output matrix is at most that of the screen and this. */
static inline float
most_above(const bounds *b, int32_t r)
{
	return b->error_factor * b->error[r] + b->norm_factor * b->norm[r] + 1e-37f;
}

/* The largest logit that there may be in a block of the output matrix. */
static float
bound_block(const bounds *b, const float *logits, int32_t begin, int32_t end)
{
	float		lanes[BOUND_LANES];
	float		largest = -INFINITY;
	int			i;

	for (i = 0; i < BOUND_LANES; i++)
		lanes[i] = -INFINITY;
	for (; end - begin >= BOUND_LANES; begin += BOUND_LANES)
		for (i = 0; i < BOUND_LANES; i++)
		{
			float		v = logits[begin + i] + most_above(b, begin + i);

			lanes[i] = lanes[i] > v ? lanes[i] : v;
		}
	for (i = 0; i < BOUND_LANES; i++)
		largest = largest > lanes[i] ? largest : lanes[i];
	for (; begin < end; begin++)
	{
		float		v = logits[begin] + most_above(b, begin);

		largest = largest > v ? largest : v;
	}
	return largest;
}

/* The same of all blocks among rows that have been multiplied. */
static void
bound_blocks(bn_engine *e, int row, int32_t begin, int32_t end)
{
	bounds		b = bounds_of(e, row);
	const float *logits = entry_of(e, row)->logits;
	float	   *bound = bn_row(e->block_bound, row, e->n_output_blocks);
	int32_t		vocab = e->model->config->vocab_size;

	if (end > vocab)
		end = vocab;
	for (; begin < end; begin += BN_OUTPUT_BLOCK)
		bound[begin / BN_OUTPUT_BLOCK] =
			bound_block(&b, logits, begin,
						end - begin < BN_OUTPUT_BLOCK ? end : begin + BN_OUTPUT_BLOCK);
}

/* Items are groups of rows of the screen, from the first of a block on. */
static void
multiply_screen(void *arg, int begin, int end, int thread)
{
	head_job   *job = arg;
	bn_engine  *e = job->engine;
	const bn_image_header *h = e->model->header;
	const bn_tensor *w = &h->screen;
	const float *row_scale = screen_rows(e);
	int64_t		group_work = (int64_t) BN_TILE_ROWS * w->cols * job->n_rows;
	int			most = (int) (BN_STOP_CHECK_WORK / group_work) / SCREEN_GRAIN * SCREEN_GRAIN;

	if (most < SCREEN_GRAIN)
		most = SCREEN_GRAIN;
	for (; begin < end && !bn_engine_stopping(e, thread); begin += most)
	{
		int			stop = end - begin > most ? begin + most : end;
		int			row;

		e->kernels->int6_gemm(entry_of(e, job->first)->logits, (size_t) w->rows,
							  bn_tensor_data(e->model, w), w->rows, w->cols, row_scale,
							  begin, stop,
							  e->head_fixed + 2 * (size_t) job->first *
							  bn_quant_stride((size_t) w->cols),
							  e->head_scale + job->first, job->n_rows);
		for (row = job->first; row < job->first + job->n_rows; row++)
			bound_blocks(e, row, begin * BN_TILE_ROWS, stop * BN_TILE_ROWS);
	}
}

/*
 * Into how many steps the largest value of a row of the head's input is
 * divided.  A row by itself waits for the matrix to be read, so it is as fine
 * as sums in int32 allow.  Of several, whose multiplications cost the time, only
 * values that are far from the usual shall need a high part.
 */
static int32_t
choose_steps(int n, int n_rows, float largest, double norm)
{
	int32_t		exact = INT32_MAX / (BN_INT6_MAX * n);
	int32_t		limit = exact < 127 * 127 ? exact : 127 * 127;
	double		steps = 127 * largest / (USUAL_SIZE * norm / sqrt(n));

	return n_rows == 1 || steps > limit ? limit : steps < 127 ? 127 : (int32_t) steps;
}

/* Puts one of n_rows rows of the head's input into fixed point. */
static void
fix_row(bn_engine *e, int row, int n_rows)
{
	const bn_image_header *h = e->model->header;
	int			n = h->config.d_model;
	size_t		stride = bn_quant_stride((size_t) n);
	const float *x = input_row(e, row);
	int8_t	   *high = e->head_fixed + 2 * (size_t) row * stride;
	int8_t	   *low = high + stride;
	bn_screened *s = &e->screened[row];
	float		largest = 0;
	int32_t		steps;
	double		norm = 0;
	double		loss = 0;
	bool		usable;
	int			i;

	for (i = 0; i < n; i++)
	{
		float		size = x[i] < 0 ? -x[i] : x[i];

		largest = size > largest ? size : largest;
		norm += (double) x[i] * x[i];
	}
	norm = sqrt(norm) * 1.00001;
	usable = largest >= LEAST_X && h->screen_norm * norm <= LARGEST_LOGIT;
	steps = usable ? choose_steps(n, n_rows, largest, norm) : 0;
	*s = (bn_screened) {.rest = usable ? BN_REST_NONE : BN_REST_ALL};
	e->head_scale[row] = usable ? largest / (float) steps : 0;
	memset(high, 0, 2 * stride);
	if (!usable)
		return;
	for (i = 0; i < n; i++)
	{
		float		v = x[i] * ((float) steps / largest);
		int32_t		fixed = (int32_t) (v + (v < 0 ? -0.5f : 0.5f));
		double		lost;

		fixed = fixed > steps ? steps : fixed < -steps ? -steps : fixed;
		high[i] = fixed >= -127 && fixed <= 127 ? 0 : (int8_t) ((fixed + 64 + 128 * 128) / 128 - 128);
		low[i] = (int8_t) (fixed - 128 * high[i]);
		lost = x[i] - (double) e->head_scale[row] * fixed;
		loss += lost * lost;
	}
	s->error_factor = (float) (norm * 1.00001);
	s->norm_factor = (float) (sqrt(loss) * 1.00001 + norm * (n + 64) * 0x1p-24);
}

/* The logits of the listed rows of the output matrix. */
static void
multiply_listed(bn_engine *e, int row, const int32_t *listed, int32_t n, int thread)
{
	const bn_tensor *w = &e->model->header->output;
	float	   *logits = entry_of(e, row)->logits;
	const float *x = input_row(e, row);
	int32_t		most = w->type == BN_TENSOR_F16 ? BN_STOP_CHECK_WORK / w->cols : 1;
	int32_t		i;

	for (i = 0; i < n && !bn_engine_stopping(e, thread); i += most)
	{
		if (w->type == BN_TENSOR_F16)
			e->kernels->matmul_f16_listed(logits, bn_tensor_data(e->model, w), w->cols, listed + i,
										  n - i < most ? n - i : most, x);
		else
			multiply_rows(e, logits, listed[i], listed[i] + 1, x, 1, thread);
	}
}

/*
 * Of the n_best blocks with the largest bounds, the row that looks best in
 * each.  Returns the least of their logits.
 */
static float
find_threshold(bn_engine *e, int row, int32_t *listed, int thread)
{
	const bn_step_entry *entry = entry_of(e, row);
	const float *logits = entry->logits;
	float		threshold = INFINITY;
	int32_t		k;

	/* for now, best is a list of blocks */
	bn_select_best(bn_row(e->block_bound, row, e->n_output_blocks), NULL, e->n_output_blocks,
				   entry->best, entry->n_best);
	for (k = 0; k < entry->n_best; k++)
	{
		int32_t		r = entry->best[k].token * BN_OUTPUT_BLOCK;
		int32_t		end = r + BN_OUTPUT_BLOCK;

		if (end > e->model->config->vocab_size)
			end = e->model->config->vocab_size;
		for (listed[k] = r; r < end; r++)
			if (logits[r] > logits[listed[k]])
				listed[k] = r;
	}
	multiply_listed(e, row, listed, entry->n_best, thread);
	for (k = 0; k < entry->n_best; k++)
		threshold = logits[listed[k]] < threshold ? logits[listed[k]] : threshold;
	return threshold;
}

/*
 * Collects the rows of some blocks that the bound cannot exclude.  Returns how
 * many, or max_survivors + 1 if there are more.
 */
static int32_t
find_survivors(bn_engine *e, int row, int block, int end_block, int32_t *survivors)
{
	const float *logits = entry_of(e, row)->logits;
	const float *bound = bn_row(e->block_bound, row, e->n_output_blocks);
	float		threshold = e->screened[row].threshold;
	bounds		b = bounds_of(e, row);
	int32_t		vocab = e->model->config->vocab_size;
	int32_t		n = 0;

	for (; block < end_block; block++)
	{
		int32_t		r = block * BN_OUTPUT_BLOCK;
		int32_t		end = vocab - r < BN_OUTPUT_BLOCK ? vocab : r + BN_OUTPUT_BLOCK;

		if (bound[block] < threshold)
			continue;
		for (; r < end; r++)
		{
			if (logits[r] + most_above(&b, r) < threshold)
				continue;
			if (n == e->max_survivors)
				return n + 1;
			survivors[n++] = r;
		}
	}
	return n;
}

/* Items are rows of the head's input that went through the screen. */
static void
find_best(void *arg, int begin, int end, int thread)
{
	head_job   *job = arg;
	bn_engine  *e = job->engine;
	int32_t    *survivors = survivors_of(e, thread);

	for (; begin < end && !bn_engine_stopping(e, thread); begin++)
	{
		int			row = job->first + begin;
		bn_screened *s = &e->screened[row];
		const bn_step_entry *entry = entry_of(e, row);
		int32_t		n;

		if (s->rest == BN_REST_ALL)
			continue;
		s->threshold = find_threshold(e, row, survivors, thread);
		n = find_survivors(e, row, 0, e->n_output_blocks, survivors);
		s->rest = n > e->max_survivors ? BN_REST_ALL :
			n > e->max_survivors / FEW_SHARE ? BN_REST_SURVIVORS : BN_REST_NONE;
		if (s->rest != BN_REST_NONE)
			continue;
		multiply_listed(e, row, survivors, n, thread);
		bn_select_best(entry->logits, survivors, n, entry->best, entry->n_best);
	}
}

/*
 * Many survivors, of all inputs that have so many, in the order of the matrix:
 * what several of them need is read from memory once.  Items are sets of
 * SHARED_BLOCKS blocks.
 */
static void
multiply_survivors(void *arg, int begin, int end, int thread)
{
	head_job   *job = arg;
	bn_engine  *e = job->engine;
	int32_t    *survivors = survivors_of(e, thread);

	for (; begin < end && !bn_engine_stopping(e, thread); begin++)
	{
		int			block = begin * SHARED_BLOCKS;
		int			end_block = e->n_output_blocks - block < SHARED_BLOCKS ?
			e->n_output_blocks : block + SHARED_BLOCKS;
		int			row;

		for (row = job->first; row < job->first + job->n_rows; row++)
		{
			int32_t		n;

			if (e->screened[row].rest != BN_REST_SURVIVORS)
				continue;
			n = find_survivors(e, row, block, end_block, survivors);
			multiply_listed(e, row, survivors, n, thread);
		}
	}
}

/*
 * The best of them.  Lists the survivors again, since nobody kept the list: what
 * was excluded still looks as it did, and a row whose exact logit and bound are
 * below the threshold may go, for n_best rows reach it.
 */
static void
choose_best(void *arg, int begin, int end, int thread)
{
	head_job   *job = arg;
	bn_engine  *e = job->engine;
	int32_t    *survivors = survivors_of(e, thread);

	for (; begin < end && !bn_engine_stopping(e, thread); begin++)
	{
		int			row = job->first + begin;
		const bn_step_entry *entry = entry_of(e, row);
		int32_t		n;

		if (e->screened[row].rest != BN_REST_SURVIVORS)
			continue;
		n = find_survivors(e, row, 0, e->n_output_blocks, survivors);
		bn_select_best(entry->logits, survivors, n, entry->best, entry->n_best);
	}
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

/* All logits of n_rows rows of the head's input from first on. */
static bn_status
run_full(bn_engine *e, int first, int n_rows, bn_error *err)
{
	int32_t		vocab = e->model->config->vocab_size;
	head_job	job = {e, first, n_rows};
	int			row;

	bn_engine_run(e, BN_PART_HEAD, multiply_head, &job, vocab, HEAD_GRAIN,
				  (int64_t) e->model->config->d_model * n_rows);
	if (bn_engine_stopping(e, 0))
		return BN_OK;
	if (!all_finite(entry_of(e, first)->logits, (size_t) n_rows * (size_t) vocab))
		return bn_fail(err, BN_ERR_NUMERIC, BN_NO_OFFSET, "a logit is not finite");
	for (row = first; row < first + n_rows; row++)
	{
		const bn_step_entry *entry = entry_of(e, row);

		if (entry->n_best > 0)
			bn_select_best(entry->logits, NULL, vocab, entry->best, entry->n_best);
	}
	return BN_OK;
}

/* The largest logits of n_rows rows of the head's input from first on. */
static bn_status
run_screened(bn_engine *e, int first, int n_rows, bn_error *err)
{
	int32_t		vocab = e->model->config->vocab_size;
	int64_t		row_work = e->model->config->d_model;
	head_job	job = {e, first, n_rows};
	int			end = first + n_rows;
	bool		many = false;
	int			row;
	int			next;

	for (row = first; row < end; row++)
		fix_row(e, row, n_rows);
	bn_engine_run(e, BN_PART_HEAD, multiply_screen, &job,
				  (int) bn_ternary_groups((size_t) vocab), SCREEN_GRAIN,
				  BN_TILE_ROWS * row_work * n_rows);
	bn_engine_run(e, BN_PART_HEAD, find_best, &job, n_rows, 1, USUAL_SURVIVORS * row_work);
	for (row = first; row < end; row++)
		many |= e->screened[row].rest == BN_REST_SURVIVORS;
	if (many)
	{
		bn_engine_run(e, BN_PART_HEAD, multiply_survivors, &job,
					  (e->n_output_blocks + SHARED_BLOCKS - 1) / SHARED_BLOCKS, 1,
					  SHARED_BLOCKS * row_work * n_rows);
		bn_engine_run(e, BN_PART_HEAD, choose_best, &job, n_rows, 1, USUAL_SURVIVORS * row_work);
	}
	for (row = first; row < end && !bn_engine_stopping(e, 0); row = next + 1)
	{
		for (next = row; next < end && e->screened[next].rest == BN_REST_ALL; next++)
			;
		if (next > row)
			BN_TRY(run_full(e, row, next - row, err));
	}
	return BN_OK;
}

static bool
can_screen(const bn_engine *e, const bn_step_entry *entry)
{
	return e->model->header->screen.type == BN_TENSOR_INT6 &&
		entry->n_best > 0 && entry->n_best <= e->model->config->vocab_size / BEST_SHARE;
}

/* The last norm of an entry, into x. */
static bn_status
finish_hidden(bn_engine *e, int t, float *x, bn_error *err)
{
	const bn_config *c = e->model->config;

	e->kernels->add(x, bn_row(e->branch, t, c->d_model), c->d_model);
	if (!isfinite(e->kernels->rms_norm(x, x, bn_tensor_data(e->model, &e->model->header->output_norm),
									   c->d_model, c->rms_eps)) ||
		!all_finite(x, (size_t) c->d_model))
		return bn_fail(err, BN_ERR_NUMERIC, BN_NO_OFFSET,
					   "the hidden state at position %d is not finite",
					   (int) e->entries[t].position);
	return BN_OK;
}

bn_status
bn_head_run(bn_engine *e, bn_error *err)
{
	const bn_config *c = e->model->config;
	size_t		row_bytes = (size_t) c->d_model * sizeof(float);
	int			n_rows = 0;
	int			first;
	int			end;
	int			t;

	for (t = 0; t < e->n_entries; t++)
	{
		const bn_step_entry *entry = &e->entries[t];
		float	   *x = bn_row(e->x, t, c->d_model);

		if (!entry->logits && !entry->hidden)
			continue;
		BN_TRY(finish_hidden(e, t, x, err));
		if (entry->hidden)
			memcpy(entry->hidden, x, row_bytes);
		if (entry->logits)
		{
			/* row n_rows of branch is free: it was added at entry n_rows <= t */
			memcpy(bn_row(e->branch, n_rows, c->d_model), x, row_bytes);
			e->head_entry[n_rows++] = t;
		}
	}
	for (first = 0; first < n_rows && !bn_engine_stopping(e, 0); first = end)
	{
		bool		screened = can_screen(e, entry_of(e, first));

		for (end = first + 1; end < n_rows && can_screen(e, entry_of(e, end)) == screened; end++)
			;
		BN_TRY(screened ? run_screened(e, first, end - first, err) :
			   run_full(e, first, end - first, err));
	}
	return BN_OK;
}
