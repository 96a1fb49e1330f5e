/*-------------------------------------------------------------------------
 *
 * board.h
 *	  What sessions and engines tell each other in shared memory.
 *
 * Each process of the server has a desk, where it says what it wants to have
 * computed, and by which engine.  Only its owner puts something there or takes
 * it away; an engine looks at the desks and writes down how far it is.
 *
 * src/pg/board.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_BOARD_H
#define BITNET_BOARD_H

#include "datatype/timestamp.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"

#include "../core/schedule.h"
#include "registry.h"

/* Engines at a time: of what is loaded, and of what was and is still in use. */
#define BITNET_MAX_ENGINES (2 * BITNET_MAX_MODELS)

/* An engine, as those name it who have to do with it. */
typedef struct BitnetEngineRef
{
	int			index;
	uint64		number;			/* never used twice; 0: none */
} BitnetEngineRef;

/* What a worker is told at its start: bgw_extra. */
typedef struct BitnetEngineOrder
{
	uint64		number;
	char		layout[BITNET_LAYOUT_LENGTH];
} BitnetEngineOrder;

typedef enum BitnetPhase
{
	BITNET_QUEUED = 0,
	BITNET_PREFILL,
	BITNET_DECODE
} BitnetPhase;

/* What a process runs, as its owner describes it. */
typedef struct BitnetActivity
{
	int			pid;
	Oid			database;
	Oid			role;
	char		model[NAMEDATALEN];
	char		function[NAMEDATALEN];
	TimestampTz started;		/* of all that is counted here */
	double		rows_total;		/* of a query: the planner's guess */
	double		rows_before;	/* done before this run */
	double		rows_here;		/* of this run */
	int32		n_requests;		/* the same in requests */
	int32		n_before;
	int64		prompt_tokens;	/* before */
	int64		cached_tokens;
	int64		output_tokens;
} BitnetActivity;

/* How far a run has come since it was posted. */
typedef struct BitnetProgress
{
	BitnetPhase phase;
	int32		n_finished;		/* requests */
	int64		prompt_tokens;
	int64		cached_tokens;
	int64		output_tokens;
} BitnetProgress;

/* Tells layouts of the board from each other: size of one with a single desk. */
extern const Size bitnet_board_bytes;

/*
 * Attaches the board, which the first who asks for it makes.  False if there is
 * no memory for it.
 */
extern bool BitnetAttachBoard(void);

/* A segment that belongs to the current resource owner; NULL: there is no memory. */
extern dsm_segment *BitnetCreateSegment(Size size);

/* ---- for those who want something computed ---- */

/*
 * Puts a channel (channel.h) on this process's desk for an engine, or, without
 * one, only says what the process computes by itself.
 */
extern void BitnetPost(BitnetEngineRef engine, dsm_handle channel,
					   const BitnetActivity *activity);

/*
 * Clears the desk.  An engine that was at work for it (not: done) stops that,
 * and the channel must not be read any more.
 */
extern void BitnetUnpost(bool done);

/* Writes down how far this process's own computing is. */
extern void BitnetReportOwn(const BitnetProgress *progress);

/*
 * The engine of the model, started if there is none; number 0: there is none,
 * and none can be had.  *started (NULL if it was there before) is for
 * BitnetEngineLives.
 */
extern BitnetEngineRef BitnetFindEngine(const BitnetModel *model,
										BackgroundWorkerHandle **started);

/* Is it running, or about to be?  Whether it has begun comes in *begun if that is not NULL. */
extern bool BitnetEngineLives(BitnetEngineRef engine, BackgroundWorkerHandle *started,
							  bool *begun);

/*
 * The registry has no longer an image of that generation: its engine ends as
 * soon as nothing runs.  With wait, if nothing does, not before that.
 */
extern void BitnetRetireEngine(uint64 generation, bool wait);

/* ---- for engines ---- */

/* What an engine was started for. */
typedef struct BitnetEngineTask
{
	char		model[NAMEDATALEN];
	uint64		generation;
} BitnetEngineTask;

/* Takes up the work; false if it came too late and is no longer wanted. */
extern bool BitnetBeginEngine(BitnetEngineRef engine, BitnetEngineTask *task);

/*
 * Gives it up: whoever still waits looks for another engine.  failed: it would
 * be of no use to start one at once.
 */
extern void BitnetEndEngine(BitnetEngineRef engine, bool failed);

/* Lets nobody find it any more, so that the next who looks for one starts another. */
extern void BitnetWithdrawEngine(BitnetEngineRef engine);

/* A number that changes when something was put on a desk or taken away. */
extern uint32 BitnetPostCount(BitnetEngineRef engine);

typedef struct BitnetPosted
{
	int			desk;
	uint64		ticket;			/* in the order of posting */
	dsm_handle	channel;
	int			kv_cache_size;	/* as the owner knows the setting */
} BitnetPosted;

/* What lies on the desks for the engine, at most one for each desk; returns how many. */
extern int	BitnetListPosts(BitnetEngineRef engine, BitnetPosted *posts);
extern int	BitnetDesks(void);

/* Writes down how far a run is; false if it is no longer wanted. */
extern bool BitnetReport(int desk, uint64 ticket, const BitnetProgress *progress);
extern bool BitnetIsWanted(int desk, uint64 ticket);

/* Wakes the owner of a desk. */
extern void BitnetWakeDesk(int desk);

/* What an engine is doing, or last did. */
typedef struct BitnetEngineState
{
	int			pid;
	char		model[NAMEDATALEN];
	TimestampTz started;
	int32		n_runs;
	int64		steps;
	bn_cache_use cache;
	int64		page_bytes;
} BitnetEngineState;

extern void BitnetShowEngine(BitnetEngineRef engine, int n_runs, int64 steps,
							 bn_cache_use cache, int64 page_bytes);

/* ---- for views ---- */

extern int	BitnetListEngines(BitnetEngineState *states);

/* True if something is on the desk; then what. */
extern bool BitnetReadDesk(int desk, BitnetActivity *activity, BitnetProgress *progress);

#endif							/* BITNET_BOARD_H */
