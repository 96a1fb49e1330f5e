/*-------------------------------------------------------------------------
 *
 * optimizer.h
 *	  The optimizers and the two-phase schedule.
 *
 * models/train/optimizer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include <stdatomic.h>

#include "model.h"

typedef struct optimizer
{
	real	   *first;			/* [n_params], mean of gradients */
	real	   *second;			/* [n_params], mean of their squares */
	int64_t		steps;
	atomic_int	next;			/* first segment of a matrix that no thread has taken in this step */
} optimizer;

/* What the schedule wants at one point of a stage. */
typedef struct step_rates
{
	double		rate;
	double		decay;			/* of the weights of linear layers only */
} step_rates;

extern void optimizer_init(optimizer *o, const model *m);

/*
 * The schedule of a stage at "progress" 0 to 1: warm-up, then a high rate that
 * falls slowly with weight decay on; from the middle on a lower one that falls
 * to zero, with weight decay off.
 */
extern step_rates schedule(double progress, double warmup, double peak, double decay);

/* Sum of squares of a range. */
extern double sum_of_squares(const real *x, size_t first, size_t last);

/*
 * muon.c: one step of a matrix; clears its gradient.  out and in are multiples
 * of 32; the scratch is for matrices of up to "size" numbers, whose shorter
 * side is up to "side".
 */
typedef struct muon_scratch muon_scratch;
extern muon_scratch *muon_scratch_new(int size, int side);
extern void muon_step(real *w, real *g, real *momentum, int out, int in, double clip, step_rates rates,
					  muon_scratch *scratch);

/* One step for part of the parameters; clears their gradient. */
extern void optimizer_step(optimizer *o, model *m, real *grad, double clip, step_rates rates, int part, int parts);

#endif							/* TRAIN_OPTIMIZER_H */
