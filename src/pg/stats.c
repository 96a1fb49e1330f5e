/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  SQL functions about what is and was computed.
 *
 * src/pg/stats.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "board.h"
#include "registry.h"

#define STATS_COLUMNS 16
#define ACTIVITY_COLUMNS 14
#define ENGINES_COLUMNS 9

PG_FUNCTION_INFO_V1(bitnet_stats);
PG_FUNCTION_INFO_V1(bitnet_stats_reset);
PG_FUNCTION_INFO_V1(bitnet_activity);
PG_FUNCTION_INFO_V1(bitnet_engines);

Datum
bitnet_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	BitnetModelCount counts[BITNET_MAX_MODELS];
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = BitnetListCounts(counts);
	for (int i = 0; i < n; i++)
	{
		const BitnetModelStats *s = &counts[i].stats;
		Datum		values[STATS_COLUMNS];
		bool		nulls[STATS_COLUMNS] = {false};

		values[0] = CStringGetTextDatum(counts[i].name);
		values[1] = Int64GetDatum(s->calls);
		values[2] = Int64GetDatum(s->texts);
		values[3] = Int64GetDatum(s->prompt_tokens);
		values[4] = Int64GetDatum(s->cached_tokens);
		values[5] = Int64GetDatum(s->output_tokens);
		values[6] = Float8GetDatum(s->queue_time);
		values[7] = Float8GetDatum(s->prefill_time);
		values[8] = Float8GetDatum(s->decode_time);
		values[9] = Int64GetDatum(s->steps);
		values[10] = Float8GetDatum(s->steps > 0 ? (double) s->sequence_steps / s->steps : 0);
		nulls[10] = s->steps == 0;
		values[11] = Int64GetDatum(s->drafted_tokens);
		values[12] = Int64GetDatum(s->accepted_tokens);
		values[13] = Int64GetDatum(s->cancels);
		values[14] = Int64GetDatum(s->errors);
		values[15] = TimestampTzGetDatum(counts[i].since);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
bitnet_stats_reset(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (!BitnetResetCounts(name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there are no statistics of model \"%s\"", name),
				 errhint("SELECT model FROM bitnet_stats lists the models that have some.")));
	PG_RETURN_VOID();
}

/* As PostgreSQL does it for pg_stat_activity. */
static bool
may_see_activity(Oid role)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		has_privs_of_role(GetUserId(), role);
}

static const char *
phase_name(BitnetPhase phase)
{
	switch (phase)
	{
		case BITNET_QUEUED:
			return "queued";
		case BITNET_PREFILL:
			return "prefill";
		case BITNET_DECODE:
			return "decode";
	}
	return "unknown";
}

/* The columns that not everybody may see, from number 3 on. */
static void
fill_activity(const BitnetActivity *activity, const BitnetProgress *progress,
			  Datum *values, bool *nulls)
{
	double		share = (double) (activity->n_before + progress->n_finished) /
		Max(activity->n_requests, 1);
	double		done = floor(activity->rows_before + activity->rows_here * share + 1e-6);
	double		total = activity->rows_total;
	double		elapsed = (double) (GetCurrentTimestamp() - activity->started);	/* us */
	int64		prompt_tokens = activity->prompt_tokens + progress->prompt_tokens;
	int64		cached_tokens = activity->cached_tokens + progress->cached_tokens;
	int64		output_tokens = activity->output_tokens + progress->output_tokens;
	double		computed = (double) (prompt_tokens - cached_tokens + output_tokens);

	memset(nulls + 3, false, (ACTIVITY_COLUMNS - 3) * sizeof(bool));
	values[3] = CStringGetTextDatum(activity->model);
	values[4] = CStringGetTextDatum(activity->function);
	values[5] = CStringGetTextDatum(phase_name(progress->phase));
	values[6] = TimestampTzGetDatum(activity->started);
	values[7] = Int64GetDatum((int64) Min(total, 1e18));
	values[8] = Int64GetDatum((int64) done);
	values[9] = Int64GetDatum(prompt_tokens);
	values[10] = Int64GetDatum(cached_tokens);
	values[11] = Int64GetDatum(output_tokens);
	values[12] = Float8GetDatum(elapsed > 0 ? computed / (elapsed / USECS_PER_SEC) : 0);
	nulls[12] = elapsed <= 0;

	/* The total is the planner's guess; one that was too low says nothing */
	nulls[13] = done < 1 || total < done || elapsed < 0;
	if (!nulls[13])
	{
		Interval   *left = palloc0(sizeof(Interval));

		left->time = (TimeOffset) Min(elapsed * (total - done) / done, 1e18);
		values[13] = IntervalPGetDatum(left);
	}
}

Datum
bitnet_activity(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = BitnetAttachBoard() ? BitnetDesks() : 0;
	for (int i = 0; i < n; i++)
	{
		BitnetActivity activity;
		BitnetProgress progress;
		Datum		values[ACTIVITY_COLUMNS] = {0};
		bool		nulls[ACTIVITY_COLUMNS];

		if (!BitnetReadDesk(i, &activity, &progress))
			continue;
		memset(nulls, true, sizeof(nulls));
		values[0] = Int32GetDatum(activity.pid);
		values[1] = ObjectIdGetDatum(activity.database);
		values[2] = ObjectIdGetDatum(activity.role);
		nulls[0] = nulls[1] = nulls[2] = false;
		if (may_see_activity(activity.role))
			fill_activity(&activity, &progress, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
bitnet_engines(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	BitnetEngineState states[BITNET_MAX_ENGINES];
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = BitnetAttachBoard() ? BitnetListEngines(states) : 0;
	for (int i = 0; i < n; i++)
	{
		const BitnetEngineState *s = &states[i];
		Datum		values[ENGINES_COLUMNS];
		bool		nulls[ENGINES_COLUMNS] = {false};

		values[0] = Int32GetDatum(s->pid);
		values[1] = CStringGetTextDatum(s->model);
		values[2] = TimestampTzGetDatum(s->started);
		values[3] = Int32GetDatum(s->n_runs);
		values[4] = Int32GetDatum(s->cache.n_sequences);
		values[5] = Int64GetDatum(s->steps);
		values[6] = Int64GetDatum(s->page_bytes * s->cache.n_pages);
		values[7] = Int64GetDatum(s->page_bytes * s->cache.n_used);
		values[8] = Int64GetDatum(s->page_bytes * s->cache.n_cached);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
