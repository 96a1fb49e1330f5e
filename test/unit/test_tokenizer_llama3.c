/*-------------------------------------------------------------------------
 *
 * test_tokenizer_llama3.c
 *	  The Llama-3 vocabulary and its published conformance cases.
 *
 * The vocabulary is not part of the project: without the directory that
 * BITNET_SHARED names, everything here is skipped.  It is a list of tokens in
 * base64 with their ranks; a rank is a token's id, and the merges are all pairs
 * of tokens that make up a token, by the rank of the result, then of the left
 * and of the right half.
 *
 * test/unit/test_tokenizer_llama3.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <time.h>

#include "tap.h"
#include "vocab_file.h"
#include "../../src/core/prompt.h"

#define N_BASE 128000
#define N_TOKENS 128256
#define TABLE 524288
#define SEPARATOR "\n__ggml_vocab_test__\n"

static struct
{
	uint8_t		bytes[192];
	int			length;
}			tokens[N_BASE];

static int	table[TABLE];		/* token + 1 by its bytes */

static char *
read_file(const char *name)
{
	const char *root = getenv("BITNET_SHARED");
	char		path[1024];
	FILE	   *file;
	char	   *text;
	size_t		n;

	snprintf(path, sizeof(path), "%s/%s", root ? root : "../shared", name);
	file = fopen(path, "rb");
	if (!file)
		return NULL;
	text = malloc(4 << 20);
	n = fread(text, 1, (4 << 20) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static unsigned
slot_of(const uint8_t *bytes, int length)
{
	unsigned	h = 5381;

	for (int i = 0; i < length; i++)
		h = h * 33 ^ bytes[i];
	return (h ^ h >> 15) * 2654435761u >> 13;
}

static int
find(const uint8_t *bytes, int length)
{
	for (unsigned s = slot_of(bytes, length); table[s % TABLE]; s++)
	{
		int			t = table[s % TABLE] - 1;

		if (tokens[t].length == length && memcmp(tokens[t].bytes, bytes, (size_t) length) == 0)
			return t;
	}
	return -1;
}

static int
base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int) (at - digits) : -1;
}

static bool
read_ranks(const char *text)
{
	for (int i = 0; i < N_BASE; i++)
	{
		uint32_t	bits = 0;
		int			n_bits = 0;
		unsigned	s;

		for (; *text && *text != ' '; text++)
		{
			if (base64_digit(*text) < 0)
				continue;
			bits = bits << 6 | (uint32_t) base64_digit(*text);
			n_bits += 6;
			if (n_bits >= 8)
				tokens[i].bytes[tokens[i].length++] = (uint8_t) (bits >> (n_bits -= 8));
		}
		if (strtol(text, (char **) &text, 10) != i)
			return false;
		text++;
		for (s = slot_of(tokens[i].bytes, tokens[i].length); table[s % TABLE]; s++)
			;
		table[s % TABLE] = i + 1;
	}
	return true;
}

/* The merges that make one token, in order; returns their number. */
static int
merges_of(int t, int pairs[][2])
{
	int			n = 0;

	for (int i = 1; i < tokens[t].length; i++)
	{
		int			left = find(tokens[t].bytes, i);
		int			right = find(tokens[t].bytes + i, tokens[t].length - i);
		int			at;

		if (left < 0 || right < 0)
			continue;
		for (at = n++; at > 0 && pairs[at - 1][0] > left; at--)
			memcpy(pairs[at], pairs[at - 1], sizeof(pairs[0]));
		pairs[at][0] = left;
		pairs[at][1] = right;
	}
	return n;
}

static bn_vocab *
build(const char *pre, double *seconds)
{
	vocab_file	f = {0};
	vocab_file	merges = {0};
	uint64_t	n_merges = 0;
	int			pairs[192][2];
	bn_vocab   *v;
	bn_error	err;
	clock_t		start;

	for (int t = 0; t < N_BASE; t++)
	{
		int			n = merges_of(t, pairs);

		for (int i = 0; i < n; i++)
			vf_merge(&merges, tokens[pairs[i][0]].bytes, (size_t) tokens[pairs[i][0]].length,
					 tokens[pairs[i][1]].bytes, (size_t) tokens[pairs[i][1]].length);
		n_merges += (uint64_t) n;
	}
	vf_key_string(&f, "tokenizer.ggml.model", "gpt2");
	if (pre)
		vf_key_string(&f, "tokenizer.ggml.pre", pre);
	vf_array(&f, "tokenizer.ggml.tokens", BN_GGUF_STRING, N_TOKENS);
	for (int t = 0; t < N_TOKENS; t++)
	{
		char		name[64];

		snprintf(name, sizeof(name), t == N_BASE ? "<|begin_of_text|>" :
				 t == N_BASE + 1 ? "<|end_of_text|>" : t == N_BASE + 9 ? "<|eot_id|>" :
				 "<|reserved_%d|>", t);
		if (t < N_BASE)
			vf_token(&f, tokens[t].bytes, (size_t) tokens[t].length, BN_TOKEN_NORMAL);
		else
			vf_string(&f, name, strlen(name));
	}
	vf_array(&f, "tokenizer.ggml.token_type", BN_GGUF_I32, N_TOKENS);
	for (int t = 0; t < N_TOKENS; t++)
		vf_u32(&f, t < N_BASE ? BN_TOKEN_NORMAL : BN_TOKEN_CONTROL);
	vf_array(&f, "tokenizer.ggml.merges", BN_GGUF_STRING, n_merges);
	vf_put(&f, merges.data, merges.length);
	free(merges.data);
	vf_key_u32(&f, "tokenizer.ggml.bos_token_id", N_BASE);
	vf_key_u32(&f, "tokenizer.ggml.eos_token_id", N_BASE + 1);

	start = clock();
	if (vf_build(&f, N_TOKENS, &v, &err) != BN_OK)
		printf("# %s\n", err.detail);
	*seconds = (double) (clock() - start) / CLOCKS_PER_SEC;
	ok(n_merges == 280147, "280147 merges follow from the ranks");
	return v;
}

static bool
has_ids(const bn_vocab *v, const char *text, size_t length, const char *expected)
{
	size_t		scratch_size;
	void	   *scratch;
	int32_t    *ids = malloc((length + 1) * sizeof(int32_t));
	size_t		n = 0;
	bool		same;

	bn_encode_scratch_size(v, text, length, &scratch_size, NULL, NULL);
	scratch = malloc(scratch_size);
	same = bn_encode(v, text, length, ids, length + 1, &n, NULL,
					 scratch, scratch_size, NULL, NULL) == BN_OK;
	for (size_t i = 0; same && i < n; i++)
		same = strtol(expected, (char **) &expected, 10) == ids[i];
	same = same && expected[strspn(expected, " \r")] == '\0';
	free(ids);
	free(scratch);
	return same;
}

/* Cases with a separator between them; expected ids, a line for each. */
static void
test_cases(const bn_vocab *v, char *texts, char *ids)
{
	int			n = 0;

	while (texts && ids)
	{
		char	   *end = strstr(texts, SEPARATOR);
		char	   *line_end = strchr(ids, '\n');

		if (line_end)
			*line_end = '\0';
		else if (!end && *ids == '\0' && *texts == '\0')
			break;
		ok(has_ids(v, texts, end ? (size_t) (end - texts) : strlen(texts), ids),
		   "conformance case %d", n++);
		texts = end ? end + strlen(SEPARATOR) : NULL;
		ids = line_end ? line_end + 1 : NULL;
	}
	ok(n > 0, "%d conformance cases", n);
}

static void
test_known(const bn_vocab *v)
{
	static const int32_t expected[] = {
		128000, 1502, 25, 2650, 527, 499, 30, 128009, 72803, 25, 220
	};
	bn_message	message = {BN_ROLE_USER, "How are you?", 12};
	uint64_t	scratch[32];
	int32_t		ids[32];
	size_t		size;
	size_t		n;

	ok(has_ids(v, "User: Who are you?", 18, "1502 25 10699 527 499 30"), "a role and a question");
	ok(has_ids(v, "Assistant: ", 11, "72803 25 220"), "the role of the answer");
	ok(has_ids(v, " \xF0\x9F\x8E\x89", 5, "11410 236 231"), "a character in three tokens");
	ok(bn_prompt_scratch_size(v, &message, 1, &size, NULL, NULL) == BN_OK &&
	   size <= sizeof(scratch) &&
	   bn_prompt_chat(v, &message, 1, ids, 32, &n, scratch, sizeof(scratch), NULL, NULL) == BN_OK &&
	   n == 11 && memcmp(ids, expected, sizeof(expected)) == 0, "the chat prompt of the model's tests");
	ok(v->bos == 128000 && v->eos == 128001 && v->eot == 128009 && v->add_bos &&
	   bn_token_is_stop(v, 128001) && bn_token_is_stop(v, 128009), "special ids");
}

int
main(void)
{
	char	   *ranks = read_file("data/llama3-ranks.tiktoken");
	char	   *texts = read_file("vectors/tokenizer-llama-bpe.inp");
	char	   *ids = read_file("vectors/tokenizer-llama-bpe.out");
	double		seconds;
	bn_vocab   *v;

	if (!ranks)
	{
		skip("the Llama-3 vocabulary is not here");
		return done_testing();
	}
	if (!ok(read_ranks(ranks), "the ranks can be read"))
		return done_testing();
	v = build(NULL, &seconds);
	ok(v && seconds < 3, "the vocabulary is built in %.2f s", seconds);
	if (v && texts && ids)
		test_cases(v, texts, ids);
	else
		skip("the conformance cases are not here");
	if (v)
		test_known(v);
	free(v);
	free(ranks);
	free(texts);
	free(ids);
	return done_testing();
}
