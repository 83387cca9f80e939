/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What static.c keeps of files: prepared answers, by path, the least recently used ones go. Whether a file is still the
 * same is the caller's question. All calls may come from any thread.
 */
#ifndef KC_PORTAL_HTTP_STATIC_CACHE_H
#define KC_PORTAL_HTTP_STATIC_CACHE_H

#include <pthread.h>
#include <sys/stat.h>

#include "portal/http/server.h"

enum {
	KC_HTTP_CACHE_ENTRIES = 1024,
	KC_HTTP_CACHE_BUCKETS = 2048,
};

struct kc_http_file {
	struct kc_http_file *next, *older, *newer; /* in its bucket; by use */
	unsigned n_owners;
	char *path;
	struct stat stat;
	int fd; /* of those that are too large for memory; else -1 */
	char etag[48];
	bool is_forever;
	struct kc_http_prepared *whole, *whole_by_tls, *not_modified; /* whole_by_tls: when it is another one */
};

struct kc_http_cache {
	pthread_mutex_t lock;
	struct kc_http_file *buckets[KC_HTTP_CACHE_BUCKETS], *newest, *oldest;
	size_t n;
};

void kc_http_cache_init(struct kc_http_cache *cache);
void kc_http_cache_clear(struct kc_http_cache *cache);
/* NULL: it is not there. The caller releases it. */
struct kc_http_file *kc_http_cache_find(struct kc_http_cache *cache, const char *path);
/* The caller has it still, and releases it. */
void kc_http_cache_add(struct kc_http_cache *cache, struct kc_http_file *file);
void kc_http_cache_remove(struct kc_http_cache *cache, struct kc_http_file *file);
void kc_http_cache_release(struct kc_http_cache *cache, struct kc_http_file *file);
/* For one that is not in the cache. */
void kc_http_file_free(struct kc_http_file *file);

KC_DEFINE_CLEANUP(kc_cleanup_http_file, struct kc_http_file *, kc_http_file_free)

#endif
