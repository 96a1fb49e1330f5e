/*-------------------------------------------------------------------------
 *
 * inspect.h
 *	  Looking at a trained model: held-out answers, logits, generation.
 *
 * models/train/inspect.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRAIN_INSPECT_H
#define TRAIN_INSPECT_H

#include "train.h"

/* Prints loss and the share of exact answers over all records of a file. */
extern void inspect_eval(trainer *tr, const char *path);

/* Writes float32[vocab], the logits after the last of these ids. */
extern void inspect_logits(trainer *tr, const char *path, int n, char **ids);

/* Prints the ids that follow greedily. */
extern void inspect_generate(trainer *tr, int count, int n, char **ids);

#endif							/* TRAIN_INSPECT_H */
