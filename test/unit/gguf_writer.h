/*-------------------------------------------------------------------------
 *
 * gguf_writer.h
 *	  Small model files in memory, valid and otherwise.
 *
 * gw_model writes a whole model of a given shape; a test changes one thing of
 * it by an override.  The weights are a function of the tensor's name and the
 * position (gw_code, gw_value), so that a test can tell what must come out
 * without reading them back from the file.
 *
 * test/unit/gguf_writer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/core/tokenizer.h"

/* A growing array of bytes */
typedef struct gw_bytes
{
	uint8_t    *data;
	size_t		length;
	size_t		capacity;
} gw_bytes;

static void
gw_put(gw_bytes *b, const void *p, size_t n)
{
	if (b->length + n > b->capacity)
	{
		b->capacity = (b->length + n) * 2 + 256;
		b->data = realloc(b->data, b->capacity);
		if (!b->data)
			exit(2);
	}
	if (n > 0)
		memcpy(b->data + b->length, p, n);
	b->length += n;
}

static inline void
gw_put_u32(gw_bytes *b, uint32_t v)
{
	gw_put(b, &v, 4);
}

static inline void
gw_put_u64(gw_bytes *b, uint64_t v)
{
	gw_put(b, &v, 8);
}

static inline void
gw_put_string(gw_bytes *b, const char *s, size_t n)
{
	gw_put_u64(b, n);
	gw_put(b, s, n);
}

/* Changes to what gw_model writes; all zero for none */
typedef struct gw_override
{
	const char *omit_key;
	const char *omit_tensor;

	const char *key;			/* gets this type and payload */
	uint32_t	key_type;
	const void *payload;
	size_t		payload_bytes;

	const char *extra_key;		/* one more, with the same type and payload */

	const char *tensor;			/* gets what is not zero of these: */
	uint32_t	n_dims;
	uint64_t	dims[5];
	int64_t		type;			/* -1: none */
	uint64_t	offset_delta;	/* added to the offset, modulo 2^64 */
	size_t		poke_at;		/* poke[poke_bytes] goes to this byte of the data */
	bool		poke_from_end;	/* which is counted from its end */
	const void *poke;
	size_t		poke_bytes;

	const char *extra_tensor;	/* F32 [32] */
	bool		swap_tensors;	/* the first tensor's info comes last */
} gw_override;

typedef struct gw_spec
{
	const char *architecture;
	uint32_t	version;
	int			n_layers;
	int			d_model;
	int			d_ffn;
	int			n_heads;
	int			n_kv_heads;
	int			head_dim;
	int			vocab_size;		/* at least 262 */
	uint32_t	linear_type;
	uint32_t	norm_type;
	uint32_t	embd_type;
	bool		with_output;
	gw_override override;
} gw_spec;

typedef struct gw_file
{
	const gw_spec *spec;
	gw_bytes	values;
	gw_bytes	infos[2];		/* [1]: of the first tensor, if they are swapped */
	gw_bytes	data;
	uint64_t	n_values;
	uint64_t	n_tensors;
} gw_file;

/* splitmix64: well mixed bits of any number */
static uint64_t
gw_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t
gw_seed(const char *name)
{
	uint64_t	h = 1;

	for (; *name; name++)
		h = gw_mix(h ^ (uint8_t) *name);
	return h;
}

/* Ternary weight i of a tensor: -1, 0 or 1 */
static inline int
gw_code(uint64_t seed, uint64_t i)
{
	return (int) (gw_mix(seed + i) % 3) - 1;
}

/* A ternary tensor's scale: exact in every float type */
static inline float
gw_scale(uint64_t seed)
{
	return 0.5f + (float) (seed % 64) / 128.0f;
}

/* Value i of a norm or an embedding, as float: exact in F16 and BF16 */
static inline float
gw_value(uint64_t seed, uint64_t i)
{
	return (float) ((int) (gw_mix(seed + i) % 255) - 127) / 64.0f;
}

static inline uint16_t
gw_bfloat(float f)
{
	uint32_t	bits;

	memcpy(&bits, &f, 4);
	return (uint16_t) (bits >> 16);
}

/* Half of a float that is exactly a normal half or zero */
static inline uint16_t
gw_half(float f)
{
	uint32_t	bits;

	memcpy(&bits, &f, 4);
	if ((bits & 0x7fffffff) == 0)
		return (uint16_t) (bits >> 16);
	return (uint16_t) ((bits >> 16 & 0x8000) | (((bits & 0x7fffffff) >> 13) - (112 << 10)));
}

static void
gw_key(gw_file *f, const char *key, uint32_t type, const void *payload, size_t n)
{
	const gw_override *o = &f->spec->override;

	if (o->omit_key && strcmp(o->omit_key, key) == 0)
		return;
	if (o->key && strcmp(o->key, key) == 0)
	{
		type = o->key_type;
		payload = o->payload;
		n = o->payload_bytes;
	}
	gw_put_string(&f->values, key, strlen(key));
	gw_put_u32(&f->values, type);
	gw_put(&f->values, payload, n);
	f->n_values++;
}

static void
gw_key_u32(gw_file *f, const char *key, uint32_t v)
{
	gw_key(f, key, BN_GGUF_U32, &v, 4);
}

static void
gw_key_string(gw_file *f, const char *key, const char *s)
{
	gw_bytes	b = {0};

	gw_put_string(&b, s, strlen(s));
	gw_key(f, key, BN_GGUF_STRING, b.data, b.length);
	free(b.data);
}

/* A key that begins with the architecture's name */
static void
gw_arch_key(gw_file *f, const char *suffix, uint32_t type, const void *payload)
{
	char		key[128];

	snprintf(key, sizeof(key), "%s.%s", f->spec->architecture, suffix);
	gw_key(f, key, type, payload, 4);
}

static void
gw_arch_u32(gw_file *f, const char *suffix, int v)
{
	gw_arch_key(f, suffix, BN_GGUF_U32, &v);
}

/* Bytes of n values; 0 for a type that the writer does not know */
static size_t
gw_tensor_bytes(uint32_t type, uint64_t n)
{
	switch (type)
	{
		case BN_GGML_F32:
			return n * 4;
		case BN_GGML_F16:
		case BN_GGML_BF16:
			return n * 2;
		case BN_GGML_Q8_0:
			return n / 32 * 34;
		case BN_GGML_Q4_0:
			return n / 32 * 18;
		case BN_GGML_Q6_K:
			return n / 256 * 210;
		case BN_GGML_I2_S:
			return n / 4 + 32;
		default:
			return 0;
	}
}

/*
 * The data of a tensor.  Quantised blocks are any bytes, with the half scale
 * made finite.
 */
static void
gw_fill(uint8_t *p, uint32_t type, uint64_t n, bool ternary, uint64_t seed)
{
	size_t		bytes = gw_tensor_bytes(type, n);
	float		scale = gw_scale(seed);
	uint64_t	i;

	memset(p, 0, bytes);
	if (type == BN_GGML_I2_S)
	{
		for (i = 0; i < n; i++)
			p[i / 128 * 32 + i % 32] |= (gw_code(seed, i) + 1) << (6 - 2 * (i % 128 / 32));
		memcpy(p + n / 4, &scale, 4);
		memset(p + n / 4 + 4, 0xee, 28);	/* padding may be anything */
	}
	else if (type == BN_GGML_F32 || type == BN_GGML_F16 || type == BN_GGML_BF16)
	{
		for (i = 0; i < n; i++)
		{
			float		v = ternary ? (float) gw_code(seed, i) * scale : gw_value(seed, i);
			uint16_t	h = type == BN_GGML_F16 ? gw_half(v) : gw_bfloat(v);

			if (type == BN_GGML_F32)
				memcpy(p + 4 * i, &v, 4);
			else
				memcpy(p + 2 * i, &h, 2);
		}
	}
	else
	{
		size_t		block = type == BN_GGML_Q8_0 ? 34 : type == BN_GGML_Q4_0 ? 18 : 210;
		size_t		scale_at = type == BN_GGML_Q6_K ? 208 : 0;

		for (i = 0; i < bytes; i++)
			p[i] = (uint8_t) gw_mix(seed + i);
		for (i = 0; i < bytes; i += block)
			p[i + scale_at + 1] &= 0xb3;	/* clears two bits of the exponent */
	}
}

static void
gw_tensor(gw_file *f, const char *name, uint64_t cols, uint64_t rows, uint32_t type, bool ternary)
{
	const gw_override *o = &f->spec->override;
	bool		changed = o->tensor && strcmp(o->tensor, name) == 0;
	gw_bytes   *info = &f->infos[o->swap_tensors && f->n_tensors == 0 ? 1 : 0];
	uint64_t	dims[5] = {cols, rows, 1, 1, 1};
	uint32_t	n_dims = rows > 1 ? 2 : 1;
	uint64_t	offset;
	size_t		bytes;
	uint32_t	i;

	if (o->omit_tensor && strcmp(o->omit_tensor, name) == 0)
		return;
	while (f->data.length % 32 != 0)
		gw_put(&f->data, "\x5a", 1);
	offset = f->data.length;
	bytes = gw_tensor_bytes(type, cols * rows);
	{
		uint8_t    *p = malloc(bytes + 1);

		gw_fill(p, type, cols * rows, ternary, gw_seed(name));
		if (changed && o->poke)
			memcpy(o->poke_from_end ? p + bytes - o->poke_at : p + o->poke_at,
				   o->poke, o->poke_bytes);
		gw_put(&f->data, p, bytes);
		free(p);
	}
	if (changed)
	{
		if (o->n_dims)
		{
			n_dims = o->n_dims;
			memcpy(dims, o->dims, sizeof(dims));
		}
		if (o->type)
			type = o->type == -1 ? 0 : (uint32_t) o->type;
		offset += o->offset_delta;
	}
	gw_put_string(info, name, strlen(name));
	gw_put_u32(info, n_dims);
	for (i = 0; i < n_dims && i < 5; i++)
		gw_put_u64(info, dims[i]);
	gw_put_u32(info, type);
	gw_put_u64(info, offset);
	f->n_tensors++;
}

/*
 * A byte-level vocabulary: 256 bytes as GPT-2 spells them, "th" and "the" with
 * their merges, and control tokens.
 */
static void
gw_vocabulary(gw_file *f)
{
	static const char *const controls[] = {
		"<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
	};
	gw_bytes	tokens = {0};
	gw_bytes	types = {0};
	gw_bytes	merges = {0};
	int			n = f->spec->vocab_size;
	int			shifted = 0;
	int			i;

	gw_put_u32(&tokens, BN_GGUF_STRING);
	gw_put_u64(&tokens, (uint64_t) n);
	gw_put_u32(&types, BN_GGUF_I32);
	gw_put_u64(&types, (uint64_t) n);
	for (i = 0; i < n; i++)
	{
		char		text[64];
		uint32_t	type = BN_TOKEN_NORMAL;

		if (i < 256)
		{
			int			c = i;

			if (!((i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174))
				c = 256 + shifted++;
			if (c < 128)
				snprintf(text, sizeof(text), "%c", c);
			else
				snprintf(text, sizeof(text), "%c%c", 0xc0 | c >> 6, 0x80 | (c & 63));
		}
		else if (i < 258)
			snprintf(text, sizeof(text), "%s", i == 256 ? "th" : "the");
		else
		{
			type = BN_TOKEN_CONTROL;
			if (i < 261)
				snprintf(text, sizeof(text), "%s", controls[i - 258]);
			else
				snprintf(text, sizeof(text), "<|reserved_%d|>", i - 261);
		}
		gw_put_string(&tokens, text, strlen(text));
		gw_put_u32(&types, type);
	}
	gw_put_u32(&merges, BN_GGUF_STRING);
	gw_put_u64(&merges, 2);
	gw_put_string(&merges, "t h", 3);
	gw_put_string(&merges, "th e", 4);

	gw_key_string(f, "tokenizer.ggml.model", "gpt2");
	gw_key(f, "tokenizer.ggml.tokens", BN_GGUF_ARRAY, tokens.data, tokens.length);
	gw_key(f, "tokenizer.ggml.token_type", BN_GGUF_ARRAY, types.data, types.length);
	gw_key(f, "tokenizer.ggml.merges", BN_GGUF_ARRAY, merges.data, merges.length);
	gw_key_u32(f, "tokenizer.ggml.bos_token_id", 258);
	gw_key_u32(f, "tokenizer.ggml.eos_token_id", 259);
	gw_key(f, "tokenizer.ggml.add_bos_token", BN_GGUF_BOOL, "\1", 1);
	free(tokens.data);
	free(types.data);
	free(merges.data);
}

static void
gw_metadata(gw_file *f)
{
	const gw_spec *s = f->spec;
	const gw_override *o = &s->override;
	float		eps = 1e-5f;
	float		theta = 500000.0f;

	gw_key_string(f, "general.architecture", s->architecture);
	gw_key_string(f, "general.name", "test model");
	gw_arch_u32(f, "vocab_size", s->vocab_size);
	gw_arch_u32(f, "context_length", 512);
	gw_arch_u32(f, "embedding_length", s->d_model);
	gw_arch_u32(f, "block_count", s->n_layers);
	gw_arch_u32(f, "feed_forward_length", s->d_ffn);
	gw_arch_u32(f, "rope.dimension_count", s->head_dim);
	gw_arch_u32(f, "attention.head_count", s->n_heads);
	gw_arch_u32(f, "attention.head_count_kv", s->n_kv_heads);
	gw_arch_key(f, "attention.layer_norm_rms_epsilon", BN_GGUF_F32, &eps);
	gw_arch_key(f, "rope.freq_base", BN_GGUF_F32, &theta);
	gw_vocabulary(f);
	if (o->extra_key)
		gw_key(f, o->extra_key, o->key_type, o->payload, o->payload_bytes);
}

static void
gw_layer(gw_file *f, int layer)
{
	const gw_spec *s = f->spec;
	uint64_t	d = (uint64_t) s->d_model;
	uint64_t	a = (uint64_t) s->n_heads * s->head_dim;
	uint64_t	kv = (uint64_t) s->n_kv_heads * s->head_dim;
	uint64_t	ffn = (uint64_t) s->d_ffn;
	const struct
	{
		const char *suffix;
		uint64_t	cols;
		uint64_t	rows;			/* 1 for a norm */
	}			tensors[] = {
		{"attn_norm", d, 1}, {"ffn_down", ffn, d}, {"ffn_sub_norm", ffn, 1},
		{"ffn_gate", d, ffn}, {"ffn_up", d, ffn}, {"ffn_norm", d, 1},
		{"attn_sub_norm", a, 1}, {"attn_k", d, kv}, {"attn_output", a, d},
		{"attn_q", d, a}, {"attn_v", d, kv}
	};
	char		name[64];
	int			i;

	for (i = 0; i < 11; i++)
	{
		bool		norm = tensors[i].rows == 1;

		snprintf(name, sizeof(name), "blk.%d.%s.weight", layer, tensors[i].suffix);
		gw_tensor(f, name, tensors[i].cols, tensors[i].rows,
				  norm ? s->norm_type : s->linear_type, !norm);
	}
}

/* The whole file, in memory of its exact size (for the address sanitizer) */
static uint8_t *
gw_model(const gw_spec *spec, size_t *size)
{
	gw_file		f = {.spec = spec};
	gw_bytes	out = {0};
	uint8_t    *exact;
	int			i;

	gw_metadata(&f);
	gw_tensor(&f, "token_embd.weight", (uint64_t) spec->d_model,
			  (uint64_t) spec->vocab_size, spec->embd_type, false);
	for (i = 0; i < spec->n_layers; i++)
		gw_layer(&f, i);
	gw_tensor(&f, "output_norm.weight", (uint64_t) spec->d_model, 1, spec->norm_type, false);
	if (spec->with_output)
		gw_tensor(&f, "output.weight", (uint64_t) spec->d_model,
				  (uint64_t) spec->vocab_size, spec->embd_type, false);
	if (spec->override.extra_tensor)
		gw_tensor(&f, spec->override.extra_tensor, 32, 1, BN_GGML_F32, false);

	gw_put(&out, "GGUF", 4);
	gw_put_u32(&out, spec->version);
	gw_put_u64(&out, f.n_tensors);
	gw_put_u64(&out, f.n_values);
	gw_put(&out, f.values.data, f.values.length);
	gw_put(&out, f.infos[0].data, f.infos[0].length);
	gw_put(&out, f.infos[1].data, f.infos[1].length);
	while (out.length % 32 != 0)
		gw_put(&out, "", 1);
	gw_put(&out, f.data.data, f.data.length);

	exact = malloc(out.length);
	memcpy(exact, out.data, out.length);
	*size = out.length;
	free(out.data);
	free(f.values.data);
	free(f.infos[0].data);
	free(f.infos[1].data);
	free(f.data.data);
	return exact;
}

/* The published layout in small: rows of whole I2_S blocks */
static inline gw_spec
gw_small_spec(void)
{
	gw_spec		s = {
		.architecture = "bitnet-b1.58", .version = 3,
		.n_layers = 2, .d_model = 128, .d_ffn = 256, .n_heads = 4, .n_kv_heads = 2,
		.head_dim = 32, .vocab_size = 264,
		.linear_type = BN_GGML_I2_S, .norm_type = BN_GGML_F32, .embd_type = BN_GGML_F16
	};

	return s;
}

/*
 * A file in memory.  Read number fail_at (from 1; 0: none) fails as a disk
 * does; a read outside the file is remembered, since it is a mistake.
 */
typedef struct gw_memory
{
	const uint8_t *data;
	uint64_t	size;
	int			n_reads;
	int			fail_at;
	bool		outside;
} gw_memory;

static bn_status
gw_read(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	gw_memory  *m = ctx;

	if (++m->n_reads == m->fail_at)
	{
		bn_fail(err, BN_ERR_IO, offset, "read failed");
		if (err)
			err->sys_errno = 5;
		return BN_ERR_IO;
	}
	if (offset > m->size || len > m->size - offset)
	{
		m->outside = true;
		return bn_fail(err, BN_ERR_INVALID, offset, "read outside the file");
	}
	memcpy(buf, m->data + offset, len);
	return BN_OK;
}

static inline bn_source
gw_source(gw_memory *m, const uint8_t *data, uint64_t size)
{
	bn_source	source = {gw_read, m, size};

	memset(m, 0, sizeof(*m));
	m->data = data;
	m->size = size;
	return source;
}

#endif							/* GGUF_WRITER_H */
