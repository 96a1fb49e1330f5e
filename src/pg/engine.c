/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  The background worker that computes for all sessions.
 *
 * One worker for each model that is in use owns the schedule, the KV cache and
 * the threads.  It takes the channels that lie on the desks, in the order in
 * which they were put there, and runs step after step for all of them at once.
 * Between two steps it looks for new ones and for those that are no longer
 * wanted.
 *
 * Nothing that an engine has is of value to anybody else: results depend on the
 * model, the input and the options alone.  So whenever it ends, those who wait
 * ask another one, or compute by themselves.
 *
 * It is connected to the shared catalogs, though it reads none, so that it
 * shows in pg_stat_activity, and holds no transaction.
 *
 * src/pg/engine.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "bitnet.h"
#include "compat.h"
#include "engine.h"
#include "loader.h"

/*
 * An engine that had nothing to do for so many milliseconds ends: it holds one
 * of max_worker_processes and as much memory as its cache has ever used.  The
 * next call starts another in some milliseconds, which knows no beginnings.
 */
#define IDLE_LIMIT (5 * 60 * 1000)

typedef struct Work
{
	dlist_node	node;
	int			desk;
	uint64		ticket;
	MemoryContext context;		/* holds this */
	dsm_segment *segment;
	BitnetJob	job;
} Work;

typedef struct EngineWorker
{
	BitnetEngineRef ref;
	BitnetEngineTask task;
	const BitnetModel *model;
	bn_schedule *schedule;
	int			kv_cache_size;	/* of the schedule, in MB */
	int			other_kv_cache_size;	/* a session's, for which the settings were read */
	int			max_threads;	/* likewise */
	bn_schedule_stats counted;	/* in the statistics */
	dlist_head	works;			/* in the order in which they came */
	int			n_works;
	Work	  **work_of_desk;	/* or NULL */
	BitnetPosted *posts;		/* space for all there can be */
	uint32		posts_seen;
	bool		withdrawn;		/* takes nothing new */
	bool		failed;
	TimestampTz idle_since;		/* 0: it is at work */
} EngineWorker;

PGDLLEXPORT void BitnetEngineMain(Datum main_arg);

static EngineWorker worker;

static bool
should_stop(void *ctx)
{
	return ShutdownRequestPending != 0;
}

static const bn_hooks engine_hooks = {should_stop, NULL, NULL};

bn_schedule *
BitnetMakeSchedule(MemoryContext context, const bn_model *model, const bn_kernels *kernels,
				   const bn_schedule_limits *limits)
{
	const char *primary = _("could not run the model");
	bn_schedule *schedule;
	bn_error	err;
	size_t		size;
	void	   *memory;

	if (bn_schedule_size(model, limits, &size, &err) != BN_OK)
		BitnetReportError(&err, primary);
	memory = MemoryContextAllocExtended(context, size + 64,
										MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (memory == NULL)
		return NULL;
	memory = (void *) TYPEALIGN(64, memory);
	if (bn_schedule_init(&schedule, memory, size, model, kernels, limits, &err) != BN_OK)
		BitnetReportError(&err, primary);
	return schedule;
}

void
BitnetCountSteps(const char *model, const bn_schedule *schedule, bn_schedule_stats *before)
{
	const bn_schedule_stats *now = bn_schedule_get_stats(schedule);
	BitnetModelStats stats = {0};

	stats.steps = now->steps - before->steps;
	stats.sequence_steps = now->sequence_steps - before->sequence_steps;
	stats.cached_tokens = now->reused_tokens - before->reused_tokens;
	stats.prompt_tokens = now->prefill_tokens - before->prefill_tokens + stats.cached_tokens;
	stats.output_tokens = now->output_tokens - before->output_tokens;
	stats.drafted_tokens = now->drafted_tokens - before->drafted_tokens;
	stats.accepted_tokens = now->accepted_tokens - before->accepted_tokens;
	BitnetCount(model, &stats);
	*before = *now;
}

/* The engine's schedule, with the settings as they are now. */
static void
make_schedule(void)
{
	const bn_model *model = &worker.model->model;
	bn_schedule_limits limits = {0};

	worker.kv_cache_size = bitnet_kv_cache_size;
	worker.max_threads = BitnetProcessors();
	limits.max_sequences = BITNET_MAX_SEQUENCES;
	limits.max_run_sequences = BITNET_RUN_SEQUENCES;
	limits.max_step_tokens = BITNET_STEP_TOKENS;
	limits.max_positions = model->config->context_length;
	limits.n_threads = worker.max_threads;
	limits.kv_bytes = (int64) worker.kv_cache_size * 1024 * 1024;
	worker.schedule = BitnetMakeSchedule(TopMemoryContext, model, BitnetKernels("auto"),
										 &limits);
	if (worker.schedule == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("not enough memory for the engine of model \"%s\"", worker.task.model),
				 errhint("Lower \"bitnet.kv_cache_size\".")));
}

static void
show_engine(void)
{
	BitnetShowEngine(worker.ref, worker.n_works, bn_schedule_get_stats(worker.schedule)->steps,
					 bn_schedule_cache_use(worker.schedule),
					 (int64) bn_kv_page_bytes(worker.model->model.config));
}

/* Takes work out of all that the engine has at hand, and counts it. */
static void
forget_work(Work *work)
{
	bn_schedule_remove(worker.schedule, &work->job.run);
	BitnetCountJob(&work->job, worker.task.model);
	dlist_delete(&work->node);
	worker.n_works--;
	worker.work_of_desk[work->desk] = NULL;
}

static void
free_work(Work *work)
{
	dsm_detach(work->segment);
	MemoryContextDelete(work->context);
}

/* Ends work that is no longer wanted. */
static void
drop_work(Work *work)
{
	forget_work(work);
	free_work(work);
}

/* Tells the owner of work that has been forgotten that it is done. */
static void
deliver_work(Work *work)
{
	int			desk = work->desk;

	BitnetFinishJob(&work->job);
	free_work(work);
	BitnetWakeDesk(desk);
}

static void
drop_unwanted(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &worker.works)
	{
		Work	   *work = dlist_container(Work, node, iter.cur);

		if (!BitnetIsWanted(work->desk, work->ticket))
			drop_work(work);
	}
}

static void
take_post(const BitnetPosted *post)
{
	dsm_segment *segment = dsm_attach(post->channel);
	MemoryContext context;
	MemoryContext old;
	BitnetChannel *channel;
	Work	   *work;

	if (segment == NULL)
		return;

	/*
	 * While it is wanted, its owner has it mapped, so that this is the one.  What
	 * is done lies there until its owner has seen that.
	 */
	channel = dsm_segment_address(segment);
	if (!BitnetIsWanted(post->desk, post->ticket) || BitnetChannelDone(channel))
	{
		dsm_detach(segment);
		return;
	}
	if (worker.withdrawn)
	{
		BitnetRefuseChannel(channel);
		dsm_detach(segment);
		BitnetWakeDesk(post->desk);
		return;
	}

	context = AllocSetContextCreate(TopMemoryContext, "bitnet work", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	work = palloc0(sizeof(Work));
	work->desk = post->desk;
	work->ticket = post->ticket;
	work->context = context;
	work->segment = segment;
	BitnetInitJob(&work->job, channel);
	MemoryContextSwitchTo(old);

	dlist_push_tail(&worker.works, &work->node);
	worker.n_works++;
	worker.work_of_desk[work->desk] = work;
	work->job.run.status = bn_schedule_add(worker.schedule, &work->job.run, &work->job.run.error);
	if (bn_run_done(&work->job.run))
	{
		forget_work(work);
		deliver_work(work);
	}
}

static int
compare_tickets(const void *a, const void *b)
{
	uint64		left = ((const BitnetPosted *) a)->ticket;
	uint64		right = ((const BitnetPosted *) b)->ticket;

	return left < right ? -1 : left > right ? 1 : 0;
}

/*
 * With another size of the cache, this engine takes nothing new and ends with
 * what it has; the next call starts another one.
 */
static void
read_settings(void)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (worker.kv_cache_size != bitnet_kv_cache_size && !worker.withdrawn)
	{
		worker.withdrawn = true;
		BitnetWithdrawEngine(worker.ref);
	}
}

/* Looks at the desks if anything has changed there. */
static void
look_at_desks(void)
{
	uint32		count = BitnetPostCount(worker.ref);
	int			n;

	if (count == worker.posts_seen)
		return;
	worker.posts_seen = count;
	drop_unwanted();

	n = BitnetListPosts(worker.ref, worker.posts);
	qsort(worker.posts, n, sizeof(BitnetPosted), compare_tickets);
	for (int i = 0; i < n; i++)
	{
		const BitnetPosted *post = &worker.posts[i];
		Work	   *work = worker.work_of_desk[post->desk];

		if (work && work->ticket == post->ticket)
			continue;
		if (work)
			drop_work(work);	/* its owner has put something else there since */

		/* Whoever knows another size may have read the settings before us, or long ago */
		if (post->kv_cache_size != worker.kv_cache_size &&
			post->kv_cache_size != worker.other_kv_cache_size && !worker.withdrawn)
		{
			worker.other_kv_cache_size = post->kv_cache_size;
			read_settings();
		}
		take_post(post);
	}
}

/* Threads and kernels: what the sessions ask for that something is computed for. */
static void
choose_means(void)
{
	const bn_kernels *kernels = NULL;
	int			n_threads = 1;
	dlist_iter	iter;

	dlist_foreach(iter, &worker.works)
	{
		const BitnetChannel *channel = dlist_container(Work, node, iter.cur)->job.channel;

		if (kernels == NULL)
			kernels = BitnetKernels(channel->kernel);
		n_threads = Max(n_threads, channel->n_threads);
	}
	bn_schedule_use(worker.schedule, kernels ? kernels : BitnetKernels("auto"),
					Min(n_threads, worker.max_threads));
}

/*
 * One step for all, and the news for each.  Whoever is told that his is done
 * finds that in the statistics and views.
 */
static void
run_step(void)
{
	dlist_head	done;
	dlist_mutable_iter iter;
	bn_error	err;

	choose_means();
	dlist_foreach_modify(iter, &worker.works)
		BitnetServeStops(&dlist_container(Work, node, iter.cur)->job, worker.schedule);
	if (bn_schedule_step(worker.schedule, &engine_hooks, &err) != BN_OK)
		return;					/* it is to end */

	dlist_init(&done);
	BitnetCountSteps(worker.task.model, worker.schedule, &worker.counted);
	dlist_foreach_modify(iter, &worker.works)
	{
		Work	   *work = dlist_container(Work, node, iter.cur);
		BitnetProgress progress;

		BitnetShowStep(&work->job, &progress);
		if (!BitnetReport(work->desk, work->ticket, &progress))
			drop_work(work);
		else if (bn_run_done(&work->job.run))
		{
			forget_work(work);
			dlist_push_tail(&done, &work->node);
		}
		else if (work->job.channel->each_token)
			BitnetWakeDesk(work->desk);
	}
	show_engine();
	dlist_foreach_modify(iter, &done)
		deliver_work(dlist_container(Work, node, iter.cur));
}

/* Waits until there may be something to do; false if the engine should end. */
static bool
wait_for_work(void)
{
	static uint32 wait_event = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (worker.withdrawn || !BitnetIsRegistered(worker.task.generation))
		return false;
	if (worker.idle_since == 0)
	{
		worker.idle_since = now;
		pgstat_report_activity(STATE_IDLE, NULL);
	}
	if (TimestampDifferenceExceeds(worker.idle_since, now, IDLE_LIMIT))
		return false;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, IDLE_LIMIT,
					 compat_wait_event(&wait_event, "BitnetEngineMain"));
	return true;
}

static void
run_engine(void)
{
	for (;;)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ShutdownRequestPending)
			return;
		if (ConfigReloadPending)
			read_settings();
		look_at_desks();
		if (worker.n_works == 0)
		{
			show_engine();
			if (!wait_for_work())
				return;
			continue;
		}
		if (worker.idle_since != 0)
		{
			worker.idle_since = 0;
			pgstat_report_activity(STATE_RUNNING, NULL);
		}
		run_step();
	}
}

/*
 * However the worker ends, those who wait for it are told: also whoever unloads
 * the model, to whom its memory is promised.
 */
static void
end_engine(int code, Datum arg)
{
	LWLockReleaseAll();
	if (worker.model)
		BitnetDetachGeneration(worker.model);
	BitnetEndEngine(worker.ref, worker.failed);
}

void
BitnetEngineMain(Datum main_arg)
{
	BitnetEngineOrder order;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGINT, SIG_IGN);	/* it has no query of its own that could be canceled */
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	/* This process has the library that is on disk now, not that of the session */
	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	if (strncmp(order.layout, BitnetLayout(), sizeof(order.layout)) != 0)
	{
		ereport(LOG,
				(errmsg("bitnet: no engine for a session of another version of the library"),
				 errdetail("Version %s has taken its place.  Sessions that began before compute by themselves.",
						   BITNET_VERSION),
				 errhint("Connect these sessions again.")));
		proc_exit(0);
	}

	dlist_init(&worker.works);
	worker.ref.index = DatumGetInt32(main_arg);
	worker.ref.number = order.number;
	if (!BitnetAttachBoard())
		proc_exit(1);
	before_shmem_exit(end_engine, (Datum) 0);
	if (!BitnetBeginEngine(worker.ref, &worker.task))
		proc_exit(0);

	/* An error from here on is likely to come again */
	worker.failed = true;
	worker.model = BitnetAttachGeneration(worker.task.model, worker.task.generation);
	if (worker.model != NULL)
	{
		worker.posts = MemoryContextAlloc(TopMemoryContext,
										  sizeof(BitnetPosted) * BitnetDesks());
		worker.work_of_desk = MemoryContextAllocZero(TopMemoryContext,
													 sizeof(Work *) * BitnetDesks());
		worker.posts_seen = BitnetPostCount(worker.ref) - 1;
		pgstat_report_activity(STATE_RUNNING, NULL);
		BitnetMapSegment(worker.model->segment);
		make_schedule();
		run_engine();
	}
	worker.failed = false;
	proc_exit(0);
}
