/*-------------------------------------------------------------------------
 *
 * tokenizer.h
 *	  Byte-level BPE: text to token ids and back.
 *
 * The vocabulary is part of a model's image: a position-independent block with
 * its hash tables already built, so that using it costs no set-up.  All text
 * here is UTF-8; bytes that are not valid UTF-8 are tokenised as bytes.
 *
 * src/core/tokenizer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_TOKENIZER_H
#define BN_TOKENIZER_H

#include "gguf.h"

#define BN_NO_TOKEN (-1)
#define BN_MAX_STOP_TOKENS 8

typedef enum bn_token_type
{
	BN_TOKEN_NORMAL = 1, BN_TOKEN_UNKNOWN = 2, BN_TOKEN_CONTROL = 3,
	BN_TOKEN_USER_DEFINED = 4, BN_TOKEN_UNUSED = 5, BN_TOKEN_BYTE = 6
} bn_token_type;

/* In the image; offsets count from the first byte of this struct. */
typedef struct bn_vocab
{
	uint64_t	bytes;			/* of the whole block */
	int32_t		n_tokens;
	int32_t		splitter;		/* bn_splitter, splitter.h */
	int32_t		bos;			/* ids or BN_NO_TOKEN */
	int32_t		eos;
	int32_t		eot;			/* end of a chat turn */
	int32_t		pad;
	int32_t		stop[BN_MAX_STOP_TOKENS];	/* ids that end generation, or BN_NO_TOKEN */
	int32_t		add_bos;
	int32_t		ignore_merges;
	uint32_t	max_token_bytes;
	uint32_t	token_mask;		/* hash tables have mask + 1 entries */
	uint32_t	merge_mask;
	uint64_t	merge_table_offset; /* bn_merge[merge_mask + 1] */
	uint64_t	token_table_offset; /* uint32_t[token_mask + 1], id + 1 or 0 */
	uint64_t	text_offset;	/* uint32_t[n_tokens + 1] into text */
	uint64_t	byte_offset;	/* int32_t[256], token of a single byte */
	uint64_t	type_offset;	/* uint8_t[n_tokens], vocab.h */
	uint64_t	text_data_offset;	/* raw bytes of all tokens, to the end */
} bn_vocab;

/*
 * Sizes, fills and checks the block from a file's tokenizer.* keys.  Where the
 * file names no splitter, the BitNet architectures have that of Llama 3.
 * vocab_size is what token_embd has; a list of tokens of another length is an
 * error.  memory is 8-byte aligned.  The cost of check does not grow with the
 * vocabulary: it proves the block's layout, and what is read from the tables is
 * checked where it is used.
 */
extern bn_status bn_vocab_size(const bn_gguf *g, int32_t vocab_size,
							   uint64_t *size, bn_error *err);
extern bn_status bn_vocab_build(const bn_gguf *g, int32_t vocab_size,
								void *memory, uint64_t size,
								const bn_hooks *hooks, bn_error *err);
extern bn_status bn_vocab_check(const void *memory, uint64_t size, int32_t vocab_size,
								bn_error *err);

/*
 * Memory that bn_encode needs for this text, 8-byte aligned; grows with the
 * longest piece the splitter makes, not with the text, and is 0 for most.  To
 * find it, the whole text is read; the only error is BN_ERR_CANCELED.
 */
extern bn_status bn_encode_scratch_size(const bn_vocab *vocab, const char *text, size_t length,
										size_t *size, const bn_hooks *hooks, bn_error *err);

/*
 * Text to tokens.  Writes at most max_tokens ids to tokens and stops when they
 * are full; if tokens is NULL, it counts them all and ignores max_tokens.
 * *n_tokens is the number made, *consumed (may be NULL) how many bytes of text
 * they cover.  Nothing in the text is a special token.  (llama.cpp finds those
 * of type "user defined" in all text; here they are special like control
 * tokens.)  No BOS is added.
 */
extern bn_status bn_encode(const bn_vocab *vocab, const char *text, size_t length,
						   int32_t *tokens, size_t max_tokens,
						   size_t *n_tokens, size_t *consumed,
						   void *scratch, size_t scratch_size,
						   const bn_hooks *hooks, bn_error *err);

/* The raw bytes of a token (for a control token, its name). */
extern const uint8_t *bn_token_text(const bn_vocab *vocab, int32_t token, size_t *length);
extern bn_token_type bn_token_kind(const bn_vocab *vocab, int32_t token);

/* The token of exactly these bytes, or BN_NO_TOKEN. */
extern int32_t bn_token_find(const bn_vocab *vocab, const void *text, size_t length);

/* Does generation end at this token (eos, eot, or an end-of-text control token)? */
extern bool bn_token_is_stop(const bn_vocab *vocab, int32_t token);

#endif							/* BN_TOKENIZER_H */
