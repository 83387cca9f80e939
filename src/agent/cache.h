/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of verified patch files, KERNELID/TYPE/LEVEL.kpatch. The names alone say what there is, so that a status
 * needs no signature check; what is loaded is verified again.
 */
#ifndef KC_AGENT_CACHE_H
#define KC_AGENT_CACHE_H

#include "agent/state.h"

struct kc_cache_query {
	const char *kernel_id, *type;
	const struct kc_state *state; /* what is blocked, chosen and imported; NULL: everything may be used */
	bool has_server;	      /* kc_state_allows() */
	bool leaves_out_crashes;      /* what `state` has as crashed */
};
/*
 * The newest level of `type` that may be used; when the cache has none of that type, of "default", then of the type
 * that was chosen before. `*level` has no hash, and number 0 when there is none. *n_left_out: how many have crashed.
 */
struct kc_error *kc_cache_newest(const struct kc_cache_query *query, struct kc_level *level, size_t *n_left_out);
/* Where that level is (caller frees; NULL when out of memory). */
char *kc_cache_path(const struct kc_level *level);
/* Puts a file there whole; the caller has verified it. */
struct kc_error *kc_cache_put(const struct kc_level *level, const void *data, size_t size);

#endif
