/*-------------------------------------------------------------------------
 *
 * vocab.c
 *	  The vocabulary block of an image: built once, then only read.
 *
 *	header | merges | tokens by text | text offsets | byte tokens | types | text
 *
 * Both hash tables are open addressed with linear probing.  The layout follows
 * from a few counts, so a block is checked by computing it again.
 *
 * Byte-level BPE files spell each byte of a token as a printable character
 * (GPT-2's map: a space is U+0120); here the bytes themselves are kept.
 *
 * src/core/vocab.c
 *
 *-------------------------------------------------------------------------
 */
#include "vocab.h"

#include <string.h>

#include "bytes.h"
#include "image.h"
#include "splitter.h"
#include "utf8.h"

#define MAX_MERGES (4u * 1024 * 1024)
#define MAX_TOKEN_TEXT 1024		/* bytes of a token as the file spells it */
#define MAX_MERGE_TEXT (MAX_TOKEN_TEXT + 1) /* of its two halves and the space between them */
#define STOP_INTERVAL 64		/* elements, each compared with up to BN_MAX_PROBES others, between questions to should_stop */

#define KEY(name) "tokenizer.ggml." name

static const char *const stop_names[] = {
	"<|end_of_text|>", "<|eot_id|>", "<|endoftext|>", "<|im_end|>"
};

#define N_STOP_NAMES ((int) (sizeof(stop_names) / sizeof(stop_names[0])))

static const struct
{
	const char *name;			/* tokenizer.ggml.pre */
	bn_splitter splitter;
}			splitter_names[] = {
	{"llama-bpe", BN_SPLIT_LLAMA3},
	{"llama3", BN_SPLIT_LLAMA3},
	{"llama-v3", BN_SPLIT_LLAMA3},
	{"falcon3", BN_SPLIT_LLAMA3},
	{"falcon_e", BN_SPLIT_LLAMA3},
	{"qwen2", BN_SPLIT_QWEN2},
	{"gpt-2", BN_SPLIT_GPT2},
};

#define N_SPLITTER_NAMES ((int) (sizeof(splitter_names) / sizeof(splitter_names[0])))

/* The lists of the file that the block is made of */
typedef struct vocab_lists
{
	const bn_gguf_value *tokens;
	const bn_gguf_value *types; /* NULL: all tokens are normal */
	const bn_gguf_value *merges;
} vocab_lists;

static inline void *
writable(bn_vocab *v, uint64_t offset)
{
	return (uint8_t *) v + offset;
}

/* Entries of a hash table for n elements, less one. */
static uint32_t
table_mask(uint64_t n)
{
	uint32_t	size = 16;

	while (size < n + n / 2)
		size *= 2;
	return size - 1;
}

/*
 * Places the sections after the header; needs n_tokens and the masks, all in
 * range, so that no sum overflows.
 */
static void
lay_out(bn_vocab *v, uint64_t text_bytes)
{
	uint64_t	at = sizeof(bn_vocab);

	v->merge_table_offset = at;
	at += ((uint64_t) v->merge_mask + 1) * sizeof(bn_merge);
	v->token_table_offset = at;
	at += ((uint64_t) v->token_mask + 1) * sizeof(uint32_t);
	v->text_offset = at;
	at += ((uint64_t) v->n_tokens + 1) * sizeof(uint32_t);
	v->byte_offset = at;
	at += 256 * sizeof(int32_t);
	v->type_offset = at;
	at += (uint64_t) v->n_tokens;
	v->text_data_offset = at;
	v->bytes = at + text_bytes;
}

/* Type of the next token as the file has it; 0 means undefined in ggml. */
static bn_status
next_type(bn_gguf_cursor *c, bn_token_type *type, bn_error *err)
{
	uint64_t	offset = c->offset;
	int64_t		value;

	BN_TRY(bn_gguf_next_int(c, &value, err));
	if (value < 0 || value > BN_TOKEN_BYTE)
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "token %lu has the unknown type %ld", c->index - 1, value);
	*type = value == 0 ? BN_TOKEN_NORMAL : (bn_token_type) value;
	return BN_OK;
}

static bool
is_special(bn_token_type type)
{
	return type == BN_TOKEN_CONTROL || type == BN_TOKEN_USER_DEFINED;
}

static bn_status
find_list(const bn_gguf *g, const char *key, bn_gguf_type item_type,
		  const bn_gguf_value **list, bn_error *err)
{
	bn_gguf_cursor c;

	*list = bn_gguf_find(g, key);
	return *list ? bn_gguf_cursor_open(&c, g, *list, item_type, err) : BN_OK;
}

/* Finds the lists, checks their lengths and lays out the block for them. */
static bn_status
plan(const bn_gguf *g, int32_t vocab_size, vocab_lists *lists, bn_vocab *v, bn_error *err)
{
	uint64_t	text_bytes;

	memset(v, 0, sizeof(*v));
	if (vocab_size < 1 || vocab_size > BN_MAX_VOCAB)
		return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
					   "a vocabulary of %d tokens is outside the range 1 to %d",
					   vocab_size, BN_MAX_VOCAB);
	BN_TRY(find_list(g, KEY("tokens"), BN_GGUF_STRING, &lists->tokens, err));
	BN_TRY(find_list(g, KEY("merges"), BN_GGUF_STRING, &lists->merges, err));
	BN_TRY(find_list(g, KEY("token_type"), BN_GGUF_I32, &lists->types, err));
	if (!lists->tokens || !lists->merges)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET, "the metadata key \"%s\" is missing",
					   lists->tokens ? KEY("merges") : KEY("tokens"));
	if (lists->tokens->count != (uint64_t) vocab_size)
		return bn_fail(err, BN_ERR_FORMAT, lists->tokens->offset,
					   "the vocabulary has %lu tokens, but the embedding has %d rows",
					   lists->tokens->count, vocab_size);
	if (lists->types && lists->types->count != (uint64_t) vocab_size)
		return bn_fail(err, BN_ERR_FORMAT, lists->types->offset,
					   "%lu token types for %d tokens", lists->types->count, vocab_size);
	if (lists->merges->count > MAX_MERGES)
		return bn_fail(err, BN_ERR_LIMIT, lists->merges->offset,
					   "%lu merges are more than the limit of %u",
					   lists->merges->count, MAX_MERGES);

	/* what a token is spelled with is never shorter than its bytes */
	if (lists->tokens->bytes < lists->tokens->count * 8 ||
		lists->tokens->bytes >= UINT32_MAX)
		return bn_fail(err, BN_ERR_LIMIT, lists->tokens->offset,
					   "the texts of the vocabulary have %lu bytes", lists->tokens->bytes);
	text_bytes = lists->tokens->bytes - lists->tokens->count * 8;

	v->n_tokens = vocab_size;
	v->token_mask = table_mask((uint64_t) vocab_size);
	v->merge_mask = table_mask(lists->merges->count);
	lay_out(v, text_bytes);
	return BN_OK;
}

/* What kind of tokenizer the file asks for, and how it splits text. */
static bn_status
read_kind(const bn_gguf *g, bn_vocab *v, bn_error *err)
{
	char		name[64];
	bool		found;

	BN_TRY(bn_gguf_get_string(g, KEY("model"), name, sizeof(name), NULL, err));
	if (strcmp(name, "gpt2") != 0)
	{
		bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
				"the tokenizer model \"%s\" is not supported", name);
		return bn_hint(err, BN_ERR_UNSUPPORTED,
					   "Byte-level BPE vocabularies can be used: tokenizer.ggml.model \"gpt2\".");
	}

	BN_TRY(bn_gguf_get_string(g, KEY("pre"), name, sizeof(name), &found, err));
	if (!found || strcmp(name, "default") == 0)
		v->splitter = BN_SPLIT_LLAMA3;
	else
	{
		for (int i = 0; i < N_SPLITTER_NAMES; i++)
			if (strcmp(name, splitter_names[i].name) == 0)
				v->splitter = splitter_names[i].splitter;
		if (v->splitter == 0)
		{
			bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
					"the pre-tokenizer \"%s\" is not supported", name);
			return bn_hint(err, BN_ERR_UNSUPPORTED,
						   "Supported are llama-bpe, llama3, llama-v3, falcon3, falcon_e, qwen2 and gpt-2.");
		}
	}
	v->ignore_merges = v->splitter == BN_SPLIT_LLAMA3;
	return BN_OK;
}

/*
 * The byte that the character at p stands for in GPT-2's map, or -1.
 */
static int
spelled_byte(const uint8_t *p, size_t length, size_t *bytes)
{
	uint32_t	code = bn_utf8_decode(p, length, bytes);

	if ((code >= 33 && code <= 126) || (code >= 161 && code <= 172) ||
		(code >= 174 && code <= 255))
		return (int) code;

	/* the other 68 bytes follow from U+0100 on, in order */
	if (code >= 256 && code < 256 + 33)
		return (int) (code - 256);
	if (code >= 289 && code < 289 + 34)
		return (int) (code - 289 + 127);
	if (code == 323)
		return 173;
	return -1;
}

/* Replaces a spelling by its bytes, unless it contains anything else. */
static bool
unspell(uint8_t *text, size_t *length)
{
	size_t		bytes;
	size_t		n = 0;

	for (size_t i = 0; i < *length; i += bytes)
		if (spelled_byte(text + i, *length - i, &bytes) < 0)
			return false;
	for (size_t i = 0; i < *length; i += bytes)
		text[n++] = (uint8_t) spelled_byte(text + i, *length - i, &bytes);
	*length = n;
	return true;
}

static uint32_t
text_hash(const uint8_t *text, size_t length)
{
	return (uint32_t) (bn_hash_bytes(text, length) * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

/* Adds a token under its text, unless another one has it already. */
static bn_status
insert_token(bn_vocab *v, int32_t token, bn_error *err)
{
	uint32_t   *table = writable(v, v->token_table_offset);
	size_t		length;
	const uint8_t *text = bn_token_text(v, token, &length);
	uint32_t	slot = text_hash(text, length);

	for (int i = 0; i < BN_MAX_PROBES; i++, slot++)
	{
		uint32_t   *entry = &table[slot & v->token_mask];
		size_t		other_length;
		const uint8_t *other;

		if (*entry == 0)
		{
			*entry = (uint32_t) token + 1;
			return BN_OK;
		}
		other = bn_token_text(v, (int32_t) (*entry - 1), &other_length);
		if (other_length == length && memcmp(other, text, length) == 0)
			return BN_OK;
	}
	return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
				   "too many tokens with the same hash value, token %d is one", token);
}

static bn_status
insert_merge(bn_vocab *v, int32_t left, int32_t right, int32_t result, uint32_t rank,
			 bn_error *err)
{
	bn_merge   *table = writable(v, v->merge_table_offset);
	uint32_t	slot = bn_merge_hash((uint32_t) left, (uint32_t) right);

	for (int i = 0; i < BN_MAX_PROBES; i++, slot++)
	{
		bn_merge   *m = &table[slot & v->merge_mask];

		if (m->left == 0)
		{
			m->left = (uint32_t) left + 1;
			m->right = (uint32_t) right;
			m->result = (uint32_t) result;
			m->rank = rank;
			return BN_OK;
		}
		if (m->left == (uint32_t) left + 1 && m->right == (uint32_t) right)
			return BN_OK;		/* the first of equal merges has the lower rank */
	}
	return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
				   "too many merges with the same hash value, merge %u is one", rank);
}

static bn_status
read_types(const bn_gguf *g, const vocab_lists *lists, bn_vocab *v, bn_error *err)
{
	uint8_t    *types = writable(v, v->type_offset);
	bn_gguf_cursor c;

	if (!lists->types)
	{
		memset(types, BN_TOKEN_NORMAL, (size_t) v->n_tokens);
		return BN_OK;
	}
	BN_TRY(bn_gguf_cursor_open(&c, g, lists->types, BN_GGUF_I32, err));
	for (int32_t i = 0; i < v->n_tokens; i++)
	{
		bn_token_type type;

		BN_TRY(next_type(&c, &type, err));
		types[i] = (uint8_t) type;
		if (is_special(type))
			types[i] |= BN_TYPE_NOT_TEXT;
	}
	return BN_OK;
}

/*
 * Reads the texts.  Special tokens are stored as they are, others as the bytes
 * that they spell; one that spells none (a word added to the list with a plain
 * space, say) keeps its characters and is out of plain text's reach.
 */
static bn_status
read_texts(const bn_gguf *g, const vocab_lists *lists, bn_vocab *v,
		   const bn_hooks *hooks, bn_error *err)
{
	uint8_t    *types = writable(v, v->type_offset);
	uint32_t   *offsets = writable(v, v->text_offset);
	uint8_t    *data = writable(v, v->text_data_offset);
	uint64_t	room = v->bytes - v->text_data_offset;
	uint64_t	at = 0;
	bn_gguf_cursor c;

	BN_TRY(bn_gguf_cursor_open(&c, g, lists->tokens, BN_GGUF_STRING, err));
	for (int32_t i = 0; i < v->n_tokens; i++)
	{
		size_t		length;
		size_t		most = room - at < MAX_TOKEN_TEXT ? (size_t) (room - at) : MAX_TOKEN_TEXT;

		if (i % STOP_INTERVAL == 0 && bn_should_stop(hooks))
			return bn_fail(err, BN_ERR_CANCELED, BN_NO_OFFSET, "canceled");
		BN_TRY(bn_gguf_next_string(&c, data + at, most, &length, err));
		if (!(types[i] & BN_TYPE_NOT_TEXT) && !unspell(data + at, &length))
			types[i] |= BN_TYPE_NOT_TEXT;
		if (!(types[i] & BN_TYPE_NOT_TEXT) && length > v->max_token_bytes)
			v->max_token_bytes = (uint32_t) length;
		offsets[i] = (uint32_t) at;
		at += length;
		offsets[i + 1] = (uint32_t) at;
	}

	/* where texts are equal, tokens of plain text come first, then low ids */
	for (int pass = 0; pass < 2; pass++)
		for (int32_t i = 0; i < v->n_tokens; i++)
		{
			if (i % STOP_INTERVAL == 0 && bn_should_stop(hooks))
				return bn_fail(err, BN_ERR_CANCELED, BN_NO_OFFSET, "canceled");
			if (((types[i] & BN_TYPE_NOT_TEXT) != 0) == pass && offsets[i] < offsets[i + 1])
				BN_TRY(insert_token(v, i, err));
		}
	return BN_OK;
}

static bn_status
find_byte_tokens(bn_vocab *v, bn_error *err)
{
	int32_t    *byte_tokens = writable(v, v->byte_offset);

	for (int i = 0; i < 256; i++)
	{
		uint8_t		byte = (uint8_t) i;

		byte_tokens[i] = bn_text_token(v, &byte, 1);
		if (byte_tokens[i] == BN_NO_TOKEN)
			return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
						   "the vocabulary has no token for the byte %d", i);
	}
	return BN_OK;
}

/*
 * One line of the merge list: two spellings with a space between them.  A
 * merge with a token that is not of plain text can never happen, and is left
 * out.
 */
static bn_status
read_merge(bn_vocab *v, uint8_t *line, size_t length, uint32_t rank, bn_error *err)
{
	size_t		space = 1;
	size_t		left_length;
	size_t		right_length;
	int32_t		left;
	int32_t		right;
	int32_t		result;
	char		shown[64];

	bn_format(shown, sizeof(shown), "%s", (const char *) line);
	while (space < length && line[space] != ' ')
		space++;
	if (space + 1 >= length)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "merge %u, \"%s\", is not a pair of tokens", rank, shown);

	left_length = space;
	right_length = length - space - 1;
	unspell(line, &left_length);
	unspell(line + space + 1, &right_length);
	memmove(line + left_length, line + space + 1, right_length);

	left = bn_token_find(v, line, left_length);
	right = bn_token_find(v, line + left_length, right_length);
	result = bn_token_find(v, line, left_length + right_length);
	if (left == BN_NO_TOKEN || right == BN_NO_TOKEN || result == BN_NO_TOKEN)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the %s of merge %u, \"%s\", is not in the vocabulary",
					   left == BN_NO_TOKEN ? "left half" :
					   right == BN_NO_TOKEN ? "right half" : "result", rank, shown);
	if ((bn_vocab_type(v, left) | bn_vocab_type(v, right) | bn_vocab_type(v, result)) &
		BN_TYPE_NOT_TEXT)
		return BN_OK;
	return insert_merge(v, left, right, result, rank, err);
}

static bn_status
read_merges(const bn_gguf *g, const vocab_lists *lists, bn_vocab *v,
			const bn_hooks *hooks, bn_error *err)
{
	uint8_t		line[MAX_MERGE_TEXT + 1];
	bn_gguf_cursor c;

	BN_TRY(bn_gguf_cursor_open(&c, g, lists->merges, BN_GGUF_STRING, err));
	for (uint32_t rank = 0; rank < lists->merges->count; rank++)
	{
		size_t		length;

		if (rank % STOP_INTERVAL == 0 && bn_should_stop(hooks))
			return bn_fail(err, BN_ERR_CANCELED, BN_NO_OFFSET, "canceled");
		BN_TRY(bn_gguf_next_string(&c, line, MAX_MERGE_TEXT, &length, err));
		line[length] = '\0';
		BN_TRY(read_merge(v, line, length, rank, err));
	}
	return BN_OK;
}

/* The first control token of a name, or BN_NO_TOKEN. */
static int32_t
find_control(const bn_vocab *v, const char *name)
{
	for (int32_t i = 0; i < v->n_tokens; i++)
	{
		size_t		length;
		const uint8_t *text = bn_token_text(v, i, &length);

		if (bn_token_kind(v, i) == BN_TOKEN_CONTROL && length == strlen(name) &&
			memcmp(text, name, length) == 0)
			return i;
	}
	return BN_NO_TOKEN;
}

static bn_status
read_id(const bn_gguf *g, const char *key, const bn_vocab *v, int32_t *id, bn_error *err)
{
	int64_t		value;
	bool		found;

	BN_TRY(bn_gguf_get_int(g, key, 0, v->n_tokens - 1, &value, &found, err));
	*id = found ? (int32_t) value : BN_NO_TOKEN;
	return BN_OK;
}

static bn_status
read_roles(const bn_gguf *g, bn_vocab *v, bn_error *err)
{
	bool		add_bos = v->splitter == BN_SPLIT_LLAMA3;
	bool		found;

	BN_TRY(read_id(g, KEY("bos_token_id"), v, &v->bos, err));
	BN_TRY(read_id(g, KEY("eos_token_id"), v, &v->eos, err));
	BN_TRY(read_id(g, KEY("eot_token_id"), v, &v->eot, err));
	BN_TRY(read_id(g, KEY("padding_token_id"), v, &v->pad, err));
	BN_TRY(bn_gguf_get_bool(g, KEY("add_bos_token"), &add_bos, &found, err));
	v->add_bos = add_bos && v->bos != BN_NO_TOKEN;

	if (v->eot == BN_NO_TOKEN)
		v->eot = find_control(v, "<|eot_id|>");
	if (v->eot == BN_NO_TOKEN)
		v->eot = find_control(v, "<|im_end|>");

	for (int i = 0; i < BN_MAX_STOP_TOKENS; i++)
		v->stop[i] = BN_NO_TOKEN;
	v->stop[0] = v->eos;
	v->stop[1] = v->eot;
	for (int i = 0; i < N_STOP_NAMES; i++)
		v->stop[2 + i] = find_control(v, stop_names[i]);
	return BN_OK;
}

bn_status
bn_vocab_size(const bn_gguf *g, int32_t vocab_size, uint64_t *size, bn_error *err)
{
	vocab_lists lists;
	bn_vocab	v;

	BN_TRY(plan(g, vocab_size, &lists, &v, err));
	BN_TRY(read_kind(g, &v, err));
	*size = v.bytes;
	return BN_OK;
}

bn_status
bn_vocab_build(const bn_gguf *g, int32_t vocab_size,
			   void *memory, uint64_t size, const bn_hooks *hooks, bn_error *err)
{
	vocab_lists lists;
	bn_vocab	planned;
	bn_vocab   *v = memory;

	BN_TRY(plan(g, vocab_size, &lists, &planned, err));
	if (size != planned.bytes || (uintptr_t) memory % 8 != 0)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET,
					   "the vocabulary needs %lu aligned bytes, not %lu",
					   planned.bytes, size);
	memset(memory, 0, (size_t) size);
	*v = planned;
	BN_TRY(read_kind(g, v, err));
	BN_TRY(read_types(g, &lists, v, err));
	BN_TRY(read_texts(g, &lists, v, hooks, err));
	BN_TRY(find_byte_tokens(v, err));
	BN_TRY(read_merges(g, &lists, v, hooks, err));
	return read_roles(g, v, err);
}

static bool
is_mask(uint32_t mask, uint32_t max)
{
	return mask <= max && (mask & (mask + 1)) == 0;
}

static bool
is_id_or_none(const bn_vocab *v, int32_t id)
{
	return id >= BN_NO_TOKEN && id < v->n_tokens;
}

bn_status
bn_vocab_check(const void *memory, uint64_t size, int32_t vocab_size, bn_error *err)
{
	const bn_vocab *v = memory;
	bn_vocab	expected;
	bool		ids_fit;

	if ((uintptr_t) memory % 8 != 0 || size < sizeof(bn_vocab))
		return bn_fail(err, BN_ERR_TRUNCATED, BN_NO_OFFSET,
					   "the vocabulary has %lu bytes, less than its header", size);
	if (v->n_tokens != vocab_size || vocab_size < 1 || vocab_size > BN_MAX_VOCAB ||
		!is_mask(v->token_mask, table_mask(BN_MAX_VOCAB)) ||
		!is_mask(v->merge_mask, table_mask(MAX_MERGES)))
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the vocabulary's counts do not fit the model");

	expected = *v;
	lay_out(&expected, 0);
	if (v->bytes != size || size < expected.bytes || size - expected.bytes > UINT32_MAX ||
		v->merge_table_offset != expected.merge_table_offset ||
		v->token_table_offset != expected.token_table_offset ||
		v->text_offset != expected.text_offset ||
		v->byte_offset != expected.byte_offset ||
		v->type_offset != expected.type_offset ||
		v->text_data_offset != expected.text_data_offset)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the vocabulary's sections are not where its counts put them");

	ids_fit = is_id_or_none(v, v->bos) && is_id_or_none(v, v->eos) &&
		is_id_or_none(v, v->eot) && is_id_or_none(v, v->pad) &&
		(!v->add_bos || v->bos != BN_NO_TOKEN);
	for (int i = 0; i < BN_MAX_STOP_TOKENS; i++)
		ids_fit = ids_fit && is_id_or_none(v, v->stop[i]);
	if (!ids_fit || v->splitter < BN_SPLIT_LLAMA3 || v->splitter > BN_SPLIT_GPT2)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the vocabulary's special ids or its splitter are out of range");
	return BN_OK;
}

const uint8_t *
bn_token_text(const bn_vocab *vocab, int32_t token, size_t *length)
{
	const uint8_t *data = bn_vocab_at(vocab, vocab->text_data_offset);
	const uint32_t *offsets = bn_vocab_at(vocab, vocab->text_offset);

	*length = 0;
	if (token < 0 || token >= vocab->n_tokens || offsets[token] > offsets[token + 1] ||
		offsets[token + 1] > vocab->bytes - vocab->text_data_offset)
		return data;
	*length = offsets[token + 1] - offsets[token];
	return data + offsets[token];
}

bn_token_type
bn_token_kind(const bn_vocab *vocab, int32_t token)
{
	if (token < 0 || token >= vocab->n_tokens)
		return BN_TOKEN_UNKNOWN;
	return (bn_token_type) (bn_vocab_type(vocab, token) & ~BN_TYPE_NOT_TEXT);
}

int32_t
bn_token_find(const bn_vocab *vocab, const void *text, size_t length)
{
	const uint32_t *table = bn_vocab_at(vocab, vocab->token_table_offset);
	uint32_t	slot = text_hash(text, length);

	for (int i = 0; i < BN_MAX_PROBES; i++, slot++)
	{
		uint32_t	entry = table[slot & vocab->token_mask];
		size_t		found_length;
		const uint8_t *found;

		if (entry == 0 || entry > (uint32_t) vocab->n_tokens)
			break;
		found = bn_token_text(vocab, (int32_t) (entry - 1), &found_length);
		if (found_length == length && memcmp(found, text, length) == 0)
			return (int32_t) (entry - 1);
	}
	return BN_NO_TOKEN;
}

bool
bn_token_is_stop(const bn_vocab *vocab, int32_t token)
{
	if (token < 0)
		return false;
	for (int i = 0; i < BN_MAX_STOP_TOKENS; i++)
		if (vocab->stop[i] == token)
			return true;
	return false;
}
