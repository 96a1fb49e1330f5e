/*-------------------------------------------------------------------------
 *
 * limits.c
 *	  What the machine allows: reading the image, and int8 multiply-adds in
 *	  registers, with as many threads as the work that is held against it.
 *
 * test/bench/limits.c
 *
 *-------------------------------------------------------------------------
 */
#include "bench.h"

#include <string.h>

#include "peak.h"

#define PEAK_SECONDS 0.02
#define BANDWIDTH_BYTES (512u * 1024 * 1024)	/* read at most */
#define READ_BLOCK (64 * 1024)	/* bytes */
#define READ_AHEAD 1024

typedef struct read_job
{
	const char *bytes;
	uint64_t	sums[BN_MAX_THREADS];	/* lest the compiler drop the reading */
} read_job;

/* Streaming read, the way of a fast kernel: four far streams. */
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

			__builtin_prefetch((const char *) p + READ_AHEAD, 0, 3);
			for (i = 0; i < 8; i++)
				sum[i] += p[i];
		}
	for (i = 0; i < 8; i++)
		job->sums[thread] += sum[i];
}

double
measure_bandwidth(const bn_model *model, bn_pool *pool, int n_threads)
{
	static read_job job;
	uint64_t	bytes = model->header->size < BANDWIDTH_BYTES ? model->header->size : BANDWIDTH_BYTES;
	int			n_blocks = (int) (bytes / READ_BLOCK);
	double		start;
	int			repeat = 1 + (int) (BANDWIDTH_BYTES / 4 / bytes);
	int			i;

	job.bytes = model->image;
	bn_pool_begin(pool, n_threads);
	/* the first time not all threads run at once and not all addresses are known */
	bn_pool_run(pool, read_blocks, &job, n_blocks, 16);
	start = now();
	for (i = 0; i < repeat; i++)
		bn_pool_run(pool, read_blocks, &job, n_blocks, 16);
	start = now() - start;
	bn_pool_end(pool);
	return (double) n_blocks * READ_BLOCK * repeat / start;
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

double
measure_peak(const bn_kernels *kernels, bn_pool *pool, int n_threads)
{
	static peak_job job;
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
