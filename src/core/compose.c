/*-------------------------------------------------------------------------
 *
 * compose.c
 *	  What the next step of a schedule consists of.
 *
 * A step takes one token of everything that decodes, then prompts.  Two things
 * make it more, or less, than that: somebody who waits for an answer while
 * others compute much, and an answer that can be guessed.
 *
 * src/core/compose.c
 *
 *-------------------------------------------------------------------------
 */
#include "scheduler.h"

/* A run with at most so many requests left is somebody who waits for an answer. */
#define INTERACTIVE_REQUESTS 4

/*
 * Where somebody waits for an answer and others compute much, a step has about
 * so many tokens: it takes twice as long as one of a single token.
 */
#define SHORT_STEP_TOKENS 6

/* So many are for prompts of those who wait, when there are as many answers already. */
#define MORE_THAN_ANSWERS 2

/* And so many at least for those who compute much. */
#define OTHERS_TOKENS 2

/*
 * Where all wait for answers, so many are for the prompt of each: short prompts
 * that come together are read together, a long one does not stop the answers.
 */
#define PROMPT_TOKENS 32

/*
 * An answer often repeats what was said before.  Where no more than so many
 * sequences compute, reading the weights takes longer than computing, and a
 * step has room for this many tokens: then the tokens that followed the last
 * DRAFT_MATCH ones before are tried, too.
 */
#define DRAFT_SEQUENCES 2
#define DRAFT_STEP_TOKENS (BN_MAX_DRAFT + 1)
#define DRAFT_MATCH 3

/* How many of the largest logits decide about the next token; 0: all. */
static int32_t
best_needed(const bn_request *r, int32_t vocab_size)
{
	int32_t		n = r->kind == BN_REQUEST_GENERATE ? bn_sample_needs(&r->sampling, vocab_size) : 0;

	return n <= BN_MAX_BEST ? n : 0;
}

/* Does the entry at a prompt position have to give logits? */
static bool
wants_logits(const bn_request *r, int32_t position)
{
	switch (r->kind)
	{
		case BN_REQUEST_SCORE:
			return position + 1 >= r->n_context;
		case BN_REQUEST_EMBED:
			return false;
		default:
			return position + 1 == r->n_tokens;
	}
}

static bool
wants_hidden(const bn_request *r, int32_t position)
{
	if (r->kind != BN_REQUEST_EMBED)
		return false;
	switch (r->pooling)
	{
		case BN_POOL_FIRST:
			return position == 0;
		case BN_POOL_LAST:
			return position + 1 == r->n_tokens;
		default:
			return true;
	}
}

/* Somebody who waits for few answers, as against a job of many. */
static bool
is_interactive(const bn_run *run)
{
	return run->n_requests - run->n_finished <= INTERACTIVE_REQUESTS;
}

typedef struct step_plan
{
	int32_t		n_entries;		/* so far */
	int32_t		n_rows;			/* of logits, so far */
	int32_t		max_rows;
	int32_t		max_draft;		/* tokens of a sequence that may be tried */
	const bn_run *only;			/* the run that the step is for; NULL: all */
} step_plan;

/* Token i of a request's prompt and answer. */
static inline int32_t
said(const bn_request *r, int32_t i)
{
	return i < r->n_tokens ? r->tokens[i] : r->output[i - r->n_tokens];
}

/*
 * Where the last DRAFT_MATCH tokens occurred before, the last time: the index
 * of what followed them; -1 if they did not.
 */
static int32_t
find_repetition(const bn_request *r)
{
	int32_t		n = r->n_tokens + r->n_output;
	int32_t		at;

	for (at = n - 1; at >= DRAFT_MATCH; at--)
	{
		int32_t		i = 1;

		while (i <= DRAFT_MATCH && said(r, at - i) == said(r, n - i))
			i++;
		if (i > DRAFT_MATCH)
			return at;
	}
	return -1;
}

/* How many tokens to try after the next one of a sequence that decodes, and which: said(r, *from ..) */
static int32_t
plan_draft(const step_plan *plan, const bn_request *r, int32_t *from)
{
	int32_t		n = r->n_draft;

	if (n > plan->max_draft)
		n = plan->max_draft;
	if (n > r->max_output - r->n_output - 1)
		n = r->max_output - r->n_output - 1;
	*from = n > 0 ? find_repetition(r) : -1;
	if (*from < 0)
		return 0;
	if (n > r->n_tokens + r->n_output - *from)
		n = r->n_tokens + r->n_output - *from;
	return n;
}

/* Adds what a sequence has to compute, as far as there is room; false if it had to be cut. */
static bool
add_entries(bn_schedule *s, step_plan *plan, bn_slot *sl, int32_t most)
{
	const bn_config *c = s->model->config;
	bn_request *r = &sl->run->requests[sl->request];
	bool		decodes = r->state == BN_DECODE;
	int32_t		position = sl->sequence.n_tokens;
	int32_t		first = position;
	int32_t		draft = -1;
	int32_t		end = decodes ? position + 1 + plan_draft(plan, r, &draft) : bn_prompt_positions(r);

	sl->next_position = position;
	sl->n_drafted = 0;
	for (; position < end; position++)
	{
		bool		logits = decodes || wants_logits(r, position);
		int32_t		n = plan->n_entries;

		if (n >= most || (logits && plan->n_rows >= plan->max_rows))
			return false;
		s->entries[n] = (bn_step_entry) {
			.sequence = &sl->sequence,
			.position = position,
			.token = !decodes ? r->tokens[position] :
				position == first ? r->output[r->n_output - 1] : said(r, draft + position - first - 1),
			.logits = logits ? s->logits + (size_t) plan->n_rows * (size_t) c->vocab_size : NULL,
			.n_best = logits ? best_needed(r, c->vocab_size) : 0,
			.best = s->best + (size_t) plan->n_rows * BN_MAX_BEST,
			.hidden = wants_hidden(r, position) ?
				s->hidden + (size_t) n * (size_t) c->d_model : NULL
		};
		s->entry_slot[n] = sl;
		sl->n_drafted += decodes && position > first;
		plan->n_rows += logits;
		plan->n_entries++;
	}
	return true;
}

/* Has a slot a sequence in this state, of a run of one kind? */
static bool
takes_part(const step_plan *plan, const bn_slot *sl, bn_run_kind kind, bn_request_state state)
{
	const bn_run *run = sl->run;

	return run && (!plan->only || run == plan->only) && run->requests[sl->request].state == state &&
		(kind == BN_ALL_RUNS || is_interactive(run) == (kind == BN_INTERACTIVE_RUNS));
}

/*
 * Adds the sequences in this state of the runs of one kind, up to "each" entries
 * of a sequence and "most" in all.  Looks at them from first_slot or first_prompt
 * on; the step after one that had no room for all begins with those that were
 * left out.
 */
static void
add_sequences(bn_schedule *s, step_plan *plan, bn_run_kind kind, bn_request_state state,
			  int32_t each, int32_t most)
{
	int32_t    *first = state == BN_DECODE ? &s->first_slot[kind] : &s->first_prompt[kind];
	int32_t		start = *first;
	int32_t		k;

	for (k = 0; k < s->n_slots; k++)
	{
		bn_slot    *sl = &s->slots[(start + k) % s->n_slots];
		int32_t		end = most - plan->n_entries > each ? plan->n_entries + each : most;

		if (!takes_part(plan, sl, kind, state))
			continue;
		if (!add_entries(s, plan, sl, end) && (plan->n_entries < end || end == most))
		{
			*first = (int32_t) (sl - s->slots);
			return;
		}
	}
}

/* Who has something in the cache, and so takes part in a step. */
typedef struct participants
{
	int32_t		n_runs;
	int32_t		n_live;			/* sequences */
	int32_t		n_answers;		/* next tokens that somebody waits for */
	bool		others;			/* some compute much */
	bool		interactive;	/* some wait for an answer */
} participants;

static participants
look_around(const bn_schedule *s, const bn_run *only)
{
	participants p = {0};
	const bn_run *run;
	int32_t		i;

	for (run = s->first_run; run; run = run->next)
	{
		if (run->n_live == 0 || (only && run != only))
			continue;
		p.n_runs++;
		p.n_live += run->n_live;
		p.interactive |= is_interactive(run);
		p.others |= !is_interactive(run);
	}
	for (i = 0; i < s->n_slots; i++)
		if (s->slots[i].run && is_interactive(s->slots[i].run))
			p.n_answers += s->slots[i].run->requests[s->slots[i].request].state == BN_DECODE;
	return p;
}

/* So much of n that "kept" of it are left for somebody else, where there are more. */
static int32_t
all_but(int32_t n, int32_t kept)
{
	return n > kept ? n - kept : n;
}

/* Is a prompt of that kind under way? */
static bool
has_prompts(const bn_schedule *s, const step_plan *plan, bn_run_kind kind)
{
	int32_t		i;

	for (i = 0; i < s->n_slots; i++)
		if (takes_part(plan, &s->slots[i], kind, BN_PREFILL))
			return true;
	return false;
}

/*
 * What there is of one kind: answers, then prompts.  Many answers leave them a
 * token and a row of logits: others may wait for such a prompt, since their
 * own begins alike.
 */
static void
add_kind(bn_schedule *s, step_plan *plan, bn_run_kind kind, int32_t max_rows, int32_t each_prompt, int32_t most)
{
	bool		prompts = has_prompts(s, plan, kind);

	plan->max_rows = prompts ? all_but(max_rows, 1) : max_rows;
	add_sequences(s, plan, kind, BN_DECODE, most, prompts ? all_but(most, 1) : most);
	plan->max_rows = max_rows;
	if (prompts)
		add_sequences(s, plan, kind, BN_PREFILL, each_prompt, most);
}

/* Answers that somebody waits for, and their prompts, come first in a short step; the others get the rest. */
static void
compose_short(bn_schedule *s, step_plan *plan, const participants *p)
{
	int32_t		answers = p->n_answers + MORE_THAN_ANSWERS;
	int32_t		most;

	if (!p->others)
	{
		add_kind(s, plan, BN_INTERACTIVE_RUNS, s->n_logit_rows, PROMPT_TOKENS, s->max_entries);
		return;
	}

	if (answers < SHORT_STEP_TOKENS)
		answers = SHORT_STEP_TOKENS;
	if (answers > all_but(s->max_entries, OTHERS_TOKENS))
		answers = all_but(s->max_entries, OTHERS_TOKENS);
	add_kind(s, plan, BN_INTERACTIVE_RUNS, all_but(s->n_logit_rows, OTHERS_TOKENS), answers, answers);

	most = plan->n_entries + OTHERS_TOKENS;
	if (most < SHORT_STEP_TOKENS)
		most = SHORT_STEP_TOKENS;
	if (most > s->max_entries)
		most = s->max_entries;
	add_kind(s, plan, BN_OTHER_RUNS, s->n_logit_rows, most, most);
}

int32_t
bn_compose_step(bn_schedule *s, const bn_run *only)
{
	step_plan	plan = {.only = only,.max_rows = s->n_logit_rows};
	participants p = look_around(s, only);

	/* a step that looks for a failure tries nothing that is not asked for */
	if (!only && p.n_live > 0 && p.n_live <= DRAFT_SEQUENCES)
		plan.max_draft = DRAFT_STEP_TOKENS / p.n_live - 1;
	if (p.n_runs > 1 && p.interactive)
		compose_short(s, &plan, &p);
	else
		add_kind(s, &plan, BN_ALL_RUNS, s->n_logit_rows, s->max_entries, s->max_entries);
	return plan.n_entries;
}
