/*-------------------------------------------------------------------------
 *
 * image.h
 *	  The packed form of a model: one position-independent block of memory.
 *
 * An image is made once from a model file and then only read, by any number
 * of processes, at whatever address each maps it.  It therefore holds offsets
 * (from its first byte), never pointers, and everything in it is in the form
 * in which it is used: ternary weights in kernel layout (kernels.h), norms as
 * float, the vocabulary as hash tables (tokenizer.h).
 *
 *	header | layer table | vocabulary | norms | ternary weights | embedding, head | screen
 *
 * The screen is a copy of the head in six bits a weight, with bounds on what that
 * lost, from which head.c finds the few rows that can be the likeliest.
 *
 * Tensors are 64-byte aligned; in images above 16 MB the ternary weights and
 * what follows them start at multiples of 2 MB.
 *
 * src/core/image.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_IMAGE_H
#define BN_IMAGE_H

#include "gguf.h"

#define BN_IMAGE_MAGIC "BNIMAGE"	/* 8 bytes with the terminator */
#define BN_IMAGE_ABI 5			/* any change of layout counts up */
#define BN_IMAGE_ALIGN 64
#define BN_IMAGE_BIG_ALIGN (2u * 1024 * 1024)

/* Limits of the product */
#define BN_MAX_LAYERS 512
#define BN_MAX_DIM 65536		/* d_model, d_ffn, heads * head_dim */
#define BN_MAX_HEADS 1024
#define BN_MAX_HEAD_DIM 512
#define BN_MAX_VOCAB 1048576
#define BN_MAX_CONTEXT 1048576

typedef enum bn_pooling
{
	BN_POOL_UNSPECIFIED = 0, BN_POOL_MEAN, BN_POOL_FIRST, BN_POOL_LAST
} bn_pooling;

/* The facts of the forward pass; no code asks for the architecture's name. */
typedef struct bn_config
{
	int32_t		n_layers;
	int32_t		d_model;
	int32_t		d_ffn;
	int32_t		n_heads;
	int32_t		n_kv_heads;
	int32_t		head_dim;
	int32_t		vocab_size;
	int32_t		context_length;
	float		rms_eps;
	double		rope_theta;
	int32_t		pooling;
	int32_t		tied_head;		/* output matrix is the embedding */
} bn_config;

typedef enum bn_tensor_type
{
	BN_TENSOR_NONE = 0,			/* not in this model (a sub-norm, say) */
	BN_TENSOR_TERNARY,			/* kernel layout, one scale */
	BN_TENSOR_F32,
	BN_TENSOR_F16,
	BN_TENSOR_BF16,
	BN_TENSOR_Q8_0,				/* ggml blocks, row by row, as in the file */
	BN_TENSOR_Q6_K,
	BN_TENSOR_Q4_0,
	BN_TENSOR_INT6,				/* kernel layout, a scale per row: only the screen */
	BN_TENSOR_TERNARY5			/* as BN_TENSOR_TERNARY, with five weights to a byte */
} bn_tensor_type;

typedef struct bn_tensor
{
	uint64_t	offset;			/* from the image's first byte */
	uint64_t	bytes;
	int32_t		type;
	int32_t		rows;			/* out features; 1 for a norm */
	int32_t		cols;			/* in features, contiguous */
	float		scale;			/* of a ternary tensor, else 1 */
} bn_tensor;

typedef enum bn_layer_role
{
	BN_ATTN_NORM = 0,			/* [d_model] */
	BN_ATTN_Q,					/* [n_heads * head_dim, d_model] */
	BN_ATTN_K,					/* [n_kv_heads * head_dim, d_model] */
	BN_ATTN_V,
	BN_ATTN_SUB_NORM,			/* [n_heads * head_dim] */
	BN_ATTN_OUTPUT,				/* [d_model, n_heads * head_dim] */
	BN_FFN_NORM,				/* [d_model] */
	BN_FFN_GATE,				/* [d_ffn, d_model] */
	BN_FFN_UP,
	BN_FFN_SUB_NORM,			/* [d_ffn] */
	BN_FFN_DOWN,				/* [d_model, d_ffn] */
	BN_LAYER_ROLES
} bn_layer_role;

typedef struct bn_image_header
{
	char		magic[8];
	uint32_t	abi;
	uint64_t	size;			/* of the whole image */
	uint64_t	source_checksum;	/* bn_checksum of the file's tensor data */
	char		architecture[64];
	char		name[64];		/* general.name, cut */
	bn_config	config;
	bn_tensor	token_embd;		/* [vocab_size, d_model] */
	bn_tensor	output;			/* same; same offset as token_embd if tied */
	bn_tensor	output_norm;	/* [d_model] */
	bn_tensor	screen;			/* output in six bits, or of type BN_TENSOR_NONE */
	uint64_t	screen_rows_offset; /* float[3][screen rows], see below */
	float		screen_norm;	/* the largest of the rows' norms */
	uint64_t	layers_offset;	/* bn_tensor[n_layers][BN_LAYER_ROLES] */
	uint64_t	vocab_offset;	/* bn_vocab */
	uint64_t	vocab_bytes;
	uint64_t	weights_bytes;	/* of all ternary tensors */
} bn_image_header;

/*
 * The rows of the screen, padded to whole groups, have a scale, a bound on
 * ||w - scale * w6||_2, and a bound on both ||w||_2 and ||scale * w6||_2.
 */
static inline uint64_t
bn_screen_row_count(const bn_image_header *h)
{
	return ((uint64_t) h->config.vocab_size + 15) / 16 * 16;
}

static inline uint64_t
bn_screen_rows_bytes(const bn_image_header *h)
{
	return 3 * bn_screen_row_count(h) * sizeof(float);
}

/* Is the head worth a screen?  It takes three eighths of the memory of a F16 head. */
typedef enum bn_screen_choice
{
	BN_SCREEN_AUTO = 0,			/* if the head is large */
	BN_SCREEN_ALWAYS,
	BN_SCREEN_NEVER
} bn_screen_choice;

/* Choices by which images of one model differ; results do not depend on them. */
typedef struct bn_image_options
{
	bn_screen_choice screen;
	bool		five;			/* ternary weights five to a byte, see bn_kernels.prefers_five */
} bn_image_options;

/*
 * Checks the model described by the file (architecture, dimensions, tensors
 * present and of the right shape and type, vocabulary) without reading tensor
 * data, and says how large its image is.
 */
extern bn_status bn_image_size(const bn_gguf *g, bn_image_options options, uint64_t *size,
							   bn_error *err);

/* Scratch memory that bn_image_build needs. */
extern size_t bn_image_scratch_size(void);

/*
 * Reads the file once, front to back as far as possible, and fills
 * image[0 .. size), which must be 64-byte aligned.  Checks every value:
 * I2_S codes, scales, norms and embeddings finite.
 */
extern bn_status bn_image_build(const bn_gguf *g, bn_image_options options,
								void *image, uint64_t size, void *scratch, const bn_hooks *hooks, bn_error *err);

/*
 * Checks that a block of memory is an image that can be used without further
 * range checks: magic, ABI, sizes, every offset, the vocabulary's tables.
 * Does not read the weights.
 */
extern bn_status bn_image_check(const void *image, uint64_t size, bn_error *err);

/* How many ternary weights the model has. */
extern int64_t bn_ternary_weights(const bn_config *config);

/*
 * Streaming checksum of the source's tensor data, in the order of the file.
 * It tells files apart and finds damage; it is no defence against forgery.
 * The result depends on the bytes alone, not on how they are cut into calls.
 */
typedef struct bn_checksum
{
	uint64_t	lane[4];
	uint64_t	length;
	uint8_t		pending[32];	/* the last length % 32 bytes */
} bn_checksum;

extern void bn_checksum_init(bn_checksum *c);
extern void bn_checksum_update(bn_checksum *c, const void *bytes, size_t n);
extern uint64_t bn_checksum_finish(bn_checksum *c);

/*
 * Expands one row of a dense tensor (not of ternary or six-bit weights) to
 * float[cols]: of the embedding, and of heads whose rows no kernel reads.
 */
extern void bn_dequantize_row(float *y, const void *image, const bn_tensor *tensor,
							  int32_t row);

/* Bytes of one row of a dense tensor; 0 for an unknown type. */
extern size_t bn_tensor_row_bytes(int32_t type, int32_t cols);

#endif							/* BN_IMAGE_H */
