/*-------------------------------------------------------------------------
 *
 * muon.c
 *	  Muon: steps of momentum whose directions weigh the same.
 *
 * The momentum of a matrix is replaced by the nearest matrix with orthogonal
 * rows or columns (its singular values become 1), so that what occurs seldom
 * is learnt as fast as what occurs often.  The nearest one is approximated by
 * a few rounds of x <- x (a + b x'x + c (x'x)^2), which leaves the
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

#define MOMENTUM 0.95
#define ROUNDS 5
#define ADAM_RMS 0.2

/*
 * What the steps of one thread work in: matrices of up to "size" numbers, and
 * squares of their shorter side.  Products take bfloat16 where mm_t is that,
 * as the method's authors do.
 */
struct muon_scratch
{
	real	   *x;				/* [size] */
	real	   *turned;			/* [size] */
	real	   *gram;			/* [side][side] */
	real	   *square;			/* [side][side] */
	mm_t	   *x_operand;		/* [size] */
	mm_t	   *gram_operand;	/* [side][side] */
	mm_t	   *products;		/* of mm_weight_grad */
	mm_weight	polynomial;		/* [side][side] */
};

muon_scratch *
muon_scratch_new(int size, int side)
{
	muon_scratch *s = mm_alloc(sizeof(*s));
	size_t		square = (size_t) side * side;

	s->x = mm_alloc(sizeof(real) * size);
	s->turned = mm_alloc(sizeof(real) * size);
	s->gram = mm_alloc(sizeof(real) * square);
	s->square = mm_alloc(sizeof(real) * square);
	s->x_operand = mm_alloc(sizeof(mm_t) * size);
	s->gram_operand = mm_alloc(sizeof(mm_t) * square);
	s->products = mm_alloc(sizeof(mm_t) * mm_scratch_size(size, side, side));
	mm_weight_init(&s->polynomial, side, side);
	return s;
}

static void
to_operand(mm_t *restrict to, const real *restrict from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = mm_put(from[i]);
}

/* out[side][side] = x[rows][side]' x */
static void
gram(muon_scratch *s, real *out, const mm_t *x, int rows, int side)
{
	memset(out, 0, sizeof(real) * side * side);
	mm_weight_grad(out, x, x, rows, side, side, s->products, false);
}

/* x[rows][side], rows >= side, to about the nearest matrix with orthogonal columns */
static void
orthogonalize(muon_scratch *s, real *x, int rows, int side)
{
	size_t		n = (size_t) rows * side;
	size_t		square = (size_t) side * side;
	real		scale = 1 / (sqrt(sum_of_squares(x, 0, n)) + 1e-7);

	for (size_t i = 0; i < n; i++)
		x[i] *= scale;
	s->polynomial.out = s->polynomial.in = side;
	for (int round = 0; round < ROUNDS; round++)
	{
		to_operand(s->x_operand, x, n);
		gram(s, s->gram, s->x_operand, rows, side);
		to_operand(s->gram_operand, s->gram, square);
		gram(s, s->square, s->gram_operand, side, side);
		for (size_t i = 0; i < square; i++)
			s->square[i] = (real) 2.0315 * s->square[i] - (real) 4.7750 * s->gram[i];
		for (int i = 0; i < side; i++)
			s->square[(size_t) i * side + i] += (real) 3.4445;
		mm_weight_set(&s->polynomial, s->square, 0, side, false);
		mm_forward(x, s->x_operand, &s->polynomial, rows);
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
		  muon_scratch *s)
{
	size_t		n = (size_t) out * in;
	bool		wide = out < in;
	real	   *x = s->x;
	real		keep = 1 - rates.rate * rates.decay;
	real		rate = rates.rate * ADAM_RMS * sqrt((double) (wide ? in : out));

	for (size_t i = 0; i < n; i++)
	{
		real		d = g[i] * (real) clip;

		momentum[i] = (real) MOMENTUM * momentum[i] + d;
		x[i] = d + (real) MOMENTUM * momentum[i];
		g[i] = 0;
	}
	if (wide)
	{
		transpose(s->turned, x, out, in);
		orthogonalize(s, s->turned, in, out);
		transpose(x, s->turned, in, out);
	}
	else
		orthogonalize(s, x, out, in);
	for (size_t i = 0; i < n; i++)
		w[i] = w[i] * keep - rate * x[i];
}
