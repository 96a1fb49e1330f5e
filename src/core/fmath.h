/*-------------------------------------------------------------------------
 *
 * fmath.h
 *	  Elementary functions in double that give the same bits everywhere.
 *
 * The C library's differ between versions and machines; these use nothing but
 * IEEE additions, multiplications and divisions in a fixed order.  Their error
 * is a few units in the last place.
 *
 * src/core/fmath.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_FMATH_H
#define BN_FMATH_H

/* e^x; 0 below -708, infinity above 709.78 */
extern double bn_exp(double x);

/* The same of each of n numbers, at most 709, in place; several times as fast. */
extern void bn_exp_all(double *x, int n);

/* Natural logarithm of a positive, finite, normal number. */
extern double bn_log(double x);

/* Sine and cosine of an angle in radians, 0 <= x < 2^21. */
extern void bn_sincos(double x, double *sine, double *cosine);

#endif							/* BN_FMATH_H */
