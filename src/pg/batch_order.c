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

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "batch_functions.h"
#include "batch_order.h"

typedef struct Reading
{
	List	   *subplans;		/* of the whole statement */
	bool		again;			/* what is looked at is run for each row, from the beginning */
} Reading;

static int	row_effects(Plan *plan, Reading *reading);

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

bool
BitnetNodeCallsNoticed(const Plan *plan)
{
	return contains_noticed((Node *) plan->targetlist, NULL) ||
		contains_noticed((Node *) plan->qual, NULL) ||
		contains_noticed((Node *) join_conditions(plan), NULL);
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
	if (check_functions_in_node(node, is_noticed, NULL))
		found->effects |= BITNET_ROW_CALLS;
	if (IsA(node, SubPlan))
	{
		SubPlan    *subplan = (SubPlan *) node;
		Reading		reading = *found->reading;

		reading.again = reading.again || subplan->parParam != NIL;
		found->effects |= row_effects(list_nth(reading.subplans, subplan->plan_id - 1), &reading);
	}
	return expression_tree_walker(node, add_effects, context);
}

static int
expression_effects(void *expression, Reading *reading)
{
	ExpressionEffects found = {reading, 0};

	(void) add_effects(expression, &found);
	return found.effects;
}

static int
row_effects(Plan *plan, Reading *reading)
{
	Reading		inner = *reading;
	bool		gives_last = false; /* gives a row when it has got all */
	int			effects = 0;
	ListCell   *lc;

	if (plan == NULL)
		return 0;
	check_stack_depth();

	effects |= expression_effects(plan->qual, reading);
	effects |= expression_effects(plan->targetlist, reading);
	effects |= expression_effects(join_conditions(plan), reading);
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
		case T_LockRows:
			effects |= BITNET_ROW_LOCKS;
			break;
		case T_NestLoop:
		case T_RecursiveUnion:
			inner.again = true;
			break;
		case T_CteScan:
			effects |= row_effects(list_nth(reading->subplans, ((CteScan *) plan)->ctePlanId - 1),
								   reading);
			break;
		case T_ValuesScan:
			effects |= expression_effects(((ValuesScan *) plan)->values_lists, reading);
			break;

			/* these have all their rows, too, before they give one */
		case T_FunctionScan:
			if (reading->again)
				effects |= expression_effects(((FunctionScan *) plan)->functions, reading);
			break;
		case T_TableFuncScan:
			if (reading->again)
				effects |= expression_effects(((TableFuncScan *) plan)->tablefunc, reading);
			break;
		default:
			break;
	}
	if (gives_last && !reading->again)
		return effects;
	foreach(lc, BitnetListedChildren(plan))
		effects |= row_effects(lfirst(lc), reading);
	return effects | row_effects(outerPlan(plan), reading) | row_effects(innerPlan(plan), &inner);
}

int
BitnetRowEffects(Plan *plan, List *subplans)
{
	Reading		reading = {subplans, false};

	return row_effects(plan, &reading);
}
