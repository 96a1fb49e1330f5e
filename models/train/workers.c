/*-------------------------------------------------------------------------
 *
 * workers.c
 *	  The threads of a run: all do the same job on their own part.
 *
 * models/train/workers.c
 *
 *-------------------------------------------------------------------------
 */
#include "train.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct worker
{
	trainer    *tr;
	int			number;
} worker;

static void *
worker_main(void *argument)
{
	worker		w = *(worker *) argument;

	free(argument);
	for (;;)
	{
		pthread_barrier_wait(&w.tr->start);
		if (w.tr->job == NULL)
			return NULL;
		w.tr->job(w.tr, w.number);
		pthread_barrier_wait(&w.tr->end);
	}
}

void
workers_init(trainer *tr, bool backward)
{
	pthread_barrier_init(&tr->start, NULL, tr->threads);
	pthread_barrier_init(&tr->end, NULL, tr->threads);
	for (int i = 0; i < tr->threads; i++)
	{
		workspace_init(&tr->ws[i], &tr->model, tr->rows, backward);
		batch_init(&tr->batch[i], tr->rows);
		tr->score[i] = mm_alloc(sizeof(sequence_score) * (tr->rows + 1));
		tr->ids[i] = mm_alloc(sizeof(int) * (tr->rows + 1));
	}
	for (int i = 1; i < tr->threads; i++)
	{
		worker	   *w = malloc(sizeof(worker));

		*w = (worker) {tr, i};
		if (pthread_create(&tr->thread[i], NULL, worker_main, w) != 0)
		{
			fprintf(stderr, "trainer: cannot start a thread\n");
			exit(1);
		}
	}
}

void
workers_run(trainer *tr, job_function job)
{
	tr->job = job;
	pthread_barrier_wait(&tr->start);
	job(tr, 0);
	pthread_barrier_wait(&tr->end);
}

void
workers_end(trainer *tr)
{
	tr->job = NULL;
	pthread_barrier_wait(&tr->start);
	for (int i = 1; i < tr->threads; i++)
		pthread_join(tr->thread[i], NULL);
}

void
run_path(char *path, size_t size, const char *dir, const char *name)
{
	if ((size_t) snprintf(path, size, "%s/%s", dir, name) >= size)
	{
		fprintf(stderr, "trainer: %s/%s: the path is too long\n", dir, name);
		exit(1);
	}
}

double
clock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}
