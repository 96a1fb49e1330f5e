/*-------------------------------------------------------------------------
 *
 * works.h
 *	  Requests of all kinds with room for their results, which can be compared
 *	  as bytes.
 *
 * test/unit/works.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef WORKS_H
#define WORKS_H

#include "model_file.h"

#define N_WORKS 64
#define GROUP 8					/* requests with a common beginning */
#define MAX_PROMPT 128
#define MAX_OUTPUT 24
#define MAX_WIDTH 256
#define LARGE_CACHE ((int64_t) 256 * 1024 * 1024)

/* One request with room for its results. */
typedef struct work
{
	bn_request	request;
	int32_t		tokens[MAX_PROMPT];
	int32_t		output[MAX_OUTPUT];
	float		embedding[MAX_WIDTH];
	bn_candidate candidates[MAX_OUTPUT];
} work;

/* What came out of a request, without holes, to be compared as bytes. */
typedef struct result
{
	int32_t		n_output;
	int32_t		finish;
	int32_t		is_greedy;
	int32_t		output[MAX_OUTPUT];
	int32_t		candidate_token[MAX_OUTPUT];
	double		candidate_logprob[MAX_OUTPUT];
	double		logprob;
	float		embedding[MAX_WIDTH];
} result;

/*
 * N_WORKS of them.  The first of a group has a prompt of its own; the others
 * begin with some of it, the third with some of the second.
 */
extern void works_make(work *works, const bn_model *model);

/* The request, ready to run, with its results made unlike any. */
extern bn_request works_request(work *w);

/* Reads the results of a request that has run. */
extern void works_result(result *out, const work *w, const bn_request *r, int width);

/* Numbers without an order, the same on every machine. */
extern uint32_t works_random(uint32_t *state);

/*
 * Runs each alone, in one thread and with a schedule of its own; returns how
 * many prompt tokens were computed, or -1.
 */
extern int64_t works_alone(work *works, const model_file *m, const bn_kernels *kernels,
						   int32_t max_step_tokens, result *results);

#endif							/* WORKS_H */
