/*-------------------------------------------------------------------------
 *
 * bench.h
 *	  What the parts of the benchmark share.
 *
 *	bench	options, and the order of things
 *	load	the model's image in memory
 *	rig		an engine and a cache: does a piece of work and says how long it took
 *	limits	what the machine allows: reading memory, int8 multiply-adds
 *	series	which pieces of work are measured, and the rounds
 *	samples	medians and quartiles
 *	report	the figures for people
 *	csv		the figures for plot.py
 *
 * test/bench/bench.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_BENCH_BENCH_H
#define BN_BENCH_BENCH_H

#include <stdio.h>

#include "../../src/core/step.h"

#define MAX_ROUNDS 25
#define MAX_THREADS 64
#define MAX_KERNELS 8
#define MAX_BATCH 64			/* sequences decoded together */
#define MAX_WORKS 32
#define STEP_TOKENS 128			/* of a prompt; as the server's engine has it */
#define DECODE_STEPS 8
#define FAR_POSITION 2048

typedef struct bench_options
{
	const char *file;
	const char *kernel_names;	/* separated by commas, or NULL */
	const char *csv_file;
	int			threads;
	int			rounds;
	bool		series;
	bool		profile;
} bench_options;

/* ---- samples.c ---- */

/* The limits are measured twice in a round. */
typedef struct samples
{
	double		value[2 * MAX_ROUNDS];
	int			n;
} samples;

extern void samples_add(samples *s, double value);

/* The value below which a part (0 .. 1) of the samples lies; 0 without samples. */
extern double samples_quantile(const samples *s, double part);
extern double samples_median(const samples *s);

/* ---- load.c ---- */

typedef struct load_report
{
	double		seconds;
	double		attach_seconds;
	uint64_t	file_bytes;
	uint64_t	image_bytes;
} load_report;

extern double now(void);
extern void die(const char *what, const bn_error *err);

/* Memory as the server has it: shared, zeroed, with all its pages or with those that are used. */
extern void *allocate(size_t size, bool with_pages);
extern load_report load_model(const char *file, bool five, bn_model *model);

/* What a decoded token reads of the head, without the few rows that pass the screen. */
extern double head_bytes(const bn_model *model);

/* ---- rig.c ---- */

/* A piece of work whose speed is measured. */
typedef enum work_kind
{
	DECODE, PREFILL
} work_kind;

typedef struct work
{
	work_kind	kind;
	int			n;				/* DECODE: sequences together; PREFILL: tokens of a prompt */
	int			position;		/* DECODE: tokens that each sequence has before */
} work;

typedef struct rig
{
	const bn_model *model;
	bn_pool    *pool;
	bn_engine  *engine;
	bn_kv	   *kv;
	int32_t		n_pages;
	int32_t    *pages;			/* [MAX_BATCH, n_pages] */
	bn_sequence sequences[MAX_BATCH];
	float	   *logits;			/* [MAX_BATCH, vocab_size] */
	bn_candidate best[MAX_BATCH];
	bn_profile	profile;
} rig;

/* For work of at most so many sequences and positions. */
extern void rig_init(rig *r, const bn_model *model, const bn_kernels *kernels, int n_threads,
					 int max_batch, int max_positions, bool profile);

/*
 * Does the work from an empty cache; returns seconds.  With a profile, what the
 * parts took is in r->profile.
 */
extern double rig_run(rig *r, const work *w, const bn_kernels *kernels, int n_threads);

extern int	work_tokens(const work *w);

/* ---- limits.c ---- */

/* Bytes per second that so many threads read of the image. */
extern double measure_bandwidth(const bn_model *model, bn_pool *pool, int n_threads);

/* int8 multiply-adds per second of all threads, or 0 if it is not known how */
extern double measure_peak(const bn_kernels *kernels, bn_pool *pool, int n_threads);

/* ---- series.c ---- */

#define OTHER_PART BN_PARTS		/* what no part accounts for */

typedef struct figure
{
	samples		speed;			/* tokens/s */
	samples		share[BN_PARTS + 1];	/* of the time, 0 .. 1 */
} figure;

/* Kernels and a number of threads, and all that was measured with them. */
typedef struct setup
{
	const bn_kernels *kernels;
	int			image;			/* of bench.models */
	int			n_threads;
	bool		has_series;
	samples		bandwidth;
	samples		peak;
	figure		figures[MAX_WORKS]; /* by number of work */
} setup;

/* What is measured.  The first n_table works are those of the table, for all setups. */
typedef struct work_plan
{
	work		works[MAX_WORKS];
	int			n_works;
	int			n_table;
	int			short_prompt;	/* of the table: of 128 and 512 tokens, or as many as the */
	int			long_prompt;	/* context has */
} work_plan;

typedef struct bench
{
	bench_options options;
	bn_model	models[2];		/* as the first kernels prefer the weights, and the other way */
	load_report loads[2];
	int			n_models;
	work_plan	plan;
	setup	   *setups;			/* by kernels, then by number of threads */
	int			n_setups;
} bench;

extern void make_plan(work_plan *p, int context, bool series);
extern void measure_rounds(bench *b);

/* Those of a plan by series: the next work after number i, or -1. */
extern int	next_batch(const work_plan *p, int i);
extern int	next_position(const work_plan *p, int i);
extern int	next_prefill(const work_plan *p, int i);

extern int	find_work(const work_plan *p, work_kind kind, int n, int position);

/* "decode", "decode_8", "decode_at_2048", "prefill_512" */
extern void name_work(const work *w, char *name, size_t size);

/* ---- limits as tokens per second ---- */

/* Of decoding one sequence at a position, as fast as memory is read. */
extern double memory_limit(const bench *b, const setup *s, int position);

/*
 * Of any tokens, as fast as the multiply-adds of the weights, and of the head's
 * screen, can be done; 0: not known.
 */
extern double int8_limit(const bench *b, const setup *s, bool with_head);

/* ---- memory.c ---- */

typedef enum memory_part
{
	MEMORY_WEIGHTS = 0,			/* ternary */
	MEMORY_EMBEDDING,
	MEMORY_HEAD,				/* if it is not the embedding */
	MEMORY_SCREEN,
	MEMORY_VOCABULARY,
	MEMORY_NORMS,
	MEMORY_REST,				/* of the image: tables, alignment */
	MEMORY_SCRATCH,				/* of an engine that uses as many threads as are measured */
	MEMORY_KV_TOKEN,			/* a token in the cache */
	MEMORY_PARTS
} memory_part;

extern const char *const memory_names[MEMORY_PARTS];
extern void measure_memory(const bn_model *model, int n_threads, double bytes[MEMORY_PARTS]);

/* ---- report.c, csv.c ---- */

extern const char *const part_names[BN_PARTS + 1];

extern void print_model(const bench *b);
extern void print_report(const bench *b);
extern void write_csv(const bench *b, FILE *file);

#endif							/* BN_BENCH_BENCH_H */
