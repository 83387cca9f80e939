/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Downloads, by a helper: `kcare-fetch` speaks HTTP and TLS as a user without privileges; we, who may be root, only
 * hand it URLs, and take and write what it sends. What arrives is not trusted: the caller verifies it.
 *
 * One helper serves one run and keeps its connections; it is started by the first download, found beside the running
 * program or in KC_LIBEXECDIR. Protocol: fetch/protocol.h; reasons: docs/downloads.md.
 */
#ifndef KC_FETCH_FETCH_H
#define KC_FETCH_FETCH_H

#include <stdint.h>

#include "base/ctx.h"

struct kc_fetch;

/* Zero stands for the default, NULL for all defaults. */
struct kc_fetch_options {
	const char *http_proxy, *https_proxy, *no_proxy; /* NULL: what the environment says, in either case */
	const char *user_agent;				 /* NULL: "kcare/VERSION" */
	unsigned connect_ms;				 /* 15 s */
	unsigned stall_ms;				 /* less than 1 byte/s for so long: 30 s */
	unsigned total_ms;				 /* one download with its retries: 30 min */
	unsigned tries;					 /* 5; 1: no retry */
	unsigned retry_ms; /* the first pause, doubled each time, with jitter: 1 s; Retry-After overrides it, 120 s at
			      most */
	int stop_fd;	   /* from when on it is readable, everything ends at once: KC_ERR_BUSY; borrowed; 0: none */
};

struct kc_error *kc_fetch_new(struct kc_ctx *ctx, const struct kc_fetch_options *options, struct kc_fetch **fetch);
void kc_fetch_free(struct kc_fetch *fetch);
/*
 * The same, but the helper and its connections are kept for the next kc_fetch_new() with this context, whatever its
 * options are. Until then, or kc_fetch_drop_kept(), a process waits.
 */
void kc_fetch_keep(struct kc_ctx *ctx, struct kc_fetch *fetch);
void kc_fetch_drop_kept(struct kc_ctx *ctx);

/*
 * Appends what is at `url` to `out`. More than `limit` bytes: KC_ERR_LIMIT. KC_ERR_NOT_FOUND: 404 or 410, and nothing
 * else. KC_ERR_NETWORK (no such host, refused, TLS), KC_ERR_STALLED, KC_ERR_TRUNCATED, KC_ERR_REDIRECT (to another
 * scheme, host or port; others are followed, 5 times), KC_ERR_SERVER (any other status). Retried: what may be better
 * soon, that is network, stalled, truncated, 408, 429 and 5xx.
 */
struct kc_error *kc_fetch_get(struct kc_ctx *ctx, struct kc_fetch *fetch, const char *url, size_t limit,
			      struct kc_buf *out);
/*
 * Sends `size` bytes of JSON, KC_FETCH_POST_MAX at most, and appends the answer to `out`, whatever `*status` is: what
 * went wrong stands in it. Errors as above, but for those of a status; KC_ERR_REDIRECT for any redirect. Sent again is
 * only what did not leave this host, or what the server turned away with 429 or 503 and a Retry-After.
 */
struct kc_error *kc_fetch_post(struct kc_ctx *ctx, struct kc_fetch *fetch, const char *url, const char *body,
			       size_t size, size_t limit, unsigned *status, struct kc_buf *out);
/*
 * The content of kc_fetch_get() into a file, which is `size` bytes and has that SHA-256 when this returns well. A
 * partial `path` from an earlier run is continued; one that turns out wrong is begun anew, once. Not what was promised:
 * KC_ERR_CORRUPT, KC_ERR_LIMIT, and the file is gone. Others may write in its folder, a link, somebody else's file:
 * KC_ERR_PERMISSION. Disk full: KC_ERR_NO_SPACE, and what is there is continued next time. Another run at the same
 * file: KC_ERR_LOCKED. A new file has mode 0600. `what` is for the progress, "downloading K20261123_01", or NULL.
 */
struct kc_error *kc_fetch_file(struct kc_ctx *ctx, struct kc_fetch *fetch, const char *url, const char *sha256,
			       uint64_t size, const char *path, const char *what);

/* What the last answer's Date header said, Unix seconds; 0: nothing. Not trusted: only to word messages. */
int64_t kc_fetch_server_time(const struct kc_fetch *fetch);
/* Counters of this run: for benches and -v. */
void kc_fetch_counters(const struct kc_fetch *fetch, uint64_t *n_requests, uint64_t *n_bytes);

KC_DEFINE_CLEANUP(kc_cleanup_fetch, struct kc_fetch *, kc_fetch_free)
#define kc_autofetch KC_CLEANUP(kc_cleanup_fetch)

#endif
