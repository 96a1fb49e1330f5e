/*-------------------------------------------------------------------------
 *
 * run.h
 *	  Running requests of one call through the model.
 *
 *	run = BitnetBeginRun(model, name);		(memory: the run's, from here)
 *	... BitnetAddRequest(run, &request) ...
 *	BitnetRunRequests(run);
 *	MemoryContextSwitchTo(run->caller);
 *	... make the result from run->requests ...
 *	BitnetEndRun(run);
 *
 * src/pg/run.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_RUN_H
#define BITNET_RUN_H

#include "../core/prompt.h"
#include "../core/schedule.h"
#include "convert.h"
#include "registry.h"

/* Tokens by which joining a prompt and a text may exceed the sum of both. */
#define BITNET_JOIN_TOKENS 8

typedef struct BitnetOutput
{
	StringInfoData text;		/* UTF-8 so far; data NULL before the first token */
	bn_utf8_stream stream;
	int32		n_read;			/* tokens of the request that are in text */
	bool		stopped;		/* at a stop string; text ends before it */
} BitnetOutput;

typedef struct BitnetRun
{
	MemoryContext context;		/* holds everything here, and the run itself */
	MemoryContext caller;
	const BitnetModel *model;
	const char *function;		/* for bitnet_activity */
	bn_request *requests;
	BitnetOutput *outputs;		/* text only of GENERATE requests */
	int			n_requests;
	int			max_requests;
	const BitnetText *stops;
	int			n_stops;
	size_t		longest_stop;

	/* texts of the call: finished by this run, before it, and in all */
	int			n_texts;		/* -1: one for each request */
	int			n_texts_before;
	int			n_texts_all;	/* -1: n_texts */

	/* where no engine computes it */
	bn_schedule *schedule;
	bn_schedule_stats counted;
} BitnetRun;

/* What the runs of this process have done so far; differences tell of a part. */
typedef struct BitnetRunCounters
{
	int64		steps;
	int64		sequence_steps; /* sum over steps of the sequences in them */
	int64		prompt_tokens;	/* computed or taken from the cache */
	int64		cached_tokens;
	int64		output_tokens;
	int64		drafted_tokens; /* guessed and tried; how many came out is the next */
	int64		accepted_tokens;
	double		milliseconds;
	double		prefill_time;
	double		decode_time;
} BitnetRunCounters;

extern BitnetRunCounters bitnet_run_counters;

/*
 * A part of a query that consists of many runs, for bitnet_activity.  Who
 * executes it sets this while it computes.
 */
typedef struct BitnetPart
{
	bool		known;
	TimestampTz started;
	double		rows_total;		/* the planner's guess */
	double		rows_before;	/* rows that are done; runs add theirs */
	double		rows_each;		/* rows that a text of a run stands for */
	BitnetRunCounters counters; /* at its beginning */
} BitnetPart;

extern BitnetPart bitnet_part;

/* So many texts of a call are computed in one run, which has all their tokens in memory. */
#define BITNET_TEXTS_AT_ONCE 1024

/*
 * Calls work for some elements of an array of texts after the others, in the caller's
 * memory context: for texts[n], of which those of NULLs have no data, the elements
 * from number first on.  For bitnet_activity all its runs are one call.
 */
extern void BitnetRunArray(const Datum *elements, const bool *nulls, int n,
						   void (*work) (void *ctx, const BitnetText *texts, int first, int n), void *ctx);

/* Makes the run's memory context, a child of the current one, current. */
extern BitnetRun *BitnetBeginRun(const BitnetModel *model, const char *function);

/* Strings that end an answer, and are not part of it. */
extern void BitnetSetStops(BitnetRun *run, const BitnetText *stops, int n_stops);

/*
 * Adds a copy of the request, whose tokens must stay; the result arrays come
 * with the results.  Returns the request's number.
 */
extern int	BitnetAddRequest(BitnetRun *run, const bn_request *request);

/*
 * Until all are finished: in the engine of the model, which computes for all
 * sessions, or here if there is none.  Cancellable at once.
 */
extern void BitnetRunRequests(BitnetRun *run);

/* The answer of a GENERATE request: whole characters, before a stop string. */
extern BitnetText BitnetRunText(BitnetRun *run, int request);

/* Back to the caller's memory context; the run and all in it are gone. */
extern void BitnetEndRun(BitnetRun *run);

/*
 * The tokens of a conversation up to where the assistant speaks, or of plain
 * text behind BOS.  A model without BOS starts plain text with its end token.
 */
extern BitnetTokens BitnetChatTokens(const BitnetModel *model,
									 bn_message *messages, int n_messages);
extern BitnetTokens BitnetRawTokens(const BitnetModel *model, BitnetText t);

/* The usual conversation: a user's message, after a system's if there is one. */
extern BitnetTokens BitnetUserTokens(const BitnetModel *model, BitnetText system,
									 BitnetText user);

/* Raises an error unless n_tokens and n_more fit into the model's context. */
extern void BitnetCheckLength(const BitnetModel *model, int64 n_tokens, int64 n_more,
							  const char *what);

/*
 * The same for n_texts texts of n_bytes bytes in all that have not been divided
 * into tokens, which takes long for hundreds of megabytes: each has a token, and
 * no token is longer than the vocabulary's longest.
 */
extern void BitnetCheckBytes(const BitnetModel *model, int n_texts, int64 n_bytes,
							 const char *what);

#endif							/* BITNET_RUN_H */
