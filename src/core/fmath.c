/*-------------------------------------------------------------------------
 *
 * fmath.c
 *	  Elementary functions in double that give the same bits everywhere.
 *
 * src/core/fmath.c
 *
 *-------------------------------------------------------------------------
 */
#include "fmath.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Adding and subtracting 1.5 * 2^52 rounds a double to an integer, if a sum of doubles is a double. */
#define ROUND_MAGIC 6755399441055744.0

_Static_assert(FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16, "double is computed with more precision");

/* Below it results would be denormal; above, infinite. */
#define EXP_LOWEST (-708.0)
#define EXP_HIGHEST 709.78

/* e^x within these bounds, some other number elsewhere; no branch, so that a loop over it can be vectorised */
static inline double
exp_within(double x)
{
	/* log(2) as a sum whose first part times any exponent is exact */
	const double ln2_high = 6.93147180369123816490e-01;
	const double ln2_low = 1.90821492927058770002e-10;

	/* rounded to an integer n, which is in the lowest bits of the sum */
	double		shifted = x * 1.44269504088896338700 + ROUND_MAGIC;
	double		n = shifted - ROUND_MAGIC;
	double		r = (x - n * ln2_high) - n * ln2_low;
	double		sum = 1.0 / 6227020800;
	double		power;
	uint64_t	bits;

	/* Taylor series by Horner; |r| <= 0.35, so r^14 / 14! is below 1e-17 */
	sum = 1.0 / 479001600 + sum * r;
	sum = 1.0 / 39916800 + sum * r;
	sum = 1.0 / 3628800 + sum * r;
	sum = 1.0 / 362880 + sum * r;
	sum = 1.0 / 40320 + sum * r;
	sum = 1.0 / 5040 + sum * r;
	sum = 1.0 / 720 + sum * r;
	sum = 1.0 / 120 + sum * r;
	sum = 1.0 / 24 + sum * r;
	sum = 1.0 / 6 + sum * r;
	sum = 0.5 + sum * r;
	sum = 1.0 + sum * r;
	sum = 1.0 + sum * r;

	/* times 2^n, as 2 * 2^(n - 1), since 2^n may be beyond the range */
	memcpy(&bits, &shifted, sizeof(bits));
	bits = (bits + 1022) << 52;
	memcpy(&power, &bits, sizeof(power));
	return (sum + sum) * power;
}

double
bn_exp(double x)
{
	if (x < EXP_LOWEST)
		return 0.0;
	return x > EXP_HIGHEST ? INFINITY : exp_within(x);
}

void
bn_exp_all(double *x, int n)
{
	for (int i = 0; i < n; i++)
	{
		double		e = exp_within(x[i]);

		x[i] = x[i] < EXP_LOWEST ? 0.0 : e;
	}
}

double
bn_log(double x)
{
	uint64_t	bits;
	int			exponent;
	double		m;
	double		s;
	double		s2;
	double		sum = 0.0;
	int			k;

	/* x = m * 2^exponent with sqrt(1/2) <= m < sqrt(2) */
	memcpy(&bits, &x, sizeof(bits));
	exponent = (int) ((bits >> 52) & 0x7ff) - 1023;
	bits = (bits & UINT64_C(0xfffffffffffff)) | UINT64_C(0x3ff0000000000000);
	memcpy(&m, &bits, sizeof(m));
	if (m >= 1.41421356237309514547)
	{
		m *= 0.5;
		exponent++;
	}

	/* log m = 2 artanh s = 2 (s + s^3/3 + ...), |s| <= 0.1716 */
	s = (m - 1.0) / (m + 1.0);
	s2 = s * s;
	for (k = 25; k >= 3; k -= 2)
		sum = (sum + 1.0 / k) * s2;
	return exponent * 1.90821492927058770002e-10 + 2.0 * (s + s * sum) +
		exponent * 6.93147180369123816490e-01;
}

void
bn_sincos(double x, double *sine, double *cosine)
{
	/* pi / 2 in three parts; the first two have 33 bits, so n * part is exact */
	const double part1 = 1.57079632673412561417e+00;
	const double part2 = 6.07710050630396597660e-11;
	const double part3 = 2.02226624879595063154e-21;
	double		n = (x * 6.36619772367581382433e-01 + ROUND_MAGIC) - ROUND_MAGIC;
	double		r = ((x - n * part1) - n * part2) - n * part3;
	double		r2 = r * r;
	double		s = 1.0;
	double		c = 1.0;
	int			k;

	/* Taylor series; |r| <= pi / 4 */
	for (k = 18; k >= 2; k -= 2)
	{
		s = 1.0 - s * r2 / ((double) k * (k + 1));
		c = 1.0 - c * r2 / ((double) k * (k - 1));
	}
	s *= r;

	switch ((int64_t) n & 3)
	{
		case 0:
			*sine = s;
			*cosine = c;
			break;
		case 1:
			*sine = c;
			*cosine = -s;
			break;
		case 2:
			*sine = -s;
			*cosine = -c;
			break;
		default:
			*sine = -c;
			*cosine = s;
			break;
	}
}
