/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fetch/site.h"

#include <string.h>

static char *make_url(const struct kc_fetch_site *site, const char *path)
{
	size_t size = strlen(site->url);
	char *url;

	while (size && site->url[size - 1] == '/')
		size--;
	return asprintf(&url, "%.*s/%s", (int)size, site->url, path) < 0 ? NULL : url;
}

struct kc_error *kc_fetch_site_get(struct kc_ctx *ctx, void *site, const char *path, size_t limit, struct kc_buf *out)
{
	const struct kc_fetch_site *from = site;
	kc_autofree char *url = make_url(from, path);

	return url ? kc_fetch_get(ctx, from->fetch, url, limit, out) : kc_error_no_memory();
}

struct kc_error *kc_fetch_site_file(struct kc_ctx *ctx, void *site, const char *path, const char *sha256, uint64_t size,
				    const char *to, const char *what)
{
	const struct kc_fetch_site *from = site;
	kc_autofree char *url = make_url(from, path);

	return url ? kc_fetch_file(ctx, from->fetch, url, sha256, size, to, what) : kc_error_no_memory();
}
