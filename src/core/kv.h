/*-------------------------------------------------------------------------
 *
 * kv.h
 *	  The KV cache: pages of keys and values, shared between sequences.
 *
 * A page holds the keys and values of BN_PAGE_TOKENS consecutive positions of
 * one sequence, for all layers, as half floats:
 *
 *	page: [n_layers][2 (key, value)][n_kv_heads][BN_PAGE_TOKENS][head_dim]
 *
 * Pages are counted: sequences with a common beginning share the pages that
 * are full of it.  A page with more than one owner is never written.  The
 * whole cache is one block of memory with indexes in place of pointers.
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

/* Memory for a cache of n_pages; 64-byte aligned memory is expected. */
extern size_t bn_kv_size(const bn_config *config, int32_t n_pages);
extern bn_kv *bn_kv_init(void *memory, const bn_config *config, int32_t n_pages);

extern int32_t bn_kv_free_pages(const bn_kv *kv);

/*
 * Makes room for n_tokens positions in all.  BN_ERR_NOSPACE if the cache has
 * not enough free pages (then nothing changed).
 */
extern bn_status bn_sequence_reserve(bn_kv *kv, bn_sequence *seq, int32_t n_tokens);

/*
 * Makes dst (empty) a sequence with the first n_tokens positions of src: full
 * pages are shared, a partly used last page is copied.
 */
extern bn_status bn_sequence_fork(bn_kv *kv, bn_sequence *dst, const bn_sequence *src,
								  int32_t n_tokens);

/* Gives all pages back. */
extern void bn_sequence_release(bn_kv *kv, bn_sequence *seq);

/* Key or value row of a position: uint16_t[head_dim]; rows of a page follow. */
extern uint16_t *bn_kv_row(bn_kv *kv, const bn_sequence *seq, int layer, int is_value,
						   int kv_head, int32_t position);

#endif							/* BN_KV_H */
