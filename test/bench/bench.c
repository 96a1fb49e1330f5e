/*-------------------------------------------------------------------------
 *
 * bench.c
 *	  How fast this machine runs a model, against what its memory allows.
 *
 * Every figure is the median of several rounds; a round measures everything
 * once, so that a machine that is shared or throttled slows all of it alike
 * and the ratios hold.
 *
 *	bench [--threads N] [--rounds N] [--kernel NAME] [--csv] model.gguf
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

#define MAX_ROUNDS 25
#define CHUNK 128				/* tokens of a prefill step */
#define BATCH 8					/* sequences decoded together */
#define DECODE_STEPS 8
#define BANDWIDTH_BYTES (512u * 1024 * 1024)	/* read at most, for bandwidth */

typedef struct series
{
	double		value[MAX_ROUNDS];
	int			n;
} series;

/* What is measured with one number of threads. */
typedef struct result
{
	series		bandwidth;		/* bytes/s */
	series		decode;			/* tokens/s, one sequence */
	series		batch;			/* tokens/s, BATCH sequences together */
	series		prefill_128;	/* tokens/s */
	series		prefill_512;
} result;

typedef struct options
{
	const char *file;
	const char *kernel;
	int			threads;
	int			rounds;
	bool		csv;
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

/* Memory as the server has it: shared, zeroed, aligned to pages. */
static void *
allocate(size_t size)
{
	void	   *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

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
		bn_image_size(&gguf, &image_size, &err) != BN_OK)
		die(file, &err);
	image = allocate(image_size);
	if (bn_image_build(&gguf, image, image_size, malloc(bn_image_scratch_size()), NULL, &err) != BN_OK)
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

/* Streaming read of the image, the way of a fast kernel: four streams. */
typedef struct read_job
{
	const uint64_t *words;
	uint64_t	sums[BN_MAX_THREADS];
} read_job;

#define READ_BLOCK 8192			/* words */

static void
read_blocks(void *arg, int begin, int end, int thread)
{
	read_job   *job = arg;
	uint64_t	sum[8] = {0};

	for (; begin < end; begin++)
	{
		const uint64_t *p = job->words + (size_t) begin * READ_BLOCK;
		size_t		quarter = READ_BLOCK / 4;
		size_t		i;
		int			k;

		for (i = 0; i < quarter; i += 8)
			for (k = 0; k < 8; k++)
				sum[k] += p[i + k] ^ p[quarter + i + k] ^ p[2 * quarter + i + k] ^ p[3 * quarter + i + k];
	}
	for (begin = 0; begin < 8; begin++)
		job->sums[thread] += sum[begin];
}

static double
measure_bandwidth(const bn_model *model, bn_pool *pool)
{
	static read_job job;
	uint64_t	bytes = model->header->size < BANDWIDTH_BYTES ? model->header->size : BANDWIDTH_BYTES;
	int			n_blocks = (int) (bytes / (READ_BLOCK * sizeof(uint64_t)));
	double		start;
	int			repeat = 1 + (int) (BANDWIDTH_BYTES / 4 / bytes);
	int			i;

	job.words = model->image;
	bn_pool_begin(pool);
	start = now();
	for (i = 0; i < repeat; i++)
		bn_pool_run(pool, read_blocks, &job, n_blocks, 16);
	start = now() - start;
	bn_pool_end(pool);
	return (double) n_blocks * READ_BLOCK * sizeof(uint64_t) * repeat / start;
}

typedef struct rig
{
	const bn_model *model;
	bn_engine  *engine;
	bn_kv	   *kv;
	bn_sequence sequences[BATCH];
	int32_t		pages[BATCH][64];
	float	   *logits;			/* [BATCH, vocab_size] */
} rig;

static void
reset(rig *r)
{
	int			i;

	for (i = 0; i < BATCH; i++)
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
			entries[i] = (bn_step_entry) {&r->sequences[0], done + i,
				(int32_t) ((done + i) * 7919 % r->model->config->vocab_size),
				done + i == n - 1 ? r->logits : NULL, NULL};
		step(r, entries, chunk);
	}
	return now() - start;
}

/* DECODE_STEPS tokens of each of n sequences; returns seconds. */
static double
run_decode(rig *r, int n)
{
	bn_step_entry entries[BATCH];
	double		start = now();
	int			i;
	int			k;

	for (i = 0; i < DECODE_STEPS; i++)
	{
		for (k = 0; k < n; k++)
		{
			bn_sequence *seq = &r->sequences[k];

			bn_sequence_reserve(r->kv, seq, seq->n_tokens + 1);
			entries[k] = (bn_step_entry) {seq, seq->n_tokens,
				(int32_t) ((i * 104729 + k) % r->model->config->vocab_size),
				r->logits + (size_t) k * (size_t) r->model->config->vocab_size, NULL};
		}
		step(r, entries, n);
	}
	return now() - start;
}

/* One round with a number of threads. */
static void
measure(const bn_model *model, const bn_kernels *kernels, int n_threads, result *out)
{
	enum {N_PAGES = 64};
	int			prompt = model->config->context_length < 512 ? model->config->context_length : 512;
	bn_pool    *pool = bn_pool_init(malloc(bn_pool_size(n_threads)), n_threads);
	size_t		kv_size = bn_kv_size(model->config, N_PAGES);
	size_t		engine_size = bn_engine_size(model->config, CHUNK, n_threads, 2048);
	void	   *kv_memory = allocate(kv_size);
	void	   *engine_memory = allocate(engine_size);
	rig			r = {.model = model};
	int			i;

	r.kv = bn_kv_init(kv_memory, model->config, N_PAGES);
	r.engine = bn_engine_init(engine_memory, model, r.kv, kernels, pool, CHUNK, 2048);
	r.logits = malloc(sizeof(float) * BATCH * (size_t) model->config->vocab_size);
	for (i = 0; i < BATCH; i++)
		r.sequences[i] = (bn_sequence) {0, 0, 64, r.pages[i]};

	add_value(&out->bandwidth, measure_bandwidth(model, pool));
	run_prefill(&r, 16);		/* touches the memory */
	add_value(&out->decode, DECODE_STEPS / run_decode(&r, 1));
	add_value(&out->batch, DECODE_STEPS * BATCH / run_decode(&r, BATCH));
	reset(&r);
	add_value(&out->prefill_128, 128 / run_prefill(&r, 128));
	reset(&r);
	add_value(&out->prefill_512, prompt / run_prefill(&r, prompt));

	free(r.logits);
	free(pool);
	munmap(kv_memory, kv_size);
	munmap(engine_memory, engine_size);
}

static void
report(const result *r, int n_threads, double bytes_per_token, bool csv)
{
	double		bandwidth = median(&r->bandwidth);
	double		decode = median(&r->decode);

	if (csv)
	{
		printf("threads=%d,bandwidth_gbs,%.2f\n", n_threads, bandwidth / 1e9);
		printf("threads=%d,decode_tokens_s,%.2f\n", n_threads, decode);
		printf("threads=%d,decode_of_roofline,%.3f\n", n_threads, decode * bytes_per_token / bandwidth);
		printf("threads=%d,decode_batch_%d_tokens_s,%.2f\n", n_threads, BATCH, median(&r->batch));
		printf("threads=%d,prefill_128_tokens_s,%.1f\n", n_threads, median(&r->prefill_128));
		printf("threads=%d,prefill_512_tokens_s,%.1f\n", n_threads, median(&r->prefill_512));
		return;
	}
	printf("%7d %10.1f %9.1f %8.0f %% %10.1f %12.1f %12.1f\n", n_threads, bandwidth / 1e9, decode,
		   100 * decode * bytes_per_token / bandwidth, median(&r->batch),
		   median(&r->prefill_128), median(&r->prefill_512));
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
		die("usage: bench [--threads N] [--rounds N] [--kernel NAME] [--csv] model.gguf", NULL);
	return o;
}

int
main(int argc, char **argv)
{
	static result results[65];
	options		o = parse_options(argc, argv);
	const bn_kernels *kernels = bn_kernels_select(o.kernel);
	bn_model	model;
	double		bytes_per_token;
	int			round;
	int			n;

	if (!kernels)
		die("this CPU has no such kernel", NULL);
	load(o.file, &model, o.csv);
	bytes_per_token = (double) model.header->weights_bytes + (double) model.header->output.bytes;
	if (o.csv)
		printf("model,bytes_per_token,%.0f\nmodel,kernel,%s\n", bytes_per_token, kernels->name);
	else
		printf("model     %s, %d layers of %d, %d tokens; a decoded token reads %.1f MB of weights and %.1f MB of head\n"
			   "kernel    %s, %d rounds\n\n",
			   model.header->architecture, (int) model.config->n_layers, (int) model.config->d_model,
			   (int) model.config->vocab_size, (double) model.header->weights_bytes / 1e6,
			   (double) model.header->output.bytes / 1e6, kernels->name, o.rounds);
	for (round = 0; round < o.rounds; round++)
	{
		for (n = 1; n <= o.threads; n++)
			measure(&model, kernels, n, &results[n]);
		if (!o.csv && isatty(2))
			fprintf(stderr, "round %d of %d\r", round + 1, o.rounds);
	}
	if (!o.csv)
		printf("threads  read GB/s  decode/s  of memory  %d at once  prefill 128  prefill 512\n", BATCH);
	for (n = 1; n <= o.threads; n++)
		report(&results[n], n, bytes_per_token, o.csv);
	return 0;
}
