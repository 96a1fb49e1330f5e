/*-------------------------------------------------------------------------
 *
 * prompt.h
 *	  From messages to the token sequence that a chat model was trained on.
 *
 * Special tokens of the form come as ids, never as text: whatever a message
 * contains, "<|eot_id|>" included, is tokenised as plain text.
 *
 * src/core/prompt.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_PROMPT_H
#define BN_PROMPT_H

#include "tokenizer.h"

typedef enum bn_role
{
	BN_ROLE_SYSTEM, BN_ROLE_USER, BN_ROLE_ASSISTANT
} bn_role;

typedef struct bn_message
{
	bn_role		role;
	const char *text;			/* UTF-8, not terminated */
	size_t		length;
} bn_message;

/*
 * White space as chat templates trim it, with Python's strip(): the property
 * White_Space, and the four separators of ASCII.  space_length gives the bytes
 * of the one that the text begins with, or 0; trim_right, the length without
 * those at the end.
 */
extern size_t bn_space_length(const char *text, size_t length);
extern size_t bn_trim_right(const char *text, size_t length);

/*
 * Scratch memory that bn_prompt_chat needs for these messages; the only error
 * is BN_ERR_CANCELED.
 */
extern bn_status bn_prompt_scratch_size(const bn_vocab *vocab,
										const bn_message *messages, int n_messages,
										size_t *size, const bn_hooks *hooks, bn_error *err);

/*
 * BOS, then for each message "Role: " text (white space at its ends removed)
 * <|eot_id|>, then "Assistant: ", after which the model answers.  As the
 * publisher's tokenizer does it, a role and its text are tokenised as one
 * string.  Writes at most max_tokens ids; *n_tokens is the number needed, even
 * if that is more (then the result is BN_ERR_NOSPACE).
 */
extern bn_status bn_prompt_chat(const bn_vocab *vocab,
								const bn_message *messages, int n_messages,
								int32_t *tokens, size_t max_tokens, size_t *n_tokens,
								void *scratch, size_t scratch_size,
								const bn_hooks *hooks, bn_error *err);

#endif							/* BN_PROMPT_H */
