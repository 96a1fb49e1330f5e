/*-------------------------------------------------------------------------
 *
 * x86_avx512.h
 *	  The vector of lanes.h in one register of AVX-512.
 *
 * For files that have chosen the instructions.
 *
 * kernels/x86_avx512.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_X86_AVX512_H
#define BN_X86_AVX512_H

#include <immintrin.h>

#define INLINE inline __attribute__((always_inline))

typedef __m512 v16;
typedef __m512i i16;

/* the lowest n of 16 bits, 0 <= n <= 16 */
static INLINE __mmask16
first_lanes(int n)
{
	return (__mmask16) ((1u << n) - 1);
}

static INLINE v16
v_set1(float f)
{
	return _mm512_set1_ps(f);
}

static INLINE v16
v_load(const float *p)
{
	return _mm512_loadu_ps(p);
}

static INLINE v16
v_load_n(const float *p, int n)
{
	return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

static INLINE void
v_store(float *p, v16 v)
{
	_mm512_storeu_ps(p, v);
}

static INLINE void
v_store_n(float *p, v16 v, int n)
{
	_mm512_mask_storeu_ps(p, first_lanes(n), v);
}

static INLINE v16
v_load_half(const uint16_t *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) p));
}

static INLINE v16
v_load_half_n(const uint16_t *p, int n)
{
	return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}

static INLINE __m256i
to_half(v16 v)
{
	return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static INLINE void
v_store_half(uint16_t *p, v16 v)
{
	_mm256_storeu_si256((__m256i *) p, to_half(v));
}

static INLINE void
v_store_half_n(uint16_t *p, v16 v, int n)
{
	_mm256_mask_storeu_epi16(p, first_lanes(n), to_half(v));
}

static INLINE v16
v_load_int8(const int8_t *p)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) p)));
}

static INLINE v16
v_add(v16 a, v16 b)
{
	return _mm512_add_ps(a, b);
}

static INLINE v16
v_sub(v16 a, v16 b)
{
	return _mm512_sub_ps(a, b);
}

static INLINE v16
v_mul(v16 a, v16 b)
{
	return _mm512_mul_ps(a, b);
}

static INLINE v16
v_fma(v16 a, v16 b, v16 c)
{
	return _mm512_fmadd_ps(a, b, c);
}

static INLINE v16
v_max(v16 a, v16 b)
{
	return _mm512_max_ps(a, b);
}

static INLINE v16
v_abs(v16 a)
{
	return _mm512_abs_ps(a);
}

static INLINE v16
v_round(v16 a)
{
	return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static INLINE v16
v_first(int n, v16 a, v16 b)
{
	return _mm512_mask_blend_ps(first_lanes(n), b, a);
}

static INLINE v16
v_scale(v16 p, v16 n)
{
	__m512i		exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));

	return _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23)));
}

static INLINE v16
v_keep_from(v16 v, v16 x, v16 low)
{
	return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, low, _CMP_GE_OQ), v);
}

static INLINE float
v_sum(v16 v)
{
	__m256		s8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128		s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
	__m128		s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));

	return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

static INLINE float
v_largest(v16 v)
{
	return _mm512_reduce_max_ps(v);
}

static INLINE void
v_sum4(float *out, v16 a, v16 b, v16 c, v16 d)
{
	/* a and b, then c and d, with 8 lanes left each */
	v16			ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44),
								   _mm512_shuffle_f32x4(a, b, 0xee));
	v16			cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44),
								   _mm512_shuffle_f32x4(c, d, 0xee));

	/* all of them with 4 lanes left each, then 2, then 1 */
	v16			s4 = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88),
								   _mm512_shuffle_f32x4(ab, cd, 0xdd));
	v16			s2 = _mm512_add_ps(s4, _mm512_permute_ps(s4, 0x4e));
	v16			s1 = _mm512_add_ps(s2, _mm512_permute_ps(s2, 0xb1));

	/* to a register first: to memory it is microcode on some CPUs */
	_mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, s1)));
}

static INLINE i16
i_zero(void)
{
	return _mm512_setzero_si512();
}

static INLINE i16
i_add(i16 a, i16 b)
{
	return _mm512_add_epi32(a, b);
}

static INLINE int32_t
i_sum(i16 a)
{
	return _mm512_reduce_add_epi32(a);
}

static INLINE i16
i_round(v16 v)
{
	return _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v);
}

static INLINE void
i_store_int8(int8_t *p, i16 a)
{
	_mm_storeu_si128((__m128i *) p, _mm512_cvtsepi32_epi8(a));
}

static INLINE void
i_store_int8_n(int8_t *p, i16 a, int n)
{
	_mm_mask_storeu_epi8(p, first_lanes(n), _mm512_cvtsepi32_epi8(a));
}

#define V_TOKENS 4

#endif							/* BN_X86_AVX512_H */
