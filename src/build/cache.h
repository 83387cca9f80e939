/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The builder's cache: where it is, who may change it, locks, free space. What lies in it is its users' business. */
#ifndef KC_BUILD_CACHE_H
#define KC_BUILD_CACHE_H

#include "base/ctx.h"

/*
 * Makes the cache's folder when needed. `wanted`: NULL for $KCARE_BUILD_CACHE, else /var/cache/kcare/build (root), else
 * ~/.cache/kcare/build. `*dir` is absolute (caller frees). KC_ERR_PERMISSION when others may change it.
 */
struct kc_error *kc_cache_open(const char *wanted, char **dir);
struct kc_error *kc_cache_make_dir(const char *path);
/* KC_ERR_SYSTEM when fewer are free; `what` needs them: "a package and its source". */
struct kc_error *kc_cache_check_space(const char *dir, unsigned long long needed_mib, const char *what);
/*
 * Locks the folder `path` through PATH.lock; says so when it must wait for another kcare-build that works on `what`.
 * The lock ends when `*fd` is closed.
 */
struct kc_error *kc_cache_lock(struct kc_ctx *ctx, const char *path, const char *what, int *fd);
/* Makefiles, and gcc's prefix maps, do not bear everything in a path. */
bool kc_cache_path_is_plain(const char *path);

#endif
