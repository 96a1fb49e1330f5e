/*-------------------------------------------------------------------------
 *
 * fuzz_tokenizer.c
 *	  Fuzz target: text, damaged vocabulary blocks, and vocabulary files.
 *
 * The first byte of the input chooses what the rest is: text for an intact
 * vocabulary, whose properties must hold; damage to a block (a list of offsets
 * and bytes) that must not lead outside; changes to the small vocabulary's
 * file, from which a block is built; tokens, of which text is made; a file.
 *
 * test/fuzz/fuzz_tokenizer.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_vocab.h"

#include "../../src/core/utf8.h"

static bn_vocab *vocabs[3];

static void
init(void)
{
	for (int i = 0; i < 3 && !vocabs[i]; i++)
	{
		vocab_file	f = small_file(i);

		require((vocabs[i] = build_or_refuse(&f, BPE_N_TOKENS)) != NULL);
	}
}

/* Is this UTF-8 without NUL?  By the table of well-formed sequences of Unicode. */
static bool
is_text(const uint8_t *p, size_t length)
{
	static const struct
	{
		uint8_t		bytes;
		uint8_t		lead[2];
		uint8_t		second[2];
	}			forms[] = {
		{1, {0x01, 0x7F}, {0}}, {2, {0xC2, 0xDF}, {0x80, 0xBF}}, {3, {0xE0, 0xE0}, {0xA0, 0xBF}},
		{3, {0xE1, 0xEC}, {0x80, 0xBF}}, {3, {0xED, 0xED}, {0x80, 0x9F}},
		{3, {0xEE, 0xEF}, {0x80, 0xBF}}, {4, {0xF0, 0xF0}, {0x90, 0xBF}},
		{4, {0xF1, 0xF3}, {0x80, 0xBF}}, {4, {0xF4, 0xF4}, {0x80, 0x8F}}
	};

	while (length > 0)
	{
		size_t		i = 0;

		while (i < 9 && (p[0] < forms[i].lead[0] || p[0] > forms[i].lead[1]))
			i++;
		if (i == 9 || forms[i].bytes > length ||
			(forms[i].bytes > 1 && (p[1] < forms[i].second[0] || p[1] > forms[i].second[1])) ||
			(forms[i].bytes > 2 && (p[2] & 0xC0) != 0x80) ||
			(forms[i].bytes > 3 && (p[3] & 0xC0) != 0x80))
			return false;
		p += forms[i].bytes;
		length -= forms[i].bytes;
	}
	return true;
}

/* Pushes bytes from a block of just their size, through one of the size that is promised. */
static size_t
push(bn_utf8_stream *stream, const uint8_t *bytes, size_t length, char *text)
{
	uint8_t    *in = malloc(length);
	char	   *out = malloc(3 * (length + 3));
	size_t		n;

	if (length > 0)
		memcpy(in, bytes, length);
	n = bn_utf8_push(stream, in, length, out);
	memcpy(text, out, n);
	free(in);
	free(out);
	return n;
}

/*
 * The text of these bytes is valid, it is the bytes themselves if these are,
 * and it is the same in pieces; their lengths come from the bytes of cuts.
 */
static void
use_bytes(const uint8_t *bytes, size_t length, const uint8_t *cuts, size_t n_cuts)
{
	bn_utf8_stream whole = {{0}, 0};
	bn_utf8_stream parts = {{0}, 0};
	char	   *text = malloc(3 * (length + 3) + 3);
	char	   *again = malloc(3 * (length + 3) + 3);
	size_t		n = push(&whole, bytes, length, text);
	size_t		n_again = 0;
	size_t		at = 0;

	n += bn_utf8_finish(&whole, text + n);
	require(is_text((uint8_t *) text, n));
	if (is_text(bytes, length))
		require(n == length && memcmp(text, bytes, n) == 0);
	for (size_t i = 0; at < length; i++)
	{
		size_t		piece = i < n_cuts ? cuts[i] % 8 : length - at;

		if (piece > length - at)
			piece = length - at;
		n_again += push(&parts, bytes + at, piece, again + n_again);
		require(is_text((uint8_t *) again, n_again));
		at += piece;
	}
	n_again += bn_utf8_finish(&parts, again + n_again);
	require(n_again == n && memcmp(again, text, n) == 0);
	free(text);
	free(again);
}

/* Any tokens, two bytes each: their bytes one token after the other, and cut elsewhere */
static void
use_tokens(const bn_vocab *v, const uint8_t *data, size_t size)
{
	bn_utf8_stream stream = {{0}, 0};
	uint8_t    *bytes = malloc(1);
	char	   *text = malloc(1);
	size_t		length = 0;
	size_t		n = 0;

	for (size_t i = 0; i + 1 < size; i += 2)
	{
		size_t		token_length;
		const uint8_t *token = bn_token_text(v, (data[i] | data[i + 1] << 8) % v->n_tokens,
											 &token_length);

		bytes = realloc(bytes, length + token_length + 1);
		memcpy(bytes + length, token, token_length);
		length += token_length;
		text = realloc(text, 3 * (length + 3));
		n += push(&stream, token, token_length, text + n);
		require(is_text((uint8_t *) text, n));
	}
	use_bytes(bytes, length, data, size);
	free(bytes);
	free(text);
}

/* With room for fewer tokens: the first ones, and how many bytes they cover */
static void
use_room(const bn_vocab *v, const uint8_t *text, size_t length,
		 const int32_t *ids, size_t room, void *scratch, size_t scratch_size)
{
	int32_t    *first = malloc(room * sizeof(int32_t));
	size_t		n;
	size_t		consumed;
	size_t		covered = 0;

	require(bn_encode(v, (const char *) text, length, first, room, &n, &consumed,
					  scratch, scratch_size, NULL, NULL) == BN_OK &&
			n == room && memcmp(first, ids, room * sizeof(int32_t)) == 0);
	for (size_t i = 0; i < room; i++)
	{
		size_t		bytes;

		bn_token_text(v, ids[i], &bytes);
		covered += bytes;
	}
	require(consumed == covered);
	free(first);
}

/*
 * All that can be done with a text; returns whether its tokens spell it, and
 * none of them is special.
 */
static bool
use_text(const bn_vocab *v, const uint8_t *text, size_t length)
{
	size_t		scratch_size;
	void	   *scratch;
	int32_t    *ids = malloc((length + 1) * sizeof(int32_t));
	size_t		n = 0;
	size_t		consumed = 0;
	size_t		counted = 0;
	size_t		at = 0;
	bool		same;

	bn_encode_scratch_size(v, (const char *) text, length, &scratch_size, NULL, NULL);
	scratch = malloc(scratch_size);
	same = bn_encode(v, (const char *) text, length, ids, length + 1, &n, &consumed,
					 scratch, scratch_size, NULL, NULL) == BN_OK && consumed == length;
	bn_encode(v, (const char *) text, length, NULL, 0, &counted, NULL,
			  scratch, scratch_size, NULL, NULL);
	same = same && counted == n;
	for (size_t i = 0; i < n; i++)
	{
		size_t		bytes;
		const uint8_t *token = bn_token_text(v, ids[i], &bytes);

		require(ids[i] >= 0 && ids[i] < v->n_tokens);
		bn_token_is_stop(v, ids[i]);
		same = same && bytes <= length - at && memcmp(token, text + at, bytes) == 0 &&
			bn_token_kind(v, ids[i]) == BN_TOKEN_NORMAL;
		at += same ? bytes : 0;
	}
	same = same && at == length;
	if (same && length > 0)
		use_room(v, text, length, ids, text[0] % (n + 1), scratch, scratch_size);
	free(ids);
	free(scratch);
	return same;
}

static void
use_damaged(const uint8_t *data, size_t size)
{
	static const uint8_t text[] = "The answer's <|eot_id|>the <tool> aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	size_t		bytes = vocabs[0]->bytes;
	bn_vocab   *v = malloc(bytes);

	memcpy(v, vocabs[0], bytes);
	damage((uint8_t *) v, bytes, data, size);
	if (bn_vocab_check(v, bytes, BPE_N_TOKENS, NULL) == BN_OK)
		use_text(v, text, sizeof(text) - 1);
	free(v);
}

static void
build_file(vocab_file *f, int32_t vocab_size)
{
	static const uint8_t text[] = "the answer <|eot_id|>aaa\xC3";
	bn_vocab   *v = build_or_refuse(f, vocab_size);

	if (v)
		require(use_text(v, text, sizeof(text) - 1));
	free(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	vocab_file	f;
	int			mode;

	init();
	if (size < 1 || size > MAX_TEXT)
		return 0;
	mode = data[0] % 7;
	data++;
	size--;
	switch (mode)
	{
		case 0:
		case 1:
		case 2:
			require(use_text(vocabs[mode], data, size));
			use_bytes(data, size, data, size);
			break;
		case 3:
			use_damaged(data, size);
			break;
		case 4:
			f = small_file(0);
			damage(f.data + 24, f.length - 24, data, size);
			build_file(&f, BPE_N_TOKENS);
			break;
		case 5:
			use_tokens(vocabs[0], data, size);
			break;
		default:
			f = (vocab_file) {0};
			vf_put(&f, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
			f.n_keys = size > 0 ? data[0] % 16 : 0;
			vf_put(&f, data, size);
			build_file(&f, 260);
			break;
	}
	return 0;
}
