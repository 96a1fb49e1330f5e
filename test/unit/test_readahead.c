/*-------------------------------------------------------------------------
 *
 * test_readahead.c
 *	  What comes out of a file that is read ahead is what is in the file.
 *
 * Every byte of the file follows from its position, so nothing is kept to
 * compare with.
 *
 * test/unit/test_readahead.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

#include "../../src/core/readahead.h"

#define FILE_BYTES ((uint64_t) 20 * 1024 * 1024 + 12345)	/* several rings and a rest */
#define BUF_BYTES (3 * 1024 * 1024)

#define MEMORY_BYTES ((size_t) 30 * 1024 * 1024 + 77)

static uint8_t buf[BUF_BYTES];
static uint8_t *memory;			/* [MEMORY_BYTES], on no boundary */
static void *room;

static uint8_t
byte_at(uint64_t position)
{
	return (uint8_t) ((position * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static uint32_t random_state = 7;

static uint32_t
random_below(uint32_t n)
{
	random_state = random_state * UINT32_C(1664525) + UINT32_C(1013904223);
	return (random_state >> 8) % n;
}

static bool
is_right(uint64_t offset, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] != byte_at(offset + i))
			return false;
	return true;
}

static ptrdiff_t
read_file(void *file, uint64_t offset, void *into, size_t len)
{
	return pread(*(int *) file, into, len, (off_t) offset);
}

static bn_readahead *
start(int fd, uint64_t begin, uint64_t end)
{
	static int	file;

	file = fd;
	return bn_readahead_start(room, read_file, &file, begin, end, memory, MEMORY_BYTES);
}

/* Takes all that there is from offset to end; true if all of it is right. */
static bool
take_all(bn_readahead *r, uint64_t offset, uint64_t end)
{
	while (offset < end)
	{
		size_t		len = end - offset < BUF_BYTES ? (size_t) (end - offset) : BUF_BYTES;
		size_t		n = bn_readahead_take(r, offset, buf, len);

		if (n == 0 || n > len || !is_right(offset, n))
			return false;
		offset += n;
	}
	return true;
}

/* Pieces of all sizes, with gaps between them. */
static bool
take_pieces(bn_readahead *r)
{
	uint64_t	offset = 0;

	while (offset < FILE_BYTES)
	{
		size_t		len = 1 + random_below(random_below(2) ? 1000 : BUF_BYTES - 1);
		size_t		n = bn_readahead_take(r, offset, buf, len);

		if (n == 0 || n > len || !is_right(offset, n))
			return false;
		offset += n + (random_below(3) ? 0 : random_below(4000000));
	}
	return true;
}

static atomic_ullong bytes_read;

static ptrdiff_t
read_nothing(void *file, uint64_t offset, void *into, size_t len)
{
	(void) file;
	(void) offset;
	memset(into, 0, len);
	atomic_fetch_add(&bytes_read, len);
	return (ptrdiff_t) len;
}

/* A file may have a hole of any size: whoever passes over it does not wait until it is read. */
static void
test_hole(void)
{
	uint64_t	behind = UINT64_C(1) << 50;
	bn_readahead *r = bn_readahead_start(room, read_nothing, NULL, 0, 2 * behind, memory, MEMORY_BYTES);

	ok(r && bn_readahead_take(r, 0, buf, 10) > 0 && bn_readahead_take(r, behind, buf, 10) == 0,
	   "what is behind a hole the caller reads by itself");
	if (r)
		bn_readahead_stop(r);
	ok(atomic_load(&bytes_read) < FILE_BYTES, "and the hole is not read");
}

static void
test_reading(int fd)
{
	bn_readahead *r = start(fd, 0, FILE_BYTES);
	bool		right = true;

	if (!ok(r != NULL, "reading ahead begins"))
		return;
	ok(take_all(r, 0, FILE_BYTES), "the whole file comes, and is right");
	ok(bn_readahead_take(r, FILE_BYTES, buf, 1) == 0, "behind its end there is nothing");
	ok(bn_readahead_take(r, 0, buf, 1) == 0, "what was taken does not come again");
	bn_readahead_stop(r);

	for (int i = 0; i < 20 && right; i++)
	{
		r = start(fd, 0, FILE_BYTES);
		right = r && take_pieces(r);
		if (r)
			bn_readahead_stop(r);
	}
	ok(right, "pieces of all sizes with gaps between them are right");

	r = start(fd, 5000001, 9000001);
	right = r && bn_readahead_take(r, 5000000, buf, 10) == 0 && take_all(r, 5000001, 9000001) &&
		bn_readahead_take(r, 9000001, buf, 10) == 0;
	ok(right, "a part of the file comes, and nothing beside it");
	if (r)
		bn_readahead_stop(r);
}

static void
test_ends(int fd)
{
	bn_readahead *r;

	for (int i = 0; i < 50; i++)
	{
		r = start(fd, 0, FILE_BYTES);
		if (r && i % 2)
			bn_readahead_take(r, 0, buf, 1 + random_below(BUF_BYTES - 1));
		if (r)
			bn_readahead_stop(r);
	}
	ok(true, "it can be stopped while the ring is empty, filling or full");
	ok(start(fd, 100, 100) == NULL, "an empty part is not begun");

	r = start(-1, 0, FILE_BYTES);
	ok(r && bn_readahead_take(r, 0, buf, 1) == 0, "a file that cannot be read gives nothing");
	if (r)
		bn_readahead_stop(r);

	r = start(fd, 0, FILE_BYTES + 1000000);
	ok(r && take_all(r, 0, FILE_BYTES) && bn_readahead_take(r, FILE_BYTES, buf, 100) == 0,
	   "a file that is too short gives what it has");
	if (r)
		bn_readahead_stop(r);
}

/* Writing while the pages are touched loses nothing. */
static void
test_memory(int fd)
{
	size_t		wrong = 0;
	size_t		i;

	for (int round = 0; round < 3; round++)
	{
		bn_readahead *r = start(fd, 0, FILE_BYTES);

		for (i = 0; i < MEMORY_BYTES; i++)
			memory[i] = (uint8_t) (byte_at(i) + round);
		if (r)
			bn_readahead_stop(r);
		for (i = 0; i < MEMORY_BYTES; i++)
			wrong += memory[i] != (uint8_t) (byte_at(i) + round);
	}
	ok(wrong == 0, "memory that is written meanwhile keeps what was written");
}

int
main(void)
{
	FILE	   *file = tmpfile();
	uint8_t    *block = malloc(MEMORY_BYTES + 5);
	bool		written = file != NULL && block != NULL;

	for (uint64_t p = 0; written && p < FILE_BYTES; p++)
		written = putc(byte_at(p), file) != EOF;
	if (!ok(written && fflush(file) == 0, "a file of %d MB", (int) (FILE_BYTES >> 20)))
		return done_testing();
	memory = block + 5;
	room = malloc(bn_readahead_size());
	test_memory(fileno(file));
	test_reading(fileno(file));
	test_hole();
	test_ends(fileno(file));
	fclose(file);
	free(room);
	free(block);
	return done_testing();
}
