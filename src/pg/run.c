/*-------------------------------------------------------------------------
 *
 * run.c
 *	  Running requests of one call through the model.
 *
 * The requests go to the model's engine, the worker that computes for all
 * sessions, and this process waits on its latch, so that it can be cancelled at
 * any time and no step ever is.  Where no engine can be had it computes the
 * same by itself, with interrupts served between the steps.  Either way it
 * watches for stop strings.
 *
 * src/pg/run.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "engine.h"
#include "run.h"

/*
 * So often a part of a run is given to an engine.  Engines end now and then,
 * but not one after the other.
 */
#define MAX_ATTEMPTS 3

/* A safeguard: whoever waits for an engine looks after it, in milliseconds. */
#define LOOK_AFTER_ENGINE 1000

BitnetRunCounters bitnet_run_counters;
BitnetPart	bitnet_part;

void
BitnetRunArray(const Datum *elements, const bool *nulls, int n,
			   void (*work) (void *ctx, const BitnetText *texts, int first, int n), void *ctx)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bitnet texts", ALLOCSET_DEFAULT_SIZES);
	BitnetPart	outer = bitnet_part;
	int			i;

	bitnet_part = (BitnetPart) {.known = true, .started = GetCurrentTimestamp(), .rows_each = 1,
		.counters = bitnet_run_counters};
	for (i = 0; i < n; i++)
		bitnet_part.rows_total += !nulls[i];
	PG_TRY();
	{
		int			first;

		for (first = 0; first < n; first += BITNET_TEXTS_AT_ONCE)
		{
			int			n_now = Min(n - first, BITNET_TEXTS_AT_ONCE);
			MemoryContext old = MemoryContextSwitchTo(context);
			BitnetText *texts = palloc0(sizeof(BitnetText) * n_now);

			for (i = 0; i < n_now; i++)
				if (!nulls[first + i])
					texts[i] = BitnetTextFromDatum(elements[first + i]);
			MemoryContextSwitchTo(old);
			work(ctx, texts, first, n_now);
			MemoryContextReset(context);
		}
	}
	PG_FINALLY();
	{
		bitnet_part = outer;
	}
	PG_END_TRY();
	MemoryContextDelete(context);
}

BitnetRun *
BitnetBeginRun(const BitnetModel *model, const char *function)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bitnet call",
												  ALLOCSET_DEFAULT_SIZES);
	BitnetRun  *run = MemoryContextAllocZero(context, sizeof(BitnetRun));

	run->context = context;
	run->model = model;
	run->function = function;
	run->n_texts = -1;
	run->n_texts_all = -1;
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

	if (run->n_requests == run->max_requests)
	{
		int			max_requests = Max(8, run->max_requests * 2);

		if (run->requests == NULL)
			run->requests = palloc(sizeof(bn_request) * max_requests);
		else
			run->requests = repalloc_huge(run->requests, sizeof(bn_request) * max_requests);
		run->max_requests = max_requests;
	}

	run->requests[run->n_requests] = *request;
	MemoryContextSwitchTo(old);
	return run->n_requests++;
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

/* What is new in the channel of requests from number first on. */
static void
look_at_outputs(BitnetRun *run, BitnetChannel *channel, int first)
{
	int			i;

	for (i = 0; i < channel->n_requests; i++)
	{
		bn_request *request = &run->requests[first + i];
		const int32 *tokens;

		if (request->kind != BN_REQUEST_GENERATE || run->outputs[first + i].stopped)
			continue;
		request->n_output = BitnetChannelOutput(channel, i, &tokens);
		request->output = (int32 *) tokens;
		if (read_output(run, first + i))
			BitnetStopRequest(channel, i);
	}
}

static void *
copy_array(BitnetRun *run, const void *array, Size element, int n)
{
	void	   *copy = MemoryContextAllocHuge(run->context, Max(element * (Size) n, 1));

	return memcpy(copy, array, element * (Size) n);
}

/* Takes the results out of a channel that is done. */
static void
take_results(BitnetRun *run, BitnetChannel *channel, int first)
{
	BitnetRunCounters *sum = &bitnet_run_counters;
	int			i;

	for (i = 0; i < channel->n_requests; i++)
	{
		bn_request *r = &run->requests[first + i];

		BitnetChannelResult(channel, i, r);
		if (r->kind == BN_REQUEST_GENERATE)
			r->output = copy_array(run, r->output, sizeof(int32), r->n_output);
		else if (r->kind == BN_REQUEST_EMBED)
			r->embedding = copy_array(run, r->embedding, sizeof(float),
									  run->model->model.config->d_model);
		else if (r->kind == BN_REQUEST_NEXT)
			r->candidates = copy_array(run, r->candidates, sizeof(bn_candidate), r->n_output);

		/* Whoever computed it may have gone on until it heard of the stop */
		if (r->kind == BN_REQUEST_GENERATE && run->n_stops > 0 && read_output(run, first + i))
			r->finish = BN_FINISH_STOP;
	}
	sum->steps += channel->stats.steps;
	sum->sequence_steps += channel->stats.sequence_steps;
	sum->prompt_tokens += channel->stats.prefill_tokens + channel->stats.reused_tokens;
	sum->cached_tokens += channel->stats.reused_tokens;
	sum->output_tokens += channel->stats.output_tokens;
	sum->drafted_tokens += channel->stats.drafted_tokens;
	sum->accepted_tokens += channel->stats.accepted_tokens;
	sum->prefill_time += channel->prefill_time;
	sum->decode_time += channel->decode_time;
}

/*
 * The next engine begins anew: what the last one said is forgotten, or its stop
 * strings would not be looked for.
 */
static void
forget_outputs(BitnetRun *run, int first, int n)
{
	int			i;

	for (i = first; i < first + n; i++)
		if (run->outputs[i].text.data != NULL)
			pfree(run->outputs[i].text.data);
	memset(&run->outputs[first], 0, sizeof(BitnetOutput) * (Size) n);
}

static void
fill_channel(BitnetRun *run, BitnetChannel *channel, int first, int n)
{
	forget_outputs(run, first, n);
	BitnetFillChannel(channel, &run->model->model, run->requests + first, n);
	channel->n_threads = BitnetThreads();
	strlcpy(channel->kernel, bitnet_kernel, sizeof(channel->kernel));
	channel->each_token = run->n_stops > 0;
	INSTR_TIME_SET_CURRENT(channel->posted);
}

/* What bitnet_activity shows while the requests from number first on are computed. */
static void
describe(const BitnetRun *run, const BitnetPart *part, int first, BitnetActivity *activity)
{
	const BitnetRunCounters *now = &bitnet_run_counters;

	memset(activity, 0, sizeof(*activity));
	activity->pid = MyProcPid;
	activity->database = MyDatabaseId;
	activity->role = GetUserId();
	strlcpy(activity->model, run->model->name, NAMEDATALEN);
	strlcpy(activity->function, run->function, NAMEDATALEN);
	activity->started = part->started;
	activity->rows_total = part->rows_total;
	activity->rows_before = part->rows_before;
	activity->rows_here = run->n_texts * part->rows_each;
	activity->n_requests = run->n_requests;
	activity->n_before = first;
	activity->prompt_tokens = now->prompt_tokens - part->counters.prompt_tokens;
	activity->cached_tokens = now->cached_tokens - part->counters.cached_tokens;
	activity->output_tokens = now->output_tokens - part->counters.output_tokens;
}

pg_noreturn static void
report_failure(bn_error *err)
{
	/* That the context is long enough has been checked */
	if (err->code == BN_ERR_LIMIT)
		strlcpy(err->hint, "Raise \"bitnet.kv_cache_size\", shorten the text or lower \"max_tokens\".",
				sizeof(err->hint));
	BitnetReportError(err, _("could not run the model"));
}

/* ---- computing: by the engine, or here ---- */

/* Waits for an engine; false if it refused the channel, or ended before that was done. */
static bool
wait_for_engine(BitnetRun *run, BitnetChannel *channel, int first, BitnetEngineRef engine,
				BackgroundWorkerHandle *started)
{
	static uint32 wait_event = 0;

	for (;;)
	{
		bool		lives = BitnetEngineLives(engine, started, NULL);

		CHECK_FOR_INTERRUPTS();
		if (BitnetChannelDone(channel))
			return !channel->refused;
		if (!lives)
			return false;
		if (channel->each_token)
			look_at_outputs(run, channel, first);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_AFTER_ENGINE, compat_wait_event(&wait_event, "BitnetEngine"));
		ResetLatch(MyLatch);
	}
}

/* Has an engine compute n requests; false if none can be had. */
static bool
compute_together(BitnetRun *run, const BitnetPart *part, int first, int n, Size size)
{
	int			attempt;

	if (!bitnet_shared_engine || !BitnetAttachBoard())
		return false;
	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		BackgroundWorkerHandle *started;
		BitnetEngineRef engine = BitnetFindEngine(run->model, &started);
		dsm_segment *segment;
		BitnetChannel *channel;
		BitnetActivity activity;
		bool		done;

		if (engine.number == 0 || (segment = BitnetCreateSegment(size)) == NULL)
			return false;
		channel = dsm_segment_address(segment);
		fill_channel(run, channel, first, n);
		describe(run, part, first, &activity);
		BitnetPost(engine, dsm_segment_handle(segment), &activity);
		done = wait_for_engine(run, channel, first, engine, started);
		BitnetUnpost(done);
		if (done)
		{
			bn_error	err = channel->error;

			if (channel->status != BN_OK)
				report_failure(&err);
			take_results(run, channel, first);
		}
		dsm_detach(segment);
		if (done)
			return true;
	}
	return false;
}

/* The schedule of a run that computes for itself, which all of its parts use. */
static void
make_own_schedule(BitnetRun *run, const bn_kernels *kernels)
{
	const bn_model *model = &run->model->model;
	bn_schedule_limits limits = {0};
	int64		longest = 1;
	int			i;

	for (i = 0; i < run->n_requests; i++)
	{
		const bn_request *r = &run->requests[i];

		longest = Max(longest, (int64) r->n_tokens +
					  (r->kind == BN_REQUEST_GENERATE ? r->max_output : 0));
	}
	limits.max_sequences = BITNET_MAX_SEQUENCES;
	limits.max_run_sequences = BITNET_RUN_SEQUENCES;
	limits.max_step_tokens = BITNET_STEP_TOKENS;
	limits.max_positions = (int32) Min(longest, model->config->context_length);
	limits.n_threads = BitnetMayHaveThreads() ? BitnetThreads() : 1;
	limits.kv_bytes = bn_schedule_kv_bytes(model, run->requests, run->n_requests,
										   BITNET_RUN_SEQUENCES,
										   (int64) bitnet_kv_cache_size * 1024 * 1024);
	run->schedule = BitnetMakeSchedule(run->context, model, kernels, &limits);
	if (run->schedule == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The KV cache of the call needs %lld bytes.",
						   (long long) limits.kv_bytes)));
	memset(&run->counted, 0, sizeof(run->counted));
}

/* Until the job is done.  A cancel that was dropped leaves all as it was. */
static void
run_own_job(BitnetRun *run, BitnetJob *job, int first)
{
	while (!bn_run_done(&job->run))
	{
		BitnetProgress progress;
		bn_error	err;

		CHECK_FOR_INTERRUPTS();
		BitnetServeStops(job, run->schedule);
		if (bn_schedule_step(run->schedule, &bitnet_hooks, &err) != BN_OK)
			continue;
		BitnetShowStep(job, &progress);
		BitnetReportOwn(&progress);
		if (job->channel->each_token)
			look_at_outputs(run, job->channel, first);
	}
	BitnetFinishJob(job);
}

/* Computes n requests in this process. */
static void
compute_alone(BitnetRun *run, const BitnetPart *part, const bn_kernels *kernels,
			  int first, int n, Size size)
{
	BitnetChannel *channel = MemoryContextAllocHuge(run->context, size);
	BitnetEngineRef nobody = {0, 0};
	BitnetActivity activity;
	BitnetJob	job;

	if (run->schedule == NULL)
		make_own_schedule(run, kernels);
	fill_channel(run, channel, first, n);
	describe(run, part, first, &activity);
	if (BitnetAttachBoard())
		BitnetPost(nobody, DSM_HANDLE_INVALID, &activity);
	BitnetInitJob(&job, channel);
	job.run.status = bn_schedule_add(run->schedule, &job.run, &job.run.error);
	run_own_job(run, &job, first);
	bn_schedule_remove(run->schedule, &job.run);
	BitnetUnpost(true);

	BitnetCountSteps(run->model->name, run->schedule, &run->counted);
	BitnetCountJob(&job, run->model->name);
	if (channel->status != BN_OK)
		report_failure(&job.run.error);
	take_results(run, channel, first);
	pfree(job.run.requests);
	pfree(channel);
}

/*
 * After an error, or on the way out of the process: an engine that is at work
 * stops that, and the statistics learn of it.
 */
static void
abandon_run(int code, Datum arg)
{
	BitnetRun  *run = (BitnetRun *) DatumGetPointer(arg);
	BitnetModelStats stats = {.calls = 1};

	BitnetUnpost(false);
	if (run->schedule)
		BitnetCountSteps(run->model->name, run->schedule, &run->counted);
	if (proc_exit_inprogress ||
		ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_OPERATOR_INTERVENTION)
		stats.cancels = 1;
	else
		stats.errors = 1;
	BitnetCount(run->model->name, &stats);
}

/* All requests, as many at a time as a channel takes. */
static void
compute_all(BitnetRun *run, const BitnetPart *part, const bn_kernels *kernels)
{
	int			first = 0;

	while (first < run->n_requests)
	{
		Size		size;
		int			n = BitnetChannelPart(&run->model->model, run->requests + first,
										  run->n_requests - first, &size);

		if (!compute_together(run, part, first, n, size))
			compute_alone(run, part, kernels, first, n, size);
		first += n;
	}
}

void
BitnetRunRequests(BitnetRun *run)
{
	const bn_kernels *kernels = BitnetKernels(bitnet_kernel);
	BitnetModelStats stats = {.calls = 1};
	BitnetPart	part = bitnet_part;
	instr_time	start;
	instr_time	now;

	if (run->n_requests == 0)
		return;
	INSTR_TIME_SET_CURRENT(start);
	run->outputs = MemoryContextAllocExtended(run->context,
											  sizeof(BitnetOutput) * (Size) run->n_requests,
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	if (run->n_texts < 0)
		run->n_texts = run->n_requests;
	if (!part.known)
	{
		part.started = GetCurrentTimestamp();
		part.rows_total = run->n_texts_all < 0 ? run->n_texts : run->n_texts_all;
		part.rows_before = run->n_texts_before;
		part.rows_each = 1;
		part.counters = bitnet_run_counters;
	}

	PG_ENSURE_ERROR_CLEANUP(abandon_run, PointerGetDatum(run));
	{
		compute_all(run, &part, kernels);
	}
	PG_END_ENSURE_ERROR_CLEANUP(abandon_run, PointerGetDatum(run));

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	bitnet_run_counters.milliseconds += INSTR_TIME_GET_MILLISEC(now);
	if (bitnet_part.known)
		bitnet_part.rows_before += run->n_texts * part.rows_each;
	stats.texts = run->n_texts;
	BitnetCount(run->model->name, &stats);
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
BitnetChatTokens(const BitnetModel *model, bn_message *messages, int n_messages)
{
	const bn_vocab *vocab = model->model.vocab;
	const char *primary = _("could not divide the text into tokens");
	size_t		scratch_size;
	void	   *scratch;
	BitnetTokens result = {NULL, 0};
	size_t		room = 256;
	size_t		n_tokens;
	int64		n_bytes = 0;
	bn_error	err;
	int			i;

	for (i = 0; i < n_messages; i++)
	{
		BitnetText	t = BitnetTrim((BitnetText) {messages[i].text, messages[i].length});

		messages[i].text = t.data;
		messages[i].length = t.length;
		n_bytes += t.length;
	}
	BitnetCheckBytes(model, n_messages, n_bytes, NULL);

	if (bn_prompt_scratch_size(vocab, messages, n_messages, &scratch_size, &bitnet_hooks,
							   &err) != BN_OK)
		BitnetReportError(&err, primary);
	BitnetCheckScratch(scratch_size);
	scratch = MemoryContextAllocHuge(CurrentMemoryContext, scratch_size + 64);
	for (;;)
	{
		bn_status	status;

		result.ids = MemoryContextAllocHuge(CurrentMemoryContext, room * sizeof(int32));
		status = bn_prompt_chat(vocab, messages, n_messages, result.ids, room, &n_tokens,
								(void *) TYPEALIGN(64, scratch), scratch_size,
								&bitnet_hooks, &err);
		if (status == BN_OK)
			break;
		if (status != BN_ERR_NOSPACE || n_tokens <= room)
			BitnetReportError(&err, primary);
		BitnetCheckLength(model, n_tokens, 0, NULL);
		pfree(result.ids);
		room = n_tokens;
	}
	pfree(scratch);
	result.n = (int32) n_tokens;
	return BitnetShrink(result, room);
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
	BitnetTokens result;

	CHECK_FOR_INTERRUPTS();		/* the core asks in long texts only */
	BitnetCheckBytes(model, 1, t.length, NULL);
	result = BitnetEncode(vocab, t, true);
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

/* A length that leaves a quarter for what stands around the text, if it is the text that is long */
static int
hint_length(int64 room, const char *what)
{
	if (what != NULL)
		return errhint("Shorten %s.", what);
	return errhint("Shorten the text, for example with bitnet_truncate(text, %lld); bitnet_classify and bitnet_embed have the option \"on_overflow\" for that.",
				   (long long) Max(room * 3 / 4, 1));
}

void
BitnetCheckLength(const BitnetModel *model, int64 n_tokens, int64 n_more, const char *what)
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
				 hint_length(context - n_more, what)));
}

void
BitnetCheckBytes(const BitnetModel *model, int n_texts, int64 n_bytes, const char *what)
{
	int32		context = model->model.config->context_length;
	int64		least = Max(n_texts, n_bytes / Max(model->model.vocab->max_token_bytes, 1));

	if (least > context)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("input is too long for model \"%s\"", model->name),
				 errdetail("The input has at least %lld tokens; the model's context is %d tokens.",
						   (long long) least, context),
				 hint_length(context, what)));
}
