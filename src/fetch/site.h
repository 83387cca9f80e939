/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files below one URL, such as those of a repository: what struct kc_mirror_source of repo/mirror.h wants. */
#ifndef KC_FETCH_SITE_H
#define KC_FETCH_SITE_H

#include "fetch/fetch.h"

struct kc_fetch_site {
	struct kc_fetch *fetch;
	const char *url; /* "https://patches.example.org", with or without a '/' at its end */
};

/* As kc_fetch_get() and kc_fetch_file(); `site` is a struct kc_fetch_site. */
struct kc_error *kc_fetch_site_get(struct kc_ctx *ctx, void *site, const char *path, size_t limit, struct kc_buf *out);
struct kc_error *kc_fetch_site_file(struct kc_ctx *ctx, void *site, const char *path, const char *sha256, uint64_t size,
				    const char *to, const char *what);

#endif
