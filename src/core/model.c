/*-------------------------------------------------------------------------
 *
 * model.c
 *	  Binding an image to a process.
 *
 * src/core/model.c
 *
 *-------------------------------------------------------------------------
 */
#include "model.h"

bn_status
bn_model_bind(bn_model *model, const void *image, uint64_t size, bn_error *err)
{
	const bn_image_header *h = image;
	const char *base = image;

	BN_TRY(bn_image_check(image, size, err));
	model->image = image;
	model->header = h;
	model->config = &h->config;
	model->vocab = (const bn_vocab *) (base + h->vocab_offset);
	model->layers = (const bn_tensor *) (base + h->layers_offset);
	return BN_OK;
}
