/*-------------------------------------------------------------------------
 *
 * batch_plan.c
 *	  Putting batch scans into finished plans.
 *
 * The planner knows nothing of batches.  When it is done, the plan is searched
 * for nodes that call a model function in their target list; such a node gets
 * a batch scan on top (see batch_scan.h).
 *
 * What must not change is what a statement computes: a call is taken out of an
 * expression only where the expression would evaluate it for every row.  The
 * arms of CASE, and the later arguments of COALESCE, AND and OR, stay as they
 * are.
 *
 * src/pg/batch_plan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "batch_functions.h"
#include "batch_order.h"
#include "batch_scan.h"

/* What the nodes above one do with its rows */
#define STOPS_EARLY		1		/* may not want all of them */
#define MARKS			2		/* goes back to a place in them */
#define READ_TO_END		4		/* wants them all, however many are wanted of it */
#define WRITES			8		/* changes between one row and the next what functions may see */
#define TAKES_ALL		16		/* stops early, behind the rows that it is known to want */

typedef struct Rewrite
{
	Plan	   *top;
	List	   *subplans;
	bool		for_cursor;
	int			next_node_id;	/* 0: to be found */
	List	   *siblings;		/* oid list: functions that the query does not name */
} Rewrite;

/* A target list in the making of a batch scan and its child's */
typedef struct Split
{
	List	   *child_tlist;	/* TargetEntries */
	List	   *row;			/* TargetEntries: custom_scan_tlist */
	List	   *sources;		/* int list, see batch_scan.h */
	List	   *calls;			/* FuncExprs */
	bool		aggregates;		/* bitnet_summarize_agg counts as a call */
	List	   *replaced;		/* oid list: aggregates that have become calls */
	List	   *siblings;		/* oid list: functions put in their place */
	bool		too_wide;		/* more columns than a tuple may have */
} Split;

static planner_hook_type previous_planner_hook = NULL;

static bool
is_call_of_aggregate(Node *node)
{
	return IsA(node, Aggref) && ((Aggref *) node)->aggsplit == AGGSPLIT_SIMPLE &&
		BitnetIsBatchFunction(((Aggref *) node)->aggfnoid);
}

static bool
contains_aggregate(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return is_call_of_aggregate(node) || expression_tree_walker(node, contains_aggregate, context);
}

static bool
contains_call(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return BitnetIsBatchCall(node) || is_call_of_aggregate(node) ||
		expression_tree_walker(node, contains_call, context);
}

/* Is there a subplan, or a value that one may have to be run for? */
static bool
contains_subplan(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) ||
		(IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC))
		return true;
	return expression_tree_walker(node, contains_subplan, context);
}

/* UPDATE ... SET (a, b) = (SELECT ...): one column sets what others read. */
static bool
contains_multiexpr(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if ((IsA(node, SubPlan) && ((SubPlan *) node)->subLinkType == MULTIEXPR_SUBLINK) ||
		(IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR))
		return true;
	return expression_tree_walker(node, contains_multiexpr, context);
}

/*
 * Is there room for one more column?  If not, the plan stays as it is: a target
 * list may be longer than a tuple, but not what a batch scan keeps.
 */
static bool
has_room(Split *split)
{
	if (list_length(split->row) >= MaxTupleAttributeNumber)
		split->too_wide = true;
	return !split->too_wide;
}

static Node *
row_column(int number, Node *node)
{
	return (Node *) makeVar(INDEX_VAR, number, exprType(node), exprTypmod(node),
							exprCollation(node), 0);
}

/* The column of the row that is this expression of the child. */
static Node *
child_column(Split *split, Node *node)
{
	ListCell   *lc;
	int			number = 0;
	Var		   *below;

	if (split->too_wide)
		return node;
	CHECK_FOR_INTERRUPTS();		/* comparing takes long with many columns */
	foreach(lc, split->child_tlist)
	{
		TargetEntry *tle = lfirst(lc);
		ListCell   *source;

		if (!equal(tle->expr, node))
			continue;
		foreach(source, split->sources)
		{
			number++;
			if (lfirst_int(source) == tle->resno)
				return row_column(number, node);
		}
	}

	if (!has_room(split))
		return node;
	split->child_tlist = lappend(split->child_tlist,
								 makeTargetEntry((Expr *) node, list_length(split->child_tlist) + 1,
												 NULL, false));
	below = makeVar(OUTER_VAR, list_length(split->child_tlist), exprType(node),
					exprTypmod(node), exprCollation(node), 0);
	split->row = lappend(split->row,
						 makeTargetEntry((Expr *) below, list_length(split->row) + 1, NULL, false));
	split->sources = lappend_int(split->sources, list_length(split->child_tlist));
	return row_column(list_length(split->row), node);
}

/* The column of the row that is this call, whose arguments are over the row. */
static Node *
call_column(Split *split, FuncExpr *call)
{
	ListCell   *lc;
	int			number = 0;

	if (split->too_wide)
		return (Node *) call;
	CHECK_FOR_INTERRUPTS();
	foreach(lc, split->row)
	{
		number++;
		if (equal(((TargetEntry *) lfirst(lc))->expr, call))
			return row_column(number, (Node *) call);
	}

	if (!has_room(split))
		return (Node *) call;
	split->calls = lappend(split->calls, call);
	split->row = lappend(split->row,
						 makeTargetEntry((Expr *) copyObject(call), list_length(split->row) + 1,
										 NULL, false));
	split->sources = lappend_int(split->sources, -list_length(split->calls));
	return row_column(list_length(split->row), (Node *) call);
}

/*
 * An expression that stays in the target list of the batch scan, over its row.
 * What the child has at hand for each row anyway is all that it computes.
 */
static Node *
keep(Node *node, Split *split)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) || IsA(node, Aggref) || IsA(node, WindowFunc) ||
		IsA(node, GroupingFunc))
		return child_column(split, node);
	return expression_tree_mutator(node, keep, split);
}

/*
 * bitnet_summarize_agg(x) is bitnet_summarize(t), t being what the aggregate has
 * collected of a group: the second aggregate gives that t, so that the groups'
 * summaries can be computed together.  NULL if that cannot be done.
 */
static Node *
call_of_aggregate(Aggref *aggref, Split *split)
{
	Oid			collect;
	Oid			summarize;
	Aggref	   *collected;
	Oid		   *types;
	int			n_types;
	List	   *args;
	int			i;

	if (!BitnetFindPartsOfAggregate(aggref->aggfnoid, &collect, &summarize))
		return NULL;
	collected = copyObject(aggref);
	collected->aggfnoid = collect;
	args = list_make1(child_column(split, (Node *) collected));
	(void) get_func_signature(summarize, &types, &n_types);
	for (i = 1; i < n_types; i++)
		args = lappend(args, makeNullConst(types[i], -1, get_typcollation(types[i])));
	split->replaced = list_append_unique_oid(split->replaced, aggref->aggfnoid);
	split->siblings = list_append_unique_oid(split->siblings, collect);
	split->siblings = list_append_unique_oid(split->siblings, summarize);
	return call_column(split, makeFuncExpr(summarize, TEXTOID, args, aggref->aggcollid,
										   aggref->inputcollid, COERCE_EXPLICIT_CALL));
}

static Node *take_out(Node *node, Split *split);

/* A list of which an expression always evaluates the first element only. */
static List *
take_out_of_first(List *list, Split *split)
{
	List	   *result = list_make1(take_out(linitial(list), split));
	ListCell   *lc;

	for_each_from(lc, list, 1)
		result = lappend(result, keep(lfirst(lc), split));
	return result;
}

/*
 * Expressions that evaluate some of their parts on condition.  NULL: there is
 * nothing to be taken out of the part that is always evaluated, or what is in
 * the others cannot be kept.
 */
static Node *
take_out_of_conditional(Node *node, Split *split)
{
	if (contains_subplan(node, NULL))
		return NULL;
	if (IsA(node, BoolExpr))
	{
		BoolExpr   *expr = (BoolExpr *) node;

		if (!contains_call(linitial(expr->args), NULL))
			return NULL;
		expr = copyObject(expr);
		expr->args = take_out_of_first(expr->args, split);
		return (Node *) expr;
	}
	if (IsA(node, CoalesceExpr))
	{
		CoalesceExpr *expr = (CoalesceExpr *) node;

		if (!contains_call(linitial(expr->args), NULL))
			return NULL;
		expr = copyObject(expr);
		expr->args = take_out_of_first(expr->args, split);
		return (Node *) expr;
	}
	else
	{
		CaseExpr   *expr = castNode(CaseExpr, node);
		ListCell   *lc;
		bool		first = true;

		if (!contains_call(expr->arg != NULL ? (Node *) expr->arg :
						   (Node *) linitial_node(CaseWhen, expr->args)->expr, NULL))
			return NULL;
		expr = copyObject(expr);
		first = expr->arg == NULL;
		if (expr->arg != NULL)
			expr->arg = (Expr *) take_out((Node *) expr->arg, split);
		foreach(lc, expr->args)
		{
			CaseWhen   *when = lfirst_node(CaseWhen, lc);

			when->expr = (Expr *) (first ? take_out((Node *) when->expr, split) :
								   keep((Node *) when->expr, split));
			when->result = (Expr *) keep((Node *) when->result, split);
			first = false;
		}
		expr->defresult = (Expr *) keep((Node *) expr->defresult, split);
		return (Node *) expr;
	}
}

/* Likewise: subscripts of a NULL may not be evaluated. */
static Node *
take_out_of_subscripted(SubscriptingRef *ref, Split *split)
{
	if (ref->refassgnexpr != NULL || contains_subplan((Node *) ref, NULL) ||
		!contains_call((Node *) ref->refexpr, NULL))
		return NULL;
	ref = copyObject(ref);
	ref->refexpr = (Expr *) take_out((Node *) ref->refexpr, split);
	ref->refupperindexpr = (List *) keep((Node *) ref->refupperindexpr, split);
	ref->reflowerindexpr = (List *) keep((Node *) ref->reflowerindexpr, split);
	return (Node *) ref;
}

/* Likewise: a cast of an array evaluates that of its elements for each of them. */
static Node *
take_out_of_coerced(ArrayCoerceExpr *coerce, Split *split)
{
	if (contains_call((Node *) coerce->elemexpr, NULL))
		return NULL;
	coerce = copyObject(coerce);
	coerce->arg = (Expr *) take_out((Node *) coerce->arg, split);
	return (Node *) coerce;
}

/*
 * An expression that is evaluated for every row, over the row of the batch
 * scan: calls become columns of it, and so does, as a whole, what has none.
 */
static Node *
take_out(Node *node, Split *split)
{
	Node	   *result = NULL;

	if (node == NULL)
		return NULL;
	check_stack_depth();
	if (IsA(node, List))
		return expression_tree_mutator(node, take_out, split);
	if (IsA(node, Const) ||
		(IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN))
		return copyObject(node);
	if (!contains_call(node, NULL))
	{
		/* each time that it is written, and when its row is given up */
		if (contain_volatile_functions(node) && !contains_subplan(node, NULL))
			return keep(node, split);
		return child_column(split, node);
	}
	if (BitnetIsBatchCall(node))
		return call_column(split,
						   (FuncExpr *) expression_tree_mutator(node, take_out, split));
	if (is_call_of_aggregate(node))
	{
		if (split->aggregates)
			result = call_of_aggregate((Aggref *) node, split);
		return result != NULL ? result : child_column(split, node);
	}

	switch (nodeTag(node))
	{
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_CoerceToDomain:
		case T_ConvertRowtypeExpr:
		case T_CollateExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_MinMaxExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_FieldSelect:
			result = expression_tree_mutator(node, take_out, split);
			break;
		case T_BoolExpr:
			if (((BoolExpr *) node)->boolop == NOT_EXPR)
				result = expression_tree_mutator(node, take_out, split);
			else
				result = take_out_of_conditional(node, split);
			break;
		case T_CoalesceExpr:
		case T_CaseExpr:
			result = take_out_of_conditional(node, split);
			break;
		case T_SubscriptingRef:
			result = take_out_of_subscripted((SubscriptingRef *) node, split);
			break;
		case T_ArrayCoerceExpr:
			result = take_out_of_coerced((ArrayCoerceExpr *) node, split);
			break;
		default:
			break;
	}
	return result != NULL ? result : child_column(split, node);
}

/* Plan nodes that compute any target list, a row at a time, for many rows */
static bool
can_be_child(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Result:
			return outerPlan(plan) != NULL;
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_SubqueryScan:
		case T_FunctionScan:
		case T_ValuesScan:
		case T_TableFuncScan:
		case T_CteScan:
		case T_NamedTuplestoreScan:
		case T_WorkTableScan:
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
		case T_Group:
			return true;
		case T_WindowAgg:
			/* Its conditions are over its own target list, which is to change */
			return ((const WindowAgg *) plan)->runCondition == NIL && plan->qual == NIL;
		case T_Agg:
			return ((const Agg *) plan)->aggstrategy != AGG_PLAIN;
		default:
			return false;
	}
}

/* Does a node of the plan call a model function in its target list? */
static bool
plan_has_call(const Plan *plan)
{
	ListCell   *lc;

	if (plan == NULL)
		return false;
	check_stack_depth();
	foreach(lc, BitnetListedChildren(plan))
	{
		if (plan_has_call(lfirst(lc)))
			return true;
	}
	return contains_call((Node *) plan->targetlist, NULL) ||
		plan_has_call(outerPlan(plan)) || plan_has_call(innerPlan(plan));
}

/* The largest number of a node in the plan. */
static int
last_node_id(const Plan *plan)
{
	int			last;
	ListCell   *lc;

	if (plan == NULL)
		return 0;
	check_stack_depth();
	last = Max(plan->plan_node_id,
			   Max(last_node_id(outerPlan(plan)), last_node_id(innerPlan(plan))));
	foreach(lc, BitnetListedChildren(plan))
		last = Max(last, last_node_id(lfirst(lc)));
	return last;
}

static int
new_node_id(Rewrite *rewrite)
{
	ListCell   *lc;

	if (rewrite->next_node_id == 0)
	{
		rewrite->next_node_id = last_node_id(rewrite->top) + 1;
		foreach(lc, rewrite->subplans)
			rewrite->next_node_id = Max(rewrite->next_node_id, last_node_id(lfirst(lc)) + 1);
	}
	return rewrite->next_node_id++;
}

/* Divides a target list; returns the new one, over the row of the batch scan. */
static List *
split_tlist(List *targetlist, Split *split)
{
	List	   *tlist = NIL;
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = flatCopyTargetEntry(lfirst(lc));

		tle->expr = (Expr *) take_out((Node *) tle->expr, split);
		tlist = lappend(tlist, tle);
	}
	return tlist;
}

static bool
calls(int effects)
{
	return (effects & BITNET_ROW_CALLS) != 0;
}

/*
 * May the rows of a node be read ahead of those that are given on?  tlist is its
 * target list as it was, of which the volatile parts stay above.
 */
static bool
may_read_ahead(List *tlist, int flags, int effects)
{
	if (BitnetContainsNoticed((Node *) tlist))
		return false;
	if (((flags & WRITES) || BitnetContainsNextval((Node *) tlist)) && calls(effects))
		return false;
	return !(flags & STOPS_EARLY) || (flags & TAKES_ALL) || (effects & ~BITNET_ROW_LOCKS_ALL) == 0;
}

/* Does a cursor over this plan have its row in a partition, which the node on top of it cannot tell? */
static bool
reads_append(const Plan *plan)
{
	while (plan != NULL)
		switch (nodeTag(plan))
		{
			case T_Append:
			case T_MergeAppend:
				return true;
			case T_SubqueryScan:
				plan = ((const SubqueryScan *) plan)->subplan;
				break;
			case T_Result:
			case T_Limit:
				plan = outerPlan(plan);
				break;
			default:
				return false;
		}
	return false;
}

/*
 * Divides the node's target list.  False if nothing could be taken out of it, or
 * what the node would have left is more than it can have.
 */
static bool
split_plan(const Plan *plan, Split *split, List **tlist)
{
	*split = (Split) {0};

	/*
	 * Aggregates that are the same are computed once, whatever their name says.
	 * So it is all or none of them.
	 */
	split->aggregates = IsA(plan, Agg) && !contains_aggregate((Node *) plan->qual, NULL);
	*tlist = split_tlist(plan->targetlist, split);
	if (split->replaced != NIL && contains_aggregate((Node *) split->child_tlist, NULL))
	{
		*split = (Split) {0};
		*tlist = split_tlist(plan->targetlist, split);
	}

	/* what is volatile could not all be kept above the node */
	return split->calls != NIL && !split->too_wide &&
		!contain_volatile_functions((Node *) split->child_tlist);
}

/*
 * Puts a batch scan on top of the plan node if that has calls to give away;
 * returns it, or else the plan.  wanted: how many rows will be asked for, 0 if
 * that is not known.
 */
static Plan *
add_batch_scan(Plan *plan, int flags, int64 wanted, Rewrite *rewrite)
{
	Split		split;
	CustomScan *scan;
	List	   *old_tlist = plan->targetlist;
	List	   *tlist;
	int			effects;
	int			first;

	if (!contains_call((Node *) old_tlist, NULL) || (flags & MARKS) ||
		!can_be_child(plan) || contains_multiexpr((Node *) old_tlist, NULL) ||
		(rewrite->for_cursor && reads_append(plan)) || !split_plan(plan, &split, &tlist))
		return plan;
	plan->targetlist = split.child_tlist;
	effects = BitnetRowEffects(plan, rewrite->subplans);
	if (!may_read_ahead(old_tlist, flags, effects))
	{
		plan->targetlist = old_tlist;
		return plan;
	}
	rewrite->siblings = list_concat_unique_oid(rewrite->siblings, split.siblings);

	if (wanted > 0)
		first = (int) Min(wanted, BITNET_BATCH_MOST);
	else
		first = (flags & STOPS_EARLY) ? 1 : BITNET_BATCH_MOST;

	scan = makeNode(CustomScan);
	scan->methods = &bitnet_batch_scan_methods;
	scan->custom_scan_tlist = split.row;
	scan->custom_exprs = split.calls;
	scan->custom_private = list_make4(split.sources,
									  list_make4_int(first, (int) Min(wanted, PG_INT32_MAX),
													 (flags & READ_TO_END) != 0, effects != 0),
									  split.replaced,
									  makeString(pstrdup(BitnetLayout())));
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.startup_cost = plan->startup_cost;
	scan->scan.plan.total_cost = plan->total_cost;
	scan->scan.plan.plan_rows = plan->plan_rows;
	scan->scan.plan.plan_width = plan->plan_width;
	scan->scan.plan.parallel_safe = plan->parallel_safe;
	scan->scan.plan.plan_node_id = new_node_id(rewrite);
	scan->scan.plan.extParam = bms_copy(plan->extParam);
	scan->scan.plan.allParam = bms_copy(plan->allParam);
	outerPlan(scan) = plan;
	return (Plan *) scan;
}

/* What a node does with the rows of those below it */
typedef struct Demand
{
	int			outer;			/* flags */
	int			inner;
	int			listed;			/* of Append and MergeAppend */
	int64		outer_wanted;
} Demand;

static Demand
demand_of(Plan *plan, int flags, List *subplans)
{
	Demand		d = {0};

	/* a volatile function may write, too */
	int			own_writes = calls(BitnetNodeEffects(plan, subplans)) ? WRITES : 0;
	int			writes = (flags & WRITES) | own_writes;

	d.outer = d.inner = d.listed = (flags & ~(MARKS | TAKES_ALL)) | writes;
	switch (nodeTag(plan))
	{
		case T_Append:
		case T_MergeAppend:
			d.listed = flags & ~TAKES_ALL;
			break;
		case T_Result:
			d.outer |= flags & MARKS;
			break;
		case T_Limit:
			d.outer_wanted = BitnetRowsWanted((const Limit *) plan);
			if (d.outer_wanted > 0 && (flags & STOPS_EARLY) == 0)
				d.outer |= TAKES_ALL;
			d.outer |= STOPS_EARLY;
			break;
		case T_Sort:
		case T_Hash:
			d.outer = READ_TO_END;
			break;
		case T_ModifyTable:
			d.outer = WRITES |
				(((const ModifyTable *) plan)->returningLists == NIL ? READ_TO_END : 0);
			break;
		case T_Agg:
			if (((const Agg *) plan)->aggstrategy == AGG_PLAIN ||
				((const Agg *) plan)->aggstrategy == AGG_HASHED)
				d.outer = READ_TO_END | own_writes;
			break;
		case T_NestLoop:
			if (((const Join *) plan)->inner_unique ||
				((const Join *) plan)->jointype == JOIN_SEMI ||
				((const Join *) plan)->jointype == JOIN_ANTI)
				d.inner = STOPS_EARLY | writes;
			break;
		case T_MergeJoin:
			d.outer = STOPS_EARLY | writes;
			d.inner = STOPS_EARLY | MARKS | writes;
			break;
		case T_HashJoin:
			/* without anything in the table it stops at the first row, unless it gives all rows of this side */
			if (((const Join *) plan)->jointype != JOIN_LEFT &&
				((const Join *) plan)->jointype != JOIN_FULL &&
				((const Join *) plan)->jointype != JOIN_ANTI)
				d.outer = STOPS_EARLY | writes;
			break;
		case T_Memoize:
			d.outer = STOPS_EARLY | writes;
			break;
		case T_WindowAgg:
			if (((const WindowAgg *) plan)->runCondition != NIL)
				d.outer = STOPS_EARLY | writes;
			break;
		default:
			break;
	}

	/* what the inner side does is done between rows of the outer one */
	if (innerPlan(plan) != NULL && calls(BitnetRerunEffects(innerPlan(plan), subplans)))
		d.outer |= WRITES;
	if (IsA(plan, MergeJoin) && calls(BitnetRerunEffects(outerPlan(plan), subplans)))
		d.inner |= WRITES;
	return d;
}

static Plan *rewrite_plan(Plan *plan, int flags, int64 wanted, Rewrite *rewrite);

static void
rewrite_list(List *plans, int flags, Rewrite *rewrite)
{
	ListCell   *lc;

	foreach(lc, plans)
		lfirst(lc) = rewrite_plan(lfirst(lc), flags, 0, rewrite);
}

/*
 * The same for a whole plan; returns its new top.  What is below a node of
 * another extension stays as that has planned it.
 */
static Plan *
rewrite_plan(Plan *plan, int flags, int64 wanted, Rewrite *rewrite)
{
	Demand		demand;

	if (plan == NULL || IsA(plan, CustomScan) || IsA(plan, ForeignScan))
		return plan;
	check_stack_depth();

	demand = demand_of(plan, flags, rewrite->subplans);
	if (IsA(plan, Append))
		rewrite_list(((Append *) plan)->appendplans, demand.listed, rewrite);
	else if (IsA(plan, MergeAppend))
		rewrite_list(((MergeAppend *) plan)->mergeplans, demand.listed, rewrite);
	else if (IsA(plan, SubqueryScan))
		((SubqueryScan *) plan)->subplan = rewrite_plan(((SubqueryScan *) plan)->subplan,
														demand.outer, 0, rewrite);
	outerPlan(plan) = rewrite_plan(outerPlan(plan), demand.outer, demand.outer_wanted, rewrite);
	innerPlan(plan) = rewrite_plan(innerPlan(plan), demand.inner, 0, rewrite);
	return add_batch_scan(plan, flags, wanted, rewrite);
}

/*
 * A SCROLL cursor may go back, which a batch scan cannot.  Other cursors may
 * be closed before they are read to their end.
 */
static void
rewrite_statement(PlannedStmt *stmt, int cursor_options)
{
	Rewrite		rewrite = {0};
	bool		has_call = plan_has_call(stmt->planTree);
	ListCell   *lc;

	foreach(lc, stmt->subplans)
		has_call = has_call || plan_has_call(lfirst(lc));
	if (!has_call || (cursor_options & CURSOR_OPT_SCROLL))
		return;
	rewrite.top = stmt->planTree;
	rewrite.subplans = stmt->subplans;
	rewrite.for_cursor = (cursor_options & CURSOR_OPT_FAST_PLAN) != 0;
	foreach(lc, stmt->subplans)
		lfirst(lc) = rewrite_plan(lfirst(lc), STOPS_EARLY, 0, &rewrite);
	stmt->planTree = rewrite_plan(stmt->planTree,
								  rewrite.for_cursor ? STOPS_EARLY : 0, 0, &rewrite);

	/*
	 * The plan calls functions that the query does not name: it is for a role
	 * that may call them, and until one of them changes.
	 */
	if (rewrite.siblings != NIL)
		stmt->dependsOnRole = true;
	foreach(lc, rewrite.siblings)
	{
		PlanInvalItem *item = makeNode(PlanInvalItem);

		item->cacheId = PROCOID;
		item->hashValue = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(lfirst_oid(lc)));
		stmt->invalItems = lappend(stmt->invalItems, item);
	}
}

static PlannedStmt *
plan_with_batches(Query *parse, const char *query_string, int cursor_options,
				  ParamListInfo bound_params)
{
	PlannedStmt *stmt;

	if (previous_planner_hook)
		stmt = previous_planner_hook(parse, query_string, cursor_options, bound_params);
	else
		stmt = standard_planner(parse, query_string, cursor_options, bound_params);
	if (!bitnet_enable_batch_scan || !IsTransactionState() ||
		stmt->commandType == CMD_UTILITY || stmt->planTree == NULL)
		return stmt;

	rewrite_statement(stmt, cursor_options);
	return stmt;
}

void
BitnetInitBatchScan(void)
{
	BitnetInitBatchNode();
	previous_planner_hook = planner_hook;
	planner_hook = plan_with_batches;
}
