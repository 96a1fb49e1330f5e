/*-------------------------------------------------------------------------
 *
 * exp.h
 *	  Constants of the exponential function; scalar.c says how it works.
 *
 * kernels/exp.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_EXP_H
#define BN_EXP_H

/* just above -126 ln 2, so that no result is denormal */
#define BN_EXP_LOWEST (-0x1.5d58p+6f)

#define BN_EXP_LOG2E 0x1.715476p+0f

/* ln 2 in two parts; the first has 16 bits, and n needs at most 7 more */
#define BN_EXP_LN2_HIGH 0x1.62e4p-1f
#define BN_EXP_LN2_LOW 0x1.7f7d1cp-20f

/*
 * (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2, fitted for the least maximum of
 * the relative error of exp(r), which is 0.05 times 2^-24.
 */
#define BN_EXP_C2 0x1.fffffcp-2f
#define BN_EXP_C3 0x1.555492p-3f
#define BN_EXP_C4 0x1.5558f2p-5f
#define BN_EXP_C5 0x1.123a20p-7f
#define BN_EXP_C6 0x1.6a23d0p-10f

#endif							/* BN_EXP_H */
