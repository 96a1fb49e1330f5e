/*-------------------------------------------------------------------------
 *
 * fuzz_tokenizer.c
 *	  Fuzz target: text, damaged vocabulary blocks, and vocabulary files.
 *
 * The first byte of the input chooses what the rest is: text for an intact
 * vocabulary, whose properties must hold; damage to a block (a list of offsets
 * and bytes) that must not lead outside; a file, or changes to the small
 * vocabulary's file, from which a block is built.
 *
 * test/fuzz/fuzz_tokenizer.c
 *
 *-------------------------------------------------------------------------
 */
#include "../unit/vocab_file.h"
#include "../../src/core/prompt.h"

#define MAX_TEXT 4096

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bn_vocab *vocabs[3];

static void
require(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void
init(void)
{
	static const char *const splitters[3] = {"llama-bpe", "qwen2", "gpt-2"};

	if (vocabs[0])
		return;
	for (int i = 0; i < 3; i++)
		vocabs[i] = vf_build_small(splitters[i]);
}

/* All that can be done with a text; returns whether its tokens spell it. */
static bool
use_text(const bn_vocab *v, const uint8_t *text, size_t length, bool special)
{
	size_t		scratch_size;
	void	   *scratch;
	int32_t    *ids = malloc((length + 1) * sizeof(int32_t));
	bn_utf8_stream stream = {{0}, 0};
	size_t		n = 0;
	size_t		consumed = 0;
	size_t		counted = 0;
	size_t		at = 0;
	bool		same;

	bn_encode_scratch_size(v, (const char *) text, length, &scratch_size, NULL, NULL);
	scratch = malloc(scratch_size);
	same = bn_encode(v, (const char *) text, length, special, ids, length + 1, &n, &consumed,
					 scratch, scratch_size, NULL, NULL) == BN_OK && consumed == length;
	bn_encode(v, (const char *) text, length, special, NULL, 0, &counted, NULL,
			  scratch, scratch_size, NULL, NULL);
	same = same && counted == n;
	for (size_t i = 0; i < n; i++)
	{
		size_t		bytes;
		const uint8_t *token = bn_token_text(v, ids[i], &bytes);
		char	   *out = malloc(3 * (bytes + 3));

		require(ids[i] >= 0 && ids[i] < v->n_tokens);
		require(bn_utf8_push(&stream, token, bytes, out) <= 3 * (bytes + 3));
		free(out);
		bn_token_is_stop(v, ids[i]);
		same = same && bytes <= length - at && memcmp(token, text + at, bytes) == 0 &&
			(special || bn_token_kind(v, ids[i]) == BN_TOKEN_NORMAL);
		at += same ? bytes : 0;
	}
	free(ids);
	free(scratch);
	return same && at == length;
}

static void
use_prompt(const bn_vocab *v, const uint8_t *text, size_t length)
{
	bn_message	messages[2] = {
		{BN_ROLE_SYSTEM, (const char *) text, length / 3},
		{BN_ROLE_USER, (const char *) text + length / 3, length - length / 3}
	};
	size_t		size;
	void	   *scratch;
	int32_t    *ids = malloc((length + 64) * sizeof(int32_t));
	size_t		n;

	bn_prompt_scratch_size(v, messages, 2, &size, NULL, NULL);
	scratch = malloc(size);
	require(bn_prompt_chat(v, messages, 2, ids, length + 64, &n, scratch, size,
						   NULL, NULL) == BN_OK);
	free(ids);
	free(scratch);
}

/* Four bytes each: a 24-bit offset and the byte that is put there. */
static void
damage(uint8_t *block, size_t size, const uint8_t *changes, size_t length)
{
	for (; length >= 4; changes += 4, length -= 4)
	{
		size_t		at = (size_t) changes[0] | (size_t) changes[1] << 8 | (size_t) changes[2] << 16;

		if (at < size)
			block[at] = changes[3];
	}
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
		for (int special = 0; special < 2; special++)
			use_text(v, text, sizeof(text) - 1, special);
	free(v);
}

static void
build_file(vocab_file *f, int32_t vocab_size)
{
	bn_vocab   *v;
	bn_error	err;

	if (vf_build(f, vocab_size, true, &v, &err) != BN_OK)
	{
		require(err.code != BN_OK && err.detail[0] != '\0');
		return;
	}
	require(bn_vocab_check(v, v->bytes, vocab_size, NULL) == BN_OK);
	require(use_text(v, (const uint8_t *) "the answer aaa\xC3", 15, false));
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
	mode = data[0] % 6;
	data++;
	size--;
	switch (mode)
	{
		case 0:
		case 1:
		case 2:
			require(use_text(vocabs[mode], data, size, false));
			require(use_text(vocabs[mode], data, size, true));
			use_prompt(vocabs[mode], data, size);
			break;
		case 3:
			use_damaged(data, size);
			break;
		case 4:
			f = vf_small("llama-bpe");
			damage(f.data + 24, f.length - 24, data, size);
			build_file(&f, BPE_N_TOKENS);
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
