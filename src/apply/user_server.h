/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server: keeps every process of the host patched. It looks at all processes once, then patches each as it maps a
 * file that there is a patch for, as soon as its loader is done with it. Told by mapping events; only processes that
 * are in the queue are looked at again, and all of them only when events were lost or the patches changed.
 *
 * It leaves processes as they are when it ends. Policy, signals and what to tell the service manager are the caller's.
 */
#ifndef KC_APPLY_USER_SERVER_H
#define KC_APPLY_USER_SERVER_H

#include "apply/user_choose.h"

#define KC_USER_SERVER_NAME "libcare-server" /* of the process */

struct kc_user_server {
	/* Reads the patches (again). The policy given before stays valid until this has succeeded, then not. */
	struct kc_error *(*load)(struct kc_ctx *ctx, void *data, struct kc_user_policy *policy);
	/* All processes that existed at the start were looked at. */
	void (*ready)(struct kc_ctx *ctx, void *data);
	void *data;
	int signal_fd;	    /* signalfd(), not blocking: SIGTERM and SIGINT end it, SIGHUP loads, SIGCHLD is its own */
	size_t n_tasks_max; /* processes that wait to be patched; more are found by a later scan; 0: 4096 */
};

/* Runs until it is told to end. KC_ERR_BUSY: another server runs on this host. */
struct kc_error *kc_user_server_run(struct kc_ctx *ctx, const struct kc_user_server *server);
/* The process of the one server of this host, 0: none runs. SIGHUP makes it read its patches again. */
struct kc_error *kc_user_server_find(pid_t *pid);

#endif
