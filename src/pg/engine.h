/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  Computing: the schedule that a process makes and the limits of it.
 *
 * src/pg/engine.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_ENGINE_H
#define BITNET_ENGINE_H

#include "channel.h"

/*
 * Sequences in the cache at the same time: what one pass over the weights
 * serves, of all runs and of one.
 */
#define BITNET_MAX_SEQUENCES 128
#define BITNET_RUN_SEQUENCES 64

/*
 * Tokens in a step.  More amortise reading the weights better, fewer let
 * interrupts and new work in sooner.
 */
#define BITNET_STEP_TOKENS 128

/*
 * A schedule in memory of that context; NULL: there is not so much memory.  An
 * error of the core is raised.
 */
extern bn_schedule *BitnetMakeSchedule(MemoryContext context, const bn_model *model,
									   const bn_kernels *kernels,
									   const bn_schedule_limits *limits);

/* Adds what was computed since "before" to the statistics of the model. */
extern void BitnetCountSteps(const char *model, const bn_schedule *schedule,
							 bn_schedule_stats *before);

#endif							/* BITNET_ENGINE_H */
