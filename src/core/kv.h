/*-------------------------------------------------------------------------
 *
 * kv.h
 *	  The KV cache: pages of keys and values, shared by content.
 *
 * A page holds the keys and values of BN_PAGE_TOKENS consecutive positions of
 * a sequence, for all layers, as half floats.  In memory the pages lie side by
 * side,
 *
 *	[n_layers][2 (key, value)][n_kv_heads][n_pages][BN_PAGE_TOKENS][head_dim]
 *
 * so that attention, which reads one block [n_pages] after the other, finds the
 * pages of a sequence next to each other if their numbers are, as they are
 * where it began with enough free pages.
 *
 * What a page holds follows from the tokens of its positions and of all before
 * them.  So the pages form a tree, a page's parent being the one before it,
 * and a sequence is a path from the root.  A new sequence takes over the full
 * pages of a path that its prompt begins with, and a copy of what is of use of
 * the page after them.  Of pages with the same tokens, which may be there twice
 * for a while, the first is followed, whatever comes behind it.  Pages are
 * counted; those that no sequence uses any more are kept until their memory is
 * needed, the least recently used ones being given up first.
 *
 * A page with more than one owner is full and never written.  A page is used
 * no less recently than those below it, so that what is given up is always a
 * leaf.
 *
 * src/core/kv.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_KV_H
#define BN_KV_H

#include "model.h"

#define BN_PAGE_TOKENS 32

typedef struct bn_kv bn_kv;

typedef struct bn_sequence
{
	int32_t		n_tokens;		/* positions whose keys and values are stored */
	int32_t		n_pages;
	int32_t		max_pages;
	int32_t    *pages;			/* [max_pages], the owner's memory */
} bn_sequence;

static inline int32_t
bn_kv_pages(int64_t n_tokens)
{
	return (int32_t) ((n_tokens + BN_PAGE_TOKENS - 1) / BN_PAGE_TOKENS);
}

extern size_t bn_kv_page_bytes(const bn_config *config);

/*
 * Memory for a cache of n_pages; 64-byte aligned memory is expected.  The pages
 * themselves are not touched before they are used.
 */
extern size_t bn_kv_size(const bn_config *config, int32_t n_pages);
extern bn_kv *bn_kv_init(void *memory, const bn_config *config, int32_t n_pages);

extern int32_t bn_kv_n_pages(const bn_kv *kv);

/* Pages that no sequence uses: free, or kept for later. */
extern int32_t bn_kv_free_pages(const bn_kv *kv);
extern int32_t bn_kv_cached_pages(const bn_kv *kv);

/* How much of the beginning of some tokens the cache has. */
typedef struct bn_kv_match
{
	int32_t		n_ready;		/* tokens whose keys and values are stored */
	int32_t		n_promised;		/* the same when the sequences that are being computed have
								 * come to the end of their prompts */
} bn_kv_match;

extern bn_kv_match bn_kv_find(const bn_kv *kv, const int32_t *tokens, int32_t n_tokens);

/*
 * Begins a sequence (which must be empty) with n_tokens known tokens and room
 * for n_positions, n_tokens at least.  The first n_reused of them, n_ready at
 * most, are taken from the cache; n_tokens of the sequence is n_reused.
 * BN_ERR_NOSPACE if there are not enough pages (then nothing changed).
 */
extern bn_status bn_sequence_begin(bn_kv *kv, bn_sequence *seq, const int32_t *tokens,
								   int32_t n_tokens, int32_t n_reused, int32_t n_positions);

/* Says that the keys and values of a position, those of this token, are stored. */
extern void bn_sequence_fill(bn_kv *kv, const bn_sequence *seq, int32_t position,
							 int32_t token);

/* Ends a sequence: its pages become free, or stay for others while there is room. */
extern void bn_sequence_release(bn_kv *kv, bn_sequence *seq);

/* Key or value row of a position: uint16_t[head_dim]; rows of a page follow. */
extern uint16_t *bn_kv_row(bn_kv *kv, const bn_sequence *seq, int layer, int is_value,
						   int kv_head, int32_t position);

#endif							/* BN_KV_H */
