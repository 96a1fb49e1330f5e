/*-------------------------------------------------------------------------
 *
 * select.c
 *	  The list of kernel tables and the choice of one.
 *
 * kernels/select.c
 *
 *-------------------------------------------------------------------------
 */
#include "tables.h"

#include <string.h>

/*
 * This file decides whether AVX may be used, so it must run without; the same
 * holds for everything compiled with the same flags.  Each file of kernels
 * asks for its instructions itself.
 */
#if defined(__AVX__)
#error "compile for the baseline of the architecture, without -mavx or -march"
#endif

const bn_kernels *const bn_kernels_list[] = {
#if defined(__x86_64__)
	&bn_kernels_avx512vbmi,
	&bn_kernels_avx512vnni,
	&bn_kernels_avx2,
#endif
#ifdef BN_HAVE_NEON_DOTPROD
	&bn_kernels_neon_dotprod,
#endif
#if defined(__aarch64__)
	&bn_kernels_neon,
#endif
	&bn_kernels_scalar,
	NULL
};

const bn_kernels *
bn_kernels_select(const char *name)
{
	bool		best = name == NULL || strcmp(name, "auto") == 0;

	for (int i = 0; bn_kernels_list[i] != NULL; i++)
	{
		const bn_kernels *k = bn_kernels_list[i];

		if ((best || strcmp(name, k->name) == 0) && k->supported())
			return k;
	}
	return NULL;
}
