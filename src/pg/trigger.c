/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  bitnet_trigger: a column that a model fills in.
 *
 *	CREATE TRIGGER ... BEFORE INSERT OR UPDATE ON ... FOR EACH ROW
 *	EXECUTE FUNCTION bitnet_trigger('target', 'bitnet_classify', 'source',
 *									'{"labels": ["bug", "question"]}');
 *
 * src/pg/trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "functions.h"

PG_FUNCTION_INFO_V1(bitnet_trigger);

typedef struct TriggerFunction
{
	const char *name;
	BitnetFamily family;
} TriggerFunction;

static const TriggerFunction trigger_functions[] = {
	{"bitnet_generate", BITNET_TRIGGER_GENERATE},
	{"bitnet_summarize", BITNET_TRIGGER_SUMMARIZE},
	{"bitnet_classify", BITNET_TRIGGER_CLASSIFY},
	{"bitnet_embed", BITNET_TRIGGER_EMBED}
};

static void
check_call(FunctionCallInfo fcinfo)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"bitnet_trigger")));
	if (!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!(TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ||
		  TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" must be fired before INSERT or UPDATE, for each row",
						trigdata->tg_trigger->tgname)));
	if (trigdata->tg_trigger->tgnargs < 3 || trigdata->tg_trigger->tgnargs > 4)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" must have three or four arguments",
						trigdata->tg_trigger->tgname),
				 errhint("The arguments are the target column, the function, the source column and options in JSON.")));
}

static BitnetFamily
find_function(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(trigger_functions); i++)
		if (strcmp(trigger_functions[i].name, name) == 0)
			return trigger_functions[i].family;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("function \"%s\" cannot be used by bitnet_trigger", name),
			 errhint("Use bitnet_generate, bitnet_summarize, bitnet_classify or bitnet_embed.")));
}

/* A column's number; only columns of the user can be used. */
static int
find_column(Relation rel, const char *name)
{
	int			number = SPI_fnumber(RelationGetDescr(rel), name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(rel))));
	return number;
}

/* text, varchar, char(n), citext and the like, not name */
static bool
is_text_type(Oid type)
{
	char		category;
	bool		preferred;

	get_type_category_preferred(getBaseType(type), &category, &preferred);
	return category == TYPCATEGORY_STRING && get_typlen(type) == -1;
}

pg_noreturn static void
bad_column_type(Relation rel, Form_pg_attribute att, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of relation \"%s\" has a type that bitnet_trigger cannot use",
					NameStr(att->attname), RelationGetRelationName(rel)),
			 errdetail("It is of type %s; wanted is %s.",
					   format_type_be(att->atttypid), wanted)));
}

/*
 * A vector as a value of the target column: cast as an INSERT does it, to
 * pgvector's type for example.  The cast is to the type below a domain, whose
 * constraints are for the caller to check.
 */
static Datum
coerce_vector(Relation rel, Form_pg_attribute att, ArrayType *vector, bool *isnull)
{
	Node	   *value = (Node *) makeConst(FLOAT4ARRAYOID, -1, InvalidOid, -1,
										   PointerGetDatum(vector), false, false);
	int32		typmod = att->atttypmod;
	Oid			type = getBaseTypeAndTypmod(att->atttypid, &typmod);
	Node	   *cast = coerce_to_target_type(NULL, value, FLOAT4ARRAYOID, type, typmod,
											 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	EState	   *estate;
	ExprState  *state;
	Datum		result;

	if (cast == NULL)
		bad_column_type(rel, att, _("real[]"));
	assign_expr_collations(NULL, cast);
	estate = CreateExecutorState();
	state = ExecPrepareExpr((Expr *) cast, estate);
	result = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), isnull);
	if (!*isnull)
		result = datumCopy(result, get_typbyval(type), get_typlen(type));
	FreeExecutorState(estate);
	return result;
}

/* An answer as a value of the target column: what its input function makes. */
static Datum
coerce_text(Form_pg_attribute att, text *answer)
{
	Oid			input;
	Oid			typioparam;

	if (att->atttypid == TEXTOID)
		return PointerGetDatum(answer);
	getTypeInputInfo(att->atttypid, &input, &typioparam);
	return OidInputFunctionCall(input, text_to_cstring(answer), typioparam, att->atttypmod);
}

/* The functions themselves; the result has the type of the target column. */
static Datum
compute(FmgrInfo *flinfo, Relation rel, Form_pg_attribute att, BitnetFamily family,
		const BitnetArgs *args, BitnetText input, bool *isnull)
{
	const BitnetModel *model = NULL;
	text	   *answer = NULL;
	BitnetText	summary;
	float	   *vector;
	double	   *logprobs;
	int			dimensions;
	int			best;

	*isnull = false;
	if (family == BITNET_TRIGGER_GENERATE || !BitnetIsBlank(input))
		model = BitnetGetModel(flinfo, args->model);

	switch (family)
	{
		case BITNET_TRIGGER_GENERATE:
			answer = BitnetGenerate(model, args, &input, 1)[0];
			break;
		case BITNET_TRIGGER_SUMMARIZE:
			if (model == NULL)
				answer = cstring_to_text("");
			else
			{
				summary = BitnetSummarize(model, args, &input, 1)[0];
				answer = BitnetTextToServer(summary.data, summary.length);
			}
			break;
		case BITNET_TRIGGER_CLASSIFY:
			if (model == NULL)
				break;
			logprobs = palloc(sizeof(double) * args->n_labels);
			BitnetClassify(model, args, &input, 1, logprobs);
			best = BitnetBestLabel(args, logprobs);
			answer = BitnetTextToServer(args->labels[best].data, args->labels[best].length);
			break;
		case BITNET_TRIGGER_EMBED:
			if (model == NULL)
				break;
			vector = BitnetEmbed(model, args, &input, 1, &dimensions)[0];
			return coerce_vector(rel, att, BitnetVectorArray(vector, dimensions), isnull);
		default:
			elog(ERROR, "unexpected function family: %d", (int) family);
	}

	*isnull = answer == NULL;
	return answer == NULL ? (Datum) 0 : coerce_text(att, answer);
}

/* Are the bytes of two texts the same?  A collation may see it otherwise. */
static bool
same_text(Datum a, bool a_null, Datum b, bool b_null)
{
	if (a_null || b_null)
		return a_null && b_null;
	return DatumGetBool(DirectFunctionCall2(byteaeq, a, b));
}

static void
check_columns(Relation rel, Form_pg_attribute source, Form_pg_attribute target,
			  BitnetFamily family)
{
	if (source->attgenerated || target->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("column \"%s\" of relation \"%s\" is generated",
						NameStr(source->attgenerated ? source->attname : target->attname),
						RelationGetRelationName(rel)),
				 errdetail("Generated columns are computed after the trigger.")));
	if (!is_text_type(source->atttypid))
		bad_column_type(rel, source, _("text"));
	if (family != BITNET_TRIGGER_EMBED && !is_text_type(target->atttypid) &&
		!type_is_enum(getBaseType(target->atttypid)))
		bad_column_type(rel, target, _("text or an enum"));
}

/*
 * The row that is to be written, and its value of a column.  False if it is
 * that of an UPDATE which leaves the value as it was.
 */
static bool
new_value(const TriggerData *trigdata, int column, HeapTuple *row, Datum *value, bool *isnull)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	Datum		before;
	bool		before_null;

	if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		*row = trigdata->tg_trigtuple;
		*value = heap_getattr(*row, column, desc, isnull);
		return true;
	}
	*row = trigdata->tg_newtuple;
	*value = heap_getattr(*row, column, desc, isnull);
	before = heap_getattr(trigdata->tg_trigtuple, column, desc, &before_null);
	return !same_text(before, before_null, *value, *isnull);
}

Datum
bitnet_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	TupleDesc	desc;
	char	  **names;
	BitnetFamily family;
	BitnetArgs	args;
	Form_pg_attribute target;
	Form_pg_attribute source;
	HeapTuple	row;
	Datum		value;
	Datum		result = (Datum) 0;
	bool		isnull;
	bool		result_null = true;
	int			target_number;
	int			source_number;

	check_call(fcinfo);
	rel = trigdata->tg_relation;
	desc = RelationGetDescr(rel);
	names = trigdata->tg_trigger->tgargs;

	target_number = find_column(rel, names[0]);
	family = find_function(names[1]);
	source_number = find_column(rel, names[2]);
	target = TupleDescAttr(desc, target_number - 1);
	source = TupleDescAttr(desc, source_number - 1);
	check_columns(rel, source, target, family);

	BitnetInitArgs(&args);
	if (trigdata->tg_trigger->tgnargs == 4)
		BitnetTakeOptions(&args,
						  DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(names[3]))),
						  family);
	if (family == BITNET_TRIGGER_CLASSIFY)
		BitnetCheckLabels(&args);

	if (!new_value(trigdata, source_number, &row, &value, &isnull))
		return PointerGetDatum(row);

	/* As a cast to text does it */
	if (!isnull && getBaseType(source->atttypid) == BPCHAROID)
		value = DirectFunctionCall1(rtrim1, value);
	if (!isnull)
		result = compute(fcinfo->flinfo, rel, target, family, &args,
						 BitnetTextFromDatum(value), &result_null);
	if (get_typtype(target->atttypid) == TYPTYPE_DOMAIN)
		domain_check(result, result_null, target->atttypid, NULL, NULL);
	return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, 1, &target_number,
													 &result, &result_null));
}
