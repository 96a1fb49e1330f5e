/*-------------------------------------------------------------------------
 *
 * batch_functions.c
 *	  Which functions and aggregates a batch scan can compute.
 *
 * A function is known by its address, whatever it is called in SQL: the one of
 * an extension in any schema, and others that were made of the same symbol.
 *
 * src/pg/batch_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "batch_functions.h"
#include "compat.h"

/* Answers of BitnetIsBatchFunction, by function */
#define CACHE_SIZE 64

typedef struct CachedFunction
{
	Oid			function;
	bool		batch;
} CachedFunction;

static const BitnetBatchFunction batch_functions[] = {
	{"bitnet_generate", bitnet_generate, BitnetGenerateRows, 1},
	{"bitnet_chat", bitnet_chat, BitnetChatRows, 1},
	{"bitnet_summarize", bitnet_summarize, BitnetSummarizeRows, 1},
	{"bitnet_classify", bitnet_classify, BitnetClassifyRows, 1},
	{"bitnet_embed", bitnet_embed, BitnetEmbedRows, 1},
	{"bitnet_similarity", bitnet_similarity, BitnetSimilarityRows, 2},
	{"bitnet_logprob", bitnet_logprob, BitnetLogprobRows, 2}
};

static CachedFunction function_cache[CACHE_SIZE];

const BitnetBatchFunction *
BitnetFindBatchFunction(PGFunction function)
{
	int			i;

	for (i = 0; i < lengthof(batch_functions); i++)
		if (batch_functions[i].function == function)
			return &batch_functions[i];
	return NULL;
}

/*
 * The symbol that a call of this function leads to directly, if it is of C; else
 * NULL.  A function with SET or SECURITY DEFINER is entered by way of another,
 * but its address tells.
 */
static char *
symbol_of(Oid function, int *n_args)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	char	   *symbol = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->prolang == ClanguageId && !form->proretset && form->prokind == PROKIND_FUNCTION)
	{
		bool		isnull;
		Datum		source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);

		if (!isnull)
			symbol = TextDatumGetCString(source);
		*n_args = form->pronargs;
	}
	ReleaseSysCache(tuple);
	return symbol;
}

/*
 * Does a call of this function lead directly to one of ours, whatever its
 * arguments?  The symbol is looked at first, since the address can be had only by
 * loading the library.
 */
static bool
look_up_function(Oid function)
{
	int			n_args;
	char	   *symbol = symbol_of(function, &n_args);
	bool		candidate = false;
	FmgrInfo	flinfo;
	int			i;

	for (i = 0; symbol != NULL && i < lengthof(batch_functions); i++)
		if (strcmp(symbol, batch_functions[i].symbol) == 0 &&
			n_args >= batch_functions[i].n_contents)
			candidate = true;
	if (!candidate)
		return false;
	fmgr_info(function, &flinfo);
	return !flinfo.fn_strict && BitnetFindBatchFunction(flinfo.fn_addr) != NULL;
}

/* Has this aggregate the final function of that symbol, which is ours? */
static bool
has_final_function(Oid aggregate, const char *wanted, PGFunction address)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	Oid			final_function;
	int			n_args;
	char	   *symbol;
	FmgrInfo	flinfo;

	if (!HeapTupleIsValid(tuple))
		return false;
	final_function = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggfinalfn;
	ReleaseSysCache(tuple);
	symbol = symbol_of(final_function, &n_args);
	if (symbol == NULL || strcmp(symbol, wanted) != 0)
		return false;
	fmgr_info(final_function, &flinfo);
	return flinfo.fn_addr == address;
}

/* Is this bitnet_summarize_agg, by whatever name? */
static bool
look_up_aggregate(Oid function)
{
	return has_final_function(function, "bitnet_summarize_agg_finalfn",
							  bitnet_summarize_agg_finalfn);
}

static void
forget_functions(Datum arg, int cache_id, uint32 hash_value)
{
	memset(function_cache, 0, sizeof(function_cache));
}

bool
BitnetIsBatchFunction(Oid function)
{
	static bool registered = false;
	CachedFunction *cached = &function_cache[function % CACHE_SIZE];
	bool		batch;

	if (function < FirstNormalObjectId)
		return false;
	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, forget_functions, (Datum) 0);
		registered = true;
	}
	if (cached->function == function)
		return cached->batch;
	batch = get_func_prokind(function) == PROKIND_AGGREGATE ? look_up_aggregate(function) :
		look_up_function(function);
	cached->function = function;
	cached->batch = batch;
	return batch;
}

/*
 * A function or aggregate of the extension that the role may call; InvalidOid if
 * there is none.
 */
static Oid
find_sibling(const char *name, const Oid *types, int n_types, Oid namespace)
{
	oidvector  *arguments = buildoidvector(types, n_types);
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
										   CStringGetDatum(name), PointerGetDatum(arguments),
										   ObjectIdGetDatum(namespace));

	if (OidIsValid(function) && compat_function_aclcheck(function, GetUserId()) != ACLCHECK_OK)
		return InvalidOid;
	return function;
}

bool
BitnetFindPartsOfAggregate(Oid aggregate, Oid *collect, Oid *summarize)
{
	static const Oid text_type[] = {TEXTOID};
	static const Oid types[] = {TEXTOID, INT4OID, TEXTOID, TEXTOID, JSONBOID};
	Oid			namespace = get_func_namespace(aggregate);

	*collect = find_sibling("bitnet_summarize_collect", text_type, 1, namespace);
	*summarize = find_sibling("bitnet_summarize", types, lengthof(types), namespace);
	return OidIsValid(*collect) && OidIsValid(*summarize) && BitnetIsBatchFunction(*summarize) &&
		has_final_function(*collect, "bitnet_summarize_collect_finalfn",
						   bitnet_summarize_collect_finalfn);
}
