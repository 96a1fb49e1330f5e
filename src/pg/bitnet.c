/*-------------------------------------------------------------------------
 *
 * bitnet.c
 *	  The module's entry point and its settings.
 *
 * The library works both ways: loaded by the first call of a function in a
 * session, or by shared_preload_libraries, which bitnet.preload_models needs.
 * Settings that name files, add memory or threads or lift a limit are not for
 * ordinary users.
 *
 * src/pg/bitnet.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sched.h>
#include <unistd.h>

#include "access/xact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/guc.h"

#include "../core/pool.h"
#include "../core/step.h"
#include "batch_scan.h"
#include "bitnet.h"
#include "compat.h"
#include "loader.h"
#include "preload.h"
#include "registry.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

char	   *bitnet_model_directory = NULL;
char	   *bitnet_model = NULL;
char	   *bitnet_kernel = NULL;
char	   *bitnet_preload_models = NULL;
bool		bitnet_preload_ignored = false;
int			bitnet_max_tokens = 256;
int			bitnet_max_tokens_limit = 4096;
static int	bitnet_threads = 0;		/* 0: half the processors */
int			bitnet_kv_cache_size = 1024;
bool		bitnet_enable_batch_scan = true;
bool		bitnet_shared_engine = true;

int
BitnetProcessors(void)
{
	long		n;

#ifdef __linux__
	cpu_set_t	allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
		n = CPU_COUNT(&allowed);
	else
#endif
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (int) Min(n, BN_MAX_THREADS);
}

int
BitnetThreads(void)
{
	return bitnet_threads > 0 ? bitnet_threads : Max(BitnetProcessors() / 2, 1);
}

bool
BitnetMayHaveThreads(void)
{
	const char *library = MyBgworkerEntry ? MyBgworkerEntry->bgw_library_name : "postgres";

	return strcmp(library, "postgres") == 0 || strcmp(library, "$libdir/bitnet") == 0;
}

/* Asking the processor takes long in a virtual machine. */
const bn_kernels *
BitnetKernels(const char *name)
{
	static char last_name[32] = "";
	static const bn_kernels *last = NULL;

	if (last == NULL || strcmp(name, last_name) != 0)
	{
		last = bn_kernels_select(name);
		strlcpy(last_name, name, sizeof(last_name));
	}
	return last;
}

static bool
check_model(char **newval, void **extra, GucSource source)
{
	const char *complaint = BitnetModelNameComplaint(*newval);

	if (complaint == NULL)
		return true;
	GUC_check_errdetail("%s", complaint);
	return false;
}

static bool
check_model_directory(char **newval, void **extra, GucSource source)
{
	if (strlen(*newval) >= MAXPGPATH / 2)
	{
		GUC_check_errdetail("The path is too long.");
		return false;
	}
	canonicalize_path(*newval);
	return true;
}

static bool
check_kernel(char **newval, void **extra, GucSource source)
{
	StringInfoData names;

	if (bn_kernels_select(*newval) != NULL)
		return true;

	initStringInfo(&names);
	for (int i = 0; bn_kernels_list[i] != NULL; i++)
	{
		if (bn_kernels_list[i]->supported())
			appendStringInfo(&names, ", %s", bn_kernels_list[i]->name);
	}
	GUC_check_errdetail("This processor can use: auto%s.", names.data);
	return false;
}

/*
 * Before the library is loaded, its settings are only names, and whoever
 * connects may have put other values in the place of the administrator's.  They
 * are refused when the settings are defined, but then the administrator's are
 * lost, too, and the built-in ones would be used.  So such a session does not
 * get the library, as it would not get the connection were it preloaded; settings
 * of the server (for_server) are nobody's to change there.
 */
static void
check_connection_option(const char *name, bool for_server)
{
	struct config_generic *setting = compat_find_setting(name);

	if (setting == NULL || !(setting->flags & GUC_CUSTOM_PLACEHOLDER) ||
		setting->reset_source != PGC_S_CLIENT)
		return;
	if (!for_server &&
		(setting->reset_scontext == PGC_SU_BACKEND ||
		 (IsTransactionState() &&
		  pg_parameter_aclcheck(name, setting->reset_srole, ACL_SET) == ACLCHECK_OK)))
		return;
	ereport(ERROR,
			(errcode(for_server ? ERRCODE_CANT_CHANGE_RUNTIME_PARAM :
					 ERRCODE_INSUFFICIENT_PRIVILEGE),
			 for_server ?
			 errmsg("parameter \"%s\" cannot be changed now", name) :
			 errmsg("permission denied to set parameter \"%s\"", name),
			 errdetail("It is among the options of the connection."),
			 errhint("Connect without it.")));
}

static void
define_settings(void)
{
	DefineCustomStringVariable("bitnet.model_directory",
							   "Directory of the model files that can be used by name.",
							   "A model NAME is the file NAME.gguf here, or else in the directory installed with the extension.",
							   &bitnet_model_directory, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_model_directory, NULL, NULL);
	DefineCustomStringVariable("bitnet.model",
							   "Model that functions use when none is named.",
							   NULL, &bitnet_model, "default",
							   PGC_USERSET, 0, check_model, NULL, NULL);
	DefineCustomIntVariable("bitnet.max_tokens",
							"Most tokens that a generated text has when max_tokens is not given.",
							NULL, &bitnet_max_tokens, 256, 1, BN_MAX_CONTEXT,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("bitnet.max_tokens_limit",
							"Most that max_tokens may be.",
							NULL, &bitnet_max_tokens_limit, 4096, 1, BN_MAX_CONTEXT,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("bitnet.threads",
							"Threads that the calls of a session are computed with.",
							"Zero means half of the processors, but at least one.  Results do not depend on it.",
							&bitnet_threads, 0, 0, BN_MAX_THREADS,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("bitnet.kernel",
							   "Compute kernels: \"auto\", or a name to force them.",
							   "Results do not depend on it.",
							   &bitnet_kernel, "auto",
							   PGC_SUSET, GUC_NOT_IN_SAMPLE, check_kernel, NULL, NULL);
	DefineCustomIntVariable("bitnet.kv_cache_size",
							"Memory for the keys and values of tokens, of each model in use.",
							"Those of earlier calls are kept while there is room, for prompts that begin alike.",
							&bitnet_kv_cache_size, 1024, 1, MAX_KILOBYTES / 1024,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomBoolVariable("bitnet.shared_engine",
							 "Computes in a background worker that serves all sessions.",
							 "Otherwise the session computes by itself.  Results do not depend on it.",
							 &bitnet_shared_engine, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("bitnet.enable_batch_scan",
							 "Enables plans that run the model calls of many rows together.",
							 NULL, &bitnet_enable_batch_scan, true,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		DefineCustomStringVariable("bitnet.preload_models",
								   "Models to load when the server starts, separated by commas.",
								   NULL, &bitnet_preload_models, "",
								   PGC_POSTMASTER, GUC_LIST_INPUT, NULL, NULL, NULL);
	else
	{
		/* The configuration file's value, which goes away with the next call */
		const char *ignored = GetConfigOption("bitnet.preload_models", true, false);

		bitnet_preload_ignored = ignored != NULL && ignored[0] != '\0';
	}
	MarkGUCPrefixReserved("bitnet");
}

/*
 * In parallel mode settings cannot be changed, not even from what was configured
 * for a name to the value of the setting of that name; the built-in values would
 * be used for the rest of the session.
 */
static void
check_parallel_mode(const char *name)
{
	if (IsInParallelMode() && compat_find_setting(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot load library \"bitnet\" during a parallel operation"),
				 errdetail("Parameter \"%s\" would not take effect.", name),
				 errhint("Add bitnet to session_preload_libraries, or call bitnet_version() before.")));
}

/* What may stand in the place of the settings before they are defined. */
static void
check_placeholders(void)
{
	static const struct
	{
		const char *name;
		GucContext	context;
	}			settings[] = {
		{"bitnet.model_directory", PGC_SIGHUP},
		{"bitnet.kv_cache_size", PGC_SIGHUP},
		{"bitnet.max_tokens_limit", PGC_SUSET},
		{"bitnet.threads", PGC_SUSET},
		{"bitnet.kernel", PGC_SUSET},
		{"bitnet.shared_engine", PGC_SUSET},
		{"bitnet.model", PGC_USERSET},
		{"bitnet.max_tokens", PGC_USERSET},
		{"bitnet.enable_batch_scan", PGC_USERSET}
	};
	int			i;

	for (i = 0; i < lengthof(settings); i++)
	{
		if (settings[i].context != PGC_USERSET)
			check_connection_option(settings[i].name, settings[i].context == PGC_SIGHUP);
		check_parallel_mode(settings[i].name);
	}
}

void
_PG_init(void)
{
	check_placeholders();
	define_settings();
	BitnetInitBatchScan();
	if (process_shared_preload_libraries_in_progress)
	{
		BitnetRequestSharedMemory();
		BitnetRegisterPreloadWorker();
	}
}
