/*-------------------------------------------------------------------------
 *
 * fuzz_image.c
 *	  Damaged images, and any bytes as one: if the check lets them pass, using
 *	  them is safe.
 *
 * The first byte of the input says whether the rest is an image, or changes to
 * one of the images that are built at the start, which fit every layout.  A
 * change has a kind, a place and a value (CHANGE_BYTES).  The weights stay as
 * they are: nothing checks them, nor need it.
 *
 * test/fuzz/fuzz_image.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_use.h"
#include "../../src/core/schedule.h"
#include "../unit/gguf_writer.h"

#define N_IMAGES 3
#define CHANGE_BYTES 11
#define MAX_CHANGES 32

static struct
{
	uint8_t    *data;
	uint64_t	size;
}			images[N_IMAGES];

static void
build(int number, const gw_spec *spec, bn_image_options options)
{
	gw_memory	memory;
	size_t		size;
	uint8_t    *data = gw_model(spec, &size);
	bn_source	source = gw_source(&memory, data, size);
	bn_gguf		g;
	void	   *scratch;
	void	   *image_scratch = malloc(bn_image_scratch_size());

	require(bn_gguf_scratch_size(&source, &size, NULL) == BN_OK);
	scratch = malloc(size);
	require(bn_gguf_open(&g, &source, scratch, size, NULL, NULL) == BN_OK &&
			bn_image_size(&g, options, &images[number].size, NULL) == BN_OK);
	images[number].data = aligned_alloc(BN_IMAGE_ALIGN, images[number].size);
	require(bn_image_build(&g, options, images[number].data, images[number].size,
						   image_scratch, NULL, NULL) == BN_OK);
	free(image_scratch);
	free(scratch);
	free(data);
}

static void
init(void)
{
	gw_spec		spec = gw_small_spec();

	if (images[0].data)
		return;
	spec.d_model = 64;
	spec.d_ffn = 64;
	spec.n_heads = 2;
	spec.n_kv_heads = 1;
	build(0, &spec, (bn_image_options) {BN_SCREEN_ALWAYS, false});
	spec.embd_type = BN_GGML_Q8_0;
	spec.with_output = true;
	build(1, &spec, (bn_image_options) {BN_SCREEN_ALWAYS, true});
	spec.architecture = "bitnet-25";
	spec.d_model = 48;
	spec.d_ffn = 40;
	spec.n_heads = 6;
	spec.head_dim = 8;
	spec.n_layers = 3;
	spec.norm_type = BN_GGML_F16;
	spec.embd_type = BN_GGML_BF16;
	build(2, &spec, (bn_image_options) {BN_SCREEN_NEVER, true});
}

/*
 * One change: of 1, 2, 4 or 8 bytes of the header, the layer table or the
 * vocabulary, which get a value, or have it added.
 */
static void
change(uint8_t *image, const bn_image_header *good, const uint8_t *how)
{
	size_t		width = (size_t) 1 << (how[0] & 3);
	size_t		begin = 0;
	size_t		bytes = sizeof(bn_image_header);
	uint64_t	old = 0;
	uint64_t	value;
	size_t		at;

	switch (how[0] >> 3 & 3)
	{
		case 2:
			begin = good->layers_offset;
			bytes = (size_t) good->config.n_layers * BN_LAYER_ROLES * sizeof(bn_tensor);
			break;
		case 3:
			begin = good->vocab_offset;
			bytes = good->vocab_bytes;
			break;
		default:
			break;
	}
	at = begin + (size_t) (how[1] | how[2] << 8) % (bytes / width) * width;
	memcpy(&old, image + at, width);
	memcpy(&value, how + 3, sizeof(value));
	if (how[0] & 4)
		value += old;
	memcpy(image + at, &value, width);
}

/* A request of each kind. */
static void
run_model(const bn_model *m)
{
	int32_t		tokens[] = {0, 0, 1, 2, 0, 0, 1, 2, 3, 0};
	int32_t		n_tokens = sizeof(tokens) / sizeof(tokens[0]);
	int32_t		output[3];
	bn_candidate candidates[4];
	float	   *embedding = malloc((size_t) m->config->d_model * sizeof(float));
	bn_request	requests[] = {
		{.kind = BN_REQUEST_GENERATE, .max_output = 3, .output = output},
		{.kind = BN_REQUEST_SCORE, .n_context = 2},
		{.kind = BN_REQUEST_EMBED, .pooling = BN_POOL_MEAN, .embedding = embedding},
		{.kind = BN_REQUEST_NEXT, .max_output = 4, .candidates = candidates},
	};
	bn_schedule_limits limits = {
		.max_sequences = 4, .max_run_sequences = 4, .max_step_tokens = 8, .n_threads = 1,
		.max_positions = m->config->context_length < 64 ? m->config->context_length : 64,
		.kv_bytes = 1 << 24
	};
	bn_run		run = {.requests = requests, .n_requests = 4};
	bn_schedule *schedule;
	size_t		size;
	void	   *memory;

	for (int i = 0; i < n_tokens; i++)
		tokens[i] = tokens[i] * 77 % m->config->vocab_size;
	for (int i = 0; i < 4; i++)
	{
		requests[i].tokens = tokens;
		requests[i].n_tokens = n_tokens;
		requests[i].sampling = bn_sampling_default;
	}
	limits.kv_bytes = bn_schedule_kv_bytes(m, requests, 4, 4, limits.kv_bytes);
	require(bn_schedule_size(m, &limits, &size, NULL) == BN_OK);
	memory = aligned_alloc(64, (size + 63) / 64 * 64);
	require(bn_schedule_init(&schedule, memory, size, m, bn_kernels_select(NULL), &limits,
							 NULL) == BN_OK);
	if (bn_schedule_add(schedule, &run, NULL) == BN_OK)
	{
		while (!bn_schedule_idle(schedule))
			require(bn_schedule_step(schedule, NULL, NULL) == BN_OK);
		for (int i = 0; run.status == BN_OK && i < requests[0].n_output; i++)
			require(output[i] >= 0 && output[i] < m->config->vocab_size);
		for (int i = 0; run.status == BN_OK && i < requests[3].n_output; i++)
			require(candidates[i].token >= 0 && candidates[i].token < m->config->vocab_size);
	}
	free(memory);
	free(embedding);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int			number;
	uint64_t	bytes;
	uint8_t    *image;
	bn_model	m;

	init();
	if (size < 1)
		return 0;
	number = data[0] % (N_IMAGES + 1);
	data++;
	size--;
	if (number == N_IMAGES)
	{
		/* a block of exactly this size, so that reading beyond it is seen */
		bytes = size / BN_IMAGE_ALIGN * BN_IMAGE_ALIGN;
		image = aligned_alloc(BN_IMAGE_ALIGN, bytes);
		memcpy(image, data, bytes);
		use_image(image, bytes);
	}
	else
	{
		bytes = images[number].size;
		image = aligned_alloc(BN_IMAGE_ALIGN, bytes);
		memcpy(image, images[number].data, bytes);
		for (int i = 0; i < MAX_CHANGES && size >= CHANGE_BYTES; i++)
		{
			change(image, (const bn_image_header *) images[number].data, data);
			data += CHANGE_BYTES;
			size -= CHANGE_BYTES;
		}
		use_image(image, bytes);
		/* what the vocabulary says is nothing to the model */
		if (bn_model_bind(&m, image, bytes, NULL) == BN_OK &&
			memcmp(image, images[number].data, m.header->vocab_offset) != 0)
			run_model(&m);
	}
	free(image);
	return 0;
}
