/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The arguments of the model functions, checked.
 *
 * src/pg/options.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <limits.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "options.h"

/* After every token the answer is searched for all of them */
#define MAX_STOPS 1024

typedef enum ArgKind
{
	ARG_BOOL,					/* bool */
	ARG_INT,					/* int */
	ARG_BIGINT,					/* int64 */
	ARG_REAL,					/* double */
	ARG_CHOICE,					/* int, index into choices */
	ARG_NAME,					/* char *, server encoding */
	ARG_TEXT,					/* BitnetText */
	ARG_TEXTS					/* BitnetText[]; n_stops or n_labels is their number */
} ArgKind;

typedef struct ArgSpec
{
	const char *name;
	ArgKind		kind;
	size_t		offset;			/* in BitnetArgs */
	double		min;
	double		max;
	bool		open_min;		/* min itself is outside */
	const char *range;			/* in words */
	uint32		families;		/* in whose options it may be */
	const char *const *choices;
} ArgSpec;

#define IN(family) (1u << (family))

#define IN_SAMPLING \
	(IN(BITNET_GENERATE) | IN(BITNET_CHAT) | IN(BITNET_SUMMARIZE) | \
	 IN(BITNET_TRIGGER_GENERATE) | IN(BITNET_TRIGGER_SUMMARIZE))
#define IN_TRIGGERS \
	(IN(BITNET_TRIGGER_GENERATE) | IN(BITNET_TRIGGER_SUMMARIZE) | \
	 IN(BITNET_TRIGGER_CLASSIFY) | IN(BITNET_TRIGGER_EMBED))
#define IN_EMBED (IN(BITNET_EMBED) | IN(BITNET_SIMILARITY) | IN(BITNET_TRIGGER_EMBED))
#define IN_CLASSIFY (IN(BITNET_CLASSIFY) | IN(BITNET_TRIGGER_CLASSIFY))
/* Typed arguments of bitnet_generate that bitnet_summarize has as options */
#define IN_LENGTH \
	(IN(BITNET_SUMMARIZE) | IN(BITNET_TRIGGER_GENERATE) | IN(BITNET_TRIGGER_SUMMARIZE))

/* In the order of bn_pooling, which begins with "unspecified" */
static const char *const pooling_choices[] = {"", "mean", "first", "last", NULL};
static const char *const overflow_choices[] = {"error", "truncate", NULL};

static const ArgSpec arg_specs[] = {
	{"max_tokens", ARG_INT, offsetof(BitnetArgs, max_tokens), 1, INT_MAX, false,
	"between 1 and 2147483647", IN_LENGTH, NULL},
	{"temperature", ARG_REAL, offsetof(BitnetArgs, temperature), 0, DBL_MAX, false,
	"finite and at least 0", IN_LENGTH, NULL},
	{"seed", ARG_BIGINT, offsetof(BitnetArgs, seed), 0, 0, false,
	"between -9223372036854775808 and 9223372036854775807", IN_LENGTH, NULL},
	{"top_k", ARG_INT, offsetof(BitnetArgs, top_k), 0, INT_MAX, false,
	"between 0 and 2147483647", IN_SAMPLING, NULL},
	{"top_p", ARG_REAL, offsetof(BitnetArgs, top_p), 0, 1, true,
	"greater than 0 and at most 1", IN_SAMPLING, NULL},
	{"min_p", ARG_REAL, offsetof(BitnetArgs, min_p), 0, 1, false,
	"between 0 and 1", IN_SAMPLING, NULL},
	{"repeat_penalty", ARG_REAL, offsetof(BitnetArgs, repeat_penalty), 0.01, 100, false,
	"between 0.01 and 100", IN_SAMPLING, NULL},
	{"stop", ARG_TEXTS, offsetof(BitnetArgs, stops), 0, 0, false,
	"a list of strings that are not empty", IN(BITNET_TRIGGER_GENERATE), NULL},
	{"system", ARG_TEXT, offsetof(BitnetArgs, system), 0, 0, false,
	NULL, IN(BITNET_TRIGGER_GENERATE), NULL},
	{"raw", ARG_BOOL, offsetof(BitnetArgs, raw), 0, 0, false, NULL,
	IN(BITNET_GENERATE) | IN(BITNET_NEXT_TOKENS) | IN(BITNET_TRIGGER_GENERATE), NULL},
	{"labels", ARG_TEXTS, offsetof(BitnetArgs, labels), 0, 0, false,
	"a list of strings that are not empty", IN(BITNET_TRIGGER_CLASSIFY), NULL},
	{"instruction", ARG_TEXT, offsetof(BitnetArgs, instruction), 0, 0, false, NULL,
	IN(BITNET_TRIGGER_SUMMARIZE) | IN(BITNET_TRIGGER_CLASSIFY), NULL},
	{"max_words", ARG_INT, offsetof(BitnetArgs, max_words), 1, 1000000, false,
	"between 1 and 1000000", IN(BITNET_TRIGGER_SUMMARIZE), NULL},
	{"dimensions", ARG_INT, offsetof(BitnetArgs, dimensions), 1, INT_MAX, false,
	"at least 1", IN(BITNET_TRIGGER_EMBED), NULL},
	{"pooling", ARG_CHOICE, offsetof(BitnetArgs, pooling), 0, 0, false,
	"\"mean\", \"first\" or \"last\"", IN_EMBED, pooling_choices},
	{"on_overflow", ARG_CHOICE, offsetof(BitnetArgs, on_overflow), 0, 0, false,
	"\"error\" or \"truncate\"", IN_EMBED | IN_CLASSIFY, overflow_choices},
	{"model", ARG_NAME, offsetof(BitnetArgs, model), 0, 0, false,
	NULL, IN_TRIGGERS, NULL}
};

#define ARG_PTR(args, spec, type) ((type *) ((char *) (args) + (spec)->offset))

void
BitnetInitArgs(BitnetArgs *args)
{
	memset(args, 0, sizeof(*args));
	args->max_words = 50;
	args->temperature = bn_sampling_default.temperature;
	args->seed = bn_sampling_default.seed;
	args->top_k = bn_sampling_default.top_k;
	args->top_p = bn_sampling_default.top_p;
	args->min_p = bn_sampling_default.min_p;
	args->repeat_penalty = bn_sampling_default.repeat_penalty;
	args->pooling = BN_POOL_UNSPECIFIED;
	args->on_overflow = BITNET_OVERFLOW_ERROR;
}

pg_noreturn static void
bad_value(const ArgSpec *spec)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\"", spec->name),
			 errdetail("The value must be %s.", spec->range)));
}

pg_noreturn static void
bad_type(const ArgSpec *spec, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid type for option \"%s\"", spec->name),
			 errdetail("The value must be %s.", wanted)));
}

/* NaN is in no range. */
static void
check_range(const ArgSpec *spec, double value)
{
	if (!(value >= spec->min && value <= spec->max) ||
		(spec->open_min && value == spec->min))
		bad_value(spec);
}

/*
 * max_tokens has its limit in a setting, and the error names it.
 */
static void
set_int(BitnetArgs *args, const ArgSpec *spec, int value)
{
	check_range(spec, value);
	if (strcmp(spec->name, "max_tokens") == 0 && value > bitnet_max_tokens_limit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for \"%s\"", spec->name),
				 errdetail("%d is more than the limit of %d tokens.",
						   value, bitnet_max_tokens_limit),
				 errhint("A superuser can raise \"bitnet.max_tokens_limit\".")));
	*ARG_PTR(args, spec, int) = value;
}

static void
set_real(BitnetArgs *args, const ArgSpec *spec, double value)
{
	check_range(spec, value);
	*ARG_PTR(args, spec, double) = value;
}

static void
set_texts(BitnetArgs *args, const ArgSpec *spec, BitnetText *texts, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (texts[i].data == NULL || texts[i].length == 0)
			bad_value(spec);
	if (spec->offset == offsetof(BitnetArgs, stops) && n > MAX_STOPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many stop strings"),
				 errdetail("There are %d of them, the limit is %d.", n, MAX_STOPS)));
	*ARG_PTR(args, spec, BitnetText *) = texts;
	if (spec->offset == offsetof(BitnetArgs, stops))
		args->n_stops = n;
	else
		args->n_labels = n;
}

static void
set_texts_from_array(BitnetArgs *args, const ArgSpec *spec, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;
	BitnetText *texts;
	int			n;
	int			i;

	BitnetTextArray(array, &values, &nulls, &n);
	texts = palloc0(sizeof(BitnetText) * Max(n, 1));
	for (i = 0; i < n; i++)
		if (!nulls[i])
			texts[i] = BitnetTextFromDatum(values[i]);
	set_texts(args, spec, texts, n);
}

void
BitnetTakeArg(BitnetArgs *args, FunctionCallInfo fcinfo, int n, const char *name)
{
	const ArgSpec *spec = NULL;
	int			i;

	if (PG_NARGS() <= n || PG_ARGISNULL(n))
		return;
	for (i = 0; i < lengthof(arg_specs); i++)
		if (strcmp(arg_specs[i].name, name) == 0)
			spec = &arg_specs[i];
	if (spec == NULL)
		elog(ERROR, "unknown argument \"%s\"", name);

	switch (spec->kind)
	{
		case ARG_INT:
			set_int(args, spec, PG_GETARG_INT32(n));
			break;
		case ARG_BIGINT:
			*ARG_PTR(args, spec, int64) = PG_GETARG_INT64(n);
			break;
		case ARG_REAL:
			set_real(args, spec, PG_GETARG_FLOAT8(n));
			break;
		case ARG_NAME:
			*ARG_PTR(args, spec, char *) = text_to_cstring(PG_GETARG_TEXT_PP(n));
			break;
		case ARG_TEXT:
			*ARG_PTR(args, spec, BitnetText) = BitnetTextFromDatum(PG_GETARG_DATUM(n));
			break;
		case ARG_TEXTS:
			set_texts_from_array(args, spec, PG_GETARG_ARRAYTYPE_P(n));
			break;
		case ARG_BOOL:
		case ARG_CHOICE:
			elog(ERROR, "\"%s\" is no typed argument", name);
	}
}

/* As strcmp(). */
static int
compare_numeric(Numeric a, int64 b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(int64_to_numeric(b))));
}

static int64
jsonb_int(const ArgSpec *spec, const JsonbValue *value)
{
	Numeric		number;
	bool		is_int;

	if (value->type != jbvNumeric)
		bad_type(spec, _("an integer"));
	number = value->val.numeric;
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number),
										  DirectFunctionCall2(numeric_trunc,
															  NumericGetDatum(number),
															  Int32GetDatum(0)))))
		bad_type(spec, _("an integer"));
	is_int = spec->kind == ARG_INT;
	if (compare_numeric(number, is_int ? PG_INT32_MIN : PG_INT64_MIN) < 0 ||
		compare_numeric(number, is_int ? PG_INT32_MAX : PG_INT64_MAX) > 0)
		bad_value(spec);
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(number)));
}

static BitnetText
jsonb_text(const ArgSpec *spec, const JsonbValue *value)
{
	if (value->type != jbvString)
		bad_type(spec, _("a string"));
	return BitnetTextFromDatum(PointerGetDatum(cstring_to_text_with_len(value->val.string.val,
																		value->val.string.len)));
}

static void
take_texts(BitnetArgs *args, const ArgSpec *spec, const JsonbValue *value)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	element;
	BitnetText *texts;
	int			n = 0;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
		bad_type(spec, _("an array of strings"));

	texts = palloc0(sizeof(BitnetText) * Max(JsonContainerSize(value->val.binary.data), 1));
	it = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (element.type != jbvString)
			bad_type(spec, _("an array of strings"));
		texts[n++] = jsonb_text(spec, &element);
	}
	set_texts(args, spec, texts, n);
}

static void
take_choice(BitnetArgs *args, const ArgSpec *spec, const JsonbValue *value)
{
	int			i;

	if (value->type != jbvString)
		bad_type(spec, _("a string"));
	for (i = 0; spec->choices[i] != NULL; i++)
	{
		if (value->val.string.len > 0 &&
			value->val.string.len == strlen(spec->choices[i]) &&
			memcmp(value->val.string.val, spec->choices[i], value->val.string.len) == 0)
		{
			*ARG_PTR(args, spec, int) = i;
			return;
		}
	}
	bad_value(spec);
}

static void
take_option(BitnetArgs *args, const ArgSpec *spec, const JsonbValue *value)
{
	/* As with typed arguments, null is the same as nothing */
	if (value->type == jbvNull)
		return;

	switch (spec->kind)
	{
		case ARG_BOOL:
			if (value->type != jbvBool)
				bad_type(spec, _("true or false"));
			*ARG_PTR(args, spec, bool) = value->val.boolean;
			break;
		case ARG_INT:
			set_int(args, spec, (int) jsonb_int(spec, value));
			break;
		case ARG_BIGINT:
			*ARG_PTR(args, spec, int64) = jsonb_int(spec, value);
			break;
		case ARG_REAL:
			if (value->type != jbvNumeric)
				bad_type(spec, _("a number"));
			set_real(args, spec,
					 DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
														NumericGetDatum(value->val.numeric))));
			break;
		case ARG_CHOICE:
			take_choice(args, spec, value);
			break;
		case ARG_NAME:
			if (value->type != jbvString)
				bad_type(spec, _("a string"));
			*ARG_PTR(args, spec, char *) = pnstrdup(value->val.string.val,
													value->val.string.len);
			break;
		case ARG_TEXT:
			*ARG_PTR(args, spec, BitnetText) = jsonb_text(spec, value);
			break;
		case ARG_TEXTS:
			take_texts(args, spec, value);
			break;
	}
}

/*
 * Is it a typed argument of the function?  A trigger has all in its options; what
 * the function that it calls does not have there are arguments, and no flags.
 */
static bool
is_argument(const ArgSpec *spec, BitnetFamily family)
{
	static const uint32 triggers[] = {
		[BITNET_GENERATE] = IN(BITNET_TRIGGER_GENERATE),
		[BITNET_CHAT] = IN(BITNET_TRIGGER_GENERATE),
		[BITNET_SUMMARIZE] = IN(BITNET_TRIGGER_SUMMARIZE),
		[BITNET_CLASSIFY] = IN(BITNET_TRIGGER_CLASSIFY),
		[BITNET_EMBED] = IN(BITNET_TRIGGER_EMBED)
	};

	return family < lengthof(triggers) && (spec->families & triggers[family]) != 0 &&
		(spec->families & IN(family)) == 0 && spec->kind != ARG_BOOL;
}

static bool
is_named(const ArgSpec *spec, const char *key, int length)
{
	return length == strlen(spec->name) && memcmp(key, spec->name, length) == 0;
}

pg_noreturn static void
unknown_option(const char *key, int length, BitnetFamily family)
{
	const char *argument = NULL;
	StringInfoData valid;
	int			i;

	initStringInfo(&valid);
	for (i = 0; i < lengthof(arg_specs); i++)
	{
		if (arg_specs[i].families & IN(family))
			appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", arg_specs[i].name);
		if (is_named(&arg_specs[i], key, length) && is_argument(&arg_specs[i], family))
			argument = arg_specs[i].name;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized option \"%.*s\"",
					pg_mbcliplen(key, length, NAMEDATALEN - 1), key),
			 argument ? errhint("It is an argument of the function: write \"%s => ...\" outside of the options.", argument) :
			 errhint("Valid options are: %s.", valid.data)));
}

void
BitnetTakeOptions(BitnetArgs *args, Jsonb *options, BitnetFamily family)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("Write them as '{\"key\": value}'.")));

	it = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		const ArgSpec *spec = NULL;
		int			i;

		if (token != WJB_KEY)
			continue;
		for (i = 0; i < lengthof(arg_specs); i++)
			if ((arg_specs[i].families & IN(family)) &&
				is_named(&arg_specs[i], key.val.string.val, key.val.string.len))
				spec = &arg_specs[i];
		if (spec == NULL)
			unknown_option(key.val.string.val, key.val.string.len, family);

		(void) JsonbIteratorNext(&it, &value, true);
		take_option(args, spec, &value);
	}
}

void
BitnetTakeOptionsArg(BitnetArgs *args, FunctionCallInfo fcinfo, int n, BitnetFamily family)
{
	if (PG_NARGS() > n && !PG_ARGISNULL(n))
		BitnetTakeOptions(args, PG_GETARG_JSONB_P(n), family);
}

bn_sampling
BitnetSampling(const BitnetArgs *args)
{
	bn_sampling sampling = bn_sampling_default;

	sampling.temperature = args->temperature;
	sampling.seed = args->seed;
	sampling.top_k = args->top_k;
	sampling.top_p = args->top_p;
	sampling.min_p = args->min_p;
	sampling.repeat_penalty = args->repeat_penalty;
	return sampling;
}

int
BitnetMaxTokens(const BitnetArgs *args)
{
	if (args->max_tokens > 0)
		return args->max_tokens;
	return Max(1, Min(bitnet_max_tokens, bitnet_max_tokens_limit));
}
