/*-------------------------------------------------------------------------
 *
 * head.c
 *	  The last norm and the output matrix.
 *
 * src/core/head.c
 *
 *-------------------------------------------------------------------------
 */
#include "engine.h"

#include <string.h>

#define HEAD_GRAIN 64			/* rows that one thread takes at least */

typedef struct head_job
{
	bn_engine  *engine;
	const float *x;				/* [n_rows, d_model] */
	float	   *logits;			/* [n_rows, vocab_size] */
	int			n_rows;
} head_job;

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
	int			most = (int) (BN_STOP_CHECK_WORK / ((int64_t) w->cols * job->n_rows));

	if (most < HEAD_GRAIN)
		most = HEAD_GRAIN;
	for (; begin < end && !bn_engine_stopping(e, thread); begin += most)
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

bn_status
bn_head_run(bn_engine *e, bn_error *err)
{
	const bn_config *c = e->model->config;
	const void *norm_weight = bn_tensor_data(e->model, &e->model->header->output_norm);
	head_job	head = {.engine = e, .x = e->branch};
	int			t;

	for (t = 0; t < e->n_entries; t++)
	{
		const bn_step_entry *entry = &e->entries[t];
		float	   *x = bn_row(e->x, t, c->d_model);

		if (!entry->logits && !entry->hidden)
			continue;
		e->kernels->add(x, bn_row(e->branch, t, c->d_model), c->d_model);
		e->kernels->rms_norm(x, x, norm_weight, c->d_model, c->rms_eps);
		if (!all_finite(x, (size_t) c->d_model))
			return bn_fail(err, BN_ERR_NUMERIC, BN_NO_OFFSET,
						   "the hidden state at position %d is not finite", (int) entry->position);
		if (entry->hidden)
			memcpy(entry->hidden, x, (size_t) c->d_model * sizeof(float));
		if (entry->logits)
		{
			/* row n_rows of branch is free: it was added at entry n_rows <= t */
			memcpy(bn_row(e->branch, head.n_rows, c->d_model), x,
				   (size_t) c->d_model * sizeof(float));
			if (head.n_rows == 0)
				head.logits = entry->logits;
			head.n_rows++;
		}
	}
	if (head.n_rows == 0)
		return BN_OK;
	bn_engine_run(e, BN_PART_HEAD, multiply_head, &head, c->vocab_size, HEAD_GRAIN,
				  (int64_t) c->d_model * head.n_rows);
	if (!bn_engine_stopping(e, 0) &&
		!all_finite(head.logits, (size_t) head.n_rows * (size_t) c->vocab_size))
		return bn_fail(err, BN_ERR_NUMERIC, BN_NO_OFFSET, "a logit is not finite");
	return BN_OK;
}
