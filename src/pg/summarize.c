/*-------------------------------------------------------------------------
 *
 * summarize.c
 *	  bitnet_summarize and the aggregate bitnet_summarize_agg.
 *
 * A text that the model's context cannot hold is cut into parts, at the ends
 * of paragraphs or sentences where possible; the parts are summarised, many
 * together, and their summaries are the text of the next round, until it fits.
 * Since each round leaves at most half of the bytes, there is a last one.
 *
 * src/pg/summarize.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "functions.h"
#include "prompts.h"
#include "run.h"

/*
 * Room for a summary: words of most languages have fewer tokens than this, and
 * more would let a model that does not end ramble on only to be cut.
 */
#define TOKENS_PER_WORD 4
#define EXTRA_TOKENS 16

/* A context that leaves less than this for text and summary is of no use. */
#define LEAST_ROOM 64

/* In the aggregate: bytes of text for each token of context before a round. */
#define BYTES_PER_CONTEXT_TOKEN 8

typedef struct SummarizeState
{
	StringInfoData input;		/* UTF-8, texts divided by empty lines */
	int			bound;			/* bytes, above which it is condensed */
} SummarizeState;

PG_FUNCTION_INFO_V1(bitnet_summarize);
PG_FUNCTION_INFO_V1(bitnet_summarize_agg_transfn);
PG_FUNCTION_INFO_V1(bitnet_summarize_agg_finalfn);
PG_FUNCTION_INFO_V1(bitnet_summarize_collect_finalfn);

static BitnetTokens
summarize_tokens(const BitnetModel *model, const BitnetArgs *args, BitnetText input)
{
	StringInfoData prompt;
	BitnetText	system = {NULL, 0};
	BitnetText	user;
	BitnetTokens tokens;

	BitnetCheckBytes(model, 1, (int64) args->instruction.length + input.length, NULL);
	initStringInfo(&prompt);
	if (args->instruction.data != NULL)
		appendBinaryStringInfo(&prompt, args->instruction.data, (int) args->instruction.length);
	else
		appendStringInfoString(&prompt, BITNET_SUMMARIZE_INSTRUCTION);
	appendStringInfo(&prompt, BITNET_SUMMARIZE_LIMIT, args->max_words);
	appendStringInfoString(&prompt, BITNET_SUMMARIZE_TEXT);
	appendBinaryStringInfo(&prompt, input.data, (int) input.length);
	user.data = prompt.data;
	user.length = prompt.len;
	tokens = BitnetUserTokens(model, system, user);
	pfree(prompt.data);
	return tokens;
}

/* How the context is divided. */
typedef struct Budget
{
	int64		text;			/* tokens of text that fit into a prompt */
	int			summary;		/* tokens of a summary */
} Budget;

/*
 * A summary gets what its words need, but at most a fifth of the room, so that
 * the summaries of parts are much shorter than the parts.
 */
static Budget
make_budget(const BitnetModel *model, const BitnetArgs *args)
{
	BitnetText	nothing = {"", 0};
	BitnetTokens frame = summarize_tokens(model, args, nothing);
	Budget		budget;
	int			room;

	BitnetCheckLength(model, frame.n, LEAST_ROOM, _("the instruction"));
	room = model->model.config->context_length - frame.n - BITNET_JOIN_TOKENS;
	if (args->max_tokens > 0)
		budget.summary = args->max_tokens;
	else
		budget.summary = Min(args->max_words * TOKENS_PER_WORD + EXTRA_TOKENS,
							 bitnet_max_tokens_limit);
	budget.summary = Max(1, Min(budget.summary, room / 5));
	budget.text = room - budget.summary;
	return budget;
}

/* Does a sentence end with the character before data + length? */
static bool
ends_sentence(const char *data, size_t length)
{
	if (length >= 1 && strchr(".!?", data[length - 1]) != NULL)
		return true;
	return length >= 3 &&
		(memcmp(data + length - 3, "\xe3\x80\x82", 3) == 0 ||	/* U+3002 */
		 memcmp(data + length - 3, "\xef\xbc\x81", 3) == 0 ||	/* U+FF01 */
		 memcmp(data + length - 3, "\xef\xbc\x9f", 3) == 0);	/* U+FF1F */
}

/*
 * The best place to cut a text that goes on behind byte most, in the second
 * half of what is before it: the last end of a paragraph, else of a sentence,
 * else of a line, else of a word, else most itself.
 */
static size_t
cut_place(BitnetText t, size_t most)
{
	size_t		sentence = 0;
	size_t		line = 0;
	size_t		word = 0;
	size_t		at;

	for (at = most; at > most / 2 && at > 1; at--)
	{
		if (BitnetSpaceLength(t.data + at, t.length - at) == 0)
		{
			/* Some scripts have no space behind a sentence */
			if (sentence == 0 && (t.data[at] & 0xc0) != 0x80 &&
				(t.data[at - 1] & 0x80) && ends_sentence(t.data, at))
				sentence = at;
			continue;
		}
		if (t.data[at] == '\n' && t.data[at - 1] == '\n')
			return at;
		if (sentence == 0 && ends_sentence(t.data, at))
			sentence = at;
		if (line == 0 && t.data[at] == '\n')
			line = at;
		if (word == 0)
			word = at;
	}
	return sentence > 0 ? sentence : line > 0 ? line : word > 0 ? word : most;
}

/*
 * The part of a summary that is kept: at most max_words words, and no word of
 * which the token limit may have taken the end (cut_short).  Where something is
 * cut, whole sentences are preferred if that keeps half of the text.
 */
static BitnetText
clip_words(BitnetText t, int max_words, bool cut_short)
{
	size_t		at = 0;
	size_t		word_end = 0;
	size_t		previous_end = 0;
	size_t		sentence_end = 0;
	int			n_words = 0;

	t = BitnetTrim(t);
	while (at < t.length && n_words < max_words)
	{
		while (at < t.length && BitnetSpaceLength(t.data + at, t.length - at) == 0)
			at++;
		previous_end = word_end;
		word_end = at;
		if (ends_sentence(t.data, at))
			sentence_end = at;
		n_words++;
		while (at < t.length && BitnetSpaceLength(t.data + at, t.length - at) > 0)
			at += BitnetSpaceLength(t.data + at, t.length - at);
	}

	if (at >= t.length && !cut_short)
		return t;
	if (at >= t.length && previous_end > 0)
		word_end = previous_end;
	t.length = sentence_end * 2 >= word_end ? sentence_end : word_end;
	return t;
}

/* At most max_bytes of a text, whole words if it has any that short. */
static BitnetText
clip_bytes(BitnetText t, size_t max_bytes)
{
	size_t		at;

	if (t.length <= max_bytes)
		return t;
	for (at = max_bytes; at > 0; at--)
		if (BitnetSpaceLength(t.data + at, t.length - at) > 0)
			break;
	t.length = at > 0 ? at : BitnetCharBoundary(t.data, t.length, max_bytes);
	return BitnetTrimRight(t);
}

static void
add_summary_request(BitnetRun *run, const BitnetArgs *args, const Budget *budget,
					BitnetText input)
{
	bn_request	request = {0};
	BitnetTokens tokens = summarize_tokens(run->model, args, input);

	BitnetCheckLength(run->model, tokens.n, 1, NULL);
	request.kind = BN_REQUEST_GENERATE;
	request.tokens = tokens.ids;
	request.n_tokens = tokens.n;
	request.sampling = BitnetSampling(args);
	request.max_output = Min(budget->summary,
							 run->model->model.config->context_length - tokens.n);
	BitnetAddRequest(run, &request);
}

/*
 * A round: parts of texts, a text's parts in a row, and their summaries.  Each
 * part's request has the instruction, so they are computed some at a time.
 */
typedef struct Round
{
	const BitnetModel *model;
	const BitnetArgs *args;
	const char *function;
	Budget		budget;
	int			n_texts_all;	/* of the call, and how many are finished */
	int			n_texts_before;
	BitnetRun  *run;			/* of the parts that have no summary yet */
	size_t		max_bytes[BITNET_TEXTS_AT_ONCE];	/* of their summaries */
	BitnetText *summaries;		/* of the parts before */
	int			n_summaries;
	int			max_summaries;
} Round;

static void
begin_run(Round *round)
{
	round->run = BitnetBeginRun(round->model, round->function);
	round->run->n_texts = 0;
	round->run->n_texts_all = round->n_texts_all;
	round->run->n_texts_before = round->n_texts_before;
}

/* The summaries of the run's parts, in the caller's memory. */
static void
end_run(Round *round)
{
	BitnetRun  *run = round->run;
	int			i;

	BitnetRunRequests(run);
	MemoryContextSwitchTo(run->caller);
	for (i = 0; i < run->n_requests; i++)
	{
		BitnetText	summary = clip_words(BitnetRunText(run, i), round->args->max_words,
										 run->requests[i].finish == BN_FINISH_LENGTH);

		summary = clip_bytes(summary, round->max_bytes[i]);
		summary.data = memcpy(palloc(summary.length + 1), summary.data, summary.length);
		if (round->n_summaries == round->max_summaries)
		{
			round->max_summaries *= 2;
			round->summaries = repalloc_huge(round->summaries, sizeof(BitnetText) * round->max_summaries);
		}
		round->summaries[round->n_summaries++] = summary;
	}
	round->n_texts_before += run->n_texts;
	BitnetEndRun(run);
}

static void
begin_round(Round *round, const BitnetModel *model, const BitnetArgs *args,
			const char *function, int n_texts_all, int n_texts_before)
{
	memset(round, 0, sizeof(*round));
	round->model = model;
	round->args = args;
	round->function = function;
	round->budget = make_budget(model, args);
	round->max_summaries = 64;
	round->summaries = palloc(sizeof(BitnetText) * round->max_summaries);
	round->n_texts_all = n_texts_all;
	round->n_texts_before = n_texts_before;
	begin_run(round);
}

/* Adds a part, whose summary is to have at most that many bytes. */
static void
add_part(Round *round, BitnetText part, size_t max_bytes)
{
	if (round->run->n_requests == BITNET_TEXTS_AT_ONCE)
	{
		end_run(round);
		begin_run(round);
	}
	round->max_bytes[round->run->n_requests] = max_bytes;
	add_summary_request(round->run, round->args, &round->budget, part);
}

/* Adds all parts of a text; returns how many there are. */
static int
add_parts(Round *round, BitnetText text)
{
	int			n_parts = 0;
	BitnetText	rest = BitnetTrim(text);

	while (rest.length > 0)
	{
		BitnetText	part = rest;
		size_t		most;

		CHECK_FOR_INTERRUPTS();
		most = Max(1, BitnetTruncate(round->model->model.vocab, rest,
									 round->budget.text));
		part.length = most < rest.length ? cut_place(rest, most) : most;
		rest.data += part.length;
		rest.length -= part.length;

		part = BitnetTrim(part);
		if (part.length > 0)
		{
			add_part(round, part, part.length / 2);
			n_parts++;
		}
		rest = BitnetTrim(rest);
	}
	return n_parts;
}

/* The summaries of n_parts parts from number first on, one paragraph each. */
static BitnetText
join_parts(const Round *round, int first, int n_parts)
{
	StringInfoData joined;
	BitnetText	result;
	int			i;

	initStringInfo(&joined);
	for (i = first; i < first + n_parts; i++)
	{
		BitnetText	summary = round->summaries[i];

		if (summary.length == 0)
			continue;
		if (joined.len > 0)
			appendStringInfoString(&joined, "\n");
		appendBinaryStringInfo(&joined, summary.data, (int) summary.length);
	}
	result.data = joined.data;
	result.length = joined.len;
	return result;
}

/*
 * One round of summarising: the text is cut into parts that the model can
 * hold, and their summaries, one paragraph each, take its place.  The result
 * is at most half as long.
 */
static BitnetText
condense(const BitnetModel *model, const BitnetArgs *args, BitnetText input)
{
	Round		round;
	int			n_parts;

	begin_round(&round, model, args, "bitnet_summarize_agg", 1, 0);
	n_parts = add_parts(&round, input);
	end_run(&round);
	return join_parts(&round, 0, n_parts);
}

/* A text on its way to its summary */
typedef struct Summarized
{
	BitnetText	text;			/* what is left of it, in the end the summary */
	int			n_parts;		/* of it in this round; 0: it is summarised as a whole */
	bool		done;
} Summarized;

/* The parts of all texts that are still too long, and all of those that are not. */
static void
add_texts(Round *round, Summarized *texts, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		Summarized *t = &texts[i];

		t->n_parts = 0;
		if (t->done)
			continue;
		if (BitnetTruncate(round->model->model.vocab, t->text, round->budget.text) <
			t->text.length)
			t->n_parts = add_parts(round, t->text);
		else
		{
			add_part(round, t->text, SIZE_MAX);
			round->run->n_texts++;
		}
	}
}

/* What the round made of them; returns how many are done with it. */
static int
take_summaries(const Round *round, Summarized *texts, int n)
{
	int			next = 0;
	int			n_done = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		Summarized *t = &texts[i];

		if (t->done)
			continue;
		if (t->n_parts > 0)
		{
			t->text = BitnetTrim(join_parts(round, next, t->n_parts));
			next += t->n_parts;
			t->done = t->text.length == 0;
		}
		else
		{
			t->text = round->summaries[next++];
			t->done = true;
		}
		n_done += t->done;
	}
	return n_done;
}

/* In rounds: each shortens what is too long, and summarises the rest. */
BitnetText *
BitnetSummarize(const BitnetModel *model, const BitnetArgs *args,
				const BitnetText *inputs, int n)
{
	Summarized *texts = palloc0(sizeof(Summarized) * Max(n, 1));
	BitnetText *summaries = palloc(sizeof(BitnetText) * Max(n, 1));
	int			n_texts;
	int			n_left = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		texts[i].text = BitnetTrim(inputs[i]);
		texts[i].done = texts[i].text.length == 0;
		n_left += !texts[i].done;
	}
	n_texts = n_left;

	while (n_left > 0)
	{
		Round		round;

		begin_round(&round, model, args, "bitnet_summarize", n_texts, n_texts - n_left);
		add_texts(&round, texts, n);
		end_run(&round);
		n_left -= take_summaries(&round, texts, n);
	}
	for (i = 0; i < n; i++)
		summaries[i] = texts[i].text;
	return summaries;
}

void
BitnetSummarizeRows(FunctionCallInfo fcinfo, const NullableDatum *contents,
					NullableDatum *results, int n)
{
	BitnetArgs	args;
	BitnetText *inputs = palloc0(sizeof(BitnetText) * n);
	BitnetText *summaries = inputs;
	bool		taken = false;
	bool		any = false;
	int			i;

	for (i = 0; i < n; i++)
	{
		results[i].value = (Datum) 0;
		results[i].isnull = contents[i].isnull;
		if (contents[i].isnull)
			continue;
		if (!taken)
		{
			BitnetInitArgs(&args);
			BitnetTakeArg(&args, fcinfo, 1, "max_words");
			BitnetTakeArg(&args, fcinfo, 2, "instruction");
			BitnetTakeArg(&args, fcinfo, 3, "model");
			BitnetTakeOptionsArg(&args, fcinfo, 4, BITNET_SUMMARIZE);
			taken = true;
		}
		inputs[i] = BitnetTrim(BitnetTextFromDatum(contents[i].value));
		any |= inputs[i].length > 0;
	}

	if (any)
		summaries = BitnetSummarize(BitnetGetModel(fcinfo->flinfo, args.model), &args,
									inputs, n);
	for (i = 0; i < n; i++)
		if (!results[i].isnull)
			results[i].value = PointerGetDatum(BitnetTextToServer(summaries[i].data,
																  summaries[i].length));
}

Datum
bitnet_summarize(PG_FUNCTION_ARGS)
{
	return BitnetOneRow(fcinfo, BitnetSummarizeRows);
}

/*
 * Collects the texts of a group in their order.  When they exceed a few
 * contexts they are condensed, so that a state is bounded whatever the size of
 * the group.
 */
Datum
bitnet_summarize_agg_transfn(PG_FUNCTION_ARGS)
{
	SummarizeState *state = PG_ARGISNULL(0) ? NULL : (SummarizeState *) PG_GETARG_POINTER(0);
	MemoryContext aggcontext;
	MemoryContext old;
	BitnetText	input;

	if (!AggCheckCallContext(fcinfo, &aggcontext))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (PG_ARGISNULL(1))
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}

	if (state == NULL)
	{
		const BitnetModel *model = BitnetGetModel(fcinfo->flinfo, NULL);
		int64		bound = (int64) model->model.config->context_length *
			BYTES_PER_CONTEXT_TOKEN;

		old = MemoryContextSwitchTo(aggcontext);
		state = palloc(sizeof(SummarizeState));
		initStringInfo(&state->input);
		state->bound = (int) Min(bound, (int64) MaxAllocSize / 4);
		MemoryContextSwitchTo(old);
	}

	input = BitnetTrim(BitnetTextFromDatum(PG_GETARG_DATUM(1)));
	if (input.length > 0)
	{
		if (state->input.len > 0)
			appendStringInfoString(&state->input, "\n\n");
		appendBinaryStringInfo(&state->input, input.data, (int) input.length);
	}

	while (state->input.len > state->bound)
	{
		BitnetArgs	args;
		BitnetText	all;
		BitnetText	condensed;

		BitnetInitArgs(&args);
		all.data = state->input.data;
		all.length = state->input.len;
		condensed = condense(BitnetGetModel(fcinfo->flinfo, NULL), &args, all);

		/* As the database can have it: it may come back as the text of a column */
		condensed = BitnetTextFromDatum(PointerGetDatum(BitnetTextToServer(condensed.data, condensed.length)));
		resetStringInfo(&state->input);
		appendBinaryStringInfo(&state->input, condensed.data, (int) condensed.length);
	}
	PG_RETURN_POINTER(state);
}

Datum
bitnet_summarize_agg_finalfn(PG_FUNCTION_ARGS)
{
	SummarizeState *state = PG_ARGISNULL(0) ? NULL : (SummarizeState *) PG_GETARG_POINTER(0);
	BitnetArgs	args;
	BitnetText	input;
	BitnetText	summary;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (state == NULL)
		PG_RETURN_NULL();

	BitnetInitArgs(&args);
	input.data = state->input.data;
	input.length = state->input.len;
	if (input.length == 0)
		PG_RETURN_TEXT_P(cstring_to_text(""));
	summary = BitnetSummarize(BitnetGetModel(fcinfo->flinfo, NULL), &args, &input, 1)[0];
	PG_RETURN_TEXT_P(BitnetTextToServer(summary.data, summary.length));
}

/*
 * What the aggregate has collected, not yet summarised: for plans that summarise
 * many groups together.
 */
Datum
bitnet_summarize_collect_finalfn(PG_FUNCTION_ARGS)
{
	SummarizeState *state = PG_ARGISNULL(0) ? NULL : (SummarizeState *) PG_GETARG_POINTER(0);

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(BitnetTextToServer(state->input.data, state->input.len));
}
