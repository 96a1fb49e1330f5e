/*-------------------------------------------------------------------------
 *
 * readahead.c
 *	  Reading a file into memory that is new, with the waiting done by threads.
 *
 * One thread reads the file into a ring of bytes, from which the caller takes.
 * Each moves a position of its own, under the mutex, and touches only bytes on
 * its side of both, without it.
 *
 * Another thread touches all pages of the memory.  A page that is new costs
 * its first user a fault, and in a virtual machine often a second, in the
 * host, which takes longer than filling the page.
 *
 * src/core/readahead.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE				/* madvise */

#include "readahead.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"

#define PIECE_BYTES ((uint64_t) 512 * 1024)
#define RING_BYTES (8 * PIECE_BYTES)	/* stays in the caches */

/* Pages that are asked for in one call, of some 2 ms */
#define TOUCH_BYTES ((size_t) 8 * 1024 * 1024)

struct bn_readahead
{
	pthread_t	toucher;
	bool		touches;		/* there is one */
	atomic_bool stop;
	char	   *memory;
	size_t		memory_bytes;

	pthread_t	reader;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bn_read_fn	read;
	void	   *file;
	uint64_t	end;
	uint64_t	read_to;		/* positions in the file; the ring has what is between */
	uint64_t	taken_to;
	bool		ended;			/* the thread reads no more */
	char		ring[RING_BYTES];	/* position p is at p % RING_BYTES */
};

static inline uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The next bytes to read, once there is room for a whole piece; 0 to end. */
static uint64_t
wait_for_room(bn_readahead *r)
{
	uint64_t	n = smaller(PIECE_BYTES, r->end - r->read_to);

	n = smaller(n, RING_BYTES - r->read_to % RING_BYTES);
	while (!r->stop && RING_BYTES - (r->read_to - r->taken_to) < n)
		pthread_cond_wait(&r->changed, &r->mutex);
	return r->stop ? 0 : n;
}

static void *
read_ahead(void *arg)
{
	bn_readahead *r = arg;
	uint64_t	n;

	pthread_mutex_lock(&r->mutex);
	while ((n = wait_for_room(r)) > 0)
	{
		ptrdiff_t	got;

		pthread_mutex_unlock(&r->mutex);
		got = r->read(r->file, r->read_to, r->ring + r->read_to % RING_BYTES, n);
		pthread_mutex_lock(&r->mutex);
		if (got <= 0)
			break;
		r->read_to += (uint64_t) got;
		pthread_cond_signal(&r->changed);
	}
	r->ended = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->mutex);
	return NULL;
}

/*
 * Linux 5.14 and later make the pages of a part present in one call; then a byte
 * of each is read, which meets the fault in the host, where there is one.
 * Elsewhere each page is touched by a store that changes nothing.  The caller may
 * be writing to the same bytes.  To C that is a race; in the processor, where a
 * byte is changed while nobody else has its line of cache, no store can be lost,
 * and what is read is not used.
 */
__attribute__((no_sanitize("thread")))
static void
touch_page(char *p, bool is_present)
{
	if (is_present)
		(void) *(volatile char *) p;
	else
		atomic_fetch_or_explicit((atomic_char *) p, 0, memory_order_relaxed);
}

static void *
touch_pages(void *arg)
{
	bn_readahead *r = arg;
	size_t		page = (size_t) sysconf(_SC_PAGESIZE);
	char	   *end = r->memory + r->memory_bytes;
	char	   *p = r->memory + (page - (uintptr_t) r->memory % page) % page;

	while (p < end && !atomic_load(&r->stop))
	{
		char	   *part_end = (size_t) (end - p) > TOUCH_BYTES ? p + TOUCH_BYTES : end;
		bool		is_present = false;

#ifdef MADV_POPULATE_WRITE
		is_present = madvise(p, (size_t) (part_end - p) / page * page, MADV_POPULATE_WRITE) == 0;
#endif
		for (; p < part_end; p += page)
			touch_page(p, is_present);
	}
	return NULL;
}

size_t
bn_readahead_size(void)
{
	return sizeof(bn_readahead);
}

bn_readahead *
bn_readahead_start(void *room, bn_read_fn read, void *file, uint64_t begin, uint64_t end,
				   void *memory, size_t memory_bytes)
{
	bn_readahead *r = room;

	if (begin >= end)
		return NULL;
	r->memory = memory;
	r->memory_bytes = memory_bytes;
	r->read = read;
	r->file = file;
	r->end = end;
	r->read_to = r->taken_to = begin;
	r->ended = false;
	atomic_init(&r->stop, false);
	pthread_mutex_init(&r->mutex, NULL);
	pthread_cond_init(&r->changed, NULL);
	if (!bn_thread_start(&r->reader, read_ahead, r))
	{
		pthread_cond_destroy(&r->changed);
		pthread_mutex_destroy(&r->mutex);
		return NULL;
	}
	r->touches = memory_bytes > 0 && bn_thread_start(&r->toucher, touch_pages, r);
	return r;
}

/* Frees what is before position p in the ring. */
static void
take_to(bn_readahead *r, uint64_t p)
{
	r->taken_to = p;
	pthread_cond_signal(&r->changed);
}

size_t
bn_readahead_take(bn_readahead *r, uint64_t offset, void *buf, size_t len)
{
	uint64_t	at = offset % RING_BYTES;
	uint64_t	n;

	pthread_mutex_lock(&r->mutex);
	/* What lies before the next place could last, and nobody would ask whether to stop */
	if (offset < r->taken_to || offset - r->taken_to > RING_BYTES)
	{
		pthread_mutex_unlock(&r->mutex);
		return 0;
	}
	while (r->read_to <= offset && !r->ended)
	{
		take_to(r, r->read_to);
		pthread_cond_wait(&r->changed, &r->mutex);
	}
	n = r->read_to > offset ? smaller(r->read_to - offset, len) : 0;
	pthread_mutex_unlock(&r->mutex);
	if (n == 0)
		return 0;

	n = smaller(n, RING_BYTES - at);
	memcpy(buf, r->ring + at, n);

	pthread_mutex_lock(&r->mutex);
	take_to(r, offset + n);
	pthread_mutex_unlock(&r->mutex);
	return (size_t) n;
}

void
bn_readahead_stop(bn_readahead *r)
{
	pthread_mutex_lock(&r->mutex);
	atomic_store(&r->stop, true);
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->mutex);
	pthread_join(r->reader, NULL);
	if (r->touches)
		pthread_join(r->toucher, NULL);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->mutex);
}
