/*-------------------------------------------------------------------------
 *
 * samples.c
 *	  Medians and quartiles of what several rounds gave.
 *
 * test/bench/samples.c
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

void
samples_add(samples *s, double value)
{
	s->value[s->n++] = value;
}

/* Between two samples, the value on the line that connects them. */
double
samples_quantile(const samples *s, double part)
{
	double		sorted[2 * MAX_ROUNDS];
	double		at = part * (s->n - 1);
	int			below = (int) at;

	if (s->n == 0)
		return 0;
	memcpy(sorted, s->value, sizeof(double) * (size_t) s->n);
	qsort(sorted, (size_t) s->n, sizeof(double), compare_double);
	if (below >= s->n - 1)
		return sorted[s->n - 1];
	return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

double
samples_median(const samples *s)
{
	return samples_quantile(s, 0.5);
}
