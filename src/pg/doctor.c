/*-------------------------------------------------------------------------
 *
 * doctor.c
 *	  bitnet_check: what works, what does not, and what to do about it.
 *
 * src/pg/doctor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "../core/kv.h"
#include "../core/step.h"
#include "bitnet.h"
#include "board.h"
#include "loader.h"
#include "registry.h"

PG_FUNCTION_INFO_V1(bitnet_check);

#define MEGABYTE (1024.0 * 1024.0)

static void report(ReturnSetInfo *rsinfo, const char *item, const char *status,
				   const char *hint, const char *detail,...) pg_attribute_printf(5, 6);

static void
report(ReturnSetInfo *rsinfo, const char *item, const char *status,
	   const char *hint, const char *detail,...)
{
	StringInfoData text;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, hint == NULL};

	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, detail);
		needed = appendStringInfoVA(&text, detail, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}

	values[0] = CStringGetTextDatum(item);
	values[1] = CStringGetTextDatum(status);
	values[2] = CStringGetTextDatum(text.data);
	values[3] = hint == NULL ? (Datum) 0 : CStringGetTextDatum(hint);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* The version of the extension's SQL objects in this database. */
static char *
installed_version(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	char	   *result = "none";
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("bitnet"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		version = heap_getattr(tuple, Anum_pg_extension_extversion,
										   RelationGetDescr(rel), &isnull);

		if (!isnull)
			result = TextDatumGetCString(version);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/* The library that is loaded and the SQL objects that were created. */
static void
check_versions(ReturnSetInfo *rsinfo)
{
	const char *running = GetConfigOption("server_version", false, false);
	const char *sql_version = installed_version();

	if (strcmp(sql_version, BITNET_VERSION) == 0)
		report(rsinfo, "extension", "ok", NULL, "version %s", BITNET_VERSION);
	else
		report(rsinfo, "extension", "warning",
			   "Run \"ALTER EXTENSION bitnet UPDATE\", and reconnect if the library was replaced.",
			   "library %s, SQL objects %s", BITNET_VERSION, sql_version);
	report(rsinfo, "postgresql", "ok", NULL, "version %s, built for %s", running, PG_VERSION);
}

static void
check_processor(ReturnSetInfo *rsinfo)
{
	const bn_kernels *chosen = BitnetKernels(bitnet_kernel);
	const bn_kernels *best = bn_kernels_select(NULL);
	int			threads = BitnetThreads();
	int			processors = BitnetProcessors();

	if (strcmp(best->name, "scalar") == 0)
		report(rsinfo, "kernel", "warning",
			   "Answers are the same on every processor, but this one has no instructions that make them fast.",
			   "%s: %s", chosen->name, chosen->description);
	else if (chosen != best)
		report(rsinfo, "kernel", "warning", "Set \"bitnet.kernel\" to \"auto\".",
			   "%s: %s; the best one here is %s", chosen->name, chosen->description,
			   best->name);
	else
		report(rsinfo, "kernel", "ok", NULL, "%s: %s", chosen->name, chosen->description);

	if (threads > processors)
		report(rsinfo, "threads", "warning",
			   "Lower \"bitnet.threads\": threads that wait for a processor slow the others down.",
			   "%d threads on %d processors", threads, processors);
	else
		report(rsinfo, "threads", "ok", NULL, "%d of %d processors compute for this session",
			   threads, processors);
}

/*
 * Tries to get the default model.  A failure is what the caller wants to hear
 * of, not an error of this function, so it is caught in a subtransaction.
 */
static const BitnetModel *
check_model(ReturnSetInfo *rsinfo)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const BitnetModel *volatile model = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		model = BitnetPinModel(context, NULL);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;

		if (edata->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(edata);
		report(rsinfo, "model", "error", edata->hint, "%s%s%s", edata->message,
			   edata->detail ? ": " : "", edata->detail ? edata->detail : "");
	}
	PG_END_TRY();

	if (model != NULL)
	{
		const bn_config *config = model->model.config;

		report(rsinfo, "model", "ok", NULL,
			   "\"%s\": %s, %d layers, %d dimensions, %d tokens of vocabulary, %d of context, %.0f MB",
			   model->name, model->model.header->architecture, config->n_layers,
			   config->d_model, config->vocab_size, config->context_length,
			   model->model.header->size / MEGABYTE);
	}
	return model;
}

/* The cache must hold one sequence as long as the context. */
static void
check_cache(ReturnSetInfo *rsinfo, const BitnetModel *model)
{
	const bn_config *config = model->model.config;
	double		page = (double) bn_kv_page_bytes(config);
	double		one = page * bn_kv_pages(config->context_length) / MEGABYTE;

	if (one > bitnet_kv_cache_size)
		report(rsinfo, "kv cache", "warning",
			   psprintf(_("Set \"bitnet.kv_cache_size\" to %.0f MB or more."), ceil(one)),
			   "%d MB hold %.0f tokens, the context has %d", bitnet_kv_cache_size,
			   floor(bitnet_kv_cache_size * MEGABYTE / page) * BN_PAGE_TOKENS,
			   config->context_length);
	else
		report(rsinfo, "kv cache", "ok", NULL,
			   "up to %d MB for all sessions; a full context takes %.1f MB",
			   bitnet_kv_cache_size, one);
}

/* Can a worker be had that computes for all sessions? */
static void
check_engine(ReturnSetInfo *rsinfo, const BitnetModel *model)
{
	BackgroundWorkerHandle *started;
	BitnetEngineRef engine = {0, 0};
	bool		begun = false;

	if (!bitnet_shared_engine)
	{
		report(rsinfo, "engine", "ok", NULL,
			   "bitnet.shared_engine is off: this session computes by itself");
		return;
	}
	if (BitnetAttachBoard())
		engine = BitnetFindEngine(model, &started);
	while (engine.number != 0 && BitnetEngineLives(engine, started, &begun) && !begun)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	if (begun)
		report(rsinfo, "engine", "ok", NULL, "a worker of its own computes for all sessions");
	else
		report(rsinfo, "engine", "warning",
			   "Raise \"max_worker_processes\", or see the server log for why the worker did not start.",
			   "no worker can be had, so each session computes by itself; max_worker_processes is %s",
			   GetConfigOption("max_worker_processes", false, false));
}

/* Where models live: of what kind that memory is, and how much is left. */
static void
check_shared_memory(ReturnSetInfo *rsinfo, const BitnetModel *model)
{
	const char *kind = GetConfigOption("dynamic_shared_memory_type", false, false);
	struct statvfs fs;

	if (model != NULL && BitnetSegmentIsMain(dsm_segment_handle(model->segment)))
		report(rsinfo, "shared memory", "ok", NULL,
			   "the model is in the main region, min_dynamic_shared_memory is %s",
			   GetConfigOptionByName("min_dynamic_shared_memory", NULL, false));
	else if (strcmp(kind, "posix") != 0)
		report(rsinfo, "shared memory", strcmp(kind, "mmap") == 0 ? "warning" : "ok",
			   strcmp(kind, "mmap") == 0 ?
			   "Set \"dynamic_shared_memory_type\" to \"posix\": models in files are read more slowly." : NULL,
			   "dynamic_shared_memory_type is \"%s\"", kind);
	else if (statvfs("/dev/shm", &fs) == 0)
	{
		double		total = (double) fs.f_blocks * fs.f_frsize / MEGABYTE;
		double		unused = (double) fs.f_bavail * fs.f_frsize / MEGABYTE;
		double		image = model ? model->model.header->size / MEGABYTE : 0;
		bool		small = unused < Max(64, image);

		report(rsinfo, "shared memory", small ? "warning" : "ok",
			   small ? "A further model may not fit.  In a container, raise its limit, for example with \"docker run --shm-size\"." : NULL,
			   "/dev/shm has %.0f MB, of which %.0f MB are free", total, unused);
	}
}

/* The path itself is not for everybody. */
static void
check_directory(ReturnSetInfo *rsinfo)
{
	if (bitnet_model_directory[0] != '\0' && access(bitnet_model_directory, R_OK | X_OK) != 0)
		report(rsinfo, "model directory", "warning",
			   "Set \"bitnet.model_directory\" to a directory that the server's user may read, by its whole path.",
			   "bitnet.model_directory cannot be read: %s", strerror(errno));
}

static void
check_settings(ReturnSetInfo *rsinfo)
{
	if (bitnet_max_tokens > bitnet_max_tokens_limit)
		report(rsinfo, "settings", "warning",
			   "Lower \"bitnet.max_tokens\" or raise \"bitnet.max_tokens_limit\".",
			   "bitnet.max_tokens is %d, but the limit is %d", bitnet_max_tokens,
			   bitnet_max_tokens_limit);
	else
		report(rsinfo, "settings", "ok", NULL,
			   "answers have up to %d tokens, at most %d on request", bitnet_max_tokens,
			   bitnet_max_tokens_limit);
	if (bitnet_preload_ignored)
		report(rsinfo, "preload", "warning",
			   "Add \"bitnet\" to \"shared_preload_libraries\" and restart the server.",
			   "bitnet.preload_models is set, but the library was not there when the server started");
}

Datum
bitnet_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const BitnetModel *model;

	InitMaterializedSRF(fcinfo, 0);
	check_versions(rsinfo);
	check_processor(rsinfo);
	check_settings(rsinfo);
	check_directory(rsinfo);
	model = check_model(rsinfo);
	if (model != NULL)
	{
		check_cache(rsinfo, model);
		check_engine(rsinfo, model);
	}
	check_shared_memory(rsinfo, model);
	return (Datum) 0;
}
