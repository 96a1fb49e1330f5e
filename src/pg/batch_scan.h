/*-------------------------------------------------------------------------
 *
 * batch_scan.h
 *	  The plan node that runs the model calls of many rows together.
 *
 * batch_plan.c puts the node into finished plans, batch_scan.c executes it.
 *
 * The node stands above the one whose target list had the calls.  That one now
 * computes what the calls and the expressions around them need; the node's own
 * row (custom_scan_tlist) consists of columns of its child and of calls, and
 * its target list is the one that its child had before.
 *
 * src/pg/batch_scan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_BATCH_SCAN_H
#define BITNET_BATCH_SCAN_H

#include "nodes/extensible.h"
#include "nodes/plannodes.h"

/*
 * The node in a plan.
 *
 * custom_exprs: the calls, FuncExprs over the node's row; one that is an
 * argument of another comes before it.
 *
 * custom_private: three lists and a string.  The first has one element for each
 * column of the row: the number of the child's column that it is, or minus the
 * number of the call, both counted from 1.  The second says how many rows to
 * ask for, see BitnetBatchLimits.  The third are the Oids of aggregates that
 * have become calls, which the role must be allowed to call.  The string is the
 * layout (registry.h) of the library that made the plan; it keeps its place.
 */
extern const CustomScanMethods bitnet_batch_scan_methods;

typedef enum BitnetBatchLimits
{
	BITNET_BATCH_FIRST,			/* rows in the first batch */
	BITNET_BATCH_ROWS,			/* rows in all; 0: as many as there are */
	BITNET_BATCH_TO_END,		/* all are read, however many the statement is run for? */
	BITNET_BATCH_IN_STEP		/* may reading ahead be noticed, where they are not? */
} BitnetBatchLimits;

/* Most rows of a batch. */
#define BITNET_BATCH_MOST 256

/* Makes the node known; watches how many rows statements are run for. */
extern void BitnetInitBatchNode(void);

/* Settings (bitnet.c) */
extern bool bitnet_enable_batch_scan;

/* Installs the planner hook; for _PG_init. */
extern void BitnetInitBatchScan(void);

#endif							/* BITNET_BATCH_SCAN_H */
