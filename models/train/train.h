/*-------------------------------------------------------------------------
 *
 * train.h
 *	  The state of a training run and what its parts share.
 *
 * models/train/train.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include <pthread.h>

#include "dataset.h"
#include "model.h"
#include "optimizer.h"

enum
{
	MAX_THREADS = 64,
	STAGES = 3,
	VALID_ROWS = 30000			/* tokens of held-out data looked at while training */
};

typedef struct stage
{
	const char *name;
	const char *file;
	const char *valid_file;
	int			group;			/* 2: pairs of a good and a bad answer */
	int			rows;			/* tokens of one thread in a step */
	double		tokens;			/* how many to train on, over the epochs this takes */
	double		peak;			/* learning rate */
	double		decay;			/* weight decay of the first phase */
	double		answer_power;	/* a record's targets share this weight: targets^(1 - power) */
	int			embed_every;	/* each so-many-th step trains embeddings; 0: none */
} stage;

/* Where a run stands; the head of a checkpoint. */
typedef struct run_position
{
	int32_t		stage;
	int32_t		stage_steps;
	int64_t		stage_tokens;	/* rows trained on in this stage */
	int64_t		total_tokens;
	int64_t		adam_steps;
	cursor		cursor;
	cursor		embed_cursor;
	double		seconds;
} run_position;

typedef struct trainer trainer;
typedef void (*job_function) (trainer *tr, int thread);

struct trainer
{
	model		model;
	optimizer	optimizer;
	run_position at;
	stage		stage[STAGES];
	uint64_t	seed;
	int			rows;			/* the most that a thread takes at a time */
	const char *data_dir;
	const char *out_dir;

	int			threads;
	pthread_t	thread[MAX_THREADS];
	pthread_barrier_t start;
	pthread_barrier_t end;
	job_function job;			/* NULL: the threads end */
	workspace	ws[MAX_THREADS];
	batch		batch[MAX_THREADS];
	sequence_score *score[MAX_THREADS];
	int		   *ids[MAX_THREADS];
	int			groups[MAX_THREADS];

	/* Of the step at work */
	bool		contrast;		/* the loss is that of embeddings */
	bool		embedding_only; /* the matrices are not trained */
	double		target_weight;	/* divisor of the loss */
	const real *reference;		/* [records] log p of each answer before preference optimisation; NULL: none */
	double		partial[MAX_THREADS];
	double		clip;
	step_rates	rates;
};

/* What a pass over some batches found. */
typedef struct pass_result
{
	double		loss;			/* mean over targets */
	double		accuracy;		/* share of targets that were the most likely token */
	double		exact;			/* share of sequences of which all were */
	double		margin;			/* share of pairs whose good answer gained over the bad one */
	int64_t		targets;
	int64_t		rows;
	int64_t		sequences;
} pass_result;

/* workers.c */
extern void workers_init(trainer *tr, bool backward);
extern void workers_run(trainer *tr, job_function job);
extern void workers_end(trainer *tr);
extern void run_path(char *path, size_t size, const char *dir, const char *name);
extern double clock_seconds(void);

/* steps.c */
extern void prepare_weights(trainer *tr);

/* The next batches of a data set, one of at most "rows" tokens for each thread; false at the end if "once". */
extern bool next_batches(trainer *tr, dataset *ds, cursor *c, int rows, bool once);

/* One step of training; returns the norm of the gradient. */
extern double train_step(trainer *tr, const stage *s, step_rates rates, const real *reference, pass_result *result);

/* The same for a batch of texts with classes: "correct" are those whose nearest neighbour is of theirs. */
extern double train_embeddings(trainer *tr, step_rates rates, pass_result *result);
extern pass_result evaluate_embeddings(trainer *tr, dataset *ds, int64_t rows);

/* Forward passes over at most "rows" tokens of a data set, from its start; with log_p, log p of each record. */
extern pass_result evaluate(trainer *tr, dataset *ds, int64_t rows, real *log_p);

/* checkpoint.c */
extern void checkpoint_save(const trainer *tr, const char *path);
extern bool checkpoint_load(trainer *tr, const char *path);

/* Reads the shape and the kind of model of a checkpoint; ends the program if there is none. */
extern void checkpoint_peek(const char *path, model_config *config, quant_mode *quant);

/* export.c: tensors as the published file holds them; export.py puts the head before them */
extern void export_tensors(const model *m, const char *path);

#endif							/* TRAIN_TRAIN_H */
