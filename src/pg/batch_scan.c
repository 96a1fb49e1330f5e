/*-------------------------------------------------------------------------
 *
 * batch_scan.c
 *	  Executing the plan node that runs the model calls of many rows together.
 *
 * A batch is some rows of the child, kept as arrays of values.  For each call
 * in turn its arguments are evaluated for all rows and the function's form for
 * many rows fills in the results; then the rows are given up one by one, in
 * their order, through the node's projection.  Rows of which all arguments are
 * equal are computed once.
 *
 * Where whoever is above may stop early, the first batch is one row and each
 * is twice as large as the one before, so that what is computed in vain is
 * never more than what was of use.
 *
 * src/pg/batch_scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/relscan.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "commands/explain.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

#include "batch_functions.h"
#include "batch_scan.h"
#include "compat.h"
#include "run.h"

typedef struct BatchCall
{
	const BitnetBatchFunction *function;
	FmgrInfo	flinfo;
	FunctionCallInfo fcinfo;
	ExprState **args;
	int16	   *lengths;		/* of the arguments' types */
	bool	   *by_value;
	int			n_args;
	int			column;			/* of the row */
} BatchCall;

typedef struct BatchScanState
{
	CustomScanState css;
	int			n_columns;
	int		   *sources;		/* [n_columns], see batch_scan.h */
	BatchCall  *calls;
	int			n_calls;
	MemoryContext rows_context; /* values of the rows, until the next batch */
	MemoryContext call_context; /* arguments, until a call is done */
	Datum	   *values;			/* [BITNET_BATCH_MOST][n_columns] */
	bool	   *nulls;			/* likewise */
	ScanState  *scan;			/* of the table that the rows are from, or NULL */
	ItemPointer tids;			/* [BITNET_BATCH_MOST], if there is one */
	int			n_rows;
	int			next_row;
	int			next_size;		/* rows of the next batch; 0: it is the first */
	int64		rows_left;		/* -1: no matter */
	bool		child_done;
	TimestampTz started;		/* with the first batch */

	/* for EXPLAIN ANALYZE */
	int64		n_batches;
	int64		n_computed;		/* rows */
	BitnetRunCounters counters;
} BatchScanState;

/* How many rows the statement that runs is run for; 0: all */
static uint64 rows_asked = 0;
static ExecutorRun_hook_type previous_run_hook = NULL;

static const CustomExecMethods exec_methods;

/* Those that the plan no longer calls by their name */
static void
check_replaced(List *aggregates)
{
	ListCell   *lc;

	foreach(lc, aggregates)
	{
		AclResult	allowed = compat_function_aclcheck(lfirst_oid(lc), GetUserId());

		if (allowed != ACLCHECK_OK)
			aclcheck_error(allowed, OBJECT_AGGREGATE, get_func_name(lfirst_oid(lc)));
		InvokeFunctionExecuteHook(lfirst_oid(lc));
	}
}

static void
init_call(BatchScanState *state, BatchCall *call, FuncExpr *expr)
{
	EState	   *estate = state->css.ss.ps.state;
	AclResult	allowed = compat_function_aclcheck(expr->funcid, GetUserId());
	ListCell   *lc;
	int			i = 0;

	/* As expressions do when they are made ready for a call */
	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_FUNCTION, get_func_name(expr->funcid));
	InvokeFunctionExecuteHook(expr->funcid);

	fmgr_info_cxt(expr->funcid, &call->flinfo, estate->es_query_cxt);
	fmgr_info_set_expr((Node *) expr, &call->flinfo);
	call->function = BitnetFindBatchFunction(call->flinfo.fn_addr);
	if (call->function == NULL)
		elog(ERROR, "function %u cannot be called for many rows", expr->funcid);
	call->n_args = list_length(expr->args);
	call->fcinfo = palloc0(SizeForFunctionCallInfo(call->n_args));
	InitFunctionCallInfoData(*call->fcinfo, &call->flinfo, call->n_args,
							 expr->inputcollid, NULL, NULL);
	call->args = palloc(sizeof(ExprState *) * call->n_args);
	call->lengths = palloc(sizeof(int16) * call->n_args);
	call->by_value = palloc(sizeof(bool) * call->n_args);
	foreach(lc, expr->args)
	{
		call->args[i] = ExecInitExpr(lfirst(lc), &state->css.ss.ps);
		get_typlenbyval(exprType(lfirst(lc)), &call->lengths[i], &call->by_value[i]);
		i++;
	}
}

/*
 * The scan of a table whose row is that of the child, or NULL: the nodes between,
 * as the executor's own search knows them, give the row that they have just got.
 */
static ScanState *
scan_below(PlanState *child)
{
	while (child != NULL)
		switch (nodeTag(child))
		{
			case T_SeqScanState:
			case T_SampleScanState:
			case T_IndexScanState:
			case T_IndexOnlyScanState:
			case T_BitmapHeapScanState:
			case T_TidScanState:
			case T_TidRangeScanState:
				return (ScanState *) child;
			case T_CustomScanState:
				return ((CustomScanState *) child)->methods == &exec_methods ?
					(ScanState *) child : NULL;
			case T_ResultState:
			case T_LimitState:
				child = outerPlanState(child);
				break;
			case T_SubqueryScanState:
				child = ((SubqueryScanState *) child)->subplan;
				break;
			default:
				return NULL;
		}
	return NULL;
}

/* Where the row is that the scan has just returned. */
static ItemPointerData
scan_tid(ScanState *scan)
{
	IndexScanDesc index_scan = IsA(scan, IndexOnlyScanState) ?
		((IndexOnlyScanState *) scan)->ioss_ScanDesc : NULL;

	return index_scan != NULL ? index_scan->xs_heaptid : scan->ss_ScanTupleSlot->tts_tid;
}

static void
restart(BatchScanState *state)
{
	List	   *limits = lsecond(((CustomScan *) state->css.ss.ps.plan)->custom_private);
	int			wanted = list_nth_int(limits, BITNET_BATCH_ROWS);

	MemoryContextReset(state->rows_context);
	state->n_rows = 0;
	state->next_row = 0;
	state->next_size = 0;
	state->rows_left = wanted > 0 ? wanted : -1;
	state->child_done = false;
}

static void
begin_batch_scan(CustomScanState *node, EState *estate, int eflags)
{
	BatchScanState *state = (BatchScanState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	List	   *sources = linitial(plan->custom_private);
	int			i;

	/* A parallel worker has the library that is on disk now */
	if (list_length(plan->custom_private) < 4 ||
		strcmp(strVal(lfourth(plan->custom_private)), BitnetLayout()) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the query was planned by another version of the library \"bitnet\""),
				 errdetail("Version %s has taken its place since the session began.",
						   BITNET_VERSION),
				 errhint("Connect again.")));

	outerPlanState(node) = ExecInitNode(outerPlan(plan), estate,
										eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));

	state->n_columns = list_length(sources);
	state->sources = palloc(sizeof(int) * state->n_columns);
	state->n_calls = list_length(plan->custom_exprs);
	state->calls = palloc0(sizeof(BatchCall) * state->n_calls);
	for (i = 0; i < state->n_columns; i++)
	{
		int			source = list_nth_int(sources, i);

		state->sources[i] = source;
		if (source < 0)
			state->calls[-source - 1].column = i;
	}
	check_replaced(lthird(plan->custom_private));
	for (i = 0; i < state->n_calls; i++)
		init_call(state, &state->calls[i], list_nth_node(FuncExpr, plan->custom_exprs, i));

	state->rows_context = AllocSetContextCreate(estate->es_query_cxt, "bitnet batch",
												ALLOCSET_DEFAULT_SIZES);
	state->call_context = AllocSetContextCreate(estate->es_query_cxt, "bitnet batch call",
												ALLOCSET_DEFAULT_SIZES);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	/*
	 * The node poses as a scan of the table, whose rows have their places in it:
	 * UPDATE ... WHERE CURRENT OF a cursor looks for that.
	 */
	state->scan = scan_below(outerPlanState(node));
	if (state->scan != NULL && state->scan->ss_currentRelation != NULL)
	{
		node->ss.ss_currentRelation = state->scan->ss_currentRelation;
		state->tids = palloc(sizeof(ItemPointerData) * BITNET_BATCH_MOST);
	}
	state->values = palloc(sizeof(Datum) * BITNET_BATCH_MOST * state->n_columns);
	state->nulls = palloc(sizeof(bool) * BITNET_BATCH_MOST * state->n_columns);
	restart(state);

	/* A sort that would give just as many is told so, which the LIMIT does not do across this node */
	if (state->rows_left >= 0)
		ExecSetTupleBound(state->rows_left, outerPlanState(node));
}

/* Bytes that a value will come to need when it is used. */
static int64
value_size(Datum value, int16 length, bool by_value)
{
	if (by_value)
		return 0;
	return length == -1 ? (int64) toast_raw_datum_size(value) :
		(int64) datumGetSize(value, by_value, length);
}

/* Takes the child's row into the batch; returns its size. */
static int64
store_row(BatchScanState *state, TupleTableSlot *child)
{
	TupleDesc	desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	Datum	   *values = state->values + state->n_rows * state->n_columns;
	bool	   *nulls = state->nulls + state->n_rows * state->n_columns;
	MemoryContext old = MemoryContextSwitchTo(state->rows_context);
	int64		size = 0;
	int			i;

	slot_getallattrs(child);
	for (i = 0; i < state->n_columns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		int			source = state->sources[i];

		values[i] = (Datum) 0;
		nulls[i] = source < 0 || child->tts_isnull[source - 1];
		if (nulls[i])
			continue;
		values[i] = datumCopy(child->tts_values[source - 1], att->attbyval, att->attlen);
		size += value_size(values[i], att->attlen, att->attbyval);
	}
	MemoryContextSwitchTo(old);
	if (state->tids != NULL)
		state->tids[state->n_rows] = scan_tid(state->scan);
	state->n_rows++;
	return size;
}

/* Makes a row of the batch the one that expressions see. */
static TupleTableSlot *
show_row(BatchScanState *state, int row)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, state->values + row * state->n_columns,
		   sizeof(Datum) * state->n_columns);
	memcpy(slot->tts_isnull, state->nulls + row * state->n_columns,
		   sizeof(bool) * state->n_columns);
	ExecStoreVirtualTuple(slot);
	if (state->tids != NULL)
	{
		slot->tts_tid = state->tids[row];
		slot->tts_tableOid = RelationGetRelid(state->css.ss.ss_currentRelation);
	}
	state->css.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
	return slot;
}

/* Evaluates the arguments of a call for a row; returns their size. */
static int64
evaluate_args(BatchScanState *state, BatchCall *call, int row, NullableDatum *args)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	int64		size = 0;
	int			i;

	ResetExprContext(econtext);
	show_row(state, row);
	for (i = 0; i < call->n_args; i++)
	{
		MemoryContext old;

		args[i].value = ExecEvalExprSwitchContext(call->args[i], econtext, &args[i].isnull);
		if (args[i].isnull)
			continue;
		old = MemoryContextSwitchTo(state->call_context);
		if (call->lengths[i] == -1)
			args[i].value = PointerGetDatum(PG_DETOAST_DATUM_COPY(args[i].value));
		else
			args[i].value = datumCopy(args[i].value, call->by_value[i], call->lengths[i]);
		MemoryContextSwitchTo(old);
		size += value_size(args[i].value, call->lengths[i], call->by_value[i]);
	}
	return size;
}

/* Are the arguments from number first on the same? */
static bool
same_args(const BatchCall *call, const NullableDatum *a, const NullableDatum *b, int first)
{
	int			i;

	for (i = first; i < call->n_args; i++)
		if (a[i].isnull != b[i].isnull ||
			(!a[i].isnull && !datum_image_eq(a[i].value, b[i].value, call->by_value[i],
											 call->lengths[i])))
			return false;
	return true;
}

static uint32
hash_args(const BatchCall *call, const NullableDatum *args)
{
	uint32		hash = 0;
	int			i;

	for (i = 0; i < call->n_args; i++)
		hash = hash_combine(hash, args[i].isnull ? 0 :
							datum_image_hash(args[i].value, call->by_value[i], call->lengths[i]));
	return hash;
}

/*
 * Computes a call for n rows whose arguments are args, [n][n_args]; results
 * come in the current memory context.  The function is run for each set of
 * arguments that are not content; mostly there is one.
 */
static void
compute_call(BatchCall *call, const NullableDatum *args, NullableDatum *results, int n)
{
	int		   *same_as = palloc(sizeof(int) * n);
	uint32	   *hashes = palloc(sizeof(uint32) * n);
	bool	   *done = palloc0(sizeof(bool) * n);
	int		   *members = palloc(sizeof(int) * n);
	NullableDatum *contents = palloc(sizeof(NullableDatum) * n * call->function->n_contents);
	NullableDatum *group_results = palloc(sizeof(NullableDatum) * n);
	int			row;
	int			other;

	for (row = 0; row < n; row++)
	{
		CHECK_FOR_INTERRUPTS();
		hashes[row] = hash_args(call, &args[row * call->n_args]);
		for (other = 0; other < row; other++)
			if (same_as[other] == other && hashes[other] == hashes[row] &&
				same_args(call, &args[row * call->n_args], &args[other * call->n_args], 0))
				break;
		same_as[row] = other;
	}

	for (row = 0; row < n; row++)
	{
		const NullableDatum *row_args = &args[row * call->n_args];
		int			n_members = 0;
		int			i;

		if (same_as[row] != row)
			results[row] = results[same_as[row]];
		if (same_as[row] != row || done[row])
			continue;
		for (other = row; other < n; other++)
		{
			const NullableDatum *other_args = &args[other * call->n_args];

			if (same_as[other] != other || done[other] ||
				!same_args(call, row_args, other_args, call->function->n_contents))
				continue;
			for (i = 0; i < call->function->n_contents; i++)
				contents[n_members * call->function->n_contents + i] = other_args[i];
			members[n_members++] = other;
			done[other] = true;
		}
		memcpy(call->fcinfo->args, row_args, sizeof(NullableDatum) * call->n_args);
		call->fcinfo->isnull = false;
		call->function->rows(call->fcinfo, contents, group_results, n_members);
		for (i = 0; i < n_members; i++)
			results[members[i]] = group_results[i];
	}
}

/*
 * Fills in the column of a call.  Arguments may be much larger than what they
 * are computed from; so there may be more than one run.
 */
static void
fill_column(BatchScanState *state, BatchCall *call)
{
	TupleDesc	desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	Form_pg_attribute att = TupleDescAttr(desc, call->column);
	MemoryContext old = CurrentMemoryContext;
	int			first = 0;

	while (first < state->n_rows)
	{
		NullableDatum *args;
		NullableDatum *results;
		int64		size = 0;
		int			n = 0;
		int			i;

		MemoryContextReset(state->call_context);
		MemoryContextSwitchTo(state->call_context);
		args = palloc(sizeof(NullableDatum) * (state->n_rows - first) * Max(call->n_args, 1));
		results = palloc(sizeof(NullableDatum) * (state->n_rows - first));
		while (first + n < state->n_rows && size < work_mem * INT64CONST(1024))
		{
			size += evaluate_args(state, call, first + n, &args[n * call->n_args]);
			n++;
		}
		compute_call(call, args, results, n);

		MemoryContextSwitchTo(state->rows_context);
		for (i = 0; i < n; i++)
		{
			int			at = (first + i) * state->n_columns + call->column;

			state->nulls[at] = results[i].isnull;
			state->values[at] = results[i].isnull ? (Datum) 0 :
				datumCopy(results[i].value, att->attbyval, att->attlen);
		}
		first += n;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->call_context);
}

static void
add_counters(BatchScanState *state, const BitnetRunCounters *before)
{
	BitnetRunCounters *sum = &state->counters;
	const BitnetRunCounters *now = &bitnet_run_counters;

	sum->steps += now->steps - before->steps;
	sum->sequence_steps += now->sequence_steps - before->sequence_steps;
	sum->prompt_tokens += now->prompt_tokens - before->prompt_tokens;
	sum->cached_tokens += now->cached_tokens - before->cached_tokens;
	sum->output_tokens += now->output_tokens - before->output_tokens;
	sum->drafted_tokens += now->drafted_tokens - before->drafted_tokens;
	sum->accepted_tokens += now->accepted_tokens - before->accepted_tokens;
	sum->milliseconds += now->milliseconds - before->milliseconds;
	sum->prefill_time += now->prefill_time - before->prefill_time;
	sum->decode_time += now->decode_time - before->decode_time;
}

/* Rows that the node will give, as far as is known beforehand. */
static double
expected_rows(const BatchScanState *state)
{
	const CustomScan *plan = (const CustomScan *) state->css.ss.ps.plan;
	int			wanted = list_nth_int(lsecond(plan->custom_private), BITNET_BATCH_ROWS);

	return wanted > 0 ? Min(plan->scan.plan.plan_rows, wanted) : plan->scan.plan.plan_rows;
}

/* Computes the calls of all rows of the batch, and says so in bitnet_activity. */
static void
compute_batch(BatchScanState *state)
{
	BitnetPart	outer = bitnet_part;
	BitnetRunCounters before = bitnet_run_counters;
	int			i;

	if (state->started == 0)
		state->started = GetCurrentTimestamp();
	bitnet_part.known = true;
	bitnet_part.started = state->started;
	bitnet_part.rows_total = expected_rows(state);
	bitnet_part.rows_each = 1.0 / state->n_calls;
	bitnet_part.counters.prompt_tokens = before.prompt_tokens - state->counters.prompt_tokens;
	bitnet_part.counters.cached_tokens = before.cached_tokens - state->counters.cached_tokens;
	bitnet_part.counters.output_tokens = before.output_tokens - state->counters.output_tokens;
	PG_TRY();
	{
		for (i = 0; i < state->n_calls; i++)
		{
			bitnet_part.rows_before = state->n_computed +
				(double) state->n_rows * i / state->n_calls;
			fill_column(state, &state->calls[i]);
		}
	}
	PG_FINALLY();
	{
		bitnet_part = outer;
	}
	PG_END_TRY();
	add_counters(state, &before);
}

/*
 * Most rows of the next batch.  A cursor, or a function, may run a statement for
 * some rows at a time, which no plan tells: then the first batch has no more,
 * and where reading ahead may be noticed, each has one.
 */
static int
batch_size(const BatchScanState *state)
{
	List	   *limits = lsecond(((CustomScan *) state->css.ss.ps.plan)->custom_private);
	bool		by_parts = rows_asked > 0 && list_nth_int(limits, BITNET_BATCH_TO_END) == 0;
	int			first = list_nth_int(limits, BITNET_BATCH_FIRST);

	if (by_parts && list_nth_int(limits, BITNET_BATCH_IN_STEP) != 0)
		return 1;
	if (state->next_size > 0)
		return state->next_size;
	return by_parts ? (int) Min((uint64) first, rows_asked) : first;
}

/* Pulls rows and computes their calls; false if there are none left. */
static bool
next_batch(BatchScanState *state)
{
	int64		size = 0;
	int			most;

	state->n_rows = 0;
	state->next_row = 0;
	MemoryContextReset(state->rows_context);
	state->next_size = batch_size(state);
	most = state->next_size;
	if (state->rows_left >= 0)
	{
		/* Whoever asks for more than was said gets it, a row at a time */
		most = (int) Min(most, Max(state->rows_left, 1));
	}
	while (!state->child_done && state->n_rows < most && size < work_mem * INT64CONST(1024))
	{
		TupleTableSlot *slot;

		CHECK_FOR_INTERRUPTS();
		slot = ExecProcNode(outerPlanState(state));
		if (TupIsNull(slot))
			state->child_done = true;
		else
			size += store_row(state, slot);
	}
	if (state->n_rows == 0)
		return false;

	compute_batch(state);
	state->n_batches++;
	state->n_computed += state->n_rows;
	state->next_size = Min(state->next_size * 2, BITNET_BATCH_MOST);
	if (state->rows_left >= 0)
		state->rows_left = Max(state->rows_left - state->n_rows, 0);
	return true;
}

static TupleTableSlot *
exec_batch_scan(CustomScanState *node)
{
	BatchScanState *state = (BatchScanState *) node;
	TupleTableSlot *slot;

	if (!ScanDirectionIsForward(node->ss.ps.state->es_direction))
		elog(ERROR, "a batch scan cannot go backward");
	if (state->next_row == state->n_rows && !next_batch(state))
	{
		slot = ExecClearTuple(node->ss.ss_ScanTupleSlot);
		return node->ss.ps.ps_ProjInfo != NULL ?
			ExecClearTuple(node->ss.ps.ps_ResultTupleSlot) : slot;
	}

	ResetExprContext(node->ss.ps.ps_ExprContext);
	slot = show_row(state, state->next_row++);
	return node->ss.ps.ps_ProjInfo != NULL ? ExecProject(node->ss.ps.ps_ProjInfo) : slot;
}

static void
end_batch_scan(CustomScanState *node)
{
	ExecEndNode(outerPlanState(node));
}

static void
rescan_batch_scan(CustomScanState *node)
{
	restart((BatchScanState *) node);
	/* Otherwise it is rescanned when it is first asked for a row */
	if (outerPlanState(node)->chgParam == NULL)
		ExecReScan(outerPlanState(node));
}

/* A call as one would write it: optional arguments at its end are left out. */
static char *
call_text(CustomScanState *node, FuncExpr *call, List *ancestors, ExplainState *es)
{
	List	   *context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, ancestors);
	FuncExpr   *shown = copyObject(call);

	while (list_length(shown->args) > 1 && IsA(llast(shown->args), Const) &&
		   ((Const *) llast(shown->args))->constisnull)
		shown->args = list_delete_last(shown->args);
	return deparse_expression((Node *) shown, context,
							  es->verbose || list_length(es->rtable) > 1, false);
}

static void
explain_batch_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	BatchScanState *state = (BatchScanState *) node;
	const BitnetRunCounters *counters = &state->counters;
	List	   *calls = NIL;
	ListCell   *lc;

	foreach(lc, ((CustomScan *) node->ss.ps.plan)->custom_exprs)
		calls = lappend(calls, call_text(node, lfirst(lc), ancestors, es));
	ExplainPropertyList("Calls", calls, es);
	if (!es->analyze)
		return;

	ExplainPropertyInteger("Batches", NULL, state->n_batches, es);
	ExplainPropertyInteger("Batch Rows", NULL, state->n_computed, es);
	ExplainPropertyFloat("Sequences per Step", NULL,
						 counters->steps == 0 ? 0 :
						 (double) counters->sequence_steps / counters->steps, 1, es);
	ExplainPropertyInteger("Prompt Tokens", NULL, counters->prompt_tokens, es);
	ExplainPropertyInteger("Cached Tokens", NULL, counters->cached_tokens, es);
	ExplainPropertyInteger("Generated Tokens", NULL, counters->output_tokens, es);
	ExplainPropertyInteger("Drafted Tokens", NULL, counters->drafted_tokens, es);
	ExplainPropertyInteger("Accepted Tokens", NULL, counters->accepted_tokens, es);
	if (es->timing)
	{
		ExplainPropertyFloat("Prefill Time", "ms", counters->prefill_time, 3, es);
		ExplainPropertyFloat("Decode Time", "ms", counters->decode_time, 3, es);
		ExplainPropertyFloat("Model Time", "ms", counters->milliseconds, 3, es);
	}
}

static const CustomExecMethods exec_methods = {
	.CustomName = "BitNet Batch",
	.BeginCustomScan = begin_batch_scan,
	.ExecCustomScan = exec_batch_scan,
	.EndCustomScan = end_batch_scan,
	.ReScanCustomScan = rescan_batch_scan,
	.ExplainCustomScan = explain_batch_scan
};

static Node *
create_batch_scan_state(CustomScan *plan)
{
	BatchScanState *state = palloc0(sizeof(BatchScanState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

const CustomScanMethods bitnet_batch_scan_methods = {
	.CustomName = "BitNet Batch",
	.CreateCustomScanState = create_batch_scan_state
};

static void
run_counted(COMPAT_RUN_PARAMETERS)
{
	uint64		outer = rows_asked;

	rows_asked = count;
	PG_TRY();
	{
		if (previous_run_hook)
			previous_run_hook(COMPAT_RUN_ARGUMENTS);
		else
			standard_ExecutorRun(COMPAT_RUN_ARGUMENTS);
	}
	PG_FINALLY();
	{
		rows_asked = outer;
	}
	PG_END_TRY();
}

void
BitnetInitBatchNode(void)
{
	RegisterCustomScanMethods(&bitnet_batch_scan_methods);
	previous_run_hook = ExecutorRun_hook;
	ExecutorRun_hook = run_counted;
}
