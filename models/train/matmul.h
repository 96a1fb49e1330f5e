/*-------------------------------------------------------------------------
 *
 * matmul.h
 *	  The three matrix products of a linear layer: forward, gradient of its
 *	  input, gradient of its weights.
 *
 * Operands are mm_t: bfloat16 where the processor multiplies it natively
 * (AVX512_BF16), else real numbers given to BLAS.  Sums are always real.
 * bfloat16 holds every integer up to 256, so ternary codes and int8
 * activations lose nothing, and the forward product of quantised operands is
 * exact; only gradients are rounded, and may be to int8 where they meet ternary
 * weights or int8 activations (AVX512_VNNI).
 *
 * models/train/matmul.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRAIN_MATMUL_H
#define TRAIN_MATMUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef REAL
#define REAL float
#endif
typedef REAL real;

/* The build with REAL=double is for the gradient check alone. */
#if defined(__AVX512BF16__) && !defined(TRAIN_BLAS_ONLY)
#define MM_BF16 1
typedef uint16_t mm_t;
#else
typedef real mm_t;
#endif

/* Rows of every product are a multiple of this. */
#define MM_ROWS 16

/* A weight matrix [out][in], prepared for both directions. */
typedef struct mm_weight
{
	int			out;
	int			in;
	bool		ternary;		/* held as bytes */
	mm_t	   *forward;
	mm_t	   *backward;
} mm_weight;

/* A real number as an operand, rounded to nearest even. */
static inline mm_t
mm_put(real value)
{
#ifdef MM_BF16
	uint32_t	bits;
	float		f = value;

	memcpy(&bits, &f, sizeof(bits));
	return (mm_t) ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
#else
	return value;
#endif
}

static inline real
mm_get(mm_t value)
{
#ifdef MM_BF16
	uint32_t	bits = (uint32_t) value << 16;
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
#else
	return value;
#endif
}

/* Allocates zeroed memory aligned for vectors, or ends the program. */
extern void *mm_alloc(size_t bytes);

/* Takes the memory for a matrix; out and in are multiples of 32. */
extern void mm_weight_init(mm_weight *w, int out, int in);

/*
 * Prepares rows [first, last) of the values [out][in]; both multiples of 32.
 * "ternary" promises that all are -1, 0 or 1, and that operands of the forward
 * product are integers from -127 to 127.
 */
extern void mm_weight_set(mm_weight *w, const real *values, int first, int last, bool ternary);

/* y[rows][out] = x[rows][in] * w' */
extern void mm_forward(real *y, const mm_t *x, const mm_weight *w, int rows);

/* dx[rows][in] = dy[rows][out] * w */
extern void mm_input_grad(real *dx, const mm_t *dy, const mm_weight *w, int rows);

/* Elements of scratch that mm_weight_grad() wants. */
extern size_t mm_scratch_size(int rows, int out, int in);

/* dw[out][in] += dy[rows][out]' * x[rows][in].  "integers" promises that x are some, from -127 to 127. */
extern void mm_weight_grad(real *dw, const mm_t *dy, const mm_t *x, int rows, int out, int in, mm_t *scratch, bool integers);

#endif							/* TRAIN_MATMUL_H */
