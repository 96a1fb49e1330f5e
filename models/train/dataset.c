/*-------------------------------------------------------------------------
 *
 * dataset.c
 *	  Reading and shuffling training records.
 *
 * models/train/dataset.c
 *
 *-------------------------------------------------------------------------
 */
#include "dataset.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random.h"

static void
fail(const char *path, const char *why)
{
	fprintf(stderr, "trainer: %s: %s\n", path, why);
	exit(1);
}

static uint32_t
record_length(const uint8_t *record)
{
	uint32_t	n;

	memcpy(&n, record, sizeof(n));
	return n;
}

static int
record_token(const uint8_t *record, uint32_t i)
{
	uint16_t	token;

	memcpy(&token, record + 4 + 2 * i, sizeof(token));
	return token;
}

static bool
record_target(const uint8_t *record, uint32_t n, uint32_t i)
{
	return record[4 + 2 * n + i] != 0;
}

void
dataset_open(dataset *ds, const char *path, int group, int vocab, uint64_t seed)
{
	struct stat st;
	int			fd = open(path, O_RDONLY);
	size_t		n = 0;
	size_t		capacity = 1024;
	uint8_t    *bytes;

	memset(ds, 0, sizeof(*ds));
	if (fd < 0 || fstat(fd, &st) != 0)
		fail(path, "cannot be read");
	if (st.st_size == 0)
		fail(path, "is empty");
	bytes = mm_alloc(st.st_size);
	for (off_t done = 0; done < st.st_size;)
	{
		ssize_t		n_read = read(fd, bytes + done, st.st_size - done);

		if (n_read <= 0)
			fail(path, "cannot be read");
		done += n_read;
	}
	close(fd);
	ds->bytes = bytes;
	ds->at = malloc(sizeof(size_t) * capacity);
	for (size_t at = 0; at < (size_t) st.st_size;)
	{
		uint32_t	len;

		if (st.st_size - at < 4)
			fail(path, "ends inside a record");
		len = record_length(ds->bytes + at);
		if (len < 1 || (st.st_size - at - 4) / 3 < len)
			fail(path, "has a record of an impossible length");
		for (uint32_t i = 0; i < len; i++)
			if (record_token(ds->bytes + at, i) >= vocab)
				fail(path, "has a token that is not in the vocabulary");
		if (n == capacity)
			ds->at = realloc(ds->at, sizeof(size_t) * (capacity *= 2));
		ds->at[n++] = at;
		ds->tokens += len;
		at += 4 + (size_t) 3 * len;
	}
	if (n % group != 0)
		fail(path, "has half a pair");
	ds->group = group;
	ds->n = n / group;
	ds->seed = seed;
	ds->order = mm_alloc(sizeof(uint32_t) * ds->n);
	ds->order_epoch = -1;
}

static void
shuffle(dataset *ds, int epoch)
{
	uint64_t	state = ds->seed * 1000003 + epoch;

	for (int i = 0; i < ds->n; i++)
		ds->order[i] = i;
	if (ds->seed != 0)
		for (int i = ds->n - 1; i > 0; i--)
		{
			int			j = random_next(&state) % (i + 1);
			uint32_t	swap = ds->order[i];

			ds->order[i] = ds->order[j];
			ds->order[j] = swap;
		}
	ds->order_epoch = epoch;
}

/* Rows that a record takes: its last token is only a target. */
static int
record_rows(const uint8_t *record, int context)
{
	uint32_t	n = record_length(record);

	n = n > 1 ? n - 1 : 1;
	return n > (uint32_t) context ? context : (int) n;
}

static void
add_record(batch *b, const uint8_t *record, int context)
{
	uint32_t	n = record_length(record);
	int			rows = record_rows(record, context);

	b->sequence[b->n_sequences++] = (sequence) {b->rows, rows, 1, record[4 + 2 * n]};
	for (int i = 0; i < rows; i++, b->rows++)
	{
		bool		wanted = i + 1 < (int) n && record_target(record, n, i + 1);

		b->token[b->rows] = record_token(record, i);
		b->target[b->rows] = wanted ? record_token(record, i + 1) : -1;
	}
}

int
dataset_fill(dataset *ds, cursor *c, batch *b, int context, bool once, int *ids)
{
	int			groups = 0;
	int			rest;

	b->rows = b->n_sequences = 0;
	for (;;)
	{
		const size_t *at;
		int			rows = 0;

		if (c->next >= ds->n)
		{
			if (once)
				break;
			c->epoch++;
			c->next = 0;
		}
		if (ds->order_epoch != c->epoch)
			shuffle(ds, c->epoch);
		at = ds->at + (size_t) ds->order[c->next] * ds->group;
		for (int i = 0; i < ds->group; i++)
			rows += record_rows(ds->bytes + at[i], context);
		if (b->rows + rows > b->max_rows)
			break;
		for (int i = 0; i < ds->group; i++)
			add_record(b, ds->bytes + at[i], context);
		if (ids)
			ids[groups] = ds->order[c->next];
		groups++;
		c->next++;
	}
	rest = (MM_ROWS - b->rows % MM_ROWS) % MM_ROWS;
	if (rest > 0)
	{
		b->sequence[b->n_sequences++] = (sequence) {b->rows, rest, 0, 0};
		for (int i = 0; i < rest; i++, b->rows++)
		{
			b->token[b->rows] = 0;
			b->target[b->rows] = -1;
		}
	}
	return groups;
}
