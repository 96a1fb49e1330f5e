/*-------------------------------------------------------------------------
 *
 * batch_order.c
 *	  What of a plan could be noticed if rows are read ahead.
 *
 * Evaluated row by row, a statement is done with one row before it gets the
 * next.  Volatile functions and locks of rows can tell the difference.
 *
 * src/pg/batch_order.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "batch_functions.h"
#include "batch_order.h"
#include "compat.h"

typedef struct Reading
{
	List	   *subplans;		/* of the whole statement */
	int		   *known[2];		/* [number of a subplan] its effects, without again or with; 0: not yet */
	bool		again;			/* what is looked at is run for each row, from the beginning */
} Reading;

#define KNOWN 8					/* beside effects: they have been found out */

static int	row_effects(Plan *plan, Reading *reading);

static Reading
begin_reading(List *subplans, bool again)
{
	Size		size = sizeof(int) * (list_length(subplans) + 1);

	return (Reading) {subplans, {palloc0(size), palloc0(size)}, again};
}

bool
BitnetIsBatchCall(Node *node)
{
	return IsA(node, FuncExpr) && BitnetIsBatchFunction(((FuncExpr *) node)->funcid);
}

/*
 * Volatile, and of those that are not the usual defaults of a column: whoever
 * writes others may count on when they are called.
 */
static bool
is_noticed(Oid function, void *context)
{
	return func_volatile(function) == PROVOLATILE_VOLATILE && function != F_NEXTVAL &&
		function != F_GEN_RANDOM_UUID && function != F_CLOCK_TIMESTAMP;
}

static bool
contains_noticed(Node *node, void *context)
{
	if (node == NULL)
		return false;
	/* calls that look the same are made once, so their arguments must be, too */
	if (BitnetIsBatchCall(node) && contain_volatile_functions(node))
		return true;
	return check_functions_in_node(node, is_noticed, NULL) ||
		expression_tree_walker(node, contains_noticed, context);
}

bool
BitnetContainsNoticed(Node *node)
{
	return contains_noticed(node, NULL);
}

static bool
is_nextval(Oid function, void *context)
{
	return function == F_NEXTVAL;
}

static bool
contains_nextval(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, NextValueExpr) || check_functions_in_node(node, is_nextval, NULL) ||
		expression_tree_walker(node, contains_nextval, NULL);
}

bool
BitnetContainsNextval(Node *node)
{
	return contains_nextval(node, NULL);
}

/* The conditions of a join that are not in qual */
static List *
join_conditions(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
			return ((const Join *) plan)->joinqual;
		default:
			return NIL;
	}
}

List *
BitnetListedChildren(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Append:
			return ((const Append *) plan)->appendplans;
		case T_MergeAppend:
			return ((const MergeAppend *) plan)->mergeplans;
		case T_BitmapAnd:
			return ((const BitmapAnd *) plan)->bitmapplans;
		case T_BitmapOr:
			return ((const BitmapOr *) plan)->bitmapplans;
		case T_SubqueryScan:
			return list_make1(((const SubqueryScan *) plan)->subplan);
		case T_CustomScan:
			return ((const CustomScan *) plan)->custom_plans;
		default:
			return NIL;
	}
}

int64
BitnetRowsWanted(const Limit *limit)
{
	int64		wanted = 0;
	const Const *parts[2];
	int			i;

	if (limit->limitCount == NULL || limit->limitOption != LIMIT_OPTION_COUNT)
		return 0;
	parts[0] = (const Const *) limit->limitCount;
	parts[1] = (const Const *) limit->limitOffset;
	for (i = 0; i < 2; i++)
	{
		int64		n;

		if (parts[i] == NULL)
			continue;
		if (!IsA(parts[i], Const) || parts[i]->consttype != INT8OID || parts[i]->constisnull)
			return 0;
		n = DatumGetInt64(parts[i]->constvalue);
		if (n < 0 || n > PG_INT32_MAX)
			return 0;
		wanted += n;
	}
	return wanted;
}

/*
 * A function that may see what was done with the rows before, which random() does
 * not, or do what is seen with the next ones, as nextval().
 */
static bool
sees_others(Oid function, void *context)
{
	return (is_noticed(function, context) && function != F_RANDOM) || is_nextval(function, context);
}

/* What a subplan does, which is found out once */
static int
subplan_effects(int plan_id, bool again, Reading *reading)
{
	bool		outer = reading->again;
	int		   *known;

	reading->again = outer || again;
	known = &reading->known[reading->again][plan_id];
	if (*known == 0)
		*known = KNOWN | row_effects(list_nth(reading->subplans, plan_id - 1), reading);
	reading->again = outer;
	return *known & ~KNOWN;
}

typedef struct ExpressionEffects
{
	Reading    *reading;
	int			effects;
} ExpressionEffects;

static bool
add_effects(Node *node, void *context)
{
	ExpressionEffects *found = context;

	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr) || check_functions_in_node(node, sees_others, NULL))
		found->effects |= BITNET_ROW_CALLS;
	if (IsA(node, SubPlan))
		found->effects |= subplan_effects(((SubPlan *) node)->plan_id,
										  ((SubPlan *) node)->parParam != NIL, found->reading);
	return expression_tree_walker(node, add_effects, context);
}

static int
expression_effects(void *expression, Reading *reading)
{
	ExpressionEffects found = {reading, 0};

	(void) add_effects(expression, &found);
	return found.effects;
}

/* What a node itself does for each row */
static int
node_effects(Plan *plan, Reading *reading)
{
	int			effects = expression_effects(plan->qual, reading) |
		expression_effects(plan->targetlist, reading) |
		expression_effects(join_conditions(plan), reading);

	switch (nodeTag(plan))
	{
		case T_ValuesScan:
			return effects | expression_effects(((ValuesScan *) plan)->values_lists, reading);

			/* these have all their rows before they give one */
		case T_FunctionScan:
			return !reading->again ? effects :
				effects | expression_effects(((FunctionScan *) plan)->functions, reading);
		case T_TableFuncScan:
			return !reading->again ? effects :
				effects | expression_effects(((TableFuncScan *) plan)->tablefunc, reading);
		case T_LockRows:
			return effects | BITNET_ROW_LOCKS;
		default:
			return effects;
	}
}

static int
row_effects(Plan *plan, Reading *reading)
{
	bool		again = reading->again;
	bool		gives_last = false; /* gives a row when it has got all */
	bool		reruns_inner = false;
	bool		locks_all = false;
	int			effects;
	ListCell   *lc;

	if (plan == NULL)
		return 0;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();

	switch (nodeTag(plan))
	{
		case T_Sort:
		case T_Hash:
			gives_last = true;
			break;
		case T_Agg:
			gives_last = ((Agg *) plan)->aggstrategy == AGG_PLAIN ||
				((Agg *) plan)->aggstrategy == AGG_HASHED;
			break;
		case T_Limit:
			locks_all = BitnetRowsWanted((Limit *) plan) > 0;
			break;
		case T_NestLoop:
		case T_RecursiveUnion:
			reruns_inner = true;
			break;
		default:
			break;
	}
	effects = node_effects(plan, reading);
	if (gives_last && !again)
		return effects;
	if (IsA(plan, CteScan))
		effects |= subplan_effects(((CteScan *) plan)->ctePlanId, false, reading);
	foreach(lc, BitnetListedChildren(plan))
		effects |= row_effects(lfirst(lc), reading);
	effects |= row_effects(outerPlan(plan), reading);
	reading->again = again || reruns_inner;
	effects |= row_effects(innerPlan(plan), reading);
	reading->again = again;
	if (locks_all && (effects & BITNET_ROW_LOCKS))
		effects = (effects & ~BITNET_ROW_LOCKS) | BITNET_ROW_LOCKS_ALL;
	return effects;
}

int
BitnetRowEffects(Plan *plan, List *subplans)
{
	Reading		reading = begin_reading(subplans, false);

	return row_effects(plan, &reading);
}

int
BitnetRerunEffects(Plan *plan, List *subplans)
{
	Reading		reading = begin_reading(subplans, true);

	return row_effects(plan, &reading);
}

int
BitnetNodeEffects(Plan *plan, List *subplans)
{
	Reading		reading = begin_reading(subplans, true);

	return node_effects(plan, &reading);
}
