/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/http/static_cache.h"

#include <string.h>

void kc_http_cache_init(struct kc_http_cache *cache)
{
	pthread_mutex_init(&cache->lock, NULL);
}

void kc_http_file_free(struct kc_http_file *file)
{
	if (!file)
		return;
	kc_http_prepared_free(file->whole);
	kc_http_prepared_free(file->whole_by_tls);
	kc_http_prepared_free(file->not_modified);
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file);
}

/* FNV-1a */
static struct kc_http_file **bucket(struct kc_http_cache *cache, const char *path)
{
	uint32_t hash = 0x811c9dc5;

	for (const unsigned char *c = (const unsigned char *)path; *c; c++)
		hash = (hash ^ *c) * 0x01000193;
	return &cache->buckets[(hash ^ hash >> 16) % KC_HTTP_CACHE_BUCKETS];
}

static void unlink_use(struct kc_http_cache *cache, struct kc_http_file *file)
{
	*(file->newer ? &file->newer->older : &cache->newest) = file->older;
	*(file->older ? &file->older->newer : &cache->oldest) = file->newer;
}

static void link_use(struct kc_http_cache *cache, struct kc_http_file *file)
{
	file->newer = NULL;
	file->older = cache->newest;
	*(file->older ? &file->older->newer : &cache->oldest) = file;
	cache->newest = file;
}

static void drop(struct kc_http_file *file)
{
	if (!--file->n_owners)
		kc_http_file_free(file);
}

/* What other threads are about to send stays theirs. */
static void take_out(struct kc_http_cache *cache, struct kc_http_file *file)
{
	struct kc_http_file **at = bucket(cache, file->path);

	while (*at && *at != file)
		at = &(*at)->next;
	if (!*at)
		return; /* another thread was faster */
	*at = file->next;
	unlink_use(cache, file);
	cache->n--;
	drop(file);
}

static struct kc_http_file *find(struct kc_http_cache *cache, const char *path)
{
	struct kc_http_file *file = *bucket(cache, path);

	while (file && strcmp(file->path, path))
		file = file->next;
	return file;
}

struct kc_http_file *kc_http_cache_find(struct kc_http_cache *cache, const char *path)
{
	struct kc_http_file *file;

	pthread_mutex_lock(&cache->lock);
	file = find(cache, path);
	if (file) {
		file->n_owners++;
		if (file != cache->newest) {
			unlink_use(cache, file);
			link_use(cache, file);
		}
	}
	pthread_mutex_unlock(&cache->lock);
	return file;
}

void kc_http_cache_add(struct kc_http_cache *cache, struct kc_http_file *file)
{
	struct kc_http_file **at, *other;

	pthread_mutex_lock(&cache->lock);
	other = find(cache, file->path);
	if (other)
		take_out(cache, other);
	if (cache->n == KC_HTTP_CACHE_ENTRIES)
		take_out(cache, cache->oldest);
	at = bucket(cache, file->path);
	file->next = *at;
	*at = file;
	link_use(cache, file);
	cache->n++;
	file->n_owners = 2;
	pthread_mutex_unlock(&cache->lock);
}

void kc_http_cache_remove(struct kc_http_cache *cache, struct kc_http_file *file)
{
	pthread_mutex_lock(&cache->lock);
	take_out(cache, file);
	pthread_mutex_unlock(&cache->lock);
}

void kc_http_cache_release(struct kc_http_cache *cache, struct kc_http_file *file)
{
	pthread_mutex_lock(&cache->lock);
	drop(file);
	pthread_mutex_unlock(&cache->lock);
}

void kc_http_cache_clear(struct kc_http_cache *cache)
{
	while (cache->newest)
		take_out(cache, cache->newest);
	pthread_mutex_destroy(&cache->lock);
}
