/*-------------------------------------------------------------------------
 *
 * load.c
 *	  A model file to an image in memory, and how long that takes.
 *
 * test/bench/load.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "../../src/core/readahead.h"

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

void
die(const char *what, const bn_error *err)
{
	fprintf(stderr, "bench: %s%s%s\n", what, err ? ": " : "", err ? err->detail : "");
	if (err && err->hint[0])
		fprintf(stderr, "bench: %s\n", err->hint);
	exit(1);
}

void *
allocate(size_t size, bool with_pages)
{
	void	   *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
						 MAP_SHARED | MAP_ANONYMOUS | (with_pages ? MAP_POPULATE : 0), -1, 0);

	if (p == MAP_FAILED)
		die("out of memory", NULL);
	return p;
}

typedef struct file_reader
{
	int			fd;
	bn_readahead *ahead;		/* or NULL */
} file_reader;

static ptrdiff_t
read_in_thread(void *ctx, uint64_t offset, void *buf, size_t len)
{
	return pread(((file_reader *) ctx)->fd, buf, len, (off_t) offset);
}

static bn_status
read_file(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	file_reader *reader = ctx;

	while (len > 0)
	{
		ssize_t		n = reader->ahead ? (ssize_t) bn_readahead_take(reader->ahead, offset, buf, len) : 0;

		if (n == 0)
			n = pread(reader->fd, buf, len, (off_t) offset);
		if (n <= 0)
			return bn_fail(err, BN_ERR_IO, offset, "could not read");
		buf = (char *) buf + n;
		offset += (uint64_t) n;
		len -= (size_t) n;
	}
	return BN_OK;
}

/* Opens the file and builds its image, which stays in memory. */
load_report
load_model(const char *file, bool five, bn_model *model)
{
	load_report report;
	file_reader reader = {open(file, O_RDONLY), NULL};
	struct stat st;
	bn_source	source = {read_file, &reader, 0};
	bn_image_options options = {BN_SCREEN_AUTO, five};
	bn_error	err;
	bn_gguf		gguf;
	size_t		scratch_size;
	void	   *scratch;
	void	   *image;
	void	   *room;
	double		start = now();

	if (reader.fd < 0 || fstat(reader.fd, &st) != 0)
		die("could not open the model file", NULL);
	source.size = report.file_bytes = (uint64_t) st.st_size;
	if (bn_gguf_scratch_size(&source, &scratch_size, &err) != BN_OK)
		die(file, &err);
	scratch = malloc(scratch_size);
	if (bn_gguf_open(&gguf, &source, scratch, scratch_size, NULL, &err) != BN_OK ||
		bn_image_size(&gguf, options, &report.image_bytes, &err) != BN_OK)
		die(file, &err);
	image = allocate(report.image_bytes, false);
	room = malloc(bn_readahead_size());
	reader.ahead = bn_readahead_start(room, read_in_thread, &reader,
									  gguf.tensors[gguf.tensor_order[0]].offset, source.size,
									  image, report.image_bytes);
	if (bn_image_build(&gguf, options, image, report.image_bytes,
					   malloc(bn_image_scratch_size()), NULL, &err) != BN_OK)
		die(file, &err);
	if (reader.ahead)
		bn_readahead_stop(reader.ahead);
	free(room);
	report.seconds = now() - start;
	start = now();
	if (bn_model_bind(model, image, report.image_bytes, &err) != BN_OK)
		die(file, &err);
	report.attach_seconds = now() - start;
	close(reader.fd);
	free(scratch);
	return report;
}

double
head_bytes(const bn_model *model)
{
	const bn_image_header *h = model->header;

	if (h->screen.type == BN_TENSOR_NONE)
		return (double) h->output.bytes;
	return (double) h->screen.bytes + (double) bn_screen_rows_bytes(h);
}
