/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The build-ids of this host: of all files that its processes have in memory now. */
#ifndef KC_AGENT_USERSPACE_MEMORY_H
#define KC_AGENT_USERSPACE_MEMORY_H

#include <stdbool.h>

#include "apply/user_withdrawn.h"
#include "base/ctx.h"
#include "repo/target_list.h"

struct kc_build_ids {
	char (*ids)[KC_BUILD_ID_TEXT_SIZE];
	size_t n_ids;
};

/* Adds those of all processes. What cannot be read is passed over: a process that ends, one that is not ours. */
struct kc_error *kc_build_ids_add_memory(struct kc_ctx *ctx, struct kc_build_ids *build_ids);
struct kc_error *kc_build_ids_add(struct kc_build_ids *build_ids, const char *build_id);
/* Ascending, each once: what the two below rely on. */
void kc_build_ids_sort(struct kc_build_ids *build_ids);
bool kc_build_ids_have(const struct kc_build_ids *build_ids, const char *build_id);
/* May the package's list speak of one of them? */
bool kc_build_ids_concern(const struct kc_build_ids *build_ids, const struct kc_user_index_package *package);
void kc_build_ids_clear(struct kc_build_ids *build_ids);

#define KC_CLEANUP_BUILD_IDS KC_CLEANUP(kc_build_ids_clear)

#endif
