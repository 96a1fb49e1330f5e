/*-------------------------------------------------------------------------
 *
 * prompt.c
 *	  The chat form of BitNet b1.58 2B4T.
 *
 *	<|begin_of_text|>User: text<|eot_id|>Assistant:
 *
 * No line ends, a space after "Assistant:", and text without white space at
 * its ends, as the publisher's template has it.
 *
 * src/core/prompt.c
 *
 *-------------------------------------------------------------------------
 */
#include "prompt.h"

#include <string.h>

#include "splitter.h"
#include "utf8.h"

#define ANSWER_PREFIX "Assistant: "
#define MAX_PREFIX 16

typedef struct prompt_writer
{
	const bn_vocab *vocab;
	int32_t    *tokens;
	size_t		max_tokens;
	size_t		n_tokens;		/* needed, may be more than max_tokens */
	const bn_hooks *hooks;
	bn_error   *err;
} prompt_writer;

static const char *
role_prefix(bn_role role)
{
	switch (role)
	{
		case BN_ROLE_SYSTEM:
			return "System: ";
		case BN_ROLE_USER:
			return "User: ";
		case BN_ROLE_ASSISTANT:
			return ANSWER_PREFIX;
		default:
			return NULL;
	}
}

size_t
bn_space_length(const char *text, size_t length)
{
	size_t		bytes;
	uint32_t	code;

	if (length == 0)
		return 0;
	code = bn_utf8_decode((const uint8_t *) text, length, &bytes);
	return bn_code_class(code) == BN_CLASS_SPACE || (code >= 0x1C && code <= 0x1F) ? bytes : 0;
}

size_t
bn_trim_right(const char *text, size_t length)
{
	while (length > 0)
	{
		size_t		last = length - 1;

		while (last > 0 && length - last < 4 && (text[last] & 0xC0) == 0x80)
			last--;
		if (bn_space_length(text + last, length - last) != length - last)
			break;
		length = last;
	}
	return length;
}

/* Narrows a text to what is between the white space at its ends. */
static void
trim(const char **text, size_t *length)
{
	size_t		bytes;

	while ((bytes = bn_space_length(*text, *length)) > 0)
	{
		*text += bytes;
		*length -= bytes;
	}
	*length = bn_trim_right(*text, *length);
}

/* Room for a role and a text, a multiple of 8 bytes. */
static size_t
joined_size(size_t length)
{
	return (MAX_PREFIX + length + 7) / 8 * 8;
}

static void
put_token(prompt_writer *w, int32_t token)
{
	if (w->n_tokens < w->max_tokens)
		w->tokens[w->n_tokens] = token;
	w->n_tokens++;
}

/* Adds a text's tokens as far as there is room, and counts them all. */
static bn_status
put_text(prompt_writer *w, const char *text, size_t length, void *scratch,
		 size_t scratch_size)
{
	size_t		n = 0;
	size_t		consumed = 0;

	if (w->n_tokens < w->max_tokens)
		BN_TRY(bn_encode(w->vocab, text, length, w->tokens + w->n_tokens,
						 w->max_tokens - w->n_tokens, &n, &consumed,
						 scratch, scratch_size, w->hooks, w->err));
	if (consumed < length)
		BN_TRY(bn_encode(w->vocab, text, length, NULL, 0, &n, NULL,
						 scratch, scratch_size, w->hooks, w->err));
	w->n_tokens += n;
	return BN_OK;
}

static bn_status
put_message(prompt_writer *w, const bn_message *message, uint8_t *scratch,
			size_t scratch_size)
{
	const char *prefix = role_prefix(message->role);
	const char *text = message->text;
	size_t		length = message->length;
	size_t		prefix_length;
	size_t		joined;

	if (!prefix)
		return bn_fail(w->err, BN_ERR_INVALID, BN_NO_OFFSET,
					   "unknown role %d of a message", (int) message->role);
	trim(&text, &length);
	joined = joined_size(length);
	if (joined > scratch_size)
		return bn_fail(w->err, BN_ERR_NOSPACE, BN_NO_OFFSET,
					   "a message of %lu bytes needs more than %lu bytes of memory",
					   (uint64_t) length, (uint64_t) scratch_size);
	prefix_length = strlen(prefix);
	memcpy(scratch, prefix, prefix_length);
	if (length > 0)
		memcpy(scratch + prefix_length, text, length);
	BN_TRY(put_text(w, (const char *) scratch, prefix_length + length,
					scratch + joined, scratch_size - joined));
	if (w->vocab->eot != BN_NO_TOKEN)
		put_token(w, w->vocab->eot);
	else if (w->vocab->eos != BN_NO_TOKEN)
		put_token(w, w->vocab->eos);
	return BN_OK;
}

/*
 * What encoding a text needs allows for the role before it, see
 * bn_encode_scratch_size.
 */
bn_status
bn_prompt_scratch_size(const bn_vocab *vocab, const bn_message *messages, int n_messages,
					   size_t *size, const bn_hooks *hooks, bn_error *err)
{
	*size = 0;

	for (int i = 0; i < n_messages; i++)
	{
		size_t		joined = joined_size(messages[i].length);
		size_t		encode;

		BN_TRY(bn_encode_scratch_size(vocab, messages[i].text, messages[i].length,
									  &encode, hooks, err));
		if (encode > SIZE_MAX - joined)
			*size = SIZE_MAX;
		else if (encode + joined > *size)
			*size = encode + joined;
	}
	return BN_OK;
}

bn_status
bn_prompt_chat(const bn_vocab *vocab, const bn_message *messages, int n_messages,
			   int32_t *tokens, size_t max_tokens, size_t *n_tokens,
			   void *scratch, size_t scratch_size, const bn_hooks *hooks, bn_error *err)
{
	prompt_writer w = {vocab, tokens, max_tokens, 0, hooks, err};

	*n_tokens = 0;
	if ((uintptr_t) scratch % 8 != 0)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET, "scratch memory is not aligned");
	if (!tokens)
		w.max_tokens = 0;
	if (vocab->add_bos)
		put_token(&w, vocab->bos);
	for (int i = 0; i < n_messages; i++)
		BN_TRY(put_message(&w, &messages[i], scratch, scratch_size));
	BN_TRY(put_text(&w, ANSWER_PREFIX, strlen(ANSWER_PREFIX), NULL, 0));
	*n_tokens = w.n_tokens;
	if (w.n_tokens > max_tokens)
		return bn_fail(err, BN_ERR_NOSPACE, BN_NO_OFFSET,
					   "the prompt has %lu tokens, but there is room for %lu",
					   (uint64_t) w.n_tokens, (uint64_t) max_tokens);
	return BN_OK;
}
