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

/* A summary of one text, UTF-8, of at most args->max_words words (summarize.c). */
extern BitnetText BitnetSummarize(const BitnetModel *model, const BitnetArgs *args,
								  BitnetText input);

/*
 * One round of summarising: the text is cut into parts that the model can
 * hold, and their summaries, one paragraph each, take its place.  The result
 * is at most half as long.
 */
extern BitnetText BitnetCondense(const BitnetModel *model, const BitnetArgs *args,
								 BitnetText input);

/*
 * Natural logarithm of the probability of each label as the whole answer
 * (classify.c); logprobs is [args->n_labels].  Returns the best one's number;
 * of equals, the first.
 */
extern int	BitnetClassify(const BitnetModel *model, const BitnetArgs *args,
						   BitnetText input, double *logprobs);

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

#endif							/* BITNET_FUNCTIONS_H */
