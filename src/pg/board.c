/*-------------------------------------------------------------------------
 *
 * board.c
 *	  What sessions and engines tell each other in shared memory.
 *
 * The board is a segment of its own, pinned for the life of the server, since
 * without shared_preload_libraries there is no room for an entry a process in
 * main shared memory.
 *
 * A desk belongs to one process and is protected by a spinlock.  What lies on
 * it is known by its ticket: an engine that finds another ticket there, or
 * none, knows that its work is no longer wanted, and writes nothing.  So the
 * owner takes something away without waiting for anybody.
 *
 * Engines are protected by the board's lock.  An engine's number is given out
 * before its worker runs and goes with the worker; those who wait look whether
 * the number is still there.  Both sides first write and then look: whoever
 * posts looks whether the engine lives, and an engine that ends wakes all who
 * have posted.
 *
 * src/pg/board.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "bitnet.h"
#include "board.h"
#include "compat.h"

/* A worker that has not begun after so many milliseconds is given up. */
#define START_LIMIT 10000

/* After a worker that could not begin there is none for so many milliseconds. */
#define FAILURE_PAUSE 10000

/* The most that unloading waits for an engine that has nothing to do. */
#define RETIRE_LIMIT 2000

typedef struct Engine
{
	uint64		number;			/* 0: this place is free */
	uint64		generation;		/* of the model */
	BitnetEngineState state;	/* pid 0: not yet begun */
	TimestampTz asked;			/* for the worker */
	int			procno;
	pg_atomic_uint32 posts;
} Engine;

typedef struct Desk
{
	slock_t		mutex;
	uint64		ticket;			/* 0: nothing is here */
	uint64		engine;			/* number; 0: the owner computes it */
	dsm_handle	channel;
	int			kv_cache_size;
	BitnetActivity activity;
	BitnetProgress progress;
} Desk;

/* An engine of that image could not begin */
typedef struct Failure
{
	uint64		generation;
	TimestampTz at;
} Failure;

typedef struct Board
{
	LWLock		lock;			/* protects the engines */
	ConditionVariable engine_ended;
	uint64		last_engine;
	Failure		failures[BITNET_MAX_MODELS];	/* of workers to begin, the last ones */
	pg_atomic_uint64 last_ticket;
	Engine		engines[BITNET_MAX_ENGINES];
	int			n_desks;
	Desk		desks[FLEXIBLE_ARRAY_MEMBER];
} Board;

const Size	bitnet_board_bytes = offsetof(Board, desks) + sizeof(Desk);

static Board *board = NULL;
static BitnetEngineRef asked_engine;	/* of what lies on this process's desk */

/* ---- the segment ---- */

static Size
board_size(void)
{
	return offsetof(Board, desks) + sizeof(Desk) * (Size) MaxBackends;
}

static void
init_board(Board *b)
{
	memset(b, 0, board_size());
	LWLockInitialize(&b->lock, BitnetTranche());
	ConditionVariableInit(&b->engine_ended);
	pg_atomic_init_u64(&b->last_ticket, 0);
	for (int i = 0; i < BITNET_MAX_ENGINES; i++)
		pg_atomic_init_u32(&b->engines[i].posts, 0);
	b->n_desks = MaxBackends;
	for (int i = 0; i < b->n_desks; i++)
		SpinLockInit(&b->desks[i].mutex);
}

/*
 * Lack of memory is caught: the segment is no more than a way to compute
 * together.  What dsm_create leaves behind then goes with a resource owner of
 * its own; a segment that the caller's owner has no room for must go, too.
 */
dsm_segment *
BitnetCreateSegment(Size size)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner caller = CurrentResourceOwner;
	ResourceOwner owner = ResourceOwnerCreate(caller, "bitnet segment");
	dsm_segment *volatile segment = NULL;

	PG_TRY();
	{
		CurrentResourceOwner = owner;
		segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		if (segment)
			dsm_pin_mapping(segment);
		CurrentResourceOwner = caller;
		if (segment)
			dsm_unpin_mapping(segment);
	}
	PG_CATCH();
	{
		CurrentResourceOwner = caller;
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_INSUFFICIENT_RESOURCES)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		if (segment)
			dsm_detach(segment);
		segment = NULL;
	}
	PG_END_TRY();

	ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
	ResourceOwnerDelete(owner);
	return segment;
}

bool
BitnetAttachBoard(void)
{
	dsm_segment *segment;
	dsm_handle	handle;

	if (board)
		return true;
	if (!IsUnderPostmaster)
		return false;

	handle = BitnetBoardHandle();
	if (handle == DSM_HANDLE_INVALID)
	{
		dsm_handle	own;

		segment = BitnetCreateSegment(board_size());
		if (segment == NULL)
			return false;
		init_board(dsm_segment_address(segment));
		dsm_pin_segment(segment);
		own = dsm_segment_handle(segment);
		handle = BitnetOfferBoard(own);
		if (handle != own)
		{
			dsm_unpin_segment(own);
			dsm_detach(segment);
			segment = dsm_attach(handle);
		}
	}
	else
		segment = dsm_attach(handle);
	if (segment == NULL)
		elog(ERROR, "could not attach to the segment of the board");
	dsm_pin_mapping(segment);
	board = dsm_segment_address(segment);
	return true;
}

/* ---- desks ---- */

static void
wake_process(int procno)
{
	SetLatch(&GetPGProcByNumber(procno)->procLatch);
}

/* Tells an engine to look at the desks. */
static void
wake_engine(BitnetEngineRef ref)
{
	Engine	   *engine = &board->engines[ref.index];
	int			procno = -1;

	pg_atomic_fetch_add_u32(&engine->posts, 1);
	LWLockAcquire(&board->lock, LW_SHARED);
	if (engine->number == ref.number && engine->state.pid != 0)
		procno = engine->procno;
	LWLockRelease(&board->lock);
	if (procno >= 0)
		wake_process(procno);
}

void
BitnetPost(BitnetEngineRef engine, dsm_handle channel, const BitnetActivity *activity)
{
	Desk	   *desk = &board->desks[compat_proc_number()];
	uint64		ticket = pg_atomic_add_fetch_u64(&board->last_ticket, 1);

	SpinLockAcquire(&desk->mutex);
	desk->ticket = ticket;
	desk->engine = engine.number;
	desk->channel = channel;
	desk->kv_cache_size = bitnet_kv_cache_size;
	desk->activity = *activity;
	memset(&desk->progress, 0, sizeof(desk->progress));
	SpinLockRelease(&desk->mutex);

	asked_engine = engine;
	if (engine.number != 0)
		wake_engine(engine);
}

void
BitnetUnpost(bool done)
{
	Desk	   *desk;

	if (board == NULL)
		return;
	desk = &board->desks[compat_proc_number()];
	SpinLockAcquire(&desk->mutex);
	desk->ticket = 0;
	desk->engine = 0;
	SpinLockRelease(&desk->mutex);
	if (asked_engine.number != 0 && !done)
		wake_engine(asked_engine);
	asked_engine.number = 0;
}

bool
BitnetReport(int number, uint64 ticket, const BitnetProgress *progress)
{
	Desk	   *desk = &board->desks[number];
	bool		wanted;

	SpinLockAcquire(&desk->mutex);
	wanted = desk->ticket == ticket;
	if (wanted)
		desk->progress = *progress;
	SpinLockRelease(&desk->mutex);
	return wanted;
}

void
BitnetReportOwn(const BitnetProgress *progress)
{
	Desk	   *desk;

	if (board == NULL)
		return;
	desk = &board->desks[compat_proc_number()];
	SpinLockAcquire(&desk->mutex);
	desk->progress = *progress;
	SpinLockRelease(&desk->mutex);
}

bool
BitnetIsWanted(int number, uint64 ticket)
{
	Desk	   *desk = &board->desks[number];
	bool		wanted;

	SpinLockAcquire(&desk->mutex);
	wanted = desk->ticket == ticket;
	SpinLockRelease(&desk->mutex);
	return wanted;
}

int
BitnetDesks(void)
{
	return board ? board->n_desks : 0;
}

int
BitnetListPosts(BitnetEngineRef engine, BitnetPosted *posts)
{
	int			n = 0;

	for (int i = 0; i < board->n_desks; i++)
	{
		Desk	   *desk = &board->desks[i];

		SpinLockAcquire(&desk->mutex);
		if (desk->ticket != 0 && desk->engine == engine.number)
		{
			posts[n].desk = i;
			posts[n].ticket = desk->ticket;
			posts[n].channel = desk->channel;
			posts[n++].kv_cache_size = desk->kv_cache_size;
		}
		SpinLockRelease(&desk->mutex);
	}
	return n;
}

uint32
BitnetPostCount(BitnetEngineRef engine)
{
	return pg_atomic_read_u32(&board->engines[engine.index].posts);
}

void
BitnetWakeDesk(int desk)
{
	wake_process(desk);
}

bool
BitnetReadDesk(int number, BitnetActivity *activity, BitnetProgress *progress)
{
	Desk	   *desk = &board->desks[number];
	bool		used;

	SpinLockAcquire(&desk->mutex);
	used = desk->ticket != 0;
	if (used)
	{
		*activity = desk->activity;
		*progress = desk->progress;
	}
	SpinLockRelease(&desk->mutex);
	return used;
}

/* ---- engines ---- */

/* Forgets an engine; the lock must be held. */
static void
free_engine(Engine *engine)
{
	engine->number = 0;
	engine->generation = 0;
	memset(&engine->state, 0, sizeof(engine->state));
}

/* Those who wait for the engine look whether it lives when they are woken. */
static void
wake_waiting(BitnetEngineRef ref)
{
	for (int i = 0; i < board->n_desks; i++)
	{
		Desk	   *desk = &board->desks[i];
		bool		waits;

		SpinLockAcquire(&desk->mutex);
		waits = desk->ticket != 0 && desk->engine == ref.number;
		SpinLockRelease(&desk->mutex);
		if (waits)
			wake_process(i);
	}
	ConditionVariableBroadcast(&board->engine_ended);
}

/* Is it longer ago than the limit, in milliseconds, or in the future of a clock that was set back? */
static bool
is_over(TimestampTz since, int limit)
{
	TimestampTz now = GetCurrentTimestamp();

	return now < since || TimestampDifferenceExceeds(since, now, limit);
}

/* With the lock: its engine is not to be started again soon. */
static void
note_failure(uint64 generation)
{
	Failure    *oldest = &board->failures[0];

	for (int i = 0; i < BITNET_MAX_MODELS; i++)
	{
		Failure    *f = &board->failures[i];

		if (f->generation == generation)
		{
			oldest = f;
			break;
		}
		if (f->at < oldest->at)
			oldest = f;
	}
	oldest->generation = generation;
	oldest->at = GetCurrentTimestamp();
}

static bool
has_failed(uint64 generation)
{
	for (int i = 0; i < BITNET_MAX_MODELS; i++)
		if (board->failures[i].generation == generation)
			return !is_over(board->failures[i].at, FAILURE_PAUSE);
	return false;
}

/* Gives up a worker that was asked for, unless it has begun meanwhile. */
static void
give_up(BitnetEngineRef ref)
{
	Engine	   *engine = &board->engines[ref.index];
	bool		freed = false;

	LWLockAcquire(&board->lock, LW_EXCLUSIVE);
	if (engine->number == ref.number && engine->state.pid == 0)
	{
		note_failure(engine->generation);
		free_engine(engine);
		freed = true;
	}
	LWLockRelease(&board->lock);
	if (freed)
		wake_waiting(ref);
}

static BackgroundWorkerHandle *
register_worker(const BitnetModel *model, BitnetEngineRef ref)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	BitnetEngineOrder order = {0};

	StaticAssertStmt(sizeof(order) <= BGW_EXTRALEN, "order is too long for bgw_extra");
	order.number = ref.number;
	strlcpy(order.layout, BitnetLayout(), sizeof(order.layout));
	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "bitnet engine for model \"%s\"", model->name);
	strlcpy(worker.bgw_type, "bitnet engine", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strcpy(worker.bgw_library_name, "$libdir/bitnet");
	strcpy(worker.bgw_function_name, "BitnetEngineMain");
	worker.bgw_main_arg = Int32GetDatum(ref.index);
	memcpy(worker.bgw_extra, &order, sizeof(order));
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

/*
 * The engine of that generation, or, if a new one may be started, a place for
 * it with a new number; *is_new says which.
 */
static BitnetEngineRef
find_or_claim(const BitnetModel *model, bool *is_new)
{
	BitnetEngineRef ref = {-1, 0};
	bool		registered = BitnetIsRegistered(model->generation);

	*is_new = false;
	LWLockAcquire(&board->lock, LW_EXCLUSIVE);
	for (int i = 0; i < BITNET_MAX_ENGINES; i++)
	{
		Engine	   *engine = &board->engines[i];

		if (engine->number != 0 && engine->generation == model->generation)
		{
			ref.index = i;
			ref.number = engine->number;
			break;
		}
		if (engine->number == 0 && ref.index < 0)
			ref.index = i;
	}

	/*
	 * An engine of an image that has been replaced or unloaded ends when
	 * nothing runs; so starting it again for each row would be in vain.
	 */
	if (ref.number == 0 && ref.index >= 0 && registered && !has_failed(model->generation))
	{
		Engine	   *engine = &board->engines[ref.index];

		ref.number = engine->number = ++board->last_engine;
		engine->generation = model->generation;
		strlcpy(engine->state.model, model->name, NAMEDATALEN);
		engine->asked = GetCurrentTimestamp();
		*is_new = true;
	}
	LWLockRelease(&board->lock);
	return ref;
}

BitnetEngineRef
BitnetFindEngine(const BitnetModel *model, BackgroundWorkerHandle **started)
{
	BitnetEngineRef ref;
	bool		is_new;

	*started = NULL;
	ref = find_or_claim(model, &is_new);
	if (!is_new)
		return ref;
	*started = register_worker(model, ref);
	if (*started == NULL)
	{
		/* Not a failure that lasts: a parallel query may have taken all workers */
		BitnetEndEngine(ref, false);
		ref.number = 0;
	}
	return ref;
}

bool
BitnetEngineLives(BitnetEngineRef ref, BackgroundWorkerHandle *started, bool *begun)
{
	Engine	   *engine = &board->engines[ref.index];
	bool		lives;
	bool		has_begun;
	TimestampTz asked;
	pid_t		pid;

	LWLockAcquire(&board->lock, LW_SHARED);
	lives = engine->number == ref.number;
	has_begun = engine->state.pid != 0;
	asked = engine->asked;
	LWLockRelease(&board->lock);
	if (begun)
		*begun = lives && has_begun;
	if (!lives || has_begun)
		return lives;

	/*
	 * Whoever asked for the worker sees when it fails to start.  If that one
	 * has gone, it is a matter of time.
	 */
	if (started ? GetBackgroundWorkerPid(started, &pid) != BGWH_STOPPED :
		!is_over(asked, START_LIMIT))
		return true;
	give_up(ref);
	return false;
}

bool
BitnetBeginEngine(BitnetEngineRef ref, BitnetEngineTask *task)
{
	Engine	   *engine = &board->engines[ref.index];
	bool		wanted;

	LWLockAcquire(&board->lock, LW_EXCLUSIVE);
	wanted = engine->number == ref.number;
	if (wanted)
	{
		strlcpy(task->model, engine->state.model, NAMEDATALEN);
		task->generation = engine->generation;
		engine->procno = compat_proc_number();
		engine->state.pid = MyProcPid;
		engine->state.started = GetCurrentTimestamp();
	}
	LWLockRelease(&board->lock);
	return wanted;
}

void
BitnetWithdrawEngine(BitnetEngineRef ref)
{
	LWLockAcquire(&board->lock, LW_EXCLUSIVE);
	board->engines[ref.index].generation = 0;
	LWLockRelease(&board->lock);
}

void
BitnetEndEngine(BitnetEngineRef ref, bool failed)
{
	Engine	   *engine = &board->engines[ref.index];

	LWLockAcquire(&board->lock, LW_EXCLUSIVE);
	if (engine->number == ref.number)
	{
		if (failed)
			note_failure(engine->generation);
		free_engine(engine);
	}
	LWLockRelease(&board->lock);
	wake_waiting(ref);
}

void
BitnetShowEngine(BitnetEngineRef ref, int n_runs, int64 steps, bn_cache_use cache,
				 int64 page_bytes)
{
	BitnetEngineState *state = &board->engines[ref.index].state;

	LWLockAcquire(&board->lock, LW_EXCLUSIVE);
	state->n_runs = n_runs;
	state->steps = steps;
	state->cache = cache;
	state->page_bytes = page_bytes;
	LWLockRelease(&board->lock);
}

int
BitnetListEngines(BitnetEngineState *states)
{
	int			n = 0;

	LWLockAcquire(&board->lock, LW_SHARED);
	for (int i = 0; i < BITNET_MAX_ENGINES; i++)
		if (board->engines[i].number != 0 && board->engines[i].state.pid != 0)
			states[n++] = board->engines[i].state;
	LWLockRelease(&board->lock);
	return n;
}

/* The engine of that generation if it has nothing to do; number 0: there is none. */
static BitnetEngineRef
idle_engine(uint64 generation)
{
	BitnetEngineRef ref = {-1, 0};

	LWLockAcquire(&board->lock, LW_SHARED);
	for (int i = 0; i < BITNET_MAX_ENGINES; i++)
	{
		Engine	   *engine = &board->engines[i];

		if (engine->number != 0 && engine->generation == generation &&
			engine->state.pid != 0 && engine->state.n_runs == 0)
		{
			ref.index = i;
			ref.number = engine->number;
		}
	}
	LWLockRelease(&board->lock);
	return ref;
}

void
BitnetRetireEngine(uint64 generation, bool wait)
{
	static uint32 wait_event = 0;
	TimestampTz start = GetCurrentTimestamp();
	BitnetEngineRef ref;

	if (BitnetBoardHandle() == DSM_HANDLE_INVALID || !BitnetAttachBoard())
		return;
	ref = idle_engine(generation);
	if (ref.number == 0)
		return;
	wake_engine(ref);

	/* So that the memory is free when the caller is told so */
	ConditionVariablePrepareToSleep(&board->engine_ended);
	while (wait && idle_engine(generation).number != 0 &&
		   !is_over(start, RETIRE_LIMIT))
		ConditionVariableTimedSleep(&board->engine_ended, 100,
									compat_wait_event(&wait_event, "BitnetUnload"));
	ConditionVariableCancelSleep();
}
