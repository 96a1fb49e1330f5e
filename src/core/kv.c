/*-------------------------------------------------------------------------
 *
 * kv.c
 *	  The KV cache: pages of keys and values, shared between sequences.
 *
 * src/core/kv.c
 *
 *-------------------------------------------------------------------------
 */
#include "kv.h"

#include <string.h>

/*
 * Followed in memory by owners[n_pages], free_list[n_pages] and, from
 * pages_offset, the pages.
 */
struct bn_kv
{
	int32_t		n_pages;
	int32_t		n_free;
	int32_t		n_kv_heads;
	int32_t		head_dim;
	size_t		page_bytes;
	size_t		pages_offset;
};

static size_t
pages_offset(int32_t n_pages)
{
	size_t		size = sizeof(bn_kv) + 2 * sizeof(int32_t) * (size_t) n_pages;

	return (size + 63) / 64 * 64;
}

/* Number of sequences that own each page. */
static int32_t *
owners(bn_kv *kv)
{
	return (int32_t *) (kv + 1);
}

/* The free pages are free_list[0 .. n_free). */
static int32_t *
free_list(bn_kv *kv)
{
	return owners(kv) + kv->n_pages;
}

static char *
page_data(bn_kv *kv, int32_t page)
{
	return (char *) kv + kv->pages_offset + kv->page_bytes * (size_t) page;
}

size_t
bn_kv_page_bytes(const bn_config *config)
{
	return (size_t) config->n_layers * 2 * (size_t) config->n_kv_heads *
		BN_PAGE_TOKENS * (size_t) config->head_dim * sizeof(uint16_t);
}

size_t
bn_kv_size(const bn_config *config, int32_t n_pages)
{
	return pages_offset(n_pages) + bn_kv_page_bytes(config) * (size_t) n_pages;
}

bn_kv *
bn_kv_init(void *memory, const bn_config *config, int32_t n_pages)
{
	bn_kv	   *kv = memory;
	int32_t		i;

	kv->n_pages = n_pages;
	kv->n_free = n_pages;
	kv->n_kv_heads = config->n_kv_heads;
	kv->head_dim = config->head_dim;
	kv->page_bytes = bn_kv_page_bytes(config);
	kv->pages_offset = pages_offset(n_pages);
	for (i = 0; i < n_pages; i++)
	{
		owners(kv)[i] = 0;
		free_list(kv)[i] = n_pages - 1 - i;
	}
	return kv;
}

int32_t
bn_kv_free_pages(const bn_kv *kv)
{
	return kv->n_free;
}

bn_status
bn_sequence_reserve(bn_kv *kv, bn_sequence *seq, int32_t n_tokens)
{
	int32_t		wanted = bn_kv_pages(n_tokens);

	if (wanted > seq->max_pages || wanted - seq->n_pages > kv->n_free)
		return BN_ERR_NOSPACE;
	while (seq->n_pages < wanted)
	{
		int32_t		page = free_list(kv)[--kv->n_free];

		owners(kv)[page] = 1;
		seq->pages[seq->n_pages++] = page;
	}
	return BN_OK;
}

bn_status
bn_sequence_fork(bn_kv *kv, bn_sequence *dst, const bn_sequence *src, int32_t n_tokens)
{
	int32_t		n_shared = n_tokens / BN_PAGE_TOKENS;
	int32_t		i;

	if (bn_kv_pages(n_tokens) > dst->max_pages)
		return BN_ERR_NOSPACE;
	if (n_tokens % BN_PAGE_TOKENS != 0 && kv->n_free < 1)
		return BN_ERR_NOSPACE;
	for (i = 0; i < n_shared; i++)
	{
		dst->pages[i] = src->pages[i];
		owners(kv)[src->pages[i]]++;
	}
	dst->n_pages = n_shared;
	if (n_tokens % BN_PAGE_TOKENS != 0)
	{
		BN_TRY(bn_sequence_reserve(kv, dst, n_tokens));
		memcpy(page_data(kv, dst->pages[n_shared]), page_data(kv, src->pages[n_shared]),
			   kv->page_bytes);
	}
	dst->n_tokens = n_tokens;
	return BN_OK;
}

void
bn_sequence_release(bn_kv *kv, bn_sequence *seq)
{
	int32_t		i;

	for (i = 0; i < seq->n_pages; i++)
	{
		int32_t		page = seq->pages[i];

		if (--owners(kv)[page] == 0)
			free_list(kv)[kv->n_free++] = page;
	}
	seq->n_pages = 0;
	seq->n_tokens = 0;
}

uint16_t *
bn_kv_row(bn_kv *kv, const bn_sequence *seq, int layer, int is_value, int kv_head,
		  int32_t position)
{
	int32_t		page = seq->pages[position / BN_PAGE_TOKENS];
	size_t		block = ((size_t) layer * 2 + (size_t) is_value) * (size_t) kv->n_kv_heads +
		(size_t) kv_head;
	size_t		row = block * BN_PAGE_TOKENS + (size_t) (position % BN_PAGE_TOKENS);

	return (uint16_t *) page_data(kv, page) + row * (size_t) kv->head_dim;
}
