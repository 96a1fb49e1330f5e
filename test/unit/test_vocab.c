/*-------------------------------------------------------------------------
 *
 * test_vocab.c
 *	  Vocabularies of files: what is accepted, what is refused, and damage.
 *
 * test/unit/test_vocab.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "tap.h"
#include "vocab_file.h"

#define K(name) "tokenizer.ggml." name
#define EOT (BPE_N_TOKENS - 3)
#define EOS (BPE_N_TOKENS - 4)
#define BOS (BPE_N_TOKENS - 5)

/* Builds and expects an error whose detail contains text. */
static void
refused(vocab_file f, int32_t vocab_size, bn_status status, const char *text, const char *name)
{
	bn_error	err = {0};
	bn_vocab   *v;
	bn_status	got = vf_build(&f, vocab_size, &v, &err);

	if (!ok(got == status && err.code == status && strstr(err.detail, text), "refused: %s", name))
		printf("# status %d, detail \"%s\"\n", got, err.detail);
	free(v);
}

/* A file with model and pre-tokenizer, to be filled. */
static vocab_file
begin(void)
{
	vocab_file	f = {0};

	vf_key_string(&f, K("model"), "gpt2");
	vf_key_string(&f, K("pre"), "llama-bpe");
	return f;
}

static void
test_kinds(void)
{
	static const char *const known[] = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon_e", "qwen2", "gpt-2"};
	vocab_file	f = {0};
	bn_vocab   *v;

	for (int i = 0; i < 7; i++)
	{
		f = vf_small(known[i]);
		ok(vf_build(&f, BPE_N_TOKENS, &v, NULL) == BN_OK &&
		   bn_vocab_check(v, v->bytes, BPE_N_TOKENS, NULL) == BN_OK &&
		   v->ignore_merges == (i < 5), "pre-tokenizer %s", known[i]);
		free(v);
	}
	for (int i = 0; i < 2; i++)
	{
		f = vf_small(i ? "default" : NULL);
		ok(vf_build(&f, BPE_N_TOKENS, &v, NULL) == BN_OK && v->ignore_merges,
		   "llama3 is used where the file says %s", i ? "default" : "nothing");
		free(v);
	}
	refused(vf_small("tekken"), BPE_N_TOKENS, BN_ERR_UNSUPPORTED, "\"tekken\"",
			"an unknown pre-tokenizer, by name");

	f = (vocab_file) {0};
	vf_key_string(&f, K("model"), "llama");
	vf_small_tokens(&f);
	vf_small_merges(&f);
	refused(f, BPE_N_TOKENS, BN_ERR_UNSUPPORTED, "\"llama\"", "a SentencePiece vocabulary");
	f = (vocab_file) {0};
	vf_small_tokens(&f);
	vf_small_merges(&f);
	refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, K("model"), "no tokenizer model");
}

static void
test_lists(void)
{
	vocab_file	f;

	refused(vf_small("qwen2"), BPE_N_TOKENS + 1, BN_ERR_FORMAT, "503 rows", "fewer tokens than the embedding has");
	refused(vf_small("qwen2"), 0, BN_ERR_LIMIT, "0 tokens", "an empty vocabulary");
	f = begin();
	vf_small_merges(&f);
	refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, K("tokens"), "no tokens");
	f = begin();
	vf_small_tokens(&f);
	refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, K("merges"), "no merges");
	f = begin();
	vf_key_u32(&f, K("tokens"), 7);
	vf_small_merges(&f);
	refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, K("tokens"), "tokens that are no list");
	f = begin();
	vf_small_tokens(&f);
	vf_small_merges(&f);
	vf_array(&f, K("token_type"), BN_GGUF_I32, 3);
	for (int i = 0; i < 3; i++)
		vf_u32(&f, 1);
	refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, "3 token types", "a short list of types");
	f = begin();
	vf_small_tokens(&f);
	vf_small_merges(&f);
	vf_array(&f, K("token_type"), BN_GGUF_I32, BPE_N_TOKENS);
	for (int i = 0; i < BPE_N_TOKENS; i++)
		vf_u32(&f, i == 17 ? 7 : 1);
	refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, "token 17", "an unknown token type");

	f = begin();
	vf_small_merges(&f);
	vf_array(&f, K("tokens"), BN_GGUF_STRING, BPE_N_TOKENS);
	for (int i = 0; i < BPE_N_TOKENS; i++)
		vf_token(&f, i == 200 ? "twohundred" : bpe_tokens[i].bytes,
				 i == 200 ? 10 : (size_t) bpe_tokens[i].length, bpe_tokens[i].type);
	refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, "byte 200", "no token for a byte");
}

/* The last token, which no merge has, with so long a text */
static vocab_file
with_long_token(size_t length)
{
	static char text[2000];
	vocab_file	f = begin();

	memset(text, 'x', sizeof(text));
	vf_small_merges(&f);
	vf_array(&f, K("tokens"), BN_GGUF_STRING, BPE_N_TOKENS);
	for (int i = 0; i < BPE_N_TOKENS - 1; i++)
		vf_token(&f, bpe_tokens[i].bytes, (size_t) bpe_tokens[i].length, bpe_tokens[i].type);
	vf_string(&f, text, length);
	return f;
}

/* What makes a load take longer than anybody waits */
static void
test_long_tokens(void)
{
	vocab_file	f = with_long_token(1024);
	bn_vocab   *v;

	ok(vf_build(&f, BPE_N_TOKENS, &v, NULL) == BN_OK, "a token of 1024 bytes");
	free(v);
	refused(with_long_token(1025), BPE_N_TOKENS, BN_ERR_LIMIT, "more than the limit of 1024", "a token of 1025 bytes");
}

static void
test_merges(void)
{
	static const struct
	{
		const char *line;
		const char *detail;
	}			bad[] = {
		{"zq x", "left half of merge 1, \"zq x\""},
		{"x zq", "right half of merge 1"},
		{"z q", "result of merge 1"},
		{"zq", "merge 1, \"zq\", is not a pair"},
		{"", "is not a pair"},
		{" z", "is not a pair"},
		{"z ", "is not a pair"},
	};
	const bpe_token first[2] = {bpe_tokens[bpe_merges[0][0]], bpe_tokens[bpe_merges[0][1]]};
	vocab_file	f;
	bn_vocab   *v;

	for (int i = 0; i < 7; i++)
	{
		f = begin();
		vf_small_tokens(&f);
		vf_array(&f, K("merges"), BN_GGUF_STRING, 2);
		vf_merge(&f, first[0].bytes, (size_t) first[0].length,
				 first[1].bytes, (size_t) first[1].length);
		vf_string(&f, bad[i].line, strlen(bad[i].line));
		refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, bad[i].detail, bad[i].detail);
	}

	/* one that would make a special token of text can never happen */
	f = begin();
	vf_array(&f, K("tokens"), BN_GGUF_STRING, 257);
	for (int i = 0; i < 256; i++)
		vf_token(&f, bpe_tokens[i].bytes, 1, BN_TOKEN_NORMAL);
	vf_string(&f, "xy", 2);
	vf_array(&f, K("token_type"), BN_GGUF_I32, 257);
	for (int i = 0; i < 257; i++)
		vf_u32(&f, i < 256 ? 0 : BN_TOKEN_CONTROL);
	vf_array(&f, K("merges"), BN_GGUF_STRING, 1);
	vf_merge(&f, "x", 1, "y", 1);
	if (ok(vf_build(&f, 257, &v, NULL) == BN_OK, "a merge may lead to a control token"))
	{
		int32_t		ids[4];
		size_t		n;

		ok(bn_encode(v, "xy", 2, ids, 4, &n, NULL, NULL, 0, NULL, NULL) == BN_OK && n == 2,
		   "but text never becomes that token, neither by the merge nor as a whole word");
		ok(bn_token_find(v, "xy", 2) == 256 && bn_token_kind(v, 0) == BN_TOKEN_NORMAL,
		   "it can be found, and the undefined type is normal");
	}
	free(v);
}

/* Two tokens with one text: the first is found, both can be decoded. */
static void
test_duplicates(void)
{
	vocab_file	f = begin();
	bn_vocab   *v;
	size_t		length;

	vf_array(&f, K("tokens"), BN_GGUF_STRING, 260);
	for (int i = 0; i < 256; i++)
		vf_token(&f, bpe_tokens[i].bytes, 1, BN_TOKEN_NORMAL);
	vf_string(&f, "ab", 2);
	vf_string(&f, "ab", 2);
	vf_string(&f, "a b", 3);	/* spells no bytes: a blank is no letter of it */
	vf_string(&f, "", 0);
	vf_array(&f, K("merges"), BN_GGUF_STRING, 3);
	vf_merge(&f, "a", 1, "b", 1);
	vf_merge(&f, "a", 1, "b", 1);
	vf_string(&f, "a b", 3);
	if (ok(vf_build(&f, 260, &v, NULL) == BN_OK, "equal tokens and merges are accepted"))
	{
		ok(bn_token_find(v, "ab", 2) == 256, "the first of equal tokens is found");
		ok(memcmp(bn_token_text(v, 257, &length), "ab", 2) == 0 && length == 2,
		   "the second has its text, too");
		ok(memcmp(bn_token_text(v, 258, &length), "a b", 3) == 0 && length == 3,
		   "a token that spells no bytes keeps its characters");
	}
	free(v);
}

static void
test_roles(void)
{
	static const char *const ids[] = {"bos", "eos", "eot", "padding"};
	vocab_file	f;
	bn_vocab   *v;

	for (int i = 0; i < 4; i++)
	{
		char		key[64];

		snprintf(key, sizeof(key), K("%s_token_id"), ids[i]);
		f = vf_small("qwen2");
		vf_key_u32(&f, key, BPE_N_TOKENS);
		refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, key, "an id beyond the vocabulary");
		f = vf_small("qwen2");
		vf_key_string(&f, key, "5");
		refused(f, BPE_N_TOKENS, BN_ERR_FORMAT, key, "an id that is no number");
	}

	f = vf_small("llama-bpe");
	vf_key_u32(&f, K("bos_token_id"), BOS);
	vf_key_u32(&f, K("eos_token_id"), 65);
	vf_key_u32(&f, K("padding_token_id"), 66);
	vf_build(&f, BPE_N_TOKENS, &v, NULL);
	ok(v->bos == BOS && v->eos == 65 && v->pad == 66 && v->add_bos, "ids come from the file; BOS is added by default");
	ok(v->eot == EOT, "the end of a turn is found by its name");
	ok(bn_token_is_stop(v, 65) && bn_token_is_stop(v, EOT) && bn_token_is_stop(v, EOS),
	   "generation stops at eos, eot and at end-of-text tokens");
	ok(!bn_token_is_stop(v, BOS) && !bn_token_is_stop(v, 66) && !bn_token_is_stop(v, BN_NO_TOKEN),
	   "and at no other");
	free(v);

	f = vf_small("llama-bpe");
	vf_key_u32(&f, K("bos_token_id"), BOS);
	vf_key_u32(&f, K("eot_token_id"), 67);
	vf_key_bool(&f, K("add_bos_token"), false);
	vf_build(&f, BPE_N_TOKENS, &v, NULL);
	ok(v->eot == 67 && v->eos == BN_NO_TOKEN && !v->add_bos, "the file decides on eot and add_bos");
	free(v);
	v = vf_build_small("llama-bpe");
	ok(v->bos == BN_NO_TOKEN && !v->add_bos, "BOS cannot be added where there is none");
	free(v);

	/* without types nothing is special */
	f = begin();
	vf_small_tokens(&f);
	vf_small_merges(&f);
	vf_build(&f, BPE_N_TOKENS, &v, NULL);
	ok(v->eot == BN_NO_TOKEN && !bn_token_is_stop(v, EOT), "a name alone makes no special token");
	free(v);
}

/* Uses everything; damaged tables may give any result, but no access outside. */
static bool
use(bn_vocab *v, bn_vocab *intact)
{
	static const char text[] = "The database<|eot_id|> answers 'there' aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
	int32_t		ids[256];
	size_t		n = 0;
	size_t		scratch_size;
	void	   *scratch;
	bool		in_range = true;

	bn_encode_scratch_size(intact, text, sizeof(text) - 1, &scratch_size, NULL, NULL);
	scratch = malloc(scratch_size);
	bn_encode(v, text, sizeof(text) - 1, ids, 256, &n, NULL, scratch, scratch_size, NULL, NULL);
	for (size_t i = 0; i < n; i++)
		in_range = in_range && ids[i] >= 0 && ids[i] < BPE_N_TOKENS;
	free(scratch);
	for (int32_t i = -1; i <= BPE_N_TOKENS; i++)
	{
		size_t		length;
		const uint8_t *bytes = bn_token_text(v, i, &length);

		bn_token_find(v, bytes, length);
		bn_token_is_stop(v, i);
		bn_token_kind(v, i);
	}
	return in_range;
}

static void
test_damage(void)
{
	bn_vocab   *intact = vf_build_small("llama-bpe");
	size_t		bytes = intact->bytes;
	bn_vocab   *v = malloc(bytes);
	uint32_t	state = 99;
	int			out_of_range = 0;
	int			accepted = 0;

	ok(bn_vocab_check(intact, bytes, BPE_N_TOKENS, NULL) == BN_OK, "an intact block passes the check");
	ok(bn_vocab_check(intact, bytes - 1, BPE_N_TOKENS, NULL) != BN_OK &&
	   bn_vocab_check(intact, 8, BPE_N_TOKENS, NULL) != BN_OK &&
	   bn_vocab_check(intact, bytes, BPE_N_TOKENS - 1, NULL) != BN_OK,
	   "a block of another size, or for another model, does not");
	for (int round = 0; round < 4000; round++)
	{
		memcpy(v, intact, bytes);
		for (int i = 0; i < 1 + round % 40; i++)
		{
			size_t		at;

			state = state * 1664525 + 1013904223;
			at = (state >> 4) % (round % 2 ? sizeof(bn_vocab) : bytes);
			((uint8_t *) v)[at] = round % 3 ? (uint8_t) (state >> 24) : 0xFF;
			if (round % 2)
				break;
		}
		if (bn_vocab_check(v, bytes, BPE_N_TOKENS, NULL) == BN_OK)
		{
			accepted++;
			out_of_range += !use(v, intact);
		}
	}
	ok(accepted > 1000 && out_of_range == 0, "tables with damage (%d) give no ids beyond the vocabulary", accepted);

	memset((uint8_t *) v + sizeof(bn_vocab), 0xFF, bytes - sizeof(bn_vocab));
	memcpy(v, intact, sizeof(bn_vocab));
	ok(use(v, intact), "tables full of ones end every search");
	memset((uint8_t *) v + sizeof(bn_vocab), 0x01, bytes - sizeof(bn_vocab));
	ok(use(v, intact), "so do tables full of the same entry");
	free(v);
	free(intact);
}

int
main(void)
{
	test_kinds();
	test_lists();
	test_long_tokens();
	test_merges();
	test_duplicates();
	test_roles();
	test_damage();
	return done_testing();
}
