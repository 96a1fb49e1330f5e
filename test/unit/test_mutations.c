/*-------------------------------------------------------------------------
 *
 * test_mutations.c
 *	  Damaged model files: each is refused with a reason, or it can be used.
 *
 * Whole model files are changed in a few places, most often where a change
 * matters: in counts, lengths, types, dimensions and offsets, and in records
 * as a whole.  What the core then accepts must work: the tokenizer gives a
 * text back, and the engine gives finite numbers or says that it has none.
 *
 *	test_mutations [how many]			600, or $BITNET_MUTATIONS
 *	test_mutations model number file	writes one of the files
 *
 * The same number always makes the same file.
 *
 * test/unit/test_mutations.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model_file.h"
#include "../../src/core/prompt.h"
#include "tap.h"

#define MAX_TENSORS 128
#define MAX_RECORDS 256			/* metadata records and tensor infos */
#define ALIGNMENT 32
#define TIME_LIMIT 120			/* seconds for one file, against loops without end */
#define MAX_COMPLAINTS 10
#define GUARD 64				/* bytes after an image that nobody may write */
#define WIDTH 384				/* of an embedding, at most */
#define N_OUTPUT 4
#define MAX_TOKENS 512

/* The models, and how many of a hundred files are made of each */
static const struct
{
	const char *name;
	const char *options;		/* of make_model; NULL: the file of the tree */
	int			share;
}			models[] = {
	{"small", "--layers 2 --hidden 64 --ffn 128 --heads 2 --kv 1 --vocab 400 --ctx 256", 45},
	{"dense", "--layers 1 --hidden 32 --ffn 32 --heads 2 --kv 2 --vocab 300 --ctx 64 --type f16 "
	"--embd q8_0 --output f32 --arch bitnet-25 --pre qwen2", 35},
	{"default", NULL, 20},
};

#define N_MODELS ((int) (sizeof(models) / sizeof(models[0])))
#define DEFAULT_MODEL "models/default.gguf"

/* Which part of a file something is in */
typedef enum part
{
	PART_START, PART_RECORD, PART_ITEM, PART_INFO, PART_DATA, N_PARTS
} part;

typedef struct span
{
	size_t		at;
	size_t		bytes;
} span;

/* A whole file, and what is where in it. */
typedef struct base
{
	uint8_t    *data;
	size_t		size;
	span	   *fields[N_PARTS];	/* numbers and texts */
	size_t		n_fields[N_PARTS];
	span		records[MAX_RECORDS];
	int			n_values;		/* records that are metadata; the others, tensors */
	int			n_records;
	span		tensors[MAX_TENSORS];	/* their data */
	size_t		header_end;
	size_t		data_begin;
} base;

typedef struct buffer
{
	uint8_t    *data;
	size_t		size;
	bool		outside;		/* somebody wanted to read beyond the end */
} buffer;

/* What a process found; in memory that its parent sees. */
typedef struct findings
{
	int			number;			/* of the file that is being looked at */
	int			n_refused;
	int			n_used;
	int			n_numeric;		/* of those, with an answer that was not finite */
	int			n_wrong;
} findings;

static uint64_t random_state;

static uint64_t
next_random(void)
{
	uint64_t	x = random_state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* A number below n, which is not zero. */
static size_t
below(size_t n)
{
	return (size_t) (next_random() % n);
}

/* ----------------------------- reading whole files ----------------------- */

static uint64_t
load(const uint8_t *p, size_t bytes)
{
	uint64_t	value = 0;

	memcpy(&value, p, bytes);
	return value;
}

static void
add_field(base *b, part which, size_t at, size_t bytes)
{
	size_t		n = b->n_fields[which]++;

	if ((n & (n - 1)) == 0)
		b->fields[which] = realloc(b->fields[which], 2 * (n + 1) * sizeof(span));
	b->fields[which][n] = (span) {at, bytes};
}

static uint64_t
walk_number(base *b, part which, size_t *at, size_t bytes)
{
	add_field(b, which, *at, bytes);
	*at += bytes;
	return load(b->data + *at - bytes, bytes);
}

static void
walk_text(base *b, part which, size_t *at)
{
	size_t		length = (size_t) walk_number(b, which, at, 8);

	if (length > 0)
		add_field(b, which, *at, length);
	*at += length;
}

static void
walk_scalar(base *b, part which, size_t *at, uint64_t type)
{
	static const size_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

	if (type == BN_GGUF_STRING)
		walk_text(b, which, at);
	else
		walk_number(b, which, at, bytes[type]);
}

static void
walk_value(base *b, size_t *at)
{
	uint64_t	type;

	walk_text(b, PART_RECORD, at);
	type = walk_number(b, PART_RECORD, at, 4);
	if (type == BN_GGUF_ARRAY)
	{
		uint64_t	item_type = walk_number(b, PART_RECORD, at, 4);
		uint64_t	n = walk_number(b, PART_RECORD, at, 8);

		while (n-- > 0)
			walk_scalar(b, PART_ITEM, at, item_type);
	}
	else
		walk_scalar(b, PART_RECORD, at, type);
}

/* Where the tensor's data begins, counted from that of all */
static size_t
walk_info(base *b, size_t *at)
{
	uint64_t	n_dims;

	walk_text(b, PART_INFO, at);
	n_dims = walk_number(b, PART_INFO, at, 4);
	while (n_dims-- > 0)
		walk_number(b, PART_INFO, at, 8);
	walk_number(b, PART_INFO, at, 4);
	return (size_t) walk_number(b, PART_INFO, at, 8);
}

/* The file is one of ours: tensors are in order, and all fits into the tables. */
static void
walk(base *b)
{
	size_t		at = 0;
	int			n_tensors;
	int			i;

	walk_number(b, PART_START, &at, 4);
	walk_number(b, PART_START, &at, 4);
	n_tensors = (int) walk_number(b, PART_START, &at, 8);
	b->n_values = (int) walk_number(b, PART_START, &at, 8);
	b->n_records = b->n_values + n_tensors;
	if (n_tensors > MAX_TENSORS || b->n_records > MAX_RECORDS)
		abort();
	for (i = 0; i < b->n_records; i++)
	{
		b->records[i].at = at;
		if (i < b->n_values)
			walk_value(b, &at);
		else
			b->tensors[i - b->n_values].at = walk_info(b, &at);
		b->records[i].bytes = at - b->records[i].at;
	}
	b->header_end = at;
	b->data_begin = (at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	for (i = 0; i < n_tensors; i++)
		b->tensors[i].at += b->data_begin;
	for (i = 0; i < n_tensors; i++)
		b->tensors[i].bytes = (i + 1 < n_tensors ? b->tensors[i + 1].at : b->size) -
			b->tensors[i].at;
}

/* --------------------------------- changes ------------------------------- */

/* A place in the file; of the data, any four bytes of any tensor. */
static span
any_field(const base *b, part which)
{
	const span *t;

	if (which != PART_DATA)
		return b->fields[which][below(b->n_fields[which])];
	t = &b->tensors[below((size_t) (b->n_records - b->n_values))];
	if (below(4) == 0)			/* the end, where I2_S has its scale */
		return (span) {t->at + t->bytes - 32, 4};
	return (span) {t->at + below(t->bytes / 4) * 4, 4};
}

static part
any_part(void)
{
	static const part weighted[] = {
		PART_START, PART_RECORD, PART_RECORD, PART_RECORD, PART_RECORD, PART_ITEM, PART_ITEM,
		PART_INFO, PART_INFO, PART_INFO, PART_DATA, PART_DATA, PART_DATA
	};

	return weighted[below(sizeof(weighted) / sizeof(weighted[0]))];
}

/* Numbers at the ends of their ranges, as integers and as floats */
static uint64_t
extreme(size_t bytes)
{
	static const uint64_t of_32[] = {
		0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe,
		0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff, 0xff7fffff, 0x00800000, 1, 0x80000001,
		0x3f800000, 0xbf800000, 0x5f000000, 36
	};
	static const uint64_t of_64[] = {
		0, 1, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_C(0x100000000), INT64_MAX, INT64_MAX - 31,
		UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 7, UINT64_MAX - 31,
		UINT64_MAX / 2 - 8, UINT64_C(1) << 40, UINT64_C(1) << 61, UINT64_C(1) << 62, 65536, 1048576
	};

	if (bytes == 8)
		return of_64[below(sizeof(of_64) / sizeof(of_64[0]))];
	return of_32[below(sizeof(of_32) / sizeof(of_32[0]))];
}

static void
set_number(buffer *f, size_t at, size_t bytes, uint64_t value)
{
	if (at < f->size)
		memcpy(f->data + at, &value, bytes < f->size - at ? bytes : f->size - at);
}

/* The same bytes over and over, in a place of the file or a whole tensor. */
static void
fill(const base *b, buffer *f, part which)
{
	span		s = any_field(b, which);
	uint64_t	value = extreme(4);

	if (which == PART_DATA)
		s = b->tensors[below((size_t) (b->n_records - b->n_values))];
	if (s.bytes > 4)
		s.bytes = 4 + below(s.bytes / 4) * 4;
	for (size_t i = 0; i < s.bytes; i += 4)
		set_number(f, s.at + i, s.bytes - i < 4 ? s.bytes - i : 4, value);
}

static void
swap_fields(const base *b, buffer *f, part which)
{
	span		x = any_field(b, which);
	span		y = any_field(b, which);

	for (int i = 0; i < 20 && y.bytes != x.bytes; i++)
		y = any_field(b, which);
	for (size_t i = 0; i < x.bytes && i < y.bytes; i++)
	{
		uint8_t		byte = f->data[x.at + i];

		f->data[x.at + i] = f->data[y.at + i];
		f->data[y.at + i] = byte;
	}
}

/* One change that leaves everything in its place. */
static void
change_in_place(const base *b, buffer *f)
{
	part		which = any_part();
	span		s = any_field(b, which);
	size_t		bytes = s.bytes == 1 || s.bytes == 2 || s.bytes == 4 || s.bytes == 8 ? s.bytes : 4;
	uint64_t	value = load(f->data + s.at, bytes < s.bytes ? bytes : s.bytes);

	switch (below(9))
	{
		case 0:
		case 1:
			f->data[s.at + below(s.bytes)] ^= (uint8_t) (1 << below(8));
			break;
		case 2:
			f->data[s.at + below(s.bytes)] = (uint8_t) next_random();
			break;
		case 3:
		case 4:
			set_number(f, s.at, bytes, extreme(bytes));
			break;
		case 5:
			set_number(f, s.at, bytes, below(2) ? value + below(3) - 1 :
					   below(2) ? value * 2 : value / 2);
			break;
		case 6:
			bytes = below(2) ? 8 : 4;
			set_number(f, s.at + below(8), bytes, extreme(bytes));
			break;
		case 7:
			swap_fields(b, f, which);
			break;
		default:
			fill(b, f, which);
			break;
	}
}

/*
 * Puts some bytes in place of others.  In the header, what the data is aligned
 * to can be kept; otherwise all that follows moves.
 */
static void
replace(const base *b, buffer *f, span old, const uint8_t *new, size_t new_bytes, bool align)
{
	size_t		rest = old.at + old.bytes;
	size_t		end = align ? b->header_end : f->size;
	uint8_t    *data = model_file_memory(f->size + new_bytes + ALIGNMENT);
	size_t		n = old.at;

	memcpy(data, f->data, n);
	if (new_bytes > 0)
		memcpy(data + n, new, new_bytes);
	n += new_bytes;
	memcpy(data + n, f->data + rest, end - rest);
	n += end - rest;
	while (align && n % ALIGNMENT != 0)
		data[n++] = 0;
	if (align)
	{
		memcpy(data + n, f->data + b->data_begin, f->size - b->data_begin);
		n += f->size - b->data_begin;
	}
	free(f->data);
	f->data = data;
	f->size = n;
}

/* A whole record goes, comes twice, or takes another one's place; the count is right. */
static void
change_record(const base *b, buffer *f)
{
	bool		is_tensor = below(2);
	size_t		first = is_tensor ? (size_t) b->n_values : 0;
	size_t		n = is_tensor ? (size_t) (b->n_records - b->n_values) : (size_t) b->n_values;
	span		old = b->records[first + below(n)];
	span		other = b->records[first + below(n)];
	size_t		count_at = is_tensor ? 8 : 16;
	uint64_t	count = load(f->data + count_at, 8);
	uint8_t    *copy = model_file_memory(other.bytes + 1);
	int			kind = (int) below(3);

	memcpy(copy, f->data + other.at, other.bytes);
	if (kind == 0)
		set_number(f, count_at, 8, count - 1);
	else if (kind == 1)
	{
		/* a name of its own, or it is refused for that alone */
		if (below(4) > 0)
			copy[8 + below((size_t) load(copy, 8))] ^= 1;
		old.bytes = 0;
		set_number(f, count_at, 8, count + 1);
	}
	replace(b, f, old, copy, kind == 0 ? 0 : other.bytes, true);
	free(copy);
}

/* One change after which other things are elsewhere. */
static void
change_layout(const base *b, buffer *f)
{
	part		which = any_part();
	span		s = any_field(b, which);
	bool		align = which != PART_DATA && below(2);
	uint8_t		copy[64];

	if (s.bytes > sizeof(copy))
		s.bytes = sizeof(copy);
	memcpy(copy, f->data + s.at, s.bytes);
	switch (below(6))
	{
		case 0:
			f->size = s.at + below(s.bytes + 1);
			break;
		case 1:
			replace(b, f, s, NULL, 0, align);
			break;
		case 2:
			replace(b, f, (span) {s.at, 0}, copy, s.bytes, align);
			break;
		case 3:
			replace(b, f, (span) {f->size, 0}, copy, s.bytes, false);
			break;
		default:
			change_record(b, f);
			break;
	}
}

/* File number of those that are made of a whole one; its data is the caller's to free. */
static buffer
mutate(const base *b, int model, int number)
{
	buffer		f = {model_file_memory(b->size), b->size, false};
	size_t		n;

	random_state = ((uint64_t) model << 32) + (uint64_t) number;
	memcpy(f.data, b->data, b->size);
	n = below(4);
	if (n > 0)
		n = 1 + below(2) * below(n);
	for (size_t i = 0; i < n; i++)
		change_in_place(b, &f);
	if (n == 0)
		change_layout(b, &f);
	return f;
}

/* ------------------------------ loading and using ------------------------ */

static bn_status
read_buffer(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	buffer	   *f = ctx;

	if (offset > f->size || len > f->size - offset)
	{
		f->outside = true;
		return bn_fail(err, BN_ERR_IO, offset, "read outside the file");
	}
	memcpy(buf, f->data + offset, len);
	return BN_OK;
}

/* What is wrong with an error of a file, or NULL. */
static const char *
wrong_error(const buffer *f, bn_status status, const bn_error *err)
{
	if (f->outside)
		return "reads beyond the end of the file";
	if (status != BN_ERR_TRUNCATED && status != BN_ERR_FORMAT &&
		status != BN_ERR_UNSUPPORTED && status != BN_ERR_LIMIT)
		return "a status that does not blame the file";
	if (err->code != status)
		return "the error has another status";
	if (strnlen(err->detail, sizeof(err->detail)) < 10 ||
		strnlen(err->detail, sizeof(err->detail)) == sizeof(err->detail))
		return "an error without a reason";
	if (err->offset != BN_NO_OFFSET && err->offset > f->size)
		return "an error at a place that the file does not have";
	for (const char *p = err->detail; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return "an error with bytes that are not printable";
	return NULL;
}

/* Builds the image of an open file.  NULL in *wrong, or what must not be. */
static bn_status
build(const buffer *f, const bn_gguf *g, model_file *m, const char **wrong, bn_error *err)
{
	bn_image_options options = {below(2) ? BN_SCREEN_ALWAYS : BN_SCREEN_AUTO, below(2) == 0};
	void	   *scratch;
	bn_status	status = bn_image_size(g, options, &m->image_size, err);

	if (status != BN_OK)
		return status;

	/* all that an image has is in the file, in a form of its own */
	if (m->image_size > 16 * (uint64_t) f->size + (1 << 20))
	{
		*wrong = "takes much more memory than the file has bytes";
		return BN_OK;
	}
	m->image = model_file_memory((size_t) m->image_size + GUARD);
	scratch = model_file_memory(bn_image_scratch_size());
	status = bn_image_build(g, options, m->image, m->image_size, scratch, NULL, err);
	free(scratch);
	for (int i = 0; i < GUARD; i++)
		if (((uint8_t *) m->image)[m->image_size + (uint64_t) i] != 0xa5)
			*wrong = "writes beyond the image";
	if (status == BN_OK && bn_model_bind(&m->model, m->image, m->image_size, err) != BN_OK)
		*wrong = "what was built is no image";
	return status;
}

/* Tokens of a text, which must spell it; how many, or -1. */
static int
tokenize(const bn_vocab *v, const char *text, size_t length, int32_t *tokens)
{
	size_t		scratch_size;
	size_t		n;
	size_t		consumed;
	size_t		at = 0;
	void	   *scratch;
	bn_status	status;

	bn_encode_scratch_size(v, text, length, &scratch_size, NULL, NULL);
	scratch = model_file_memory(scratch_size);
	status = bn_encode(v, text, length, tokens, MAX_TOKENS, &n, &consumed,
					   scratch, scratch_size, NULL, NULL);
	free(scratch);
	if (status != BN_OK || consumed != length)
		return -1;
	for (size_t i = 0; i < n; i++)
	{
		size_t		bytes;
		const uint8_t *spelled = bn_token_text(v, tokens[i], &bytes);

		if (tokens[i] < 0 || tokens[i] >= v->n_tokens || bytes > length - at ||
			memcmp(spelled, text + at, bytes) != 0)
			return -1;
		at += bytes;
	}
	return at == length ? (int) n : -1;
}

static const char *
use_tokenizer(const bn_vocab *v)
{
	static const char words[] = "The cat's 1234 caf\xc3\xa9 \xff<|eot_id|>\n  the the";
	char		text[sizeof(words) - 1 + 256];
	bn_message	message = {BN_ROLE_USER, text, sizeof(text)};
	int32_t		tokens[MAX_TOKENS];
	size_t		scratch_size;
	size_t		n;
	void	   *scratch;
	bn_status	status;

	/* words, and all the bytes that there are */
	memcpy(text, words, sizeof(words) - 1);
	for (int i = 0; i < 256; i++)
		text[sizeof(words) - 1 + (size_t) i] = (char) i;
	if (tokenize(v, text, sizeof(text), tokens) < 0)
		return "tokens that do not spell the text";
	bn_prompt_scratch_size(v, &message, 1, &scratch_size, NULL, NULL);
	scratch = model_file_memory(scratch_size);
	status = bn_prompt_chat(v, &message, 1, tokens, MAX_TOKENS, &n, scratch, scratch_size,
							NULL, NULL);
	free(scratch);
	if (status != BN_OK)
		return "no prompt";
	for (size_t i = 0; i < n; i++)
		if (tokens[i] < 0 || tokens[i] >= v->n_tokens)
			return "a prompt with tokens that the vocabulary does not have";
	return NULL;
}

/* Results of all kinds of requests */
typedef struct answers
{
	int32_t		output[2][N_OUTPUT];
	float		embedding[WIDTH];
	bn_candidate candidates[N_OUTPUT];
	bn_request	requests[5];
} answers;

static const char *
wrong_answers(const answers *a, const bn_config *c)
{
	double		squares = 0;

	for (int i = 0; i < 2; i++)
		for (int k = 0; k < a->requests[i].n_output; k++)
			if (a->output[i][k] < 0 || a->output[i][k] >= c->vocab_size)
				return "a generated token that the vocabulary does not have";
	if (!(a->requests[2].logprob <= 1e-6 && a->requests[2].logprob >= -1e300))
		return "a log-probability that is none";
	for (int i = 0; i < c->d_model; i++)
		squares += (double) a->embedding[i] * a->embedding[i];
	if (!(fabs(squares - 1) < 1e-3) && squares != 0)
		return "a vector that does not have length 1";
	for (int i = 0; i < a->requests[4].n_output; i++)
		if (a->candidates[i].token < 0 || a->candidates[i].token >= c->vocab_size ||
			!(a->candidates[i].logprob <= 1e-6 && a->candidates[i].logprob >= -1e300))
			return "a candidate that is none";
	return NULL;
}

/* Runs some requests; *numeric says whether the model's numbers did not allow it. */
static const char *
use_engine(const model_file *m, bool *numeric)
{
	static const bn_sampling drawn = {.temperature = 0.8, .top_k = 40, .top_p = 0.9,
	.repeat_penalty = 1.1, .seed = 1};
	const bn_config *c = m->model.config;
	bn_schedule_limits limits = model_file_limits(m, 5, 16, 1, 16 << 20);
	answers		a = {0};
	int32_t		tokens[MAX_TOKENS];
	int			n = tokenize(m->model.vocab, "a red hat", 9, tokens);
	bn_error	err = {0};
	bn_status	status;
	const char *wrong;

	if (c->d_model > WIDTH || n < 2)
		return "a model of another size";
	for (int i = 0; i < 5; i++)
	{
		static const bn_request_kind kinds[] = {
			BN_REQUEST_GENERATE, BN_REQUEST_GENERATE, BN_REQUEST_SCORE, BN_REQUEST_EMBED,
			BN_REQUEST_NEXT
		};

		a.requests[i] = (bn_request) {
			.kind = kinds[i], .tokens = tokens, .n_tokens = n, .n_context = 1,
			.pooling = BN_POOL_MEAN, .sampling = i == 1 ? drawn : bn_sampling_default,
			.max_output = N_OUTPUT, .output = a.output[i % 2], .embedding = a.embedding,
			.candidates = a.candidates
		};
	}
	status = model_file_run(m, bn_kernels_select(NULL), a.requests, 5, &limits, &err);
	*numeric = status == BN_ERR_NUMERIC;
	if (status == BN_OK)
		return wrong_answers(&a, c);
	if (status == BN_ERR_LIMIT && c->context_length < n + N_OUTPUT)
		return NULL;
	wrong = *numeric ? NULL : "an error that is not about numbers";
	return err.code == status && strlen(err.detail) >= 10 ? wrong : "an error without a reason";
}

/* Loads a file and uses what comes; what must not be is returned, else NULL. */
static const char *
try_file(buffer *f, bn_status *status, bool *numeric, bn_error *err)
{
	bn_source	source = {read_buffer, f, f->size};
	bn_gguf		g;
	model_file	m = {0};
	size_t		scratch_size = 0;
	void	   *scratch = NULL;
	const char *wrong = NULL;

	*err = (bn_error) {0};
	*status = bn_gguf_scratch_size(&source, &scratch_size, err);
	if (*status == BN_OK)
	{
		scratch = model_file_memory(scratch_size);
		*status = bn_gguf_open(&g, &source, scratch, scratch_size, NULL, err);
	}
	if (*status == BN_OK)
		*status = build(f, &g, &m, &wrong, err);
	free(scratch);
	if (!wrong && *status != BN_OK)
		wrong = wrong_error(f, *status, err);
	else if (!wrong)
	{
		wrong = use_tokenizer(m.model.vocab);
		if (!wrong)
			wrong = use_engine(&m, numeric);
	}
	free(m.image);
	return wrong;
}

/* --------------------------------- the test ------------------------------ */

static void
look_at(const base *b, int model, int number, findings *found)
{
	buffer		f = mutate(b, model, number);
	bn_error	err;
	bn_status	status;
	bool		numeric = false;
	const char *wrong;

	found->number = number;
	wrong = try_file(&f, &status, &numeric, &err);
	free(f.data);
	found->n_refused += status != BN_OK;
	found->n_used += status == BN_OK;
	found->n_numeric += numeric;
	if (wrong && found->n_wrong++ < MAX_COMPLAINTS)
		printf("# %s %d: %s (status %d: %s)\n", models[model].name, number, wrong,
			   (int) status, err.detail);
}

/* Looks at n files in a process of its own, which may crash. */
static void
test_model(const base *b, int model, int n)
{
	const char *name = models[model].name;
	findings   *found = mmap(NULL, sizeof(findings), PROT_READ | PROT_WRITE,
							 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	buffer		whole = {b->data, b->size, false};
	bn_error	err;
	bn_status	status;
	bool		numeric = false;
	pid_t		child;
	int			result = -1;
	const char *wrong = try_file(&whole, &status, &numeric, &err);

	if (!ok(!wrong && status == BN_OK && !numeric, "%s: the whole file loads and answers", name))
		printf("# %s, status %d: %s\n", wrong ? wrong : "", (int) status, err.detail);
	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		for (int i = 0; i < n; i++)
		{
			alarm(TIME_LIMIT);
			look_at(b, model, i, found);
		}
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, &result, 0);
	if (!ok(child > 0 && result == 0 && found->n_wrong == 0,
			"%s: %d changed files: %d refused, %d used (%d of them without finite numbers)",
			name, n, found->n_refused, found->n_used, found->n_numeric))
		printf("# %d went wrong; %s %d at %s %d\n", found->n_wrong,
			   result == 0 ? "status" : "ended with", result, name, found->number);

	/* or this proved nothing */
	ok(found->n_refused >= n / 10 && found->n_used >= n / 10,
	   "%s: enough files of both kinds", name);
	munmap(found, sizeof(findings));
}

static bool
read_base(base *b, int model)
{
	file_bytes	file = {0};
	bool		done;

	*b = (base) {0};
	done = models[model].options ? model_file_write(&file, models[model].options) :
		model_file_read(&file, DEFAULT_MODEL);
	b->data = file.data;
	b->size = (size_t) file.size;
	if (done)
		walk(b);
	return done;
}

static void
free_base(base *b)
{
	free(b->data);
	for (int i = 0; i < N_PARTS; i++)
		free(b->fields[i]);
}

static int
write_one(const base *b, int model, int number, const char *path)
{
	buffer		f = mutate(b, model, number);
	FILE	   *file = fopen(path, "wb");
	bool		done = file && fwrite(f.data, 1, f.size, file) == f.size;

	free(f.data);
	return file && fclose(file) == 0 && done ? 0 : 1;
}

int
main(int argc, char **argv)
{
	const char *set = argc == 2 ? argv[1] : getenv("BITNET_MUTATIONS");
	bool		emulated = getenv("RUNNER") && *getenv("RUNNER");	/* and slow */
	int			n = set && *set ? atoi(set) : emulated ? 100 : 600;
	int			status = 0;

	model_file_init(argv[0]);
	for (int i = 0; i < N_MODELS; i++)
	{
		base		b;

		if (argc == 4 && strcmp(argv[1], models[i].name) != 0)
			continue;
		if (!read_base(&b, i))
			ok(false, "%s: the file is there", models[i].name);
		else if (argc == 4)
			status = write_one(&b, i, atoi(argv[2]), argv[3]);
		else
			test_model(&b, i, n * models[i].share / 100);
		free_base(&b);
	}
	return argc == 4 ? status : done_testing();
}
