/*-------------------------------------------------------------------------
 *
 * image.c
 *	  Building images and checking those that others built.
 *
 * src/core/image.c
 *
 *-------------------------------------------------------------------------
 */
#include "image.h"

#include <float.h>
#include <string.h>

#include "image_plan.h"
#include "tokenizer.h"
#include "../../kernels/kernels.h"

size_t
bn_image_scratch_size(void)
{
	return BN_IMAGE_ALIGN + BN_PACK_CHUNK + BN_MAX_DIM + BN_PACK_ROW + BN_SCREEN_SCRATCH;
}

/* The place of a tensor of the file in the image, or NULL if it has none. */
static bn_tensor *
find_place(bn_image_header *h, bn_tensor *layers, const char *name)
{
	int32_t		layer;
	bn_layer_role role;

	if (strcmp(name, "token_embd.weight") == 0)
		return &h->token_embd;
	if (strcmp(name, "output.weight") == 0)
		return &h->output;
	if (strcmp(name, "output_norm.weight") == 0)
		return &h->output_norm;
	if (bn_find_layer_role(name, &layer, &role))
		return &layers[layer * BN_LAYER_ROLES + role];
	return NULL;
}

bn_status
bn_image_build(const bn_gguf *g, bn_image_options options, void *image, uint64_t size,
			   void *scratch, const bn_hooks *hooks, bn_error *err)
{
	bn_image_header *h = image;
	bn_image_header plan;
	bn_tensor  *layers;
	bn_packer	packer;
	uint8_t    *base = scratch;
	uint64_t	vocab_bytes;
	uint32_t	i;

	if ((uintptr_t) image % BN_IMAGE_ALIGN != 0)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
					   "the memory for an image is not aligned to %d bytes", BN_IMAGE_ALIGN);
	memset(&plan, 0, sizeof(plan));
	BN_TRY(bn_plan_config(g, &plan, err));
	BN_TRY(bn_vocab_size(g, plan.config.vocab_size, &vocab_bytes, err));
	BN_TRY(bn_plan_tensors(g, &plan, vocab_bytes, options, NULL, err));
	if (plan.size != size)
		return bn_fail(err, BN_ERR_NOSPACE, BN_NO_OFFSET,
					   "the image takes %lu bytes, not %lu", plan.size, size);

	/* the magic comes last: what is not complete is not an image */
	memset(h->magic, 0, sizeof(h->magic));
	layers = (bn_tensor *) ((uint8_t *) image + plan.layers_offset);
	BN_TRY(bn_plan_tensors(g, &plan, vocab_bytes, options, layers, err));
	plan.abi = BN_IMAGE_ABI;
	*h = plan;
	BN_TRY(bn_vocab_build(g, h->config.vocab_size,
						  (uint8_t *) image + h->vocab_offset, vocab_bytes, hooks, err));

	base += (BN_IMAGE_ALIGN - (uintptr_t) base % BN_IMAGE_ALIGN) % BN_IMAGE_ALIGN;
	memset(&packer, 0, sizeof(packer));
	packer.g = g;
	packer.hooks = hooks;
	packer.image = image;
	packer.chunk = base;
	packer.codes = packer.chunk + BN_PACK_CHUNK;
	packer.row = packer.codes + BN_MAX_DIM;
	bn_packer_init(&packer);
	for (i = 0; i < g->n_tensors; i++)
		packer.total += g->tensors[i].bytes;
	for (i = 0; i < g->n_tensors; i++)
	{
		const bn_gguf_tensor *src = &g->tensors[g->tensor_order[i]];

		BN_TRY(bn_pack_tensor(&packer, src, find_place(h, layers, src->name), err));
	}
	if (h->config.tied_head)
		h->output = h->token_embd;
	BN_TRY(bn_screen_build(h, packer.row + BN_PACK_ROW, hooks, err));
	h->source_checksum = bn_checksum_finish(&packer.checksum);
	memcpy(h->magic, BN_IMAGE_MAGIC, sizeof(h->magic));
	return BN_OK;
}

static bn_status
damaged(bn_error *err, const char *what)
{
	return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET, "the image is damaged: %s", what);
}

static bool
in_range(int32_t value, int32_t min, int32_t max)
{
	return value >= min && value <= max;
}

/* Is [offset, offset + bytes) an aligned part of the image after its header? */
static bool
is_part(const bn_image_header *h, uint64_t offset, uint64_t bytes)
{
	return offset % BN_IMAGE_ALIGN == 0 && offset >= sizeof(bn_image_header) &&
		offset <= h->size && bytes <= h->size - offset;
}

static bn_status
check_config(const bn_config *c, bn_error *err)
{
	if (!in_range(c->n_layers, 1, BN_MAX_LAYERS))
		return damaged(err, "number of layers");
	if (!in_range(c->d_model, 1, BN_MAX_DIM) || !in_range(c->d_ffn, 1, BN_MAX_DIM))
		return damaged(err, "dimensions");
	if (!in_range(c->n_heads, 1, BN_MAX_HEADS) ||
		!in_range(c->n_kv_heads, 1, c->n_heads) || c->n_heads % c->n_kv_heads != 0)
		return damaged(err, "number of heads");
	if (!in_range(c->head_dim, 2, BN_MAX_HEAD_DIM) || c->head_dim % 2 != 0 ||
		c->n_heads * c->head_dim > BN_MAX_DIM)
		return damaged(err, "dimensions of a head");
	if (!in_range(c->vocab_size, 1, BN_MAX_VOCAB))
		return damaged(err, "size of the vocabulary");
	if (!in_range(c->context_length, 1, BN_MAX_CONTEXT))
		return damaged(err, "context length");
	if (!(c->rms_eps > 0 && c->rms_eps <= 1) ||
		!(c->rope_theta >= 1 && c->rope_theta <= 1e30))
		return damaged(err, "constants");
	if (!in_range(c->pooling, BN_POOL_UNSPECIFIED, BN_POOL_LAST) ||
		!in_range(c->tied_head, 0, 1))
		return damaged(err, "options");
	return BN_OK;
}

static bn_status
check_tensor(const bn_image_header *h, const bn_tensor *t, int32_t rows, int32_t cols,
			 bn_error *err)
{
	if (t->rows != rows || t->cols != cols)
		return damaged(err, "shape of a tensor");
	if (t->bytes == 0 || t->bytes != bn_tensor_image_bytes(t->type, rows, cols))
		return damaged(err, "size of a tensor");
	if (!is_part(h, t->offset, t->bytes))
		return damaged(err, "place of a tensor");
	return BN_OK;
}

static bool
is_ternary(const bn_tensor *t)
{
	return t->type == BN_TENSOR_TERNARY || t->type == BN_TENSOR_TERNARY5;
}

static bn_status
check_layers(const bn_image_header *h, const bn_tensor *layers, bn_error *err)
{
	int			i;

	for (i = 0; i < h->config.n_layers * BN_LAYER_ROLES; i++)
	{
		bn_layer_role role = (bn_layer_role) (i % BN_LAYER_ROLES);
		const bn_tensor *t = &layers[i];
		int32_t		rows;
		int32_t		cols;

		if (bn_layer_role_is_norm(role) ? t->type != BN_TENSOR_F32 : !is_ternary(t))
			return damaged(err, "type of a tensor");
		if (!(t->scale >= 0 && t->scale <= FLT_MAX))
			return damaged(err, "scale of a tensor");
		bn_layer_role_shape(&h->config, role, &rows, &cols);
		BN_TRY(check_tensor(h, t, rows, cols, err));
	}
	return BN_OK;
}

/*
 * Embedding, head and last norm.  A row of the embedding in an unknown type
 * has no bytes, so check_tensor refuses that.
 */
static bn_status
check_ends(const bn_image_header *h, bn_error *err)
{
	const bn_config *c = &h->config;

	if (is_ternary(&h->token_embd) || is_ternary(&h->output) ||
		h->output_norm.type != BN_TENSOR_F32)
		return damaged(err, "type of a tensor");
	BN_TRY(check_tensor(h, &h->token_embd, c->vocab_size, c->d_model, err));
	BN_TRY(check_tensor(h, &h->output, c->vocab_size, c->d_model, err));
	BN_TRY(check_tensor(h, &h->output_norm, 1, c->d_model, err));
	if (h->screen.type != BN_TENSOR_NONE &&
		(h->screen.type != BN_TENSOR_INT6 || h->screen.rows != c->vocab_size ||
		 h->screen.cols != c->d_model ||
		 h->screen.bytes != bn_int6_bytes((size_t) c->vocab_size, (size_t) c->d_model) ||
		 !is_part(h, h->screen.offset, h->screen.bytes) ||
		 !is_part(h, h->screen_rows_offset, bn_screen_rows_bytes(h)) ||
		 !(h->screen_norm >= 0)))
		return damaged(err, "screen");
	if (c->tied_head &&
		(h->output.offset != h->token_embd.offset || h->output.type != h->token_embd.type))
		return damaged(err, "tied head");
	return BN_OK;
}

bn_status
bn_image_check(const void *image, uint64_t size, bn_error *err)
{
	const bn_image_header *h = image;
	const uint8_t *base = image;

	if ((uintptr_t) image % BN_IMAGE_ALIGN != 0)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
					   "an image must be aligned to %d bytes", BN_IMAGE_ALIGN);
	if (size < sizeof(bn_image_header))
		return damaged(err, "it is smaller than its header");
	if (memcmp(h->magic, BN_IMAGE_MAGIC, sizeof(h->magic)) != 0)
		return damaged(err, "it does not begin as an image does");
	if (h->abi != BN_IMAGE_ABI)
	{
		bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
				"the image was made by another version (layout %u, expected %d)",
				h->abi, BN_IMAGE_ABI);
		return bn_hint(err, BN_ERR_UNSUPPORTED, "Unload the model and load it again.");
	}
	if (h->size != size)
		return damaged(err, "size");
	if (!memchr(h->architecture, 0, sizeof(h->architecture)) ||
		!memchr(h->name, 0, sizeof(h->name)))
		return damaged(err, "names");
	BN_TRY(check_config(&h->config, err));
	BN_TRY(check_ends(h, err));
	if (!is_part(h, h->layers_offset,
				 (uint64_t) h->config.n_layers * BN_LAYER_ROLES * sizeof(bn_tensor)))
		return damaged(err, "place of the layer table");
	BN_TRY(check_layers(h, (const bn_tensor *) (base + h->layers_offset), err));
	if (!is_part(h, h->vocab_offset, h->vocab_bytes))
		return damaged(err, "place of the vocabulary");
	return bn_vocab_check(base + h->vocab_offset, h->vocab_bytes, h->config.vocab_size, err);
}
