/*-------------------------------------------------------------------------
 *
 * readahead.h
 *	  Reading a file into memory that is new, with the waiting done by threads.
 *
 * src/core/readahead.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_READAHEAD_H
#define BN_READAHEAD_H

#include <stddef.h>
#include <stdint.h>

typedef struct bn_readahead bn_readahead;

/* Memory that it needs, some megabytes. */
extern size_t bn_readahead_size(void);

/*
 * Reads up to len bytes of the file from offset on, and returns how many; 0 or
 * less at the end and for an error.  Runs in a thread.
 */
typedef ptrdiff_t (*bn_read_fn) (void *file, uint64_t offset, void *buf, size_t len);

/*
 * Begins, in that much room, to read the bytes [begin, end) of a file, in order,
 * some megabytes ahead, and to touch every page of memory[memory_bytes], which
 * leaves its bytes as they are and is no obstacle to using them.  NULL if there
 * is no thread to be had, or nothing to read.  Room, file and memory must stay
 * until bn_readahead_stop.
 */
extern bn_readahead *bn_readahead_start(void *room, bn_read_fn read, void *file,
										uint64_t begin, uint64_t end,
										void *memory, size_t memory_bytes);

/*
 * Up to len of the bytes from offset on, waiting for the first of them.
 * Returns how many; 0 for bytes before those that were taken already or far behind
 * them, outside the range, or that could not be read: the caller then reads them
 * itself, and meets the error.  Bytes that are passed over are lost.
 */
extern size_t bn_readahead_take(bn_readahead *r, uint64_t offset, void *buf, size_t len);

/* Ends the threads, within milliseconds but for a read that is slow. */
extern void bn_readahead_stop(bn_readahead *r);

#endif							/* BN_READAHEAD_H */
