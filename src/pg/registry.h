/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  The models that this server has in shared memory.
 *
 * src/pg/registry.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_REGISTRY_H
#define BITNET_REGISTRY_H

#include "fmgr.h"
#include "datatype/timestamp.h"

#include "../core/model.h"
#include "loader.h"

/* How many models a server may have in memory at a time */
#define BITNET_MAX_MODELS 8

/*
 * Names the layout of what processes of the server share.  Processes of which
 * it differs, since the library's file was replaced in between, must not read
 * each other's.
 */
#define BITNET_LAYOUT_LENGTH 48
extern const char *BitnetLayout(void);

/* A model mapped into this process. */
typedef struct BitnetModel
{
	bn_model	model;			/* pointers into the mapping */
	char		name[NAMEDATALEN];
	uint64		generation;		/* of the load this mapping belongs to */
	struct dsm_segment *segment;
	int			pins;			/* statements that use the mapping */
} BitnetModel;

/*
 * The model of that name (NULL: the setting bitnet.model), attached to this
 * process and loaded first if the server has not got it.  Waits for a load in
 * progress.  Raises an error if there is no such model or its file is bad.
 *
 * The mapping stays what it is until flinfo's memory context is reset, that is,
 * to the end of the statement that calls the function, or where a language keeps
 * flinfo, of the transaction: a model that is replaced meanwhile serves the next.
 */
extern const BitnetModel *BitnetGetModel(FmgrInfo *flinfo, const char *name);

/* For code that has no FmgrInfo: pinned until the context is reset, or the transaction ends. */
extern const BitnetModel *BitnetPinModel(MemoryContext context, const char *name);

/*
 * Loads the model if the server has not got it; true if this call did it.
 * force_reload: even then.
 */
extern bool BitnetLoadModel(const char *name, bool force_reload);

/* Forgets the model; returns the bytes of its segment, 0 if it was not loaded. */
extern uint64 BitnetUnloadModel(const char *name);

/* Is the image of that load the one that the model's name stands for? */
extern bool BitnetIsRegistered(uint64 generation);

/* That image, until it is detached; NULL if it is not there any more. */
extern const BitnetModel *BitnetAttachGeneration(const char *name, uint64 generation);
extern void BitnetDetachGeneration(const BitnetModel *model);

/* What the server knows of a model that it has, or had, in shared memory. */
typedef struct BitnetModelInfo
{
	char		name[NAMEDATALEN];	/* empty: the place is free */
	char		path[MAXPGPATH];
	BitnetFileIdentity file;
	uint64		generation;		/* 0: not loaded */
	dsm_handle	handle;
	uint64		image_offset;	/* in the segment, whose address is aligned */
	uint64		image_size;
	uint64		segment_size;
	char		architecture[64];
	int64		n_parameters;
	int32		context_length;
	int32		vocab_size;
	uint64		checksum;
	int64		loads;			/* since the server started */
	TimestampTz loaded_at;
} BitnetModelInfo;

/*
 * Copies what is known of all models to info[BITNET_MAX_MODELS]; returns how
 * many there are, unloaded ones included.
 */
extern int	BitnetListModels(BitnetModelInfo *info);

/* What was computed with a model; times in milliseconds. */
typedef struct BitnetModelStats
{
	int64		calls;
	int64		texts;			/* rows of queries, elements of arrays */
	int64		prompt_tokens;	/* computed, or taken from the cache */
	int64		cached_tokens;
	int64		output_tokens;
	double		queue_time;		/* sums over the calls */
	double		prefill_time;
	double		decode_time;
	int64		steps;
	int64		sequence_steps; /* sum over steps of the sequences in them */
	int64		drafted_tokens; /* guessed and tried; how many came out is the next */
	int64		accepted_tokens;
	int64		cancels;
	int64		errors;
} BitnetModelStats;

/* Adds to the statistics of a model, which outlive its being unloaded. */
extern void BitnetCount(const char *model, const BitnetModelStats *more);

typedef struct BitnetModelCount
{
	char		name[NAMEDATALEN];
	BitnetModelStats stats;
	TimestampTz since;			/* when counting began */
} BitnetModelCount;

/* The statistics of all models, counts[BITNET_MAX_MODELS]; returns how many. */
extern int	BitnetListCounts(BitnetModelCount *counts);

/* Begins to count anew; NULL: for all models.  False if there is no such model. */
extern bool BitnetResetCounts(const char *model);

/*
 * The segment of the board (board.h), or DSM_HANDLE_INVALID.  Offering one
 * returns the one that counts, which somebody else may have offered before.
 */
extern dsm_handle BitnetBoardHandle(void);
extern dsm_handle BitnetOfferBoard(dsm_handle handle);

/* Of the locks of all that is shared. */
extern int	BitnetTranche(void);

/* Gives up all mappings that no statement uses. */
extern void BitnetReleaseMappings(void);

/* While preloading: reserves what the registry needs. */
extern void BitnetRequestSharedMemory(void);

#endif							/* BITNET_REGISTRY_H */
