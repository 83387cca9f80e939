/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counters of the running portal, and /metrics: the text format of Prometheus, 0.0.4. */
#ifndef KC_PORTAL_METRICS_METRICS_H
#define KC_PORTAL_METRICS_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

enum { KC_METRICS_BUCKETS = 8 };

/* All may be counted from any thread. */
struct kc_metrics {
	atomic_uint_fast64_t requests[6]; /* by status / 100 */
	atomic_uint_fast64_t request_us, request_buckets[KC_METRICS_BUCKETS];
	atomic_uint_fast64_t bytes_sent;
	atomic_uint_fast64_t registrations, checkins, clones, auth_failures;
	int64_t started; /* Unix seconds */
};

void kc_metrics_request(struct kc_metrics *metrics, unsigned status, uint64_t duration_us, uint64_t n_bytes);

/* What is counted in the database and the repository when somebody asks. */
struct kc_metrics_fleet {
	int64_t uptodate, outdated, unsupported, inactive;
	int64_t timestamp_expires; /* of the feed whose timestamp expires first; 0: not known */
	int64_t root_expires;
};
/* Appends all of it. */
void kc_metrics_text(const struct kc_metrics *metrics, const struct kc_metrics_fleet *fleet, struct kc_buf *out);

#endif
