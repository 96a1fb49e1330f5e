/*-------------------------------------------------------------------------
 *
 * test_head.c
 *	  The largest logits are the same whether the head is screened or not.
 *
 * The head and the last norm of a small model are overwritten with all kinds of
 * values, the screen is made anew, and the best of a step that asks for some
 * of the largest logits are compared, bit for bit, with those found by sorting
 * all logits of a step that asks for all.
 *
 * test/unit/test_head.c
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model_file.h"
#include "tap.h"

#include "../../src/core/image_plan.h"

#define N_TOKENS 6				/* of a step */
#define MAX_VOCAB 8000
#define MANY (vocab / 8 / 16)	/* exact rows: beyond, they are not computed for each input by itself */

static int	vocab;				/* of the model under test */
static uint32_t random_state = 12345;

static uint32_t
next_random(void)
{
	random_state = random_state * UINT32_C(1664525) + UINT32_C(1013904223);
	return random_state >> 8;
}

/* about -1 .. 1 */
static float
random_float(void)
{
	return (float) next_random() / 8388608.0f - 1.0f;
}

typedef enum head_kind
{
	PLAIN = 0,
	EQUAL,						/* all rows the same */
	TWINS,						/* every row three times */
	NEIGHBOURS,					/* rows that differ from one in one last bit */
	OUTLIERS,					/* one weight of a row is the largest half */
	SUBNORMAL,					/* all weights are subnormal halves */
	MIXED,						/* scales of rows from 2^-24 to 2^15 */
	ZEROS,						/* zeros of both signs but for a few rows */
	OPPOSED,					/* half of the rows negate the others */
	HEAD_KINDS
} head_kind;

static const char *const head_names[HEAD_KINDS] = {
	"random rows", "equal rows", "rows three times", "rows that differ in one bit", "outliers",
	"subnormal weights", "rows of many scales", "zeros", "rows and their negatives"
};

typedef enum norm_kind
{
	ONES = 0, HUGE_ONE, HUGE_ALL, TINY, VANISHING, MANY_SCALES, NOTHING, NORM_KINDS
} norm_kind;

static const char *const norm_names[NORM_KINDS] = {
	"plain x", "x with an outlier", "huge x", "tiny x", "subnormal x", "x of many scales", "x = 0"
};

static uint16_t
half_of(float f)
{
	uint16_t	h;

	bn_kernels_select("scalar")->f32_to_f16(&h, &f, 1);
	return h;
}

static void
fill_row(uint16_t *row, int cols, head_kind kind, int r, const uint16_t *first)
{
	int			exponent = (int) (next_random() % 40) - 24;
	int			i;

	for (i = 0; i < cols; i++)
	{
		float		f = random_float();

		if (kind == OUTLIERS && i == r % cols)
			f = r % 2 ? 65504.0f : -65504.0f;
		if (kind == SUBNORMAL)
			f *= 0x1p-15f;
		if (kind == MIXED)
			f = ldexpf(f, exponent);
		if (kind == ZEROS && r % 100 != 50)
			f = copysignf(0.0f, f);
		row[i] = half_of(f);
		if (r > 0 && (kind == EQUAL || kind == NEIGHBOURS))
			row[i] = first[i];
		if (r % 3 > 0 && kind == TWINS)
			row[i] = row[i - r % 3 * cols];
		if (r % 2 > 0 && kind == OPPOSED)
			row[i] = row[i - cols] ^ 0x8000;
	}
	if (kind == NEIGHBOURS)
		row[r % cols] ^= 1;
}

/* Overwrites the head and the last norm of the model and makes the screen. */
static void
change_model(const model_file *m, head_kind head, norm_kind norm)
{
	bn_image_header *h = m->image;
	const bn_tensor *w = &h->output;
	uint16_t   *rows = (uint16_t *) ((char *) m->image + w->offset);
	float	   *weight = (float *) ((char *) m->image + h->output_norm.offset);
	void	   *scratch = model_file_memory(BN_SCREEN_SCRATCH);
	bn_error	err;
	int			i;

	for (i = 0; i < w->rows; i++)
		fill_row(rows + i * w->cols, w->cols, head, i, rows);
	for (i = 0; i < w->cols; i++)
	{
		static const float factors[NORM_KINDS] = {1, 1, 1e25f, 1e-25f, 1e-41f, 1, 0};

		weight[i] = (random_float() + 1.5f) * factors[norm];
		if (norm == HUGE_ONE && i == 17)
			weight[i] = 1e4f;
		if (norm == MANY_SCALES)
			weight[i] = ldexpf(weight[i], (int) (next_random() % 60) - 40);
	}
	ok(bn_screen_build(h, scratch, NULL, &err) == BN_OK, "%s, %s", head_names[head],
	   norm_names[norm]);
	free(scratch);
}

/* One step of N_TOKENS tokens of a sequence, n_best of each (0: all logits). */
static bn_status
run_step(const model_file *m, const bn_kernels *kernels, int threads, const int *n_best,
		 float *logits, bn_candidate *best)
{
	const bn_config *c = m->model.config;
	int32_t		pages[1];
	bn_sequence seq = {0, 0, 1, pages};
	bn_step_entry entries[N_TOKENS];
	void	   *memory[3];
	bn_kv	   *kv;
	bn_pool    *pool;
	bn_engine  *engine;
	bn_status	status;
	int			i;

	memory[0] = model_file_memory(bn_kv_size(c, 1));
	memory[1] = model_file_memory(bn_pool_size(threads));
	memory[2] = model_file_memory(bn_engine_size(c, N_TOKENS, threads, N_TOKENS));
	kv = bn_kv_init(memory[0], c, 1);
	pool = bn_pool_init(memory[1], threads);
	engine = bn_engine_init(memory[2], &m->model, kv, kernels, pool, N_TOKENS, N_TOKENS);
	for (i = 0; i < N_TOKENS; i++)
		entries[i] = (bn_step_entry) {
			.sequence = &seq,
			.position = i,
			.token = 30 + i * 31,
			.logits = logits + i * vocab,
			.n_best = n_best[i],
			.best = best + i * vocab
		};
	status = bn_sequence_begin(kv, &seq, NULL, 0, 0, N_TOKENS);
	if (status == BN_OK)
		status = bn_step(engine, entries, N_TOKENS, NULL, NULL);
	for (i = 0; i < 3; i++)
		free(memory[i]);
	return status;
}

static const float *sorted_logits;

static int
compare_tokens(const void *a, const void *b)
{
	int32_t		x = *(const int32_t *) a;
	int32_t		y = *(const int32_t *) b;

	if (sorted_logits[x] != sorted_logits[y])
		return sorted_logits[x] > sorted_logits[y] ? -1 : 1;
	return x < y ? -1 : 1;
}

/* Are these the n first of all tokens sorted by their logits? */
static bool
same_best(const float *logits, const bn_candidate *best, int n)
{
	static int32_t tokens[MAX_VOCAB];
	int			i;

	for (i = 0; i < vocab; i++)
		tokens[i] = i;
	sorted_logits = logits;
	qsort(tokens, (size_t) vocab, sizeof(int32_t), compare_tokens);
	for (i = 0; i < n; i++)
	{
		float		logit = (float) best[i].logprob;

		if (best[i].token != tokens[i] ||
			memcmp(&logit, &logits[tokens[i]], sizeof(float)) != 0)
			return false;
	}
	return true;
}

/* How often the screen was of use, and how often it left many rows */
typedef struct usefulness
{
	int			screened;
	int			many;
} usefulness;

/*
 * Compares steps that ask for different numbers of candidates with one that
 * asks for all logits.  Where not all rows were computed, the work space holds
 * other values than the logits.
 */
static usefulness
compare_steps(const model_file *m, const bn_kernels *kernels, const char *what)
{
	const int	most = vocab / 32;
	const int	wanted[][N_TOKENS] = {
		{1, 1, 1, 1, 1, 1},
		{most, 1, 0, 5, most + 1, 2},
		{20, 20, most, 20, 20, most},
		{vocab, 0, 0, most, 0, 1}
	};
	static float logits[N_TOKENS * MAX_VOCAB];
	static float work[N_TOKENS * MAX_VOCAB];
	static bn_candidate best[N_TOKENS * MAX_VOCAB];
	static const int all[N_TOKENS];
	bn_status	expected = run_step(m, kernels, 1, all, logits, best);
	bool		same = true;
	usefulness	u = {0};

	for (int k = 0; k < 4; k++)
	{
		bn_status	status = run_step(m, kernels, 1 + k % 2, wanted[k], work, best);

		same = same && status == expected;
		for (int i = 0; expected == BN_OK && i < N_TOKENS; i++)
		{
			const float *row = logits + i * vocab;
			int			exact = 0;

			for (int t = 0; t < vocab; t++)
				exact += memcmp(work + i * vocab + t, row + t, sizeof(float)) == 0;
			same = same && same_best(row, best + i * vocab, wanted[k][i]);
			same = same && (exact == vocab || (wanted[k][i] > 0 && wanted[k][i] <= most));
			u.screened += exact < vocab;
			u.many += exact > MANY && exact < vocab;
		}
	}
	ok(same, "%s, %s: the same as from all logits (%d screened, %d of them with many rows left)",
	   kernels->name, what, u.screened, u.many);
	return u;
}

static void
test_model(const char *options)
{
	usefulness	useful[HEAD_KINDS] = {0};
	model_file	m;

	if (!ok(model_file_make(&m, options), "make_model %s", options))
		return;
	vocab = m.model.config->vocab_size;
	ok(m.model.header->screen.type == BN_TENSOR_INT6 && vocab <= MAX_VOCAB, "its image has a screen");
	for (int head = 0; head < HEAD_KINDS; head++)
		for (int norm = 0; norm < NORM_KINDS; norm++)
		{
			char		what[100];
			usefulness	u;

			snprintf(what, sizeof(what), "%s, %s", head_names[head], norm_names[norm]);
			change_model(&m, (head_kind) head, (norm_kind) norm);
			u = compare_steps(&m, bn_kernels_select(NULL), what);
			useful[head].screened += u.screened;
			useful[head].many += u.many;
			if (norm == HUGE_ONE)
				for (int k = 0; bn_kernels_list[k]; k++)
					if (bn_kernels_list[k]->supported())
						compare_steps(&m, bn_kernels_list[k], what);
		}
	ok(useful[PLAIN].screened > 30 && useful[MIXED].screened > 30 && useful[EQUAL].screened == 0,
	   "the screen spares work where it can, and gives up where all rows are equal");
	ok(useful[PLAIN].many > 10, "of random rows it left many %d times", useful[PLAIN].many);
	model_file_close(&m);
}

int
main(int argc, char **argv)
{
	model_file_init(argv[0]);
	test_model("--layers 1 --hidden 128 --ffn 128 --heads 2 --kv 1 --vocab 1000 --ctx 64 --seed 5 "
			   "--embd f16");
	test_model("--layers 1 --hidden 80 --ffn 96 --heads 2 --kv 2 --vocab 1000 --ctx 64 --seed 6 "
			   "--embd f16");
	test_model("--layers 1 --hidden 80 --ffn 96 --heads 2 --kv 2 --vocab 8000 --ctx 64 --seed 7 "
			   "--embd f16");
	return done_testing();
}
