/*-------------------------------------------------------------------------
 *
 * model.h
 *	  A process's view of an image: pointers in place of offsets.
 *
 * src/core/model.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_MODEL_H
#define BN_MODEL_H

#include "image.h"
#include "tokenizer.h"

typedef struct bn_model
{
	const void *image;
	const bn_image_header *header;
	const bn_config *config;
	const bn_vocab *vocab;
	const bn_tensor *layers;	/* [n_layers][BN_LAYER_ROLES] */
} bn_model;

/*
 * Checks the image (bn_image_check) and fills *model.  The image must outlive
 * it.  Costs no more than the check.
 */
extern bn_status bn_model_bind(bn_model *model, const void *image, uint64_t size,
							   bn_error *err);

static inline const bn_tensor *
bn_layer_tensor(const bn_model *model, int layer, bn_layer_role role)
{
	return &model->layers[layer * BN_LAYER_ROLES + role];
}

static inline const void *
bn_tensor_data(const bn_model *model, const bn_tensor *tensor)
{
	return (const char *) model->image + tensor->offset;
}

#endif							/* BN_MODEL_H */
