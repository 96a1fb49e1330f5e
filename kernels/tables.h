/*-------------------------------------------------------------------------
 *
 * tables.h
 *	  The tables of kernels that are compiled for this architecture.
 *
 * kernels/tables.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_TABLES_H
#define BN_TABLES_H

#include "kernels.h"

/*
 * clang before 16 declares the dot product intrinsics only where the whole
 * file is compiled for them.
 */
#if defined(__aarch64__) && \
	(!defined(__clang__) || __clang_major__ >= 16 || defined(__ARM_FEATURE_DOTPROD))
#define BN_HAVE_NEON_DOTPROD
#endif

extern const bn_kernels bn_kernels_scalar;

#if defined(__x86_64__)
extern const bn_kernels bn_kernels_avx2;
extern const bn_kernels bn_kernels_avx512vnni;
extern const bn_kernels bn_kernels_avx512vbmi;
#endif

#if defined(__aarch64__)
extern const bn_kernels bn_kernels_neon;
#endif

#ifdef BN_HAVE_NEON_DOTPROD
extern const bn_kernels bn_kernels_neon_dotprod;
#endif

/* For tables that have none of their own and do not prefer it */
extern void bn_scalar_ternary5_gemm(float *y, size_t ldy,
									const uint8_t *w, int rows, int cols, float w_scale,
									int group_begin, int group_end,
									const int8_t *q, const bn_quant *info, int n_tokens);

#endif							/* BN_TABLES_H */
