/*-------------------------------------------------------------------------
 *
 * classify.c
 *	  bitnet_classify and bitnet_classify_scores.
 *
 * The model is not asked to write an answer: the probability of each label as
 * the whole answer, its end included, is computed, after a prompt that all of
 * them share and that is run once.
 *
 * src/pg/classify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "../core/fmath.h"
#include "functions.h"
#include "prompts.h"
#include "run.h"

PG_FUNCTION_INFO_V1(bitnet_classify);
PG_FUNCTION_INFO_V1(bitnet_classify_scores);

/*
 * Labels of texts that are scored in one run, each of which has a copy of the
 * prompt: enough for 256 rows with four labels.
 */
#define LABELS_AT_ONCE 1024

/* For qsort(): by length, then by bytes. */
static int
compare_labels(const void *a, const void *b)
{
	const BitnetText *left = *(const BitnetText *const *) a;
	const BitnetText *right = *(const BitnetText *const *) b;

	CHECK_FOR_INTERRUPTS();
	if (left->length != right->length)
		return left->length < right->length ? -1 : 1;
	return memcmp(left->data, right->data, left->length);
}

void
BitnetCheckLabels(const BitnetArgs *args)
{
	const BitnetText **sorted;
	int			i;

	if (args->n_labels < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at least two labels are needed"),
				 errdetail("The number of labels is %d.", args->n_labels)));

	sorted = palloc(sizeof(BitnetText *) * args->n_labels);
	for (i = 0; i < args->n_labels; i++)
		sorted[i] = &args->labels[i];
	qsort(sorted, args->n_labels, sizeof(BitnetText *), compare_labels);
	for (i = 1; i < args->n_labels; i++)
		if (compare_labels(&sorted[i - 1], &sorted[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("label \"%s\" is given twice",
							BitnetQuote(*sorted[i]))));
	pfree(sorted);
}

static BitnetTokens
classify_tokens(const BitnetModel *model, const BitnetArgs *args, BitnetText input)
{
	StringInfoData prompt;
	BitnetText	system = {NULL, 0};
	BitnetText	user;
	BitnetTokens tokens;
	int64		n_bytes = (int64) args->instruction.length + input.length;
	int			i;

	for (i = 0; i < args->n_labels; i++)
		n_bytes += args->labels[i].length;
	BitnetCheckBytes(model, 1, n_bytes, NULL);
	initStringInfo(&prompt);
	if (args->instruction.data != NULL)
		appendBinaryStringInfo(&prompt, args->instruction.data, (int) args->instruction.length);
	else
		appendStringInfoString(&prompt, BITNET_CLASSIFY_INSTRUCTION);
	appendStringInfoString(&prompt, BITNET_CLASSIFY_LABELS);
	for (i = 0; i < args->n_labels; i++)
	{
		appendStringInfoString(&prompt, BITNET_CLASSIFY_BULLET);
		appendBinaryStringInfo(&prompt, args->labels[i].data, (int) args->labels[i].length);
		appendStringInfoChar(&prompt, '\n');
	}
	appendStringInfoString(&prompt, BITNET_CLASSIFY_TEXT);
	appendBinaryStringInfo(&prompt, input.data, (int) input.length);
	user.data = prompt.data;
	user.length = prompt.len;
	tokens = BitnetUserTokens(model, system, user);
	pfree(prompt.data);
	return tokens;
}

/* The prompt and one label behind it, ended as an answer is. */
static bn_request
label_request(const BitnetModel *model, BitnetTokens prompt, BitnetTokens label)
{
	const bn_vocab *vocab = model->model.vocab;
	int32		end = vocab->eot != BN_NO_TOKEN ? vocab->eot : vocab->eos;
	int32	   *ids = palloc(sizeof(int32) * ((Size) prompt.n + label.n + 1));
	bn_request	request = {0};
	int32		n = prompt.n;

	memcpy(ids, prompt.ids, sizeof(int32) * prompt.n);
	memcpy(ids + n, label.ids, sizeof(int32) * label.n);
	n += label.n;
	if (end != BN_NO_TOKEN)
		ids[n++] = end;

	request.kind = BN_REQUEST_SCORE;
	request.tokens = ids;
	request.n_tokens = n;
	request.n_context = prompt.n;
	return request;
}

/* Adds the requests for the labels of one text. */
static void
add_label_requests(BitnetRun *run, const BitnetArgs *args, BitnetText input,
				   const BitnetTokens *labels, int32 longest)
{
	const BitnetModel *model = run->model;
	BitnetTokens prompt;
	int			i;

	input = BitnetTrim(input);
	if (args->on_overflow == BITNET_OVERFLOW_TRUNCATE)
	{
		BitnetText	nothing = {"", 0};
		int32		frame = classify_tokens(model, args, nothing).n + longest + BITNET_JOIN_TOKENS;

		BitnetCheckLength(model, frame, 1, _("the labels or the instruction"));
		input.length = BitnetTruncate(model->model.vocab, input,
									  model->model.config->context_length - frame);
	}
	prompt = classify_tokens(model, args, input);
	BitnetCheckLength(model, prompt.n, longest, NULL);

	for (i = 0; i < args->n_labels; i++)
	{
		bn_request	request;

		CHECK_FOR_INTERRUPTS();
		request = label_request(model, prompt, labels[i]);
		BitnetAddRequest(run, &request);
	}
}

void
BitnetClassify(const BitnetModel *model, const BitnetArgs *args,
			   const BitnetText *inputs, int n, double *logprobs)
{
	BitnetTokens *labels = palloc(sizeof(BitnetTokens) * args->n_labels);
	int			at_once = Max(1, LABELS_AT_ONCE / args->n_labels);
	int32		longest = 0;
	int64		n_bytes = 0;
	int			first;
	int			i;

	for (i = 0; i < args->n_labels; i++)
	{
		CHECK_FOR_INTERRUPTS();
		n_bytes += args->labels[i].length;
		BitnetCheckBytes(model, i + 1, n_bytes, _("the labels"));
		labels[i] = BitnetEncode(model->model.vocab, args->labels[i], false);
		longest = Max(longest, labels[i].n + 1);
	}
	for (first = 0; first < n; first += at_once)
	{
		BitnetRun  *run = BitnetBeginRun(model, "bitnet_classify");

		run->n_texts = Min(at_once, n - first);
		for (i = first; i < first + run->n_texts; i++)
			add_label_requests(run, args, inputs[i], labels, longest);
		BitnetRunRequests(run);
		for (i = 0; i < run->n_requests; i++)
			*logprobs++ = run->requests[i].logprob;
		BitnetEndRun(run);
	}
}

int
BitnetBestLabel(const BitnetArgs *args, const double *logprobs)
{
	int			best = 0;
	int			i;

	for (i = 1; i < args->n_labels; i++)
		if (logprobs[i] > logprobs[best])
			best = i;
	return best;
}

/* The arguments behind the text, which is not NULL. */
static void
take_args(BitnetArgs *args, FunctionCallInfo fcinfo)
{
	BitnetInitArgs(args);
	BitnetTakeArg(args, fcinfo, 1, "labels");
	BitnetTakeArg(args, fcinfo, 2, "instruction");
	BitnetTakeArg(args, fcinfo, 3, "model");
	BitnetTakeOptionsArg(args, fcinfo, 4, BITNET_CLASSIFY);
	BitnetCheckLabels(args);
}

/* NULL where an input is NULL, and where there is nothing in it to judge by. */
void
BitnetClassifyRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
				   NullableDatum *results, int n)
{
	BitnetArgs	args;
	BitnetText *inputs = palloc(sizeof(BitnetText) * n);
	double	   *logprobs;
	bool		taken = false;
	int			n_inputs = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		results[i].value = (Datum) 0;
		results[i].isnull = true;
		if (contents[i].isnull || PG_ARGISNULL(1))
			continue;
		if (!taken)
			take_args(&args, fcinfo);
		taken = true;
		inputs[n_inputs] = BitnetTextFromDatum(contents[i].value);
		if (BitnetIsBlank(inputs[n_inputs]))
			continue;
		results[i].isnull = false;
		n_inputs++;
	}
	if (n_inputs == 0)
		return;

	logprobs = MemoryContextAllocHuge(CurrentMemoryContext,
									  sizeof(double) * (Size) n_inputs * args.n_labels);
	BitnetClassify(BitnetGetModel(fcinfo->flinfo, args.model), &args, inputs, n_inputs,
				   logprobs);
	for (i = 0; i < n; i++)
	{
		BitnetText	label;

		if (results[i].isnull)
			continue;
		label = args.labels[BitnetBestLabel(&args, logprobs)];
		results[i].value = PointerGetDatum(BitnetTextToServer(label.data, label.length));
		logprobs += args.n_labels;
	}
}

Datum
bitnet_classify(PG_FUNCTION_ARGS)
{
	return BitnetOneRow(fcinfo, BitnetClassifyRows);
}

/*
 * The softmax of the labels' log-probabilities, most probable first; labels
 * with the same one stay in their order.
 */
Datum
bitnet_classify_scores(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	BitnetArgs	args;
	BitnetText	input;
	double	   *logprobs;
	double		largest;
	double		sum = 0;
	int		   *order;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	take_args(&args, fcinfo);
	input = BitnetTextFromDatum(PG_GETARG_DATUM(0));
	if (BitnetIsBlank(input))
		return (Datum) 0;

	logprobs = palloc(sizeof(double) * args.n_labels);
	BitnetClassify(BitnetGetModel(fcinfo->flinfo, args.model), &args, &input, 1, logprobs);
	largest = logprobs[BitnetBestLabel(&args, logprobs)];
	order = palloc(sizeof(int) * args.n_labels);
	for (i = 0; i < args.n_labels; i++)
	{
		int			j;

		CHECK_FOR_INTERRUPTS();
		sum += bn_exp(logprobs[i] - largest);
		for (j = i; j > 0 && logprobs[order[j - 1]] < logprobs[i]; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}

	for (i = 0; i < args.n_labels; i++)
	{
		BitnetText	label = args.labels[order[i]];
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = PointerGetDatum(BitnetTextToServer(label.data, label.length));
		values[1] = Float8GetDatum(bn_exp(logprobs[order[i]] - largest) / sum);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
