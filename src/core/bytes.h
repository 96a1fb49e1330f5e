/*-------------------------------------------------------------------------
 *
 * bytes.h
 *	  Little-endian numbers and half floats in byte arrays of any alignment.
 *
 * src/core/bytes.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_BYTES_H
#define BN_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t
bn_load_u16(const uint8_t *p)
{
	return (uint16_t) (p[0] | p[1] << 8);
}

static inline uint32_t
bn_load_u32(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 |
		(uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

static inline uint64_t
bn_load_u64(const uint8_t *p)
{
	return (uint64_t) bn_load_u32(p) | (uint64_t) bn_load_u32(p + 4) << 32;
}

static inline float
bn_float_from_bits(uint32_t bits)
{
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* IEEE 754 binary16 to float; exact, and a NaN stays a NaN */
static inline float
bn_float_from_half(uint16_t h)
{
	uint32_t	sign = (uint32_t) (h & 0x8000) << 16;
	uint32_t	magnitude = h & 0x7fff;

	if (magnitude >= 0x7c00)	/* infinity, NaN */
		return bn_float_from_bits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
	if (magnitude >= 0x0400)	/* normal: the exponent's bias grows by 112 */
		return bn_float_from_bits(sign | ((magnitude << 13) + (112u << 23)));

	/* zero or subnormal: magnitude times 2^-24, which a float holds exactly */
	{
		float		f = (float) magnitude * (1.0f / 16777216.0f);

		return sign ? -f : f;
	}
}

static inline float
bn_float_from_bfloat(uint16_t h)
{
	return bn_float_from_bits((uint32_t) h << 16);
}

#endif							/* BN_BYTES_H */
