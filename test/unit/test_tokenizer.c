/*-------------------------------------------------------------------------
 *
 * test_tokenizer.c
 *	  Text to tokens and back, against a reference and by properties.
 *
 * test/unit/test_tokenizer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <time.h>

#include "splitter_cases.h"
#include "tap.h"
#include "vocab_file.h"
#include "../../src/core/splitter.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

static const char *const splitters[3] = {"llama-bpe", "qwen2", "gpt-2"};

static uint32_t random_state = 1;

static uint32_t
next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

typedef struct encoding
{
	int32_t    *ids;			/* room for one more than there are bytes */
	size_t		n;
	size_t		consumed;
	bn_status	status;
} encoding;

/* Encodes with memory of exactly the announced sizes. */
static encoding
encode_some(const bn_vocab *v, const char *text, size_t length, size_t max)
{
	encoding	e;
	size_t		scratch_size;
	void	   *scratch;
	char	   *exact = malloc(length + 1);

	bn_encode_scratch_size(v, text, length, &scratch_size, NULL, NULL);
	scratch = malloc(scratch_size);
	memcpy(exact + 1, text, length);
	e.ids = malloc(max * sizeof(int32_t) + 1);
	e.status = bn_encode(v, exact + 1, length, e.ids, max, &e.n, &e.consumed,
						 scratch, scratch_size, NULL, NULL);
	free(exact);
	free(scratch);
	return e;
}

static encoding
encode(const bn_vocab *v, const char *text, size_t length)
{
	return encode_some(v, text, length, length + 1);
}

static bool
has_ids(const encoding *e, const int16_t *ids, int n)
{
	if (e->status != BN_OK || e->n != (size_t) n)
		return false;
	for (int i = 0; i < n; i++)
		if (e->ids[i] != ids[i])
			return false;
	return true;
}

/* Do the tokens spell these bytes? */
static bool
spells(const bn_vocab *v, const int32_t *ids, size_t n, const char *text, size_t length)
{
	size_t		at = 0;

	for (size_t i = 0; i < n; i++)
	{
		size_t		bytes;
		const uint8_t *token = bn_token_text(v, ids[i], &bytes);

		if (bytes > length - at || memcmp(text + at, token, bytes) != 0)
			return false;
		at += bytes;
	}
	return at == length;
}

static void
test_splitters(void)
{
	for (int k = 0; k < 3; k++)
	{
		int			failed = 0;

		for (int i = 0; i < COUNT(splitter_cases); i++)
		{
			const splitter_case *c = &splitter_cases[i];
			const char *piece = c->pieces[k];
			size_t		at = 0;
			bool		same = true;
			char	   *exact = malloc((size_t) c->length + 1);

			memcpy(exact + 1, c->text, (size_t) c->length);
			while (same && at < (size_t) c->length)
			{
				size_t		end = bn_split_next((bn_splitter) (BN_SPLIT_LLAMA3 + k),
												(const uint8_t *) exact + 1,
												(size_t) c->length, at, NULL);

				same = end - at == (size_t) *piece++;
				at = end;
			}
			if (!same)
				printf("# case %d differs before byte %d\n", i, (int) at);
			failed += !same;
			free(exact);
		}
		ok(failed == 0, "%s splits %d texts as its regular expression does",
		   splitters[k], COUNT(splitter_cases));
	}
}

static void
test_reference(bn_vocab *const *vocabs)
{
	for (int k = 0; k < 3; k++)
	{
		int			failed = 0;

		for (int i = 0; i < COUNT(bpe_cases); i++)
		{
			const bpe_case *c = &bpe_cases[i];
			encoding	e = encode(vocabs[k], c->text, (size_t) c->length);

			if (!has_ids(&e, c->ids[k], c->n_ids[k]) || e.consumed != (size_t) c->length)
			{
				printf("# case %d differs: %s\n", i, c->text);
				failed++;
			}
			free(e.ids);
		}
		ok(failed == 0, "%s: %d texts have the reference's tokens",
		   splitters[k], COUNT(bpe_cases));
	}
}

/* Text with words, runs, broken characters and special names */
static size_t
random_text(char *text, size_t size)
{
	static const char *const parts[] = {
		"the ", " answer", "'s", "'RE", "   ", "\n\n", "1234", "\xC3\xA9", "\xF0\x9F", "\xA0", "\xFF",
		"\xE4\xB8\xAD", "<|eot_id|>", "<tool>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"........", "\xE2\x80\x83", "<|eot", "unreachable", "\r\n", "                                    "
	};
	size_t		n = 0;

	for (uint32_t left = next_random() % 12; left > 0; left--)
	{
		const char *part = parts[next_random() % COUNT(parts)];
		size_t		length = strlen(part);

		if (next_random() % 4 == 0)
		{
			text[n++] = (char) next_random();
			continue;
		}
		if (n + length + 1 > size)
			break;
		memcpy(text + n, part, length);
		n += length;
	}
	return n;
}

static void
test_properties(bn_vocab *const *vocabs)
{
	int			broken_round_trips = 0;
	int			broken_counts = 0;
	int			broken_prefixes = 0;

	for (int round = 0; round < 6000; round++)
	{
		const bn_vocab *v = vocabs[round % 3];
		char		text[512];
		size_t		length = random_text(text, sizeof(text));
		encoding	whole = encode_some(v, text, length, length + 1);
		size_t		scratch_size;
		void	   *scratch;
		size_t		counted;
		size_t		max = whole.n > 0 ? next_random() % (whole.n + 1) : 0;
		encoding	part;

		bn_encode_scratch_size(v, text, length, &scratch_size, NULL, NULL);
		scratch = malloc(scratch_size);
		broken_round_trips += whole.status != BN_OK || whole.consumed != length ||
			!spells(v, whole.ids, whole.n, text, length);
		broken_counts += bn_encode(v, text, length, NULL, 0, &counted, NULL,
								   scratch, scratch_size, NULL, NULL) != BN_OK ||
			counted != whole.n;
		part = encode_some(v, text, length, max);
		broken_prefixes += part.status != BN_OK || part.n != max ||
			memcmp(part.ids, whole.ids, max * sizeof(int32_t)) != 0 ||
			!spells(v, part.ids, part.n, text, part.consumed);
		free(scratch);
		free(whole.ids);
		free(part.ids);
	}
	ok(broken_round_trips == 0, "the tokens of 6000 random texts spell the texts");
	ok(broken_counts == 0, "counting gives the number of tokens");
	ok(broken_prefixes == 0, "a limited encoding is a prefix, and says what it covers");
}

static void
test_special(const bn_vocab *v)
{
	static const char text[] = "a<|eot_id|>>b<|eot_id|><tool>";
	encoding	plain = encode(v, text, sizeof(text) - 1);
	bool		none = true;

	for (size_t i = 0; i < plain.n; i++)
		none = none && bn_token_kind(v, plain.ids[i]) == BN_TOKEN_NORMAL;
	ok(none && spells(v, plain.ids, plain.n, text, sizeof(text) - 1),
	   "names of special tokens in data are plain text");
	free(plain.ids);
}

static bool
stop_now(void *ctx)
{
	++*(int *) ctx;
	return true;
}

static void
test_scratch(const bn_vocab *v)
{
	/* 100 letters, so 100 nodes of 16 bytes and 200 candidates of 8 */
	char		text[101];
	size_t		n;
	size_t		size;
	int			failed = 0;
	int			smallest_good = -1;

	memset(text, 'q', 100);
	text[100] = '!';
	bn_encode_scratch_size(v, text, 101, &size, NULL, NULL);
	for (size_t s = 0; s <= size; s++)
	{
		uint8_t    *scratch = malloc(s);
		bn_status	status = bn_encode(v, text, 101, NULL, 0, &n, NULL,
									   scratch, s, NULL, NULL);

		if (status == BN_OK && smallest_good < 0)
			smallest_good = (int) s;
		failed += status != (smallest_good < 0 ? BN_ERR_NOSPACE : BN_OK);
		free(scratch);
	}
	ok(failed == 0 && smallest_good == 3200, "too little scratch memory is an error: %d of %d bytes needed",
	   smallest_good, (int) size);
	ok(bn_encode_scratch_size(v, "some words of usual length", 26, &size, NULL, NULL) == BN_OK &&
	   size == 0,
	   "usual text needs no scratch memory");
}

static void
test_long_pieces(bn_vocab *const *vocabs)
{
	static const char *const names[] = {"one letter", "spaces", "random letters", "random bytes"};
	size_t		length = 1024 * 1024;
	char	   *text = malloc(length);

	for (int kind = 0; kind < COUNT(names); kind++)
	{
		clock_t		start = clock();
		encoding	e;

		for (size_t i = 0; i < length; i++)
			text[i] = (char) (kind == 0 ? 'a' : kind == 1 ? ' ' :
							  kind == 2 ? 'a' + next_random() % 26 : next_random());
		e = encode(vocabs[kind % 3], text, length);

		/* something quadratic would take hours; this leaves room for slow machines */
		ok(e.status == BN_OK && spells(vocabs[kind % 3], e.ids, e.n, text, length) &&
		   clock() - start < 10 * CLOCKS_PER_SEC, "a megabyte of %s", names[kind]);
		free(e.ids);
	}
	{
		size_t		scratch_size;
		void	   *scratch;
		int			calls = 0;
		bn_hooks	hooks = {stop_now, NULL, &calls};
		size_t		n;
		bn_error	err;

		bn_encode_scratch_size(vocabs[0], text, length, &scratch_size, NULL, NULL);
		scratch = malloc(scratch_size);
		ok(bn_encode(vocabs[0], text, length, NULL, 0, &n, NULL, scratch, scratch_size,
					 &hooks, &err) == BN_ERR_CANCELED && err.code == BN_ERR_CANCELED && calls <= 3,
		   "encoding stops when it is asked to");
		calls = 0;
		ok(bn_encode_scratch_size(vocabs[0], text, length, &scratch_size, &hooks, &err) ==
		   BN_ERR_CANCELED && err.code == BN_ERR_CANCELED && calls <= 3,
		   "and so does the search for the longest piece");
		free(scratch);
	}
	free(text);
}

static void
test_lookups(const bn_vocab *v)
{
	size_t		length;
	int			wrong = 0;

	for (int i = 0; i < BPE_N_TOKENS; i++)
	{
		const uint8_t *text = bn_token_text(v, i, &length);

		wrong += length != (size_t) bpe_tokens[i].length ||
			memcmp(text, bpe_tokens[i].bytes, length) != 0 ||
			(int) bn_token_kind(v, i) != bpe_tokens[i].type ||
			bn_token_find(v, bpe_tokens[i].bytes, length) != i;
	}
	ok(wrong == 0, "every token has its text and type, and is found by its text");
	ok(bn_token_find(v, "not a token", 11) == BN_NO_TOKEN &&
	   bn_token_find(v, "", 0) == BN_NO_TOKEN, "other text is not found");
	bn_token_text(v, -1, &length);
	ok(length == 0, "the text of no token is empty");
	bn_token_text(v, BPE_N_TOKENS, &length);
	ok(length == 0 && bn_token_kind(v, BPE_N_TOKENS) == BN_TOKEN_UNKNOWN,
	   "an id beyond the vocabulary is unknown");
}

int
main(void)
{
	bn_vocab   *vocabs[3];

	for (int k = 0; k < 3; k++)
		vocabs[k] = vf_build_small(splitters[k]);
	test_splitters();
	test_reference(vocabs);
	test_properties(vocabs);
	test_special(vocabs[0]);
	test_scratch(vocabs[0]);
	test_long_pieces(vocabs);
	test_lookups(vocabs[0]);
	for (int k = 0; k < 3; k++)
		free(vocabs[k]);
	return done_testing();
}
