/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process kcare-fetch as its parent sees it: start, ask, read, end. What it says is checked here. */
#ifndef KC_FETCH_HELPER_H
#define KC_FETCH_HELPER_H

#include <sys/types.h>

#include "base/ctx.h"
#include "fetch/protocol.h"

/* Zeroed but for `socket`, -1: not running, and `stop_fd`, -1: none. */
struct kc_fetch_helper {
	pid_t pid;
	int socket;
	int stop_fd;
	uint8_t packet[KC_FETCH_ANSWER_MAX + 1];
};

/* Starts the helper, if need be, and sends the request with the request's post_size bytes of `post`. */
struct kc_error *kc_fetch_helper_ask(struct kc_ctx *ctx, struct kc_fetch_helper *helper,
				     const struct kc_fetch_request *request, const char *const texts[KC_FETCH_N_TEXTS],
				     const char *post);
/*
 * The next answer; it points into the helper's packet. KC_ERR_STALLED: nothing for `timeout_ms`. KC_ERR_SYSTEM: the
 * helper ended, or sent what no honest one sends. KC_ERR_BUSY: `stop_fd` is readable. After any error it runs no more.
 */
struct kc_error *kc_fetch_helper_read(struct kc_fetch_helper *helper, int timeout_ms, struct kc_fetch_answer *answer);
/*
 * A helper that runs, and has nothing to do, is kept by the context, and taken from there, if it lives still.
 * Afterwards the one that gave it away runs no more.
 */
void kc_fetch_helper_keep(struct kc_ctx *ctx, struct kc_fetch_helper *helper);
void kc_fetch_helper_take_kept(struct kc_ctx *ctx, struct kc_fetch_helper *helper);
/* Ends the helper, whatever it is doing. */
void kc_fetch_helper_stop(struct kc_fetch_helper *helper);

#endif
