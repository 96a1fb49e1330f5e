/*-------------------------------------------------------------------------
 *
 * embed.c
 *	  bitnet_embed and bitnet_similarity.
 *
 * src/pg/embed.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "functions.h"
#include "run.h"

PG_FUNCTION_INFO_V1(bitnet_embed);
PG_FUNCTION_INFO_V1(bitnet_embed_array);
PG_FUNCTION_INFO_V1(bitnet_similarity);

/* The first n values of a vector made a unit vector of their own. */
static float *
shorten(const float *vector, int n)
{
	float	   *result = palloc(sizeof(float) * n);
	double		sum = 0;
	double		length;
	int			i;

	for (i = 0; i < n; i++)
		sum += (double) vector[i] * vector[i];
	length = sqrt(sum);
	for (i = 0; i < n; i++)
		result[i] = length > 0 ? (float) (vector[i] / length) : 0;
	return result;
}

static bn_request
embed_request(const BitnetModel *model, const BitnetArgs *args, BitnetText input)
{
	int32		context = model->model.config->context_length;
	bn_request	request = {0};
	BitnetTokens tokens;

	if (args->on_overflow == BITNET_OVERFLOW_TRUNCATE)
		input.length = BitnetTruncate(model->model.vocab, input, context - 1);
	tokens = BitnetRawTokens(model, input);
	BitnetCheckLength(model, tokens.n, 0, NULL);

	request.kind = BN_REQUEST_EMBED;
	request.tokens = tokens.ids;
	request.n_tokens = tokens.n;
	if (args->pooling != BN_POOL_UNSPECIFIED)
		request.pooling = args->pooling;
	else if (model->model.config->pooling != BN_POOL_UNSPECIFIED)
		request.pooling = model->model.config->pooling;
	else
		request.pooling = BN_POOL_MEAN;
	return request;
}

float	  **
BitnetEmbed(const BitnetModel *model, const BitnetArgs *args,
			const BitnetText *inputs, int n, int *dimensions)
{
	int32		d_model = model->model.config->d_model;
	float	  **results = palloc0(sizeof(float *) * Max(n, 1));
	BitnetRun  *run;
	int			next = 0;
	int			i;

	if (args->dimensions > d_model)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for \"%s\"", "dimensions"),
				 errdetail("The vectors of model \"%s\" have %d dimensions.",
						   model->name, d_model)));
	*dimensions = args->dimensions > 0 ? args->dimensions : d_model;

	run = BitnetBeginRun(model, "bitnet_embed");
	for (i = 0; i < n; i++)
	{
		bn_request	request;

		if (inputs[i].data == NULL || BitnetIsBlank(inputs[i]))
			continue;
		request = embed_request(model, args, inputs[i]);
		BitnetAddRequest(run, &request);
	}
	BitnetRunRequests(run);

	MemoryContextSwitchTo(run->caller);
	for (i = 0; i < n; i++)
	{
		if (inputs[i].data == NULL || BitnetIsBlank(inputs[i]))
			continue;
		if (*dimensions < d_model)
			results[i] = shorten(run->requests[next].embedding, *dimensions);
		else
		{
			results[i] = palloc(sizeof(float) * d_model);
			memcpy(results[i], run->requests[next].embedding, sizeof(float) * d_model);
		}
		next++;
	}
	BitnetEndRun(run);
	return results;
}

ArrayType *
BitnetVectorArray(const float *vector, int dimensions)
{
	Datum	   *values = palloc(sizeof(Datum) * dimensions);
	ArrayType  *result;
	int			i;

	for (i = 0; i < dimensions; i++)
		values[i] = Float4GetDatum(vector[i]);
	result = construct_array(values, dimensions, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT);
	pfree(values);
	return result;
}

static void
take_args(BitnetArgs *args, FunctionCallInfo fcinfo)
{
	BitnetInitArgs(args);
	BitnetTakeArg(args, fcinfo, 1, "dimensions");
	BitnetTakeArg(args, fcinfo, 2, "model");
	BitnetTakeOptionsArg(args, fcinfo, 3, BITNET_EMBED);
}

void
BitnetEmbedRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
				NullableDatum *results, int n)
{
	BitnetArgs	args;
	BitnetText *inputs = palloc0(sizeof(BitnetText) * n);
	float	  **vectors = NULL;
	int			dimensions = 0;
	bool		any = false;
	int			i;

	for (i = 0; i < n; i++)
		any |= !contents[i].isnull;
	if (any)
	{
		take_args(&args, fcinfo);
		for (i = 0; i < n; i++)
			if (!contents[i].isnull)
				inputs[i] = BitnetTextFromDatum(contents[i].value);
		vectors = BitnetEmbed(BitnetGetModel(fcinfo->flinfo, args.model), &args,
							  inputs, n, &dimensions);
	}
	for (i = 0; i < n; i++)
	{
		results[i].isnull = vectors == NULL || vectors[i] == NULL;
		results[i].value = results[i].isnull ? (Datum) 0 :
			PointerGetDatum(BitnetVectorArray(vectors[i], dimensions));
	}
}

Datum
bitnet_embed(PG_FUNCTION_ARGS)
{
	return BitnetOneRow(fcinfo, BitnetEmbedRows);
}

/* Where bitnet_embed of an array puts its rows */
typedef struct ArrayCall
{
	ReturnSetInfo *rsinfo;
	const BitnetModel *model;
	BitnetArgs	args;
} ArrayCall;

/* One row for each element, counted from 1, also where there is no vector. */
static void
put_vectors(void *ctx, const BitnetText *texts, int first, int n)
{
	ArrayCall  *call = ctx;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bitnet vectors",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			dimensions;
	float	  **vectors = BitnetEmbed(call->model, &call->args, texts, n, &dimensions);
	int			i;

	for (i = 0; i < n; i++)
	{
		Datum		values[2] = {Int32GetDatum(first + i + 1), (Datum) 0};
		bool		nulls[2] = {false, vectors[i] == NULL};

		if (vectors[i] != NULL)
			values[1] = PointerGetDatum(BitnetVectorArray(vectors[i], dimensions));
		tuplestore_putvalues(call->rsinfo->setResult, call->rsinfo->setDesc, values, nulls);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

Datum
bitnet_embed_array(PG_FUNCTION_ARGS)
{
	ArrayCall	call = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	take_args(&call.args, fcinfo);
	BitnetTextArray(PG_GETARG_ARRAYTYPE_P(0), &elements, &nulls, &n);
	if (n == 0)
		return (Datum) 0;
	call.model = BitnetGetModel(fcinfo->flinfo, call.args.model);
	BitnetRunArray(elements, nulls, n, put_vectors, &call);
	return (Datum) 0;
}

static double
cosine(const float *a, const float *b, int dimensions)
{
	double		product = 0;
	double		square_a = 0;
	double		square_b = 0;
	int			i;

	for (i = 0; i < dimensions; i++)
	{
		product += (double) a[i] * b[i];
		square_a += (double) a[i] * a[i];
		square_b += (double) b[i] * b[i];
	}
	if (square_a == 0 || square_b == 0)
		return 0;
	product /= sqrt(square_a) * sqrt(square_b);
	return Max(-1.0, Min(1.0, product));
}

/*
 * Cosine of the angle between the vectors of two texts.  Most often one of
 * them is the same for all rows; so a text that was on the same side of the
 * row before is not embedded again.
 */
void
BitnetSimilarityRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
					 NullableDatum *results, int n)
{
	BitnetArgs	args;
	BitnetText *inputs = palloc0(sizeof(BitnetText) * 2 * n);
	int		   *numbers = palloc(sizeof(int) * 2 * n);
	int			last[2] = {-1, -1};
	float	  **vectors = NULL;
	int			dimensions;
	bool		taken = false;
	int			n_inputs = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		BitnetText	pair[2];
		int			side;

		results[i].value = (Datum) 0;
		results[i].isnull = true;
		if (contents[2 * i].isnull || contents[2 * i + 1].isnull)
			continue;
		if (!taken)
		{
			BitnetInitArgs(&args);
			BitnetTakeArg(&args, fcinfo, 2, "model");
			BitnetTakeOptionsArg(&args, fcinfo, 3, BITNET_SIMILARITY);
			taken = true;
		}
		for (side = 0; side < 2; side++)
			pair[side] = BitnetTextFromDatum(contents[2 * i + side].value);
		if (BitnetIsBlank(pair[0]) || BitnetIsBlank(pair[1]))
			continue;
		results[i].isnull = false;
		for (side = 0; side < 2; side++)
		{
			int			number = last[side];

			if (number < 0 || inputs[number].length != pair[side].length ||
				memcmp(inputs[number].data, pair[side].data, pair[side].length) != 0)
			{
				number = n_inputs++;
				inputs[number] = pair[side];
			}
			last[side] = numbers[2 * i + side] = number;
		}
	}
	if (n_inputs == 0)
		return;

	vectors = BitnetEmbed(BitnetGetModel(fcinfo->flinfo, args.model), &args,
						  inputs, n_inputs, &dimensions);
	for (i = 0; i < n; i++)
		if (!results[i].isnull)
			results[i].value = Float8GetDatum(cosine(vectors[numbers[2 * i]],
													 vectors[numbers[2 * i + 1]],
													 dimensions));
}

Datum
bitnet_similarity(PG_FUNCTION_ARGS)
{
	return BitnetOneRow(fcinfo, BitnetSimilarityRows);
}
