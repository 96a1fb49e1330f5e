/*-------------------------------------------------------------------------
 *
 * fuzz_gguf.c
 *	  Any bytes as a model file: read, built into an image, used.
 *
 * test/fuzz/fuzz_gguf.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_use.h"

#define MAX_IMAGE (64u << 20)

typedef struct memory_file
{
	const uint8_t *data;
	size_t		size;
} memory_file;

static bn_status
read_memory(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	memory_file *file = ctx;

	if (offset > file->size || len > file->size - offset)
		abort();				/* the core asks only for what is there */
	memcpy(buf, file->data + offset, len);
	return BN_OK;
}

/* Reads every key in every way that fits its type. */
static void
read_values(const bn_gguf *g)
{
	static const bn_gguf_type item_types[] = {BN_GGUF_STRING, BN_GGUF_I64};
	uint32_t	i;
	int			k;

	for (i = 0; i < g->n_values; i++)
	{
		for (k = 0; k < 2; k++)
		{
			static bn_gguf_cursor c;
			uint8_t		text[64];
			size_t		length;
			int64_t		n;
			bn_error	err;

			if (bn_gguf_cursor_open(&c, g, &g->values[i], item_types[k], &err) != BN_OK)
				continue;
			while ((k == 0 ? bn_gguf_next_string(&c, text, sizeof(text), &length, &err) :
					bn_gguf_next_int(&c, &n, &err)) == BN_OK)
				;
		}
	}
}

static void
build_image(const bn_gguf *g)
{
	bn_image_options options = {BN_SCREEN_ALWAYS, g->n_tensors % 2 == 0};
	uint64_t	size;
	bn_error	err;
	void	   *image;
	void	   *scratch;

	if (bn_image_size(g, options, &size, &err) != BN_OK || size > MAX_IMAGE)
		return;
	image = aligned_alloc(BN_IMAGE_ALIGN, (size + BN_IMAGE_ALIGN - 1) / BN_IMAGE_ALIGN * BN_IMAGE_ALIGN);
	scratch = malloc(bn_image_scratch_size());
	if (image && scratch && bn_image_build(g, options, image, size, scratch, NULL, &err) == BN_OK)
	{
		if (bn_image_check(image, size, &err) != BN_OK)
			abort();			/* what was built must be good */
		use_image(image, size);
	}
	free(image);
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memory_file file = {data, size};
	bn_source	source = {read_memory, &file, size};
	bn_gguf		g;
	bn_error	err;
	size_t		scratch_size;
	void	   *scratch;

	if (bn_gguf_scratch_size(&source, &scratch_size, &err) != BN_OK)
		return 0;
	scratch = malloc(scratch_size);
	if (scratch && bn_gguf_open(&g, &source, scratch, scratch_size, NULL, &err) == BN_OK)
	{
		read_values(&g);
		build_image(&g);
	}
	free(scratch);
	return 0;
}
