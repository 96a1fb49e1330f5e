/*-------------------------------------------------------------------------
 *
 * splitter.c
 *	  The regular expressions of byte-level BPE vocabularies, written out.
 *
 * In these expressions alternatives are tried in order and quantifiers are
 * greedy, so each alternative is a function that returns the end of its match,
 * or its start if it does not match, and the first match wins.
 *
 * llama3:
 *	  (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3}
 *	  |  ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+
 * qwen2: the same with a single \p{N}
 * gpt2:
 *	  's|'t|'re|'ve|'m|'ll|'d |  ?\p{L}+ |  ?\p{N}+ |  ?[^\s\p{L}\p{N}]+
 *	  | \s+(?!\S) | \s+
 *
 * src/core/splitter.c
 *
 *-------------------------------------------------------------------------
 */
#include "splitter.h"

#include <stdbool.h>

#include "unicode_tables.h"
#include "utf8.h"

#define LONG_S 0x017F			/* the only non-ASCII letter that folds to one
								 * of a contraction's */

typedef struct split_text
{
	const uint8_t *bytes;
	size_t		length;
	const bn_hooks *hooks;
} split_text;

bn_class
bn_code_class(uint32_t code)
{
	uint32_t	from = 0;
	uint32_t	to = BN_N_CLASS_RANGES;

	if (code < 0x80)
	{
		if ((code | 0x20) - 'a' < 26)
			return BN_CLASS_LETTER;
		if (code - '0' < 10)
			return BN_CLASS_NUMBER;
		return code == ' ' || code - '\t' < 5 ? BN_CLASS_SPACE : BN_CLASS_OTHER;
	}

	/* the first range that does not end before code */
	while (from < to)
	{
		uint32_t	middle = (from + to) / 2;

		if (bn_class_ranges[middle].last < code)
			from = middle + 1;
		else
			to = middle;
	}
	if (from == BN_N_CLASS_RANGES || code < bn_class_ranges[from].first)
		return BN_CLASS_OTHER;
	return (bn_class) bn_class_ranges[from].code_class;
}

/* The class of the element at p, and the place after it. */
static bn_class
class_at(const split_text *t, size_t p, size_t *next)
{
	size_t		bytes = 1;
	uint32_t	code = t->bytes[p];

	if (code >= 0x80)
		code = bn_utf8_decode(t->bytes + p, t->length - p, &bytes);
	*next = p + bytes;
	return bn_code_class(code);
}

static bool
is_newline(const split_text *t, size_t p)
{
	return t->bytes[p] == '\r' || t->bytes[p] == '\n';
}

/* After n elements of a piece: is it to end here? */
static bool
is_stopped(const split_text *t, size_t n)
{
	return n > 0 && n % BN_STOP_INTERVAL == 0 && bn_should_stop(t->hooks);
}

/* The end of the run of elements of one class, at most limit of them. */
static size_t
run_end(const split_text *t, size_t p, bn_class wanted, size_t limit)
{
	for (size_t n = 0; p < t->length && n < limit; n++)
	{
		size_t		next;

		if (class_at(t, p, &next) != wanted || is_stopped(t, n))
			break;
		p = next;
	}
	return p;
}

/*
 * '(s|t|re|ve|m|ll|d).  Ignoring case, the way of Unicode's simple case
 * folding, s is also U+017F.
 */
static size_t
match_contraction(const split_text *t, size_t p, bool ignore_case)
{
	uint32_t	letter[2] = {0, 0};
	size_t		end[2] = {p, p};
	size_t		q = p + 1;

	if (t->bytes[p] != '\'')
		return p;
	for (int i = 0; i < 2 && q < t->length; i++)
	{
		size_t		bytes;
		uint32_t	code = bn_utf8_decode(t->bytes + q, t->length - q, &bytes);

		if (ignore_case && code >= 'A' && code <= 'Z')
			code += 'a' - 'A';
		else if (ignore_case && code == LONG_S)
			code = 's';
		letter[i] = code;
		q += bytes;
		end[i] = q;
	}
	switch (letter[0])
	{
		case 's':
		case 't':
		case 'm':
		case 'd':
			return end[0];
		case 'r':
		case 'v':
			return letter[1] == 'e' ? end[1] : p;
		case 'l':
			return letter[1] == 'l' ? end[1] : p;
		default:
			return p;
	}
}

/* [^\r\n\p{L}\p{N}]?\p{L}+ */
static size_t
match_word(const split_text *t, size_t p)
{
	size_t		next;
	bn_class	first = class_at(t, p, &next);
	size_t		letters = p;
	size_t		end;

	if (first != BN_CLASS_LETTER)
	{
		if (first == BN_CLASS_NUMBER || is_newline(t, p))
			return p;
		letters = next;
	}
	end = run_end(t, letters, BN_CLASS_LETTER, SIZE_MAX);
	return end > letters ? end : p;
}

/* " ?" and a run of one class */
static size_t
match_spaced_run(const split_text *t, size_t p, bn_class wanted)
{
	size_t		start = t->bytes[p] == ' ' ? p + 1 : p;
	size_t		end = run_end(t, start, wanted, SIZE_MAX);

	return end > start ? end : p;
}

/* " ?[^\s\p{L}\p{N}]+[\r\n]*" */
static size_t
match_symbols(const split_text *t, size_t p)
{
	size_t		end = match_spaced_run(t, p, BN_CLASS_OTHER);

	if (end > p)
		for (size_t n = 0; end < t->length && is_newline(t, end) && !is_stopped(t, n); n++)
			end++;
	return end;
}

/*
 * The alternatives that begin with white space: \s*[\r\n]+ if newlines is set
 * (up to the last line end of the run), then \s+(?!\S) (the run, less its last
 * element if something follows), then \s+.
 */
static size_t
match_space(const split_text *t, size_t p, bool newlines)
{
	size_t		after_newline = p;
	size_t		last = p;		/* start of the run's last element */
	size_t		end = p;

	for (size_t n = 0; end < t->length; n++)
	{
		size_t		next;

		if (is_stopped(t, n))
			return end;
		if (class_at(t, end, &next) != BN_CLASS_SPACE)
			break;
		if (is_newline(t, end))
			after_newline = next;
		last = end;
		end = next;
	}
	if (newlines && after_newline > p)
		return after_newline;
	if (end < t->length && last > p)
		return last;
	return end;
}

static size_t
split_llama3(const split_text *t, size_t p, size_t max_digits)
{
	size_t		end;

	if ((end = match_contraction(t, p, true)) > p ||
		(end = match_word(t, p)) > p ||
		(end = run_end(t, p, BN_CLASS_NUMBER, max_digits)) > p ||
		(end = match_symbols(t, p)) > p)
		return end;
	return match_space(t, p, true);
}

static size_t
split_gpt2(const split_text *t, size_t p)
{
	size_t		end;

	if ((end = match_contraction(t, p, false)) > p ||
		(end = match_spaced_run(t, p, BN_CLASS_LETTER)) > p ||
		(end = match_spaced_run(t, p, BN_CLASS_NUMBER)) > p ||
		(end = match_spaced_run(t, p, BN_CLASS_OTHER)) > p)
		return end;
	return match_space(t, p, false);
}

size_t
bn_split_next(bn_splitter splitter, const uint8_t *text, size_t length, size_t start,
			  const bn_hooks *hooks)
{
	split_text	t = {text, length, hooks};

	switch (splitter)
	{
		case BN_SPLIT_GPT2:
			return split_gpt2(&t, start);
		case BN_SPLIT_QWEN2:
			return split_llama3(&t, start, 1);
		case BN_SPLIT_LLAMA3:
		default:
			return split_llama3(&t, start, 3);
	}
}
