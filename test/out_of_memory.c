/*-------------------------------------------------------------------------
 *
 * out_of_memory.c
 *	  A module for test/t/054_out_of_memory.pl: lets one allocation of a
 *	  process fail, as it fails when the system has no more memory.
 *
 * It puts itself before the functions with which memory contexts allocate, so
 * that it counts what the server does on behalf of the extension as well.  The
 * server's own promises stay: what is allocated for an error, or where an error
 * would be a crash, does not fail.
 *
 * A session asks for it with out_of_memory_at(query, n).  In each worker of the
 * extension it is allocation number out_of_memory.worker_at, counted from when
 * the worker is connected.
 *
 * test/out_of_memory.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/memnodes.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 170000
#include "utils/memutils_internal.h"
#endif

PG_MODULE_MAGIC;

#if PG_VERSION_NUM >= 170000
#define FLAGS_PARAMETER , int flags
#define FLAGS , flags
#define FAILURE(context, size) MemoryContextAllocationFailure(context, size, flags)
#else
#define FLAGS_PARAMETER
#define FLAGS
#define FAILURE(context, size) NULL
#endif

void		_PG_init(void);

static MemoryContextMethods original;
static int	worker_at;
static bool counting;			/* in this session */
static int	fail_at;
static int	count;

/* Is this the allocation that fails?  There is none after it. */
static bool
fails(MemoryContext context)
{
	bool		in_worker = worker_at > 0 && MyBgworkerEntry && IsNormalProcessingMode() &&
		strncmp(MyBgworkerEntry->bgw_type, "bitnet ", 7) == 0;

	if (!(counting || in_worker) || context == ErrorContext || CritSectionCount > 0)
		return false;
	if (++count != (in_worker ? worker_at : fail_at))
		return false;
	if (in_worker)
		write_stderr("out of memory: allocation %d of \"%s\"\n", count, MyBgworkerEntry->bgw_type);
	return true;
}

static void *
allocate(MemoryContext context, Size size FLAGS_PARAMETER)
{
	return fails(context) ? FAILURE(context, size) : original.alloc(context, size FLAGS);
}

#if PG_VERSION_NUM >= 160000
static void *
reallocate(void *pointer, Size size FLAGS_PARAMETER)
{
	MemoryContext context = GetMemoryChunkContext(pointer);

	return fails(context) ? FAILURE(context, size) : original.realloc(pointer, size FLAGS);
}
#else
static void *
reallocate(MemoryContext context, void *pointer, Size size)
{
	return fails(context) ? NULL : original.realloc(context, pointer, size);
}
#endif

/*
 * Runs a query whose nth allocation fails (0: none).  Gives its rows, if it had
 * no error, and how many allocations there were.
 */
PG_FUNCTION_INFO_V1(out_of_memory_at);
Datum
out_of_memory_at(PG_FUNCTION_ARGS)
{
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MemoryContext context = CurrentMemoryContext;
	TupleDesc	desc;
	StringInfoData rows;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "the function's result is not a row");
	SPI_connect();
	fail_at = PG_GETARG_INT32(1);
	count = 0;
	counting = true;
	PG_TRY();
	{
		SPI_execute(query, false, 0);
	}
	PG_FINALLY();
	{
		counting = false;
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	initStringInfo(&rows);
	for (uint64 row = 0; SPI_tuptable && row < SPI_processed; row++)
		for (int column = 1; column <= SPI_tuptable->tupdesc->natts; column++)
		{
			char	   *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);

			appendStringInfo(&rows, "%s,", value ? value : "NULL");
		}
	SPI_finish();
	values[0] = PointerGetDatum(cstring_to_text_with_len(rows.data, rows.len));
	values[1] = Int32GetDatum(count);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

void
_PG_init(void)
{
	MemoryContextMethods *methods = unconstify(MemoryContextMethods *, TopMemoryContext->methods);
	uintptr_t	page = sysconf(_SC_PAGESIZE);
	uintptr_t	first = (uintptr_t) methods / page * page;

	DefineCustomIntVariable("out_of_memory.worker_at", "The allocation that fails in workers, or 0.",
							NULL, &worker_at, 0, 0, INT_MAX, PGC_SIGHUP, 0, NULL, NULL, NULL);

	original = *methods;
	if (mprotect((void *) first, (uintptr_t) (methods + 1) - first, PROT_READ | PROT_WRITE) != 0)
		elog(ERROR, "could not write to the methods of memory contexts: %m");
	methods->alloc = allocate;
	methods->realloc = reallocate;
}
