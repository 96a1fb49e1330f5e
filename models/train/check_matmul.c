/*-------------------------------------------------------------------------
 *
 * check_matmul.c
 *	  Checks the matrix products against plain sums, as they are built here.
 *
 * Integer operands must give exact results.  Gradients of and behind ternary
 * weights may be rounded to int8; the check bounds what that costs.
 *
 * models/train/check_matmul.c
 *
 *-------------------------------------------------------------------------
 */
#include "matmul.h"

#include <math.h>
#include <stdio.h>

#include "random.h"

#define ROWS 528				/* more than one block of rows, and not a multiple of one */
#define OUT 96
#define IN 160

static real weight[OUT * IN];
static mm_t x[ROWS * IN] __attribute__((aligned(64)));
static mm_t dy[ROWS * OUT] __attribute__((aligned(64)));
static real y[ROWS * OUT];
static real dx[ROWS * IN];
static real dw[OUT * IN];

/* Root mean square of the error against that of the right values. */
typedef struct error
{
	double		difference;
	double		right;
} error;

static void
compare(error *e, double right, double got)
{
	e->difference += (got - right) * (got - right);
	e->right += right * right;
}

static bool
report(const char *what, bool ternary, error e, double limit)
{
	double		relative = sqrt(e.difference / e.right);
	bool		ok = relative <= limit;

	printf("%s %-9s %-16s %.1e\n", ok ? "ok    " : "FAILED", ternary ? "ternary" : "plain", what, relative);
	return ok;
}

static bool
check(bool ternary)
{
	mm_t	   *scratch = mm_alloc(sizeof(mm_t) * mm_scratch_size(ROWS, OUT, IN));
	mm_weight	w;
	error		forward = {0};
	error		input = {0};
	error		weights = {0};
	bool		ok;

	mm_weight_init(&w, OUT, IN);
	mm_weight_set(&w, weight, 0, OUT / 2 / 32 * 32, ternary);
	mm_weight_set(&w, weight, OUT / 2 / 32 * 32, OUT, ternary);
	mm_forward(y, x, &w, ROWS);
	mm_input_grad(dx, dy, &w, ROWS);
	for (int i = 0; i < OUT * IN; i++)
		dw[i] = i % 7;
	mm_weight_grad(dw, dy, x, ROWS, OUT, IN, scratch, ternary);

	for (int t = 0; t < ROWS; t++)
		for (int n = 0; n < OUT; n++)
		{
			double		sum = 0;

			for (int k = 0; k < IN; k++)
				sum += mm_get(x[t * IN + k]) * weight[n * IN + k];
			compare(&forward, sum, y[t * OUT + n]);
		}
	for (int t = 0; t < ROWS; t++)
		for (int k = 0; k < IN; k++)
		{
			double		sum = 0;

			for (int n = 0; n < OUT; n++)
				sum += mm_get(dy[t * OUT + n]) * weight[n * IN + k];
			compare(&input, sum, dx[t * IN + k]);
		}
	for (int n = 0; n < OUT; n++)
		for (int k = 0; k < IN; k++)
		{
			double		sum = (n * IN + k) % 7;

			for (int t = 0; t < ROWS; t++)
				sum += mm_get(dy[t * OUT + n]) * mm_get(x[t * IN + k]);
			compare(&weights, sum, dw[n * IN + k]);
		}
	ok = report("forward", w.ternary, forward, 0);
	ok &= report("input gradient", w.ternary, input, w.ternary ? 0.02 : 1e-6);
	ok &= report("weight gradient", w.ternary, weights, w.ternary ? 0.02 : 1e-6);
	return ok;
}

int
main(void)
{
	uint64_t	state = 3;
	bool		ok;

	for (int i = 0; i < OUT * IN; i++)
		weight[i] = (int) (random_next(&state) % 3) - 1;
	for (int i = 0; i < ROWS * IN; i++)
		x[i] = mm_put((int) (random_next(&state) % 255) - 127);
	for (int i = 0; i < ROWS * OUT; i++)
		dy[i] = mm_put(random_normal(&state));
	ok = check(false);
	ok &= check(true);
	printf(ok ? "all products are right\n" : "products are WRONG\n");
	return ok ? 0 : 1;
}
