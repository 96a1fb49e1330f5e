/*-------------------------------------------------------------------------
 *
 * source.h
 *	  How the core reads a file and asks whether to go on.
 *
 * src/core/source.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_SOURCE_H
#define BN_SOURCE_H

#include <stdbool.h>

#include "error.h"

/*
 * A file of known size.  read() fills exactly len bytes from offset or returns
 * an error; it is never asked for bytes beyond size.  It must not longjmp.
 */
typedef struct bn_source
{
	bn_status	(*read) (void *ctx, uint64_t offset, void *buf, size_t len,
						 bn_error *err);
	void	   *ctx;
	uint64_t	size;
} bn_source;

/*
 * Callbacks of long work; either pointer may be NULL.  They read flags and
 * return; they must not longjmp.  Long work asks should_stop at least every
 * 50 ms and then returns BN_ERR_CANCELED.
 */
typedef struct bn_hooks
{
	bool		(*should_stop) (void *ctx);
	void		(*progress) (void *ctx, uint64_t done, uint64_t total);
	void	   *ctx;
} bn_hooks;

static inline bool
bn_should_stop(const bn_hooks *hooks)
{
	return hooks && hooks->should_stop && hooks->should_stop(hooks->ctx);
}

#endif							/* BN_SOURCE_H */
