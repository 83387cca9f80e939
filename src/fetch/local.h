/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One HTTP call to a program of this machine, over its Unix socket: kc.eportal and eportald. No network, no TLS, no
 * proxy; who listens there is trusted as far as the socket's folder is. What is downloaded from elsewhere goes through
 * fetch/fetch.h.
 */
#ifndef KC_FETCH_LOCAL_H
#define KC_FETCH_LOCAL_H

#include "base/ctx.h"

struct kc_local_call {
	const char *method;	  /* "GET", "POST", "DELETE" */
	const char *target;	  /* path and query, as they are sent: "/admin/api/keys/" */
	const char *content_type; /* NULL: application/json */
	const char *body;	  /* or NULL */
	size_t body_size;
	const char *body_path; /* instead: a file that is the body */
	const char *what;      /* for the progress of that, "uploading K20261123_01.tar.bz2" */
	size_t limit;	       /* bytes of the answer */
};

/*
 * Appends the answer of a call that was answered with 200 to `answer`; any other one is the error that it names. It
 * waits as long as the other side works. KC_ERR_NETWORK: nobody listens there; KC_ERR_PERMISSION: not to us;
 * KC_ERR_TRUNCATED: it ended meanwhile; KC_ERR_LIMIT.
 */
struct kc_error *kc_local_do(struct kc_ctx *ctx, const char *socket, const struct kc_local_call *call,
			     struct kc_buf *answer);
/* Appends `text` so that it is one part of a path, or a value in a query. */
void kc_local_escape(struct kc_buf *target, const char *text);

#endif
