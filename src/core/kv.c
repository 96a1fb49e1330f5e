/*-------------------------------------------------------------------------
 *
 * kv.c
 *	  The KV cache: pages of keys and values, shared by content.
 *
 * src/core/kv.c
 *
 *-------------------------------------------------------------------------
 */
#include "kv.h"

#include <string.h>

#include "bytes.h"

#define NONE (-1)

typedef struct page
{
	int32_t		owners;			/* sequences that use it */
	int32_t		parent;			/* the page before it, NONE: it is the first */
	int32_t		first_child;
	int32_t		next;			/* child of the same parent */
	int32_t		previous;
	int32_t		newer;			/* in the list of the pages that are kept */
	int32_t		older;
	int32_t		n_known;		/* positions whose token is known */
	int32_t		n_filled;		/* positions whose keys and values are stored */
	int32_t		tokens[BN_PAGE_TOKENS];
} page;

/*
 * Followed in memory by info[n_pages], free_list[n_pages] and, from
 * blocks_offset, the keys and values.
 */
struct bn_kv
{
	int32_t		n_pages;
	int32_t		n_free;
	int32_t		n_cached;		/* kept, without an owner */
	int32_t		first_root;		/* first of the pages without a parent */
	int32_t		newest;			/* of those that are kept */
	int32_t		oldest;
	int32_t		n_layers;
	int32_t		n_kv_heads;
	int32_t		head_dim;
	size_t		blocks_offset;
};

static size_t
blocks_offset(int32_t n_pages)
{
	return bn_align_up(sizeof(bn_kv) + (sizeof(page) + sizeof(int32_t)) * (size_t) n_pages, 64);
}

static page *
info(const bn_kv *kv, int32_t number)
{
	return (page *) (kv + 1) + number;
}

/* The free pages are free_list[0 .. n_free). */
static int32_t *
free_list(bn_kv *kv)
{
	return (int32_t *) info(kv, kv->n_pages);
}

/* What page "number" has of one of the [n_layers][2][n_kv_heads] blocks. */
static uint16_t *
page_rows(bn_kv *kv, size_t block, int32_t number)
{
	size_t		row = (block * (size_t) kv->n_pages + (size_t) number) * BN_PAGE_TOKENS;

	return (uint16_t *) ((char *) kv + kv->blocks_offset) + row * (size_t) kv->head_dim;
}

static void
copy_page(bn_kv *kv, int32_t to, int32_t from)
{
	size_t		n_blocks = (size_t) kv->n_layers * 2 * (size_t) kv->n_kv_heads;
	size_t		bytes = BN_PAGE_TOKENS * (size_t) kv->head_dim * sizeof(uint16_t);
	size_t		block;

	for (block = 0; block < n_blocks; block++)
		memcpy(page_rows(kv, block, to), page_rows(kv, block, from), bytes);
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
	return blocks_offset(n_pages) + bn_kv_page_bytes(config) * (size_t) n_pages;
}

bn_kv *
bn_kv_init(void *memory, const bn_config *config, int32_t n_pages)
{
	bn_kv	   *kv = memory;
	int32_t		i;

	kv->n_pages = n_pages;
	kv->n_free = n_pages;
	kv->n_cached = 0;
	kv->first_root = kv->newest = kv->oldest = NONE;
	kv->n_layers = config->n_layers;
	kv->n_kv_heads = config->n_kv_heads;
	kv->head_dim = config->head_dim;
	kv->blocks_offset = blocks_offset(n_pages);
	for (i = 0; i < n_pages; i++)
		free_list(kv)[i] = n_pages - 1 - i;
	return kv;
}

int32_t
bn_kv_n_pages(const bn_kv *kv)
{
	return kv->n_pages;
}

int32_t
bn_kv_free_pages(const bn_kv *kv)
{
	return kv->n_free;
}

int32_t
bn_kv_cached_pages(const bn_kv *kv)
{
	return kv->n_cached;
}

/* ---- the tree ---- */

static int32_t *
first_child(bn_kv *kv, int32_t parent)
{
	return parent == NONE ? &kv->first_root : &info(kv, parent)->first_child;
}

static void
link_child(bn_kv *kv, int32_t parent, int32_t number)
{
	int32_t    *first = first_child(kv, parent);
	page	   *p = info(kv, number);

	p->parent = parent;
	p->previous = NONE;
	p->next = *first;
	if (*first != NONE)
		info(kv, *first)->previous = number;
	*first = number;
}

static void
unlink_child(bn_kv *kv, int32_t number)
{
	page	   *p = info(kv, number);

	if (p->previous != NONE)
		info(kv, p->previous)->next = p->next;
	else
		*first_child(kv, p->parent) = p->next;
	if (p->next != NONE)
		info(kv, p->next)->previous = p->previous;
}

/* How many of n tokens a page begins with, of those that it has or will have. */
static int32_t
common_tokens(const page *p, bool promised, const int32_t *tokens, int32_t n)
{
	int32_t		most = promised ? p->n_known : p->n_filled;
	int32_t		i;

	for (i = 0; i < most && i < n && p->tokens[i] == tokens[i]; i++)
		;
	return i;
}

/* The child of a page (NONE: the root) that begins with most of n tokens, and with how many. */
static int32_t
best_child(const bn_kv *kv, int32_t parent, bool promised, const int32_t *tokens, int32_t n,
		   int32_t *n_common)
{
	int32_t		child = parent == NONE ? kv->first_root : info(kv, parent)->first_child;
	int32_t		best = NONE;

	*n_common = 0;
	for (; child != NONE && *n_common < n && *n_common < BN_PAGE_TOKENS; child = info(kv, child)->next)
	{
		int32_t		common = common_tokens(info(kv, child), promised, tokens, n);

		if (common > *n_common)
		{
			best = child;
			*n_common = common;
		}
	}
	return best;
}

static int32_t
find_beginning(const bn_kv *kv, bool promised, const int32_t *tokens, int32_t n_tokens)
{
	int32_t		at = NONE;
	int32_t		n = 0;
	int32_t		common;

	do
	{
		at = best_child(kv, at, promised, tokens + n, n_tokens - n, &common);
		n += common;
	} while (common == BN_PAGE_TOKENS);
	return n;
}

bn_kv_match
bn_kv_find(const bn_kv *kv, const int32_t *tokens, int32_t n_tokens)
{
	bn_kv_match match;

	match.n_ready = find_beginning(kv, false, tokens, n_tokens);
	match.n_promised = find_beginning(kv, true, tokens, n_tokens);
	return match;
}

/* ---- pages without an owner ---- */

static void
keep(bn_kv *kv, int32_t number)
{
	page	   *p = info(kv, number);

	p->newer = NONE;
	p->older = kv->newest;
	if (kv->newest != NONE)
		info(kv, kv->newest)->newer = number;
	else
		kv->oldest = number;
	kv->newest = number;
	kv->n_cached++;
}

static void
unkeep(bn_kv *kv, int32_t number)
{
	page	   *p = info(kv, number);

	if (p->newer != NONE)
		info(kv, p->newer)->older = p->older;
	else
		kv->newest = p->older;
	if (p->older != NONE)
		info(kv, p->older)->newer = p->newer;
	else
		kv->oldest = p->newer;
	kv->n_cached--;
}

/* A page for a new owner; there must be one that is free or can be given up. */
static int32_t
take_page(bn_kv *kv)
{
	int32_t		number;

	if (kv->n_free > 0)
		number = free_list(kv)[--kv->n_free];
	else
	{
		number = kv->oldest;
		unkeep(kv, number);
		unlink_child(kv, number);
	}
	*info(kv, number) = (page) {.owners = 1, .first_child = NONE};
	return number;
}

static void
own(bn_kv *kv, int32_t number)
{
	if (info(kv, number)->owners++ == 0)
		unkeep(kv, number);
}

/* Another page with all that this one holds, which two sequences computed at the same time. */
static int32_t
find_twin(const bn_kv *kv, int32_t number)
{
	const page *p = info(kv, number);
	int32_t		twin = p->parent == NONE ? kv->first_root : info(kv, p->parent)->first_child;

	for (; twin != NONE; twin = info(kv, twin)->next)
		if (twin != number &&
			common_tokens(info(kv, twin), false, p->tokens, p->n_filled) == p->n_filled)
			break;
	return twin;
}

/* Ends the use of a page by one sequence. */
static void
disown(bn_kv *kv, int32_t number)
{
	page	   *p = info(kv, number);
	int32_t		twin;

	if (--p->owners > 0)
		return;
	p->n_known = p->n_filled;
	twin = p->n_filled > 0 ? find_twin(kv, number) : NONE;
	if (p->n_filled > 0 && twin == NONE)
	{
		keep(kv, number);
		return;
	}
	while (p->first_child != NONE)
	{
		int32_t		child = p->first_child;

		unlink_child(kv, child);
		link_child(kv, twin, child);
	}
	if (twin != NONE && info(kv, twin)->owners == 0)
	{
		unkeep(kv, twin);		/* it must be newer than its new children */
		keep(kv, twin);
	}
	unlink_child(kv, number);
	free_list(kv)[kv->n_free++] = number;
}

/* ---- sequences ---- */

/* A page for the tokens of the sequence's next positions, of which n are known. */
static int32_t
add_page(bn_kv *kv, bn_sequence *seq, const int32_t *tokens, int32_t n)
{
	int32_t		number = take_page(kv);
	page	   *p = info(kv, number);

	if (n > BN_PAGE_TOKENS)
		n = BN_PAGE_TOKENS;
	if (n > 0)
	{
		memcpy(p->tokens, tokens, sizeof(int32_t) * (size_t) n);
		p->n_known = n;
	}
	link_child(kv, seq->n_pages > 0 ? seq->pages[seq->n_pages - 1] : NONE, number);
	seq->pages[seq->n_pages++] = number;
	return number;
}

bn_status
bn_sequence_begin(bn_kv *kv, bn_sequence *seq, const int32_t *tokens, int32_t n_tokens,
				  int32_t n_reused, int32_t n_positions)
{
	int32_t		n_wanted = bn_kv_pages(n_positions);
	int32_t		n_rest = n_reused % BN_PAGE_TOKENS;
	int32_t		source = NONE;
	int32_t		last = NONE;
	int32_t		common;

	if (n_wanted > seq->max_pages)
		return BN_ERR_NOSPACE;
	while (seq->n_pages < n_reused / BN_PAGE_TOKENS)
	{
		last = best_child(kv, last, false, tokens + seq->n_pages * BN_PAGE_TOKENS,
						  BN_PAGE_TOKENS, &common);
		own(kv, last);
		seq->pages[seq->n_pages++] = last;
	}
	if (n_rest > 0)
	{
		source = best_child(kv, last, false, tokens + n_reused - n_rest, n_rest, &common);
		own(kv, source);		/* lest it be given up for its own copy */
	}
	if (n_wanted - seq->n_pages > kv->n_free + kv->n_cached)
	{
		if (source != NONE)
			disown(kv, source);
		bn_sequence_release(kv, seq);
		return BN_ERR_NOSPACE;
	}

	while (seq->n_pages < n_wanted)
	{
		int32_t		from = seq->n_pages * BN_PAGE_TOKENS;
		int32_t		number = add_page(kv, seq, tokens + from, n_tokens - from);

		if (source != NONE)
		{
			copy_page(kv, number, source);
			info(kv, number)->n_filled = n_rest;
			disown(kv, source);
			source = NONE;
		}
	}
	seq->n_tokens = n_reused;
	return BN_OK;
}

void
bn_sequence_fill(bn_kv *kv, const bn_sequence *seq, int32_t position, int32_t token)
{
	page	   *p = info(kv, seq->pages[position / BN_PAGE_TOKENS]);
	int32_t		i = position % BN_PAGE_TOKENS;

	p->tokens[i] = token;
	p->n_filled = i + 1;
	if (p->n_known < p->n_filled)
		p->n_known = p->n_filled;
}

/* The last page first: what is kept is then newer than what follows it. */
void
bn_sequence_release(bn_kv *kv, bn_sequence *seq)
{
	while (seq->n_pages > 0)
		disown(kv, seq->pages[--seq->n_pages]);
	seq->n_tokens = 0;
}

uint16_t *
bn_kv_row(bn_kv *kv, const bn_sequence *seq, int layer, int is_value, int kv_head,
		  int32_t position)
{
	size_t		block = ((size_t) layer * 2 + (size_t) is_value) * (size_t) kv->n_kv_heads +
		(size_t) kv_head;

	return page_rows(kv, block, seq->pages[position / BN_PAGE_TOKENS]) +
		(size_t) (position % BN_PAGE_TOKENS) * (size_t) kv->head_dim;
}
