/*-------------------------------------------------------------------------
 *
 * fuzz_chat.c
 *	  Fuzz target: any messages, with any vocabulary that the reader admits.
 *
 * The tokens must spell the chat, and no special token may come from what a
 * message contains.  What white space is trimmed is written down here again.
 *
 * The input has: what the vocabulary is (a byte; the number of changes to its
 * file and these), how many messages there are, and for each its role, the
 * length of its text, and that.
 *
 * test/fuzz/fuzz_chat.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_vocab.h"
#include "../../src/core/prompt.h"

#define MAX_MESSAGES 8

/* Bits of the first byte, beside the splitter */
#define WITH_BOS 4
#define WITH_EOS 8
#define WITHOUT_BOS_BEFORE 16

typedef struct input
{
	const uint8_t *data;
	size_t		size;
} input;

/* The next n bytes, or as many as there are */
static const uint8_t *
take(input *in, size_t *n)
{
	const uint8_t *p = in->data;

	if (*n > in->size)
		*n = in->size;
	in->data += *n;
	in->size -= *n;
	return p;
}

static uint8_t
take_byte(input *in)
{
	size_t		n = 1;
	const uint8_t *p = take(in, &n);

	return n > 0 ? *p : 0;
}

static bn_vocab *
take_vocab(input *in)
{
	uint8_t		kind = take_byte(in);
	size_t		n = 4 * (take_byte(in) % 16);
	const uint8_t *changes = take(in, &n);
	vocab_file	f = small_file((kind & 3) % 3);

	if (kind & WITH_BOS)
		vf_key_u32(&f, "tokenizer.ggml.bos_token_id", BPE_N_TOKENS - 5);
	if (kind & WITH_EOS)
		vf_key_u32(&f, "tokenizer.ggml.eos_token_id", BPE_N_TOKENS - 4);
	if (kind & WITHOUT_BOS_BEFORE)
		vf_key_bool(&f, "tokenizer.ggml.add_bos_token", false);
	damage(f.data + 24, f.length - 24, changes, n);
	return build_or_refuse(&f, BPE_N_TOKENS);
}

/* Whether the text begins (or ends) with white space, and its bytes */
static size_t
space(const char *text, size_t length, bool at_end)
{
	static const char *const spaces[] = {
		"\t", "\n", "\v", "\f", "\r", "\x1C", "\x1D", "\x1E", "\x1F", " ", "\xC2\x85", "\xC2\xA0",
		"\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83",
		"\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88",
		"\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
		"\xE2\x81\x9F", "\xE3\x80\x80"
	};

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
	{
		size_t		n = strlen(spaces[i]);

		if (n <= length && memcmp(at_end ? text + length - n : text, spaces[i], n) == 0)
			return n;
	}
	return 0;
}

/* The tokens from *at on that spell these bytes: ordinary ones, and no more */
static void
expect_text(const bn_vocab *v, const int32_t *ids, size_t n, size_t *at, const char *text,
			size_t length)
{
	while (length > 0)
	{
		size_t		bytes;
		const uint8_t *token;

		require(*at < n && ids[*at] >= 0 && ids[*at] < v->n_tokens &&
				bn_token_kind(v, ids[*at]) == BN_TOKEN_NORMAL);
		token = bn_token_text(v, ids[(*at)++], &bytes);
		require(bytes > 0 && bytes <= length && memcmp(token, text, bytes) == 0);
		text += bytes;
		length -= bytes;
	}
}

static void
expect_chat(const bn_vocab *v, const bn_message *messages, int n_messages,
			const int32_t *ids, size_t n)
{
	static const char *const roles[] = {"System: ", "User: ", "Assistant: "};
	int32_t		end = v->eot != BN_NO_TOKEN ? v->eot : v->eos;
	size_t		at = 0;

	if (v->add_bos)
		require(n > at && v->bos != BN_NO_TOKEN && ids[at++] == v->bos);
	for (int i = 0; i < n_messages; i++)
	{
		const char *text = messages[i].text;
		size_t		length = messages[i].length;
		size_t		role_length = strlen(roles[messages[i].role]);
		char	   *joined;
		size_t		bytes;

		while ((bytes = space(text, length, false)) > 0)
		{
			text += bytes;
			length -= bytes;
		}
		while ((bytes = space(text, length, true)) > 0)
			length -= bytes;
		joined = malloc(role_length + length);
		memcpy(joined, roles[messages[i].role], role_length);
		if (length > 0)
			memcpy(joined + role_length, text, length);
		expect_text(v, ids, n, &at, joined, role_length + length);
		free(joined);
		if (end != BN_NO_TOKEN)
			require(at < n && ids[at++] == end);
	}
	expect_text(v, ids, n, &at, roles[BN_ROLE_ASSISTANT], strlen(roles[BN_ROLE_ASSISTANT]));
	require(at == n);
}

/* With all the room that it needs, none, and some. */
static void
use_messages(const bn_vocab *v, const bn_message *messages, int n_messages, size_t some)
{
	bool		known = true;
	bn_error	err;
	size_t		size;
	void	   *scratch;
	int32_t    *ids;
	int32_t    *first;
	size_t		n;
	size_t		n_again;

	for (int i = 0; i < n_messages; i++)
		known = known && messages[i].role <= BN_ROLE_ASSISTANT;
	require(bn_prompt_scratch_size(v, messages, n_messages, &size, NULL, NULL) == BN_OK);
	scratch = malloc(size);
	if (!known)
		require(bn_prompt_chat(v, messages, n_messages, NULL, 0, &n, scratch, size,
							   NULL, &err) == BN_ERR_INVALID && err.detail[0] != '\0');
	else
	{
		require(bn_prompt_chat(v, messages, n_messages, NULL, 0, &n, scratch, size,
							   NULL, NULL) == BN_ERR_NOSPACE);
		ids = malloc(n * sizeof(int32_t));
		require(bn_prompt_chat(v, messages, n_messages, ids, n, &n_again, scratch, size,
							   NULL, NULL) == BN_OK && n_again == n);
		expect_chat(v, messages, n_messages, ids, n);
		some %= n;
		first = malloc(some * sizeof(int32_t));
		require(bn_prompt_chat(v, messages, n_messages, first, some, &n_again, scratch, size,
							   NULL, NULL) == BN_ERR_NOSPACE && n_again == n &&
				memcmp(first, ids, some * sizeof(int32_t)) == 0);
		free(first);
		free(ids);
	}
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input		in = {data, size};
	bn_message	messages[MAX_MESSAGES];
	bn_vocab   *v;
	size_t		some;
	int			n_messages;

	if (size > MAX_TEXT || !(v = take_vocab(&in)))
		return 0;
	some = take_byte(&in);
	n_messages = take_byte(&in) % (MAX_MESSAGES + 1);
	for (int i = 0; i < n_messages; i++)
	{
		uint8_t		role = take_byte(&in);

		messages[i].role = (bn_role) (role < 240 ? role % 3 : role);
		messages[i].length = take_byte(&in);
		messages[i].length |= (size_t) take_byte(&in) << 8;
		messages[i].text = (const char *) take(&in, &messages[i].length);
	}
	use_messages(v, messages, n_messages, some);
	free(v);
	return 0;
}
