/*-------------------------------------------------------------------------
 *
 * model_vocab.h
 *	  The vocabulary of models written by make_model: byte-level BPE.
 *
 * Token ids are ranks, as in Llama 3: the 256 bytes in the order of GPT-2's
 * alphabet, then tokens made of two earlier ones, then special tokens.  The
 * made ones come from model_text.h for as long as a pair of tokens occurs
 * twice in it, then from lists: numbers, letters of two bytes, and compound
 * words, as many as are wanted.  Nothing depends on the machine.
 *
 * test/model_vocab.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef MODEL_VOCAB_H
#define MODEL_VOCAB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_text.h"

#define MAX_TOKEN_BYTES 32
#define NO_TOKEN UINT32_MAX

/* Below this many tokens in all, only the special tokens in use are there. */
#define FULL_SPECIALS_FROM 8192
#define N_SPECIALS_FULL 256
#define N_SPECIALS_SMALL 10		/* begin_of_text .. eot_id */

typedef struct token
{
	uint8_t		bytes[MAX_TOKEN_BYTES];
	uint8_t		length;
} token;

typedef struct vocabulary
{
	uint32_t	n_base;			/* bytes and made tokens */
	uint32_t	n_tokens;		/* with the special ones */
	token	   *tokens;			/* [n_base] */
	uint32_t   *table;			/* hash of bytes, id + 1 or 0 */
	uint32_t	table_mask;
	uint32_t	wanted;			/* n_base when it is complete */
} vocabulary;

/* One piece of the text, as tokens, and how often it occurs. */
typedef struct piece
{
	uint32_t	symbols[MAX_TOKEN_BYTES];
	uint32_t	n_symbols;
	uint32_t	count;
} piece;

typedef struct pair_count
{
	uint32_t	left;
	uint32_t	right;
	uint32_t	count;
} pair_count;

static void *
allocate(size_t n, size_t size)
{
	void	   *p = calloc(n ? n : 1, size);

	if (!p)
	{
		fprintf(stderr, "make_model: out of memory\n");
		exit(1);
	}
	return p;
}

/* FNV-1a */
static uint64_t
hash_bytes(const void *data, size_t length)
{
	const uint8_t *p = data;
	uint64_t	h = UINT64_C(0xcbf29ce484222325);

	while (length-- > 0)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);
	return h;
}

static uint32_t *
token_slot(const vocabulary *v, const uint8_t *bytes, size_t length)
{
	uint64_t	h = hash_bytes(bytes, length);
	uint32_t	i = (uint32_t) (h ^ (h >> 32)) & v->table_mask;

	while (v->table[i] != 0)
	{
		const token *t = &v->tokens[v->table[i] - 1];

		if (t->length == length && memcmp(t->bytes, bytes, length) == 0)
			break;
		i = (i + 1) & v->table_mask;
	}
	return &v->table[i];
}

static uint32_t
find_token(const vocabulary *v, const uint8_t *bytes, size_t length)
{
	uint32_t	slot = *token_slot(v, bytes, length);

	return slot == 0 ? NO_TOKEN : slot - 1;
}

/* Adds a token unless it is there, too long, or one too many. */
static bool
add_token(vocabulary *v, const uint8_t *bytes, size_t length)
{
	uint32_t   *slot;

	if (v->n_base == v->wanted || length > MAX_TOKEN_BYTES)
		return false;
	slot = token_slot(v, bytes, length);
	if (*slot != 0)
		return false;
	memcpy(v->tokens[v->n_base].bytes, bytes, length);
	v->tokens[v->n_base].length = (uint8_t) length;
	*slot = ++v->n_base;
	return true;
}

static bool
add_joined(vocabulary *v, uint32_t left, uint32_t right)
{
	uint8_t		bytes[2 * MAX_TOKEN_BYTES];
	const token *l = &v->tokens[left];
	const token *r = &v->tokens[right];

	memcpy(bytes, l->bytes, l->length);
	memcpy(bytes + l->length, r->bytes, r->length);
	return add_token(v, bytes, (size_t) l->length + r->length);
}

static bool
is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Does GPT-2's alphabet show this byte as the character of the same number? */
static bool
is_shown(int byte)
{
	return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 255 && byte != 173);
}

/* The character that stands for a byte in the file, as UTF-8; returns its length. */
static size_t
put_byte_character(char *out, uint8_t byte)
{
	uint32_t	c = byte;

	if (!is_shown(byte))
	{
		c = 256;
		for (int b = 0; b < byte; b++)
			c += !is_shown(b);
	}
	if (c < 0x80)
	{
		out[0] = (char) c;
		return 1;
	}
	out[0] = (char) (0xc0 | (c >> 6));
	out[1] = (char) (0x80 | (c & 0x3f));
	return 2;
}

/* A token as the file spells it: at most 2 * MAX_TOKEN_BYTES bytes. */
static size_t
put_token(char *out, const token *t)
{
	size_t		n = 0;

	for (int i = 0; i < t->length; i++)
		n += put_byte_character(out + n, t->bytes[i]);
	return n;
}

/*
 * Length of the piece at the beginning of ASCII text, as Llama 3's splitter
 * cuts it (contractions do not occur in the text).
 */
static size_t
piece_length(const uint8_t *s)
{
	size_t		n = 0;

	if (is_letter(s[0]) || (s[0] != '\n' && !is_digit(s[0]) && is_letter(s[1])))
	{
		for (n = 1; is_letter(s[n]);)
			n++;
		return n;
	}
	if (is_digit(s[0]))
	{
		while (n < 3 && is_digit(s[n]))
			n++;
		return n;
	}
	if (s[0] == ' ')
		n++;
	while (s[n] > ' ' && !is_letter(s[n]) && !is_digit(s[n]))
		n++;
	while (s[n] == '\n')
		n++;
	return n > 0 ? n : 1;
}

/* All different pieces of the text in order of first occurrence. */
static piece *
collect_pieces(const vocabulary *v, uint32_t *n_pieces)
{
	piece	   *pieces = allocate(4096, sizeof(piece));
	uint32_t	n = 0;

	for (size_t i = 0; i < sizeof(model_text) / sizeof(model_text[0]); i++)
	{
		const uint8_t *s = (const uint8_t *) model_text[i];
		size_t		length;

		for (; *s; s += length)
		{
			piece		p = {.count = 1};
			uint32_t	k = 0;

			length = piece_length(s);
			if (length > MAX_TOKEN_BYTES)
				continue;
			for (size_t j = 0; j < length; j++)
				p.symbols[p.n_symbols++] = find_token(v, s + j, 1);
			while (k < n && (pieces[k].n_symbols != p.n_symbols ||
							 memcmp(pieces[k].symbols, p.symbols, sizeof(p.symbols)) != 0))
				k++;
			if (k < n)
				pieces[k].count++;
			else if (n < 4096)
				pieces[n++] = p;
		}
	}
	*n_pieces = n;
	return pieces;
}

/* The commonest pair of neighbours; of equals, the one of the lowest ids. */
static pair_count
commonest_pair(const piece *pieces, uint32_t n_pieces, pair_count *table, uint32_t mask)
{
	pair_count	best = {0, 0, 0};

	memset(table, 0, ((size_t) mask + 1) * sizeof(pair_count));
	for (uint32_t i = 0; i < n_pieces; i++)
	{
		for (uint32_t j = 0; j + 1 < pieces[i].n_symbols; j++)
		{
			uint32_t	left = pieces[i].symbols[j];
			uint32_t	right = pieces[i].symbols[j + 1];
			uint32_t	k = (left * UINT32_C(0x9e3779b1) ^ right * UINT32_C(0x85ebca77)) & mask;
			pair_count *c;

			while (table[k].count > 0 && (table[k].left != left || table[k].right != right))
				k = (k + 1) & mask;
			c = &table[k];
			c->left = left;
			c->right = right;
			c->count += pieces[i].count;
			if (c->count > best.count ||
				(c->count == best.count &&
				 (left < best.left || (left == best.left && right < best.right))))
				best = *c;
		}
	}
	return best;
}

static void
merge_pair(piece *p, uint32_t left, uint32_t right, uint32_t joined)
{
	uint32_t	n = 0;

	for (uint32_t j = 0; j < p->n_symbols; j++)
	{
		bool		here = j + 1 < p->n_symbols && p->symbols[j] == left &&
			p->symbols[j + 1] == right;

		p->symbols[n++] = here ? joined : p->symbols[j];
		j += here;
	}
	p->n_symbols = n;
}

/* Byte pair encoding of the text, while a pair occurs at least twice. */
static void
learn_tokens(vocabulary *v)
{
	const uint32_t mask = 65535;	/* far more than the text has pairs */
	pair_count *table = allocate((size_t) mask + 1, sizeof(pair_count));
	uint32_t	n_pieces;
	piece	   *pieces = collect_pieces(v, &n_pieces);

	while (v->n_base < v->wanted)
	{
		pair_count	best = commonest_pair(pieces, n_pieces, table, mask);
		uint8_t		bytes[2 * MAX_TOKEN_BYTES];
		size_t		length;
		uint32_t	joined;

		if (best.count < 2)
			break;
		add_joined(v, best.left, best.right);
		length = v->tokens[best.left].length;
		memcpy(bytes, v->tokens[best.left].bytes, length);
		memcpy(bytes + length, v->tokens[best.right].bytes, v->tokens[best.right].length);
		joined = find_token(v, bytes, length + v->tokens[best.right].length);
		for (uint32_t i = 0; i < n_pieces; i++)
			merge_pair(&pieces[i], best.left, best.right, joined);
	}
	free(table);
	free(pieces);
}

/* 00 .. 99, 000 .. 999, and the Latin, Greek and Cyrillic letters of two bytes. */
static void
add_numbers_and_letters(vocabulary *v)
{
	static const uint8_t lead[] = {0xc3, 0xc4, 0xc5, 0xce, 0xcf, 0xd0, 0xd1};
	uint8_t		s[3];

	for (int i = 0; i < 100; i++)
	{
		s[0] = (uint8_t) ('0' + i / 10);
		s[1] = (uint8_t) ('0' + i % 10);
		add_token(v, s, 2);
	}
	for (size_t i = 0; i < sizeof(lead); i++)
	{
		for (int low = 0x80; low < 0xc0; low++)
		{
			s[0] = lead[i];
			s[1] = (uint8_t) low;
			add_token(v, s, 2);
		}
	}
	for (int i = 0; i < 1000; i++)
	{
		s[0] = (uint8_t) ('0' + i / 100);
		s[1] = (uint8_t) ('0' + i / 10 % 10);
		s[2] = (uint8_t) ('0' + i % 10);
		add_token(v, s, 3);
	}
}

/* Words made of a (beginning of a) word and a second one, shortest lists first. */
static bool
add_compounds(vocabulary *v)
{
	uint32_t   *first = allocate(v->n_base, sizeof(uint32_t));
	uint32_t   *second = allocate(v->n_base, sizeof(uint32_t));
	uint32_t	n_first = 0;
	uint32_t	n_second = 0;
	uint32_t	before = v->n_base;

	for (uint32_t i = 0; i < before; i++)
	{
		const token *t = &v->tokens[i];
		bool		letters = is_letter(t->bytes[t->length - 1]);

		for (int j = 1; j < t->length; j++)
			letters = letters && is_letter(t->bytes[j]);
		if (letters && is_letter(t->bytes[0]))
			second[n_second++] = i;
		if (letters && (is_letter(t->bytes[0]) || t->bytes[0] == ' '))
			first[n_first++] = i;
	}
	for (uint32_t sum = 0; sum < n_first + n_second && v->n_base < v->wanted; sum++)
		for (uint32_t i = 0; i <= sum && i < n_first; i++)
			if (sum - i < n_second)
				add_joined(v, first[i], second[sum - i]);
	free(first);
	free(second);
	return v->n_base > before;
}

static uint32_t
special_count(uint32_t n_tokens)
{
	return n_tokens >= FULL_SPECIALS_FROM ? N_SPECIALS_FULL : N_SPECIALS_SMALL;
}

/* The name of special token i, counted from the first one, as in Llama 3. */
static size_t
put_special(char *out, size_t size, uint32_t i)
{
	static const char *const named[N_SPECIALS_SMALL] = {
		"<|begin_of_text|>", "<|end_of_text|>", NULL, NULL, NULL, NULL,
		"<|start_header_id|>", "<|end_header_id|>", NULL, "<|eot_id|>"
	};

	if (i < N_SPECIALS_SMALL && named[i])
		return (size_t) snprintf(out, size, "%s", named[i]);
	return (size_t) snprintf(out, size, "<|reserved_special_token_%u|>",
							 (unsigned) (i < 6 ? i - 2 : i == 8 ? 4 : i - 5));
}

/* n_tokens must be at least 256 + special_count. */
static void
make_vocabulary(vocabulary *v, uint32_t n_tokens)
{
	memset(v, 0, sizeof(*v));
	v->n_tokens = n_tokens;
	v->wanted = n_tokens - special_count(n_tokens);
	v->tokens = allocate(v->wanted, sizeof(token));
	for (v->table_mask = 1; v->table_mask < 2 * v->wanted;)
		v->table_mask = v->table_mask * 2 + 1;
	v->table = allocate((size_t) v->table_mask + 1, sizeof(uint32_t));
	for (int shown = 1; shown >= 0; shown--)
	{
		for (int b = 0; b < 256; b++)
		{
			uint8_t		byte = (uint8_t) b;

			if (is_shown(b) == shown)
				add_token(v, &byte, 1);
		}
	}
	learn_tokens(v);
	add_numbers_and_letters(v);
	while (v->n_base < v->wanted && add_compounds(v))
		;
	if (v->n_base < v->wanted)
	{
		fprintf(stderr, "make_model: cannot make that many tokens\n");
		exit(1);
	}
}

/*
 * The merges that give token id, as published files list them: every way to
 * cut it into two tokens, lowest ids first.  Returns their number; cuts gets
 * the lengths of the left halves.
 */
static int
token_merges(const vocabulary *v, uint32_t id, uint8_t cuts[MAX_TOKEN_BYTES])
{
	const token *t = &v->tokens[id];
	uint32_t	left[MAX_TOKEN_BYTES];
	int			n = 0;

	for (uint8_t cut = 1; cut < t->length; cut++)
	{
		uint32_t	l = find_token(v, t->bytes, cut);
		int			at = n;

		if (l == NO_TOKEN ||
			find_token(v, t->bytes + cut, (size_t) t->length - cut) == NO_TOKEN)
			continue;
		for (; at > 0 && left[at - 1] > l; at--)
		{
			left[at] = left[at - 1];
			cuts[at] = cuts[at - 1];
		}
		left[at] = l;
		cuts[at] = cut;
		n++;
	}
	return n;
}

static void
free_vocabulary(vocabulary *v)
{
	free(v->tokens);
	free(v->table);
}

#endif							/* MODEL_VOCAB_H */
