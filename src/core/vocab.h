/*-------------------------------------------------------------------------
 *
 * vocab.h
 *	  The tables of a vocabulary, as bn_vocab_build makes them.
 *
 * Internal to the tokenizer.  The tables lie in memory that may have been
 * damaged, so every value read from them is checked where it is used, and
 * searches are bounded.
 *
 * src/core/vocab.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_VOCAB_H
#define BN_VOCAB_H

#include "tokenizer.h"

/* One entry of the merge table; empty if left is 0. */
typedef struct bn_merge
{
	uint32_t	left;			/* id + 1 */
	uint32_t	right;			/* id */
	uint32_t	result;			/* id */
	uint32_t	rank;			/* lowest first */
} bn_merge;

#define BN_NO_RANK UINT32_MAX

/*
 * No search looks at more entries than this.  Tables are at most two
 * thirds full and hashes mix well, so only a file made for the purpose needs
 * more; it is refused when the table is built.
 */
#define BN_MAX_PROBES 1024

/*
 * Flag in the type array: plain text never becomes this token.  Set for special
 * tokens, and for ordinary ones that byte-level BPE cannot spell.
 */
#define BN_TYPE_NOT_TEXT 0x80

static inline const void *
bn_vocab_at(const bn_vocab *vocab, uint64_t offset)
{
	return (const uint8_t *) vocab + offset;
}

static inline uint8_t
bn_vocab_type(const bn_vocab *vocab, int32_t token)
{
	return ((const uint8_t *) bn_vocab_at(vocab, vocab->type_offset))[token];
}

static inline uint32_t
bn_merge_hash(uint32_t left, uint32_t right)
{
	uint64_t	h = ((uint64_t) left << 32 | right) * UINT64_C(0x9E3779B97F4A7C15);

	h ^= h >> 29;
	h *= UINT64_C(0xBF58476D1CE4E5B9);
	return (uint32_t) (h >> 32);
}

/* The merge of two tokens, or NULL. */
static inline const bn_merge *
bn_merge_find(const bn_vocab *vocab, int32_t left, int32_t right)
{
	const bn_merge *table = bn_vocab_at(vocab, vocab->merge_table_offset);
	uint32_t	slot = bn_merge_hash((uint32_t) left, (uint32_t) right);

	for (int i = 0; i < BN_MAX_PROBES; i++, slot++)
	{
		const bn_merge *m = &table[slot & vocab->merge_mask];

		if (m->left == 0)
			return NULL;
		if (m->left == (uint32_t) left + 1 && m->right == (uint32_t) right)
			return m->result < (uint32_t) vocab->n_tokens ? m : NULL;
	}
	return NULL;
}

/* The token that plain text of exactly these bytes becomes, or BN_NO_TOKEN. */
static inline int32_t
bn_text_token(const bn_vocab *vocab, const uint8_t *text, size_t length)
{
	int32_t		token;

	if (length > vocab->max_token_bytes)
		return BN_NO_TOKEN;
	token = bn_token_find(vocab, text, length);
	if (token != BN_NO_TOKEN && (bn_vocab_type(vocab, token) & BN_TYPE_NOT_TEXT))
		return BN_NO_TOKEN;
	return token;
}

#endif							/* BN_VOCAB_H */
