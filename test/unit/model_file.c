/*-------------------------------------------------------------------------
 *
 * model_file.c
 *	  Models for the C tests: written by make_model, opened with the core.
 *
 * test/unit/model_file.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include "model_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS 48

static char make_model_path[4096];
static bool use_five;

void
model_file_use_five(bool five)
{
	use_five = five;
}

bool
model_file_uses_five(void)
{
	return use_five;
}

void
model_file_init(const char *argv0)
{
	const char *set = getenv("BITNET_MAKE_MODEL");
	const char *slash = strrchr(argv0, '/');
	int			length = slash ? (int) (slash - argv0) : 0;

	if (set && *set)
		snprintf(make_model_path, sizeof(make_model_path), "%s", set);
	else if (slash)
		snprintf(make_model_path, sizeof(make_model_path), "%.*s/../../make_model",
				 length, argv0);
	else
		snprintf(make_model_path, sizeof(make_model_path), "build/make_model");
	use_five = bn_kernels_select(NULL)->prefers_five;
}

const char *
model_file_shared(void)
{
	const char *set = getenv("BITNET_SHARED");

	return set && *set ? set : "../shared";
}

void *
model_file_memory(size_t size)
{
	size_t		rounded = (size + 63) / 64 * 64;
	void	   *p = aligned_alloc(64, rounded ? rounded : 64);

	if (!p)
	{
		printf("Bail out! out of memory\n");
		exit(1);
	}
	memset(p, 0xa5, size);
	return p;
}

static bn_status
read_memory(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	const file_bytes *file = ctx;

	if (offset > file->size || len > file->size - offset)
		return bn_fail(err, BN_ERR_IO, offset, "read outside the file");
	memcpy(buf, file->data + offset, len);
	return BN_OK;
}

bool
model_file_read(file_bytes *file, const char *path)
{
	FILE	   *f = fopen(path, "rb");
	long		size;
	bool		whole;

	if (!f)
	{
		printf("# %s: %s\n", path, strerror(errno));
		return false;
	}
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	file->size = size > 0 ? (uint64_t) size : 0;
	file->data = model_file_memory((size_t) file->size);
	whole = fread(file->data, 1, (size_t) file->size, f) == (size_t) file->size;
	fclose(f);
	return whole;
}

static uint64_t
fnv1a(const uint8_t *p, uint64_t n)
{
	uint64_t	h = UINT64_C(0xcbf29ce484222325);

	while (n-- > 0)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);
	return h;
}

static bool
build_image(model_file *m, file_bytes *file)
{
	bn_source	source = {read_memory, file, file->size};
	bn_image_options options = {BN_SCREEN_ALWAYS, use_five};
	bn_gguf		gguf;
	bn_error	err = {0};
	size_t		scratch_size = 0;
	void	   *scratch = NULL;
	void	   *build_scratch = NULL;
	bn_status	status = bn_gguf_scratch_size(&source, &scratch_size, &err);

	if (status == BN_OK)
	{
		scratch = model_file_memory(scratch_size);
		status = bn_gguf_open(&gguf, &source, scratch, scratch_size, NULL, &err);
	}
	if (status == BN_OK)
		status = bn_image_size(&gguf, options, &m->image_size, &err);
	if (status == BN_OK)
	{
		m->image = model_file_memory((size_t) m->image_size);
		build_scratch = model_file_memory(bn_image_scratch_size());
		status = bn_image_build(&gguf, options, m->image, m->image_size, build_scratch, NULL, &err);
	}
	if (status == BN_OK)
		status = bn_model_bind(&m->model, m->image, m->image_size, &err);
	if (status != BN_OK)
		printf("# status %d: %s\n", (int) status, err.detail);
	free(build_scratch);
	free(scratch);
	return status == BN_OK;
}

bool
model_file_open(model_file *m, const char *path)
{
	file_bytes	file = {0};
	bool		done;

	memset(m, 0, sizeof(*m));
	done = model_file_read(&file, path);
	if (done)
	{
		m->file_bytes = file.size;
		m->file_checksum = fnv1a(file.data, file.size);
		done = build_image(m, &file);
	}
	free(file.data);
	if (!done)
		model_file_close(m);
	return done;
}

void
model_file_close(model_file *m)
{
	free(m->image);
	memset(m, 0, sizeof(*m));
}

/* make_model OPTIONS PATH, through $RUNNER (an emulator) where one is set */
static bool
run_make_model(const char *options, char *path)
{
	char		copy[1024];
	char	   *argv[MAX_ARGUMENTS + 4];
	int			n = 0;
	const char *runner = getenv("RUNNER");
	pid_t		child;
	int			status = -1;

	if (runner && *runner)
		argv[n++] = (char *) runner;
	argv[n++] = make_model_path;
	snprintf(copy, sizeof(copy), "%s", options);
	for (char *word = strtok(copy, " "); word && n < MAX_ARGUMENTS; word = strtok(NULL, " "))
		argv[n++] = word;
	argv[n++] = path;
	argv[n] = NULL;

	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		if (freopen("/dev/null", "w", stdout))
			execv(argv[0], argv);
		if (runner && *runner)
			execvp(argv[0], argv);
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* make_model's file under a name of its own; the caller unlinks it. */
static bool
make_file(char *path, size_t size, const char *options)
{
	const char *folder = getenv("TMPDIR");
	int			fd;
	bool		done;

	snprintf(path, size, "%s/bitnet-model.XXXXXX", folder && *folder ? folder : "/tmp");
	fd = mkstemp(path);
	if (fd < 0)
	{
		printf("# %s: %s\n", path, strerror(errno));
		return false;
	}
	close(fd);
	done = run_make_model(options, path);
	if (!done)
		printf("# %s %s failed\n", make_model_path, options);
	return done;
}

bool
model_file_make(model_file *m, const char *options)
{
	char		path[4096];
	bool		done;

	memset(m, 0, sizeof(*m));
	done = make_file(path, sizeof(path), options) && model_file_open(m, path);
	unlink(path);
	return done;
}

bool
model_file_write(file_bytes *file, const char *options)
{
	char		path[4096];
	bool		done = make_file(path, sizeof(path), options) && model_file_read(file, path);

	unlink(path);
	return done;
}

bn_schedule_limits
model_file_limits(const model_file *m, int32_t max_sequences, int32_t max_step_tokens,
				  int32_t n_threads, int64_t kv_bytes)
{
	return (bn_schedule_limits) {
		.max_sequences = max_sequences, .max_run_sequences = max_sequences,
		.max_step_tokens = max_step_tokens, .max_positions = m->model.config->context_length,
		.n_threads = n_threads, .kv_bytes = kv_bytes
	};
}

bn_status
model_file_run(const model_file *m, const bn_kernels *kernels, bn_request *requests,
			   int n_requests, const bn_schedule_limits *limits, bn_error *err)
{
	bn_schedule_limits own = *limits;
	bn_run		run = {.requests = requests, .n_requests = n_requests};
	bn_schedule *schedule;
	void	   *memory;
	size_t		size;
	bn_status	status;

	own.kv_bytes = bn_schedule_kv_bytes(&m->model, requests, n_requests, own.max_sequences,
										own.kv_bytes);
	status = bn_schedule_size(&m->model, &own, &size, err);
	if (status != BN_OK)
		return status;
	memory = model_file_memory(size);
	status = bn_schedule_init(&schedule, memory, size, &m->model, kernels, &own, err);
	if (status == BN_OK)
		status = bn_schedule_add(schedule, &run, err);
	while (status == BN_OK && !bn_schedule_idle(schedule))
		status = bn_schedule_step(schedule, NULL, err);
	if (status == BN_OK && run.status != BN_OK)
	{
		*err = run.error;
		status = run.status;
	}
	free(memory);
	return status;
}
