/*-------------------------------------------------------------------------
 *
 * gguf.h
 *	  Bounded reader of GGUF model files (version 2 and 3).
 *
 * The only part of the project that looks at the layout of an untrusted file.
 * Every count, length and offset is checked against what is left of the file
 * before it is used or multiplied.  Format: ggml's docs/gguf.md.
 *
 * src/core/gguf.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_GGUF_H
#define BN_GGUF_H

#include "source.h"

/* Limits of the product, far above any published model. */
#define BN_GGUF_MAX_KEYS 65536
#define BN_GGUF_MAX_TENSORS 65536
#define BN_GGUF_MAX_KEY_LENGTH 65535
#define BN_GGUF_MAX_NAME_LENGTH 63
#define BN_GGUF_MAX_DIMS 4

typedef enum bn_gguf_type
{
	BN_GGUF_U8 = 0, BN_GGUF_I8, BN_GGUF_U16, BN_GGUF_I16, BN_GGUF_U32, BN_GGUF_I32,
	BN_GGUF_F32, BN_GGUF_BOOL, BN_GGUF_STRING, BN_GGUF_ARRAY, BN_GGUF_U64,
	BN_GGUF_I64, BN_GGUF_F64
} bn_gguf_type;

/* Bytes of a value of that bn_gguf_type; 0 if it is none of one size. */
extern uint64_t bn_gguf_scalar_bytes(uint32_t type);

/* ggml tensor types that the project reads; all others are refused. */
typedef enum bn_ggml_type
{
	BN_GGML_F32 = 0, BN_GGML_F16 = 1, BN_GGML_Q4_0 = 2, BN_GGML_Q8_0 = 8,
	BN_GGML_Q6_K = 14, BN_GGML_BF16 = 30, BN_GGML_I2_S = 36
} bn_ggml_type;

/* One metadata record; the value itself stays in the file. */
typedef struct bn_gguf_value
{
	uint64_t	key_offset;		/* of the key's bytes in the file */
	uint64_t	key_hash;		/* with the length, stands for the key itself */
	uint32_t	key_length;
	bn_gguf_type type;
	bn_gguf_type item_type;		/* of an array's elements */
	uint64_t	count;			/* array: elements; string: bytes; else 1 */
	uint64_t	offset;			/* of the first payload byte */
	uint64_t	bytes;			/* payload, including the lengths of array strings */
} bn_gguf_value;

typedef struct bn_gguf_tensor
{
	char		name[BN_GGUF_MAX_NAME_LENGTH + 1];
	uint32_t	n_dims;
	uint64_t	dims[BN_GGUF_MAX_DIMS]; /* dims[0] is contiguous; unused ones are 1 */
	uint32_t	type;			/* a known bn_ggml_type */
	uint64_t	offset;			/* absolute, in the file */
	uint64_t	bytes;
} bn_gguf_tensor;

typedef struct bn_gguf
{
	bn_source	source;
	uint32_t	n_values;
	uint32_t	n_tensors;
	bn_gguf_value *values;		/* [n_values], in the caller's scratch */
	bn_gguf_tensor *tensors;	/* [n_tensors], in file order */
	uint32_t   *value_index;	/* hash tables over the two arrays */
	uint32_t   *tensor_index;
	uint32_t	index_mask;
	uint32_t   *tensor_order;	/* [n_tensors], numbers of tensors by offset */
	uint64_t	alignment;
	uint64_t	data_offset;
} bn_gguf;

/*
 * Reads the file's fixed header (24 bytes) and says how much memory
 * bn_gguf_open needs.  Errors: not a GGUF file, version, counts.
 */
extern bn_status bn_gguf_scratch_size(const bn_source *source, size_t *size,
									  bn_error *err);

/*
 * Reads and checks all metadata records and tensor infos: every item of the
 * format that can be checked without knowing the architecture, including
 * duplicate keys and names, overlapping tensors, tensors outside the file and
 * unsupported types (refused with a hint).  *g refers to source's ctx and to
 * scratch, which must both outlive it.
 */
extern bn_status bn_gguf_open(bn_gguf *g, const bn_source *source,
							  void *scratch, size_t scratch_size,
							  const bn_hooks *hooks, bn_error *err);

/* The record of a key, or NULL. */
extern const bn_gguf_value *bn_gguf_find(const bn_gguf *g, const char *key);

/* The tensor of a name, or NULL. */
extern const bn_gguf_tensor *bn_gguf_find_tensor(const bn_gguf *g, const char *name);

/*
 * Typed access.  *found (may be NULL: then the key is required) says whether
 * the key is there; a key of another type, or a value outside the range, is
 * BN_ERR_FORMAT.  Integers of any width are accepted where they fit, and
 * integers where a float is wanted.
 */
extern bn_status bn_gguf_get_int(const bn_gguf *g, const char *key, int64_t min,
								 int64_t max, int64_t *value, bool *found, bn_error *err);
extern bn_status bn_gguf_get_float(const bn_gguf *g, const char *key,
								   double *value, bool *found, bn_error *err);
extern bn_status bn_gguf_get_bool(const bn_gguf *g, const char *key,
								  bool *value, bool *found, bn_error *err);

/* Copies at most size - 1 bytes and terminates; a longer value is cut. */
extern bn_status bn_gguf_get_string(const bn_gguf *g, const char *key, char *buf,
									size_t size, bool *found, bn_error *err);

/*
 * Reads through an array in order.  next_string gives the length and reads the
 * bytes into buf (a longer string is BN_ERR_LIMIT); next_int takes integers of
 * any width.  Reading past count elements is BN_ERR_FORMAT.
 */
typedef struct bn_gguf_cursor
{
	const bn_gguf *g;
	const bn_gguf_value *value;
	uint64_t	index;			/* elements read so far */
	uint64_t	offset;			/* of the next unread byte in the file */
	uint64_t	buffer_offset;	/* file offset of buffer[0] */
	uint32_t	buffer_length;
	uint8_t		buffer[16384];
} bn_gguf_cursor;

extern bn_status bn_gguf_cursor_open(bn_gguf_cursor *c, const bn_gguf *g,
									 const bn_gguf_value *value,
									 bn_gguf_type item_type, bn_error *err);
extern bn_status bn_gguf_next_string(bn_gguf_cursor *c, uint8_t *buf, size_t size,
									 size_t *length, bn_error *err);
extern bn_status bn_gguf_next_int(bn_gguf_cursor *c, int64_t *value, bn_error *err);

#endif							/* BN_GGUF_H */
