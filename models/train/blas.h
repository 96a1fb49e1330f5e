/*-------------------------------------------------------------------------
 *
 * blas.h
 *	  One name for the matrix product of BLAS at either precision.
 *
 * models/train/blas.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRAIN_BLAS_H
#define TRAIN_BLAS_H

#include "matmul.h"

#include <cblas.h>

enum
{
	PLAIN = CblasNoTrans,
	TRANSPOSED = CblasTrans
};

/* c[m][n] = alpha * a * b + beta * c, rows of each so many numbers apart */
static inline void
blas_gemm(int trans_a, int trans_b, int m, int n, int k, real alpha, const real *a, int lda,
		  const real *b, int ldb, real beta, real *c, int ldc)
{
	if (sizeof(real) == sizeof(double))
		cblas_dgemm(CblasRowMajor, (CBLAS_TRANSPOSE) trans_a, (CBLAS_TRANSPOSE) trans_b, m, n, k, alpha,
					(const void *) a, lda, (const void *) b, ldb, beta, (void *) c, ldc);
	else
		cblas_sgemm(CblasRowMajor, (CBLAS_TRANSPOSE) trans_a, (CBLAS_TRANSPOSE) trans_b, m, n, k, alpha,
					(const void *) a, lda, (const void *) b, ldb, beta, (void *) c, ldc);
}

#endif							/* TRAIN_BLAS_H */
