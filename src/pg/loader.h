/*-------------------------------------------------------------------------
 *
 * loader.h
 *	  From the name of a model to its image in dynamic shared memory.
 *
 * src/pg/loader.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_LOADER_H
#define BITNET_LOADER_H

#include "storage/dsm.h"

#include "files.h"

#include "../core/model.h"

/* An image that belongs to this process only, until it is pinned. */
typedef struct BitnetImage
{
	dsm_segment *segment;		/* owned by the current resource owner */
	uint64		offset;			/* of the image in the segment */
	uint64		size;			/* of the image */
	BitnetFileIdentity file;
} BitnetImage;

/*
 * Reads a model file and builds its image in a new segment, which is mapped
 * read-only where the system can do that.  A file that is no good gives a
 * status and *err; lack of shared memory raises an error.  Cancellable.
 */
extern bn_status BitnetReadModelFile(const char *name, const char *path,
									 BitnetImage *image, bn_error *err);

/* Makes the mapping of a finished image read-only where that is possible. */
extern void BitnetProtectSegment(dsm_segment *segment);

/*
 * Puts a segment into this process's page table.  Pages that are met one by one
 * cost a fault each, which together takes more than twice as long.  Only a matter
 * of speed: does nothing where the system cannot do it.
 */
extern void BitnetMapSegment(dsm_segment *segment);

/* Is the segment a part of main shared memory (min_dynamic_shared_memory)? */
extern bool BitnetSegmentIsMain(dsm_handle handle);

#endif							/* BITNET_LOADER_H */
