/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/api/lookup.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/array.h"
#include "portal/worker.h"

enum { WAITING_MAX = 100 };

struct queue {
	struct kc_worker *worker;
	atomic_uint n_waiting;
};

struct kc_lookups {
	struct queue users, agents;
};

struct lookup {
	struct kc_worker_item item;
	struct queue *queue;
	struct kc_portal *portal;
	struct kc_http_request *request;
	kc_lookup_fn *answer;
};

static void run(struct kc_worker_item *item, bool is_cancelled)
{
	kc_autofree struct lookup *lookup = (struct lookup *)item;

	atomic_fetch_sub(&lookup->queue->n_waiting, 1);
	if (is_cancelled)
		kc_http_reply_error(lookup->request, kc_error_new(KC_ERR_BUSY, "the portal is being stopped"));
	else
		lookup->answer(lookup->portal, lookup->request);
}

void kc_lookup(struct kc_portal *portal, struct kc_http_request *request, kc_lookup_fn *answer)
{
	bool is_agent = kc_http_route_of(request)->role == KC_HTTP_AGENT;
	struct queue *queue = is_agent ? &portal->lookups->agents : &portal->lookups->users;
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup) {
		kc_http_reply_error(request, kc_error_no_memory());
		return;
	}
	if (atomic_fetch_add(&queue->n_waiting, 1) >= WAITING_MAX) {
		atomic_fetch_sub(&queue->n_waiting, 1);
		free(lookup);
		kc_http_reply_error(request, kc_error_new(KC_ERR_BUSY, "too many look at the servers"));
		return;
	}
	*lookup = (struct lookup){ { .run = run }, queue, portal, request, answer };
	kc_worker_add(queue->worker, &lookup->item);
}

static struct kc_error *start(struct queue *queue)
{
	return kc_worker_start(NULL, KC_WORKER_NEVER, NULL, &queue->worker);
}

struct kc_error *kc_lookups_new(struct kc_lookups **lookups)
{
	struct kc_lookups *made = calloc(1, sizeof(*made));
	struct kc_error *err;

	if (!made)
		return kc_error_no_memory();
	err = start(&made->users);
	if (!err)
		err = start(&made->agents);
	if (err) {
		kc_lookups_stop(made);
		kc_lookups_free(made);
	} else {
		*lookups = made;
	}
	return err;
}

void kc_lookups_stop(struct kc_lookups *lookups)
{
	if (lookups && lookups->users.worker)
		kc_worker_stop(lookups->users.worker);
	if (lookups && lookups->agents.worker)
		kc_worker_stop(lookups->agents.worker);
}

void kc_lookups_free(struct kc_lookups *lookups)
{
	if (!lookups)
		return;
	kc_worker_free(lookups->users.worker);
	kc_worker_free(lookups->agents.worker);
	free(lookups);
}
