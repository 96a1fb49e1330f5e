/*-------------------------------------------------------------------------
 *
 * test_memory.c
 *	  The core with too little memory, with just enough, and without threads.
 *
 * Memory that a function is given ends at a page that nobody may touch, or,
 * where its alignment leaves a gap there, at bytes that must stay as they are.
 *
 * test/unit/test_memory.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/core/prompt.h"
#include "../../src/core/readahead.h"
#include "tap.h"
#include "works.h"

#define MODEL "--layers 2 --hidden 128 --ffn 256 --heads 4 --kv 2 --vocab 600 --ctx 256"
#define FILLER 0xa5

static file_bytes file;
static model_file model;
static work works[N_WORKS];
static result expected[N_WORKS];

/* ---- threads that cannot be had: the linker puts this before the real one ---- */

static int	threads_left = -1;	/* not negative: no more than so many */

extern int	__real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
								  void *(*run) (void *), void *arg);
extern int	__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
								  void *(*run) (void *), void *arg);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
					  void *(*run) (void *), void *arg)
{
	if (threads_left == 0)
		return EAGAIN;
	if (threads_left > 0)
		threads_left--;
	return __real_pthread_create(thread, attributes, run, arg);
}

/* ---- memory with guards ---- */

typedef struct block
{
	uint8_t    *map;
	size_t		map_size;
	uint8_t    *memory;			/* [size], aligned to 64 bytes */
	size_t		size;
} block;

static block
take_block(size_t size)
{
	size_t		page = (size_t) sysconf(_SC_PAGESIZE);
	block		b = {.size = size};

	b.map_size = (size + 63 + page - 1) / page * page + 2 * page;
	b.map = mmap(NULL, b.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b.map == MAP_FAILED)
	{
		printf("Bail out! out of memory\n");
		exit(1);
	}
	memset(b.map, FILLER, b.map_size);
	b.memory = b.map + b.map_size - page - (size + 63) / 64 * 64;
	mprotect(b.map, page, PROT_NONE);
	mprotect(b.map + b.map_size - page, page, PROT_NONE);
	return b;
}

/* Gives it back; false if anything was written beside it. */
static bool
give_back(block *b)
{
	size_t		page = (size_t) sysconf(_SC_PAGESIZE);
	bool		intact = true;

	for (uint8_t *p = b->map + page; p < b->memory; p++)
		intact &= *p == FILLER;
	for (uint8_t *p = b->memory + b->size; p < b->map + b->map_size - page; p++)
		intact &= *p == FILLER;
	munmap(b->map, b->map_size);
	return intact;
}

static uint64_t
digest(uint64_t before, const void *bytes, size_t n)
{
	for (const uint8_t *p = bytes; n > 0; p++, n--)
		before = (before ^ *p) * UINT64_C(0x100000001b3);
	return before;
}

/* ---- functions that are told how much memory they have ---- */

/* What such a function does with memory, and a digest of its results. */
typedef bn_status (*memory_user) (void *memory, size_t size, uint64_t *results, bn_error *err);

static bn_status
read_bytes(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	memcpy(buf, file.data + offset, len);
	return BN_OK;
}

static const bn_source source = {read_bytes, NULL, 0};

static bn_status
open_file(bn_gguf *g, void *memory, size_t size, bn_error *err)
{
	bn_source	of_file = source;

	of_file.size = file.size;
	return bn_gguf_open(g, &of_file, memory, size, NULL, err);
}

static bn_status
use_gguf(void *memory, size_t size, uint64_t *results, bn_error *err)
{
	bn_gguf		g;

	BN_TRY(open_file(&g, memory, size, err));
	*results = digest(0, g.tensors, sizeof(bn_gguf_tensor) * g.n_tensors);
	*results = digest(*results, g.values, sizeof(bn_gguf_value) * g.n_values);
	return BN_OK;
}

/* The image, with the file's records and the work space in blocks as well. */
static bn_status
use_image(void *memory, size_t size, uint64_t *results, bn_error *err)
{
	bn_source	of_file = source;
	bn_gguf		g;
	size_t		scratch_size;
	block		records;
	block		scratch = take_block(bn_image_scratch_size());
	bn_status	status;

	of_file.size = file.size;
	BN_TRY(bn_gguf_scratch_size(&of_file, &scratch_size, err));
	records = take_block(scratch_size);
	status = open_file(&g, records.memory, scratch_size, err);
	if (status == BN_OK)
		status = bn_image_build(&g, (bn_image_options) {BN_SCREEN_ALWAYS, model_file_uses_five()}, memory, size,
								scratch.memory, NULL, err);
	*results = status == BN_OK ? digest(0, memory, size) : 0;
	if (!give_back(&scratch))
		*results = 1;
	if (!give_back(&records))
		*results = 1;
	return status;
}

/* A word of which more is taken into memory than a small one, and others */
static const char long_text[] = "some words, then anextremelylongwordwithoutanyspaceinitwhichgoeson"
	"andonforsomethinglikefourhundredbytesuntilnobodyremembershowitbegan"
	"andonforsomethinglikefourhundredbytesuntilnobodyremembershowitbegan"
	"andonforsomethinglikefourhundredbytesuntilnobodyremembershowitbegan\n\n and more";

static bn_status
use_encoder(void *memory, size_t size, uint64_t *results, bn_error *err)
{
	int32_t		tokens[sizeof(long_text)];
	size_t		n;

	BN_TRY(bn_encode(model.model.vocab, long_text, sizeof(long_text) - 1, tokens,
					 sizeof(long_text), &n, NULL, memory, size, NULL, err));
	*results = digest(0, tokens, sizeof(int32_t) * n);
	return BN_OK;
}

static const bn_message messages[] = {
	{BN_ROLE_SYSTEM, "be brief", 8},
	{BN_ROLE_USER, long_text, sizeof(long_text) - 1}
};

static bn_status
use_prompt(void *memory, size_t size, uint64_t *results, bn_error *err)
{
	int32_t		tokens[sizeof(long_text) + 64];
	size_t		n;

	BN_TRY(bn_prompt_chat(model.model.vocab, messages, 2, tokens, sizeof(long_text) + 64, &n,
						  memory, size, NULL, err));
	*results = digest(0, tokens, sizeof(int32_t) * n);
	return BN_OK;
}

/* Here the memory is that of the tokens. */
static bn_status
use_prompt_tokens(void *memory, size_t size, uint64_t *results, bn_error *err)
{
	size_t		scratch_size;
	size_t		n;
	block		scratch;
	bn_status	status;

	BN_TRY(bn_prompt_scratch_size(model.model.vocab, messages, 2, &scratch_size, NULL, err));
	scratch = take_block(scratch_size);
	status = bn_prompt_chat(model.model.vocab, messages, 2, memory, size / sizeof(int32_t), &n,
							scratch.memory, scratch_size, NULL, err);
	*results = digest(give_back(&scratch), memory, status == BN_OK ? sizeof(int32_t) * n : 0);
	return status;
}

static bn_schedule_limits limits;

/* Some works of all kinds, compared with what each gives alone */
static bn_status
use_schedule(void *memory, size_t size, uint64_t *results, bn_error *err)
{
	bn_request	requests[GROUP];
	bn_run		run = {.requests = requests, .n_requests = GROUP};
	bn_schedule *schedule;

	BN_TRY(bn_schedule_init(&schedule, memory, size, &model.model, bn_kernels_select(NULL),
							&limits, err));
	for (int i = 0; i < GROUP; i++)
		requests[i] = works_request(&works[i]);
	BN_TRY(bn_schedule_add(schedule, &run, err));
	while (!bn_schedule_idle(schedule))
		BN_TRY(bn_schedule_step(schedule, NULL, err));
	*results = run.status;
	for (int i = 0; i < GROUP; i++)
	{
		result		found;

		works_result(&found, &works[i], &requests[i], model.model.config->d_model);
		*results += memcmp(&found, &expected[i], sizeof(found)) != 0;
	}
	return BN_OK;
}

typedef enum need
{
	EXACTLY,					/* that much memory */
	AT_LEAST,					/* that much */
	AT_MOST						/* that much; less may do, but not nothing */
} need;

/* Sizes from nothing to more than what is needed, all of them near the ends. */
static void
test_sizes(const char *name, memory_user use, need need, size_t needed)
{
	size_t		most = needed + (need == EXACTLY ? 0 : 64);
	uint64_t	right = 0;
	int			n_refused = 0;
	int			n_wrong = 0;
	bool		nothing_refused = false;

	for (size_t size = most + 1; size-- > 0;)
	{
		block		b;
		uint64_t	results = 0;
		bn_error	err = {0};
		bn_status	status;

		if (size > 64 && size + 64 < needed && size % (needed / 100 + 1) != 0)
			continue;
		b = take_block(size);
		status = use(b.memory, size, &results, &err);
		if (size == most)
			right = results;
		if (!give_back(&b) ||
			(status == BN_OK ? results != right || (size < needed && need != AT_MOST) :
			 size >= needed || status != BN_ERR_NOSPACE || err.code != status || err.detail[0] == '\0'))
		{
			if (n_wrong++ == 0)
				printf("# %s: status %d with %zu bytes: %s\n", name, (int) status, size, err.detail);
		}
		n_refused += status != BN_OK;
		nothing_refused |= size == 0 && status != BN_OK;
	}
	ok(n_wrong == 0 && nothing_refused, "%s: %zu bytes are enough, and less is refused, %d times",
	   name, needed, n_refused);
}

static void
test_schedules(void)
{
	static const int32_t sequences[] = {1, 3, GROUP};
	static const int32_t steps[] = {1, 17, 128};
	int			n_wrong = 0;

	for (int i = 0; i < 27; i++)
	{
		size_t		size = 0;
		uint64_t	results = 0;
		bn_error	err = {0};
		block		b;
		bn_status	status;

		limits = model_file_limits(&model, sequences[i % 3], steps[i / 3 % 3], 1 + i / 9,
								   (int64_t) bn_kv_page_bytes(model.model.config) * (5 + i));
		limits.max_positions -= i;
		bn_schedule_size(&model.model, &limits, &size, &err);
		b = take_block(size);
		threads_left = i % 2 ? i - 9 : -1;
		status = use_schedule(b.memory, size, &results, &err);
		threads_left = -1;
		if (!give_back(&b) || status != BN_OK || results != 0)
			printf("# schedule %d: status %d, %s, %d wrong\n", i, (int) status, err.detail,
				   (int) results), n_wrong++;
	}
	ok(n_wrong == 0, "schedules of many sizes, in just enough memory, with threads that fail");
}

static void
test_sampler(void)
{
	int			n_wrong = 0;

	for (int n = 1; n < 300; n++)
	{
		block		b = take_block(bn_sampler_scratch_size(n));
		bn_sampling sampling = {.temperature = 1, .top_k = n / 3, .top_p = 0.9, .min_p = 0.01,
			.repeat_penalty = 1.1, .seed = n};
		float		logits[300];
		int32_t		token;

		for (int i = 0; i < n; i++)
			logits[i] = (float) (i * 37 % 101) / 20;
		token = bn_sample(&sampling, logits, n, NULL, 0, NULL, 0, b.memory);
		n_wrong += !give_back(&b) || token < 0 || token >= n;
	}
	ok(n_wrong == 0, "the sampler's work space is enough");
}

static ptrdiff_t
read_some(void *unused, uint64_t offset, void *buf, size_t len)
{
	if (len > file.size - offset)
		len = (size_t) (file.size - offset);
	memcpy(buf, file.data + offset, len);
	return (ptrdiff_t) len;
}

/* With no thread, with one, and with both */
static void
test_readahead(void)
{
	for (threads_left = 0; threads_left <= 2;)
	{
		int			n_threads = threads_left;
		block		room = take_block(bn_readahead_size());
		block		touched = take_block(100001);
		bn_readahead *r = bn_readahead_start(room.memory, read_some, NULL, 1, file.size,
											 touched.memory, touched.size);
		bool		right = (r != NULL) == (n_threads > 0);
		uint8_t		buf[4096];

		for (uint64_t at = 1; r && right && at < file.size;)
		{
			size_t		n = bn_readahead_take(r, at, buf, sizeof(buf));

			right = n > 0 && memcmp(buf, file.data + at, n) == 0;
			at += n;
		}
		if (r)
			bn_readahead_stop(r);
		right = give_back(&room) && right;
		right = give_back(&touched) && right;
		ok(right, "reading ahead where there are no more than %d threads", n_threads);
		threads_left = n_threads + 1;
	}
	threads_left = -1;
}

int
main(int argc, char **argv)
{
	bn_source	of_file = source;
	bn_error	err;
	size_t		size = 0;
	size_t		n_tokens = 0;
	void	   *scratch;

	model_file_init(argv[0]);
	if (!ok(model_file_write(&file, MODEL) && model_file_make(&model, MODEL), "a model"))
		return done_testing();
	works_make(works, &model.model);
	ok(works_alone(works, &model, bn_kernels_select(NULL), 64, expected) > 0, "expected results");

	of_file.size = file.size;
	bn_gguf_scratch_size(&of_file, &size, &err);
	test_sizes("records of a file", use_gguf, AT_LEAST, size);
	test_sizes("image", use_image, EXACTLY, (size_t) model.image_size);
	bn_encode_scratch_size(model.model.vocab, long_text, sizeof(long_text) - 1, &size, NULL, &err);
	test_sizes("tokenizer", use_encoder, AT_MOST, size);
	bn_prompt_scratch_size(model.model.vocab, messages, 2, &size, NULL, &err);
	test_sizes("prompt", use_prompt, AT_MOST, size);
	scratch = model_file_memory(size);
	bn_prompt_chat(model.model.vocab, messages, 2, NULL, 0, &n_tokens, scratch, size, NULL, &err);
	free(scratch);
	test_sizes("tokens of a prompt", use_prompt_tokens, AT_LEAST,
			   n_tokens * sizeof(int32_t));
	limits = model_file_limits(&model, 3, 64, 2, LARGE_CACHE / 256);
	bn_schedule_size(&model.model, &limits, &size, &err);
	test_sizes("schedule", use_schedule, AT_LEAST, size);
	test_schedules();
	test_sampler();
	test_readahead();
	free(file.data);
	model_file_close(&model);
	return done_testing();
}
