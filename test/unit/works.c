/*-------------------------------------------------------------------------
 *
 * works.c
 *	  Requests of all kinds with room for their results.
 *
 * test/unit/works.c
 *
 *-------------------------------------------------------------------------
 */
#include "works.h"

#include <stdio.h>
#include <string.h>

uint32_t
works_random(uint32_t *state)
{
	*state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
	return *state >> 8;
}

void
works_make(work *works, const bn_model *model)
{
	static const int lengths[GROUP] = {70, 41, 45, 3, 37, 66, 40, 97};
	static const int shared[GROUP] = {0, 32, 40, 1, 33, 64, 31, 70};
	static const int parents[GROUP] = {-1, 0, 1, 0, 0, 0, 0, 0};
	static const bn_request_kind kinds[] = {
		BN_REQUEST_GENERATE, BN_REQUEST_SCORE, BN_REQUEST_NEXT, BN_REQUEST_EMBED,
		BN_REQUEST_GENERATE
	};
	uint32_t	random = 1;

	for (int i = 0; i < N_WORKS; i++)
	{
		work	   *w = &works[i];
		bn_request *r = &w->request;
		int			leader = i / GROUP * GROUP;
		int			place = i % GROUP;
		int			parent = parents[place] < 0 ? -1 : leader + parents[place];

		memset(w, 0, sizeof(*w));
		r->kind = kinds[(i + i / GROUP) % 5];
		r->tokens = w->tokens;
		r->n_tokens = lengths[place] - (place > 0 ? 0 : i / GROUP);
		for (int k = 0; k < r->n_tokens; k++)
			w->tokens[k] = (int32_t) (works_random(&random) % (uint32_t) model->config->vocab_size);
		if (parent >= 0)
		{
			int			n = works[parent].request.n_tokens;

			n = shared[place] < n ? shared[place] : n;
			memcpy(w->tokens, works[parent].tokens, (size_t) n * sizeof(int32_t));
		}
		r->n_context = r->n_tokens / 2 > 0 ? r->n_tokens / 2 : 1;
		r->pooling = BN_POOL_MEAN + i / 5 % 3;
		r->sampling = bn_sampling_default;
		if (i % 2)
			r->sampling = (bn_sampling) {
				.temperature = 0.9, .top_k = i % 3 ? 50 : 0, .top_p = 0.95, .min_p = 0.01,
				.repeat_penalty = 1.1, .seed = i
			};
		r->max_output = r->kind == BN_REQUEST_NEXT ? MAX_OUTPUT : 5 + i % 13;
		r->output = w->output;
		r->embedding = w->embedding;
		r->candidates = w->candidates;
	}
}

bn_request
works_request(work *w)
{
	memset(w->output, 0xff, sizeof(w->output));
	memset(w->embedding, 0xff, sizeof(w->embedding));
	memset(w->candidates, 0xff, sizeof(w->candidates));
	return w->request;
}

void
works_result(result *out, const work *w, const bn_request *r, int width)
{
	memset(out, 0, sizeof(*out));
	out->n_output = r->n_output;
	out->finish = r->finish;
	if (r->kind == BN_REQUEST_GENERATE)
		memcpy(out->output, w->output, (size_t) r->n_output * sizeof(int32_t));
	for (int i = 0; r->kind == BN_REQUEST_NEXT && i < r->n_output; i++)
	{
		out->candidate_token[i] = w->candidates[i].token;
		out->candidate_logprob[i] = w->candidates[i].logprob;
	}
	if (r->kind == BN_REQUEST_SCORE)
	{
		out->logprob = r->logprob;
		out->is_greedy = r->is_greedy;
	}
	if (r->kind == BN_REQUEST_EMBED)
		memcpy(out->embedding, w->embedding, (size_t) width * sizeof(float));
}

int64_t
works_alone(work *works, const model_file *m, const bn_kernels *kernels, int32_t max_step_tokens,
			result *results)
{
	bn_schedule_limits limits = model_file_limits(m, 1, max_step_tokens, 1, LARGE_CACHE);
	int64_t		n_prefilled = 0;

	for (int i = 0; i < N_WORKS; i++)
	{
		bn_request	request = works_request(&works[i]);
		bn_error	err = {0};

		if (model_file_run(m, kernels, &request, 1, &limits, &err) != BN_OK)
		{
			printf("# %s\n", err.detail);
			return -1;
		}
		works_result(&results[i], &works[i], &request, m->model.config->d_model);
		n_prefilled += request.n_prefilled;
	}
	return n_prefilled;
}
