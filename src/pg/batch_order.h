/*-------------------------------------------------------------------------
 *
 * batch_order.h
 *	  What of a plan could be noticed if rows are read ahead.
 *
 * src/pg/batch_order.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_BATCH_ORDER_H
#define BITNET_BATCH_ORDER_H

#include "nodes/plannodes.h"

/* What getting a row of a plan does beside giving it */
#define BITNET_ROW_CALLS	1	/* calls a function that may see what was done with the rows before */
#define BITNET_ROW_LOCKS	2	/* locks it */
#define BITNET_ROW_LOCKS_ALL 4	/* locks it, of a number of rows that are meant to be locked */

/*
 * Which of these a plan of a statement with these subplans does when its next row
 * is asked for.  Not what it has done for all rows before it gives the first one.
 */
extern int	BitnetRowEffects(Plan *plan, List *subplans);

/* The same of a plan that is run from its beginning for each row of another one */
extern int	BitnetRerunEffects(Plan *plan, List *subplans);

/* What a node itself does for each row, without its children */
extern int	BitnetNodeEffects(Plan *plan, List *subplans);

/* Does an expression call a function whose calls may be noticed, sequences aside? */
extern bool BitnetContainsNoticed(Node *node);

/* Does it take the next number of a sequence? */
extern bool BitnetContainsNextval(Node *node);

/* Is that a call of a function that can be computed for many rows together? */
extern bool BitnetIsBatchCall(Node *node);

/* LIMIT and OFFSET as one number of rows; 0 if it is not known. */
extern int64 BitnetRowsWanted(const Limit *limit);

/* The children of a plan node besides the outer and the inner one. */
extern List *BitnetListedChildren(const Plan *plan);

#endif							/* BITNET_BATCH_ORDER_H */
