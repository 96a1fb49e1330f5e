/*-------------------------------------------------------------------------
 *
 * generate.c
 *	  bitnet_generate and bitnet_chat.
 *
 * src/pg/generate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "functions.h"
#include "run.h"

PG_FUNCTION_INFO_V1(bitnet_generate);
PG_FUNCTION_INFO_V1(bitnet_generate_array);
PG_FUNCTION_INFO_V1(bitnet_chat);

/*
 * The arguments that all functions here have behind the first one, in the
 * order of their SQL declaration.
 */
static void
take_args(BitnetArgs *args, FunctionCallInfo fcinfo, BitnetFamily family)
{
	BitnetInitArgs(args);
	BitnetTakeArg(args, fcinfo, 1, "max_tokens");
	BitnetTakeArg(args, fcinfo, 2, "temperature");
	BitnetTakeArg(args, fcinfo, 3, "seed");
	BitnetTakeArg(args, fcinfo, 4, "stop");
	BitnetTakeArg(args, fcinfo, 5, "system");
	BitnetTakeArg(args, fcinfo, 6, "model");
	BitnetTakeOptionsArg(args, fcinfo, 7, family);
}

/*
 * A request to go on from these tokens.  Where the context has no room for
 * max_tokens the answer is limited to what there is: length is no error, but
 * an input that leaves no room at all is.
 */
static bn_request
generate_request(const BitnetModel *model, const BitnetArgs *args, BitnetTokens tokens)
{
	bn_request	request = {0};

	BitnetCheckLength(model, tokens.n, 1, NULL);
	request.kind = BN_REQUEST_GENERATE;
	request.tokens = tokens.ids;
	request.n_tokens = tokens.n;
	request.sampling = BitnetSampling(args);
	request.max_output = Min(BitnetMaxTokens(args),
							 model->model.config->context_length - tokens.n);
	return request;
}

/* A run for answers whose requests are to be added. */
static BitnetRun *
begin_generate(const BitnetModel *model, const BitnetArgs *args, const char *function)
{
	BitnetRun  *run;

	if (args->raw && args->system.data != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a system message needs the chat form"),
				 errhint("Leave out \"system\" or the option \"raw\".")));

	run = BitnetBeginRun(model, function);
	BitnetSetStops(run, args->stops, args->n_stops);
	return run;
}

/* Runs it and returns the answers, in the order of the requests. */
static text **
end_generate(BitnetRun *run)
{
	text	  **answers;
	int			i;

	BitnetRunRequests(run);
	MemoryContextSwitchTo(run->caller);
	answers = palloc(sizeof(text *) * Max(run->n_requests, 1));
	for (i = 0; i < run->n_requests; i++)
	{
		BitnetText	answer = BitnetRunText(run, i);

		answers[i] = BitnetTextToServer(answer.data, answer.length);
	}
	BitnetEndRun(run);
	return answers;
}

text	  **
BitnetGenerate(const BitnetModel *model, const BitnetArgs *args,
			   const BitnetText *prompts, int n)
{
	text	  **results = palloc0(sizeof(text *) * Max(n, 1));
	BitnetRun  *run = begin_generate(model, args, "bitnet_generate");
	text	  **answers;
	int			next = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		bn_request	request;

		if (prompts[i].data == NULL)
			continue;
		request = generate_request(model, args,
								   args->raw ? BitnetRawTokens(model, prompts[i]) :
								   BitnetUserTokens(model, args->system, prompts[i]));
		BitnetAddRequest(run, &request);
	}
	answers = end_generate(run);
	for (i = 0; i < n; i++)
		if (prompts[i].data != NULL)
			results[i] = answers[next++];
	return results;
}

void
BitnetGenerateRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
				   NullableDatum *results, int n)
{
	BitnetArgs	args;
	BitnetText *prompts = palloc0(sizeof(BitnetText) * n);
	text	  **answers = NULL;
	bool		any = false;
	int			i;

	for (i = 0; i < n; i++)
		any |= !contents[i].isnull;
	if (any)
	{
		take_args(&args, fcinfo, BITNET_GENERATE);
		for (i = 0; i < n; i++)
			if (!contents[i].isnull)
				prompts[i] = BitnetTextFromDatum(contents[i].value);
		answers = BitnetGenerate(BitnetGetModel(fcinfo->flinfo, args.model), &args,
								 prompts, n);
	}
	for (i = 0; i < n; i++)
	{
		results[i].isnull = contents[i].isnull;
		results[i].value = contents[i].isnull ? (Datum) 0 : PointerGetDatum(answers[i]);
	}
}

Datum
bitnet_generate(PG_FUNCTION_ARGS)
{
	return BitnetOneRow(fcinfo, BitnetGenerateRows);
}

/* What bitnet_generate of an array makes of its elements */
typedef struct ArrayCall
{
	const BitnetModel *model;
	BitnetArgs	args;
	Datum	   *answers;
} ArrayCall;

static void
answer_texts(void *ctx, const BitnetText *texts, int first, int n)
{
	ArrayCall  *call = ctx;
	text	  **answers = BitnetGenerate(call->model, &call->args, texts, n);
	int			i;

	for (i = 0; i < n; i++)
		call->answers[first + i] = PointerGetDatum(answers[i]);
	pfree(answers);
}

Datum
bitnet_generate_array(PG_FUNCTION_ARGS)
{
	ArrayCall	call;
	ArrayType  *array;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	take_args(&call.args, fcinfo, BITNET_GENERATE);
	array = PG_GETARG_ARRAYTYPE_P(0);
	BitnetTextArray(array, &values, &nulls, &n);
	if (n > 0)
	{
		call.model = BitnetGetModel(fcinfo->flinfo, call.args.model);
		call.answers = values;	/* each takes the place of its element */
		BitnetRunArray(values, nulls, n, answer_texts, &call);
	}
	PG_RETURN_ARRAYTYPE_P(BitnetArrayLike(array, values, nulls));
}

pg_noreturn static void
bad_message(int index, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid chat message %d", index),
			 errdetail("%s", detail),
			 errhint("Messages are a JSON array of {\"role\": \"system\" | \"user\" | \"assistant\", \"content\": \"...\"}.")));
}

/* A string value of a message's key; messages count from 0, as JSON does. */
static BitnetText
message_string(JsonbContainer *message, int index, const char *key)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(message, key, (int) strlen(key), &value) == NULL)
		bad_message(index, psprintf(_("The key \"%s\" is missing."), key));
	if (value.type != jbvString)
		bad_message(index, psprintf(_("The value of \"%s\" is not a string."), key));
	return BitnetTextFromDatum(PointerGetDatum(cstring_to_text_with_len(value.val.string.val,
																		value.val.string.len)));
}

static bn_message
read_message(const JsonbValue *value, int index)
{
	static const char *const roles[] = {"system", "user", "assistant"};
	JsonbContainer *object;
	BitnetText	role;
	BitnetText	content;
	bn_message	message;
	int			i;

	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		bad_message(index, _("It is not an object."));
	object = value->val.binary.data;
	if (JsonContainerSize(object) > 2)
		bad_message(index, _("It has keys other than \"role\" and \"content\"."));

	role = message_string(object, index, "role");
	content = message_string(object, index, "content");
	for (i = 0; i < lengthof(roles); i++)
		if (role.length == strlen(roles[i]) && memcmp(role.data, roles[i], role.length) == 0)
			break;
	if (i == lengthof(roles))
		bad_message(index, psprintf(_("The role \"%s\" is unknown."),
									BitnetQuote(role)));

	message.role = i == 0 ? BN_ROLE_SYSTEM : i == 1 ? BN_ROLE_USER : BN_ROLE_ASSISTANT;
	message.text = content.data;
	message.length = content.length;
	return message;
}

/* The conversation of a jsonb array, after the system message if there is one. */
static bn_message *
read_messages(Jsonb *json, BitnetText system, int *n_messages)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	bn_message *messages;
	int			index = 0;
	int			n = 0;

	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json) || JB_ROOT_COUNT(json) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("chat messages must be a JSON array with at least one message")));

	messages = palloc(sizeof(bn_message) * (JB_ROOT_COUNT(json) + 1));
	if (system.data != NULL)
	{
		messages[n].role = BN_ROLE_SYSTEM;
		messages[n].text = system.data;
		messages[n++].length = system.length;
	}
	it = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_ELEM)
			messages[n++] = read_message(&value, index++);
	}
	*n_messages = n;
	return messages;
}

void
BitnetChatRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
			   NullableDatum *results, int n)
{
	BitnetArgs	args;
	const BitnetModel *model = NULL;
	BitnetRun  *run = NULL;
	text	  **answers = NULL;
	int			next = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		bn_message *messages;
		int			n_messages;
		bn_request	request;

		if (contents[i].isnull)
			continue;
		if (run == NULL)
			take_args(&args, fcinfo, BITNET_CHAT);
		messages = read_messages(DatumGetJsonbP(contents[i].value), args.system, &n_messages);
		if (run == NULL)
		{
			model = BitnetGetModel(fcinfo->flinfo, args.model);
			run = begin_generate(model, &args, "bitnet_chat");
		}
		request = generate_request(model, &args,
								   BitnetChatTokens(model, messages, n_messages));
		BitnetAddRequest(run, &request);
	}
	if (run != NULL)
		answers = end_generate(run);
	for (i = 0; i < n; i++)
	{
		/* there are no answers where all are null */
		results[i].isnull = contents[i].isnull || answers == NULL;
		results[i].value = results[i].isnull ? (Datum) 0 : PointerGetDatum(answers[next++]);
	}
}

Datum
bitnet_chat(PG_FUNCTION_ARGS)
{
	return BitnetOneRow(fcinfo, BitnetChatRows);
}
