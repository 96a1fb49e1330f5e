/*-------------------------------------------------------------------------
 *
 * gguf.c
 *	  Reading and checking the header of a GGUF file.
 *
 * Typed access to the metadata is in gguf_values.c.
 *
 * src/core/gguf.c
 *
 *-------------------------------------------------------------------------
 */
#include "gguf.h"

#include "bytes.h"

#define FIXED_HEADER_BYTES 24
#define MIN_VALUE_BYTES 13		/* key length, type, one byte of value */
#define MIN_TENSOR_BYTES 32		/* name length, n_dims, one dim, type, offset */
#define MAX_STRING_BYTES (UINT64_C(1) << 30)
#define DEFAULT_ALIGNMENT 32
#define MIN_ALIGNMENT 8
#define MAX_ALIGNMENT (1u << 20)

/* Must hold the longest key. */
#define READ_BUFFER_BYTES 65536

/*
 * In a table that is at most half full, a run of this many used slots comes
 * from a file that was made to have it.
 */
#define MAX_PROBES 1024

/* Reads the header from front to back through a buffer. */
typedef struct header_reader
{
	const bn_source *source;
	const bn_hooks *hooks;
	uint64_t	offset;			/* of the next byte */
	uint64_t	buffer_offset;
	uint64_t	buffer_length;
	uint8_t    *buffer;			/* [READ_BUFFER_BYTES] */
} header_reader;

/* Where the parts of a bn_gguf are in the caller's scratch. */
typedef struct scratch_layout
{
	size_t		values;
	size_t		tensors;
	size_t		value_index;
	size_t		tensor_index;
	size_t		tensor_order;
	size_t		buffer;
	size_t		total;
	uint32_t	index_size;
} scratch_layout;

typedef struct fixed_header
{
	uint32_t	version;
	uint32_t	n_tensors;
	uint32_t	n_values;
} fixed_header;

/* How values of a tensor type are stored. */
typedef struct type_info
{
	uint32_t	type;
	uint32_t	block_values;
	uint32_t	block_bytes;
} type_info;

static const type_info known_types[] = {
	{BN_GGML_F32, 1, 4},
	{BN_GGML_F16, 1, 2},
	{BN_GGML_BF16, 1, 2},
	{BN_GGML_Q4_0, 32, 18},
	{BN_GGML_Q8_0, 32, 34},
	{BN_GGML_Q6_K, 256, 210},
	{BN_GGML_I2_S, 128, 32}		/* and 32 bytes at the end of the tensor */
};

typedef struct type_name
{
	uint32_t	type;
	const char *name;
} type_name;

/* Types that we can name but not read. */
static const type_name foreign_types[] = {
	{3, "Q4_1"}, {6, "Q5_0"}, {7, "Q5_1"}, {9, "Q8_1"}, {10, "Q2_K"}, {11, "Q3_K"},
	{12, "Q4_K"}, {13, "Q5_K"}, {15, "Q8_K"}, {16, "IQ2_XXS"}, {17, "IQ2_XS"},
	{18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},
	{23, "IQ4_XS"}, {24, "I8"}, {25, "I16"}, {26, "I32"}, {27, "I64"}, {28, "F64"},
	{29, "IQ1_M"}, {31, "Q4_0_4_4"}, {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"},
	{34, "TQ1_0"}, {35, "TQ2_0"}, {37, "I8_S"}, {38, "TL1"}, {39, "TL2 or MXFP4"},
	{40, "NVFP4"}, {41, "Q1_0"}, {42, "TL2"}, {133, "Q6_0"}, {134, "IQ1_BN"},
	{135, "IQ2_BN"}, {136, "Q8_K64"}, {335, "IQ2_BN_R4"}
};

#define LENGTH_OF(array) ((int) (sizeof(array) / sizeof((array)[0])))

/*
 * Points *p to the next n bytes and steps over them.  They stay valid until
 * the next call.  n is at most READ_BUFFER_BYTES.
 */
static bn_status
take(header_reader *r, uint64_t n, const uint8_t **p, const char *what, bn_error *err)
{
	if (n > r->source->size - r->offset)
		return bn_fail(err, BN_ERR_TRUNCATED, r->offset, "the file ends within %s", what);
	if (r->offset < r->buffer_offset ||
		r->offset + n > r->buffer_offset + r->buffer_length)
	{
		uint64_t	length = r->source->size - r->offset;

		if (bn_should_stop(r->hooks))
			return bn_fail(err, BN_ERR_CANCELED, r->offset, "canceled");
		if (length > READ_BUFFER_BYTES)
			length = READ_BUFFER_BYTES;
		r->buffer_length = 0;
		BN_TRY(r->source->read(r->source->ctx, r->offset, r->buffer, (size_t) length, err));
		r->buffer_offset = r->offset;
		r->buffer_length = length;
	}
	*p = r->buffer + (r->offset - r->buffer_offset);
	r->offset += n;
	return BN_OK;
}

static bn_status
take_u32(header_reader *r, uint32_t *value, const char *what, bn_error *err)
{
	const uint8_t *p;

	BN_TRY(take(r, 4, &p, what, err));
	*value = bn_load_u32(p);
	return BN_OK;
}

static bn_status
take_u64(header_reader *r, uint64_t *value, const char *what, bn_error *err)
{
	const uint8_t *p;

	BN_TRY(take(r, 8, &p, what, err));
	*value = bn_load_u64(p);
	return BN_OK;
}

/* Steps over bytes without reading them. */
static bn_status
step_over(header_reader *r, uint64_t n, const char *what, bn_error *err)
{
	if (n > r->source->size - r->offset)
		return bn_fail(err, BN_ERR_TRUNCATED, r->offset, "the file ends within %s", what);
	r->offset += n;
	return BN_OK;
}

/* The first bytes of a key, for messages. */
static void
copy_preview(char *preview, size_t size, const uint8_t *bytes, uint64_t length)
{
	size_t		n = length < size - 1 ? (size_t) length : size - 1;

	memcpy(preview, bytes, n);
	preview[n] = '\0';
}

uint64_t
bn_gguf_scalar_bytes(uint32_t type)
{
	switch (type)
	{
		case BN_GGUF_U8:
		case BN_GGUF_I8:
		case BN_GGUF_BOOL:
			return 1;
		case BN_GGUF_U16:
		case BN_GGUF_I16:
			return 2;
		case BN_GGUF_U32:
		case BN_GGUF_I32:
		case BN_GGUF_F32:
			return 4;
		case BN_GGUF_U64:
		case BN_GGUF_I64:
		case BN_GGUF_F64:
			return 8;
		default:
			return 0;
	}
}

/*
 * Reads the 24 bytes that every file begins with.  The counts are limited to
 * what the rest of the file can hold, so that no memory is asked for what
 * cannot be there.
 */
static bn_status
read_fixed_header(const bn_source *source, fixed_header *h, bn_error *err)
{
	uint8_t		bytes[FIXED_HEADER_BYTES];
	uint64_t	left;
	uint64_t	n_tensors;
	uint64_t	n_values;
	size_t		n = source->size < sizeof(bytes) ? (size_t) source->size : sizeof(bytes);

	memset(bytes, 0, sizeof(bytes));
	if (n > 0)
		BN_TRY(source->read(source->ctx, 0, bytes, n, err));
	if (n >= 4 && memcmp(bytes, "GGUF", 4) != 0)
	{
		bn_fail(err, BN_ERR_FORMAT, 0, "not a GGUF file: it does not begin with \"GGUF\"");
		return bn_hint(err, BN_ERR_FORMAT, "A model file is a single file in GGUF format.");
	}
	if (n < sizeof(bytes))
		return bn_fail(err, BN_ERR_TRUNCATED, n,
					   "the file has %lu bytes, less than a GGUF header", source->size);

	h->version = bn_load_u32(bytes + 4);
	if ((h->version & 0xffff) == 0 && h->version != 0)
		return bn_fail(err, BN_ERR_UNSUPPORTED, 4, "big-endian GGUF file");
	if (h->version != 2 && h->version != 3)
		return bn_fail(err, BN_ERR_UNSUPPORTED, 4,
					   "GGUF version %u; versions 2 and 3 are supported", h->version);

	n_tensors = bn_load_u64(bytes + 8);
	n_values = bn_load_u64(bytes + 16);
	if (n_tensors > BN_GGUF_MAX_TENSORS)
		return bn_fail(err, BN_ERR_LIMIT, 8, "%lu tensors, more than the limit of %d",
					   n_tensors, BN_GGUF_MAX_TENSORS);
	if (n_values > BN_GGUF_MAX_KEYS)
		return bn_fail(err, BN_ERR_LIMIT, 16,
					   "%lu metadata records, more than the limit of %d",
					   n_values, BN_GGUF_MAX_KEYS);
	left = source->size - FIXED_HEADER_BYTES;
	if (n_values * MIN_VALUE_BYTES + n_tensors * MIN_TENSOR_BYTES > left)
		return bn_fail(err, BN_ERR_TRUNCATED, FIXED_HEADER_BYTES,
					   "%lu metadata records and %lu tensors do not fit into the file's %lu bytes",
					   n_values, n_tensors, source->size);
	h->n_tensors = (uint32_t) n_tensors;
	h->n_values = (uint32_t) n_values;
	return BN_OK;
}

static scratch_layout
lay_out(const fixed_header *h)
{
	scratch_layout l;
	size_t		largest = h->n_values > h->n_tensors ? h->n_values : h->n_tensors;

	l.index_size = 16;
	while (l.index_size < 2 * largest)
		l.index_size *= 2;
	l.values = 0;
	l.tensors = l.values + h->n_values * sizeof(bn_gguf_value);
	l.value_index = l.tensors + h->n_tensors * sizeof(bn_gguf_tensor);
	l.tensor_index = l.value_index + l.index_size * sizeof(uint32_t);
	l.tensor_order = l.tensor_index + l.index_size * sizeof(uint32_t);
	l.buffer = l.tensor_order + h->n_tensors * sizeof(uint32_t);
	l.total = l.buffer + READ_BUFFER_BYTES + sizeof(uint64_t);	/* to align it */
	return l;
}

bn_status
bn_gguf_scratch_size(const bn_source *source, size_t *size, bn_error *err)
{
	fixed_header h;

	BN_TRY(read_fixed_header(source, &h, err));
	*size = lay_out(&h).total;
	return BN_OK;
}

static bool
same_key(const bn_gguf_value *v, uint64_t hash, size_t length)
{
	return v->key_hash == hash && v->key_length == length;
}

/*
 * Enters values[i] into the index.  Its hash of 64 bits stands for the key: in a
 * file made for that, one key may be taken for another.
 */
static bn_status
index_value(bn_gguf *g, uint32_t i, const char *preview, bn_error *err)
{
	const bn_gguf_value *v = &g->values[i];
	uint32_t	slot = (uint32_t) v->key_hash & g->index_mask;
	int			probes;

	for (probes = 0; probes < MAX_PROBES; probes++)
	{
		uint32_t	entry = g->value_index[slot];

		if (entry == 0)
		{
			g->value_index[slot] = i + 1;
			return BN_OK;
		}
		if (same_key(&g->values[entry - 1], v->key_hash, v->key_length))
			return bn_fail(err, BN_ERR_FORMAT, v->key_offset,
						   "the metadata key \"%s\" appears twice", preview);
		slot = (slot + 1) & g->index_mask;
	}
	return bn_fail(err, BN_ERR_FORMAT, v->key_offset,
				   "too many metadata keys have the hash of \"%s\"", preview);
}

static bn_status
index_tensor(bn_gguf *g, uint32_t i, uint64_t offset, bn_error *err)
{
	const char *name = g->tensors[i].name;
	uint32_t	slot = (uint32_t) bn_hash_bytes(name, strlen(name)) & g->index_mask;
	int			probes;

	for (probes = 0; probes < MAX_PROBES; probes++)
	{
		uint32_t	entry = g->tensor_index[slot];

		if (entry == 0)
		{
			g->tensor_index[slot] = i + 1;
			return BN_OK;
		}
		if (strcmp(g->tensors[entry - 1].name, name) == 0)
			return bn_fail(err, BN_ERR_FORMAT, offset,
						   "the tensor \"%s\" appears twice", name);
		slot = (slot + 1) & g->index_mask;
	}
	return bn_fail(err, BN_ERR_FORMAT, offset,
				   "too many tensor names have the hash of \"%s\"", name);
}

/* Checks n bytes to be 0 or 1. */
static bn_status
take_bools(header_reader *r, uint64_t n, const char *key, bn_error *err)
{
	while (n > 0)
	{
		const uint8_t *p;
		uint64_t	part = n < READ_BUFFER_BYTES ? n : READ_BUFFER_BYTES;
		uint64_t	i;

		BN_TRY(take(r, part, &p, key, err));
		for (i = 0; i < part; i++)
		{
			if (p[i] > 1)
				return bn_fail(err, BN_ERR_FORMAT, r->offset - part + i,
							   "the value of \"%s\" is a boolean of %u", key, (uint32_t) p[i]);
		}
		n -= part;
	}
	return BN_OK;
}

/* Reads the length of a string that has to fit into the file. */
static bn_status
take_string_length(header_reader *r, uint64_t *length, const char *key, bn_error *err)
{
	uint64_t	offset = r->offset;

	BN_TRY(take_u64(r, length, key, err));
	if (*length > r->source->size - r->offset)
		return bn_fail(err, BN_ERR_TRUNCATED, offset,
					   "a string of %lu bytes in \"%s\" is longer than the rest of the file",
					   *length, key);
	if (*length > MAX_STRING_BYTES)
		return bn_fail(err, BN_ERR_LIMIT, offset,
					   "a string of %lu bytes in \"%s\" is longer than the limit of %lu",
					   *length, key, (uint64_t) MAX_STRING_BYTES);
	return BN_OK;
}

static bn_status
take_array(header_reader *r, bn_gguf_value *v, const char *key, bn_error *err)
{
	uint64_t	offset = r->offset;
	uint64_t	left;
	uint64_t	item_bytes;
	uint32_t	item_type;

	BN_TRY(take_u32(r, &item_type, key, err));
	BN_TRY(take_u64(r, &v->count, key, err));
	v->offset = r->offset;
	if (item_type == BN_GGUF_ARRAY)
		return bn_fail(err, BN_ERR_UNSUPPORTED, offset,
					   "the value of \"%s\" is an array of arrays", key);
	if (item_type > BN_GGUF_F64)
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "the value of \"%s\" is an array of the unknown type %u",
					   key, item_type);
	v->item_type = (bn_gguf_type) item_type;

	item_bytes = item_type == BN_GGUF_STRING ? 8 : bn_gguf_scalar_bytes(item_type);
	left = r->source->size - r->offset;
	if (v->count > left / item_bytes)
		return bn_fail(err, BN_ERR_TRUNCATED, offset,
					   "an array of %lu elements in \"%s\" is longer than the rest of the file",
					   v->count, key);
	if (item_type == BN_GGUF_BOOL)
		return take_bools(r, v->count, key, err);
	if (item_type == BN_GGUF_STRING)
	{
		uint64_t	i;

		for (i = 0; i < v->count; i++)
		{
			uint64_t	length;

			BN_TRY(take_string_length(r, &length, key, err));
			BN_TRY(step_over(r, length, key, err));
		}
		return BN_OK;
	}
	return step_over(r, v->count * item_bytes, key, err);
}

/* Reads metadata record i: its key is hashed, its value measured. */
static bn_status
read_value(bn_gguf *g, header_reader *r, uint32_t i, bn_error *err)
{
	bn_gguf_value *v = &g->values[i];
	const uint8_t *p;
	char		key[96];
	uint64_t	offset = r->offset;
	uint64_t	length;
	uint32_t	type;

	BN_TRY(take_u64(r, &length, "the length of a metadata key", err));
	if (length == 0)
		return bn_fail(err, BN_ERR_FORMAT, offset, "metadata record %u has an empty key", i);
	if (length > r->source->size - r->offset)
		return bn_fail(err, BN_ERR_TRUNCATED, offset,
					   "the key of metadata record %u has %lu bytes, more than the rest of the file",
					   i, length);
	if (length > BN_GGUF_MAX_KEY_LENGTH)
		return bn_fail(err, BN_ERR_LIMIT, offset,
					   "the key of metadata record %u has %lu bytes, more than the limit of %d",
					   i, length, BN_GGUF_MAX_KEY_LENGTH);
	v->key_offset = r->offset;
	BN_TRY(take(r, length, &p, "a metadata key", err));
	copy_preview(key, sizeof(key), p, length);
	if (memchr(p, 0, (size_t) length))
		return bn_fail(err, BN_ERR_FORMAT, v->key_offset,
					   "the key of metadata record %u, \"%s\", contains a zero byte", i, key);
	v->key_length = (uint32_t) length;
	v->key_hash = bn_hash_bytes(p, (size_t) length);
	BN_TRY(index_value(g, i, key, err));

	offset = r->offset;
	BN_TRY(take_u32(r, &type, key, err));
	if (type > BN_GGUF_F64)
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "the value of \"%s\" has the unknown type %u", key, type);
	v->type = (bn_gguf_type) type;
	v->item_type = v->type;
	v->count = 1;
	v->offset = r->offset;
	if (type == BN_GGUF_ARRAY)
		BN_TRY(take_array(r, v, key, err));
	else if (type == BN_GGUF_STRING)
	{
		BN_TRY(take_string_length(r, &v->count, key, err));
		v->offset = r->offset;
		BN_TRY(step_over(r, v->count, key, err));
	}
	else if (type == BN_GGUF_BOOL)
		BN_TRY(take_bools(r, 1, key, err));
	else
		BN_TRY(step_over(r, bn_gguf_scalar_bytes(type), key, err));
	v->bytes = r->offset - v->offset;
	return BN_OK;
}

static const type_info *
find_type(uint32_t type)
{
	int			i;

	for (i = 0; i < LENGTH_OF(known_types); i++)
	{
		if (known_types[i].type == type)
			return &known_types[i];
	}
	return NULL;
}

static bn_status
refuse_type(const bn_gguf_tensor *t, uint64_t offset, bn_error *err)
{
	const char *name = NULL;
	int			i;

	for (i = 0; i < LENGTH_OF(foreign_types); i++)
	{
		if (foreign_types[i].type == t->type)
			name = foreign_types[i].name;
	}
	if (name)
		bn_fail(err, BN_ERR_UNSUPPORTED, offset,
				"the tensor \"%s\" has the type %s (%u), which is not supported",
				t->name, name, t->type);
	else
		bn_fail(err, BN_ERR_UNSUPPORTED, offset,
				"the tensor \"%s\" has the unknown type %u", t->name, t->type);
	if (t->type == 38 || t->type == 39 || t->type == 42)
		return bn_hint(err, BN_ERR_UNSUPPORTED,
					   "TL1 and TL2 files fit only the program build they were made for: "
					   "download the I2_S file of the model, or convert its safetensors to I2_S.");
	if (t->type >= 134 && t->type <= 335)
		return bn_hint(err, BN_ERR_UNSUPPORTED,
					   "Download the model's I2_S file, from which files of this type are made.");
	return bn_hint(err, BN_ERR_UNSUPPORTED,
				   "Supported are I2_S, F32, F16 and BF16 weights, and embeddings of "
				   "F32, F16, BF16, Q8_0, Q6_K and Q4_0: the file published as I2_S is one of these.");
}

/* Sets t->bytes from the type and the dimensions. */
static bn_status
measure_tensor(bn_gguf_tensor *t, uint64_t offset, bn_error *err)
{
	const type_info *info = find_type(t->type);
	uint64_t	n_values = 1;
	uint32_t	i;

	for (i = 0; i < BN_GGUF_MAX_DIMS; i++)
	{
		if (t->dims[i] == 0)
			return bn_fail(err, BN_ERR_FORMAT, offset,
						   "dimension %u of the tensor \"%s\" is zero", i, t->name);
		if (t->dims[i] > (uint64_t) INT64_MAX / n_values)
			return bn_fail(err, BN_ERR_FORMAT, offset,
						   "the dimensions of the tensor \"%s\" overflow", t->name);
		n_values *= t->dims[i];
	}
	if (!info)
		return refuse_type(t, offset, err);

	/* I2_S runs over the ends of rows; blocks of other types do not */
	if ((t->type == BN_GGML_I2_S ? n_values : t->dims[0]) % info->block_values != 0)
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "the tensor \"%s\" of %lu x %lu values is not made of whole blocks of %u",
					   t->name, t->dims[0], n_values / t->dims[0], info->block_values);
	if (n_values / info->block_values > ((uint64_t) INT64_MAX - 32) / info->block_bytes)
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "the size of the tensor \"%s\" overflows", t->name);
	t->bytes = n_values / info->block_values * info->block_bytes;
	if (t->type == BN_GGML_I2_S)
		t->bytes += 32;			/* scale and padding */
	return BN_OK;
}

/* Reads tensor info i; its offset stays relative until the data's begin is known. */
static bn_status
read_tensor(bn_gguf *g, header_reader *r, uint32_t i, bn_error *err)
{
	bn_gguf_tensor *t = &g->tensors[i];
	const uint8_t *p;
	uint64_t	offset = r->offset;
	uint64_t	length;
	uint32_t	d;

	BN_TRY(take_u64(r, &length, "the length of a tensor's name", err));
	if (length == 0)
		return bn_fail(err, BN_ERR_FORMAT, offset, "tensor %u has an empty name", i);
	if (length > r->source->size - r->offset)
		return bn_fail(err, BN_ERR_TRUNCATED, offset,
					   "the name of tensor %u has %lu bytes, more than the rest of the file",
					   i, length);
	if (length > BN_GGUF_MAX_NAME_LENGTH)
		return bn_fail(err, BN_ERR_LIMIT, offset,
					   "the name of tensor %u has %lu bytes, more than the limit of %d",
					   i, length, BN_GGUF_MAX_NAME_LENGTH);
	BN_TRY(take(r, length, &p, "a tensor's name", err));
	copy_preview(t->name, sizeof(t->name), p, length);
	if (memchr(p, 0, (size_t) length))
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "the name of tensor %u, \"%s\", contains a zero byte", i, t->name);
	BN_TRY(index_tensor(g, i, offset, err));

	BN_TRY(take_u32(r, &t->n_dims, t->name, err));
	if (t->n_dims == 0 || t->n_dims > BN_GGUF_MAX_DIMS)
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "the tensor \"%s\" has %u dimensions; 1 to %d are possible",
					   t->name, t->n_dims, BN_GGUF_MAX_DIMS);
	for (d = 0; d < BN_GGUF_MAX_DIMS; d++)
	{
		t->dims[d] = 1;
		if (d < t->n_dims)
			BN_TRY(take_u64(r, &t->dims[d], t->name, err));
	}
	BN_TRY(take_u32(r, &t->type, t->name, err));
	BN_TRY(take_u64(r, &t->offset, t->name, err));
	return measure_tensor(t, offset, err);
}

static bn_status
read_alignment(bn_gguf *g, bn_error *err)
{
	const bn_gguf_value *v = bn_gguf_find(g, "general.alignment");
	uint8_t		bytes[4];
	uint32_t	alignment;

	g->alignment = DEFAULT_ALIGNMENT;
	if (!v)
		return BN_OK;
	if (v->type != BN_GGUF_U32)
		return bn_fail(err, BN_ERR_FORMAT, v->offset,
					   "the value of \"general.alignment\" is not of type uint32");
	BN_TRY(g->source.read(g->source.ctx, v->offset, bytes, sizeof(bytes), err));
	alignment = bn_load_u32(bytes);
	if (alignment < MIN_ALIGNMENT || (alignment & (alignment - 1)) != 0)
		return bn_fail(err, BN_ERR_FORMAT, v->offset,
					   "\"general.alignment\" is %u, not a power of two from %d up",
					   alignment, MIN_ALIGNMENT);
	if (alignment > MAX_ALIGNMENT)
		return bn_fail(err, BN_ERR_LIMIT, v->offset,
					   "\"general.alignment\" is %u, more than the limit of %u",
					   alignment, MAX_ALIGNMENT);
	g->alignment = alignment;
	return BN_OK;
}

/* Makes a tensor's offset absolute and checks that its data is in the file. */
static bn_status
place_tensor(const bn_gguf *g, bn_gguf_tensor *t, bn_error *err)
{
	uint64_t	data_bytes = g->source.size - g->data_offset;

	if (t->offset % g->alignment != 0)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the data of the tensor \"%s\" at %lu is not aligned to %lu bytes",
					   t->name, t->offset, g->alignment);
	if (t->offset > data_bytes || t->bytes > data_bytes - t->offset)
		return bn_fail(err, BN_ERR_TRUNCATED, g->source.size,
					   "the tensor \"%s\" (%lu bytes at %lu of %lu bytes of data) ends beyond the file",
					   t->name, t->bytes, t->offset, data_bytes);
	t->offset += g->data_offset;
	return BN_OK;
}

/* Restores the heap order (largest offset first) below node i of n. */
static void
sift_down(const bn_gguf *g, uint32_t i, uint32_t n)
{
	uint32_t   *order = g->tensor_order;
	uint32_t	moved = order[i];

	for (;;)
	{
		uint32_t	child = 2 * i + 1;

		if (child >= n)
			break;
		if (child + 1 < n &&
			g->tensors[order[child + 1]].offset > g->tensors[order[child]].offset)
			child++;
		if (g->tensors[order[child]].offset <= g->tensors[moved].offset)
			break;
		order[i] = order[child];
		i = child;
	}
	order[i] = moved;
}

/* Heap sort of tensor_order by offset: no recursion, no bad case */
static void
sort_tensors(const bn_gguf *g)
{
	uint32_t	n = g->n_tensors;
	uint32_t	i;

	for (i = 0; i < n; i++)
		g->tensor_order[i] = i;
	for (i = n / 2; i-- > 0;)
		sift_down(g, i, n);
	for (i = n; i-- > 1;)
	{
		uint32_t	last = g->tensor_order[i];

		g->tensor_order[i] = g->tensor_order[0];
		g->tensor_order[0] = last;
		sift_down(g, 0, i);
	}
}

/*
 * Refuses overlapping tensors, and tensors of another program's type 36: for a
 * short time that was IQ4_NL_4_4, which takes 18 bytes for 32 values.
 */
static bn_status
check_neighbours(const bn_gguf *g, bn_error *err)
{
	uint32_t	i;

	for (i = 0; i < g->n_tensors; i++)
	{
		const bn_gguf_tensor *t = &g->tensors[g->tensor_order[i]];
		bool		last = i + 1 == g->n_tensors;
		uint64_t	next = last ? g->source.size : g->tensors[g->tensor_order[i + 1]].offset;
		uint64_t	room = next - t->offset;

		if (t->bytes > room)
			return bn_fail(err, BN_ERR_FORMAT, t->offset,
						   "the tensors \"%s\" and \"%s\" overlap", t->name,
						   g->tensors[g->tensor_order[i + 1]].name);
		if (t->type == BN_GGML_I2_S)
		{
			uint64_t	foreign = (t->bytes - 32) / 8 * 18;

			/* where the alignment leaves room for either, the number is believed */
			if (room != bn_align_up(t->bytes, g->alignment) &&
				(room == foreign || room == bn_align_up(foreign, g->alignment)))
				return bn_fail(err, BN_ERR_UNSUPPORTED, t->offset,
							   "the tensor \"%s\" has type 36 but the size of IQ4_NL_4_4, not of I2_S",
							   t->name);
		}
	}
	return BN_OK;
}

bn_status
bn_gguf_open(bn_gguf *g, const bn_source *source, void *scratch, size_t scratch_size,
			 const bn_hooks *hooks, bn_error *err)
{
	fixed_header h;
	scratch_layout l;
	header_reader r;
	uint8_t    *base = scratch;
	uint32_t	i;

	BN_TRY(read_fixed_header(source, &h, err));
	l = lay_out(&h);
	if (scratch_size < l.total)
		return bn_fail(err, BN_ERR_NOSPACE, BN_NO_OFFSET,
					   "%lu bytes of memory are too few for the file's header, which needs %lu",
					   (uint64_t) scratch_size, (uint64_t) l.total);
	base += (sizeof(uint64_t) - (uintptr_t) base % sizeof(uint64_t)) % sizeof(uint64_t);

	memset(g, 0, sizeof(*g));
	g->source = *source;
	g->n_values = h.n_values;
	g->n_tensors = h.n_tensors;
	g->values = (bn_gguf_value *) (base + l.values);
	g->tensors = (bn_gguf_tensor *) (base + l.tensors);
	g->value_index = (uint32_t *) (base + l.value_index);
	g->tensor_index = (uint32_t *) (base + l.tensor_index);
	g->tensor_order = (uint32_t *) (base + l.tensor_order);
	g->index_mask = l.index_size - 1;
	memset(g->value_index, 0, l.index_size * sizeof(uint32_t));
	memset(g->tensor_index, 0, l.index_size * sizeof(uint32_t));

	memset(&r, 0, sizeof(r));
	r.source = source;
	r.hooks = hooks;
	r.offset = FIXED_HEADER_BYTES;
	r.buffer = base + l.buffer;
	for (i = 0; i < h.n_values; i++)
		BN_TRY(read_value(g, &r, i, err));
	for (i = 0; i < h.n_tensors; i++)
		BN_TRY(read_tensor(g, &r, i, err));

	BN_TRY(read_alignment(g, err));
	g->data_offset = bn_align_up(r.offset, g->alignment);
	if (h.n_tensors > 0 && g->data_offset > source->size)
		return bn_fail(err, BN_ERR_TRUNCATED, source->size,
					   "the file ends before the data of its tensors");
	for (i = 0; i < h.n_tensors; i++)
		BN_TRY(place_tensor(g, &g->tensors[i], err));
	sort_tensors(g);
	return check_neighbours(g, err);
}

const bn_gguf_value *
bn_gguf_find(const bn_gguf *g, const char *key)
{
	size_t		length = strlen(key);
	uint64_t	hash = bn_hash_bytes(key, length);
	uint32_t	slot = (uint32_t) hash & g->index_mask;

	while (g->value_index[slot] != 0)
	{
		const bn_gguf_value *v = &g->values[g->value_index[slot] - 1];

		if (same_key(v, hash, length))
			return v;
		slot = (slot + 1) & g->index_mask;
	}
	return NULL;
}

const bn_gguf_tensor *
bn_gguf_find_tensor(const bn_gguf *g, const char *name)
{
	uint32_t	slot = (uint32_t) bn_hash_bytes(name, strlen(name)) & g->index_mask;

	while (g->tensor_index[slot] != 0)
	{
		const bn_gguf_tensor *t = &g->tensors[g->tensor_index[slot] - 1];

		if (strcmp(t->name, name) == 0)
			return t;
		slot = (slot + 1) & g->index_mask;
	}
	return NULL;
}
