/*-------------------------------------------------------------------------
 *
 * channel.h
 *	  Requests in a flat form that another process can compute.
 *
 * A channel is one piece of memory without pointers: the requests, their
 * tokens, and room for the results.  Its owner fills it in, and then reads
 * results; whoever computes it, a job, writes them.  Both are one process when
 * a session computes by itself, and nothing else differs then.
 *
 * Until it is done, only the tokens of answers may be read, and only where the
 * owner has said that it wants each of them.
 *
 * src/pg/channel.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_CHANNEL_H
#define BITNET_CHANNEL_H

#include "portability/instr_time.h"
#include "port/atomics.h"

#include "../core/schedule.h"
#include "board.h"

typedef struct BitnetChannelRequest
{
	/* the owner's */
	int32		kind;
	int32		n_tokens;
	int32		n_context;
	int32		pooling;
	int32		max_output;
	bn_sampling sampling;
	uint64		tokens;			/* offset of int32[n_tokens] */
	uint64		result;			/* offset of output, embedding or candidates */
	pg_atomic_uint32 stop;		/* the output so far is enough */

	/* the job's */
	pg_atomic_uint32 n_output;
	int32		finish;
	double		logprob;
	bool		is_greedy;
} BitnetChannelRequest;

typedef struct BitnetChannel
{
	/* the owner's */
	int32		n_requests;
	int32		n_threads;
	char		kernel[32];
	bool		each_token;		/* it wants to see each token when it comes */
	instr_time	posted;
	pg_atomic_uint32 n_stops;	/* changes when a request is to stop */

	/* the job's */
	pg_atomic_uint32 done;
	bool		refused;		/* instead of being computed */
	bn_status	status;
	bn_error	error;
	bn_schedule_stats stats;
	double		queue_time;		/* in milliseconds */
	double		prefill_time;
	double		decode_time;

	BitnetChannelRequest requests[FLEXIBLE_ARRAY_MEMBER];
} BitnetChannel;

/*
 * How many of the requests go into one channel, at least one, and what size it
 * has then.
 */
extern int	BitnetChannelPart(const bn_model *model, const bn_request *requests,
							  int n_requests, Size *size);

/* Fills in the requests; the other fields of the owner are 0. */
extern void BitnetFillChannel(BitnetChannel *channel, const bn_model *model,
							  const bn_request *requests, int n_requests);

/* Tells the job that a request has enough output. */
extern void BitnetStopRequest(BitnetChannel *channel, int request);

/* The tokens of an answer that are there so far; returns their number. */
extern int	BitnetChannelOutput(BitnetChannel *channel, int request, const int32 **tokens);

/* Is it done?  Then everything may be read. */
extern bool BitnetChannelDone(BitnetChannel *channel);

/* The result of a request, with pointers into the channel. */
extern void BitnetChannelResult(BitnetChannel *channel, int number, bn_request *request);

/* ---- for those who compute ---- */

typedef struct BitnetJob
{
	BitnetChannel *channel;
	bn_run		run;
	int			first_open;		/* all before it are finished */
	uint32		n_stops;		/* that have been looked at */
	instr_time	last;			/* up to where time has been counted */
	bn_schedule_stats before;	/* at that time */
} BitnetJob;

/* Makes the job ready for bn_schedule_add; memory is the current context's. */
extern void BitnetInitJob(BitnetJob *job, BitnetChannel *channel);

/* Before a step: ends requests of which the owner has enough. */
extern void BitnetServeStops(BitnetJob *job, bn_schedule *schedule);

/* After a step: tells the owner what is new, and says how far the job is. */
extern void BitnetShowStep(BitnetJob *job, BitnetProgress *progress);

/* At the end, with run.status and, if that is not BN_OK, run.error. */
extern void BitnetFinishJob(BitnetJob *job);

/* In place of a job: somebody else is to be asked. */
extern void BitnetRefuseChannel(BitnetChannel *channel);

/* Adds the job's times so far to the statistics. */
extern void BitnetCountJob(const BitnetJob *job, const char *model);

#endif							/* BITNET_CHANNEL_H */
