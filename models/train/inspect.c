/*-------------------------------------------------------------------------
 *
 * inspect.c
 *	  Looking at a trained model.
 *
 * An answer counts as exact if every token of it is the most likely one given
 * the right tokens before it; that is when greedy generation gives it whole.
 *
 * models/train/inspect.c
 *
 *-------------------------------------------------------------------------
 */
#include "inspect.h"

#include <stdio.h>
#include <stdlib.h>

void
inspect_eval(trainer *tr, const char *path)
{
	dataset		ds;
	pass_result r;

	dataset_open(&ds, path, 1, tr->model.config.vocab, 0);
	workers_init(tr, false);
	prepare_weights(tr);
	r = evaluate(tr, &ds, INT64_MAX, NULL);
	workers_end(tr);
	printf("%s: %lld records, loss %.4f, tokens right %.2f %%, whole answers right %.2f %%\n", path,
		   (long long) r.sequences, r.loss, 100 * r.accuracy, 100 * r.exact);
}

static void
one_sequence(trainer *tr, batch *b, int n, char **ids)
{
	if (n < 1 || n > tr->model.config.context)
	{
		fprintf(stderr, "trainer: needs between 1 and %d token ids\n", tr->model.config.context);
		exit(2);
	}
	batch_init(b, tr->rows);
	for (int i = 0; i < n; i++)
	{
		b->token[i] = atoi(ids[i]);
		if (b->token[i] < 0 || b->token[i] >= tr->model.config.vocab)
		{
			fprintf(stderr, "trainer: %s is not a token\n", ids[i]);
			exit(2);
		}
	}
	workspace_init(&tr->ws[0], &tr->model, tr->rows, false);
	model_prepare(&tr->model, 0, 1);
}

/* Logits after the first n tokens of the batch. */
static void
logits_after(trainer *tr, batch *b, int n, real *logits)
{
	b->sequence[0] = (sequence) {0, n, 1, 0};
	b->n_sequences = 1;
	for (b->rows = n; b->rows % MM_ROWS != 0; b->rows++)
		b->token[b->rows] = 0;
	if (b->rows > n)
		b->sequence[b->n_sequences++] = (sequence) {n, b->rows - n, 0, 0};
	model_forward(&tr->model, &tr->ws[0], b);
	model_logits(&tr->model, &tr->ws[0], n - 1, logits);
}

void
inspect_logits(trainer *tr, const char *path, int n, char **ids)
{
	int			vocab = tr->model.config.vocab;
	real	   *logits = mm_alloc(sizeof(real) * vocab);
	batch		b;
	FILE	   *f;

	one_sequence(tr, &b, n, ids);
	logits_after(tr, &b, n, logits);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(logits, sizeof(real), vocab, f) != (size_t) vocab || fclose(f) != 0)
	{
		fprintf(stderr, "trainer: %s: cannot be written\n", path);
		exit(1);
	}
}

void
inspect_generate(trainer *tr, int count, int n, char **ids)
{
	int			vocab = tr->model.config.vocab;
	real	   *logits = mm_alloc(sizeof(real) * vocab);
	batch		b;

	one_sequence(tr, &b, n, ids);
	for (; count > 0 && n < tr->model.config.context; count--)
	{
		int			best = 0;

		logits_after(tr, &b, n, logits);
		for (int i = 1; i < vocab; i++)
			if (logits[i] > logits[best])
				best = i;
		printf("%d ", best);
		fflush(stdout);
		b.token[n++] = best;
	}
	printf("\n");
}
