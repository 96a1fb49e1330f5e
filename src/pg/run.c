/*-------------------------------------------------------------------------
 *
 * run.c
 *	  Running requests of one call through the model.
 *
 * This is the one place of the PostgreSQL side that computes.  It gives the
 * core its memory, runs step after step with interrupts served between them,
 * and watches for stop strings.
 *
 * src/pg/run.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#include "run.h"

/* Sequences in the cache at the same time: what one pass over the weights serves. */
#define MAX_SEQUENCES 64

/*
 * Tokens in a step.  More amortise reading the weights better, fewer let
 * interrupts and new work in sooner.
 */
#define MAX_STEP_TOKENS 128

/* A shorter common beginning is computed again sooner than waited for. */
#define MIN_SHARED_TOKENS 16

/* By so much a beginning must be longer to be taken from further down the tree. */
#define MIN_GAIN_TOKENS 4

BitnetRunCounters bitnet_run_counters;

static void *
alloc_aligned(MemoryContext context, size_t size)
{
	return (void *) TYPEALIGN(64, MemoryContextAllocExtended(context, size + 64,
															 MCXT_ALLOC_HUGE));
}

BitnetRun *
BitnetBeginRun(const BitnetModel *model)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bitnet call",
												  ALLOCSET_DEFAULT_SIZES);
	BitnetRun  *run = MemoryContextAllocZero(context, sizeof(BitnetRun));

	run->context = context;
	run->model = model;
	run->caller = MemoryContextSwitchTo(context);
	return run;
}

void
BitnetEndRun(BitnetRun *run)
{
	MemoryContextSwitchTo(run->caller);
	MemoryContextDelete(run->context);
}

void
BitnetSetStops(BitnetRun *run, const BitnetText *stops, int n_stops)
{
	int			i;

	run->stops = stops;
	run->n_stops = n_stops;
	run->longest_stop = 0;
	for (i = 0; i < n_stops; i++)
		run->longest_stop = Max(run->longest_stop, stops[i].length);
}

int
BitnetAddRequest(BitnetRun *run, const bn_request *request)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);
	bn_request *added;

	if (run->n_requests == run->max_requests)
	{
		int			max_requests = Max(8, run->max_requests * 2);

		if (run->requests == NULL)
			run->requests = palloc(sizeof(bn_request) * max_requests);
		else
			run->requests = repalloc_huge(run->requests, sizeof(bn_request) * max_requests);
		run->max_requests = max_requests;
	}

	added = &run->requests[run->n_requests];
	*added = *request;
	added->shared_with = -1;
	added->n_shared = 0;
	switch (added->kind)
	{
		case BN_REQUEST_GENERATE:
			added->output = MemoryContextAllocHuge(run->context,
												   sizeof(int32) * (Size) added->max_output);
			break;
		case BN_REQUEST_EMBED:
			added->embedding = palloc(sizeof(float) * run->model->model.config->d_model);
			break;
		case BN_REQUEST_NEXT:
			added->candidates = MemoryContextAllocHuge(run->context,
													   sizeof(bn_candidate) * (Size) added->max_output);
			break;
		case BN_REQUEST_SCORE:
			break;
	}

	MemoryContextSwitchTo(old);
	return run->n_requests++;
}

/* Bytes of cache that a request may come to need. */
static int64
cache_bytes(const BitnetRun *run, const bn_request *request)
{
	int64		n_tokens = request->n_tokens;

	if (request->kind == BN_REQUEST_GENERATE)
		n_tokens += request->max_output;
	return (int64) bn_kv_page_bytes(run->model->model.config) * bn_kv_pages(n_tokens);
}

/* The number of tokens that a request could take over from another's cache. */
static int32
common_beginning(const bn_request *request, const bn_request *parent)
{
	int32		most;
	int32		n;

	/* The logits behind the last of these are wanted, so it is computed */
	most = request->kind == BN_REQUEST_SCORE ? request->n_context : request->n_tokens;
	most = Min(most - 1, parent->n_tokens);
	for (n = 0; n < most && request->tokens[n] == parent->tokens[n]; n++)
		;
	return n;
}

/*
 * Lets requests use the cache of earlier ones that begin with the same tokens.
 * The sharing is a tree and the requests are in preorder, so the parent of one
 * is the request before it or an ancestor of that.  Of those it is the one with
 * the longest common beginning; but a request that is further down the tree,
 * and would have to be waited for, must give so much more.
 *
 * A pooled vector needs the hidden state of every token, so there a cache is of
 * no use.  Ancestors keep their part of the cache meanwhile: where they would
 * take too much of it, a request computes for itself.
 */
static void
share_beginnings(BitnetRun *run, int64 kv_bytes)
{
	int			i;

	for (i = 1; i < run->n_requests; i++)
	{
		bn_request *request = &run->requests[i];
		int32		best = 0;
		int			parent = -1;
		int			candidate;
		int64		bytes = cache_bytes(run, request);

		if (request->kind == BN_REQUEST_EMBED)
			continue;
		for (candidate = i - 1; candidate >= 0;
			 candidate = run->requests[candidate].shared_with)
		{
			int32		n = common_beginning(request, &run->requests[candidate]);

			if (n >= MIN_SHARED_TOKENS &&
				(parent < 0 || best < n + MIN_GAIN_TOKENS))
			{
				parent = candidate;
				best = n;
			}
		}
		for (candidate = parent; candidate >= 0;
			 candidate = run->requests[candidate].shared_with)
			bytes += cache_bytes(run, &run->requests[candidate]);
		if (parent >= 0 && bytes <= kv_bytes / 2)
		{
			request->shared_with = parent;
			request->n_shared = best;
		}
	}
}

/* The first stop string in text at or after byte from; -1 if there is none. */
static int
find_stop(const BitnetRun *run, const StringInfo text, int from)
{
	int			at;
	int			i;

	for (at = from; at < text->len; at++)
	{
		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < run->n_stops; i++)
			if (run->stops[i].length <= (size_t) (text->len - at) &&
				memcmp(text->data + at, run->stops[i].data, run->stops[i].length) == 0)
				return at;
	}
	return -1;
}

/* Takes a request's new tokens into its text; true if a stop string came. */
static bool
read_output(BitnetRun *run, int number)
{
	bn_request *request = &run->requests[number];
	BitnetOutput *output = &run->outputs[number];
	const bn_vocab *vocab = run->model->model.vocab;

	if (output->text.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(run->context);

		initStringInfo(&output->text);
		MemoryContextSwitchTo(old);
	}
	while (output->n_read < request->n_output && !output->stopped)
	{
		int			length = output->text.len;
		int			stop;

		BitnetAppendToken(&output->text, &output->stream, vocab,
						  request->output[output->n_read++]);
		if (run->n_stops == 0)
			continue;

		/* It may have begun in what was there before, but not wholly */
		stop = find_stop(run, &output->text,
						 Max(0, length - (int) run->longest_stop + 1));
		if (stop >= 0)
		{
			output->text.len = stop;
			output->text.data[stop] = '\0';
			output->stopped = true;
		}
	}
	return output->stopped;
}

/*
 * Looks at the requests after a step: ends those whose answer has reached a
 * stop string.  Returns how many the step was for.  Requests are admitted in
 * order, so those are between *first and the first one that waits.
 */
static int
look_at_requests(BitnetRun *run, bn_schedule *schedule, int *first)
{
	int			n = 0;
	int			i;

	for (i = *first; i < run->n_requests; i++)
	{
		bn_request *request = &run->requests[i];

		if (request->state == BN_WAITING)
			break;
		if (run->n_stops > 0 && request->kind == BN_REQUEST_GENERATE &&
			!run->outputs[i].stopped && read_output(run, i) &&
			request->state != BN_FINISHED)
			bn_schedule_stop(schedule, i);
		if (!run->outputs[i].finished)
			n++;
		if (request->state == BN_FINISHED)
		{
			run->outputs[i].finished = true;
			if (i == *first)
				(*first)++;
		}
	}
	return n;
}

static void
count_run(const bn_schedule_stats *stats, int64 sequence_steps, instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	bitnet_run_counters.steps += stats->steps;
	bitnet_run_counters.sequence_steps += sequence_steps;
	bitnet_run_counters.prompt_tokens += stats->prefill_tokens + stats->reused_tokens;
	bitnet_run_counters.cached_tokens += stats->reused_tokens;
	bitnet_run_counters.output_tokens += stats->output_tokens;
	bitnet_run_counters.milliseconds += INSTR_TIME_GET_MILLISEC(now);
}

void
BitnetRunRequests(BitnetRun *run)
{
	const char *primary = _("could not run the model");
	const bn_kernels *kernels;
	bn_schedule_limits limits;
	bn_schedule *schedule;
	bn_error	err;
	size_t		size;
	void	   *memory;
	instr_time	start;
	int64		sequence_steps = 0;
	int			first = 0;

	if (run->n_requests == 0)
		return;

	INSTR_TIME_SET_CURRENT(start);
	kernels = bn_kernels_select(bitnet_kernel);
	if (kernels == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("kernel \"%s\" cannot run on this processor", bitnet_kernel),
				 errhint("Set \"bitnet.kernel\" to \"auto\".")));

	run->outputs = MemoryContextAllocExtended(run->context,
											  sizeof(BitnetOutput) * (Size) run->n_requests,
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	limits.max_sequences = MAX_SEQUENCES;
	limits.max_step_tokens = MAX_STEP_TOKENS;
	limits.n_threads = BitnetThreads();
	limits.kv_bytes = (int64) bitnet_kv_cache_size * 1024 * 1024;
	share_beginnings(run, limits.kv_bytes);
	if (bn_schedule_size(&run->model->model, run->requests, run->n_requests, &limits,
						 &size, &err) != BN_OK)
	{
		/* That the context is long enough has been checked */
		if (err.code == BN_ERR_LIMIT)
			strlcpy(err.hint, "Raise \"bitnet.kv_cache_size\", shorten the text or lower \"max_tokens\".",
					sizeof(err.hint));
		BitnetReportError(&err, primary);
	}

	memory = alloc_aligned(run->context, size);
	if (bn_schedule_init(&schedule, memory, size, &run->model->model, kernels,
						 run->requests, run->n_requests, &limits, &err) != BN_OK)
		BitnetReportError(&err, primary);

	while (!bn_schedule_done(schedule))
	{
		bn_status	status;

		CHECK_FOR_INTERRUPTS();
		status = bn_schedule_step(schedule, &bitnet_hooks, &err);

		/* A cancel that was dropped meanwhile leaves the schedule as it was */
		if (status == BN_ERR_CANCELED)
			continue;
		if (status != BN_OK)
			BitnetReportError(&err, primary);
		sequence_steps += look_at_requests(run, schedule, &first);
	}
	count_run(bn_schedule_get_stats(schedule), sequence_steps, start);
}

BitnetText
BitnetRunText(BitnetRun *run, int request)
{
	BitnetText	result;

	Assert(run->requests[request].kind == BN_REQUEST_GENERATE);
	(void) read_output(run, request);
	result.data = run->outputs[request].text.data;
	result.length = run->outputs[request].text.len;
	return result;
}

BitnetTokens
BitnetChatTokens(const BitnetModel *model, const bn_message *messages, int n_messages)
{
	const bn_vocab *vocab = model->model.vocab;
	const char *primary = _("could not divide the text into tokens");
	size_t		scratch_size;
	void	   *scratch;
	BitnetTokens result = {NULL, 0};
	size_t		room = 256;
	size_t		n_tokens;
	bn_error	err;

	if (bn_prompt_scratch_size(vocab, messages, n_messages, &scratch_size, &bitnet_hooks,
							   &err) != BN_OK)
		BitnetReportError(&err, primary);
	scratch = alloc_aligned(CurrentMemoryContext, scratch_size);
	for (;;)
	{
		bn_status	status;

		result.ids = MemoryContextAllocHuge(CurrentMemoryContext, room * sizeof(int32));
		status = bn_prompt_chat(vocab, messages, n_messages, result.ids, room, &n_tokens,
								scratch, scratch_size, &bitnet_hooks, &err);
		if (status == BN_OK)
			break;
		if (status != BN_ERR_NOSPACE || n_tokens <= room)
			BitnetReportError(&err, primary);
		BitnetCheckLength(model, n_tokens, 0);
		pfree(result.ids);
		room = n_tokens;
	}
	result.n = (int32) n_tokens;
	return result;
}

BitnetTokens
BitnetUserTokens(const BitnetModel *model, BitnetText system, BitnetText user)
{
	bn_message	messages[2];
	int			n = 0;

	if (system.data != NULL)
	{
		messages[n].role = BN_ROLE_SYSTEM;
		messages[n].text = system.data;
		messages[n++].length = system.length;
	}
	messages[n].role = BN_ROLE_USER;
	messages[n].text = user.data;
	messages[n++].length = user.length;
	return BitnetChatTokens(model, messages, n);
}

BitnetTokens
BitnetRawTokens(const BitnetModel *model, BitnetText t)
{
	const bn_vocab *vocab = model->model.vocab;
	BitnetTokens result = BitnetEncode(vocab, t, true);

	if (result.n == 0)
	{
		int32		start = vocab->bos != BN_NO_TOKEN ? vocab->bos : vocab->eos;

		if (start == BN_NO_TOKEN)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("text is empty"),
					 errdetail("The model \"%s\" has no token to begin with.", model->name)));
		result.ids[result.n++] = start;
	}
	return result;
}

void
BitnetCheckLength(const BitnetModel *model, int64 n_tokens, int64 n_more)
{
	int32		context = model->model.config->context_length;

	if (n_tokens + n_more > context)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("input is too long for model \"%s\"", model->name),
				 n_more == 0 ?
				 errdetail("The input has %lld tokens; the model's context is %d tokens.",
						   (long long) n_tokens, context) :
				 errdetail("The input has %lld tokens and needs room for %lld more; the model's context is %d tokens.",
						   (long long) n_tokens, (long long) n_more, context),
				 errhint("Shorten the text, with bitnet_truncate for example.")));
}
