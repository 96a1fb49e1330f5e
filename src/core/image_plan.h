/*-------------------------------------------------------------------------
 *
 * image_plan.h
 *	  What the parts that make an image share with each other.
 *
 *	image_plan.c	file's header -> configuration, tensors and their places
 *	pack.c			file's tensor data -> the form in which it is used
 *	screen.c		the head once more, in six bits a weight
 *	image.c			calls these three, and checks finished images
 *
 * src/core/image_plan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_IMAGE_PLAN_H
#define BN_IMAGE_PLAN_H

#include "image.h"

static inline bool
bn_layer_role_is_norm(bn_layer_role role)
{
	return role == BN_ATTN_NORM || role == BN_ATTN_SUB_NORM ||
		role == BN_FFN_NORM || role == BN_FFN_SUB_NORM;
}

/* The shape that a layer's tensor must have; rows is 1 for a norm. */
extern void bn_layer_role_shape(const bn_config *config, bn_layer_role role,
								int32_t *rows, int32_t *cols);

/* Bytes in the image of a tensor of this type and shape. */
extern uint64_t bn_tensor_image_bytes(int32_t type, int32_t rows, int32_t cols);

/* The layer and role of a tensor's name "blk.N.suffix"; false if it has none. */
extern bool bn_find_layer_role(const char *name, int32_t *layer, bn_layer_role *role);

/*
 * Fills architecture, name and config from the file's metadata and the shape
 * of its embedding.
 */
extern bn_status bn_plan_config(const bn_gguf *g, bn_image_header *h, bn_error *err);

/*
 * Checks all tensors against config and decides where each goes: fills the
 * tensors and offsets of *h and, if layers is not NULL, layers[n_layers]
 * [BN_LAYER_ROLES].  Ternary scales are set to 1 until the data is read.
 */
extern bn_status bn_plan_tensors(const bn_gguf *g, bn_image_header *h,
								 uint64_t vocab_bytes, bn_image_options options,
								 bn_tensor *layers, bn_error *err);

/* Scratch memory for bn_screen_build, 64-byte aligned. */
#define BN_SCREEN_SCRATCH (BN_MAX_DIM * (sizeof(float) + 1) + BN_QUANT_ALIGN)

/* Fills the screen, if the image is to have one, from the finished head. */
extern bn_status bn_screen_build(bn_image_header *h, void *scratch, const bn_hooks *hooks,
								 bn_error *err);

/* The reading of one file's tensor data. */
typedef struct bn_packer
{
	const bn_gguf *g;
	const bn_hooks *hooks;
	uint8_t    *image;
	uint8_t    *chunk;			/* [BN_PACK_CHUNK], 64-byte aligned */
	uint8_t    *codes;			/* [BN_MAX_DIM] */
	uint8_t    *row;			/* [BN_PACK_ROW] */
	uint8_t		five[1024];		/* the byte of five codes of two bits each */
	bn_checksum checksum;
	uint64_t	done;			/* bytes of tensor data read so far */
	uint64_t	total;
} bn_packer;

/*
 * Holds 128 rows of the longest I2_S row, which is what makes whole blocks of
 * any row length.
 */
#define BN_PACK_CHUNK (128 * (BN_MAX_DIM / 4))

/* One row with four weights to a byte, and what is read beyond its end. */
#define BN_PACK_ROW (BN_MAX_DIM / 4 + 64)

/* Fills what does not depend on the file; the rest must be zero, and set by the caller. */
extern void bn_packer_init(bn_packer *p);

/*
 * Reads, checks and packs the data of one tensor of the file into its place in
 * the image (dst NULL: only reads it for the checksum).  Sets the scale of a
 * ternary one.
 */
extern bn_status bn_pack_tensor(bn_packer *p, const bn_gguf_tensor *src, bn_tensor *dst,
								bn_error *err);

#endif							/* BN_IMAGE_PLAN_H */
