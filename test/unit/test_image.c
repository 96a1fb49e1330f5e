/*-------------------------------------------------------------------------
 *
 * test_image.c
 *	  Images: what the file holds is what the kernels get, and nothing bad
 *	  gets through.
 *
 * test/unit/test_image.c
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "../../src/core/model.h"
#include "gguf_writer.h"
#include "tap.h"

/* A file, opened, and its image */
typedef struct loaded
{
	uint8_t    *data;
	gw_memory	memory;
	bn_source	source;
	bn_gguf		g;
	void	   *scratch;
	uint8_t    *image;
	uint64_t	size;
	bn_status	status;
	bn_error	err;
} loaded;

/* Of the images that are built */
static bn_image_options options = {BN_SCREEN_AUTO, false};

/* Builds the image of an open file; the memory is dirty, as a segment's may be. */
static bn_status
build(loaded *l, const bn_hooks *hooks)
{
	void	   *scratch;

	if (l->image)
		memset(l->image, 0xa5, l->size);
	BN_TRY(bn_image_size(&l->g, options, &l->size, &l->err));
	if (!l->image)
	{
		l->image = aligned_alloc(64, (l->size + 63) / 64 * 64);
		memset(l->image, 0xa5, l->size);
	}
	scratch = malloc(bn_image_scratch_size());
	l->status = bn_image_build(&l->g, options, l->image, l->size, scratch, hooks, &l->err);
	free(scratch);
	BN_TRY(l->status);
	return bn_image_check(l->image, l->size, &l->err);
}

static bn_status
load_bytes(loaded *l, uint8_t *data, size_t size)
{
	size_t		n;

	memset(l, 0, sizeof(*l));
	l->data = data;
	l->source = gw_source(&l->memory, data, size);
	l->status = bn_gguf_scratch_size(&l->source, &n, &l->err);
	if (l->status == BN_OK)
	{
		l->scratch = malloc(n);
		l->status = bn_gguf_open(&l->g, &l->source, l->scratch, n, NULL, &l->err);
	}
	if (l->status == BN_OK)
		l->status = build(l, NULL);
	if (l->memory.outside)
		l->status = BN_ERR_INVALID;
	return l->status;
}

static bn_status
load(loaded *l, const gw_spec *spec)
{
	size_t		size;
	uint8_t    *data = gw_model(spec, &size);

	return load_bytes(l, data, size);
}

static void
unload(loaded *l)
{
	free(l->data);
	free(l->scratch);
	free(l->image);
}

static void
expect(const gw_spec *spec, bn_status expected, const char *detail, const char *what)
{
	loaded		l;

	load(&l, spec);
	if (!ok(l.status == expected &&
			(expected == BN_OK || (l.err.code == expected && strstr(l.err.detail, detail))),
			"%s", what))
		printf("# status %d (expected %d): %s\n", l.status, expected, l.err.detail);
	unload(&l);
}

/* Weight of a packed matrix by the definition in kernels.h, with n columns to a tile */
static int
tile_weight(const uint8_t *w, int cols, int r, int c, int n)
{
	size_t		n_blocks = ((size_t) cols + n - 1) / n;
	uint8_t		byte = w[((size_t) (r / 16) * n_blocks + c / n) * 64 + 4 * (r % 16) + c % 4];
	int			place = c % n / 4;
	int			first;

	if (n == 16)
		return (byte >> (2 * place) & 3) - 1;
	if (place == 4)
		return (byte < 192 ? byte / 64 : byte % 3) - 1;
	first = byte < 192 ? byte % 64 : 64 + (byte - 192) / 3;
	while (place-- > 0)
		first /= 3;
	return first % 3 - 1;
}

static bool
ternary_right(const loaded *l, const bn_tensor *t, const char *name)
{
	const uint8_t *w = l->image + t->offset;
	uint64_t	seed = gw_seed(name);
	int			n = options.five ? 20 : 16;
	int			r;
	int			c;

	if (t->type != (options.five ? BN_TENSOR_TERNARY5 : BN_TENSOR_TERNARY) || t->scale != gw_scale(seed))
		return false;
	for (r = 0; r < (t->rows + 15) / 16 * 16; r++)
	{
		for (c = 0; c < (t->cols + n - 1) / n * n; c++)
		{
			int			expected = r < t->rows && c < t->cols ?
				gw_code(seed, (uint64_t) r * t->cols + c) : 0;

			if (tile_weight(w, t->cols, r, c, n) != expected)
			{
				printf("# %s [%d, %d]\n", name, r, c);
				return false;
			}
		}
	}
	return true;
}

static bool
norm_right(const loaded *l, const bn_tensor *t, const char *name)
{
	const float *w = (const float *) (l->image + t->offset);
	int			i;

	for (i = 0; i < t->cols; i++)
	{
		if (w[i] != gw_value(gw_seed(name), i))
			return false;
	}
	return t->type == BN_TENSOR_F32 && t->rows == 1;
}

/* Every tensor of the layers, and the last norm */
static bool
layers_right(const loaded *l)
{
	static const char *const suffixes[] = {
		"attn_norm", "attn_q", "attn_k", "attn_v", "attn_sub_norm", "attn_output",
		"ffn_norm", "ffn_gate", "ffn_up", "ffn_sub_norm", "ffn_down"
	};
	bn_model	model;
	int			i;

	if (bn_model_bind(&model, l->image, l->size, NULL) != BN_OK)
		return false;
	for (i = 0; i < model.config->n_layers * 11; i++)
	{
		const bn_tensor *t = bn_layer_tensor(&model, i / 11, (bn_layer_role) (i % 11));
		char		name[64];

		snprintf(name, sizeof(name), "blk.%d.%s.weight", i / 11, suffixes[i % 11]);
		if (t->offset % 64 != 0 ||
			!(strstr(name, "norm") ? norm_right(l, t, name) : ternary_right(l, t, name)))
			return false;
	}
	return norm_right(l, &model.header->output_norm, "output_norm.weight");
}

/* Does the image hold the same bytes of this tensor as the file? */
static bool
same_bytes(const loaded *l, const bn_tensor *t, const char *name)
{
	const bn_gguf_tensor *f = bn_gguf_find_tensor(&l->g, name);

	return f->bytes == t->bytes && memcmp(l->image + t->offset, l->data + f->offset, t->bytes) == 0;
}

static void
test_round_trip(void)
{
	static const struct
	{
		const char *what;
		int			d,
					ffn,
					heads,
					kv,
					head_dim,
					layers;
		uint32_t	linear;
		uint32_t	norm;
	}			cases[] = {
		{"whole blocks", 128, 256, 4, 2, 32, 2, BN_GGML_I2_S, BN_GGML_F32},
		{"rows that straddle blocks, 8 rows", 48, 40, 6, 1, 8, 3, BN_GGML_I2_S, BN_GGML_F16},
		{"several chunks", 512, 9216, 4, 1, 128, 1, BN_GGML_I2_S, BN_GGML_BF16},
		{"several chunks of rows that straddle blocks", 528, 8208, 33, 3, 16, 1, BN_GGML_I2_S, BN_GGML_F32},
		{"F32", 48, 40, 6, 1, 8, 1, BN_GGML_F32, BN_GGML_F32},
		{"F16", 48, 40, 6, 1, 8, 1, BN_GGML_F16, BN_GGML_F32},
		{"BF16", 48, 40, 6, 1, 8, 1, BN_GGML_BF16, BN_GGML_F32},
		{"F16 in several chunks", 256, 4096, 2, 1, 128, 1, BN_GGML_F16, BN_GGML_F32}
	};
	int			i;

	for (i = 0; i < (int) (sizeof(cases) / sizeof(cases[0])); i++)
	{
		gw_spec		spec = gw_small_spec();
		loaded		l;

		spec.d_model = cases[i].d;
		spec.d_ffn = cases[i].ffn;
		spec.n_heads = cases[i].heads;
		spec.n_kv_heads = cases[i].kv;
		spec.head_dim = cases[i].head_dim;
		spec.n_layers = cases[i].layers;
		spec.linear_type = cases[i].linear;
		spec.norm_type = cases[i].norm;
		if (!ok(load(&l, &spec) == BN_OK && layers_right(&l), "weights and norms: %s", cases[i].what))
			printf("# %d %s\n", l.status, l.err.detail);
		unload(&l);
	}
}

static void
test_config(void)
{
	gw_spec		spec = gw_small_spec();
	loaded		l;
	bn_model	m;

	load(&l, &spec);
	ok(bn_model_bind(&m, l.image, l.size, NULL) == BN_OK, "bind");
	ok(m.config->n_layers == 2 && m.config->d_model == 128 && m.config->d_ffn == 256 &&
	   m.config->n_heads == 4 && m.config->n_kv_heads == 2 && m.config->head_dim == 32 &&
	   m.config->vocab_size == 264 && m.config->context_length == 512, "dimensions");
	ok(m.config->rms_eps == 1e-5f && m.config->rope_theta == 500000 &&
	   m.config->pooling == BN_POOL_UNSPECIFIED && m.config->tied_head == 1 &&
	   m.header->output.offset == m.header->token_embd.offset, "constants, tied head");
	ok(strcmp(m.header->architecture, "bitnet-b1.58") == 0 &&
	   strcmp(m.header->name, "test model") == 0 && m.vocab->n_tokens == 264,
	   "names, vocabulary");
	unload(&l);

	spec.with_output = true;
	spec.architecture = "bitnet-25";
	spec.override.extra_key = "bitnet-25.pooling_type";
	spec.override.key_type = BN_GGUF_U32;
	spec.override.payload = "\3\0\0";
	spec.override.payload_bytes = 4;
	load(&l, &spec);
	ok(bn_model_bind(&m, l.image, l.size, NULL) == BN_OK && m.config->tied_head == 0 &&
	   m.header->output.offset != m.header->token_embd.offset &&
	   same_bytes(&l, &m.header->token_embd, "token_embd.weight") &&
	   same_bytes(&l, &m.header->output, "output.weight") &&
	   m.config->pooling == BN_POOL_LAST, "bitnet-25 with a head of its own and pooling");
	unload(&l);

	spec = gw_small_spec();
	spec.override.omit_key = "bitnet-b1.58.attention.head_count_kv";
	spec.n_kv_heads = 4;
	load(&l, &spec);
	ok(l.status == BN_OK && ((bn_image_header *) l.image)->config.n_kv_heads == 4,
	   "as many key-value heads as heads by default");
	unload(&l);
	spec = gw_small_spec();
	spec.override.omit_key = "bitnet-b1.58.rope.dimension_count";
	load(&l, &spec);
	ok(l.status == BN_OK && ((bn_image_header *) l.image)->config.head_dim == 32,
	   "dimensions of a head from the embedding length");
	unload(&l);
}

/* Value of a half by its definition */
static double
half_value(unsigned h)
{
	int			exponent = (int) (h >> 10 & 31);
	double		fraction = (double) (h & 1023) / 1024;
	double		v = exponent == 0 ? ldexp(fraction, -14) : ldexp(1 + fraction, exponent - 15);

	return h & 0x8000 ? -v : v;
}

static void
test_halves(void)
{
	uint8_t    *memory = malloc(65536 * 2);
	float	   *y = malloc(65536 * sizeof(float));
	bn_tensor	t = {.type = BN_TENSOR_F16, .rows = 4, .cols = 16384, .scale = 1};
	int			wrong = 0;
	unsigned	i;

	for (i = 0; i < 65536; i++)
	{
		memory[2 * i] = (uint8_t) i;
		memory[2 * i + 1] = (uint8_t) (i >> 8);
	}
	for (i = 0; i < 4; i++)
		bn_dequantize_row(y + 16384 * i, memory, &t, (int32_t) i);
	for (i = 0; i < 65536; i++)
	{
		bool		right = (i & 0x7c00) != 0x7c00 ? y[i] == half_value(i) :
			(i & 0x3ff) ? isnan(y[i]) : isinf(y[i]) && (y[i] < 0) == (i >> 15 != 0);

		wrong += !right || !signbit(y[i]) != !(i >> 15);
	}
	ok(wrong == 0, "all 65536 halves");
	t.type = BN_TENSOR_BF16;
	for (i = 0; i < 4; i++)
		bn_dequantize_row(y + 16384 * i, memory, &t, (int32_t) i);
	for (i = 0, wrong = 0; i < 65536; i++)
	{
		uint32_t	bits = i << 16;

		wrong += memcmp(&bits, &y[i], 4) != 0;
	}
	ok(wrong == 0, "all 65536 bfloats");
	free(memory);
	free(y);
}

/* Value i of quantised data, by the published block formats, in double */
static double
block_value(const uint8_t *p, uint32_t type, size_t i)
{
	const uint8_t *b;
	size_t		j;

	if (type == BN_GGML_Q8_0)
	{
		b = p + i / 32 * 34;
		return half_value(b[0] | b[1] << 8) * (int8_t) b[2 + i % 32];
	}
	if (type == BN_GGML_Q4_0)
	{
		b = p + i / 32 * 18;
		j = i % 32;
		return half_value(b[0] | b[1] << 8) * ((j < 16 ? b[2 + j] & 15 : b[2 + j - 16] >> 4) - 8);
	}
	b = p + i / 256 * 210;
	j = i % 256;
	{
		/* four runs of 32 in each half: ql and ql + 32, low nibbles, then high */
		const uint8_t *ql = b + (j >= 128 ? 64 : 0);
		const uint8_t *qh = b + 128 + (j >= 128 ? 32 : 0);
		size_t		l = j % 32;
		int			q = 0;

		switch (j % 128 / 32)
		{
			case 0:
				q = (ql[l] & 15) | (qh[l] & 3) << 4;
				break;
			case 1:
				q = (ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4;
				break;
			case 2:
				q = ql[l] >> 4 | (qh[l] >> 4 & 3) << 4;
				break;
			default:
				q = ql[l + 32] >> 4 | (qh[l] >> 6 & 3) << 4;
				break;
		}
		return half_value(b[208] | b[209] << 8) * (int8_t) b[192 + j / 16] * (q - 32);
	}
}

static void
test_embeddings(void)
{
	static const struct
	{
		const char *name;
		uint32_t	type;
		int32_t		image_type;
		size_t		row_bytes;
	}			cases[] = {
		{"F32", BN_GGML_F32, BN_TENSOR_F32, 1024}, {"F16", BN_GGML_F16, BN_TENSOR_F16, 512},
		{"BF16", BN_GGML_BF16, BN_TENSOR_BF16, 512}, {"Q8_0", BN_GGML_Q8_0, BN_TENSOR_Q8_0, 272},
		{"Q6_K", BN_GGML_Q6_K, BN_TENSOR_Q6_K, 210}, {"Q4_0", BN_GGML_Q4_0, BN_TENSOR_Q4_0, 144}
	};
	int			i;

	for (i = 0; i < 6; i++)
	{
		gw_spec		spec = gw_small_spec();
		const bn_gguf_tensor *f;
		const bn_tensor *t;
		loaded		l;
		float		y[256];
		int			wrong = 0;
		int			r;
		int			c;

		spec.d_model = 256;
		spec.n_heads = 8;
		spec.embd_type = cases[i].type;
		if (!ok(load(&l, &spec) == BN_OK, "%s embedding", cases[i].name))
		{
			unload(&l);
			continue;
		}
		t = &((bn_image_header *) l.image)->token_embd;
		f = bn_gguf_find_tensor(&l.g, "token_embd.weight");
		for (r = 0; r < 264; r++)
		{
			bn_dequantize_row(y, l.image, t, r);
			for (c = 0; c < 256; c++)
			{
				size_t		n = (size_t) r * 256 + c;
				double		v = cases[i].type == BN_GGML_F32 || cases[i].type == BN_GGML_F16 ||
					cases[i].type == BN_GGML_BF16 ? gw_value(gw_seed("token_embd.weight"), n) :
					block_value(l.data + f->offset, cases[i].type, n);

				wrong += !(fabs(y[c] - v) <= fabs(v) * 1.2e-7);
			}
		}
		ok(wrong == 0 && t->type == cases[i].image_type &&
		   same_bytes(&l, t, "token_embd.weight") &&
		   bn_tensor_row_bytes(t->type, 256) == cases[i].row_bytes,
		   "%s rows have the values of the format", cases[i].name);
		unload(&l);
	}
	ok(bn_tensor_row_bytes(BN_TENSOR_Q6_K, 128) == 0 && bn_tensor_row_bytes(BN_TENSOR_Q8_0, 33) == 0 &&
	   bn_tensor_row_bytes(BN_TENSOR_TERNARY, 128) == 0 && bn_tensor_row_bytes(99, 128) == 0,
	   "no size for broken blocks and unknown types");
}

/* One key changed: its type and value */
static void
expect_key(const char *key, uint32_t type, const void *payload, size_t n, bn_status expected,
		   const char *detail, const char *what)
{
	gw_spec		spec = gw_small_spec();

	spec.override.key = key;
	spec.override.key_type = type;
	spec.override.payload = payload;
	spec.override.payload_bytes = n;
	expect(&spec, expected, detail, what);
}

/* A key added that the writer does not write */
static void
expect_extra(const char *key, uint32_t type, const void *payload, size_t n, bn_status expected,
			 const char *detail)
{
	gw_spec		spec = gw_small_spec();

	spec.override.extra_key = key;
	spec.override.key_type = type;
	spec.override.payload = payload;
	spec.override.payload_bytes = n;
	expect(&spec, expected, detail, key);
}

static void
expect_u32(const char *suffix, uint32_t value, bn_status expected, const char *detail)
{
	char		key[96];
	char		what[128];

	snprintf(key, sizeof(key), "bitnet-b1.58.%s", suffix);
	snprintf(what, sizeof(what), "%s = %u", suffix, value);
	expect_key(key, BN_GGUF_U32, &value, 4, expected, detail, what);
}

static void
test_keys(void)
{
	static const char *const required[] = {
		"general.architecture", "bitnet-b1.58.context_length", "bitnet-b1.58.embedding_length",
		"bitnet-b1.58.block_count", "bitnet-b1.58.feed_forward_length",
		"bitnet-b1.58.attention.head_count", "bitnet-b1.58.attention.layer_norm_rms_epsilon",
		"bitnet-b1.58.rope.freq_base", "tokenizer.ggml.tokens"
	};
	static const char *const sizes[] = {
		"context_length", "embedding_length", "block_count", "feed_forward_length",
		"attention.head_count", "attention.head_count_kv", "rope.dimension_count", "vocab_size"
	};
	static const float bad_floats[] = {0, -1, INFINITY, NAN};
	static const float one = 1;
	static const float small = 1e-30f;
	uint64_t	wide = 128;
	double		eps = 1e-5;
	char		key[96];
	int			i;

	for (i = 0; i < 9; i++)
	{
		gw_spec		spec = gw_small_spec();

		spec.override.omit_key = required[i];
		expect(&spec, BN_ERR_FORMAT, required[i], "a required key is missing");
	}
	for (i = 0; i < 8; i++)
	{
		snprintf(key, sizeof(key), "bitnet-b1.58.%s", sizes[i]);
		expect_u32(sizes[i], 0, BN_ERR_FORMAT, key);
		expect_u32(sizes[i], UINT32_MAX, BN_ERR_LIMIT, key);
		expect_key(key, BN_GGUF_F32, "\0\0\0\0", 4, BN_ERR_FORMAT, key, "a size of type float32");
		expect_key(key, BN_GGUF_STRING, "\1\0\0\0\0\0\0\0x", 9, BN_ERR_FORMAT, key, "a size of type string");
		expect_key(key, BN_GGUF_ARRAY, "\4\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0", 16, BN_ERR_FORMAT, key, "a size of type array");
	}
	expect_key("bitnet-b1.58.embedding_length", BN_GGUF_U64, &wide, 8, BN_OK, "", "a size of type uint64");
	expect_key("bitnet-b1.58.block_count", BN_GGUF_U8, "\2", 1, BN_OK, "", "a size of type uint8");
	expect_key("bitnet-b1.58.attention.layer_norm_rms_epsilon", BN_GGUF_F64, &eps, 8, BN_OK, "", "epsilon of type float64");
	expect_key("bitnet-b1.58.rope.freq_base", BN_GGUF_U32, "\20\47\0\0", 4, BN_OK, "", "theta of type uint32");
	expect_key("bitnet-b1.58.rope.freq_base", BN_GGUF_F32, &one, 4, BN_OK, "", "theta of 1");
	expect_key("bitnet-b1.58.rope.freq_base", BN_GGUF_F32, &small, 4,
			   BN_ERR_FORMAT, "freq_base", "theta below 1");
	for (i = 0; i < 4; i++)
	{
		expect_key("bitnet-b1.58.attention.layer_norm_rms_epsilon", BN_GGUF_F32, &bad_floats[i], 4,
				   BN_ERR_FORMAT, "rms_epsilon", "epsilon of zero, -1, infinity, NaN");
		expect_key("bitnet-b1.58.rope.freq_base", BN_GGUF_F32, &bad_floats[i], 4,
				   BN_ERR_FORMAT, "freq_base", "theta of zero, -1, infinity, NaN");
	}
	expect_u32("block_count", 3, BN_ERR_FORMAT, "\"blk.2.attn_norm.weight\" is missing");
	expect_u32("block_count", 1, BN_ERR_FORMAT, "\"blk.1.");
	expect_u32("attention.head_count_kv", 3, BN_ERR_FORMAT, "not a multiple");
	expect_u32("attention.head_count", 8, BN_ERR_FORMAT, "[128, 128], expected [128, 256]");
	expect_u32("rope.dimension_count", 31, BN_ERR_FORMAT, "31");
	expect_u32("rope.dimension_count", 16, BN_ERR_FORMAT, "blk.0.attn_q.weight");
	expect_u32("vocab_size", 263, BN_ERR_FORMAT, "263");
	expect_u32("embedding_length", 256, BN_ERR_FORMAT, "output_norm.weight");

	expect_key("general.architecture", BN_GGUF_STRING, "\5\0\0\0\0\0\0\0llama", 13,
			   BN_ERR_UNSUPPORTED, "\"llama\"", "architecture llama");
	expect_key("general.architecture", BN_GGUF_STRING, "\6\0\0\0\0\0\0\0bitnet", 14,
			   BN_ERR_UNSUPPORTED, "\"bitnet\"", "architecture bitnet");
	expect_key("general.architecture", BN_GGUF_STRING, "\13\0\0\0\0\0\0\0bitnet-25\0x", 19,
			   BN_ERR_UNSUPPORTED, "architecture", "architecture with a zero byte");
	expect_key("general.architecture", BN_GGUF_U32, "\0\0\0\0", 4,
			   BN_ERR_FORMAT, "general.architecture", "architecture of type uint32");
	expect_key("general.name", BN_GGUF_STRING, "\3\0\0\0\0\0\0\0\377\1\n", 11, BN_OK, "", "name of any bytes");

	expect_extra("bitnet-b1.58.rope.scaling.type", BN_GGUF_STRING, "\6\0\0\0\0\0\0\0linear", 14,
				 BN_ERR_UNSUPPORTED, "linear");
	expect_extra("bitnet-b1.58.rope.scaling.type", BN_GGUF_STRING, "\4\0\0\0\0\0\0\0none", 12, BN_OK, "");
	expect_extra("bitnet-b1.58.rope.scaling.factor", BN_GGUF_F32, "\0\0\0\100", 4,
				 BN_ERR_UNSUPPORTED, "rope.scaling.factor");
	expect_extra("bitnet-b1.58.rope.scaling.factor", BN_GGUF_F32, "\0\0\200\77", 4, BN_OK, "");
	expect_extra("bitnet-b1.58.attention.key_length", BN_GGUF_U32, "\40\0\0\0", 4, BN_OK, "");
	expect_extra("bitnet-b1.58.attention.key_length", BN_GGUF_U32, "\100\0\0\0", 4,
				 BN_ERR_UNSUPPORTED, "64");
	expect_extra("bitnet-b1.58.attention.value_length", BN_GGUF_U32, "\100\0\0\0", 4,
				 BN_ERR_UNSUPPORTED, "64");
	expect_extra("bitnet-b1.58.attention.sliding_window", BN_GGUF_U32, "\100\0\0\0", 4,
				 BN_ERR_UNSUPPORTED, "sliding_window");
	expect_extra("bitnet-b1.58.attention.causal", BN_GGUF_BOOL, "", 1, BN_ERR_UNSUPPORTED, "causal");
	expect_extra("bitnet-b1.58.pooling_type", BN_GGUF_U32, "\4\0\0\0", 4, BN_ERR_UNSUPPORTED, "pooling_type");
	expect_extra("tokenizer.ggml.eot_token_id", BN_GGUF_U32, "\10\1\0\0", 4, BN_ERR_FORMAT, "eot_token_id");
}

static void
test_tensors(void)
{
	static const char *const required[] = {
		"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.1.attn_q.weight",
		"blk.0.attn_sub_norm.weight", "blk.1.ffn_sub_norm.weight", "blk.1.ffn_down.weight"
	};
	static const char *const extra[] = {
		"blk.0.attn_q.bias", "blk.0.attn_q.scale", "blk.0.attn_q.weight_scale", "rope_freqs.weight",
		"output.bias", "blk.0.attn_q_norm.weight", "blk.1.post_attention_norm.weight",
		"blk.0.attn_q_norm_in.weight"
	};
	gw_spec		spec;
	int			i;

	for (i = 0; i < 7; i++)
	{
		char		detail[96];

		spec = gw_small_spec();
		spec.override.omit_tensor = required[i];
		snprintf(detail, sizeof(detail), "\"%s\" is missing", required[i]);
		expect(&spec, BN_ERR_FORMAT, detail, detail);
	}
	for (i = 0; i < 8; i++)
	{
		spec = gw_small_spec();
		spec.override.extra_tensor = extra[i];
		expect(&spec, BN_ERR_UNSUPPORTED, extra[i], extra[i]);
	}
	spec = gw_small_spec();
	spec.override.extra_tensor = "something.weight";
	expect(&spec, BN_OK, "", "an unknown tensor is left alone");
	spec.override.extra_tensor = "blk.00.attn_q.weight";
	expect(&spec, BN_OK, "", "a name that only looks like a layer's is left alone");

	spec = gw_small_spec();
	spec.override.tensor = "blk.0.ffn_up.weight";
	spec.override.n_dims = 2;
	spec.override.dims[0] = 256;
	spec.override.dims[1] = 128;
	expect(&spec, BN_ERR_FORMAT, "\"blk.0.ffn_up.weight\" has the shape [256, 128], expected [128, 256]",
		   "a transposed tensor");
	spec.override.n_dims = 4;
	memcpy(spec.override.dims, (uint64_t[5]) {128, 256, 1, 1, 0}, sizeof(spec.override.dims));
	expect(&spec, BN_OK, "", "dimensions of 1 at the end");
	spec.override.n_dims = 3;
	memcpy(spec.override.dims, (uint64_t[5]) {128, 128, 2, 0, 0}, sizeof(spec.override.dims));
	expect(&spec, BN_ERR_FORMAT, "[128, 128, 2]", "a third dimension");

	spec = gw_small_spec();
	spec.linear_type = BN_GGML_Q8_0;
	expect(&spec, BN_ERR_UNSUPPORTED, "attn_q.weight", "Q8_0 weights");
	spec = gw_small_spec();
	spec.norm_type = BN_GGML_Q8_0;
	expect(&spec, BN_ERR_UNSUPPORTED, "output_norm.weight", "Q8_0 norms");
	spec = gw_small_spec();
	spec.embd_type = BN_GGML_I2_S;
	expect(&spec, BN_ERR_UNSUPPORTED, "token_embd.weight", "I2_S embedding");
}

static void
expect_poke(gw_spec spec, const char *tensor, size_t at, bool from_end, const void *bytes,
			size_t n, bn_status expected, const char *what)
{
	spec.override.tensor = tensor;
	spec.override.poke_at = at;
	spec.override.poke_from_end = from_end;
	spec.override.poke = bytes;
	spec.override.poke_bytes = n;
	expect(&spec, expected, tensor, what);
}

static void
test_values(void)
{
	static const float bad[] = {NAN, INFINITY, -INFINITY};
	static const char q[] = "blk.1.attn_q.weight";
	gw_spec		spec = gw_small_spec();
	gw_spec		odd = gw_small_spec();
	float		zero = 0;
	float		negative = -1;
	float		other = 0.25f;
	uint8_t		zeros[4096];
	int			i;

	odd.d_model = 48;
	odd.n_heads = 6;
	odd.n_kv_heads = 1;
	odd.head_dim = 8;
	odd.d_ffn = 40;
	for (i = 0; i < 4; i++)
	{
		static const uint8_t codes[] = {0xc0, 0x30, 0x0c, 0x03};

		expect_poke(spec, q, 1000 + i, false, &codes[i], 1, BN_ERR_FORMAT, "code 3");
		expect_poke(odd, q, 576 - 1 - i, false, &codes[i], 1, BN_ERR_FORMAT, "code 3 at the end of rows that straddle blocks");
	}
	for (i = 0; i < 3; i++)
	{
		static const uint16_t halves[] = {0x7e00, 0x7c00, 0xfc00};
		static const uint16_t bfloats[] = {0x7fc0, 0x7f80, 0xff80};
		gw_spec		typed = spec;

		expect_poke(spec, q, 32, true, &bad[i], 4, BN_ERR_FORMAT, "scale not finite");
		expect_poke(spec, "blk.0.ffn_norm.weight", 4 * 127, false, &bad[i], 4, BN_ERR_FORMAT, "norm not finite");
		expect_poke(spec, "output_norm.weight", 0, false, &bad[i], 4, BN_ERR_FORMAT, "last norm not finite");
		expect_poke(spec, "token_embd.weight", 2, true, &halves[i], 2, BN_ERR_FORMAT, "F16 embedding not finite");
		expect_poke(spec, "token_embd.weight", 1234, false, &halves[i], 2, BN_ERR_FORMAT, "F16 embedding not finite");
		typed.embd_type = BN_GGML_BF16;
		typed.norm_type = BN_GGML_F16;
		expect_poke(typed, "token_embd.weight", 4, true, &bfloats[i], 2, BN_ERR_FORMAT, "BF16 embedding not finite");
		expect_poke(typed, "blk.0.ffn_norm.weight", 6, false, &halves[i], 2, BN_ERR_FORMAT, "F16 norm not finite");
		typed.embd_type = BN_GGML_F32;
		typed.norm_type = BN_GGML_BF16;
		expect_poke(typed, "token_embd.weight", 8, true, &bad[i], 4, BN_ERR_FORMAT, "F32 embedding not finite");
		expect_poke(typed, "blk.0.ffn_norm.weight", 6, false, &bfloats[i], 2, BN_ERR_FORMAT, "BF16 norm not finite");
		typed.embd_type = BN_GGML_Q8_0;
		expect_poke(typed, "token_embd.weight", 34, true, &halves[i], 2, BN_ERR_FORMAT, "Q8_0 scale not finite");
		typed.embd_type = BN_GGML_Q4_0;
		expect_poke(typed, "token_embd.weight", 18, true, &halves[i], 2, BN_ERR_FORMAT, "Q4_0 scale not finite");
		typed.linear_type = BN_GGML_F32;
		expect_poke(typed, q, 400, false, &bad[i], 4, BN_ERR_FORMAT, "F32 weight not finite");
		typed.embd_type = BN_GGML_Q6_K;
		typed.d_model = 256;
		typed.n_heads = 8;
		expect_poke(typed, "token_embd.weight", 2, true, &halves[i], 2, BN_ERR_FORMAT, "Q6_K scale not finite");
	}
	expect_poke(spec, q, 32, true, &zero, 4, BN_ERR_FORMAT, "scale of zero");
	expect_poke(spec, q, 32, true, &negative, 4, BN_ERR_FORMAT, "negative scale");

	memset(zeros, 0x55, sizeof(zeros));
	expect_poke(spec, q, 0, false, zeros, sizeof(zeros), BN_OK, "all zero");
	spec.linear_type = BN_GGML_F32;
	expect_poke(spec, q, 4 * 5000, false, &other, 4, BN_ERR_UNSUPPORTED, "F32 weights of two sizes");
	spec.linear_type = BN_GGML_F16;
	expect_poke(spec, q, 2 * 16383, false, "\1\1", 2, BN_ERR_UNSUPPORTED, "F16 weights of two sizes");
}

/* A float tensor of zeros has no scale of its own. */
static void
test_zero_floats(void)
{
	gw_spec		spec = gw_small_spec();
	uint8_t    *zeros = calloc(1, 65536);
	loaded		l;
	bn_model	m;

	spec.linear_type = BN_GGML_F32;
	spec.override.tensor = "blk.0.attn_q.weight";
	spec.override.poke = zeros;
	spec.override.poke_bytes = 65536;
	load(&l, &spec);
	ok(l.status == BN_OK && bn_model_bind(&m, l.image, l.size, NULL) == BN_OK &&
	   bn_layer_tensor(&m, 0, BN_ATTN_Q)->scale == 1, "F32 weights that are all zero");
	unload(&l);
	free(zeros);
}

typedef struct watch
{
	int			stop_at;
	int			n_asked;
	uint64_t	done;
	uint64_t	total;
	bool		backwards;
} watch;

static bool
watch_stop(void *ctx)
{
	watch	   *w = ctx;

	return ++w->n_asked == w->stop_at;
}

static void
watch_progress(void *ctx, uint64_t done, uint64_t total)
{
	watch	   *w = ctx;

	w->backwards = w->backwards || done < w->done || done > total;
	w->done = done;
	w->total = total;
}

static void
test_failures(void)
{
	gw_spec		spec = gw_small_spec();
	watch		w = {0};
	bn_hooks	hooks = {watch_stop, watch_progress, &w};
	uint64_t	bytes = 0;
	loaded		l;
	int			n_reads;
	int			n_asked;
	int			right;
	int			n;
	uint32_t	i;

	load(&l, &spec);
	l.memory.n_reads = 0;
	ok(build(&l, &hooks) == BN_OK, "build again");
	n_reads = l.memory.n_reads;
	n_asked = w.n_asked;
	for (i = 0; i < l.g.n_tensors; i++)
		bytes += l.g.tensors[i].bytes;
	ok(w.done == bytes && w.total == bytes && !w.backwards, "progress ends at the data's size");
	for (n = 1, right = 0; n <= n_reads; n++)
	{
		l.memory.n_reads = 0;
		l.memory.fail_at = n;
		right += build(&l, NULL) == BN_ERR_IO && l.err.sys_errno == 5 &&
			bn_image_check(l.image, l.size, NULL) != BN_OK;
	}
	ok(n_reads > 24 && right == n_reads, "each of %d reads fails", n_reads);
	l.memory.fail_at = 0;
	for (n = 1, right = 0; n <= n_asked; n++)
	{
		w.n_asked = 0;
		w.stop_at = n;
		right += build(&l, &hooks) == BN_ERR_CANCELED;
	}
	ok(n_asked >= 24 && right == n_asked, "canceled at each of %d questions", n_asked);
	ok(bn_image_build(&l.g, options, l.image, l.size - 64, l.scratch, NULL, &l.err) == BN_ERR_NOSPACE,
	   "memory of another size");
	ok(bn_image_build(&l.g, options, l.image + 8, l.size, l.scratch, NULL, &l.err) == BN_ERR_INVALID,
	   "memory that is not aligned");
	unload(&l);
}

static void
test_checksum(void)
{
	uint8_t		bytes[1000];
	uint64_t	whole;
	bn_checksum c;
	int			right = 0;
	int			different = 0;
	int			i;
	int			n;

	for (i = 0; i < 1000; i++)
		bytes[i] = (uint8_t) gw_mix(i);
	bn_checksum_init(&c);
	bn_checksum_update(&c, bytes, 1000);
	whole = bn_checksum_finish(&c);
	for (n = 1; n <= 100; n++)
	{
		bn_checksum_init(&c);
		for (i = 0; i < 1000; i += n)
			bn_checksum_update(&c, bytes + i, i + n > 1000 ? 1000 - i : n);
		right += bn_checksum_finish(&c) == whole;
	}
	ok(right == 100, "checksum does not depend on the cuts");
	for (i = 0; i < 8000; i++)
	{
		bytes[i / 8] ^= 1 << i % 8;
		bn_checksum_init(&c);
		bn_checksum_update(&c, bytes, 1000);
		different += bn_checksum_finish(&c) != whole;
		bytes[i / 8] ^= 1 << i % 8;
	}
	bn_checksum_init(&c);
	bn_checksum_update(&c, bytes, 999);
	ok(different == 8000 && bn_checksum_finish(&c) != whole, "checksum notices every bit");
}

/* A source's checksum tells files apart, wherever they differ. */
static void
test_source_checksum(void)
{
	static const char *const tensors[] = {
		"token_embd.weight", "blk.1.ffn_norm.weight", "blk.0.attn_q.weight", "output_norm.weight"
	};
	gw_spec		spec = gw_small_spec();
	uint64_t	first;
	loaded		l;
	int			i;
	int			different = 0;

	load(&l, &spec);
	first = ((bn_image_header *) l.image)->source_checksum;
	unload(&l);
	for (i = 0; i < 4; i++)
	{
		spec.override.tensor = tensors[i];
		spec.override.poke_at = 9;
		spec.override.poke = "\x15";
		spec.override.poke_bytes = 1;
		load(&l, &spec);
		different += l.status == BN_OK && ((bn_image_header *) l.image)->source_checksum != first;
		unload(&l);
	}
	spec.override.tensor = NULL;
	spec.override.swap_tensors = true;
	load(&l, &spec);
	ok(different == 4 && l.status == BN_OK && layers_right(&l) &&
	   ((bn_image_header *) l.image)->source_checksum == first,
	   "checksum of the source: of its data, not of the order of its header");
	unload(&l);
}

/* Fields of a good image, each spoilt in turn */
static void
test_check(void)
{
	gw_spec		spec = gw_small_spec();
	bn_image_header *h;
	bn_tensor  *layers;
	uint8_t    *good;
	loaded		l;
	bn_model	m;

	load(&l, &spec);
	h = (bn_image_header *) l.image;
	layers = (bn_tensor *) (l.image + h->layers_offset);
	good = malloc(l.size);
	memcpy(good, l.image, l.size);

#define SPOIL(what, statement) \
	do { \
		statement; \
		ok(bn_image_check(l.image, l.size, &l.err) != BN_OK && l.err.detail[0] != '\0' && \
		   bn_model_bind(&m, l.image, l.size, NULL) != BN_OK, "spoilt image: %s", what); \
		memcpy(l.image, good, l.size); \
	} while (0)

	SPOIL("magic", h->magic[0] ^= 1);
	SPOIL("abi", h->abi++);
	SPOIL("size", h->size -= 64);
	SPOIL("architecture", memset(h->architecture, 'x', 64));
	SPOIL("name", memset(h->name, 'x', 64));
	SPOIL("layers", h->config.n_layers = 0);
	SPOIL("many layers", h->config.n_layers = 512);
	SPOIL("d_model", h->config.d_model = 64);
	SPOIL("negative d_model", h->config.d_model = -128);
	SPOIL("d_ffn", h->config.d_ffn = 1 << 30);
	SPOIL("heads", h->config.n_heads = 0);
	SPOIL("kv heads", h->config.n_kv_heads = 0);
	SPOIL("kv heads that do not divide", h->config.n_kv_heads = 3);
	SPOIL("head_dim", h->config.head_dim = 31);
	SPOIL("vocab_size", h->config.vocab_size++);
	SPOIL("context_length", h->config.context_length = -1);
	SPOIL("rms_eps", h->config.rms_eps = NAN);
	SPOIL("rope_theta", h->config.rope_theta = -1);
	SPOIL("rope_theta below 1", h->config.rope_theta = 0.5);
	SPOIL("pooling", h->config.pooling = 4);
	SPOIL("tied_head", h->config.tied_head = 2);
	SPOIL("tied head elsewhere", h->output.offset += 64);
	SPOIL("embedding offset", h->token_embd.offset = h->size);
	SPOIL("embedding offset near 2^64", h->output.offset = h->token_embd.offset = UINT64_MAX - 63);
	SPOIL("embedding type", h->output.type = h->token_embd.type = 99);
	SPOIL("embedding rows", h->token_embd.rows++);
	SPOIL("embedding that is ternary", h->output.type = h->token_embd.type = BN_TENSOR_TERNARY5);
	SPOIL("norm type", h->output_norm.type = BN_TENSOR_F16);
	SPOIL("norm in the header", h->output_norm.offset = 0);
	SPOIL("layers offset", h->layers_offset = h->size - 64);
	SPOIL("layers offset near 2^64", h->layers_offset = UINT64_MAX - 63);
	SPOIL("layers not aligned", h->layers_offset += 8);
	SPOIL("vocab offset", h->vocab_offset = h->size);
	SPOIL("vocab bytes", h->vocab_bytes = UINT64_MAX);
	SPOIL("layer tensor type", layers[BN_ATTN_Q].type = BN_TENSOR_NONE);
	SPOIL("layer tensor offset", layers[21].offset = h->size - 64);
	SPOIL("layer tensor not aligned", layers[12].offset += 4);
	SPOIL("layer tensor bytes", layers[BN_FFN_UP].bytes += 64);
	SPOIL("layer tensor shape", layers[BN_FFN_UP].cols = 64);
	SPOIL("layer tensor scale", layers[BN_FFN_UP].scale = INFINITY);
#undef SPOIL

	ok(bn_image_check(l.image, l.size, NULL) == BN_OK, "the image itself is good");
	ok(bn_image_check(l.image, l.size - 64, NULL) != BN_OK &&
	   bn_image_check(l.image, 16, NULL) != BN_OK &&
	   bn_image_check(l.image, 0, NULL) != BN_OK, "memory of another size");
	ok(bn_image_check(l.image + 8, l.size - 8, NULL) == BN_ERR_INVALID, "memory that is not aligned");
	free(good);
	unload(&l);
}

/* Prefixes of the file, with a header that is whole or not */
static void
test_truncation(void)
{
	gw_spec		spec = gw_small_spec();
	size_t		size;
	uint8_t    *data = gw_model(&spec, &size);
	size_t		n;
	int			wrong = 0;

	for (n = 7; n < size; n += 2503)
	{
		uint8_t    *part = malloc(n);
		loaded		l;

		memcpy(part, data, n);
		load_bytes(&l, part, n);
		wrong += l.status != BN_ERR_TRUNCATED;
		unload(&l);
	}
	ok(wrong == 0, "files that are cut");
	free(data);
}

/* Models of other programs' making, where they are at hand */
static void
test_reference_files(void)
{
	static const struct
	{
		const char *name;
		int			d,
					ffn,
					layers,
					heads,
					vocab;
	}			cases[] = {
		{"ref-a.gguf", 256, 512, 2, 4, 4352}, {"ref-b.gguf", 512, 1536, 3, 8, 2304}
	};
	const char *shared = getenv("BITNET_SHARED");
	int			i;

	for (i = 0; i < 2; i++)
	{
		char		path[1024];
		FILE	   *file;
		uint8_t    *data;
		loaded		l;
		long		size;

		snprintf(path, sizeof(path), "%s/vectors/models/%s", shared ? shared : "../shared", cases[i].name);
		file = fopen(path, "rb");
		if (!file)
		{
			skip("%s is not here", cases[i].name);
			continue;
		}
		fseek(file, 0, SEEK_END);
		size = ftell(file);
		rewind(file);
		data = malloc((size_t) size);
		ok(fread(data, 1, (size_t) size, file) == (size_t) size, "read %s", cases[i].name);
		fclose(file);
		if (ok(load_bytes(&l, data, (size_t) size) == BN_OK, "build %s", cases[i].name))
		{
			const bn_config *c = &((bn_image_header *) l.image)->config;

			ok(c->d_model == cases[i].d && c->d_ffn == cases[i].ffn && c->n_layers == cases[i].layers &&
			   c->n_heads == cases[i].heads && c->vocab_size == cases[i].vocab, "shape of %s", cases[i].name);
		}
		else
			printf("# %s\n", l.err.detail);
		unload(&l);
	}
}

int
main(void)
{
	test_round_trip();
	options.five = true;
	test_round_trip();
	options.five = false;
	test_config();
	test_halves();
	test_embeddings();
	test_keys();
	test_tensors();
	test_values();
	test_zero_floats();
	test_failures();
	test_checksum();
	test_source_checksum();
	test_check();
	test_truncation();
	test_reference_files();
	return done_testing();
}
