/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  How much memory a model takes, by part.
 *
 * test/bench/memory.c
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

#include "../../src/core/schedule.h"

/* As the server's engine has it, see src/pg/engine.h. */
#define ENGINE_SEQUENCES 128
#define RUN_SEQUENCES 64

const char *const memory_names[MEMORY_PARTS] = {
	"weights", "embedding", "head", "screen", "vocabulary", "norms", "rest", "scratch", "kv_token"
};

static double
norm_bytes(const bn_model *model)
{
	double		bytes = (double) model->header->output_norm.bytes;
	int			layer;
	int			role;

	for (layer = 0; layer < model->config->n_layers; layer++)
		for (role = 0; role < BN_LAYER_ROLES; role++)
		{
			const bn_tensor *t = bn_layer_tensor(model, layer, (bn_layer_role) role);

			if (t->type == BN_TENSOR_F32)
				bytes += (double) t->bytes;
		}
	return bytes;
}

/* All that an engine takes besides its cache. */
static double
scratch_bytes(const bn_model *model, int n_threads)
{
	int32_t		n_pages = bn_kv_pages(model->config->context_length);
	bn_schedule_limits limits = {
		.max_sequences = ENGINE_SEQUENCES,
		.max_run_sequences = RUN_SEQUENCES,
		.max_step_tokens = STEP_TOKENS,
		.max_positions = model->config->context_length,
		.n_threads = n_threads,
		.kv_bytes = (int64_t) bn_kv_page_bytes(model->config) * n_pages
	};
	bn_error	err;
	size_t		size;

	if (bn_schedule_size(model, &limits, &size, &err) != BN_OK)
		die("memory of an engine", &err);
	return (double) size - (double) limits.kv_bytes;
}

void
measure_memory(const bn_model *model, int n_threads, double bytes[MEMORY_PARTS])
{
	const bn_image_header *h = model->header;
	double		rest = (double) h->size;
	int			part;

	bytes[MEMORY_WEIGHTS] = (double) h->weights_bytes;
	bytes[MEMORY_EMBEDDING] = (double) h->token_embd.bytes;
	bytes[MEMORY_HEAD] = h->config.tied_head ? 0 : (double) h->output.bytes;
	bytes[MEMORY_SCREEN] = h->screen.type == BN_TENSOR_NONE ? 0 :
		(double) h->screen.bytes + (double) bn_screen_rows_bytes(h);
	bytes[MEMORY_VOCABULARY] = (double) h->vocab_bytes;
	bytes[MEMORY_NORMS] = norm_bytes(model);
	for (part = 0; part < MEMORY_REST; part++)
		rest -= bytes[part];
	bytes[MEMORY_REST] = rest;
	bytes[MEMORY_SCRATCH] = scratch_bytes(model, n_threads);
	bytes[MEMORY_KV_TOKEN] = (double) bn_kv_page_bytes(model->config) / BN_PAGE_TOKENS;
}
