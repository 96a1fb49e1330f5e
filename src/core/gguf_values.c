/*-------------------------------------------------------------------------
 *
 * gguf_values.c
 *	  Typed access to the metadata of a GGUF file.
 *
 * The file may have changed since its header was checked; whatever is read
 * here is checked again.
 *
 * src/core/gguf_values.c
 *
 *-------------------------------------------------------------------------
 */
#include "gguf.h"

#include "bytes.h"

static const char *const type_names[] = {
	"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool",
	"string", "array", "uint64", "int64", "float64"
};

static bool
is_integer(bn_gguf_type type)
{
	switch (type)
	{
		case BN_GGUF_U8:
		case BN_GGUF_I8:
		case BN_GGUF_U16:
		case BN_GGUF_I16:
		case BN_GGUF_U32:
		case BN_GGUF_I32:
		case BN_GGUF_U64:
		case BN_GGUF_I64:
			return true;
		default:
			return false;
	}
}

static bool
is_number(bn_gguf_type type)
{
	return is_integer(type) || type == BN_GGUF_F32 || type == BN_GGUF_F64;
}

/* The integer stored at p; false if it is above INT64_MAX. */
static bool
decode_int(bn_gguf_type type, const uint8_t *p, int64_t *value)
{
	uint64_t	u = 0;

	switch (type)
	{
		case BN_GGUF_U8:
			*value = p[0];
			return true;
		case BN_GGUF_I8:
			*value = (int8_t) p[0];
			return true;
		case BN_GGUF_U16:
			*value = bn_load_u16(p);
			return true;
		case BN_GGUF_I16:
			*value = (int16_t) bn_load_u16(p);
			return true;
		case BN_GGUF_U32:
			*value = bn_load_u32(p);
			return true;
		case BN_GGUF_I32:
			*value = (int32_t) bn_load_u32(p);
			return true;
		default:
			u = bn_load_u64(p);
			*value = (int64_t) u;
			return type == BN_GGUF_I64 || u <= (uint64_t) INT64_MAX;
	}
}

static double
decode_float(bn_gguf_type type, const uint8_t *p)
{
	int64_t		i;
	uint64_t	bits;
	double		d;

	switch (type)
	{
		case BN_GGUF_F32:
			return bn_float_from_bits(bn_load_u32(p));
		case BN_GGUF_F64:
			bits = bn_load_u64(p);
			memcpy(&d, &bits, sizeof(d));
			return d;
		case BN_GGUF_U64:
			return (double) bn_load_u64(p);
		default:
			decode_int(type, p, &i);
			return (double) i;
	}
}

/*
 * The record of a key.  *value is NULL if there is none, which is an error
 * unless the caller wants to know (found).
 */
static bn_status
look_up(const bn_gguf *g, const char *key, const bn_gguf_value **value, bool *found,
		bn_error *err)
{
	*value = bn_gguf_find(g, key);
	if (found)
		*found = *value != NULL;
	else if (!*value)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the metadata key \"%s\" is missing", key);
	return BN_OK;
}

static bn_status
wrong_type(const char *key, const bn_gguf_value *v, const char *expected, bn_error *err)
{
	return bn_fail(err, BN_ERR_FORMAT, v->offset,
				   "the value of \"%s\" has the type %s, not %s",
				   key, type_names[v->type], expected);
}

bn_status
bn_gguf_get_int(const bn_gguf *g, const char *key, int64_t min, int64_t max,
				int64_t *value, bool *found, bn_error *err)
{
	const bn_gguf_value *v;
	uint8_t		bytes[8];

	BN_TRY(look_up(g, key, &v, found, err));
	if (!v)
		return BN_OK;
	if (!is_integer(v->type))
		return wrong_type(key, v, "an integer", err);
	BN_TRY(g->source.read(g->source.ctx, v->offset, bytes, (size_t) bn_gguf_scalar_bytes(v->type), err));
	if (!decode_int(v->type, bytes, value))
		return bn_fail(err, BN_ERR_FORMAT, v->offset,
					   "the value of \"%s\" is %lu, outside the range %ld to %ld",
					   key, bn_load_u64(bytes), min, max);
	if (*value < min || *value > max)
		return bn_fail(err, BN_ERR_FORMAT, v->offset,
					   "the value of \"%s\" is %ld, outside the range %ld to %ld",
					   key, *value, min, max);
	return BN_OK;
}

bn_status
bn_gguf_get_float(const bn_gguf *g, const char *key, double *value, bool *found,
				  bn_error *err)
{
	const bn_gguf_value *v;
	uint8_t		bytes[8];

	BN_TRY(look_up(g, key, &v, found, err));
	if (!v)
		return BN_OK;
	if (!is_number(v->type))
		return wrong_type(key, v, "a number", err);
	BN_TRY(g->source.read(g->source.ctx, v->offset, bytes, (size_t) bn_gguf_scalar_bytes(v->type), err));
	*value = decode_float(v->type, bytes);
	return BN_OK;
}

bn_status
bn_gguf_get_bool(const bn_gguf *g, const char *key, bool *value, bool *found,
				 bn_error *err)
{
	const bn_gguf_value *v;
	uint8_t		byte;

	BN_TRY(look_up(g, key, &v, found, err));
	if (!v)
		return BN_OK;
	if (v->type != BN_GGUF_BOOL)
		return wrong_type(key, v, "bool", err);
	BN_TRY(g->source.read(g->source.ctx, v->offset, &byte, 1, err));
	if (byte > 1)
		return bn_fail(err, BN_ERR_FORMAT, v->offset,
					   "the value of \"%s\" is a boolean of %u", key, (uint32_t) byte);
	*value = byte != 0;
	return BN_OK;
}

bn_status
bn_gguf_get_string(const bn_gguf *g, const char *key, char *buf, size_t size,
				   bool *found, bn_error *err)
{
	const bn_gguf_value *v;
	size_t		n;

	if (size == 0)
		return bn_fail(err, BN_ERR_INVALID, BN_NO_OFFSET, "no room for a string");
	buf[0] = '\0';
	BN_TRY(look_up(g, key, &v, found, err));
	if (!v)
		return BN_OK;
	if (v->type != BN_GGUF_STRING)
		return wrong_type(key, v, "string", err);
	n = v->count < size - 1 ? (size_t) v->count : size - 1;
	if (n > 0)
		BN_TRY(g->source.read(g->source.ctx, v->offset, buf, n, err));
	buf[n] = '\0';
	return BN_OK;
}

/*
 * The name of the key that a cursor reads, for messages: its bytes are still
 * in the file.
 */
static void
cursor_key(const bn_gguf *g, const bn_gguf_value *v, char *buf, size_t size)
{
	size_t		n = v->key_length < size - 1 ? v->key_length : size - 1;

	if (g->source.read(g->source.ctx, v->key_offset, buf, n, NULL) != BN_OK)
		n = 0;
	buf[n] = '\0';
}

bn_status
bn_gguf_cursor_open(bn_gguf_cursor *c, const bn_gguf *g, const bn_gguf_value *value,
					bn_gguf_type item_type, bn_error *err)
{
	bool		fits = false;

	if (value->type == BN_GGUF_ARRAY)
		fits = is_integer(item_type) ? is_integer(value->item_type) :
			value->item_type == item_type;
	if (!fits)
	{
		char		key[96];

		cursor_key(g, value, key, sizeof(key));
		return bn_fail(err, BN_ERR_FORMAT, value->offset,
					   "the value of \"%s\" is %s%s, not an array of %s", key,
					   value->type == BN_GGUF_ARRAY ? "an array of " : "of type ",
					   type_names[value->type == BN_GGUF_ARRAY ? value->item_type : value->type],
					   type_names[item_type]);
	}
	c->g = g;
	c->value = value;
	c->index = 0;
	c->offset = value->offset;
	c->buffer_offset = value->offset;
	c->buffer_length = 0;
	return BN_OK;
}

/* Points *p to the next n <= 8 bytes of the array and steps over them. */
static bn_status
cursor_take(bn_gguf_cursor *c, size_t n, const uint8_t **p, bn_error *err)
{
	const bn_source *source = &c->g->source;
	uint64_t	end = c->value->offset + c->value->bytes;

	if (c->index >= c->value->count || n > end - c->offset)
		return bn_fail(err, BN_ERR_FORMAT, c->offset,
					   "read past the end of an array of %lu elements", c->value->count);
	if (c->offset < c->buffer_offset ||
		c->offset + n > c->buffer_offset + c->buffer_length)
	{
		uint64_t	length = end - c->offset;

		if (length > sizeof(c->buffer))
			length = sizeof(c->buffer);
		c->buffer_length = 0;
		BN_TRY(source->read(source->ctx, c->offset, c->buffer, (size_t) length, err));
		c->buffer_offset = c->offset;
		c->buffer_length = (uint32_t) length;
	}
	*p = c->buffer + (c->offset - c->buffer_offset);
	c->offset += n;
	return BN_OK;
}

bn_status
bn_gguf_next_string(bn_gguf_cursor *c, uint8_t *buf, size_t size, size_t *length,
					bn_error *err)
{
	const bn_source *source = &c->g->source;
	uint64_t	end = c->value->offset + c->value->bytes;
	uint64_t	n;
	const uint8_t *p;

	if (c->value->item_type != BN_GGUF_STRING)
		return bn_fail(err, BN_ERR_INVALID, c->offset, "not an array of strings");
	BN_TRY(cursor_take(c, 8, &p, err));
	n = bn_load_u64(p);
	if (n > end - c->offset)
		return bn_fail(err, BN_ERR_FORMAT, c->offset - 8,
					   "string %lu of an array ends beyond the array", c->index);
	if (n > size)
		return bn_fail(err, BN_ERR_LIMIT, c->offset - 8,
					   "string %lu of an array has %lu bytes, more than the limit of %lu",
					   c->index, n, (uint64_t) size);
	if (c->offset + n <= c->buffer_offset + c->buffer_length)
		memcpy(buf, c->buffer + (c->offset - c->buffer_offset), (size_t) n);
	else
		BN_TRY(source->read(source->ctx, c->offset, buf, (size_t) n, err));
	c->offset += n;
	c->index++;
	*length = (size_t) n;
	return BN_OK;
}

bn_status
bn_gguf_next_int(bn_gguf_cursor *c, int64_t *value, bn_error *err)
{
	uint64_t	offset = c->offset;
	const uint8_t *p;

	if (!is_integer(c->value->item_type))
		return bn_fail(err, BN_ERR_INVALID, c->offset, "not an array of integers");
	BN_TRY(cursor_take(c, (size_t) bn_gguf_scalar_bytes(c->value->item_type), &p, err));
	if (!decode_int(c->value->item_type, p, value))
		return bn_fail(err, BN_ERR_FORMAT, offset,
					   "element %lu of an array, %lu, is out of range",
					   c->index, bn_load_u64(p));
	c->index++;
	return BN_OK;
}
