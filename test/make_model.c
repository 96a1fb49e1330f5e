/*-------------------------------------------------------------------------
 *
 * make_model.c
 *	  Writes a model of any shape with random weights, as a GGUF file.
 *
 * The file has the keys, tensors, types and order of the published BitNet
 * b1.58 2B4T file, so that a machine can be measured before anything is
 * downloaded and the tests can have models of every shape.  What it says is
 * noise.  The same options give the same bytes on every machine: numbers come
 * from a generator of our own and from operations that IEEE 754 defines, and
 * where a product is added to something, one factor is a power of two, so that
 * fusing them changes nothing.
 *
 * test/make_model.c
 *
 *-------------------------------------------------------------------------
 */
#include "model_vocab.h"

#define ALIGNMENT 32
#define MAX_TENSORS (2 + 11 * 512 + 1)

enum
{
	GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9
};

typedef struct tensor_type
{
	const char *name;
	uint32_t	id;				/* in ggml */
	uint32_t	file_type;		/* general.file_type of a file of it */
	uint32_t	block_values;
	uint32_t	block_bytes;
} tensor_type;

static const tensor_type types[] = {
	{"f32", 0, 0, 1, 4},
	{"f16", 1, 1, 1, 2},
	{"q4_0", 2, 2, 32, 18},
	{"q8_0", 8, 7, 32, 34},
	{"q6_k", 14, 18, 256, 210},
	{"bf16", 30, 32, 1, 2},
	{"i2_s", 36, 40, 128, 32},	/* and 32 bytes for the whole tensor */
};

typedef struct options
{
	uint32_t	layers;
	uint32_t	hidden;
	uint32_t	ffn;
	uint32_t	heads;
	uint32_t	kv;
	uint32_t	vocab;
	uint32_t	ctx;
	double		theta;
	double		eps;
	uint64_t	seed;
	const tensor_type *type;
	const tensor_type *embd;
	const tensor_type *output;	/* NULL: the head is the embedding */
	const char *arch;
	const char *pre;
	const char *path;
} options;

typedef struct tensor
{
	char		name[64];
	uint64_t	cols;
	uint64_t	rows;			/* 0: one-dimensional, a norm */
	const tensor_type *type;
} tensor;

/* The file being written. */
typedef struct writer
{
	FILE	   *file;
	uint64_t	position;
} writer;

static const char help[] =
"make_model writes a BitNet b1.58 model with random weights.\n"
"\n"
"Usage: make_model [OPTION]... FILE\n"
"\n"
"Shape:\n"
"  --2b4t          the shape of BitNet b1.58 2B4T (1.19 GB): 30 layers of\n"
"                  2560/6912, 20/5 heads, 128256 tokens, context 4096\n"
"  --layers N      layers (default 4)\n"
"  --hidden N      width of the model (256)\n"
"  --ffn N         width of the feed-forward part (768)\n"
"  --heads N       query heads (4)\n"
"  --kv N          key and value heads (2)\n"
"  --vocab N       tokens (2048); at least 266\n"
"  --ctx N         context length (2048)\n"
"  --theta X       base of the rotary embedding (500000)\n"
"  --eps X         epsilon of the norms (1e-5)\n"
"Types:\n"
"  --type T        of the linear layers: i2_s (default), f16, f32\n"
"  --embd T        of the embedding: f16 (default), f32, bf16, q8_0, q6_k, q4_0\n"
"  --output T      adds a head of its own (output.weight) of such a type\n"
"Other:\n"
"  --arch NAME     bitnet-b1.58 (default) or bitnet-25\n"
"  --pre NAME      writes tokenizer.ggml.pre, which the published file lacks\n"
"  --seed N        of the random numbers (42)\n"
"  -o FILE         the same as FILE\n"
"  --help          this text\n";

static void
fail(const char *message, const char *what)
{
	fprintf(stderr, "make_model: %s%s%s\n", message, what ? ": " : "", what ? what : "");
	exit(1);
}

/* ------------------------------ random numbers ------------------------- */

/* splitmix64: Steele, Lea, Flood, OOPSLA 2014 */
static inline uint64_t
next_random(uint64_t *state)
{
	uint64_t	z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 <= x < 1, exact */
static double
next_uniform(uint64_t *state)
{
	return (double) (next_random(state) >> 11) * 0x1p-53;
}

/*
 * About normal, of standard deviation 1 and at most 3.5: the sum of four
 * uniform 16-bit numbers, whose variance is (2^32 - 1) / 3.
 */
static inline double
next_normal(uint64_t *state)
{
	uint64_t	r = next_random(state);
	int32_t		sum = (int32_t) ((r & 0xffff) + (r >> 16 & 0xffff) +
								 (r >> 32 & 0xffff) + (r >> 48)) - 131070;

	return (double) sum * (1.0 / 37837.0);
}

/* Every tensor has its own sequence, whatever was written before it. */
static uint64_t
seed_for(const options *o, const char *name)
{
	uint64_t	state = o->seed;

	return next_random(&state) ^ hash_bytes(name, strlen(name));
}

/* Newton's method ends at the same number everywhere; sqrt would need libm. */
static double
square_root(double x)
{
	double		r = x > 1 ? x : 1;

	for (int i = 0; i < 200; i++)
		r = 0.5 * (r + x / r);
	return r;
}

/* --------------------------------- output ------------------------------ */

static void
put(writer *w, const void *data, size_t size)
{
	if (fwrite(data, 1, size, w->file) != size)
		fail("cannot write the file", NULL);
	w->position += size;
}

static void
put_le(writer *w, uint64_t value, int bytes)
{
	uint8_t		b[8];

	for (int i = 0; i < bytes; i++)
		b[i] = (uint8_t) (value >> (8 * i));
	put(w, b, (size_t) bytes);
}

static uint32_t
float_bits(float x)
{
	uint32_t	bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static void
put_text(writer *w, const char *s, size_t length)
{
	put_le(w, length, 8);
	put(w, s, length);
}

static void
put_padding(writer *w)
{
	static const uint8_t zero[ALIGNMENT];

	put(w, zero, (ALIGNMENT - w->position % ALIGNMENT) % ALIGNMENT);
}

static void
put_key(writer *w, const options *o, const char *key, int type)
{
	char		full[128];

	if (key[0] == '.')
		snprintf(full, sizeof(full), "%s%s", o->arch, key);
	else
		snprintf(full, sizeof(full), "%s", key);
	put_text(w, full, strlen(full));
	put_le(w, (uint64_t) type, 4);
}

static void
put_u32(writer *w, const options *o, const char *key, uint32_t value)
{
	put_key(w, o, key, GGUF_U32);
	put_le(w, value, 4);
}

static void
put_f32(writer *w, const options *o, const char *key, double value)
{
	put_key(w, o, key, GGUF_F32);
	put_le(w, float_bits((float) value), 4);
}

static void
put_string(writer *w, const options *o, const char *key, const char *value)
{
	put_key(w, o, key, GGUF_STRING);
	put_text(w, value, strlen(value));
}

static void
put_array(writer *w, const options *o, const char *key, int item_type, uint64_t count)
{
	put_key(w, o, key, GGUF_ARRAY);
	put_le(w, (uint64_t) item_type, 4);
	put_le(w, count, 8);
}

/* -------------------------------- metadata ----------------------------- */

static void
put_vocabulary(writer *w, const options *o, const vocabulary *v)
{
	char		text[4 * MAX_TOKEN_BYTES + 1];
	uint8_t		cuts[MAX_TOKEN_BYTES];
	uint64_t	n_merges = 0;

	put_array(w, o, "tokenizer.ggml.tokens", GGUF_STRING, v->n_tokens);
	for (uint32_t i = 0; i < v->n_base; i++)
		put_text(w, text, put_token(text, &v->tokens[i]));
	for (uint32_t i = v->n_base; i < v->n_tokens; i++)
		put_text(w, text, put_special(text, sizeof(text), i - v->n_base));
	put_array(w, o, "tokenizer.ggml.scores", GGUF_F32, v->n_tokens);
	for (uint32_t i = 0; i < v->n_tokens; i++)
		put_le(w, 0, 4);
	put_array(w, o, "tokenizer.ggml.token_type", GGUF_I32, v->n_tokens);
	for (uint32_t i = 0; i < v->n_tokens; i++)
		put_le(w, i < v->n_base ? 1 : 3, 4);	/* normal, control */

	for (uint32_t i = 256; i < v->n_base; i++)
		n_merges += (uint64_t) token_merges(v, i, cuts);
	put_array(w, o, "tokenizer.ggml.merges", GGUF_STRING, n_merges);
	for (uint32_t i = 256; i < v->n_base; i++)
	{
		int			n = token_merges(v, i, cuts);

		for (int k = 0; k < n; k++)
		{
			token		left = v->tokens[i];
			token		right = v->tokens[i];
			size_t		length;

			left.length = cuts[k];
			right.length = (uint8_t) (right.length - cuts[k]);
			memmove(right.bytes, right.bytes + cuts[k], right.length);
			length = put_token(text, &left);
			text[length++] = ' ';
			length += put_token(text + length, &right);
			put_text(w, text, length);
		}
	}
	put_u32(w, o, "tokenizer.ggml.bos_token_id", v->n_base);
	put_u32(w, o, "tokenizer.ggml.eos_token_id", v->n_base + 1);
	put_u32(w, o, "tokenizer.ggml.padding_token_id", v->n_base + 1);
}

/* Keys in the order of the published file. */
static void
put_metadata(writer *w, const options *o, const vocabulary *v)
{
	put_string(w, o, "general.architecture", o->arch);
	put_string(w, o, "general.name", "random");
	put_u32(w, o, ".vocab_size", o->vocab);
	put_u32(w, o, ".context_length", o->ctx);
	put_u32(w, o, ".embedding_length", o->hidden);
	put_u32(w, o, ".block_count", o->layers);
	put_u32(w, o, ".feed_forward_length", o->ffn);
	put_u32(w, o, ".rope.dimension_count", o->hidden / o->heads);
	put_u32(w, o, ".attention.head_count", o->heads);
	put_u32(w, o, ".attention.head_count_kv", o->kv);
	put_key(w, o, "tokenizer.ggml.add_bos_token", GGUF_BOOL);
	put_le(w, 1, 1);
	put_f32(w, o, ".attention.layer_norm_rms_epsilon", o->eps);
	put_f32(w, o, ".rope.freq_base", o->theta);
	put_u32(w, o, "general.file_type", o->type->file_type);
	put_string(w, o, "tokenizer.ggml.model", "gpt2");
	if (o->pre)
		put_string(w, o, "tokenizer.ggml.pre", o->pre);
	put_vocabulary(w, o, v);
	put_string(w, o, "tokenizer.chat_template",
			   "{{ bos_token }}{% for m in messages %}{{ m['role'].capitalize() }}: "
			   "{{ m['content'] }}<|eot_id|>{% endfor %}Assistant: ");
	put_u32(w, o, "general.quantization_version", 2);
}

static uint64_t
tensor_bytes(const tensor *t)
{
	uint64_t	n = t->cols * (t->rows ? t->rows : 1);

	return n / t->type->block_values * t->type->block_bytes + (t->type->id == 36 ? 32 : 0);
}

static void
put_header(writer *w, const options *o, const vocabulary *v, const tensor *tensors, uint32_t n)
{
	uint64_t	offset = 0;

	put(w, "GGUF", 4);
	put_le(w, 3, 4);
	put_le(w, n, 8);
	put_le(w, o->pre ? 25 : 24, 8);
	put_metadata(w, o, v);
	for (uint32_t i = 0; i < n; i++)
	{
		const tensor *t = &tensors[i];

		put_text(w, t->name, strlen(t->name));
		put_le(w, t->rows ? 2 : 1, 4);
		put_le(w, t->cols, 8);
		if (t->rows)
			put_le(w, t->rows, 8);
		put_le(w, t->type->id, 4);
		put_le(w, offset, 8);
		offset += (tensor_bytes(t) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	}
	put_padding(w);
}

/* --------------------------------- weights ----------------------------- */

/* Round half to even, as the hardware does it. */
static uint16_t
half_bits(float x)
{
	uint32_t	bits = float_bits(x);
	uint16_t	sign = (uint16_t) (bits >> 16 & 0x8000);
	uint32_t	mantissa = (bits & 0x7fffff) | 0x800000;
	int32_t		exponent = (int32_t) (bits >> 23 & 0xff) - 127;
	uint32_t	shift = exponent < -14 ? (uint32_t) (-1 - exponent) : 13;
	uint32_t	half;

	if (exponent < -25)
		return sign;
	if (exponent > 15)
		return sign | 0x7c00;
	half = mantissa >> shift;
	mantissa &= (UINT32_C(1) << shift) - 1;
	if (mantissa > UINT32_C(1) << (shift - 1) ||
		(mantissa == UINT32_C(1) << (shift - 1) && (half & 1)))
		half++;
	if (exponent >= -14)
		half += (uint32_t) (exponent + 14) << 10;	/* the leading bit adds 1 */
	return sign | (uint16_t) half;
}

static uint16_t
bfloat_bits(float x)
{
	uint32_t	bits = float_bits(x);

	return (uint16_t) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static size_t
store_le(uint8_t *out, uint32_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t) (value >> (8 * i));
	return bytes;
}

static size_t
store_float(uint8_t *out, const tensor_type *type, float x)
{
	switch (type->id)
	{
		case 1:
			return store_le(out, half_bits(x), 2);
		case 30:
			return store_le(out, bfloat_bits(x), 2);
		default:
			return store_le(out, float_bits(x), 4);
	}
}

/*
 * One block of an embedding or head, standard deviation about 0.02.  The
 * quantised blocks are drawn as such, with scales of their own and of both
 * signs, so that a reader that mistakes any part of a block is found out.
 */
static void
random_block(uint8_t *out, const tensor_type *type, uint64_t *state)
{
	double		d;

	switch (type->id)
	{
		case 2:					/* Q4_0: half d, 32 nibbles */
			d = (0.75 + 0.5 * next_uniform(state)) * (0.02 / 4.6);
			out += store_le(out, half_bits((float) (next_random(state) & 1 ? d : -d)), 2);
			for (int i = 0; i < 16; i++)
				out[i] = (uint8_t) next_random(state);
			break;
		case 8:					/* Q8_0: half d, 32 int8 */
			d = (0.75 + 0.5 * next_uniform(state)) * (0.02 / 36);
			out += store_le(out, half_bits((float) d), 2);
			for (int i = 0; i < 32; i++)
				out[i] = (uint8_t) (int8_t) (next_normal(state) * 36);
			break;
		case 14:				/* Q6_K: 128 low bytes, 64 high bytes, 16 scales, half d */
			for (int i = 0; i < 192; i++)
				out[i] = (uint8_t) next_random(state);
			for (int i = 192; i < 208; i++)
			{
				int			scale = 48 + (int) (next_random(state) % 80);

				out[i] = (uint8_t) (next_random(state) & 1 ? scale : -scale);
			}
			d = (0.75 + 0.5 * next_uniform(state)) * (0.02 / (18.5 * 90));
			store_le(out + 208, half_bits((float) d), 2);
			break;
		default:
			store_float(out, type, (float) (0.02 * next_normal(state)));
			break;
	}
}

static void
put_dense(writer *w, const options *o, const tensor *t)
{
	uint8_t		buffer[210 * 64] = {0};
	uint64_t	state = seed_for(o, t->name);
	uint64_t	n = t->cols * t->rows / t->type->block_values;

	while (n > 0)
	{
		uint64_t	m = n < 64 ? n : 64;

		for (uint64_t i = 0; i < m; i++)
			random_block(buffer + i * t->type->block_bytes, t->type, &state);
		put(w, buffer, m * t->type->block_bytes);
		n -= m;
	}
}

static void
put_norm(writer *w, const options *o, const tensor *t)
{
	uint64_t	state = seed_for(o, t->name);

	for (uint64_t i = 0; i < t->cols; i++)
		put_le(w, float_bits((float) (1 + 0.125 * next_normal(&state))), 4);
}

/*
 * A linear layer: -1, 0 and +1, a third of each, times one scale that keeps
 * the size of what goes through.  Codes are drawn four at a time, as the byte
 * of I2_S that holds them, so all types of one seed are the same matrix.
 */
static void
put_ternary(writer *w, const options *o, const tensor *t)
{
	uint8_t		bytes[81];
	uint8_t		block[32];
	uint64_t	state = seed_for(o, t->name);
	float		scale = (float) ((0.75 + 0.5 * next_uniform(&state)) /
								 square_root((double) t->cols * 2 / 3));
	uint64_t	left = t->cols * t->rows;

	for (int i = 0; i < 81; i++)
		bytes[i] = (uint8_t) (i / 27 << 6 | i / 9 % 3 << 4 | i / 3 % 3 << 2 | i % 3);
	while (left > 0)
	{
		int			block_values = left < 128 ? (int) left : 128;

		for (int i = 0; i < 32; i += 4)
		{
			uint64_t	r = next_random(&state);

			for (int k = 0; k < 4; k++)
				block[i + k] = bytes[(r >> (16 * k) & 0xffff) * 81 >> 16];
		}
		if (t->type->id == 36)
			put(w, block, sizeof(block));
		else
		{
			uint8_t		values[128 * 4];
			size_t		n = 0;

			for (int j = 0; j < block_values; j++)
				n += store_float(values + n, t->type,
								 scale * (float) ((block[j % 32] >> (6 - j / 32 * 2) & 3) - 1));
			put(w, values, n);
		}
		left -= (uint64_t) block_values;
	}
	if (t->type->id == 36)
	{
		static const uint8_t zero[28];

		put_le(w, float_bits(scale), 4);
		put(w, zero, sizeof(zero));
	}
}

/* --------------------------------- tensors ----------------------------- */

static void
add_tensor(tensor *tensors, uint32_t *n, const char *name, uint64_t cols, uint64_t rows,
		   const tensor_type *type)
{
	tensor	   *t = &tensors[(*n)++];

	snprintf(t->name, sizeof(t->name), "%s", name);
	t->cols = cols;
	t->rows = rows;
	t->type = type;
}

/* All tensors, in the order of the published file. */
static uint32_t
list_tensors(const options *o, tensor *tensors)
{
	const tensor_type *f32 = &types[0];
	uint64_t	d = o->hidden;
	uint64_t	kv = (uint64_t) o->hidden / o->heads * o->kv;
	uint32_t	n = 0;

	struct
	{
		const char *name;
		uint64_t	cols;
		uint64_t	rows;
	}			parts[] = {
		{"attn_norm", d, 0},
		{"ffn_down", o->ffn, d},
		{"ffn_sub_norm", o->ffn, 0},
		{"ffn_gate", d, o->ffn},
		{"ffn_up", d, o->ffn},
		{"ffn_norm", d, 0},
		{"attn_sub_norm", d, 0},
		{"attn_k", d, kv},
		{"attn_output", d, d},
		{"attn_q", d, d},
		{"attn_v", d, kv},
	};

	add_tensor(tensors, &n, "token_embd.weight", d, o->vocab, o->embd);
	for (uint32_t layer = 0; layer < o->layers; layer++)
	{
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		{
			char		name[64];

			snprintf(name, sizeof(name), "blk.%u.%s.weight", (unsigned) layer, parts[i].name);
			add_tensor(tensors, &n, name, parts[i].cols, parts[i].rows,
					   parts[i].rows ? o->type : f32);
		}
	}
	add_tensor(tensors, &n, "output_norm.weight", d, 0, f32);
	if (o->output)
		add_tensor(tensors, &n, "output.weight", d, o->vocab, o->output);
	return n;
}

static void
write_model(const options *o)
{
	static tensor tensors[MAX_TENSORS];
	vocabulary	v;
	writer		w = {NULL, 0};
	uint32_t	n = list_tensors(o, tensors);

	for (uint32_t i = 0; i < n; i++)
		if (tensors[i].rows && tensors[i].cols * tensors[i].rows % tensors[i].type->block_values != 0)
			fail("the type needs another shape", tensors[i].name);
	make_vocabulary(&v, o->vocab);
	w.file = fopen(o->path, "wb");
	if (!w.file)
		fail("cannot create the file", o->path);
	setvbuf(w.file, NULL, _IOFBF, 1 << 20);
	put_header(&w, o, &v, tensors, n);
	for (uint32_t i = 0; i < n; i++)
	{
		const tensor *t = &tensors[i];

		if (t->rows == 0)
			put_norm(&w, o, t);
		else if (strncmp(t->name, "blk.", 4) == 0)
			put_ternary(&w, o, t);
		else
			put_dense(&w, o, t);
		put_padding(&w);
	}
	if (fclose(w.file) != 0)
		fail("cannot write the file", o->path);
	printf("%s: %llu bytes, %u tensors, %u tokens\n", o->path,
		   (unsigned long long) w.position, (unsigned) n, (unsigned) v.n_tokens);
	free_vocabulary(&v);
}

/* --------------------------------- options ----------------------------- */

static const tensor_type *
type_named(const char *option, const char *name, bool ternary)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		bool		dense = types[i].id != 36;
		bool		plain = types[i].id == 0 || types[i].id == 1;

		if (strcmp(types[i].name, name) == 0 && (ternary ? plain || !dense : dense))
			return &types[i];
	}
	fprintf(stderr, "make_model: %s %s: not one of the types in --help\n", option, name);
	exit(1);
}

static uint32_t
number(const char *option, const char *text, uint32_t min, uint32_t max)
{
	char	   *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value < min || value > max)
	{
		fprintf(stderr, "make_model: %s %s: must be a number from %u to %u\n",
				option, text, (unsigned) min, (unsigned) max);
		exit(1);
	}
	return (uint32_t) value;
}

static double
positive(const char *option, const char *text)
{
	char	   *end;
	double		value = strtod(text, &end);

	if (*end || !(value > 0 && value < 1e30))
	{
		fprintf(stderr, "make_model: %s %s: must be a positive number\n", option, text);
		exit(1);
	}
	return value;
}

static void
set_option(options *o, const char *name, const char *value)
{
	if (strcmp(name, "--layers") == 0)
		o->layers = number(name, value, 1, 512);
	else if (strcmp(name, "--hidden") == 0)
		o->hidden = number(name, value, 2, 65536);
	else if (strcmp(name, "--ffn") == 0)
		o->ffn = number(name, value, 1, 65536);
	else if (strcmp(name, "--heads") == 0)
		o->heads = number(name, value, 1, 1024);
	else if (strcmp(name, "--kv") == 0)
		o->kv = number(name, value, 1, 1024);
	else if (strcmp(name, "--vocab") == 0)
		o->vocab = number(name, value, 256 + N_SPECIALS_SMALL, 1048576);
	else if (strcmp(name, "--ctx") == 0)
		o->ctx = number(name, value, 1, 1048576);
	else if (strcmp(name, "--theta") == 0)
		o->theta = positive(name, value);
	else if (strcmp(name, "--eps") == 0)
		o->eps = positive(name, value);
	else if (strcmp(name, "--seed") == 0)
		o->seed = number(name, value, 0, UINT32_MAX);
	else if (strcmp(name, "--type") == 0)
		o->type = type_named(name, value, true);
	else if (strcmp(name, "--embd") == 0)
		o->embd = type_named(name, value, false);
	else if (strcmp(name, "--output") == 0)
		o->output = type_named(name, value, false);
	else if (strcmp(name, "--arch") == 0)
		o->arch = value;
	else if (strcmp(name, "--pre") == 0)
		o->pre = value;
	else if (strcmp(name, "-o") == 0)
		o->path = value;
	else
		fail("unknown option (see --help)", name);
}

static void
check_options(const options *o)
{
	if (!o->path)
		fail("which file? (see --help)", NULL);
	if (o->hidden % o->heads != 0 || o->hidden / o->heads % 2 != 0)
		fail("--hidden must be an even multiple of --heads", NULL);
	if (o->heads % o->kv != 0)
		fail("--heads must be a multiple of --kv", NULL);
	if (o->hidden % o->embd->block_values != 0 ||
		(o->output && o->hidden % o->output->block_values != 0))
		fail("--hidden must be a multiple of the embedding type's block (32 or 256)", NULL);
	if (strcmp(o->arch, "bitnet-b1.58") != 0 && strcmp(o->arch, "bitnet-25") != 0)
		fail("--arch must be bitnet-b1.58 or bitnet-25", NULL);
}

int
main(int argc, char **argv)
{
	options		o = {
		.layers = 4, .hidden = 256, .ffn = 768, .heads = 4, .kv = 2, .vocab = 2048,
		.ctx = 2048, .theta = 500000, .eps = 1e-5, .seed = 42,
		.type = &types[6], .embd = &types[1], .arch = "bitnet-b1.58"
	};

	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--help") == 0)
		{
			fputs(help, stdout);
			return 0;
		}
		if (strcmp(argv[i], "--2b4t") == 0)
		{
			o.layers = 30;
			o.hidden = 2560;
			o.ffn = 6912;
			o.heads = 20;
			o.kv = 5;
			o.vocab = 128256;
			o.ctx = 4096;
		}
		else if (argv[i][0] != '-')
			o.path = argv[i];
		else if (i + 1 == argc)
			fail("the option needs a value", argv[i]);
		else
		{
			set_option(&o, argv[i], argv[i + 1]);
			i++;
		}
	}
	check_options(&o);
	write_model(&o);
	return 0;
}
