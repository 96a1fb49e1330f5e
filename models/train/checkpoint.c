/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *	  Saving a run and taking it up again.
 *
 * A checkpoint is the header, then parameters and both means of the optimiser
 * as they lie in memory.  It appears under its name only when it is whole.
 *
 * models/train/checkpoint.c
 *
 *-------------------------------------------------------------------------
 */
#include "train.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAGIC "bitnet training checkpoint 1"

typedef struct checkpoint_header
{
	char		magic[32];
	model_config config;
	int32_t		quant;
	uint64_t	seed;
	uint64_t	n_params;
	run_position at;
} checkpoint_header;

static void
fail(const char *path, const char *why)
{
	fprintf(stderr, "trainer: %s: %s\n", path, why);
	exit(1);
}

void
checkpoint_save(const trainer *tr, const char *path)
{
	checkpoint_header h = {.magic = MAGIC};
	size_t		n = tr->model.n_params;
	char		temporary[4096];
	FILE	   *f;

	if ((size_t) snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		fail(path, "the path is too long");
	h.config = tr->model.config;
	h.quant = tr->model.quant;
	h.seed = tr->seed;
	h.n_params = n;
	h.at = tr->at;
	h.at.adam_steps = tr->optimizer.steps;
	f = fopen(temporary, "wb");
	if (f == NULL)
		fail(temporary, strerror(errno));
	if (fwrite(&h, sizeof(h), 1, f) != 1 ||
		fwrite(tr->model.param, sizeof(real), n, f) != n ||
		fwrite(tr->optimizer.first, sizeof(real), n, f) != n ||
		fwrite(tr->optimizer.second, sizeof(real), n, f) != n ||
		fflush(f) != 0 || fsync(fileno(f)) != 0 || fclose(f) != 0 || rename(temporary, path) != 0)
		fail(path, strerror(errno));
}

static FILE *
open_checkpoint(const char *path, checkpoint_header *h)
{
	FILE	   *f = fopen(path, "rb");

	if (f == NULL)
		return NULL;
	if (fread(h, sizeof(*h), 1, f) != 1 || strcmp(h->magic, MAGIC) != 0)
		fail(path, "is not a checkpoint of this trainer");
	return f;
}

bool
checkpoint_load(trainer *tr, const char *path)
{
	checkpoint_header h;
	FILE	   *f = open_checkpoint(path, &h);
	size_t		n = tr->model.n_params;

	if (f == NULL)
		return false;
	if (memcmp(&h.config, &tr->model.config, sizeof(h.config)) != 0 || h.quant != (int32_t) tr->model.quant ||
		h.n_params != n)
		fail(path, "is of a model of another shape or kind");
	if (fread(tr->model.param, sizeof(real), n, f) != n)
		fail(path, "ends too early");
	if (tr->optimizer.first &&
		(fread(tr->optimizer.first, sizeof(real), n, f) != n || fread(tr->optimizer.second, sizeof(real), n, f) != n))
		fail(path, "ends too early");
	fclose(f);
	tr->at = h.at;
	tr->seed = h.seed;
	tr->optimizer.steps = h.at.adam_steps;
	return true;
}

void
checkpoint_peek(const char *path, model_config *config, quant_mode *quant)
{
	checkpoint_header h;
	FILE	   *f = open_checkpoint(path, &h);

	if (f == NULL)
		fail(path, strerror(errno));
	fclose(f);
	*config = h.config;
	*quant = (quant_mode) h.quant;
}
