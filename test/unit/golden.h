/*-------------------------------------------------------------------------
 *
 * golden.h
 *	  Reader of the golden files under test/golden.
 *
 * They are made by test/reference/make_golden.py: what a float64 forward pass,
 * written without the engine, says of models that make_model writes.  A file
 * is text, one record per line, a word that names it and then numbers:
 *
 *	model OPTIONS				how make_model is to be called
 *	file BYTES CHECKSUM			what it must write; FNV-1a, hexadecimal
 *
 * and for every prompt
 *
 *	prompt N ID...
 *	std X						standard deviation of the logits
 *	logits N X...				after the last token of the prompt
 *	greedy N ID...				continuation, up to a stop token or 16
 *	gaps N X...					lead over the second best, in std; one more
 *								than tokens if a stop token came
 *	score N_CONTEXT N_GREEDY LOGPROB IS_GREEDY
 *								of what follows the first N_CONTEXT tokens of
 *								the prompt with N_GREEDY tokens of the
 *								continuation; is_greedy is -1 if too close
 *	embedding N X...			mean of the hidden states, of length 1
 *
 * test/unit/golden.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_MAX_CASES 16
#define GOLDEN_MAX_SCORES 2
#define GOLDEN_SMALL_GAP 0.15	/* below, either token may be the best */

typedef struct golden_score
{
	int			n_context;
	int			n_greedy;
	double		logprob;
	int			is_greedy;
} golden_score;

typedef struct golden_case
{
	int			n_prompt;
	int32_t    *prompt;
	double		std;
	int			n_logits;
	float	   *logits;
	int			n_greedy;
	int32_t    *greedy;
	int			n_gaps;
	float	   *gaps;
	int			n_scores;
	golden_score scores[GOLDEN_MAX_SCORES];
	int			n_embedding;
	float	   *embedding;
} golden_case;

typedef struct golden
{
	char		options[512];
	uint64_t	file_bytes;
	uint64_t	file_checksum;
	int			n_cases;
	golden_case cases[GOLDEN_MAX_CASES];
} golden;

static inline void *
golden_list(FILE *f, int *n, bool integers)
{
	int32_t    *ids;
	float	   *numbers;

	if (fscanf(f, "%d", n) != 1 || *n < 0 || *n > 1000000)
		return NULL;
	ids = calloc((size_t) *n + 1, 4);
	numbers = (float *) ids;
	for (int i = 0; ids && i < *n; i++)
	{
		if (integers ? fscanf(f, "%" SCNd32, &ids[i]) != 1 : fscanf(f, "%f", &numbers[i]) != 1)
		{
			free(ids);
			return NULL;
		}
	}
	return ids;
}

/* One record of a case; false if it is malformed or out of place. */
static inline bool
golden_record(golden *g, FILE *f, const char *word)
{
	golden_case *c;

	if (strcmp(word, "prompt") == 0 && g->n_cases < GOLDEN_MAX_CASES)
	{
		c = &g->cases[g->n_cases++];
		return (c->prompt = golden_list(f, &c->n_prompt, true)) != NULL;
	}
	if (g->n_cases == 0)
		return false;
	c = &g->cases[g->n_cases - 1];
	if (strcmp(word, "std") == 0)
		return fscanf(f, "%lf", &c->std) == 1;
	if (strcmp(word, "logits") == 0)
		return (c->logits = golden_list(f, &c->n_logits, false)) != NULL;
	if (strcmp(word, "greedy") == 0)
		return (c->greedy = golden_list(f, &c->n_greedy, true)) != NULL;
	if (strcmp(word, "gaps") == 0)
		return (c->gaps = golden_list(f, &c->n_gaps, false)) != NULL;
	if (strcmp(word, "embedding") == 0)
		return (c->embedding = golden_list(f, &c->n_embedding, false)) != NULL;
	if (strcmp(word, "score") == 0 && c->n_scores < GOLDEN_MAX_SCORES)
	{
		golden_score *s = &c->scores[c->n_scores++];

		return fscanf(f, "%d %d %lf %d", &s->n_context, &s->n_greedy, &s->logprob,
					  &s->is_greedy) == 4;
	}
	return false;
}

/* Reads a file; false if it cannot be read to its end. */
static inline bool
golden_read(golden *g, const char *path)
{
	FILE	   *f = fopen(path, "r");
	char		word[32];
	bool		good = f != NULL;

	memset(g, 0, sizeof(*g));
	while (good && fscanf(f, "%31s", word) == 1)
	{
		if (strcmp(word, "#") == 0)
			good = fscanf(f, "%*[^\n]") == 0;
		else if (strcmp(word, "model") == 0)
			good = fscanf(f, " %511[^\n]", g->options) == 1;
		else if (strcmp(word, "file") == 0)
			good = fscanf(f, "%" SCNu64 " %" SCNx64, &g->file_bytes, &g->file_checksum) == 2;
		else
			good = golden_record(g, f, word);
	}
	if (f)
		fclose(f);
	for (int i = 0; good && i < g->n_cases; i++)
		good = g->cases[i].std > 0 && g->cases[i].logits && g->cases[i].gaps &&
			g->cases[i].greedy && g->cases[i].embedding;
	return good && g->n_cases > 0 && g->options[0];
}

static inline void
golden_free(golden *g)
{
	for (int i = 0; i < g->n_cases; i++)
	{
		free(g->cases[i].prompt);
		free(g->cases[i].logits);
		free(g->cases[i].greedy);
		free(g->cases[i].gaps);
		free(g->cases[i].embedding);
	}
	memset(g, 0, sizeof(*g));
}

#endif							/* GOLDEN_H */
