/*-------------------------------------------------------------------------
 *
 * x86_avx512vnni.c
 *	  Kernels for x86-64 with AVX-512 F, DQ, BW, VL and VNNI.
 *
 * kernels/x86_avx512vnni.c
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
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")
#endif

#include "x86_avx512.h"
#include "lanes.h"
#include "x86_vnni.h"

#define TERNARY(name) ternary_##name
#define QUADS 4
#define expand_tile four_codes
#include "x86_vnni_ternary.h"

const bn_kernels bn_kernels_avx512vnni = {
	.name = "avx512vnni",
	.description = "x86-64 with AVX-512 and VNNI",
	.supported = bn_cpu_has_avx512vnni,
	.ternary_gemm = ternary_gemm,
	.ternary5_gemm = bn_scalar_ternary5_gemm,
	LANES_MEMBERS
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif							/* __x86_64__ */
