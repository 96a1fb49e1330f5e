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

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Adding and subtracting 1.5 * 2^52 rounds a double to an integer. */
#define ROUND_MAGIC 6755399441055744.0

static double
round_to_integer(double x)
{
	volatile double shifted = x + ROUND_MAGIC;

	return shifted - ROUND_MAGIC;
}

/* 2^n for normal results */
static double
power_of_two(int n)
{
	uint64_t	bits = (uint64_t) (n + 1023) << 52;
	double		result;

	memcpy(&result, &bits, sizeof(result));
	return result;
}

double
bn_exp(double x)
{
	/* log(2) as a sum whose first part times any exponent is exact */
	const double ln2_high = 6.93147180369123816490e-01;
	const double ln2_low = 1.90821492927058770002e-10;
	double		n;
	double		r;
	double		sum;
	int			k;
	int			half;

	if (x < -745.0)
		return 0.0;
	if (x > 709.78)
		return INFINITY;
	n = round_to_integer(x * 1.44269504088896338700);
	r = (x - n * ln2_high) - n * ln2_low;

	/* Taylor series by Horner; |r| <= 0.35, so r^14 / 14! is below 1e-17 */
	sum = 1.0;
	for (k = 13; k >= 1; k--)
		sum = 1.0 + sum * r / k;

	/* in two factors, so that results below the normal range round once */
	k = (int) n;
	half = k / 2;
	return sum * power_of_two(half) * power_of_two(k - half);
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
	double		n = round_to_integer(x * 6.36619772367581382433e-01);
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
