/*-------------------------------------------------------------------------
 *
 * test_golden.c
 *	  The engine against an independent float64 forward pass.
 *
 * Rounding activations to int8 turns a difference in the last bit of a float
 * into a whole step now and then, and random weights spread it.  So a result
 * is either the same to six digits or, rarely, off by a few percent of the
 * logits' standard deviation, while any real mistake is off by more than 20.
 * Every case must be within the bounds of the rare ones, and some cases of
 * every model must be the same.
 *
 * The cases of test/golden are always run; those outside the repository (real
 * vocabulary, other engines) where they exist.
 *
 * test/unit/test_golden.c
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "golden.h"
#include "model_file.h"
#include "tap.h"

/* Shares of the logits' standard deviation */
#define MAX_RMS 0.03
#define MAX_ERROR 0.15
#define SAME_RMS 1e-5			/* nothing was rounded another way */
#define MIN_SAME 2				/* prompts of each model, the short ones at least */

/* The scalar kernels are slow; that they equal the others is tested elsewhere. */
#define SCALAR_TOKENS 33

static int	n_same;

static int32_t
best_token(const float *logits, int n)
{
	int32_t		best = 0;

	for (int i = 1; i < n; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

/* Compares with the expected logits, of standard deviation std. */
static void
check_logits(const char *what, const float *logits, const float *expected, int n, double std)
{
	double		sum = 0;
	double		largest = 0;
	double		rms;

	for (int i = 0; i < n; i++)
	{
		double		d = fabs((double) logits[i] - expected[i]);

		sum += d * d;
		if (!(d <= largest))
			largest = d;
	}
	rms = sqrt(sum / n) / std;
	largest /= std;
	n_same += rms <= SAME_RMS;
	ok(rms <= MAX_RMS && largest <= MAX_ERROR, "%s: logits: rms %.2g %%, max %.2g %% of std",
	   what, 100 * rms, 100 * largest);
}

/* The logits after the last token of a prompt, in one step. */
static bool
prompt_logits(const model_file *m, const bn_kernels *kernels, const int32_t *tokens, int n,
			  float *logits)
{
	const bn_config *c = m->model.config;
	int32_t		n_pages = bn_kv_pages(n);
	void	   *kv_memory = model_file_memory(bn_kv_size(c, n_pages));
	void	   *pool_memory = model_file_memory(bn_pool_size(1));
	void	   *engine_memory = model_file_memory(bn_engine_size(c, n, 1, n));
	bn_step_entry *entries = model_file_memory((size_t) n * sizeof(bn_step_entry));
	int32_t    *pages = model_file_memory((size_t) n_pages * sizeof(int32_t));
	bn_sequence seq = {0, 0, n_pages, pages};
	bn_kv	   *kv = bn_kv_init(kv_memory, c, n_pages);
	bn_pool    *pool = bn_pool_init(pool_memory, 1);
	bn_engine  *engine = bn_engine_init(engine_memory, &m->model, kv, kernels, pool, n, n);
	bn_error	err = {0};
	bn_status	status = bn_sequence_begin(kv, &seq, NULL, 0, 0, n);

	for (int i = 0; i < n; i++)
		entries[i] = (bn_step_entry) {
			.sequence = &seq, .position = i, .token = tokens[i],
			.logits = i + 1 == n ? logits : NULL
		};
	if (status == BN_OK)
		status = bn_step(engine, entries, n, NULL, &err);
	if (status != BN_OK)
		printf("# status %d: %s\n", (int) status, err.detail);
	free(pages);
	free(entries);
	free(engine_memory);
	free(pool_memory);
	free(kv_memory);
	return status == BN_OK;
}

/* The requests that one golden case becomes. */
typedef struct case_requests
{
	bn_request *greedy;
	bn_request *embed;
	bn_request *next;
	bn_request *score[GOLDEN_MAX_SCORES];
	int32_t		tokens[1024];	/* prompt and continuation */
	int32_t		output[64];
	float		embedding[1024];
	bn_candidate candidate;
} case_requests;

static void
add_requests(case_requests *r, const golden_case *c, bn_request *requests, int *n)
{
	bn_request	base = {
		.tokens = r->tokens, .n_tokens = c->n_prompt,
		.sampling = bn_sampling_default
	};

	memcpy(r->tokens, c->prompt, (size_t) c->n_prompt * sizeof(int32_t));
	memcpy(r->tokens + c->n_prompt, c->greedy, (size_t) c->n_greedy * sizeof(int32_t));

	r->greedy = &requests[(*n)++];
	*r->greedy = base;
	r->greedy->kind = BN_REQUEST_GENERATE;
	r->greedy->max_output = c->n_gaps;
	r->greedy->output = r->output;

	r->embed = &requests[(*n)++];
	*r->embed = base;
	r->embed->kind = BN_REQUEST_EMBED;
	r->embed->pooling = BN_POOL_MEAN;
	r->embed->embedding = r->embedding;

	r->next = &requests[(*n)++];
	*r->next = base;
	r->next->kind = BN_REQUEST_NEXT;
	r->next->max_output = 1;
	r->next->candidates = &r->candidate;

	for (int i = 0; i < c->n_scores; i++)
	{
		r->score[i] = &requests[(*n)++];
		*r->score[i] = base;
		r->score[i]->kind = BN_REQUEST_SCORE;
		r->score[i]->n_tokens = c->n_prompt + c->scores[i].n_greedy;
		r->score[i]->n_context = c->scores[i].n_context;
	}
}

/*
 * A token must be as expected up to the first one that another could have
 * beaten; the last gap may be that of a stop token.
 */
static void
check_greedy(const char *what, const int32_t *output, int n_output,
			 const int32_t *expected, int n_expected, const float *gaps, int n_gaps)
{
	int			sure = 0;
	int			same = 0;

	while (sure < n_gaps && gaps[sure] > GOLDEN_SMALL_GAP)
		sure++;
	while (same < n_output && same < n_expected && output[same] == expected[same])
		same++;
	ok(same >= (sure < n_expected ? sure : n_expected) &&
	   (sure <= n_expected || n_output == n_expected),
	   "%s: greedy: %d of %d tokens, %d certain", what, same, n_expected, sure);
}

/* What the scheduler made of one case. */
static void
check_results(const char *what, const case_requests *r, const golden_case *c)
{
	double		dot = 0;
	double		length = 0;
	double		log_sum = 0;
	double		tolerance = MAX_ERROR * c->std;
	int32_t		best = best_token(c->logits, c->n_logits);

	check_greedy(what, r->output, r->greedy->n_output, c->greedy, c->n_greedy, c->gaps, c->n_gaps);

	/* errors of scattered tokens add up as their squares */
	for (int i = 0; i < c->n_scores; i++)
	{
		const golden_score *s = &c->scores[i];
		const bn_request *q = r->score[i];
		int			n = q->n_tokens - s->n_context;
		double		limit = tolerance * sqrt(n);

		ok(fabs(q->logprob - s->logprob) <= limit,
		   "%s: score of %d tokens: %.6f, expected %.6f, tolerance %.2g",
		   what, n, q->logprob, s->logprob, limit);
		ok(s->is_greedy < 0 || q->is_greedy == (s->is_greedy == 1),
		   "%s: score of %d tokens: greedy or not", what, n);
	}

	for (int i = 0; i < c->n_embedding; i++)
	{
		dot += (double) r->embedding[i] * c->embedding[i];
		length += (double) r->embedding[i] * r->embedding[i];
	}
	ok(dot >= 1 - MAX_RMS * MAX_RMS / 2, "%s: embedding: 1 - cosine is %.2g", what, 1 - dot);
	ok(fabs(length - 1) < 1e-5, "%s: embedding: length 1", what);

	for (int i = 0; i < c->n_logits; i++)
		log_sum += exp(c->logits[i] - c->logits[best]);
	ok(r->next->n_output == 1 && (c->gaps[0] <= GOLDEN_SMALL_GAP || r->candidate.token == best) &&
	   fabs(r->candidate.logprob + log(log_sum)) <= tolerance,
	   "%s: likeliest token: %.6f, expected %.6f", what, r->candidate.logprob, -log(log_sum));
}

/* The last logits of the prompts of at most max_tokens, each in one step. */
static void
run_prompts(const char *name, const model_file *m, const golden *g, const bn_kernels *kernels,
			int max_tokens)
{
	for (int i = 0; i < g->n_cases && g->cases[i].n_prompt <= max_tokens; i++)
	{
		const golden_case *c = &g->cases[i];
		float	   *logits = model_file_memory((size_t) c->n_logits * sizeof(float));
		char		what[256];

		snprintf(what, sizeof(what), "%s, %s, %d tokens", name, kernels->name, c->n_prompt);
		if (ok(c->n_logits == m->model.config->vocab_size &&
			   c->n_embedding == m->model.config->d_model &&
			   prompt_logits(m, kernels, c->prompt, c->n_prompt, logits), "%s: a step", what))
		{
			check_logits(what, logits, c->logits, c->n_logits, c->std);
			ok(c->gaps[0] <= GOLDEN_SMALL_GAP ||
			   best_token(logits, c->n_logits) == best_token(c->logits, c->n_logits),
			   "%s: best token", what);
		}
		free(logits);
	}
}

/* All that is known of all prompts, as requests of one schedule. */
static void
run_requests(const char *name, const model_file *m, const golden *g, const bn_kernels *kernels)
{
	static case_requests cases[GOLDEN_MAX_CASES];
	static bn_request requests[GOLDEN_MAX_CASES * (3 + GOLDEN_MAX_SCORES)];
	bn_schedule_limits limits = model_file_limits(m, 16, 64, 1, 16 * 1024 * 1024);
	bn_error	err = {0};
	int			n = 0;

	for (int i = 0; i < g->n_cases; i++)
		add_requests(&cases[i], &g->cases[i], requests, &n);
	if (!ok(model_file_run(m, kernels, requests, n, &limits, &err) == BN_OK,
			"%s, %s: %d requests in one schedule %s", name, kernels->name, n, err.detail))
		return;
	for (int i = 0; i < g->n_cases; i++)
	{
		char		what[256];

		snprintf(what, sizeof(what), "%s, %s, %d tokens", name, kernels->name,
				 g->cases[i].n_prompt);
		check_results(what, &cases[i], &g->cases[i]);
	}
}

static void
test_golden_file(const char *name)
{
	const bn_kernels *best = bn_kernels_select(NULL);
	const bn_kernels *scalar = bn_kernels_select("scalar");
	golden		g;
	model_file	m;
	char		path[256];

	snprintf(path, sizeof(path), "test/golden/%s.golden", name);
	if (!ok(golden_read(&g, path), "%s is readable", path))
		return;
	if (ok(model_file_make(&m, g.options), "%s: make_model and the core open it", name))
	{
		ok(m.file_bytes == g.file_bytes && m.file_checksum == g.file_checksum,
		   "%s: make_model writes the same bytes everywhere", name);
		n_same = 0;
		run_prompts(name, &m, &g, best, INT32_MAX);
		ok(n_same >= MIN_SAME, "%s: %d of %d logits are the same", name, n_same, g.n_cases);
		run_requests(name, &m, &g, best);
		if (scalar != best)
			run_prompts(name, &m, &g, scalar, SCALAR_TOKENS);
		model_file_close(&m);
	}
	golden_free(&g);
}

/* ------------------------- cases outside the repository ------------------ */

/* A whole file, terminated; NULL if it is not there. */
static char *
read_text(const char *path, size_t *length)
{
	FILE	   *f = fopen(path, "rb");
	char	   *text;

	if (!f)
		return NULL;
	text = calloc(1, 65536);
	*length = fread(text, 1, 65535, f);
	fclose(f);
	return text;
}

/* Numbers of a line that begins with a word, separated by anything else. */
static int
read_numbers(const char *text, const char *word, double *out, int max)
{
	const char *p = strstr(text, word);
	int			n = 0;

	for (p = p ? p + strlen(word) : ""; *p && *p != '\n' && n < max;)
	{
		char	   *end;
		double		value = strtod(p, &end);

		if (end == p)
			p++;
		else
		{
			out[n++] = value;
			p = end;
		}
	}
	return n;
}

static void
check_tokens(const char *what, const model_file *m, const char *prompt, size_t length,
			 const int32_t *ids, int n_ids)
{
	const bn_vocab *vocab = m->model.vocab;
	size_t		scratch_size;
	void	   *scratch;
	int32_t		tokens[1024];
	size_t		n = 0;
	bn_error	err = {0};
	bn_status	status;

	bn_encode_scratch_size(vocab, prompt, length, &scratch_size, NULL, NULL);
	scratch = model_file_memory(scratch_size);
	status = bn_encode(vocab, prompt, length, tokens, 1024, &n, NULL,
					   scratch, scratch_size, NULL, &err);
	ok(status == BN_OK && (int) n + 1 == n_ids && ids[0] == vocab->bos &&
	   memcmp(tokens, ids + 1, n * sizeof(int32_t)) == 0,
	   "%s: the prompt's %d tokens %s", what, n_ids, err.detail);
	free(scratch);
}

static void
check_continuation(const char *what, const model_file *m, const bn_kernels *kernels,
				   const char *text, const int32_t *ids, int n_ids, double std)
{
	double		numbers[64];
	int32_t		expected[64];
	float		gaps[64];
	int32_t		output[64];
	int			n = read_numbers(text, "greedy ", numbers, 64);
	bn_schedule_limits limits = model_file_limits(m, 1, 64, 1, 64 * 1024 * 1024);
	bn_error	err = {0};
	bn_request	request = {
		.kind = BN_REQUEST_GENERATE, .tokens = ids, .n_tokens = n_ids,
		.sampling = bn_sampling_default, .max_output = n, .output = output
	};

	for (int i = 0; i < n; i++)
		expected[i] = (int32_t) numbers[i];
	if (read_numbers(text, "gaps ", numbers, 64) != n)
	{
		skip("%s: no gaps in the file", what);
		return;
	}
	for (int i = 0; i < n; i++)
		gaps[i] = (float) (numbers[i] / std);
	if (ok(model_file_run(m, kernels, &request, 1, &limits, &err) == BN_OK,
		   "%s: continues %s", what, err.detail))
		check_greedy(what, output, request.n_output, expected, n, gaps, n);
}

static void
test_vector(const char *base, const char *model_name, const char *case_name,
			const model_file *m, const bn_kernels *kernels)
{
	static const char *const suffix[] = {"prompt", "ids", "bitnetcpp.txt", "f64.logits.f32"};
	char	   *text[4] = {NULL, NULL, NULL, NULL};
	size_t		length[4] = {0, 0, 0, 0};
	int			vocab_size = m->model.config->vocab_size;
	double		numbers[1024];
	int32_t		ids[1024];
	int			n_ids;
	char		what[256];
	bool		complete = true;

	snprintf(what, sizeof(what), "%s, %s, %s", model_name, case_name, kernels->name);
	for (int i = 0; i < 4; i++)
	{
		char		path[1024];

		snprintf(path, sizeof(path), "%s/%s.%s.%s", base, model_name, case_name, suffix[i]);
		text[i] = read_text(path, &length[i]);
		complete = complete && text[i];
	}
	if (ok(complete && length[3] == (size_t) vocab_size * sizeof(float), "%s: files", what))
	{
		const float *expected = (const float *) (void *) text[3];
		float	   *logits = model_file_memory(length[3]);
		double		sum = 0;
		double		squares = 0;
		double		std;

		n_ids = read_numbers(text[1], "", numbers, 1024);
		for (int i = 0; i < n_ids; i++)
			ids[i] = (int32_t) numbers[i];
		for (int i = 0; i < vocab_size; i++)
		{
			sum += expected[i];
			squares += (double) expected[i] * expected[i];
		}
		std = sqrt(squares / vocab_size - sum / vocab_size * (sum / vocab_size));
		check_tokens(what, m, text[0], length[0], ids, n_ids);
		if (ok(prompt_logits(m, kernels, ids, n_ids, logits), "%s: a step", what))
			check_logits(what, logits, expected, vocab_size, std);
		check_continuation(what, m, kernels, text[2], ids, n_ids, std);
		free(logits);
	}
	for (int i = 0; i < 4; i++)
		free(text[i]);
}

static void
test_vectors(void)
{
	static const char *const models[] = {"ref-a", "ref-b"};
	static const char *const cases[] = {"short", "medium", "long"};
	char		base[512];

	snprintf(base, sizeof(base), "%s/vectors/models", model_file_shared());
	for (int i = 0; i < 2; i++)
	{
		char		path[1024];
		FILE	   *f;
		model_file	m;

		snprintf(path, sizeof(path), "%s/%s.gguf", base, models[i]);
		f = fopen(path, "rb");
		if (!f)
		{
			skip("%s: not in this place", models[i]);
			continue;
		}
		fclose(f);
		if (!ok(model_file_open(&m, path), "%s: the core opens it", models[i]))
			continue;
		for (int k = 0; k < 3; k++)
			test_vector(base, models[i], cases[k], &m, bn_kernels_select(NULL));
		model_file_close(&m);
	}
}

int
main(int argc, char **argv)
{
	model_file_init(argv[0]);
	test_golden_file("gqa");
	test_golden_file("narrow");
	test_golden_file("wide");
	test_golden_file("sixbit");
	test_golden_file("odd");
	model_file_use_five(!model_file_uses_five());
	test_golden_file("narrow");
	test_golden_file("odd");
	model_file_use_five(!model_file_uses_five());
	test_vectors();
	return done_testing();
}
