/*-------------------------------------------------------------------------
 *
 * dataset.h
 *	  Training records and their way into batches.
 *
 * A file is a row of records: uint32 n, uint16 token[n], uint8 target[n],
 * little-endian.  target[i] says that token i is to be learnt (predicted from
 * the tokens before it).  Nothing comes before the first one, so target[0] is
 * free to hold the class of a text whose embedding is trained.
 *
 * models/train/dataset.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRAIN_DATASET_H
#define TRAIN_DATASET_H

#include "model.h"

typedef struct dataset
{
	const uint8_t *bytes;
	int			group;			/* records that stay together: 2 for pairs */
	int			n;				/* groups */
	size_t	   *at;				/* [n * group], offset of each record */
	uint32_t   *order;			/* [n], shuffled for the epoch */
	int			order_epoch;	/* what order holds, or -1 */
	uint64_t	seed;
	int64_t		tokens;
} dataset;

/* Where reading stands; kept in checkpoints. */
typedef struct cursor
{
	int32_t		epoch;
	int32_t		next;
} cursor;

/* Reads a file; ends the program with a message if it is missing or damaged.  Seed 0 keeps the order. */
extern void dataset_open(dataset *ds, const char *path, int group, int vocab, uint64_t seed);

/*
 * Fills a batch with the next records, as many as fit, each cut to "context"
 * tokens.  With "ids", also the number of each group.  Stops at the end of an
 * epoch if "once".  Returns the number of groups.
 */
extern int	dataset_fill(dataset *ds, cursor *c, batch *b, int context, bool once, int *ids);

#endif							/* TRAIN_DATASET_H */
