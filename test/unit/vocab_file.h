/*-------------------------------------------------------------------------
 *
 * vocab_file.h
 *	  GGUF files with nothing but a vocabulary, in memory, and what is built
 *	  from them.
 *
 * test/unit/vocab_file.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef VOCAB_FILE_H
#define VOCAB_FILE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpe_cases.h"
#include "../../src/core/tokenizer.h"

/* A growing file */
typedef struct vocab_file
{
	uint8_t    *data;
	size_t		length;
	size_t		capacity;
	uint64_t	n_keys;
} vocab_file;

static inline void
vf_put(vocab_file *f, const void *bytes, size_t n)
{
	if (f->length + n > f->capacity)
	{
		f->capacity = (f->length + n) * 2;
		f->data = realloc(f->data, f->capacity);
	}
	if (n > 0)
		memcpy(f->data + f->length, bytes, n);
	f->length += n;
}

static inline void
vf_u32(vocab_file *f, uint32_t value)
{
	vf_put(f, &value, 4);
}

static inline void
vf_u64(vocab_file *f, uint64_t value)
{
	vf_put(f, &value, 8);
}

static inline void
vf_string(vocab_file *f, const void *bytes, size_t n)
{
	vf_u64(f, n);
	vf_put(f, bytes, n);
}

/* Begins a record; the caller appends its value. */
static inline void
vf_key(vocab_file *f, const char *key, bn_gguf_type type)
{
	if (f->length == 0)
	{
		vf_put(f, "GGUF", 4);
		vf_u32(f, 3);
		vf_u64(f, 0);			/* tensors */
		vf_u64(f, 0);			/* keys, see vf_open */
	}
	vf_string(f, key, strlen(key));
	vf_u32(f, type);
	f->n_keys++;
}

static inline void
vf_array(vocab_file *f, const char *key, bn_gguf_type item_type, uint64_t count)
{
	vf_key(f, key, BN_GGUF_ARRAY);
	vf_u32(f, item_type);
	vf_u64(f, count);
}

static inline void
vf_key_string(vocab_file *f, const char *key, const char *value)
{
	vf_key(f, key, BN_GGUF_STRING);
	vf_string(f, value, strlen(value));
}

static inline void
vf_key_u32(vocab_file *f, const char *key, uint32_t value)
{
	vf_key(f, key, BN_GGUF_U32);
	vf_u32(f, value);
}

static inline void
vf_key_bool(vocab_file *f, const char *key, bool value)
{
	uint8_t		byte = value;

	vf_key(f, key, BN_GGUF_BOOL);
	vf_put(f, &byte, 1);
}

/* GPT-2's spelling of bytes; out has room for twice as many. */
static inline size_t
vf_spell(const void *bytes, size_t n, uint8_t *out)
{
	size_t		length = 0;

	for (size_t i = 0; i < n; i++)
	{
		int			byte = ((const uint8_t *) bytes)[i];
		int			code = byte;
		int			unprintable = 0;

		/* printable Latin-1 stands for itself, the others follow U+0100 */
		for (int b = 0; b <= byte; b++)
			if (b < '!' || (b > '~' && b < 0xA1) || b == 0xAD)
			{
				unprintable++;
				if (b == byte)
					code = 255 + unprintable;
			}
		if (code < 0x80)
			out[length++] = (uint8_t) code;
		else
		{
			out[length++] = (uint8_t) (0xC0 | code >> 6);
			out[length++] = (uint8_t) (0x80 | (code & 0x3F));
		}
	}
	return length;
}

/* A token's text as files have it: ordinary ones are spelled. */
static inline void
vf_token(vocab_file *f, const void *bytes, size_t n, int type)
{
	uint8_t		spelled[512];

	if (type == BN_TOKEN_NORMAL)
		vf_string(f, spelled, vf_spell(bytes, n, spelled));
	else
		vf_string(f, bytes, n);
}

static inline void
vf_merge(vocab_file *f, const void *left, size_t left_length,
		 const void *right, size_t right_length)
{
	uint8_t		line[1024];
	size_t		n = vf_spell(left, left_length, line);

	line[n++] = ' ';
	n += vf_spell(right, right_length, line + n);
	vf_string(f, line, n);
}

/* Parts of the small vocabulary, for tests that replace one of them */
static inline void
vf_small_tokens(vocab_file *f)
{
	vf_array(f, "tokenizer.ggml.tokens", BN_GGUF_STRING, BPE_N_TOKENS);
	for (int i = 0; i < BPE_N_TOKENS; i++)
		vf_token(f, bpe_tokens[i].bytes, (size_t) bpe_tokens[i].length, bpe_tokens[i].type);
}

static inline void
vf_small_types(vocab_file *f)
{
	vf_array(f, "tokenizer.ggml.token_type", BN_GGUF_I32, BPE_N_TOKENS);
	for (int i = 0; i < BPE_N_TOKENS; i++)
		vf_u32(f, (uint32_t) bpe_tokens[i].type);
}

static inline void
vf_small_merges(vocab_file *f)
{
	vf_array(f, "tokenizer.ggml.merges", BN_GGUF_STRING, BPE_N_MERGES);
	for (int i = 0; i < BPE_N_MERGES; i++)
	{
		const bpe_token *left = &bpe_tokens[bpe_merges[i][0]];
		const bpe_token *right = &bpe_tokens[bpe_merges[i][1]];

		vf_merge(f, left->bytes, (size_t) left->length, right->bytes, (size_t) right->length);
	}
}

/* The small vocabulary; pre may be NULL. */
static inline vocab_file
vf_small(const char *pre)
{
	vocab_file	f = {0};

	vf_key_string(&f, "tokenizer.ggml.model", "gpt2");
	if (pre)
		vf_key_string(&f, "tokenizer.ggml.pre", pre);
	vf_small_tokens(&f);
	vf_small_types(&f);
	vf_small_merges(&f);
	return f;
}

static inline bn_status
vf_read(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	const vocab_file *f = ctx;

	if (offset > f->length || len > f->length - offset)
		return bn_fail(err, BN_ERR_IO, offset, "read outside the file");
	memcpy(buf, f->data + offset, len);
	return BN_OK;
}

/*
 * Builds the block from the file, which is freed.  *vocab is malloc'ed at its
 * exact size, or NULL.
 */
static inline bn_status
vf_build(vocab_file *f, int32_t vocab_size, bn_vocab **vocab, bn_error *err)
{
	bn_source	source = {vf_read, f, f->length};
	bn_gguf		g;
	size_t		scratch_size;
	void	   *scratch = NULL;
	uint64_t	size;
	bn_status	status;

	*vocab = NULL;
	memcpy(f->data + 16, &f->n_keys, 8);
	status = bn_gguf_scratch_size(&source, &scratch_size, err);
	if (status == BN_OK)
	{
		scratch = malloc(scratch_size);
		status = bn_gguf_open(&g, &source, scratch, scratch_size, NULL, err);
	}
	if (status == BN_OK)
		status = bn_vocab_size(&g, vocab_size, &size, err);
	if (status == BN_OK)
	{
		*vocab = malloc(size);
		status = bn_vocab_build(&g, vocab_size, *vocab, size, NULL, err);
	}
	if (status != BN_OK)
	{
		free(*vocab);
		*vocab = NULL;
	}
	free(scratch);
	free(f->data);
	return status;
}

/* The small vocabulary with one of the splitters; ends the program on failure. */
static inline bn_vocab *
vf_build_small(const char *pre)
{
	vocab_file	f = vf_small(pre);
	bn_vocab   *vocab;

	if (vf_build(&f, BPE_N_TOKENS, &vocab, NULL) != BN_OK)
		exit(2);
	return vocab;
}

#endif							/* VOCAB_FILE_H */
