/*-------------------------------------------------------------------------
 *
 * batch_functions.h
 *	  Which functions and aggregates a batch scan can compute.
 *
 * src/pg/batch_functions.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_BATCH_FUNCTIONS_H
#define BITNET_BATCH_FUNCTIONS_H

#include "functions.h"

/* A function of which the calls of many rows can run together. */
typedef struct BitnetBatchFunction
{
	const char *symbol;
	PGFunction	function;
	BitnetRowsFunction rows;
	int			n_contents;		/* arguments that may differ within a batch */
} BitnetBatchFunction;

/* The one of that address; NULL if there is none. */
extern const BitnetBatchFunction *BitnetFindBatchFunction(PGFunction function);

/*
 * Does a call lead directly to one of them, or is this bitnet_summarize_agg, by
 * whatever name?  Answers are cached; needs a transaction.
 */
extern bool BitnetIsBatchFunction(Oid function);

/*
 * bitnet_summarize_agg(x) is bitnet_summarize(t, NULL, ...), t being what
 * bitnet_summarize_collect(x) gives.  Finds the two beside the aggregate; false
 * if they are not there, are not ours, or the role may not call them.
 */
extern bool BitnetFindPartsOfAggregate(Oid aggregate, Oid *collect, Oid *summarize);

#endif							/* BITNET_BATCH_FUNCTIONS_H */
