/*-------------------------------------------------------------------------
 *
 * fuzz_image.c
 *	  Any bytes as an image: if the check lets them pass, using them is safe.
 *
 * test/fuzz/fuzz_image.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_use.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *image;

	/* a block of exactly this size, so that reading beyond it is seen */
	if (size == 0 || size % BN_IMAGE_ALIGN != 0)
		return 0;
	image = aligned_alloc(BN_IMAGE_ALIGN, size);
	if (!image)
		return 0;
	memcpy(image, data, size);
	use_image(image, size);
	free(image);
	return 0;
}
