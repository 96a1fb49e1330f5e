/*-------------------------------------------------------------------------
 *
 * model_file.h
 *	  Models for the C tests: written by make_model, opened with the core.
 *
 * test/unit/model_file.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include "../../src/core/schedule.h"

typedef struct model_file
{
	bn_model	model;
	void	   *image;			/* malloc'ed, what model points into */
	uint64_t	image_size;
	uint64_t	file_bytes;
	uint64_t	file_checksum;	/* FNV-1a, 64 bits, of the whole file */
} model_file;

/* A file in memory; data is malloc'ed. */
typedef struct file_bytes
{
	uint8_t    *data;
	uint64_t	size;
} file_bytes;

/*
 * Where make_model is: $BITNET_MAKE_MODEL, or two directories above the test
 * program (argv0), where the Makefile puts it.  To be called first.
 */
extern void model_file_init(const char *argv0);

/*
 * Do images that are made from now on hold five ternary weights to a byte?  At
 * first they do if the best kernels prefer that.
 */
extern void model_file_use_five(bool five);
extern bool model_file_uses_five(void);

/*
 * Runs make_model with these options (separated by single blanks), opens what
 * it wrote and removes the file.  On failure, prints why as a TAP comment.
 */
extern bool model_file_make(model_file *m, const char *options);

/* The same for a file that is there. */
extern bool model_file_open(model_file *m, const char *path);

/* Only the bytes: of a file that is there, and of one that make_model writes. */
extern bool model_file_read(file_bytes *file, const char *path);
extern bool model_file_write(file_bytes *file, const char *options);

extern void model_file_close(model_file *m);

/* 64-byte aligned memory, filled with rubbish; ends the program if there is none. */
extern void *model_file_memory(size_t size);

/* The root of the material that is shared outside the repository. */
extern const char *model_file_shared(void);

/* The limits of a schedule for one run; kv_bytes at most. */
extern bn_schedule_limits model_file_limits(const model_file *m, int32_t max_sequences,
											int32_t max_step_tokens, int32_t n_threads,
											int64_t kv_bytes);

/*
 * Runs requests to their end, in a schedule of their own.  Returns the status and, in *err, the reason of
 * a failure.
 */
extern bn_status model_file_run(const model_file *m, const bn_kernels *kernels,
								bn_request *requests, int n_requests,
								const bn_schedule_limits *limits, bn_error *err);

#endif							/* MODEL_FILE_H */
