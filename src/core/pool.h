/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  Worker threads for the inner loops of a step.
 *
 * The threads of a pool run core code only.  They are created with all signals
 * blocked, and are there between bn_pool_begin and bn_pool_end only.  The work
 * of a call is the same whatever the number of threads; only who does a part of
 * it changes.
 *
 * src/core/pool.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BN_POOL_H
#define BN_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define BN_MAX_THREADS 256

typedef struct bn_pool bn_pool;

/* One part of the work: items [begin, end), done by thread number thread. */
typedef void (*bn_pool_fn) (void *arg, int begin, int end, int thread);

/* Memory for a pool of at most n_threads, the calling thread included. */
extern size_t bn_pool_size(int n_threads);
extern bn_pool *bn_pool_init(void *memory, int n_threads);

/*
 * Start and stop the threads, of which there are n_threads at most, the caller
 * included; with one, nothing is started.  If the system refuses some of them,
 * the pool works with fewer; begin returns how many there are.
 */
extern int	bn_pool_begin(bn_pool *pool, int n_threads);
extern void bn_pool_end(bn_pool *pool);

/*
 * Runs fn over [0, n_items), in pieces of a multiple of grain, on all threads,
 * and returns when all of it is done.  Waiting for other threads costs some
 * microseconds, so a grain should be worth that.
 */
extern void bn_pool_run(bn_pool *pool, bn_pool_fn fn, void *arg, int n_items, int grain);

extern int	bn_pool_threads(const bn_pool *pool);

/*
 * While the caller waits for a thread that is kept waiting itself, it calls this
 * every now and then, to tell the others to stop for example; NULL: nothing.
 */
extern void bn_pool_poll(bn_pool *pool, void (*poll) (void *arg), void *arg);

/* Starts a thread that takes no signals, which are the caller's; false if it cannot. */
extern bool bn_thread_start(pthread_t *thread, void *(*run) (void *), void *arg);

#endif							/* BN_POOL_H */
