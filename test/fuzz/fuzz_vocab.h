/*-------------------------------------------------------------------------
 *
 * fuzz_vocab.h
 *	  What the fuzz targets of vocabularies and texts share.
 *
 * test/fuzz/fuzz_vocab.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_VOCAB_H
#define FUZZ_VOCAB_H

#include "fuzz.h"

#include "../unit/vocab_file.h"

#define MAX_TEXT 4096

/* The small vocabulary's file with one of three splitters; made once, then copied. */
static inline vocab_file
small_file(int splitter)
{
	static const char *const splitters[3] = {"llama-bpe", "qwen2", "gpt-2"};
	static vocab_file files[3];
	vocab_file	copy;

	if (!files[splitter].data)
		files[splitter] = vf_small(splitters[splitter]);
	copy = files[splitter];
	copy.data = malloc(copy.capacity);
	memcpy(copy.data, files[splitter].data, copy.length);
	return copy;
}

/* Four bytes each: a 24-bit offset and the byte that is put there. */
static inline void
damage(uint8_t *block, size_t size, const uint8_t *changes, size_t length)
{
	for (; length >= 4; changes += 4, length -= 4)
	{
		size_t		at = (size_t) changes[0] | (size_t) changes[1] << 8 | (size_t) changes[2] << 16;

		if (at < size)
			block[at] = changes[3];
	}
}

/* Builds the block from the file; NULL if it is refused, which has a reason. */
static inline bn_vocab *
build_or_refuse(vocab_file *f, int32_t vocab_size)
{
	bn_vocab   *v;
	bn_error	err;

	if (vf_build(f, vocab_size, &v, &err) == BN_OK)
		require(bn_vocab_check(v, v->bytes, vocab_size, NULL) == BN_OK);
	else
		require(err.code != BN_OK && err.detail[0] != '\0');
	return v;
}

#endif							/* FUZZ_VOCAB_H */
