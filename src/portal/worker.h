/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread that does one item after another, and between them what is due by the clock. */
#ifndef KC_PORTAL_WORKER_H
#define KC_PORTAL_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct kc_worker;

/* The first member of what is to be done; whoever adds it allocates it, `run` frees it. */
struct kc_worker_item {
	struct kc_worker_item *next;
	/* In the worker's thread. `is_cancelled`: the worker ends, and nothing may be done any more; then also in
	 * kc_worker_add()'s. */
	void (*run)(struct kc_worker_item *item, bool is_cancelled);
};

enum { KC_WORKER_NEVER = -1 };

/* `due` is called after `first_ms`, and again after as many ms as it says, or KC_WORKER_NEVER; in the thread, too. */
struct kc_error *kc_worker_start(int64_t (*due)(void *data), int64_t first_ms, void *data, struct kc_worker **worker);
void kc_worker_add(struct kc_worker *worker, struct kc_worker_item *item);
/* Waits for what is being done, cancels the rest. Work that is added meanwhile, or later, is cancelled. */
void kc_worker_stop(struct kc_worker *worker);
/* After kc_worker_stop(), and when nobody adds any more. */
void kc_worker_free(struct kc_worker *worker);

#endif
