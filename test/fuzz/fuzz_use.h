/*-------------------------------------------------------------------------
 *
 * fuzz_use.h
 *	  Touches everything in an image that its users would touch.
 *
 * test/fuzz/fuzz_use.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_USE_H
#define FUZZ_USE_H

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#include "../../src/core/model.h"

/* Where what was read goes, so that the reading is not optimised away */
static volatile unsigned fuzz_sink;

static inline unsigned
touch(const void *image, const bn_tensor *t)
{
	const uint8_t *p = (const uint8_t *) image + t->offset;

	return p[0] + p[t->bytes - 1];
}

static inline void
use_vocabulary(const bn_vocab *vocab)
{
	static const char text[] = "The cat's 1234 caf\xc3\xa9 \xff<|eot_id|>\n the";
	int32_t		tokens[64];
	size_t		n = 0;
	size_t		scratch_size;
	void	   *scratch;
	int32_t		i;
	bn_error	err;

	bn_encode_scratch_size(vocab, text, sizeof(text) - 1, &scratch_size, NULL, NULL);
	scratch = malloc(scratch_size + 1);
	if (scratch && bn_encode(vocab, text, sizeof(text) - 1, tokens, 64, &n, NULL,
							 scratch, scratch_size, NULL, &err) == BN_OK)
		for (i = 0; i < (int32_t) n; i++)
		{
			size_t		length;
			const uint8_t *bytes = bn_token_text(vocab, tokens[i], &length);

			if (length > 0 && bn_token_find(vocab, bytes, length) >= vocab->n_tokens)
				abort();
		}
	for (i = -1; i <= vocab->n_tokens; i += 1 + vocab->n_tokens / 64)
	{
		bn_token_kind(vocab, i);
		bn_token_is_stop(vocab, i);
	}
	free(scratch);
}

/* image is aligned to BN_IMAGE_ALIGN */
static inline void
use_image(const void *image, uint64_t size)
{
	bn_model	m;
	bn_error	err;
	float	   *row;
	int32_t		i;

	if (bn_model_bind(&m, image, size, &err) != BN_OK)
		return;
	for (i = 0; i < m.config->n_layers * BN_LAYER_ROLES; i++)
		fuzz_sink += touch(image, &m.layers[i]);
	fuzz_sink += touch(image, &m.header->output_norm);
	row = malloc((size_t) m.config->d_model * sizeof(float));
	if (row)
	{
		bn_dequantize_row(row, image, &m.header->token_embd, 0);
		bn_dequantize_row(row, image, &m.header->token_embd, m.config->vocab_size - 1);
		bn_dequantize_row(row, image, &m.header->output, m.config->vocab_size - 1);
	}
	free(row);
	use_vocabulary(m.vocab);
}

#endif							/* FUZZ_USE_H */
