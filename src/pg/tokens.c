/*-------------------------------------------------------------------------
 *
 * tokens.c
 *	  Functions on tokens: the vocabulary alone, and probabilities.
 *
 * src/pg/tokens.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "functions.h"
#include "run.h"

PG_FUNCTION_INFO_V1(bitnet_tokenize);
PG_FUNCTION_INFO_V1(bitnet_detokenize);
PG_FUNCTION_INFO_V1(bitnet_count_tokens);
PG_FUNCTION_INFO_V1(bitnet_truncate);
PG_FUNCTION_INFO_V1(bitnet_next_tokens);
PG_FUNCTION_INFO_V1(bitnet_logprob);

/* The model that argument number n names. */
static const BitnetModel *
model_of_arg(FunctionCallInfo fcinfo, int n)
{
	return BitnetGetModel(fcinfo->flinfo, BitnetOptionalName(fcinfo, n));
}

Datum
bitnet_tokenize(PG_FUNCTION_ARGS)
{
	BitnetTokens tokens;
	ArrayType  *array;
	Size		size;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	tokens = BitnetEncode(model_of_arg(fcinfo, 1)->model.vocab,
						  BitnetTextFromDatum(PG_GETARG_DATUM(0)), false);
	if (tokens.n == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(INT4OID));

	/* By hand: construct_array() would need twice the memory for datums */
	size = ARR_OVERHEAD_NONULLS(1) + sizeof(int32) * (Size) tokens.n;
	array = MemoryContextAllocHuge(CurrentMemoryContext, size);
	memset(array, 0, ARR_OVERHEAD_NONULLS(1));
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = INT4OID;
	ARR_DIMS(array)[0] = tokens.n;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), tokens.ids, sizeof(int32) * (Size) tokens.n);
	pfree(tokens.ids);
	PG_RETURN_ARRAYTYPE_P(array);
}

Datum
bitnet_detokenize(PG_FUNCTION_ARGS)
{
	const bn_vocab *vocab;
	bn_utf8_stream stream = {0};
	StringInfoData buf;
	ArrayType  *array;
	const int32 *ids;
	int			n;
	int			i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	array = PG_GETARG_ARRAYTYPE_P(0);
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("token ids must not be null")));
	vocab = model_of_arg(fcinfo, 1)->model.vocab;

	ids = (const int32 *) ARR_DATA_PTR(array);
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	initStringInfo(&buf);
	for (i = 0; i < n; i++)
	{
		if (ids[i] < 0 || ids[i] >= vocab->n_tokens)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("token id %d is out of range", ids[i]),
					 errdetail("The vocabulary has ids from 0 to %d.", vocab->n_tokens - 1)));
		BitnetAppendToken(&buf, &stream, vocab, ids[i]);
		if (i % 65536 == 65535)
			CHECK_FOR_INTERRUPTS();
	}
	enlargeStringInfo(&buf, 3);
	buf.len += (int) bn_utf8_finish(&stream, buf.data + buf.len);
	PG_RETURN_TEXT_P(BitnetTextToServer(buf.data, buf.len));
}

Datum
bitnet_count_tokens(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_INT32((int32) BitnetCountTokens(model_of_arg(fcinfo, 1)->model.vocab,
											  BitnetTextFromDatum(PG_GETARG_DATUM(0))));
}

Datum
bitnet_truncate(PG_FUNCTION_ARGS)
{
	BitnetText	input;
	int32		max_tokens;
	size_t		length;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	max_tokens = PG_GETARG_INT32(1);
	if (max_tokens < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for \"%s\"", "max_tokens"),
				 errdetail("The value must be at least 0.")));
	input = BitnetTextFromDatum(PG_GETARG_DATUM(0));
	length = BitnetTruncate(model_of_arg(fcinfo, 2)->model.vocab, input, max_tokens);
	if (length == input.length)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	PG_RETURN_TEXT_P(BitnetTextToServer(input.data, length));
}

/*
 * What the model could say next to a prompt, most probable first.  The prompt
 * has the form that bitnet_generate gives it.
 */
Datum
bitnet_next_tokens(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	BitnetText	system = {NULL, 0};
	BitnetText	prompt;
	BitnetArgs	args;
	BitnetTokens tokens;
	const BitnetModel *model;
	BitnetRun  *run;
	bn_request	request = {0};
	int32		n;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	n = PG_ARGISNULL(1) ? 10 : PG_GETARG_INT32(1);
	if (n < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for \"%s\"", "n"),
				 errdetail("The value must be at least 1.")));
	BitnetInitArgs(&args);
	BitnetTakeArg(&args, fcinfo, 2, "model");
	BitnetTakeOptionsArg(&args, fcinfo, 3, BITNET_NEXT_TOKENS);
	prompt = BitnetTextFromDatum(PG_GETARG_DATUM(0));
	model = BitnetGetModel(fcinfo->flinfo, args.model);

	run = BitnetBeginRun(model, "bitnet_next_tokens");
	tokens = args.raw ? BitnetRawTokens(model, prompt) :
		BitnetUserTokens(model, system, prompt);
	BitnetCheckLength(model, tokens.n, 0, NULL);
	request.kind = BN_REQUEST_NEXT;
	request.tokens = tokens.ids;
	request.n_tokens = tokens.n;
	request.max_output = Min(n, model->model.config->vocab_size);
	BitnetAddRequest(run, &request);
	BitnetRunRequests(run);

	for (i = 0; i < run->requests[0].n_output; i++)
	{
		const bn_candidate *candidate = &run->requests[0].candidates[i];
		Datum		values[3];
		bool		nulls[3] = {false, false, false};
		const uint8_t *bytes;
		size_t		length;

		bytes = bn_token_text(model->model.vocab, candidate->token, &length);
		values[0] = Int32GetDatum(candidate->token);
		values[1] = PointerGetDatum(cstring_to_text_with_len((const char *) bytes, (int) length));
		values[2] = Float8GetDatum(candidate->logprob);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	BitnetEndRun(run);
	return (Datum) 0;
}

/*
 * log P(continuation | context) as evaluation harnesses define it: white space
 * at the end of the context belongs to the continuation, both are divided into
 * tokens as one text, and what follows the context's number of tokens counts.
 * Adds the request, if any does; returns its number, or -1.
 */
static int
add_score(BitnetRun *run, BitnetText context, BitnetText continuation)
{
	const BitnetModel *model = run->model;
	BitnetText	all;
	StringInfoData joined;
	BitnetTokens head;
	BitnetTokens tokens;
	bn_request	request = {0};

	BitnetCheckBytes(model, 1, (int64) context.length + continuation.length, NULL);
	initStringInfo(&joined);
	appendBinaryStringInfo(&joined, context.data, (int) context.length);
	appendBinaryStringInfo(&joined, continuation.data, (int) continuation.length);
	all.data = joined.data;
	all.length = joined.len;
	head = BitnetRawTokens(model, BitnetTrimRight(context));
	tokens = BitnetRawTokens(model, all);

	/*
	 * Without BOS an empty context is the start token that BitnetRawTokens
	 * put there, but the joined text did not get it.
	 */
	if (BitnetIsBlank(context) && tokens.ids[0] != head.ids[0])
	{
		memmove(tokens.ids + 1, tokens.ids, sizeof(int32) * tokens.n);
		tokens.ids[0] = head.ids[0];
		tokens.n++;
	}
	if (tokens.n <= head.n)
		return -1;

	BitnetCheckLength(model, tokens.n, 0, NULL);
	request.kind = BN_REQUEST_SCORE;
	request.tokens = tokens.ids;
	request.n_tokens = tokens.n;
	request.n_context = head.n;
	return BitnetAddRequest(run, &request);
}

/* contents: continuation and context */
void
BitnetLogprobRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
				  NullableDatum *results, int n)
{
	double	   *logprobs = palloc0(sizeof(double) * n);
	int		   *numbers = palloc(sizeof(int) * n);
	BitnetRun  *run = NULL;
	int			i;

	for (i = 0; i < n; i++)
	{
		BitnetText	context = {"", 0};

		results[i].value = (Datum) 0;
		results[i].isnull = contents[2 * i].isnull;
		numbers[i] = -1;
		if (results[i].isnull)
			continue;
		CHECK_FOR_INTERRUPTS();
		if (run == NULL)
			run = BitnetBeginRun(model_of_arg(fcinfo, 2), "bitnet_logprob");
		if (!contents[2 * i + 1].isnull)
			context = BitnetTextFromDatum(contents[2 * i + 1].value);
		numbers[i] = add_score(run, context, BitnetTextFromDatum(contents[2 * i].value));
	}
	if (run == NULL)
		return;

	if (run->n_requests > 0)
		BitnetRunRequests(run);
	for (i = 0; i < n; i++)
		if (numbers[i] >= 0)
			logprobs[i] = run->requests[numbers[i]].logprob;
	BitnetEndRun(run);
	for (i = 0; i < n; i++)
		if (!results[i].isnull)
			results[i].value = Float8GetDatum(logprobs[i]);
}

Datum
bitnet_logprob(PG_FUNCTION_ARGS)
{
	return BitnetOneRow(fcinfo, BitnetLogprobRows);
}
