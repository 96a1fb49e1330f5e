/*-------------------------------------------------------------------------
 *
 * channel.c
 *	  Requests in a flat form that another process can compute.
 *
 * src/pg/channel.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "channel.h"

/*
 * Most of a channel.  Enough to fill steps for a while, and little enough for
 * the 64 MB of shared memory that some containers have.
 */
#define MAX_REQUESTS 512
#define MAX_BYTES (16 * 1024 * 1024)

static Size
result_size(const bn_model *model, const bn_request *request)
{
	switch (request->kind)
	{
		case BN_REQUEST_GENERATE:
			return sizeof(int32) * (Size) request->max_output;
		case BN_REQUEST_EMBED:
			return sizeof(float) * (Size) model->config->d_model;
		case BN_REQUEST_NEXT:
			return sizeof(bn_candidate) * (Size) request->max_output;
		case BN_REQUEST_SCORE:
			break;
	}
	return 0;
}

/* Bytes of a request in the channel, its entry included. */
static Size
request_size(const bn_model *model, const bn_request *request)
{
	return sizeof(BitnetChannelRequest) + MAXALIGN(sizeof(int32) * (Size) request->n_tokens) +
		MAXALIGN(result_size(model, request));
}

int
BitnetChannelPart(const bn_model *model, const bn_request *requests, int n_requests,
				  Size *size)
{
	Size		used = MAXALIGN(offsetof(BitnetChannel, requests));
	int			n;

	for (n = 0; n < n_requests && n < MAX_REQUESTS; n++)
	{
		Size		more = request_size(model, &requests[n]);

		if (n > 0 && used + more > MAX_BYTES)
			break;
		used += more;
	}
	*size = used + MAXIMUM_ALIGNOF;
	return n;
}

void
BitnetFillChannel(BitnetChannel *channel, const bn_model *model,
				  const bn_request *requests, int n_requests)
{
	Size		used = MAXALIGN(offsetof(BitnetChannel, requests) +
								sizeof(BitnetChannelRequest) * (Size) n_requests);
	int			i;

	memset(channel, 0, used);
	channel->n_requests = n_requests;
	pg_atomic_init_u32(&channel->n_stops, 0);
	pg_atomic_init_u32(&channel->done, 0);
	for (i = 0; i < n_requests; i++)
	{
		const bn_request *from = &requests[i];
		BitnetChannelRequest *to = &channel->requests[i];

		to->kind = from->kind;
		to->n_tokens = from->n_tokens;
		to->n_context = from->n_context;
		to->pooling = from->pooling;
		to->max_output = from->max_output;
		to->sampling = from->sampling;
		pg_atomic_init_u32(&to->stop, 0);
		pg_atomic_init_u32(&to->n_output, 0);
		to->tokens = used;
		memcpy((char *) channel + used, from->tokens, sizeof(int32) * (Size) from->n_tokens);
		used += MAXALIGN(sizeof(int32) * (Size) from->n_tokens);
		to->result = used;
		used += MAXALIGN(result_size(model, from));
	}
}

void
BitnetStopRequest(BitnetChannel *channel, int request)
{
	pg_atomic_write_u32(&channel->requests[request].stop, 1);
	pg_write_barrier();
	pg_atomic_fetch_add_u32(&channel->n_stops, 1);
}

int
BitnetChannelOutput(BitnetChannel *channel, int request, const int32 **tokens)
{
	BitnetChannelRequest *r = &channel->requests[request];
	int			n = (int) pg_atomic_read_u32(&r->n_output);

	pg_read_barrier();
	*tokens = (const int32 *) ((char *) channel + r->result);
	return n;
}

bool
BitnetChannelDone(BitnetChannel *channel)
{
	bool		done = pg_atomic_read_u32(&channel->done) != 0;

	pg_read_barrier();
	return done;
}

void
BitnetChannelResult(BitnetChannel *channel, int number, bn_request *request)
{
	BitnetChannelRequest *r = &channel->requests[number];
	void	   *result = (char *) channel + r->result;

	request->n_output = (int32) pg_atomic_read_u32(&r->n_output);
	request->finish = (bn_finish) r->finish;
	request->logprob = r->logprob;
	request->is_greedy = r->is_greedy;
	request->state = BN_FINISHED;
	request->output = request->kind == BN_REQUEST_GENERATE ? result : NULL;
	request->embedding = request->kind == BN_REQUEST_EMBED ? result : NULL;
	request->candidates = request->kind == BN_REQUEST_NEXT ? result : NULL;
}

/* ---- jobs ---- */

/* Milliseconds since the last call, or since the channel was posted. */
static double
pass_time(BitnetJob *job)
{
	instr_time	now;
	instr_time	passed;

	INSTR_TIME_SET_CURRENT(now);
	passed = now;
	INSTR_TIME_SUBTRACT(passed, job->last);
	job->last = now;
	return INSTR_TIME_GET_MILLISEC(passed);
}

void
BitnetInitJob(BitnetJob *job, BitnetChannel *channel)
{
	int			i;

	memset(job, 0, sizeof(*job));
	job->channel = channel;
	job->last = channel->posted;
	job->run.requests = palloc0(sizeof(bn_request) * (Size) channel->n_requests);
	job->run.n_requests = channel->n_requests;
	for (i = 0; i < channel->n_requests; i++)
	{
		const BitnetChannelRequest *from = &channel->requests[i];
		bn_request *to = &job->run.requests[i];
		void	   *result = (char *) channel + from->result;

		to->kind = (bn_request_kind) from->kind;
		to->tokens = (const int32 *) ((char *) channel + from->tokens);
		to->n_tokens = from->n_tokens;
		to->n_context = from->n_context;
		to->pooling = from->pooling;
		to->sampling = from->sampling;
		to->max_output = from->max_output;
		to->output = result;
		to->embedding = result;
		to->candidates = result;
	}
	channel->queue_time = pass_time(job);
}

void
BitnetServeStops(BitnetJob *job, bn_schedule *schedule)
{
	uint32		n_stops = pg_atomic_read_u32(&job->channel->n_stops);
	int			i;

	if (n_stops == job->n_stops)
		return;
	job->n_stops = n_stops;
	pg_read_barrier();
	for (i = job->first_open; i < job->run.n_admitted; i++)
		if (job->run.requests[i].state != BN_FINISHED &&
			pg_atomic_read_u32(&job->channel->requests[i].stop) != 0)
			bn_schedule_stop(schedule, &job->run, i);
}

/*
 * Adds the time since the last call to what it was spent on.  A step that read
 * any of the run's prompts counts as prefill.
 */
static void
count_time(BitnetJob *job)
{
	BitnetChannel *channel = job->channel;
	const bn_schedule_stats *stats = &job->run.stats;
	double		milliseconds = pass_time(job);

	if (stats->steps == job->before.steps)
		channel->queue_time += milliseconds;
	else if (stats->prefill_tokens > job->before.prefill_tokens)
		channel->prefill_time += milliseconds;
	else
		channel->decode_time += milliseconds;
	job->before = *stats;
}

void
BitnetShowStep(BitnetJob *job, BitnetProgress *progress)
{
	bool		prefill = false;
	bool		decode = false;
	int			i;

	count_time(job);
	for (i = job->first_open; i < job->run.n_admitted; i++)
	{
		const bn_request *r = &job->run.requests[i];

		prefill |= r->state == BN_PREFILL;
		decode |= r->state == BN_DECODE;
		if (r->state == BN_FINISHED && i == job->first_open)
			job->first_open++;
		if (job->channel->each_token && r->kind == BN_REQUEST_GENERATE)
		{
			/* The tokens come before their number */
			pg_write_barrier();
			pg_atomic_write_u32(&job->channel->requests[i].n_output, (uint32) r->n_output);
		}
	}
	progress->phase = decode ? BITNET_DECODE : prefill ? BITNET_PREFILL : BITNET_QUEUED;
	progress->n_finished = job->run.n_finished;
	progress->prompt_tokens = job->run.stats.prefill_tokens + job->run.stats.reused_tokens;
	progress->cached_tokens = job->run.stats.reused_tokens;
	progress->output_tokens = job->run.stats.output_tokens;
}

void
BitnetFinishJob(BitnetJob *job)
{
	BitnetChannel *channel = job->channel;
	int			i;

	for (i = 0; i < channel->n_requests; i++)
	{
		const bn_request *from = &job->run.requests[i];
		BitnetChannelRequest *to = &channel->requests[i];

		to->finish = from->finish;
		to->logprob = from->logprob;
		to->is_greedy = from->is_greedy;
		pg_atomic_write_u32(&to->n_output, (uint32) from->n_output);
	}
	channel->status = job->run.status;
	channel->error = job->run.error;
	channel->stats = job->run.stats;
	pg_write_barrier();
	pg_atomic_write_u32(&channel->done, 1);
}

void
BitnetRefuseChannel(BitnetChannel *channel)
{
	channel->refused = true;
	pg_write_barrier();
	pg_atomic_write_u32(&channel->done, 1);
}

void
BitnetCountJob(const BitnetJob *job, const char *model)
{
	BitnetModelStats stats = {0};

	stats.queue_time = job->channel->queue_time;
	stats.prefill_time = job->channel->prefill_time;
	stats.decode_time = job->channel->decode_time;
	BitnetCount(model, &stats);
}
