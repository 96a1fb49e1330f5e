/*-------------------------------------------------------------------------
 *
 * preload.h
 *	  Loading models when the server starts.
 *
 * src/pg/preload.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_PRELOAD_H
#define BITNET_PRELOAD_H

/*
 * Registers the worker that loads bitnet.preload_models, if there are any.
 * Only while shared_preload_libraries is processed.
 */
extern void BitnetRegisterPreloadWorker(void);

#endif							/* BITNET_PRELOAD_H */
