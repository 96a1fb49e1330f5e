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
#endif

#if defined(__aarch64__)
extern const bn_kernels bn_kernels_neon;
#endif

#ifdef BN_HAVE_NEON_DOTPROD
extern const bn_kernels bn_kernels_neon_dotprod;
#endif

#endif							/* BN_TABLES_H */
