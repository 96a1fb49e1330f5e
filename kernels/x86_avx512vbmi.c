/*-------------------------------------------------------------------------
 *
 * x86_avx512vbmi.c
 *	  Kernels for x86-64 with AVX-512 F, DQ, BW, VL, VNNI and VBMI.
 *
 * VBMI looks 64 bytes up in a table of 64 at once, which is what makes five
 * weights to a byte as quick to read as four, and memory is what decides.
 *
 * kernels/x86_avx512vbmi.c
 *
 *-------------------------------------------------------------------------
 */
#include "cpu.h"
#include "tables.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx512vbmi"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx512vbmi")
#endif

#include "x86_avx512.h"
#include "lanes.h"
#include "x86_vnni.h"

/*
 * What the lowest six bits of a byte say: the first four codes, two bits each,
 * where the highest two are the fifth; and, where those are all set, the first
 * four and the fifth, in its place.
 */
#define CODES(n) ((n) % 3 | (n) / 3 % 3 << 2 | (n) / 9 % 3 << 4 | (n) / 27 << 6)
#define REST(i) CODES(64 + (i) / 3)
#define FIFTH(i) ((i) % 3 << 6)
#define EIGHT(X, i) \
	X(i), X((i) + 1), X((i) + 2), X((i) + 3), X((i) + 4), X((i) + 5), X((i) + 6), X((i) + 7)
#define SIXTY_FOUR(X) \
	{EIGHT(X, 0), EIGHT(X, 8), EIGHT(X, 16), EIGHT(X, 24), \
	 EIGHT(X, 32), EIGHT(X, 40), EIGHT(X, 48), EIGHT(X, 56)}

static INLINE planes
five_codes(__m512i tile)
{
	static const _Alignas(64) uint8_t codes[64] = SIXTY_FOUR(CODES);
	static const _Alignas(64) uint8_t rest[64] = SIXTY_FOUR(REST);
	static const _Alignas(64) uint8_t fifth[64] = SIXTY_FOUR(FIFTH);
	__m512i		highest = _mm512_set1_epi8((char) 0xc0);
	__mmask64	is_rest = _mm512_cmpge_epu8_mask(tile, highest);
	planes		p;

	p.four = _mm512_permutexvar_epi8(tile, _mm512_load_si512(codes));
	p.four = _mm512_mask_permutexvar_epi8(p.four, is_rest, tile, _mm512_load_si512(rest));
	p.fifth = _mm512_mask_permutexvar_epi8(_mm512_and_si512(tile, highest), is_rest, tile,
										   _mm512_load_si512(fifth));
	return p;
}

#define TERNARY(name) ternary_##name
#define QUADS 4
#define expand_tile four_codes
#include "x86_vnni_ternary.h"

#define TERNARY(name) ternary5_##name
#define QUADS 5
#define expand_tile five_codes
#include "x86_vnni_ternary.h"

const bn_kernels bn_kernels_avx512vbmi = {
	.name = "avx512vbmi",
	.description = "x86-64 with AVX-512, VNNI and VBMI",
	.supported = bn_cpu_has_avx512vbmi,
	.prefers_five = true,
	.ternary_gemm = ternary_gemm,
	.ternary5_gemm = ternary5_gemm,
	LANES_MEMBERS
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif							/* __x86_64__ */
