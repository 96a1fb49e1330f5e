/*-------------------------------------------------------------------------
 *
 * functions.h
 *	  The model functions as C functions, for SQL and for triggers alike.
 *
 * Input and instructions are UTF-8; results are SQL values in the current
 * memory context.
 *
 * src/pg/functions.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_FUNCTIONS_H
#define BITNET_FUNCTIONS_H

#include "options.h"
#include "registry.h"

/*
 * Answers to n prompts, in their order, in one batch (generate.c).  A prompt
 * without data gives NULL.
 */
extern text **BitnetGenerate(const BitnetModel *model, const BitnetArgs *args,
							 const BitnetText *prompts, int n);

/*
 * Summaries of n texts, UTF-8, of at most args->max_words words each
 * (summarize.c); empty for those that are blank.
 */
extern BitnetText *BitnetSummarize(const BitnetModel *model, const BitnetArgs *args,
								   const BitnetText *inputs, int n);

/*
 * Natural logarithm of the probability of each label as the whole answer, for
 * each of n texts (classify.c); logprobs is [n][args->n_labels].
 */
extern void BitnetClassify(const BitnetModel *model, const BitnetArgs *args,
						   const BitnetText *inputs, int n, double *logprobs);

/* The number of the most probable label; of equals, the first. */
extern int	BitnetBestLabel(const BitnetArgs *args, const double *logprobs);

/* Raises an error unless there are two labels or more, all different. */
extern void BitnetCheckLabels(const BitnetArgs *args);

/*
 * Unit vectors of n texts in one batch (embed.c); NULL for those without data
 * and those that are blank.  *dimensions is the length of each.
 */
extern float **BitnetEmbed(const BitnetModel *model, const BitnetArgs *args,
						   const BitnetText *inputs, int n, int *dimensions);

/* A real[] of a vector. */
extern ArrayType *BitnetVectorArray(const float *vector, int dimensions);

/*
 * The SQL functions over n rows in one batch.  fcinfo has the arguments that
 * all rows have in common.  The first of the function, the content, or the first
 * two of bitnet_similarity and bitnet_logprob, are in contents, one row after the
 * other.  Results are what the function returns for each row, in the current
 * memory context.
 */
typedef void (*BitnetRowsFunction) (FunctionCallInfo fcinfo, const NullableDatum *contents,
									NullableDatum *results, int n);

extern void BitnetGenerateRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
							   NullableDatum *results, int n);
extern void BitnetChatRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
						   NullableDatum *results, int n);
extern void BitnetSummarizeRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
								NullableDatum *results, int n);
extern void BitnetClassifyRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
							   NullableDatum *results, int n);
extern void BitnetEmbedRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
							NullableDatum *results, int n);
extern void BitnetSimilarityRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
								 NullableDatum *results, int n);
extern void BitnetLogprobRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
							  NullableDatum *results, int n);

/* The same for the row in fcinfo alone, as the SQL function. */
static inline Datum
BitnetOneRow(FunctionCallInfo fcinfo, BitnetRowsFunction rows)
{
	NullableDatum result;

	rows(fcinfo, fcinfo->args, &result, 1);
	fcinfo->isnull = result.isnull;
	return result.value;
}

/* The SQL functions that have such a form (each in its own file). */
extern PGDLLEXPORT Datum bitnet_generate(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum bitnet_chat(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum bitnet_summarize(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum bitnet_summarize_agg_finalfn(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum bitnet_summarize_collect_finalfn(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum bitnet_classify(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum bitnet_embed(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum bitnet_similarity(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum bitnet_logprob(PG_FUNCTION_ARGS);

#endif							/* BITNET_FUNCTIONS_H */
