/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What all fuzz targets share.
 *
 * test/fuzz/fuzz.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What does not hold is a crash, which the fuzzer and the driver see. */
static inline void
require(bool holds)
{
	if (!holds)
		abort();
}

#endif							/* FUZZ_H */
