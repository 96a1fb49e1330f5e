/*-------------------------------------------------------------------------
 *
 * image_plan.c
 *	  From a model file's header to the plan of its image.
 *
 * Keys and names of tensors: formats of the bitnet-b1.58 architecture as
 * published with BitNet b1.58 2B4T (its first upload calls it bitnet-25).
 *
 * src/core/image_plan.c
 *
 *-------------------------------------------------------------------------
 */
#include "image_plan.h"

#include <string.h>

#include "bytes.h"
#include "tokenizer.h"
#include "../../kernels/kernels.h"

#define BIG_IMAGE_BYTES (16u * 1024 * 1024)
#define BIG_HEAD (16 * 1024 * 1024)	/* values */
#define KEY_BYTES 128
#define SHAPE_BYTES 96

/* Parts of the image that hold tensors, in this order */
typedef enum section
{
	SECTION_NORMS, SECTION_TERNARY, SECTION_DENSE, N_SECTIONS
} section;

/* In the order of bn_layer_role */
static const char *const role_suffixes[BN_LAYER_ROLES] = {
	"attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight",
	"attn_sub_norm.weight", "attn_output.weight", "ffn_norm.weight",
	"ffn_gate.weight", "ffn_up.weight", "ffn_sub_norm.weight", "ffn_down.weight"
};

static const char *const architectures[] = {"bitnet-b1.58", "bitnet-25"};
#define N_ARCHITECTURES ((int) (sizeof(architectures) / sizeof(architectures[0])))

void
bn_layer_role_shape(const bn_config *config, bn_layer_role role, int32_t *rows, int32_t *cols)
{
	int32_t		d_attn = config->n_heads * config->head_dim;
	int32_t		d_kv = config->n_kv_heads * config->head_dim;

	*rows = 1;
	*cols = config->d_model;
	switch (role)
	{
		case BN_ATTN_NORM:
		case BN_FFN_NORM:
			break;
		case BN_ATTN_Q:
			*rows = d_attn;
			break;
		case BN_ATTN_K:
		case BN_ATTN_V:
			*rows = d_kv;
			break;
		case BN_ATTN_SUB_NORM:
			*cols = d_attn;
			break;
		case BN_ATTN_OUTPUT:
			*rows = config->d_model;
			*cols = d_attn;
			break;
		case BN_FFN_GATE:
		case BN_FFN_UP:
			*rows = config->d_ffn;
			break;
		case BN_FFN_SUB_NORM:
			*cols = config->d_ffn;
			break;
		case BN_FFN_DOWN:
			*rows = config->d_model;
			*cols = config->d_ffn;
			break;
		case BN_LAYER_ROLES:
			break;
	}
}

int64_t
bn_ternary_weights(const bn_config *config)
{
	int64_t		n = 0;
	int			role;

	for (role = 0; role < BN_LAYER_ROLES; role++)
	{
		int32_t		rows;
		int32_t		cols;

		bn_layer_role_shape(config, (bn_layer_role) role, &rows, &cols);
		if (!bn_layer_role_is_norm((bn_layer_role) role))
			n += (int64_t) rows * cols;
	}
	return n * config->n_layers;
}

uint64_t
bn_tensor_image_bytes(int32_t type, int32_t rows, int32_t cols)
{
	if (type == BN_TENSOR_TERNARY)
		return bn_ternary_bytes((size_t) rows, (size_t) cols);
	if (type == BN_TENSOR_TERNARY5)
		return bn_ternary5_bytes((size_t) rows, (size_t) cols);
	return (uint64_t) rows * bn_tensor_row_bytes(type, cols);
}

bool
bn_find_layer_role(const char *name, int32_t *layer, bn_layer_role *role)
{
	const char *p;
	int			i;

	if (strncmp(name, "blk.", 4) != 0)
		return false;
	p = name + 4;
	if (*p == '0' && p[1] != '.')
		return false;
	*layer = 0;
	for (; *p >= '0' && *p <= '9'; p++)
	{
		if (*layer > 99999)
			return false;
		*layer = *layer * 10 + (*p - '0');
	}
	if (p == name + 4 || *p != '.')
		return false;
	for (i = 0; i < BN_LAYER_ROLES; i++)
	{
		if (strcmp(p + 1, role_suffixes[i]) == 0)
		{
			*role = (bn_layer_role) i;
			return true;
		}
	}
	return false;
}

static void
make_key(char *key, const bn_image_header *h, const char *suffix)
{
	bn_format(key, KEY_BYTES, "%s.%s", h->architecture, suffix);
}

/*
 * A dimension of the model, from 1 to max.  If the key may be missing, found
 * says whether it is there.
 */
static bn_status
get_dimension(const bn_gguf *g, const bn_image_header *h, const char *suffix,
			  int32_t max, int32_t *value, bool *found, bn_error *err)
{
	char		key[KEY_BYTES];
	int64_t		n = 0;

	make_key(key, h, suffix);
	BN_TRY(bn_gguf_get_int(g, key, 1, INT64_MAX, &n, found, err));
	if (found && !*found)
		return BN_OK;
	if (n > max)
		return bn_fail(err, BN_ERR_LIMIT, bn_gguf_find(g, key)->offset,
					   "\"%s\" is %ld, more than the limit of %d", key, n, (int) max);
	*value = (int32_t) n;
	return BN_OK;
}

static bn_status
read_architecture(const bn_gguf *g, bn_image_header *h, bn_error *err)
{
	const bn_gguf_value *v = bn_gguf_find(g, "general.architecture");
	char	   *p;
	int			i;

	BN_TRY(bn_gguf_get_string(g, "general.architecture", h->architecture,
							  sizeof(h->architecture), NULL, err));
	for (i = 0; i < N_ARCHITECTURES; i++)
	{
		if (strcmp(h->architecture, architectures[i]) == 0 &&
			v->count == strlen(architectures[i]))
			break;
	}
	if (i == N_ARCHITECTURES)
	{
		bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
				"the model has the architecture \"%s\", which is not supported",
				h->architecture);
		return bn_hint(err, BN_ERR_UNSUPPORTED,
					   "Supported architectures are bitnet-b1.58 and bitnet-25, "
					   "as in the I2_S file of BitNet b1.58 2B4T.");
	}

	/* the name is only shown; it may be any bytes, and the cut may split a character */
	if (bn_gguf_find(g, "general.name"))
		BN_TRY(bn_gguf_get_string(g, "general.name", h->name, sizeof(h->name), NULL, err));
	for (p = h->name; *p; p++)
	{
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
	return BN_OK;
}

static bn_status
read_head_dim(const bn_gguf *g, bn_image_header *h, bn_error *err)
{
	bn_config  *c = &h->config;
	int32_t		key_length = 0;
	int32_t		value_length = 0;
	int32_t		rope_dim = 0;
	bool		has_key;
	bool		has_value;
	bool		has_rope;

	BN_TRY(get_dimension(g, h, "attention.key_length", BN_MAX_HEAD_DIM, &key_length, &has_key, err));
	BN_TRY(get_dimension(g, h, "attention.value_length", BN_MAX_HEAD_DIM, &value_length, &has_value, err));
	BN_TRY(get_dimension(g, h, "rope.dimension_count", BN_MAX_HEAD_DIM, &rope_dim, &has_rope, err));
	if (has_key)
		c->head_dim = key_length;
	else if (has_rope)
		c->head_dim = rope_dim;
	else
	{
		if (c->d_model % c->n_heads != 0)
			return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
						   "the embedding length %d is not a multiple of the head count %d",
						   (int) c->d_model, (int) c->n_heads);
		c->head_dim = c->d_model / c->n_heads;
	}
	if (has_value && value_length != c->head_dim)
		return bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
					   "heads with keys of %d and values of %d dimensions are not supported",
					   (int) c->head_dim, (int) value_length);
	if (has_rope && rope_dim != c->head_dim)
		return bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
					   "rotary embedding of %d of a head's %d dimensions is not supported",
					   (int) rope_dim, (int) c->head_dim);
	if (c->head_dim % 2 != 0)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "heads of %d dimensions: an even number is needed", (int) c->head_dim);
	if (c->head_dim > BN_MAX_HEAD_DIM)
		return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
					   "heads of %d dimensions, more than the limit of %d",
					   (int) c->head_dim, BN_MAX_HEAD_DIM);
	if (c->n_heads * c->head_dim > BN_MAX_DIM)
		return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
					   "%d heads of %d dimensions, more than the limit of %d in all",
					   (int) c->n_heads, (int) c->head_dim, BN_MAX_DIM);
	return BN_OK;
}

/* Refuses variants of rotary embedding and attention that we would compute wrongly. */
static bn_status
refuse_variants(const bn_gguf *g, const bn_image_header *h, bn_error *err)
{
	static const char *const factors[] = {"rope.scaling.factor", "rope.scale_linear"};
	char		key[KEY_BYTES];
	char		scaling[32];
	bool		found;
	bool		causal = true;
	int64_t		window = 0;
	int			i;

	make_key(key, h, "rope.scaling.type");
	BN_TRY(bn_gguf_get_string(g, key, scaling, sizeof(scaling), &found, err));
	if (found && strcmp(scaling, "none") != 0)
		return bn_fail(err, BN_ERR_UNSUPPORTED, bn_gguf_find(g, key)->offset,
					   "\"%s\" is \"%s\", which is not supported", key, scaling);
	for (i = 0; i < 2 && !found; i++)
	{
		double		factor = 1;
		bool		has_factor;

		make_key(key, h, factors[i]);
		BN_TRY(bn_gguf_get_float(g, key, &factor, &has_factor, err));
		if (has_factor && factor != 1 && factor != 0)
			return bn_fail(err, BN_ERR_UNSUPPORTED, bn_gguf_find(g, key)->offset,
						   "\"%s\" is not 1, which is not supported", key);
	}

	make_key(key, h, "attention.sliding_window");
	BN_TRY(bn_gguf_get_int(g, key, 0, INT64_MAX, &window, &found, err));
	if (window != 0)
		return bn_fail(err, BN_ERR_UNSUPPORTED, bn_gguf_find(g, key)->offset,
					   "\"%s\" is %ld, which is not supported", key, window);
	make_key(key, h, "attention.causal");
	BN_TRY(bn_gguf_get_bool(g, key, &causal, &found, err));
	if (!causal)
		return bn_fail(err, BN_ERR_UNSUPPORTED, bn_gguf_find(g, key)->offset,
					   "\"%s\" is false, which is not supported", key);
	return BN_OK;
}

static bn_status
read_numbers(const bn_gguf *g, bn_image_header *h, bn_error *err)
{
	bn_config  *c = &h->config;
	char		key[KEY_BYTES];
	double		eps;
	int64_t		pooling = 0;
	bool		found;

	make_key(key, h, "attention.layer_norm_rms_epsilon");
	BN_TRY(bn_gguf_get_float(g, key, &eps, NULL, err));
	if (!(eps > 0 && eps < 1) || (float) eps <= 0)
		return bn_fail(err, BN_ERR_FORMAT, bn_gguf_find(g, key)->offset,
					   "\"%s\" is not a number between 0 and 1", key);
	c->rms_eps = (float) eps;

	make_key(key, h, "rope.freq_base");
	BN_TRY(bn_gguf_get_float(g, key, &c->rope_theta, NULL, err));

	/* with a base below 1, angles outgrow what bn_sincos is made for */
	if (!(c->rope_theta >= 1 && c->rope_theta <= 1e30))
		return bn_fail(err, BN_ERR_FORMAT, bn_gguf_find(g, key)->offset,
					   "\"%s\" is not a number from 1 to 1e30", key);

	make_key(key, h, "pooling_type");
	BN_TRY(bn_gguf_get_int(g, key, INT64_MIN, INT64_MAX, &pooling, &found, err));
	if (pooling < 0 || pooling > 3)
		return bn_fail(err, BN_ERR_UNSUPPORTED, bn_gguf_find(g, key)->offset,
					   "\"%s\" is %ld, which is not supported", key, pooling);
	c->pooling = (int32_t) pooling; /* none, mean, first, last in both */
	return BN_OK;
}

/* The vocabulary's size is what the embedding has rows. */
static bn_status
read_vocab_size(const bn_gguf *g, bn_image_header *h, bn_error *err)
{
	const bn_gguf_tensor *t = bn_gguf_find_tensor(g, "token_embd.weight");
	int32_t		announced;
	bool		found;

	if (!t)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the tensor \"token_embd.weight\" is missing");
	if (t->dims[1] > BN_MAX_VOCAB)
		return bn_fail(err, BN_ERR_LIMIT, BN_NO_OFFSET,
					   "the tensor \"token_embd.weight\" has %lu rows, more than the limit of %d",
					   t->dims[1], BN_MAX_VOCAB);
	h->config.vocab_size = (int32_t) t->dims[1];
	BN_TRY(get_dimension(g, h, "vocab_size", BN_MAX_VOCAB, &announced, &found, err));
	if (found && announced != h->config.vocab_size)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the tensor \"token_embd.weight\" has %d rows, but \"%s.vocab_size\" is %d",
					   (int) h->config.vocab_size, h->architecture, (int) announced);
	return BN_OK;
}

bn_status
bn_plan_config(const bn_gguf *g, bn_image_header *h, bn_error *err)
{
	bn_config  *c = &h->config;
	bool		found;

	BN_TRY(read_architecture(g, h, err));
	BN_TRY(get_dimension(g, h, "block_count", BN_MAX_LAYERS, &c->n_layers, NULL, err));
	BN_TRY(get_dimension(g, h, "context_length", BN_MAX_CONTEXT, &c->context_length, NULL, err));
	BN_TRY(get_dimension(g, h, "embedding_length", BN_MAX_DIM, &c->d_model, NULL, err));
	BN_TRY(get_dimension(g, h, "feed_forward_length", BN_MAX_DIM, &c->d_ffn, NULL, err));
	BN_TRY(get_dimension(g, h, "attention.head_count", BN_MAX_HEADS, &c->n_heads, NULL, err));
	BN_TRY(get_dimension(g, h, "attention.head_count_kv", BN_MAX_HEADS, &c->n_kv_heads, &found, err));
	if (!found)
		c->n_kv_heads = c->n_heads;
	if (c->n_heads % c->n_kv_heads != 0)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the head count %d is not a multiple of the key-value head count %d",
					   (int) c->n_heads, (int) c->n_kv_heads);
	BN_TRY(read_head_dim(g, h, err));
	BN_TRY(refuse_variants(g, h, err));
	BN_TRY(read_numbers(g, h, err));
	return read_vocab_size(g, h, err);
}

static void
format_shape(char *buf, const uint64_t *dims, uint32_t n_dims)
{
	size_t		n = bn_format(buf, SHAPE_BYTES, "[%lu", dims[0]);
	uint32_t	i;

	for (i = 1; i < n_dims; i++)
		n += bn_format(buf + n, SHAPE_BYTES - n, ", %lu", dims[i]);
	bn_format(buf + n, SHAPE_BYTES - n, "]");
}

/* The file's tensor of that name, which must be there and have this shape. */
static bn_status
find_shaped(const bn_gguf *g, const char *name, int32_t rows, int32_t cols, bool is_norm,
			const bn_gguf_tensor **tensor, bn_error *err)
{
	uint64_t	expected[2] = {(uint64_t) cols, (uint64_t) rows};
	const bn_gguf_tensor *t = bn_gguf_find_tensor(g, name);

	if (!t)
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET, "the tensor \"%s\" is missing", name);
	if (t->dims[0] != expected[0] || t->dims[1] != expected[1] ||
		t->dims[2] != 1 || t->dims[3] != 1)
	{
		char		found_shape[SHAPE_BYTES];
		char		expected_shape[SHAPE_BYTES];

		format_shape(found_shape, t->dims, t->n_dims);
		format_shape(expected_shape, expected, is_norm ? 1 : 2);
		return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
					   "the tensor \"%s\" has the shape %s, expected %s",
					   name, found_shape, expected_shape);
	}
	*tensor = t;
	return BN_OK;
}

/* Fills *tensor and takes its room in a section; the offset is relative to that. */
static void
place(bn_tensor *tensor, int32_t type, int32_t rows, int32_t cols, uint64_t *end)
{
	tensor->offset = *end;
	tensor->bytes = bn_tensor_image_bytes(type, rows, cols);
	tensor->type = type;
	tensor->rows = rows;
	tensor->cols = cols;
	tensor->scale = 1;
	*end += bn_align_up(tensor->bytes, BN_IMAGE_ALIGN);
}

static bn_status
plan_norm(const bn_gguf *g, const char *name, int32_t cols, bn_tensor *tensor,
		  uint64_t *end, bn_error *err)
{
	const bn_gguf_tensor *t;

	BN_TRY(find_shaped(g, name, 1, cols, true, &t, err));
	if (t->type != BN_GGML_F32 && t->type != BN_GGML_F16 && t->type != BN_GGML_BF16)
		return bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
					   "the norm \"%s\" is not of type F32, F16 or BF16", name);
	place(tensor, BN_TENSOR_F32, 1, cols, end);
	return BN_OK;
}

static bn_status
plan_linear(const bn_gguf *g, const char *name, int32_t rows, int32_t cols, bool five,
			bn_tensor *tensor, uint64_t *end, bn_error *err)
{
	const bn_gguf_tensor *t;

	BN_TRY(find_shaped(g, name, rows, cols, false, &t, err));
	if (t->type != BN_GGML_I2_S && t->type != BN_GGML_F32 &&
		t->type != BN_GGML_F16 && t->type != BN_GGML_BF16)
	{
		bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
				"the weights \"%s\" are not ternary: type I2_S is needed", name);
		return bn_hint(err, BN_ERR_UNSUPPORTED, "Download the I2_S file of the model.");
	}
	place(tensor, five ? BN_TENSOR_TERNARY5 : BN_TENSOR_TERNARY, rows, cols, end);
	return BN_OK;
}

static bn_status
plan_dense(const bn_gguf *g, const char *name, const bn_config *c, bn_tensor *tensor,
		   uint64_t *end, bn_error *err)
{
	const bn_gguf_tensor *t;
	int32_t		type;

	BN_TRY(find_shaped(g, name, c->vocab_size, c->d_model, false, &t, err));
	switch (t->type)
	{
		case BN_GGML_F32:
			type = BN_TENSOR_F32;
			break;
		case BN_GGML_F16:
			type = BN_TENSOR_F16;
			break;
		case BN_GGML_BF16:
			type = BN_TENSOR_BF16;
			break;
		case BN_GGML_Q8_0:
			type = BN_TENSOR_Q8_0;
			break;
		case BN_GGML_Q6_K:
			type = BN_TENSOR_Q6_K;
			break;
		case BN_GGML_Q4_0:
			type = BN_TENSOR_Q4_0;
			break;
		default:
			return bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
						   "the tensor \"%s\" has the type I2_S, which is not supported for it",
						   name);
	}
	place(tensor, type, c->vocab_size, c->d_model, end);
	return BN_OK;
}

static bool
ends_with(const char *s, const char *end)
{
	size_t		n = strlen(s);
	size_t		m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/*
 * Refuses tensors that belong to another forward pass than ours, for which
 * leaving them out would give wrong answers in silence.
 */
static bn_status
refuse_extra_tensors(const bn_gguf *g, int32_t n_layers, bn_error *err)
{
	uint32_t	i;

	for (i = 0; i < g->n_tensors; i++)
	{
		const char *name = g->tensors[i].name;
		int32_t		layer;
		bn_layer_role role;

		if (bn_find_layer_role(name, &layer, &role))
		{
			if (layer >= n_layers)
				return bn_fail(err, BN_ERR_FORMAT, BN_NO_OFFSET,
							   "the tensor \"%s\" is beyond the model's %d layers",
							   name, (int) n_layers);
			continue;
		}
		if (strcmp(name, "output_norm.weight") == 0)
			continue;
		if (ends_with(name, ".bias") || ends_with(name, ".scale") ||
			ends_with(name, "_scale") || ends_with(name, "rope_freqs.weight") ||
			ends_with(name, "position_embd.weight") ||
			strstr(name, "_norm.") || strstr(name, "_norm_in."))
			return bn_fail(err, BN_ERR_UNSUPPORTED, BN_NO_OFFSET,
						   "the tensor \"%s\" is part of a computation that is not supported",
						   name);
	}
	return BN_OK;
}

static bn_status
plan_layer(const bn_gguf *g, const bn_config *c, int32_t layer, bool five,
		   bn_tensor *tensors, uint64_t *end, bn_error *err)
{
	int			i;

	for (i = 0; i < BN_LAYER_ROLES; i++)
	{
		bn_layer_role role = (bn_layer_role) i;
		char		name[BN_GGUF_MAX_NAME_LENGTH + 1];
		int32_t		rows;
		int32_t		cols;

		bn_format(name, sizeof(name), "blk.%d.%s", (int) layer, role_suffixes[i]);
		bn_layer_role_shape(c, role, &rows, &cols);
		if (bn_layer_role_is_norm(role))
			BN_TRY(plan_norm(g, name, cols, &tensors[i], &end[SECTION_NORMS], err));
		else
			BN_TRY(plan_linear(g, name, rows, cols, five, &tensors[i], &end[SECTION_TERNARY],
							   err));
	}
	return BN_OK;
}

/*
 * A screen is for heads of 16 bits and more per value.  Where the head is small,
 * reading all of it costs nothing.
 */
static bool
wants_screen(const bn_image_header *h, bn_screen_choice choice)
{
	int64_t		n = (int64_t) h->output.rows * h->output.cols;

	if (h->output.type != BN_TENSOR_F32 && h->output.type != BN_TENSOR_F16 &&
		h->output.type != BN_TENSOR_BF16)
		return false;
	return choice == BN_SCREEN_ALWAYS || (choice == BN_SCREEN_AUTO && n >= BIG_HEAD);
}

static void
plan_screen(bn_image_header *h, uint64_t alignment)
{
	bn_tensor  *t = &h->screen;

	*t = h->output;
	t->type = BN_TENSOR_INT6;
	t->offset = bn_align_up(h->size, alignment);
	t->bytes = bn_int6_bytes((size_t) t->rows, (size_t) t->cols);
	h->screen_rows_offset = bn_align_up(t->offset + t->bytes, BN_IMAGE_ALIGN);
	h->size = h->screen_rows_offset + bn_align_up(bn_screen_rows_bytes(h), BN_IMAGE_ALIGN);
}

bn_status
bn_plan_tensors(const bn_gguf *g, bn_image_header *h, uint64_t vocab_bytes,
				bn_image_options options, bn_tensor *layers, bn_error *err)
{
	bn_config  *c = &h->config;
	uint64_t	end[N_SECTIONS] = {0, 0, 0};
	uint64_t	base[N_SECTIONS];
	uint64_t	alignment = BN_IMAGE_ALIGN;
	uint64_t	small;
	bn_tensor	scratch[BN_LAYER_ROLES];
	int32_t		i;

	BN_TRY(refuse_extra_tensors(g, c->n_layers, err));
	BN_TRY(plan_norm(g, "output_norm.weight", c->d_model, &h->output_norm,
					 &end[SECTION_NORMS], err));
	for (i = 0; i < c->n_layers; i++)
		BN_TRY(plan_layer(g, c, i, options.five, layers ? layers + i * BN_LAYER_ROLES : scratch,
						  end, err));
	BN_TRY(plan_dense(g, "token_embd.weight", c, &h->token_embd, &end[SECTION_DENSE], err));
	c->tied_head = bn_gguf_find_tensor(g, "output.weight") == NULL;
	if (c->tied_head)
		h->output = h->token_embd;
	else
		BN_TRY(plan_dense(g, "output.weight", c, &h->output, &end[SECTION_DENSE], err));

	h->layers_offset = bn_align_up(sizeof(bn_image_header), BN_IMAGE_ALIGN);
	h->vocab_offset = bn_align_up(h->layers_offset +
								  (uint64_t) c->n_layers * BN_LAYER_ROLES * sizeof(bn_tensor),
								  BN_IMAGE_ALIGN);
	h->vocab_bytes = vocab_bytes;
	base[SECTION_NORMS] = bn_align_up(h->vocab_offset + vocab_bytes, BN_IMAGE_ALIGN);
	small = base[SECTION_NORMS] + end[SECTION_NORMS];
	if (small + end[SECTION_TERNARY] + end[SECTION_DENSE] > BIG_IMAGE_BYTES)
		alignment = BN_IMAGE_BIG_ALIGN;
	base[SECTION_TERNARY] = bn_align_up(small, alignment);
	base[SECTION_DENSE] = bn_align_up(base[SECTION_TERNARY] + end[SECTION_TERNARY], alignment);
	h->weights_bytes = end[SECTION_TERNARY];
	h->size = base[SECTION_DENSE] + end[SECTION_DENSE];

	h->output_norm.offset += base[SECTION_NORMS];
	h->token_embd.offset += base[SECTION_DENSE];
	h->output.offset += base[SECTION_DENSE];
	memset(&h->screen, 0, sizeof(h->screen));
	if (wants_screen(h, options.screen))
		plan_screen(h, alignment);
	for (i = 0; layers && i < c->n_layers * BN_LAYER_ROLES; i++)
		layers[i].offset += base[bn_layer_role_is_norm((bn_layer_role) (i % BN_LAYER_ROLES)) ?
								 SECTION_NORMS : SECTION_TERNARY];
	return BN_OK;
}

bn_status
bn_image_size(const bn_gguf *g, bn_image_options options, uint64_t *size, bn_error *err)
{
	bn_image_header h;
	uint64_t	vocab_bytes;

	memset(&h, 0, sizeof(h));
	BN_TRY(bn_plan_config(g, &h, err));

	/* tensors first: what is wrong with them is quicker found */
	BN_TRY(bn_plan_tensors(g, &h, 0, options, NULL, err));
	BN_TRY(bn_vocab_size(g, h.config.vocab_size, &vocab_bytes, err));
	BN_TRY(bn_plan_tensors(g, &h, vocab_bytes, options, NULL, err));
	*size = h.size;
	return BN_OK;
}
