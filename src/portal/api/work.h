/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What calls that change something have in common. A handler names a kind; its steps are done one after the other, in
 * the threads where they belong, and then the request is answered:
 *
 *	prepare   in the handler's thread: reads parameters. Its error is the answer.
 *	publish   in the publisher's thread: what concerns the repository.
 *	write     in the database writer's thread, in one transaction with the line of the audit log.
 *
 * A change that failed has its line, too. What turns out to be so already (KC_ERR_NOTHING) is answered as done, with
 * nothing changed, and has no line.
 */
#ifndef KC_PORTAL_API_WORK_H
#define KC_PORTAL_API_WORK_H

#include "portal/api/args.h"
#include "portal/portal.h"

struct kc_work;

struct kc_work_kind {
	const char *action; /* for the audit log: "key add"; NULL: it has no lines */
	bool is_of_agents;  /* who asks is not a user, and failures have no lines: everybody can make them */
	bool has_own_body;  /* the body is not parameters: `args` has the query alone */
	size_t data_size;   /* of `data`, zeroed at first */
	void (*clear)(void *data);
	struct kc_error *(*prepare)(struct kc_work *work);
	struct kc_error *(*publish)(struct kc_ctx *ctx, struct kc_publisher *publisher,
				    struct kc_repository *repository, struct kc_work *work);
	/* Instead of `publish`: begins something that ends with kc_work_go_on(), in whatever thread. */
	void (*hand_over)(struct kc_work *work);
	struct kc_error *(*write)(struct kc_db_conn *conn, struct kc_work *work);
	/* Sees each error before it becomes the answer, in some thread. */
	void (*failed)(struct kc_work *work, const struct kc_error *err);
	/* After all went well, before the answer, in some thread. */
	void (*succeeded)(struct kc_work *work);
};

struct kc_work {
	const struct kc_work_kind *kind;
	struct kc_portal *portal;
	struct kc_http_request *request;
	struct kc_args args;
	void *data;  /* of its kind */
	int64_t now; /* Unix seconds, when it came */

	/* for the audit log; `who` is found out unless it is of agents */
	char who[80];
	char *object, *detail; /* owned; NULL: "" */
	const char *action;    /* that of the kind, unless a step knows better */

	/* the answer */
	json_t *answer;	    /* owned; its members "changed" and "message" are added when `has_changed` */
	struct kc_buf body; /* instead of it, when it is not empty */
	bool has_changed;
	size_t n_changed;  /* 0: there is no line in the audit log, either */
	bool is_unchanged; /* the same for calls whose answer does not say so */
	char *message;	   /* owned; for people; may be NULL */

	struct kc_error *failure; /* private to work.c */
};

/* The whole of a handler. */
void kc_work_run(struct kc_portal *portal, struct kc_http_request *request, const struct kc_work_kind *kind);

/* The end of what `hand_over` began; takes `err`. */
void kc_work_go_on(struct kc_work *work, struct kc_error *err);

/* For the calls that remove what their path names: `prepare`, and the end of `write`, which takes `err`. */
struct kc_error *kc_work_name_object(struct kc_work *work);
struct kc_error *kc_work_removed(struct kc_work *work, struct kc_error *err);

/* printf into an owned text that replaces the one before. */
struct kc_error *kc_work_set(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
