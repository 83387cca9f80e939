/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HTTP over libcurl, for the program kcare-fetch alone: no other program of ours links it. */
#ifndef KC_FETCH_TRANSFER_H
#define KC_FETCH_TRANSFER_H

#include "base/cleanup.h"
#include "fetch/protocol.h"

struct kc_transfer;

/* Takes a piece of the body, as kc_fetch_data has it. False: nobody wants it any more. */
typedef bool kc_transfer_sink_fn(void *data, uint64_t offset, uint64_t total, const char *bytes, size_t n_bytes);

/* Asked about once a second during a transfer. True: nobody waits for it any more. */
typedef bool kc_transfer_is_over_fn(void *data);

/* NULL: libcurl cannot work. One for a process; it keeps its connections. */
struct kc_transfer *kc_transfer_new(void);
/* `post` are the request's post_size bytes, or NULL. `end` says how it went. */
void kc_transfer_run(struct kc_transfer *transfer, const struct kc_fetch_request *request,
		     const char *const texts[KC_FETCH_N_TEXTS], const char *post, kc_transfer_sink_fn *sink,
		     kc_transfer_is_over_fn *is_over, void *data, struct kc_fetch_end *end);
/* Sets the outcome, and a message that root's side accepts: what a server made us say is cut to printable ASCII. */
void kc_fetch_end_set(struct kc_fetch_end *end, enum kc_fetch_outcome outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
