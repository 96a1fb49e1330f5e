/*-------------------------------------------------------------------------
 *
 * error.h
 *	  Status codes and error detail of the core.
 *
 * The core never prints, exits, aborts or jumps: every function that can fail
 * returns a bn_status, and says in a bn_error (which may be NULL) what was
 * wrong and where.  The caller turns that into its own kind of error.
 *
 * src/core/error.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_ERROR_H
#define BN_ERROR_H

#include <stddef.h>
#include <stdint.h>

typedef enum bn_status
{
	BN_OK = 0,
	BN_ERR_TRUNCATED,			/* the file ends before what it announces */
	BN_ERR_FORMAT,				/* the bytes contradict the format or each other */
	BN_ERR_UNSUPPORTED,			/* valid, but not something this build can run */
	BN_ERR_LIMIT,				/* larger than a limit of the product */
	BN_ERR_NOSPACE,				/* the caller's memory (or KV cache) is too small */
	BN_ERR_IO,					/* bn_source failed; sys_errno is set */
	BN_ERR_CANCELED,			/* should_stop said so */
	BN_ERR_INVALID,				/* an argument is outside its range */
	BN_ERR_NUMERIC				/* the model produced a value that is not finite */
} bn_status;

/* Offset of an error that has no place in a file. */
#define BN_NO_OFFSET UINT64_MAX

typedef struct bn_error
{
	bn_status	code;
	int			sys_errno;		/* for BN_ERR_IO, else 0 */
	uint64_t	offset;			/* byte in the file, or BN_NO_OFFSET */
	char		detail[256];	/* a clause without final full stop */
	char		hint[256];		/* a full sentence, or empty */
} bn_error;

/*
 * Fills *err (if not NULL) and returns code.  The format knows %s, %d (int),
 * %u (uint32_t), %ld (int64_t), %lu (uint64_t) and %%; it is our own so that
 * the core needs no stdio.  Bytes of %s outside printable ASCII are shown as
 * '?', because they may come from a hostile file.
 */
#define bn_fail(err, code, offset, ...) \
	(bn_set_error((err), (code), (offset), __VA_ARGS__), bn_returned(code))

/* Adds a hint to an error already made; same format; returns code. */
#define bn_hint(err, code, ...) \
	(bn_set_hint((err), __VA_ARGS__), bn_returned(code))

/*
 * These two do the work.  The macros are there so that the compiler sees which
 * status is returned, and that it is not BN_OK.
 */
extern void bn_set_error(bn_error *err, bn_status code, uint64_t offset,
						 const char *fmt,...);
extern void bn_set_hint(bn_error *err, const char *fmt,...);

static inline bn_status
bn_returned(bn_status code)
{
	return code;
}

/* The formatter itself: always terminates buf; returns the length written. */
extern size_t bn_format(char *buf, size_t size, const char *fmt,...);

#define BN_TRY(expr) \
	do { \
		bn_status	bn_try_status_ = (expr); \
		if (bn_try_status_ != BN_OK) \
			return bn_try_status_; \
	} while (0)

#endif							/* BN_ERROR_H */
