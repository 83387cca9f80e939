/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct kc_worker {
	pthread_t thread;
	pthread_mutex_t mutex; /* of what follows, but for `due` and `data` */
	pthread_cond_t changed;
	struct kc_worker_item *first, *last;
	bool is_stopping;
	int64_t due_at; /* ms of the monotonic clock; KC_WORKER_NEVER */
	int64_t (*due)(void *data);
	void *data;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t after(int64_t ms)
{
	return ms < 0 ? KC_WORKER_NEVER : now_ms() + ms;
}

static bool is_due(const struct kc_worker *worker)
{
	return worker->due_at != KC_WORKER_NEVER && now_ms() >= worker->due_at;
}

/* With the mutex: until there is an item, something is due, or the end has come. */
static void wait_for_something(struct kc_worker *worker)
{
	while (!worker->is_stopping && !worker->first && !is_due(worker)) {
		const struct timespec until = { .tv_sec = worker->due_at / 1000,
						.tv_nsec = worker->due_at % 1000 * 1000000 };

		if (worker->due_at == KC_WORKER_NEVER)
			pthread_cond_wait(&worker->changed, &worker->mutex);
		else
			pthread_cond_timedwait(&worker->changed, &worker->mutex, &until);
	}
}

/* With the mutex, which is not held meanwhile. */
static void do_next(struct kc_worker *worker, bool is_cancelled)
{
	struct kc_worker_item *item = worker->first;

	worker->first = item->next;
	if (!worker->first)
		worker->last = NULL;
	pthread_mutex_unlock(&worker->mutex);
	item->run(item, is_cancelled);
	pthread_mutex_lock(&worker->mutex);
}

/* The same; what is due goes first, or a busy queue would let timestamps expire. */
static void do_due(struct kc_worker *worker)
{
	int64_t next;

	pthread_mutex_unlock(&worker->mutex);
	next = worker->due(worker->data);
	pthread_mutex_lock(&worker->mutex);
	worker->due_at = after(next);
}

static void *run(void *data)
{
	struct kc_worker *worker = data;

	pthread_mutex_lock(&worker->mutex);
	for (;;) {
		wait_for_something(worker);
		if (worker->is_stopping)
			break;
		if (is_due(worker))
			do_due(worker);
		else
			do_next(worker, false);
	}
	while (worker->first)
		do_next(worker, true);
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

struct kc_error *kc_worker_start(int64_t (*due)(void *data), int64_t first_ms, void *data, struct kc_worker **worker)
{
	struct kc_worker *started = calloc(1, sizeof(*started));
	pthread_condattr_t monotonic;
	int err;

	if (!started)
		return kc_error_no_memory();
	started->due = due;
	started->data = data;
	started->due_at = after(first_ms);
	pthread_mutex_init(&started->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&started->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	err = pthread_create(&started->thread, NULL, run, started);
	if (err) {
		kc_worker_free(started);
		return kc_error_errno(KC_ERR_SYSTEM, err, "cannot start a thread");
	}
	*worker = started;
	return NULL;
}

void kc_worker_add(struct kc_worker *worker, struct kc_worker_item *item)
{
	bool is_stopping;

	item->next = NULL;
	pthread_mutex_lock(&worker->mutex);
	is_stopping = worker->is_stopping;
	if (!is_stopping) {
		if (worker->last)
			worker->last->next = item;
		else
			worker->first = item;
		worker->last = item;
		pthread_cond_signal(&worker->changed);
	}
	pthread_mutex_unlock(&worker->mutex);
	if (is_stopping)
		item->run(item, true);
}

void kc_worker_stop(struct kc_worker *worker)
{
	pthread_mutex_lock(&worker->mutex);
	worker->is_stopping = true;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
	pthread_join(worker->thread, NULL);
}

void kc_worker_free(struct kc_worker *worker)
{
	if (!worker)
		return;
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->mutex);
	free(worker);
}
