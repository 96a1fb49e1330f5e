/*-------------------------------------------------------------------------
 *
 * trainer.c
 *	  The program: options, and the stages of a run one after the other.
 *
 * models/train/trainer.c
 *
 *-------------------------------------------------------------------------
 */
#include "train.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "inspect.h"

#define SHOW_SECONDS 10			/* between progress lines */
#define LOG_STEPS 20			/* between lines of the log */
#define SAVE_SECONDS 120
#define VALID_STEPS 250
#define WARMUP_TOKENS 150000.0
#define MAX_BATCH 65536

extern void openblas_set_num_threads(int n);

static volatile sig_atomic_t stop_wanted;

static void
handle_stop(int signal_number)
{
	(void) signal_number;
	stop_wanted = 1;
}

/* What was seen since the last line of the log, and since the last progress line. */
typedef struct window
{
	double		loss;
	double		accuracy;
	double		norm;
	int			steps;
	int64_t		rows;
	double		since;
} window;

static void
window_add(window *w, const pass_result *r, double norm)
{
	w->loss += r->loss;
	w->accuracy += r->accuracy;
	w->norm += norm;
	w->steps++;
	w->rows += r->rows;
}

static void
log_line(const trainer *tr, const char *kind, double rate, double loss, double accuracy, double extra)
{
	char		path[4096];
	FILE	   *f;

	run_path(path, sizeof(path), tr->out_dir, "train.csv");
	f = fopen(path, "a");
	if (f == NULL)
		return;
	if (ftell(f) == 0)
		fprintf(f, "stage,kind,step,tokens,seconds,rate,loss,accuracy,extra\n");
	fprintf(f, "%s,%s,%d,%lld,%.1f,%.6g,%.5f,%.5f,%.5f\n", tr->stage[tr->at.stage].name, kind, tr->at.stage_steps,
			(long long) tr->at.total_tokens, tr->at.seconds, rate, loss, accuracy, extra);
	fclose(f);
}

/* Tokens of all stages that are still to be trained on. */
static double
tokens_left(const trainer *tr)
{
	double		left = -(double) tr->at.stage_tokens;

	for (int s = tr->at.stage; s < STAGES; s++)
		left += tr->stage[s].tokens;
	return left > 0 ? left : 0;
}

static void
show_progress(const trainer *tr, const stage *s, const window *w, double rate, double now)
{
	double		speed = w->rows / (now - w->since);
	double		left = tokens_left(tr) / speed;

	printf("%-8s step %5d  %5.1f %%  %6.2fM tokens  %6.0f tokens/s  rate %.2e  loss %.4f  right %5.1f %%  norm %.2f  "
		   "left %d:%02d:%02d\n",
		   s->name, tr->at.stage_steps, 100 * tr->at.stage_tokens / s->tokens, tr->at.total_tokens / 1e6, speed, rate,
		   w->loss / w->steps, 100 * w->accuracy / w->steps, w->norm / w->steps, (int) left / 3600,
		   (int) left / 60 % 60, (int) left % 60);
	fflush(stdout);
}

static void
validate(trainer *tr, const stage *s, dataset *valid)
{
	pass_result r = evaluate(tr, valid, VALID_ROWS, NULL);

	printf("%-8s step %5d  held-out: loss %.4f  tokens right %5.1f %%  whole answers right %5.1f %%\n", s->name,
		   tr->at.stage_steps, r.loss, 100 * r.accuracy, 100 * r.exact);
	fflush(stdout);
	log_line(tr, "valid", 0, r.loss, r.accuracy, r.exact);
}

static void
validate_embeddings(trainer *tr, const stage *s, dataset *valid)
{
	pass_result r = evaluate_embeddings(tr, valid, VALID_ROWS);

	printf("%-8s step %5d  held-out: embeddings: loss %.4f  neighbours right %5.1f %%\n", s->name, tr->at.stage_steps,
		   r.loss, 100 * r.accuracy);
	fflush(stdout);
	log_line(tr, "embed", 0, r.loss, r.accuracy, 0);
}

static void
save(trainer *tr, const char *name)
{
	char		path[4096];

	run_path(path, sizeof(path), tr->out_dir, name);
	checkpoint_save(tr, path);
}

/* log p of every answer before preference optimisation begins; kept in a file for a resumed run. */
static real *
reference_scores(trainer *tr, dataset *ds)
{
	char		path[4096];
	size_t		n = (size_t) ds->n * ds->group;
	real	   *reference = mm_alloc(sizeof(real) * n);
	uint64_t	seed = ds->seed;
	FILE	   *f;

	run_path(path, sizeof(path), tr->out_dir, "reference.bin");
	f = tr->at.stage_steps > 0 ? fopen(path, "rb") : NULL;
	if (f)
	{
		bool		whole = fread(reference, sizeof(real), n, f) == n;

		fclose(f);
		if (whole)
			return reference;
	}
	ds->seed = 0;				/* in the order of the file */
	evaluate(tr, ds, INT64_MAX, reference);
	ds->seed = seed;
	ds->order_epoch = -1;
	f = fopen(path, "wb");
	if (f == NULL || fwrite(reference, sizeof(real), n, f) != n || fclose(f) != 0)
	{
		fprintf(stderr, "trainer: %s: cannot be written\n", path);
		exit(1);
	}
	return reference;
}

/* What a stage reads; texts only where embeddings are trained, reference only of preferences. */
typedef struct stage_data
{
	dataset		records;
	dataset		valid;
	dataset		texts;
	dataset		valid_texts;
	real	   *reference;
} stage_data;

static void
open_records(const trainer *tr, dataset *ds, const char *file, int group, uint64_t seed)
{
	char		path[4096];

	run_path(path, sizeof(path), tr->data_dir, file);
	dataset_open(ds, path, group, tr->model.config.vocab, seed);
}

static void
open_data(trainer *tr, const stage *s, stage_data *d)
{
	uint64_t	seed = tr->seed + tr->at.stage;

	*d = (stage_data) {0};
	open_records(tr, &d->records, s->file, s->group, seed);
	open_records(tr, &d->valid, s->valid_file, 1, 0);
	printf("%-8s %d records, %.2fM tokens; training on %.2fM tokens (%.1f times)\n", s->name,
		   d->records.n * d->records.group, d->records.tokens / 1e6, s->tokens / 1e6, s->tokens / d->records.tokens);
	if (s->embed_every > 0)
	{
		open_records(tr, &d->texts, "embed.bin", 2, seed);
		open_records(tr, &d->valid_texts, "valid_embed.bin", 2, 0);
	}
	if (s->group == 2)
		d->reference = reference_scores(tr, &d->records);
}

/* One step on records, before it one on texts where it is time for that; returns the norm of the gradient. */
static double
step_of_stage(trainer *tr, const stage *s, stage_data *d, step_rates rates, pass_result *r, window *shown)
{
	double		norm;

	if (s->embed_every > 0 && tr->at.stage_steps % s->embed_every == s->embed_every - 1)
	{
		next_batches(tr, &d->texts, &tr->at.embed_cursor, s->rows, false);
		train_embeddings(tr, rates, r);
		tr->at.stage_tokens += r->rows;
		tr->at.total_tokens += r->rows;
		shown->rows += r->rows;
	}
	next_batches(tr, &d->records, &tr->at.cursor, s->rows, false);
	norm = train_step(tr, s, rates, d->reference, r);
	tr->at.stage_steps++;
	tr->at.stage_tokens += r->rows;
	tr->at.total_tokens += r->rows;
	window_add(shown, r, norm);
	return norm;
}

/* Returns false if it was stopped. */
static bool
run_stage(trainer *tr)
{
	const stage *s = &tr->stage[tr->at.stage];
	double		begin = clock_seconds() - tr->at.seconds;
	double		saved = clock_seconds();
	window		shown = {.since = saved};
	window		logged = {0};
	stage_data	d;

	open_data(tr, s, &d);
	if (tr->at.stage_steps == 0)
		validate(tr, s, &d.valid);

	while (tr->at.stage_tokens < s->tokens)
	{
		step_rates	rates = schedule(tr->at.stage_tokens / s->tokens, WARMUP_TOKENS / s->tokens, s->peak, s->decay);
		pass_result r;
		double		norm = step_of_stage(tr, s, &d, rates, &r, &shown);
		double		now = clock_seconds();

		tr->at.seconds = now - begin;
		window_add(&logged, &r, norm);
		if (logged.steps == LOG_STEPS)
		{
			log_line(tr, "train", rates.rate, logged.loss / LOG_STEPS, logged.accuracy / LOG_STEPS,
					 d.reference ? r.margin : logged.norm / LOG_STEPS);
			logged = (window) {0};
		}
		if (now - shown.since >= SHOW_SECONDS)
		{
			show_progress(tr, s, &shown, rates.rate, now);
			shown = (window) {.since = now};
		}
		if (tr->at.stage_steps % VALID_STEPS == 0)
		{
			validate(tr, s, &d.valid);
			if (s->embed_every > 0)
				validate_embeddings(tr, s, &d.valid_texts);
		}
		if (now - saved >= SAVE_SECONDS)
		{
			save(tr, "model.ckpt");
			saved = now;
		}
		if (stop_wanted)
		{
			save(tr, "model.ckpt");
			printf("stopped; the same command goes on from here\n");
			return false;
		}
	}
	validate(tr, s, &d.valid);
	free(d.reference);
	return true;
}

/* Returns the exit status: an interrupted run is not a finished one. */
static int
run(trainer *tr)
{
	char		path[4096];

	run_path(path, sizeof(path), tr->out_dir, "model.ckpt");
	optimizer_init(&tr->optimizer, &tr->model);
	model_randomize(&tr->model, tr->seed);
	if (checkpoint_load(tr, path))
		printf("going on from %s: stage %d, step %d\n", path, tr->at.stage + 1, tr->at.stage_steps);
	workers_init(tr, true);
	prepare_weights(tr);
	printf("%.2fM parameters, %s, %d threads\n", tr->model.n_params / 1e6,
		   tr->model.quant == QUANT_NONE ? "full precision" : "ternary", tr->threads);
	signal(SIGINT, handle_stop);
	signal(SIGTERM, handle_stop);
	while (tr->at.stage < STAGES)
	{
		char		name[64];

		if (tr->stage[tr->at.stage].tokens > 0 && !run_stage(tr))
			return 3;
		snprintf(name, sizeof(name), "%s.ckpt", tr->stage[tr->at.stage].name);
		save(tr, name);
		tr->at.stage++;
		tr->at.stage_steps = 0;
		tr->at.stage_tokens = 0;
		tr->at.cursor = tr->at.embed_cursor = (cursor) {0};
		/* Every stage starts its means anew: its gradients are of another kind. */
		memset(tr->optimizer.first, 0, sizeof(real) * tr->model.n_params);
		memset(tr->optimizer.second, 0, sizeof(real) * tr->model.n_params);
		tr->optimizer.steps = 0;
		save(tr, "model.ckpt");
	}
	printf("done\n");
	return 0;
}

static const char *const usage =
"Trains the default model, or looks at a checkpoint.\n"
"\n"
"  trainer [options]                  train, or go on from OUT/model.ckpt\n"
"  trainer [options] --eval FILE      loss and exact answers on records\n"
"  trainer [options] --logits FILE ID...\n"
"                                     logits after these tokens, as the exported file gives them\n"
"  trainer [options] --generate N ID...\n"
"                                     N most likely tokens after these\n"
"  trainer [options] --export FILE    tensors of the published layout, for export.py\n"
"\n"
"  --data DIR           training data (build/train)\n"
"  --out DIR            checkpoints and log (build/train)\n"
"  --checkpoint FILE    what to look at (OUT/model.ckpt)\n"
"  --threads N          (2)\n"
"  --batch N            tokens of a thread in a step of fine-tuning (2048)\n"
"  --seed N             (1; later that of the checkpoint)\n"
"  --full-precision     no quantisers\n"
"  --embedding-only     the matrices stay as they are\n"
"  --dim N --layers N --ffn N --heads N --kv-heads N --vocab N\n"
"  --pretrain-tokens N --sft-tokens N --dpo-tokens N\n"
"  --pretrain-rate R --sft-rate R --dpo-rate R\n";

enum
{
	OPT_EVAL = 256, OPT_LOGITS, OPT_GENERATE, OPT_EXPORT, OPT_DATA, OPT_OUT, OPT_CHECKPOINT, OPT_THREADS, OPT_BATCH, OPT_SEED,
	OPT_FULL, OPT_EMBEDDING_ONLY, OPT_DIM, OPT_LAYERS, OPT_FFN, OPT_HEADS, OPT_KV_HEADS, OPT_VOCAB, OPT_HELP,
	OPT_TOKENS,					/* and one for each stage */
	OPT_RATE = OPT_TOKENS + STAGES
};

static const struct option options[] = {
	{"eval", required_argument, NULL, OPT_EVAL},
	{"logits", required_argument, NULL, OPT_LOGITS},
	{"generate", required_argument, NULL, OPT_GENERATE},
	{"export", required_argument, NULL, OPT_EXPORT},
	{"data", required_argument, NULL, OPT_DATA},
	{"out", required_argument, NULL, OPT_OUT},
	{"checkpoint", required_argument, NULL, OPT_CHECKPOINT},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"batch", required_argument, NULL, OPT_BATCH},
	{"seed", required_argument, NULL, OPT_SEED},
	{"full-precision", no_argument, NULL, OPT_FULL},
	{"embedding-only", no_argument, NULL, OPT_EMBEDDING_ONLY},
	{"dim", required_argument, NULL, OPT_DIM},
	{"layers", required_argument, NULL, OPT_LAYERS},
	{"ffn", required_argument, NULL, OPT_FFN},
	{"heads", required_argument, NULL, OPT_HEADS},
	{"kv-heads", required_argument, NULL, OPT_KV_HEADS},
	{"vocab", required_argument, NULL, OPT_VOCAB},
	{"pretrain-tokens", required_argument, NULL, OPT_TOKENS},
	{"sft-tokens", required_argument, NULL, OPT_TOKENS + 1},
	{"dpo-tokens", required_argument, NULL, OPT_TOKENS + 2},
	{"pretrain-rate", required_argument, NULL, OPT_RATE},
	{"sft-rate", required_argument, NULL, OPT_RATE + 1},
	{"dpo-rate", required_argument, NULL, OPT_RATE + 2},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0}
};

/* What can be asked for besides training. */
typedef struct request
{
	int			what;
	const char *argument;
	const char *checkpoint;
} request;

static void
read_options(trainer *tr, model_config *c, quant_mode *quant, request *ask, int argc, char **argv)
{
	int			o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (o)
		{
			case OPT_EVAL:
			case OPT_LOGITS:
			case OPT_GENERATE:
			case OPT_EXPORT:
				ask->what = o;
				ask->argument = optarg;
				break;
			case OPT_DATA:
				tr->data_dir = optarg;
				break;
			case OPT_OUT:
				tr->out_dir = optarg;
				break;
			case OPT_CHECKPOINT:
				ask->checkpoint = optarg;
				break;
			case OPT_THREADS:
				tr->threads = atoi(optarg);
				break;
			case OPT_BATCH:
				tr->stage[1].rows = atoi(optarg);
				break;
			case OPT_SEED:
				tr->seed = strtoull(optarg, NULL, 10);
				break;
			case OPT_FULL:
				*quant = QUANT_NONE;
				break;
			case OPT_EMBEDDING_ONLY:
				tr->embedding_only = true;
				break;
			case OPT_DIM:
				c->dim = atoi(optarg);
				break;
			case OPT_LAYERS:
				c->layers = atoi(optarg);
				break;
			case OPT_FFN:
				c->ffn = atoi(optarg);
				break;
			case OPT_HEADS:
				c->heads = atoi(optarg);
				break;
			case OPT_KV_HEADS:
				c->kv_heads = atoi(optarg);
				break;
			case OPT_VOCAB:
				c->vocab = atoi(optarg);
				break;
			case OPT_HELP:
				fputs(usage, stdout);
				exit(0);
			default:
				if (o >= OPT_TOKENS && o < OPT_TOKENS + STAGES)
					tr->stage[o - OPT_TOKENS].tokens = atof(optarg);
				else if (o >= OPT_RATE && o < OPT_RATE + STAGES)
					tr->stage[o - OPT_RATE].peak = atof(optarg);
				else
				{
					fputs(usage, stderr);
					exit(2);
				}
		}
}

static void
check_options(const trainer *tr, const model_config *c)
{
	const char *wrong = NULL;

	if (tr->stage[1].rows < 2 * c->context || tr->stage[1].rows > MAX_BATCH || tr->stage[1].rows % MM_ROWS != 0)
		wrong = "--batch must be a multiple of 16 between 1024, two of the longest records, and 65536";
	else if (tr->threads < 1 || tr->threads > MAX_THREADS)
		wrong = "--threads must be between 1 and 64";
	else if (c->layers < 1 || c->vocab < 128 || c->vocab > 65536 || c->vocab % 128 != 0 || c->dim < 128 ||
			 c->dim % 128 != 0 || c->ffn < 128 || c->ffn % 128 != 0)
		wrong = "the vocabulary, the width and the width inside must be multiples of 128";
	else if (c->heads < 1 || c->kv_heads < 1 || c->heads % c->kv_heads != 0 || c->heads * c->head_dim != c->dim ||
			 c->kv_heads * c->head_dim % 32 != 0)
		wrong = "heads must be a multiple of kv-heads and 64 numbers each";
	if (wrong)
	{
		fprintf(stderr, "trainer: %s\n", wrong);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	static trainer tr = {
		.stage = {
			{"pretrain", "pretrain.bin", "valid_pretrain.bin", 1, 1024, 12e6, 3e-3, 0.1, 0, 0},
			{"sft", "sft.bin", "valid_sft.bin", 1, 2048, 50e6, 2e-3, 0.1, 0.5, 4},
			{"dpo", "dpo.bin", "valid_sft.bin", 2, 2048, 0, 1e-4, 0, 0.5, 0},
		},
		.threads = 2,
		.seed = 1,
		.data_dir = "build/train",
		.out_dir = "build/train",
	};
	model_config config = {
		.vocab = 4480,.dim = 256,.layers = 6,.ffn = 768,.heads = 4,.kv_heads = 2,.head_dim = 64,
		.context = 512,.theta = 10000,.eps = 1e-5f
	};
	quant_mode	quant = QUANT_TERNARY;
	request		ask = {0};
	char		path[4096];

	read_options(&tr, &config, &quant, &ask, argc, argv);
	for (int s = 0; s < STAGES; s++)
		if (tr.stage[s].rows > tr.rows)
			tr.rows = tr.stage[s].rows;
	openblas_set_num_threads(1);
	if (ask.what == 0)
	{
		/* A run that is gone on with has its shape */
		run_path(path, sizeof(path), tr.out_dir, "model.ckpt");
		if (access(path, F_OK) == 0)
			checkpoint_peek(path, &config, &quant);
		check_options(&tr, &config);
		model_init(&tr.model, &config, quant);
		for (int i = 0; i < config.layers * LAYER_MATRICES; i++)
			model_matrix(&tr.model, i)->fixed = tr.embedding_only;
		return run(&tr);
	}
	if (ask.checkpoint == NULL)
	{
		run_path(path, sizeof(path), tr.out_dir, "model.ckpt");
		ask.checkpoint = path;
	}
	checkpoint_peek(ask.checkpoint, &config, &quant);
	check_options(&tr, &config);
	model_init(&tr.model, &config, quant);
	checkpoint_load(&tr, ask.checkpoint);
	tr.model.published = true;
	switch (ask.what)
	{
		case OPT_EVAL:
			inspect_eval(&tr, ask.argument);
			break;
		case OPT_LOGITS:
			inspect_logits(&tr, ask.argument, argc - optind, argv + optind);
			break;
		case OPT_GENERATE:
			inspect_generate(&tr, atoi(ask.argument), argc - optind, argv + optind);
			break;
		default:
			export_tensors(&tr.model, ask.argument);
	}
	return 0;
}
