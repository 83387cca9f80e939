/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which patches the processes of this host should have: what the feed offers for the files in their memory, by the same
 * rules as for the kernel. Brings the folder of agent/userspace_current.h up to date. It patches nobody: programs do,
 * with apply/, and libcare-server. The caller holds the lock of the agent.
 */
#ifndef KC_AGENT_USERSPACE_H
#define KC_AGENT_USERSPACE_H

#include "agent/config.h"
#include "agent/step.h"

struct kc_userspace_options {
	unsigned kinds;	   /* enum kc_userspace_kind; what is blocked goes in any case */
	bool is_automatic; /* the AUTO_ keys count, and a changed configuration lowers nothing */
};

/* What happened to one file that processes map. */
struct kc_userspace_change {
	enum kc_step step;
	char *object;	   /* "libssl.so.3" */
	char *patchset;	   /* UP, LOWER: of the new level; FALL_BACK, UNLOAD: the blocked one */
	uint32_t from, to; /* levels; 0: none */
};

struct kc_userspace_result {
	struct kc_userspace_change *changes;
	size_t n_changes;
	size_t n_downloads;
	bool is_changed; /* the folder: whoever applies it must read it again */
	size_t n_files;	 /* the agent has there now */
};

/*
 * On an error what was done before it stands, and `result` tells of it: patches are independent of each other. What is
 * in processes may be brought to what is in the folder in any case.
 */
struct kc_error *kc_userspace_refresh(struct kc_ctx *ctx, const struct kc_config *config,
				      const struct kc_userspace_options *options, struct kc_userspace_result *result);
void kc_userspace_result_clear(struct kc_userspace_result *result);

/* KC_ERR_REFUSED: an administrator disabled it on this host. */
struct kc_error *kc_userspace_check_enabled(const struct kc_config *config);
/* enum kc_userspace_kind of "libs", "qemu" or "libs,qemu". KC_ERR_USAGE. */
struct kc_error *kc_userspace_kinds_parse(const char *text, unsigned *kinds);

#define KC_CLEANUP_USERSPACE_RESULT KC_CLEANUP(kc_userspace_result_clear)

#endif
