/*-------------------------------------------------------------------------
 *
 * muon.c
 *	  Muon: steps of momentum whose directions weigh the same.
 *
 * The momentum of a matrix is replaced by the nearest matrix with orthogonal
 * rows or columns (its singular values become 1), so that what occurs seldom
 * is learnt as fast as what occurs often.  The nearest one is approximated by
 * a few rounds of x <- a x + b (x x') x + c (x x')^2 x, which leaves the
 * singular values between about 0.7 and 1.2 (K. Jordan, "Muon: An optimizer
 * for hidden layers in neural networks", 2024).  Steps are scaled so that
 * their mean square is that of AdamW (J. Liu et al., "Muon is scalable for
 * LLM training", 2025), so that both take the same rates.
 *
 * models/train/muon.c
 *
 *-------------------------------------------------------------------------
 */
#include "optimizer.h"

#include <tgmath.h>

#include "blas.h"

#define MOMENTUM 0.95
#define ROUNDS 5
#define ADAM_RMS 0.2

/* x[m][n], m <= n, to about the nearest matrix with orthogonal rows; a, b: [m][m], y: [m][n] */
static void
orthogonalize(real *x, real *y, real *a, real *b, int m, int n)
{
	double		sum = sum_of_squares(x, 0, (size_t) m * n);
	real		scale = 1 / (sqrt(sum) + 1e-7);

	for (size_t i = 0; i < (size_t) m * n; i++)
		x[i] *= scale;
	for (int round = 0; round < ROUNDS; round++)
	{
		real	   *swap = x;

		blas_gemm(PLAIN, TRANSPOSED, m, m, n, 1, x, n, x, n, 0, a, m);
		memcpy(b, a, sizeof(real) * m * m);
		blas_gemm(PLAIN, PLAIN, m, m, m, (real) 2.0315, a, m, a, m, (real) -4.7750, b, m);
		for (int i = 0; i < m; i++)
			b[(size_t) i * m + i] += (real) 3.4445;
		blas_gemm(PLAIN, PLAIN, m, n, m, 1, b, m, x, n, 0, y, n);
		x = y;
		y = swap;
	}
}

static void
transpose(real *restrict to, const real *restrict from, int rows, int columns)
{
	for (int i = 0; i < rows; i++)
		for (int j = 0; j < columns; j++)
			to[(size_t) j * rows + i] = from[(size_t) i * columns + j];
}

void
muon_step(real *restrict w, real *restrict g, real *restrict momentum, int out, int in, double clip, step_rates rates,
		  real *scratch)
{
	size_t		n = (size_t) out * in;
	int			small = out < in ? out : in;
	int			large = out < in ? in : out;
	real	   *x = scratch;
	real	   *y = x + n;
	real	   *a = y + n;
	real	   *b = a + (size_t) small * small;
	real	   *step;
	real		keep = 1 - rates.rate * rates.decay;
	real		rate = rates.rate * ADAM_RMS * sqrt((double) large);

	for (size_t i = 0; i < n; i++)
	{
		real		d = g[i] * (real) clip;

		momentum[i] = (real) MOMENTUM * momentum[i] + d;
		y[i] = d + (real) MOMENTUM * momentum[i];
		g[i] = 0;
	}
	if (out > in)
		transpose(x, y, out, in);
	else
		memcpy(x, y, sizeof(real) * n);
	orthogonalize(x, y, a, b, small, large);
	/* An odd number of rounds ends in y. */
	step = y;
	if (out > in)
	{
		transpose(x, y, in, out);
		step = x;
	}
	for (size_t i = 0; i < n; i++)
		w[i] = w[i] * keep - rate * step[i];
}
