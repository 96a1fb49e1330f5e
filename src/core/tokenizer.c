/*-------------------------------------------------------------------------
 *
 * tokenizer.c
 *	  Text to tokens by byte-level BPE.
 *
 * A piece of text starts as one token for each byte.  Then, again and again,
 * the two neighbours whose merge has the lowest rank become one token, the
 * leftmost of equals first, until no neighbours can be merged.
 *
 * Nearly all pieces are words of a few bytes, for which a scan for the best
 * pair is the fastest; long ones use a heap, so that a megabyte without a
 * space costs n log n.
 *
 * src/core/tokenizer.c
 *
 *-------------------------------------------------------------------------
 */
#include "tokenizer.h"

#include <string.h>

#include "splitter.h"
#include "utf8.h"
#include "vocab.h"

#define SMALL_PIECE 64			/* bytes up to which no scratch is needed */
#define CUT_BYTES 16			/* see bn_encode_scratch_size */

#define NO_NODE UINT32_MAX

/* A token of a long piece; its index is the place of its first byte. */
typedef struct node
{
	int32_t		token;
	uint32_t	rank;			/* of the merge with the next, or BN_NO_RANK */
	uint32_t	previous;
	uint32_t	next;			/* or the piece's length */
} node;

/* A merge that waits: rank in the upper half, the left node in the lower. */
typedef uint64_t candidate;

/* Each merge takes one candidate from the heap and adds at most two. */
#define SCRATCH_PER_BYTE (sizeof(node) + 2 * sizeof(candidate))

typedef struct encoder
{
	const bn_vocab *vocab;
	int32_t    *tokens;			/* NULL: only count */
	size_t		max_tokens;
	size_t		n_tokens;
	size_t		consumed;
	void	   *scratch;
	size_t		scratch_size;
	size_t		work;			/* units since should_stop was asked */
	const bn_hooks *hooks;
	bn_error   *err;
} encoder;

static bool
is_full(const encoder *e)
{
	return e->tokens && e->n_tokens >= e->max_tokens;
}

/* One more token, which covers bytes more of the text. */
static void
emit(encoder *e, int32_t token, size_t bytes)
{
	if (e->tokens)
		e->tokens[e->n_tokens] = token;
	e->n_tokens++;
	e->consumed += bytes;
}

/* Counts work, and asks now and then whether to go on. */
static bn_status
count_work(encoder *e, size_t units)
{
	e->work += units;
	if (e->work < BN_STOP_INTERVAL)
		return BN_OK;
	e->work = 0;
	if (bn_should_stop(e->hooks))
		return bn_fail(e->err, BN_ERR_CANCELED, BN_NO_OFFSET, "canceled");
	return BN_OK;
}

static int32_t
byte_token(const bn_vocab *vocab, uint8_t byte)
{
	int32_t		token = ((const int32_t *) bn_vocab_at(vocab, vocab->byte_offset))[byte];

	return token >= 0 && token < vocab->n_tokens ? token : 0;
}

static uint32_t
merge_rank(const bn_vocab *vocab, int32_t left, int32_t right)
{
	const bn_merge *m = bn_merge_find(vocab, left, right);

	return m ? m->rank : BN_NO_RANK;
}

/* Merges the tokens of a piece of at most SMALL_PIECE bytes. */
static void
encode_small(encoder *e, const uint8_t *piece, size_t length)
{
	const bn_vocab *vocab = e->vocab;
	int32_t		token[SMALL_PIECE];
	uint32_t	rank[SMALL_PIECE];	/* of the merge with the next */
	uint8_t		start[SMALL_PIECE + 1];
	size_t		n = length;

	for (size_t i = 0; i < n; i++)
	{
		token[i] = byte_token(vocab, piece[i]);
		start[i] = (uint8_t) i;
	}
	start[n] = (uint8_t) length;
	for (size_t i = 0; i + 1 < n; i++)
		rank[i] = merge_rank(vocab, token[i], token[i + 1]);

	while (n > 1)
	{
		size_t		best = 0;
		const bn_merge *m;

		for (size_t i = 1; i + 1 < n; i++)
			if (rank[i] < rank[best])
				best = i;
		if (rank[best] == BN_NO_RANK)
			break;
		m = bn_merge_find(vocab, token[best], token[best + 1]);
		token[best] = (int32_t) m->result;
		n--;
		memmove(token + best + 1, token + best + 2, (n - best - 1) * sizeof(token[0]));
		memmove(start + best + 1, start + best + 2, (n - best) * sizeof(start[0]));
		memmove(rank + best, rank + best + 1, (n - best - 1) * sizeof(rank[0]));
		if (best > 0)
			rank[best - 1] = merge_rank(vocab, token[best - 1], token[best]);
		if (best + 1 < n)
			rank[best] = merge_rank(vocab, token[best], token[best + 1]);
	}
	for (size_t i = 0; i < n && !is_full(e); i++)
		emit(e, token[i], (size_t) (start[i + 1] - start[i]));
}

/*
 * The heap of candidates: four children to a node, which touches fewer cache
 * lines than two.  A candidate whose merge has become impossible stays until
 * it comes to the top.
 */
static void
heap_up(candidate *heap, size_t at, candidate c)
{
	while (at > 0)
	{
		size_t		parent = (at - 1) / 4;

		if (heap[parent] <= c)
			break;
		heap[at] = heap[parent];
		at = parent;
	}
	heap[at] = c;
}

/* Puts a candidate in the place of the first one. */
static void
heap_down(candidate *heap, size_t n, candidate c)
{
	size_t		at = 0;
	size_t		child;

	while ((child = 4 * at + 1) < n)
	{
		size_t		best = child;

		if (child + 3 < n)
		{
			/* without branches, which would be mispredicted half of the time */
			size_t		a = child + (heap[child + 1] < heap[child]);
			size_t		b = child + 2 + (heap[child + 3] < heap[child + 2]);

			best = heap[b] < heap[a] ? b : a;
		}
		else
		{
			for (child++; child < n; child++)
				if (heap[child] < heap[best])
					best = child;
		}
		if (heap[best] >= c)
			break;
		heap[at] = heap[best];
		at = best;
	}
	heap[at] = c;
}

/* Sets the rank of a node and its next, and adds the candidate. */
static void
add_candidate(const bn_vocab *vocab, node *nodes, uint32_t at, uint32_t length,
			  candidate *heap, size_t *n_heap)
{
	node	   *left = &nodes[at];

	left->rank = left->next < length ?
		merge_rank(vocab, left->token, nodes[left->next].token) : BN_NO_RANK;
	if (left->rank != BN_NO_RANK)
	{
		heap_up(heap, *n_heap, (candidate) left->rank << 32 | at);
		(*n_heap)++;
	}
}

/* Joins a node with its next. */
static void
join(const bn_vocab *vocab, node *nodes, uint32_t at, uint32_t length)
{
	node	   *left = &nodes[at];
	node	   *right = &nodes[left->next];
	const bn_merge *m = bn_merge_find(vocab, left->token, right->token);

	left->token = (int32_t) m->result;
	left->next = right->next;
	right->rank = BN_NO_RANK;	/* its candidate is void */
	if (left->next < length)
		nodes[left->next].previous = at;
}

/* Merges the tokens of a piece of any length; length < UINT32_MAX. */
static bn_status
encode_large(encoder *e, const uint8_t *piece, uint32_t length)
{
	const bn_vocab *vocab = e->vocab;
	node	   *nodes = e->scratch;
	candidate  *heap = (candidate *) (nodes + length);
	size_t		n_heap = 0;

	for (uint32_t i = 0; i < length; i++)
	{
		BN_TRY(count_work(e, 1));
		nodes[i].token = byte_token(vocab, piece[i]);
		nodes[i].previous = i > 0 ? i - 1 : NO_NODE;
		nodes[i].next = i + 1;
	}
	for (uint32_t i = 0; i < length; i++)
	{
		BN_TRY(count_work(e, 1));
		add_candidate(vocab, nodes, i, length, heap, &n_heap);
	}

	while (n_heap > 0)
	{
		uint32_t	rank = (uint32_t) (heap[0] >> 32);
		uint32_t	at = (uint32_t) heap[0];

		BN_TRY(count_work(e, 1));
		n_heap--;
		heap_down(heap, n_heap, heap[n_heap]);
		if (nodes[at].rank != rank)
			continue;
		join(vocab, nodes, at, length);
		add_candidate(vocab, nodes, at, length, heap, &n_heap);
		if (nodes[at].previous != NO_NODE)
			add_candidate(vocab, nodes, nodes[at].previous, length, heap, &n_heap);
	}

	for (uint32_t i = 0; i < length && !is_full(e); i = nodes[i].next)
	{
		BN_TRY(count_work(e, 1));
		emit(e, nodes[i].token, nodes[i].next - i);
	}
	return BN_OK;
}

static bn_status
encode_piece(encoder *e, const uint8_t *piece, size_t length)
{
	BN_TRY(count_work(e, length));
	if (length > SMALL_PIECE &&
		(length >= UINT32_MAX || length > e->scratch_size / SCRATCH_PER_BYTE))
		return bn_fail(e->err, BN_ERR_NOSPACE, BN_NO_OFFSET,
					   "a word of %lu bytes needs more than %lu bytes of memory",
					   (uint64_t) length, (uint64_t) e->scratch_size);
	if (e->vocab->ignore_merges)
	{
		int32_t		token = bn_text_token(e->vocab, piece, length);

		if (token != BN_NO_TOKEN)
		{
			emit(e, token, length);
			return BN_OK;
		}
	}
	if (length > SMALL_PIECE)
		return encode_large(e, piece, (uint32_t) length);
	encode_small(e, piece, length);
	return BN_OK;
}

/* All pieces of a text; stops when full. */
static bn_status
encode_text(encoder *e, const uint8_t *text, size_t length)
{
	size_t		at = 0;

	while (at < length && !is_full(e))
	{
		size_t		end = bn_split_next((bn_splitter) e->vocab->splitter, text, length, at,
										   e->hooks);

		BN_TRY(encode_piece(e, text + at, end - at));
		at = end;
	}
	return BN_OK;
}

/* Bytes of the white space that the text begins with; fewer if it is to stop. */
static size_t
space_length(const uint8_t *text, size_t length, const bn_hooks *hooks)
{
	size_t		at = 0;
	size_t		bytes;

	for (size_t n = 1; at < length; n++)
	{
		if (bn_code_class(bn_utf8_decode(text + at, length - at, &bytes)) != BN_CLASS_SPACE ||
			(n % BN_STOP_INTERVAL == 0 && bn_should_stop(hooks)))
			break;
		at += bytes;
	}
	return at;
}

/*
 * A piece of the text can be longer where the text is trimmed, or where a space
 * is put before it: a word can gain a symbol before it and the letters of a
 * contraction (CUT_BYTES is more than that), and white space, which is several
 * pieces, can become one.  So the longest piece or white space is looked for.
 */
bn_status
bn_encode_scratch_size(const bn_vocab *vocab, const char *text, size_t length,
					   size_t *size, const bn_hooks *hooks, bn_error *err)
{
	const uint8_t *bytes = (const uint8_t *) text;
	size_t		longest = 0;
	size_t		line_end = 0;	/* bytes of a previous piece that ends in newlines */
	size_t		at = 0;
	size_t		asked = 0;		/* where should_stop was asked last */

	while (at < length)
	{
		size_t		end = bn_split_next((bn_splitter) vocab->splitter, bytes, length, at,
										   hooks);
		size_t		space = space_length(bytes + at, length - at, hooks);
		size_t		piece = end - at > space + line_end ? end - at : space + line_end;

		if (piece > longest)
			longest = piece;
		line_end = bytes[end - 1] == '\n' || bytes[end - 1] == '\r' ? end - at : 0;
		at = end;
		if (at - asked >= BN_STOP_INTERVAL)
		{
			asked = at;
			if (bn_should_stop(hooks))
				return bn_fail(err, BN_ERR_CANCELED, BN_NO_OFFSET, "canceled");
		}
	}
	longest += CUT_BYTES;
	if (longest <= SMALL_PIECE)
		*size = 0;
	else if (longest > SIZE_MAX / SCRATCH_PER_BYTE)
		*size = SIZE_MAX;
	else
		*size = longest * SCRATCH_PER_BYTE;
	return BN_OK;
}

bn_status
bn_encode(const bn_vocab *vocab, const char *text, size_t length,
		  int32_t *tokens, size_t max_tokens, size_t *n_tokens, size_t *consumed,
		  void *scratch, size_t scratch_size, const bn_hooks *hooks, bn_error *err)
{
	encoder		e = {
		.vocab = vocab, .tokens = tokens,
		.max_tokens = max_tokens, .scratch = scratch, .scratch_size = scratch_size,
		.hooks = hooks, .err = err
	};
	bn_status	status;

	*n_tokens = 0;
	if (consumed)
		*consumed = 0;
	if ((uintptr_t) scratch % 8 != 0)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET, "scratch memory is not aligned");
	status = encode_text(&e, (const uint8_t *) text, length);
	*n_tokens = e.n_tokens;
	if (consumed)
		*consumed = e.consumed;
	return status;
}
