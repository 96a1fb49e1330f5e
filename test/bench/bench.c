/*-------------------------------------------------------------------------
 *
 * bench.c
 *	  How fast this machine runs a model, against what its memory allows.
 *
 * Every figure is the median of several rounds; a round measures everything
 * once, so that a machine that is shared or throttled slows all of it alike
 * and the ratios hold.
 *
 *	bench [--threads N] [--rounds N] [--kernel NAME] [--csv] [--profile] model.gguf
 *
 * The limits are measured in the same rounds: reading the image with as many
 * threads, and int8 multiply-adds in registers.  --profile also prints where
 * the time of each measurement goes.
 *
 * test/bench/bench.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../src/core/step.h"
#include "peak.h"

#define MAX_ROUNDS 25
#define CHUNK 128				/* tokens of a prefill step */
#define MAX_BATCH 16			/* sequences decoded together */
#define FAR_POSITION 2048
#define MAX_POSITIONS (FAR_POSITION + 64)
#define DECODE_STEPS 8
#define PEAK_SECONDS 0.02
#define BANDWIDTH_BYTES (512u * 1024 * 1024)	/* read at most, for bandwidth */

typedef struct series
{
	double		value[MAX_ROUNDS];
	int			n;
} series;

/* What is measured with one number of threads. */
typedef enum measurement
{
	BANDWIDTH = 0,				/* bytes/s */
	PEAK,						/* int8 multiply-adds/s */
	DECODE,						/* tokens/s, from here on */
	DECODE_FAR,
	DECODE_8,
	DECODE_16,
	PREFILL_128,
	PREFILL_512,
	MEASUREMENTS
} measurement;

static const char *const names[MEASUREMENTS] = {
	"bandwidth", "peak", "decode", "decode_at_2048", "decode_8", "decode_16",
	"prefill_128", "prefill_512"
};
static const char *const part_names[BN_PARTS] = {
	"embed", "norm", "ternary", "rope", "attention", "head"
};

typedef struct result
{
	series		series[MEASUREMENTS];
	double		parts[MEASUREMENTS][BN_PARTS];	/* seconds */
	double		total[MEASUREMENTS];
} result;

typedef struct options
{
	const char *file;
	const char *kernel;
	int			threads;
	int			rounds;
	bool		csv;
	bool		profile;
} options;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void
die(const char *what, const bn_error *err)
{
	fprintf(stderr, "bench: %s%s%s\n", what, err ? ": " : "", err ? err->detail : "");
	if (err && err->hint[0])
		fprintf(stderr, "bench: %s\n", err->hint);
	exit(1);
}

/* Memory as the server has it: shared, zeroed, all pages there. */
static void *
allocate(size_t size)
{
	void	   *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
						 -1, 0);

	if (p == MAP_FAILED)
		die("out of memory", NULL);
	return p;
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
add_value(series *s, double value)
{
	s->value[s->n++] = value;
}

static double
median(const series *s)
{
	double		sorted[MAX_ROUNDS];

	memcpy(sorted, s->value, sizeof(double) * (size_t) s->n);
	qsort(sorted, (size_t) s->n, sizeof(double), compare_double);
	return s->n % 2 ? sorted[s->n / 2] : (sorted[s->n / 2 - 1] + sorted[s->n / 2]) / 2;
}

static bn_status
read_file(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	while (len > 0)
	{
		ssize_t		n = pread(*(int *) ctx, buf, len, (off_t) offset);

		if (n <= 0)
			return bn_fail(err, BN_ERR_IO, offset, "could not read");
		buf = (char *) buf + n;
		offset += (uint64_t) n;
		len -= (size_t) n;
	}
	return BN_OK;
}

/* Opens the file and builds its image; prints how long that takes. */
static void
load(const char *file, bn_model *model, bool csv)
{
	int			fd = open(file, O_RDONLY);
	struct stat st;
	bn_source	source = {read_file, &fd, 0};
	bn_error	err;
	bn_gguf		gguf;
	size_t		scratch_size;
	uint64_t	image_size;
	void	   *scratch;
	void	   *image;
	double		start = now();
	double		seconds;

	if (fd < 0 || fstat(fd, &st) != 0)
		die("could not open the model file", NULL);
	source.size = (uint64_t) st.st_size;
	if (bn_gguf_scratch_size(&source, &scratch_size, &err) != BN_OK)
		die(file, &err);
	scratch = malloc(scratch_size);
	if (bn_gguf_open(&gguf, &source, scratch, scratch_size, NULL, &err) != BN_OK ||
		bn_image_size(&gguf, BN_SCREEN_AUTO, &image_size, &err) != BN_OK)
		die(file, &err);
	image = allocate(image_size);
	if (bn_image_build(&gguf, BN_SCREEN_AUTO, image, image_size, malloc(bn_image_scratch_size()), NULL, &err) != BN_OK)
		die(file, &err);
	seconds = now() - start;
	start = now();
	if (bn_model_bind(model, image, image_size, &err) != BN_OK)
		die(file, &err);
	if (csv)
		printf("load,seconds,%.3f\nload,attach_us,%.1f\n", seconds, (now() - start) * 1e6);
	else
		printf("load      %.2f s (%.1f MB at %.2f GB/s), image %.1f MB, attach %.0f us\n",
			   seconds, (double) st.st_size / 1e6, (double) st.st_size / seconds / 1e9,
			   (double) image_size / 1e6, (now() - start) * 1e6);
	close(fd);
	free(scratch);
}

/* Streaming read of the image, the way of a fast kernel: four far streams. */
typedef struct read_job
{
	const char *bytes;
	uint64_t	sums[BN_MAX_THREADS];
} read_job;

#define READ_BLOCK (64 * 1024)	/* bytes */
#define READ_AHEAD 2048

static void
read_blocks(void *arg, int begin, int end, int thread)
{
	read_job   *job = arg;
	size_t		quarter = (size_t) (end - begin) * READ_BLOCK / 4;
	const char *base = job->bytes + (size_t) begin * READ_BLOCK;
	uint64_t	sum[8] = {0};
	size_t		at;
	int			stream;
	int			i;

	for (at = 0; at < quarter; at += 64)
		for (stream = 0; stream < 4; stream++)
		{
			const uint64_t *p = (const uint64_t *) (base + (size_t) stream * quarter + at);

			__builtin_prefetch((const char *) p + READ_AHEAD, 0, 2);
			for (i = 0; i < 8; i++)
				sum[i] += p[i];
		}
	for (i = 0; i < 8; i++)
		job->sums[thread] += sum[i];
}

static double
measure_bandwidth(const bn_model *model, bn_pool *pool)
{
	static read_job job;
	uint64_t	bytes = model->header->size < BANDWIDTH_BYTES ? model->header->size : BANDWIDTH_BYTES;
	int			n_blocks = (int) (bytes / READ_BLOCK);
	double		start;
	int			repeat = 1 + (int) (BANDWIDTH_BYTES / 4 / bytes);
	int			i;

	job.bytes = model->image;
	bn_pool_begin(pool, bn_pool_threads(pool));
	start = now();
	for (i = 0; i < repeat; i++)
		bn_pool_run(pool, read_blocks, &job, n_blocks, 16);
	start = now() - start;
	bn_pool_end(pool);
	return (double) n_blocks * READ_BLOCK * repeat / start;
}

typedef struct rig
{
	const bn_model *model;
	bn_engine  *engine;
	bn_kv	   *kv;
	bn_sequence sequences[MAX_BATCH];
	int32_t		pages[MAX_BATCH][MAX_POSITIONS / BN_PAGE_TOKENS];
	float	   *logits;			/* [MAX_BATCH, vocab_size] */
	bn_candidate best[MAX_BATCH];
} rig;

static void
reset(rig *r)
{
	int			i;

	for (i = 0; i < MAX_BATCH; i++)
		bn_sequence_release(r->kv, &r->sequences[i]);
}

static void
step(rig *r, const bn_step_entry *entries, int n)
{
	bn_error	err;

	if (bn_step(r->engine, entries, n, NULL, &err) != BN_OK)
		die("step", &err);
}

/* n prompt tokens of one sequence; returns seconds. */
static double
run_prefill(rig *r, int n)
{
	bn_step_entry entries[CHUNK];
	double		start = now();
	int			done;

	bn_sequence_reserve(r->kv, &r->sequences[0], n);
	for (done = 0; done < n; done += CHUNK)
	{
		int			chunk = n - done < CHUNK ? n - done : CHUNK;
		int			i;

		for (i = 0; i < chunk; i++)
			entries[i] = (bn_step_entry) {
				.sequence = &r->sequences[0],
				.position = done + i,
				.token = (int32_t) ((done + i) * 7919 % r->model->config->vocab_size),
				.logits = done + i == n - 1 ? r->logits : NULL,
				.n_best = 1,
				.best = r->best
			};
		step(r, entries, chunk);
	}
	return now() - start;
}

/* DECODE_STEPS tokens of each of n sequences; returns seconds. */
static double
run_decode(rig *r, int n)
{
	bn_step_entry entries[MAX_BATCH];
	double		start = now();
	int			i;
	int			k;

	for (i = 0; i < DECODE_STEPS; i++)
	{
		for (k = 0; k < n; k++)
		{
			bn_sequence *seq = &r->sequences[k];

			bn_sequence_reserve(r->kv, seq, seq->n_tokens + 1);
			entries[k] = (bn_step_entry) {
				.sequence = seq,
				.position = seq->n_tokens,
				.token = (int32_t) ((i * 104729 + k) % r->model->config->vocab_size),
				.logits = r->logits + (size_t) k * (size_t) r->model->config->vocab_size,
				.n_best = 1,
				.best = &r->best[k]
			};
		}
		step(r, entries, n);
	}
	return now() - start;
}

typedef struct peak_job
{
	peak_fn		fn;
	double		end;
	double		done[BN_MAX_THREADS];
} peak_job;

static void
run_peak(void *arg, int begin, int end, int thread)
{
	peak_job   *job = arg;

	while (now() < job->end)
		job->done[begin] += job->fn();
}

/* int8 multiply-adds per second of all threads, or 0 if it is not known how */
static double
measure_peak(const bn_kernels *kernels, bn_pool *pool)
{
	static peak_job job;
	int			n_threads = bn_pool_threads(pool);
	double		start;
	double		sum = 0;
	int			i;

	memset(&job, 0, sizeof(job));
	job.fn = find_peak(kernels->name);
	if (!job.fn)
		return 0;
	bn_pool_begin(pool, n_threads);
	start = now();
	job.end = start + PEAK_SECONDS;
	bn_pool_run(pool, run_peak, &job, n_threads, 1);
	start = now() - start;
	bn_pool_end(pool);
	for (i = 0; i < n_threads; i++)
		sum += job.done[i];
	return sum / start;
}

/* Makes a sequence FAR_POSITION tokens long without computing them. */
static void
go_far(rig *r)
{
	const bn_config *c = r->model->config;
	bn_sequence *seq = &r->sequences[0];
	uint32_t	random = 1;
	int			layer;
	int			head;
	int32_t		p;
	int			i;

	bn_sequence_reserve(r->kv, seq, FAR_POSITION);
	for (layer = 0; layer < c->n_layers; layer++)
		for (head = 0; head < 2 * c->n_kv_heads; head++)
			for (p = 0; p < FAR_POSITION; p++)
			{
				uint16_t   *row = bn_kv_row(r->kv, seq, layer, head % 2, head / 2, p);

				for (i = 0; i < c->head_dim; i++)
				{
					/* halves between 0.5 and 1 of both signs */
					random = random * 1664525 + 1013904223;
					row[i] = (uint16_t) (0x3800 | (random >> 16 & 0x83ff));
				}
			}
	seq->n_tokens = FAR_POSITION;
}

/* Notes how fast tokens were made in seconds, and what the parts took. */
static void
note(result *out, measurement m, int n_tokens, double seconds, bn_profile *profile)
{
	int			part;

	add_value(&out->series[m], n_tokens / seconds);
	out->total[m] += seconds;
	for (part = 0; part < BN_PARTS; part++)
	{
		out->parts[m][part] += profile->seconds[part];
		profile->seconds[part] = 0;
	}
}

/* One round with a number of threads. */
static void
measure(const bn_model *model, const bn_kernels *kernels, int n_threads, bool with_profile,
		result *out)
{
	enum {N_PAGES = MAX_POSITIONS / BN_PAGE_TOKENS + MAX_BATCH};
	int			context = model->config->context_length;
	int			prompt = context < 512 ? context : 512;
	bn_pool    *pool = bn_pool_init(malloc(bn_pool_size(n_threads)), n_threads);
	size_t		kv_size = bn_kv_size(model->config, N_PAGES);
	size_t		engine_size = bn_engine_size(model->config, CHUNK, n_threads, MAX_POSITIONS);
	void	   *kv_memory = allocate(kv_size);
	void	   *engine_memory = allocate(engine_size);
	bn_profile	profile = {now, {0}};
	rig			r = {.model = model};
	int			i;

	r.kv = bn_kv_init(kv_memory, model->config, N_PAGES);
	r.engine = bn_engine_init(engine_memory, model, r.kv, kernels, pool, CHUNK, MAX_POSITIONS);
	r.logits = malloc(sizeof(float) * MAX_BATCH * (size_t) model->config->vocab_size);
	for (i = 0; i < MAX_BATCH; i++)
		r.sequences[i] = (bn_sequence) {0, 0, MAX_POSITIONS / BN_PAGE_TOKENS, r.pages[i]};

	/* touches the memory */
	go_far(&r);
	run_decode(&r, 1);
	reset(&r);
	run_prefill(&r, CHUNK);
	reset(&r);
	run_decode(&r, MAX_BATCH);
	if (with_profile)
		bn_engine_set_profile(r.engine, &profile);

	add_value(&out->series[BANDWIDTH], measure_bandwidth(model, pool));
	add_value(&out->series[PEAK], measure_peak(kernels, pool));
	reset(&r);
	note(out, DECODE, DECODE_STEPS, run_decode(&r, 1), &profile);
	note(out, DECODE_8, DECODE_STEPS * 8, run_decode(&r, 8), &profile);
	reset(&r);
	note(out, DECODE_16, DECODE_STEPS * 16, run_decode(&r, 16), &profile);
	reset(&r);
	note(out, PREFILL_128, CHUNK, run_prefill(&r, CHUNK), &profile);
	reset(&r);
	note(out, PREFILL_512, prompt, run_prefill(&r, prompt), &profile);
	reset(&r);
	if (context > FAR_POSITION + DECODE_STEPS)
	{
		go_far(&r);
		memset(profile.seconds, 0, sizeof(profile.seconds));
		note(out, DECODE_FAR, DECODE_STEPS, run_decode(&r, 1), &profile);
	}

	free(r.logits);
	free(pool);
	munmap(kv_memory, kv_size);
	munmap(engine_memory, engine_size);
}

static void
report(const result *r, int n_threads, const bn_model *model, double bytes_per_token, bool csv)
{
	double		weights = (double) model->header->weights_bytes * 4;
	double		of_memory;
	double		of_peak[MEASUREMENTS];
	double		value[MEASUREMENTS];
	int			m;

	for (m = 0; m < MEASUREMENTS; m++)
		value[m] = r->series[m].n > 0 ? median(&r->series[m]) : 0;
	of_memory = value[DECODE] * bytes_per_token / value[BANDWIDTH];
	for (m = 0; m < MEASUREMENTS; m++)
		of_peak[m] = value[PEAK] > 0 ? value[m] * weights / value[PEAK] : 0;

	if (csv)
	{
		for (m = 0; m < MEASUREMENTS; m++)
			printf("threads=%d,%s,%.6g\n", n_threads, names[m], value[m]);
		printf("threads=%d,decode_of_memory,%.3f\n", n_threads, of_memory);
		printf("threads=%d,prefill_128_of_peak,%.3f\n", n_threads, of_peak[PREFILL_128]);
		printf("threads=%d,prefill_512_of_peak,%.3f\n", n_threads, of_peak[PREFILL_512]);
		return;
	}
	printf("%7d  %4.1f GB/s %5.2f Top/s  %6.1f %3.0f %%  %6.1f  %6.1f %3.1fx %6.1f %3.1fx  %6.1f %3.0f %%  %6.1f %3.0f %%\n",
		   n_threads, value[BANDWIDTH] / 1e9, value[PEAK] * 2 / 1e12,
		   value[DECODE], 100 * of_memory, value[DECODE_FAR],
		   value[DECODE_8], value[DECODE_8] / value[DECODE],
		   value[DECODE_16], value[DECODE_16] / value[DECODE],
		   value[PREFILL_128], 100 * of_peak[PREFILL_128],
		   value[PREFILL_512], 100 * of_peak[PREFILL_512]);
}

/* Where the time goes: percent of each measurement. */
static void
report_profile(const result *r, int n_threads, bool csv)
{
	int			m;
	int			part;

	if (!csv)
	{
		printf("\n%d thread%s, %% of time", n_threads, n_threads > 1 ? "s" : "");
		for (part = 0; part < BN_PARTS; part++)
			printf("%11s", part_names[part]);
		printf("      other\n");
	}
	for (m = DECODE; m < MEASUREMENTS; m++)
	{
		double		rest = r->total[m];

		if (rest <= 0)
			continue;
		if (!csv)
			printf("%-21s", names[m]);
		for (part = 0; part < BN_PARTS; part++)
		{
			double		share = r->parts[m][part] / r->total[m];

			rest -= r->parts[m][part];
			if (csv)
				printf("threads=%d,%s_share_%s,%.4f\n", n_threads, names[m],
					   part_names[part], share);
			else
				printf("%11.1f", 100 * share);
		}
		if (!csv)
			printf("%11.1f\n", 100 * rest / r->total[m]);
	}
}

static options
parse_options(int argc, char **argv)
{
	options		o = {.threads = (int) sysconf(_SC_NPROCESSORS_ONLN), .rounds = 5};
	int			i;

	for (i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--csv") == 0)
			o.csv = true;
		else if (strcmp(argv[i], "--profile") == 0)
			o.profile = true;
		else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
			o.threads = atoi(argv[++i]);
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			o.rounds = atoi(argv[++i]);
		else if (strcmp(argv[i], "--kernel") == 0 && i + 1 < argc)
			o.kernel = argv[++i];
		else if (argv[i][0] != '-' && !o.file)
			o.file = argv[i];
		else
			o.file = NULL, i = argc;
	}
	if (!o.file || o.threads < 1 || o.threads > 64 || o.rounds < 1 || o.rounds > MAX_ROUNDS)
		die("usage: bench [--threads N] [--rounds N] [--kernel NAME] [--csv] [--profile] model.gguf", NULL);
	return o;
}

int
main(int argc, char **argv)
{
	static result results[65];
	options		o = parse_options(argc, argv);
	const bn_kernels *kernels = bn_kernels_select(o.kernel);
	bn_model	model;
	double		head_bytes;		/* without the few rows that pass the screen */
	double		bytes_per_token;
	int			round;
	int			n;

	if (!kernels)
		die("this CPU has no such kernel", NULL);
	load(o.file, &model, o.csv);
	head_bytes = model.header->screen.type == BN_TENSOR_NONE ?
		(double) model.header->output.bytes :
		(double) model.header->screen.bytes + (double) bn_screen_rows_bytes(model.header);
	bytes_per_token = (double) model.header->weights_bytes + head_bytes;
	if (o.csv)
		printf("model,bytes_per_token,%.0f\nmodel,kernel,%s\n", bytes_per_token, kernels->name);
	else
		printf("model     %s, %d layers of %d, %d tokens; a decoded token reads %.1f MB of weights and %.1f MB of head\n"
			   "kernel    %s, %d rounds\n\n",
			   model.header->architecture, (int) model.config->n_layers, (int) model.config->d_model,
			   (int) model.config->vocab_size, (double) model.header->weights_bytes / 1e6,
			   head_bytes / 1e6, kernels->name, o.rounds);
	for (round = 0; round < o.rounds; round++)
	{
		for (n = 1; n <= o.threads; n++)
			measure(&model, kernels, n, o.profile, &results[n]);
		if (!o.csv && isatty(2))
			fprintf(stderr, "round %d of %d\r", round + 1, o.rounds);
	}
	if (!o.csv)
		printf("             limits                          tokens/s\n"
			   "         memory       int8  decode of mem @%d    8 at once   16 at once  prefill 128    prefill 512\n"
			   "threads    read multiply+add                             of one       of one     of int8        of int8\n",
			   FAR_POSITION);
	for (n = 1; n <= o.threads; n++)
		report(&results[n], n, &model, bytes_per_token, o.csv);
	for (n = 1; o.profile && n <= o.threads; n++)
		report_profile(&results[n], n, o.csv);
	return 0;
}
