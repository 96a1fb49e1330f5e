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
	int			i;

	for (i = 0; i < n; i++)
		sum += (double) vector[i] * vector[i];
	for (i = 0; i < n; i++)
		result[i] = sum > 0 ? (float) (vector[i] / sqrt(sum)) : 0;
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
	BitnetCheckLength(model, tokens.n, 0);

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

	run = BitnetBeginRun(model);
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

Datum
bitnet_embed(PG_FUNCTION_ARGS)
{
	BitnetArgs	args;
	BitnetText	input;
	float	   *vector;
	int			dimensions;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	take_args(&args, fcinfo);
	input = BitnetTextFromDatum(PG_GETARG_DATUM(0));
	vector = BitnetEmbed(BitnetGetModel(fcinfo->flinfo, args.model), &args,
						 &input, 1, &dimensions)[0];
	if (vector == NULL)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(BitnetVectorArray(vector, dimensions));
}

/* One row for each element, counted from 1, also where there is no vector. */
Datum
bitnet_embed_array(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	BitnetArgs	args;
	Datum	   *elements;
	bool	   *element_nulls;
	BitnetText *inputs;
	float	  **vectors;
	int			dimensions;
	int			n;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	take_args(&args, fcinfo);
	BitnetTextArray(PG_GETARG_ARRAYTYPE_P(0), &elements, &element_nulls, &n);
	if (n == 0)
		return (Datum) 0;

	inputs = palloc0(sizeof(BitnetText) * n);
	for (i = 0; i < n; i++)
		if (!element_nulls[i])
			inputs[i] = BitnetTextFromDatum(elements[i]);
	vectors = BitnetEmbed(BitnetGetModel(fcinfo->flinfo, args.model), &args,
						  inputs, n, &dimensions);

	for (i = 0; i < n; i++)
	{
		Datum		values[2] = {Int32GetDatum(i + 1), (Datum) 0};
		bool		nulls[2] = {false, vectors[i] == NULL};

		if (vectors[i] != NULL)
			values[1] = PointerGetDatum(BitnetVectorArray(vectors[i], dimensions));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		if (vectors[i] != NULL)
			pfree(DatumGetPointer(values[1]));
	}
	return (Datum) 0;
}

/* Cosine of the angle between the vectors of two texts. */
Datum
bitnet_similarity(PG_FUNCTION_ARGS)
{
	BitnetArgs	args;
	BitnetText	inputs[2];
	float	  **vectors;
	int			dimensions;
	double		product = 0;
	double		square_a = 0;
	double		square_b = 0;
	double		cosine;
	int			i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	BitnetInitArgs(&args);
	BitnetTakeArg(&args, fcinfo, 2, "model");
	BitnetTakeOptionsArg(&args, fcinfo, 3, BITNET_EMBED);

	inputs[0] = BitnetTextFromDatum(PG_GETARG_DATUM(0));
	inputs[1] = BitnetTextFromDatum(PG_GETARG_DATUM(1));
	if (BitnetIsBlank(inputs[0]) || BitnetIsBlank(inputs[1]))
		PG_RETURN_NULL();
	vectors = BitnetEmbed(BitnetGetModel(fcinfo->flinfo, args.model), &args,
						  inputs, 2, &dimensions);
	for (i = 0; i < dimensions; i++)
	{
		product += (double) vectors[0][i] * vectors[1][i];
		square_a += (double) vectors[0][i] * vectors[0][i];
		square_b += (double) vectors[1][i] * vectors[1][i];
	}
	if (square_a == 0 || square_b == 0)
		PG_RETURN_FLOAT8(0);
	cosine = product / (sqrt(square_a) * sqrt(square_b));
	PG_RETURN_FLOAT8(Max(-1.0, Min(1.0, cosine)));
}
