/*-------------------------------------------------------------------------
 *
 * random.h
 *	  Numbers that are the same on every machine (SplitMix64).
 *
 * models/train/random.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRAIN_RANDOM_H
#define TRAIN_RANDOM_H

#include <math.h>
#include <stdint.h>

static inline uint64_t
random_next(uint64_t *state)
{
	uint64_t	z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Uniform in (0, 1) */
static inline double
random_uniform(uint64_t *state)
{
	return ((double) (random_next(state) >> 11) + 0.5) / 9007199254740992.0;
}

/* Standard normal (Box and Muller) */
static inline double
random_normal(uint64_t *state)
{
	double		radius = sqrt(-2 * log(random_uniform(state)));

	return radius * cos(6.283185307179586 * random_uniform(state));
}

#endif							/* TRAIN_RANDOM_H */
