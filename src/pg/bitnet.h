/*-------------------------------------------------------------------------
 *
 * bitnet.h
 *	  What all of the extension's PostgreSQL side shares: settings and errors.
 *
 * src/pg/bitnet.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_H
#define BITNET_H

#include "compat.h"

#include "../core/source.h"

/* Settings (bitnet.c) */
extern char *bitnet_model_directory;	/* may be empty: only the installed one */
extern char *bitnet_model;				/* bitnet.model */
extern char *bitnet_kernel;				/* "auto" or a kernel table's name */
extern char *bitnet_preload_models;
extern bool bitnet_preload_ignored;		/* it is set, but this is not preloaded */
extern int	bitnet_max_tokens;			/* default of max_tokens */
extern int	bitnet_max_tokens_limit;	/* most that max_tokens may be */
extern int	bitnet_kv_cache_size;		/* in MB, of an engine */
extern bool bitnet_shared_engine;		/* compute in one worker for all sessions */

/* The processors that this process may run on. */
extern int	BitnetProcessors(void);

/* The number of threads that a step may use now. */
extern int	BitnetThreads(void);

/*
 * False in a background worker of another extension: it may end within the
 * handler of a signal, and free what threads still use.
 */
extern bool BitnetMayHaveThreads(void);

/* The kernels of that name; NULL: this processor cannot run them. */
extern const struct bn_kernels *BitnetKernels(const char *name);

/*
 * Raises the error of the core as one of PostgreSQL's: message "primary"
 * (translated, complete), detail from err with the byte offset where there is
 * one, hint from err.  BN_ERR_CANCELED runs CHECK_FOR_INTERRUPTS first.
 */
pg_noreturn extern void BitnetReportError(const bn_error *err, const char *primary);

/* The same as a warning; hint (translated) comes behind that of err. */
extern void BitnetWarnOfError(const bn_error *err, const char *primary, const char *hint);

/* should_stop of PostgreSQL: a cancel, timeout or termination is pending. */
extern const bn_hooks bitnet_hooks;

#endif							/* BITNET_H */
