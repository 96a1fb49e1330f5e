/*-------------------------------------------------------------------------
 *
 * preload.c
 *	  The background worker that loads models when the server starts.
 *
 * The worker stays alive after its work.  When a backend dies hard, the server
 * drops its shared memory, our models with it, and starts its workers anew:
 * but only those that had not ended by themselves.
 *
 * It is connected to the shared catalogs, though it reads none, because only a
 * process with a connection may wait for a heavyweight lock: the deadlock
 * check needs what InitPostgres() sets up.
 *
 * src/pg/preload.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "bitnet.h"
#include "preload.h"
#include "registry.h"

/* Pause before a worker that failed is started again, in seconds */
#define RESTART_PAUSE 10

PGDLLEXPORT void BitnetPreloadMain(Datum main_arg);

void
BitnetRegisterPreloadWorker(void)
{
	BackgroundWorker worker;

	/* The servers that pg_upgrade starts have no use for models */
	if (bitnet_preload_models == NULL || bitnet_preload_models[0] == '\0' || IsBinaryUpgrade)
		return;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, "bitnet preload", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "bitnet preload", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = RESTART_PAUSE;
	strcpy(worker.bgw_library_name, "$libdir/bitnet");
	strcpy(worker.bgw_function_name, "BitnetPreloadMain");
	RegisterBackgroundWorker(&worker);
}

/*
 * Loads one model.  A failure is reported and forgotten: it must not keep the
 * server from starting, nor the other models from being loaded.
 */
static void
preload_model(const char *name)
{
	MemoryContext context = CurrentMemoryContext;

	StartTransactionCommand();
	PG_TRY();
	{
		BitnetLoadModel(name, false);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);

		/* Shutdown is not a failure; it is acted upon by the caller */
		if (!ProcDiePending)
			ereport(WARNING,
					(errcode(error->sqlerrcode),
					 errmsg("could not preload model \"%s\": %s", name, error->message),
					 error->detail ? errdetail_internal("%s", error->detail) : 0,
					 error->hint ? errhint("%s", error->hint) : 0));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

static void
preload_all(void)
{
	MemoryContext context;
	MemoryContext old;
	List	   *names;
	ListCell   *cell;

	context = AllocSetContextCreate(TopMemoryContext, "bitnet preload",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);

	if (!SplitGUCList(pstrdup(bitnet_preload_models), ',', &names))
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid list syntax in parameter \"%s\"", "bitnet.preload_models")));
	else
	{
		foreach(cell, names)
		{
			preload_model(lfirst(cell));
			CHECK_FOR_INTERRUPTS();
		}
	}

	/* The server keeps the segments; this process has no use for them */
	BitnetReleaseMappings();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
BitnetPreloadMain(Datum main_arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	preload_all();

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();

		/* With another model_directory, what failed may go well now */
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			preload_all();
		}
		else
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1L,
							 PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
		}
	}
}
