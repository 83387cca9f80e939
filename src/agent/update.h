/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the changing runs of the agent share; private to this room. */
#ifndef KC_AGENT_UPDATE_H
#define KC_AGENT_UPDATE_H

#include "agent/agent.h"
#include "apply/kernel.h"

#define KC_PATCH_FILE_MAX ((size_t)258 << 20) /* more is not read; patch_file.c refuses it anyway */

/*
 * How every run that holds the lock begins: the state, the running kernel, whose id the state now knows, and the crash
 * guard brought up to date. Both are the caller's to clear, also after an error.
 */
struct kc_error *kc_agent_open(struct kc_ctx *ctx, struct kc_state *state, struct kc_kernel *kernel);
/* The level that a verified patch file is. */
void kc_level_of_patch(const struct kc_patch *patch, struct kc_level *level);

void kc_notice(const struct kc_update_options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The hash of the file that the cache has for a level; false when it cannot be read. */
bool kc_level_file_hash(const struct kc_level *level, char hash[KC_SHA256_TEXT_SIZE]);

#define KC_CLEANUP_KERNEL KC_CLEANUP(kc_kernel_clear)

#endif
