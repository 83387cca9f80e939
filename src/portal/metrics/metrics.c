/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/metrics/metrics.h"

#include <inttypes.h>
#include <time.h>

#include "base/array.h"

#define NAME "eportal_"

/* Upper ends, in us; the last bucket has the rest. */
static const uint64_t bucket_us[KC_METRICS_BUCKETS - 1] = { 500, 1000, 5000, 10000, 50000, 250000, 1000000 };

void kc_metrics_request(struct kc_metrics *metrics, unsigned status, uint64_t duration_us, uint64_t n_bytes)
{
	size_t class = status / 100 < KC_ARRAY_SIZE(metrics->requests) ? status / 100 : 0, bucket = 0;

	while (bucket < KC_ARRAY_SIZE(bucket_us) && duration_us > bucket_us[bucket])
		bucket++;
	metrics->requests[class]++;
	metrics->request_us += duration_us;
	metrics->request_buckets[bucket]++;
	metrics->bytes_sent += n_bytes;
}

static void family(struct kc_buf *out, const char *name, const char *type, const char *help)
{
	kc_buf_printf(out, "# HELP " NAME "%s %s\n# TYPE " NAME "%s %s\n", name, help, name, type);
}

static void value(struct kc_buf *out, const char *name, const char *type, const char *help, int64_t number)
{
	family(out, name, type, help);
	kc_buf_printf(out, NAME "%s %" PRId64 "\n", name, number);
}

static void requests(const struct kc_metrics *metrics, struct kc_buf *out)
{
	uint64_t count = 0;

	family(out, "http_requests_total", "counter", "Answered requests by class of status.");
	for (size_t i = 1; i < KC_ARRAY_SIZE(metrics->requests); i++)
		kc_buf_printf(out, NAME "http_requests_total{status=\"%zuxx\"} %" PRIu64 "\n", i,
			      (uint64_t)metrics->requests[i]);
	family(out, "http_request_duration_seconds", "histogram", "From the headers to the end of the answer.");
	for (size_t i = 0; i < KC_METRICS_BUCKETS; i++) {
		count += metrics->request_buckets[i];
		if (i < KC_ARRAY_SIZE(bucket_us))
			kc_buf_printf(out, NAME "http_request_duration_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
				      (double)bucket_us[i] / 1e6, count);
		else
			kc_buf_printf(out, NAME "http_request_duration_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n",
				      count);
	}
	kc_buf_printf(out,
		      NAME "http_request_duration_seconds_sum %.6f\n" NAME
			   "http_request_duration_seconds_count %" PRIu64 "\n",
		      (double)metrics->request_us / 1e6, count);
}

static void servers(const struct kc_metrics_fleet *fleet, struct kc_buf *out)
{
	const struct {
		const char *state;
		int64_t n;
	} states[] = {
		{ "uptodate", fleet->uptodate },
		{ "outdated", fleet->outdated },
		{ "unsupported", fleet->unsupported },
		{ "inactive", fleet->inactive },
	};

	family(out, "servers", "gauge", "Registered servers by what they have of what is offered to them.");
	for (size_t i = 0; i < KC_ARRAY_SIZE(states); i++)
		kc_buf_printf(out, NAME "servers{state=\"%s\"} %" PRId64 "\n", states[i].state, states[i].n);
}

void kc_metrics_text(const struct kc_metrics *metrics, const struct kc_metrics_fleet *fleet, struct kc_buf *out)
{
	family(out, "info", "gauge", "The version that runs.");
	kc_buf_printf(out, NAME "info{version=\"" KC_VERSION "\"} 1\n");
	value(out, "start_time_seconds", "gauge", "When it was started, Unix time.", metrics->started);
	requests(metrics, out);
	value(out, "sent_bytes_total", "counter", "Bytes of bodies that were sent.", (int64_t)metrics->bytes_sent);
	servers(fleet, out);
	value(out, "registrations_total", "counter", "Servers that registered.", (int64_t)metrics->registrations);
	value(out, "checkins_total", "counter", "Check-ins of servers.", (int64_t)metrics->checkins);
	value(out, "clones_total", "counter", "Servers that turned out to be copies.", (int64_t)metrics->clones);
	value(out, "auth_failures_total", "counter", "Wrong passwords, keys and secrets.",
	      (int64_t)metrics->auth_failures);
	if (fleet->timestamp_expires)
		value(out, "timestamp_expires_seconds", "gauge",
		      "When the first timestamp of a feed expires, Unix time.", fleet->timestamp_expires);
	if (fleet->root_expires)
		value(out, "root_expires_seconds", "gauge", "When the root expires, Unix time.", fleet->root_expires);
}
