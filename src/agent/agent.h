/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy of one host: which patch of the cache its kernel may have, when it is loaded, what is remembered. Applying
 * is apply/; downloading is not here.
 */
#ifndef KC_AGENT_AGENT_H
#define KC_AGENT_AGENT_H

#include "agent/config.h"

enum kc_agent_status { /* the exit codes of kcarectl --status */
		       KC_STATUS_LATEST = 0,
		       KC_STATUS_NO_PATCHES = 1,
		       KC_STATUS_NEW_PATCHES = 2,
		       KC_STATUS_UNSUPPORTED = 3,
};

/* What `--info` and `--status` tell. Nothing of it needs the network. */
struct kc_agent_info {
	struct kc_kernel kernel;
	uint32_t level, newest_level; /* 0: none */
	char *effective_version;      /* of the running kernel as it is patched */
	char *patchset, *type;	      /* of the loaded patch; NULL: none */
	int64_t applied_at;	      /* Unix seconds, 0: unknown */
	uint32_t crashed_level;	      /* the host went down with it: not loaded again at boot; 0: none */
	bool is_forced, in_transition;
	char *other_livepatch; /* somebody else's, or NULL */
	enum kc_agent_status status;
};

struct kc_error *kc_agent_info_read(struct kc_ctx *ctx, struct kc_agent_info *info);
void kc_agent_info_clear(struct kc_agent_info *info);

struct kc_update_options {
	struct kc_kernel_options kernel;
	bool is_smart; /* obey UPDATE_POLICY */
	bool is_boot;  /* obey the crash guard */
};

/* Loads the newest patch that the cache has for this kernel. KC_ERR_NOTHING: it is in already, or there is none. */
struct kc_error *kc_agent_update(struct kc_ctx *ctx, const struct kc_config *config,
				 const struct kc_update_options *options, struct kc_kernel_result *result);
struct kc_error *kc_agent_unload(struct kc_ctx *ctx, const struct kc_kernel_options *options,
				 struct kc_kernel_result *result);
/* Verifies a patch file (or each *.kpatch of a folder) and puts it into the cache. */
struct kc_error *kc_agent_import_patch(struct kc_ctx *ctx, const char *path, size_t *n_imported);
/* Adds an author's public key to the trusted ones; `fingerprint` (caller frees) is what to compare. */
struct kc_error *kc_agent_import_key(struct kc_ctx *ctx, const char *path, char **fingerprint);

#endif
