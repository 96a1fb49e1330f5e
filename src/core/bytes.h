/*-------------------------------------------------------------------------
 *
 * bytes.h
 *	  Numbers in byte arrays of any alignment, little-endian; sizes and hashes.
 *
 * src/core/bytes.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_BYTES_H
#define BN_BYTES_H

#include <stddef.h>
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

static inline float
bn_float_from_bfloat(uint16_t h)
{
	return bn_float_from_bits((uint32_t) h << 16);
}

static inline uint64_t
bn_align_up(uint64_t n, uint64_t alignment)
{
	return (n + alignment - 1) / alignment * alignment;
}

/* FNV-1a of 64 bits, with the high half folded into the low one */
static inline uint64_t
bn_hash_bytes(const void *bytes, size_t length)
{
	const uint8_t *p = bytes;
	uint64_t	h = UINT64_C(0xcbf29ce484222325);
	size_t		i;

	for (i = 0; i < length; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

#endif							/* BN_BYTES_H */
