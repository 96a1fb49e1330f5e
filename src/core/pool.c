/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Worker threads for the inner loops of a step.
 *
 * A run is announced by counting up "round"; the workers that see it take
 * pieces from a common counter until there are none, and report.  The caller
 * takes pieces too and returns when every worker has reported, so no worker
 * ever looks at the fields of a run that is over.  Pieces get smaller towards
 * the end: long ones stream well, short ones let all threads end together.
 * Waiting, on both sides, begins with a short spin, since the next run of a
 * step usually follows within microseconds, and then sleeps on a condition
 * variable.
 *
 * src/core/pool.c
 *
 *-------------------------------------------------------------------------
 */
#define _POSIX_C_SOURCE 200809L

#include "pool.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define SPIN_ROUNDS 2000
#define POLL_EVERY 20000000		/* nanoseconds */
#define THREAD_STACK_BYTES (512 * 1024)

typedef struct worker
{
	bn_pool    *pool;
	int			number;			/* 1 .. n_threads - 1; the caller is 0 */
	pthread_t	thread;
} worker;

struct bn_pool
{
	int			max_threads;
	int			n_threads;		/* running now, the caller included */
	void		(*poll) (void *arg);	/* or NULL */
	void	   *poll_arg;
	bool		has_begun;		/* the fields below are in use */

	/* the current run */
	bn_pool_fn	fn;
	void	   *arg;
	int			n_items;
	int			grain;
	atomic_int	next_item;

	/* announcements and reports */
	atomic_uint round;
	atomic_int	n_busy;			/* workers that have not reported */
	atomic_bool quit;
	pthread_mutex_t mutex;
	pthread_cond_t changed;		/* round, n_busy or quit */
	atomic_int	n_sleeping;

	worker		workers[];		/* [max_threads - 1] */
};

static inline void
spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile ("yield");
#endif
}

size_t
bn_pool_size(int n_threads)
{
	return sizeof(bn_pool) + sizeof(worker) * (size_t) n_threads;
}

bn_pool *
bn_pool_init(void *memory, int n_threads)
{
	bn_pool    *pool = memory;

	pool->max_threads = n_threads < 1 ? 1 : n_threads > BN_MAX_THREADS ? BN_MAX_THREADS : n_threads;
	pool->n_threads = 1;
	pool->poll = NULL;
	pool->has_begun = false;
	return pool;
}

void
bn_pool_poll(bn_pool *pool, void (*poll) (void *arg), void *arg)
{
	pool->poll = poll;
	pool->poll_arg = arg;
}

int
bn_pool_threads(const bn_pool *pool)
{
	return pool->max_threads;
}

/* Takes three quarters of what would be this thread's share of the rest, again and again. */
static void
take_pieces(bn_pool *pool, int thread)
{
	int			begin = atomic_load_explicit(&pool->next_item, memory_order_relaxed);

	while (begin < pool->n_items)
	{
		int			rest = pool->n_items - begin;
		int			piece = rest * 3 / (4 * pool->n_threads) / pool->grain * pool->grain;

		if (piece < pool->grain)
			piece = rest < pool->grain ? rest : pool->grain;
		if (atomic_compare_exchange_weak_explicit(&pool->next_item, &begin, begin + piece,
												  memory_order_relaxed, memory_order_relaxed))
		{
			pool->fn(pool->arg, begin, begin + piece, thread);
			begin = atomic_load_explicit(&pool->next_item, memory_order_relaxed);
		}
	}
}

/* Wakes whoever sleeps until something changes. */
static void
announce_change(bn_pool *pool)
{
	if (atomic_load(&pool->n_sleeping) == 0)
		return;
	pthread_mutex_lock(&pool->mutex);
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->mutex);
}

static bool
has_new_round(bn_pool *pool, unsigned seen)
{
	return atomic_load(&pool->round) != seen;
}

static bool
all_reported(bn_pool *pool, unsigned unused)
{
	(void) unused;
	return atomic_load(&pool->n_busy) == 0;
}

/* Sleeps until something changes, or for POLL_EVERY if there is something to do meanwhile. */
static void
sleep_a_while(bn_pool *pool, bool polls)
{
	struct timespec limit;

	if (!polls)
	{
		pthread_cond_wait(&pool->changed, &pool->mutex);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_nsec += POLL_EVERY;
	if (limit.tv_nsec >= 1000000000)
	{
		limit.tv_sec++;
		limit.tv_nsec -= 1000000000;
	}
	if (pthread_cond_timedwait(&pool->changed, &pool->mutex, &limit) == ETIMEDOUT)
		pool->poll(pool->poll_arg);
}

/*
 * Waits until the condition holds.  A sleeper counts itself before it looks
 * once more, and whoever changes something looks at the count afterwards, both
 * in sequentially consistent order, so that no wake-up is lost.
 */
static void
wait_until(bn_pool *pool, bool (*condition) (bn_pool *, unsigned), unsigned seen, bool polls)
{
	int			i;

	for (i = 0; i < SPIN_ROUNDS; i++)
	{
		if (condition(pool, seen))
			return;
		spin_pause();
	}
	pthread_mutex_lock(&pool->mutex);
	atomic_fetch_add(&pool->n_sleeping, 1);
	while (!condition(pool, seen))
		sleep_a_while(pool, polls);
	atomic_fetch_sub(&pool->n_sleeping, 1);
	pthread_mutex_unlock(&pool->mutex);
}

static void *
worker_main(void *arg)
{
	worker	   *self = arg;
	bn_pool    *pool = self->pool;
	unsigned	seen = 0;

	for (;;)
	{
		wait_until(pool, has_new_round, seen, false);
		seen++;
		if (atomic_load(&pool->quit))
			return NULL;
		take_pieces(pool, self->number);
		if (atomic_fetch_sub(&pool->n_busy, 1) == 1)
			announce_change(pool);
	}
}

bool
bn_thread_start(pthread_t *thread, void *(*run) (void *), void *arg)
{
	pthread_attr_t attributes;
	sigset_t	all;
	sigset_t	old;
	bool		started;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	(void) pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);

	/* the thread inherits this mask */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	started = pthread_create(thread, &attributes, run, arg) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return started;
}

int
bn_pool_begin(bn_pool *pool, int n_threads)
{
	pool->n_threads = 1;
	pool->has_begun = n_threads > 1 && pool->max_threads > 1;
	if (!pool->has_begun)
		return 1;
	atomic_init(&pool->next_item, 0);
	atomic_init(&pool->round, 0);
	atomic_init(&pool->n_busy, 0);
	atomic_init(&pool->quit, false);
	atomic_init(&pool->n_sleeping, 0);
	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->changed, NULL);

	while (pool->n_threads < pool->max_threads && pool->n_threads < n_threads)
	{
		worker	   *w = &pool->workers[pool->n_threads - 1];

		w->pool = pool;
		w->number = pool->n_threads;
		if (!bn_thread_start(&w->thread, worker_main, w))
			break;
		pool->n_threads++;
	}
	return pool->n_threads;
}

void
bn_pool_end(bn_pool *pool)
{
	int			i;

	if (!pool->has_begun)
		return;
	atomic_store(&pool->quit, true);
	atomic_fetch_add(&pool->round, 1);
	announce_change(pool);
	for (i = 1; i < pool->n_threads; i++)
		pthread_join(pool->workers[i - 1].thread, NULL);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->mutex);
	pool->has_begun = false;
	pool->n_threads = 1;
}

void
bn_pool_run(bn_pool *pool, bn_pool_fn fn, void *arg, int n_items, int grain)
{
	if (n_items <= 0)
		return;
	if (pool->n_threads == 1 || n_items <= grain)
	{
		fn(arg, 0, n_items, 0);
		return;
	}

	pool->fn = fn;
	pool->arg = arg;
	pool->n_items = n_items;
	pool->grain = grain;
	atomic_store_explicit(&pool->next_item, 0, memory_order_relaxed);
	atomic_store(&pool->n_busy, pool->n_threads - 1);
	atomic_fetch_add(&pool->round, 1);
	announce_change(pool);
	take_pieces(pool, 0);
	wait_until(pool, all_reported, 0, pool->poll != NULL);
}
