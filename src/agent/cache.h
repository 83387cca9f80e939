/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of verified patch files, KERNELID/TYPE/LEVEL.kpatch. The names alone say what there is, so that a status
 * needs no signature check; what is loaded is verified again.
 */
#ifndef KC_AGENT_CACHE_H
#define KC_AGENT_CACHE_H

#include "agent/state.h"

/*
 * The newest level of `type` for a kernel; when the cache has none of that type, of "default". `*level` has no hash,
 * and number 0 when there is none. `crashes`: leave out what this state has as crashed; *n_left_out of them.
 */
struct kc_error *kc_cache_newest(const char *kernel_id, const char *type, const struct kc_state *crashes,
				 struct kc_level *level, size_t *n_left_out);
/* Where that level is (caller frees; NULL when out of memory). */
char *kc_cache_path(const struct kc_level *level);
/* Puts a file there whole; the caller has verified it. */
struct kc_error *kc_cache_put(const struct kc_level *level, const void *data, size_t size);

#endif
