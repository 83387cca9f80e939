/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy of one host: which patch of the cache its kernel may have, when it is loaded, what is remembered. Applying
 * is apply/; downloading is not here; what the host tells of itself is agent/info.h. Every function here changes
 * something: it needs root, and takes the one lock of the agent (KC_ERR_LOCKED after a bounded wait).
 */
#ifndef KC_AGENT_AGENT_H
#define KC_AGENT_AGENT_H

#include "agent/config.h"
#include "agent/state.h"

struct kc_update_options {
	struct kc_kernel_options kernel;
	bool is_smart; /* obey UPDATE_POLICY and the crash guard */
};

struct kc_update_result {
	bool was_applied; /* false: the newest level was in already */
	uint32_t level;	  /* what is in now; 0: there is none for this kernel, and the configuration says to be quiet */
	char *effective_version;
	struct kc_kernel_result kernel;
};

/*
 * Loads the newest patch that the cache has for this kernel, then sysctl.conf. KC_ERR_NOTHING: there is none;
 * KC_ERR_REFUSED: the crash guard keeps it out.
 */
struct kc_error *kc_agent_update(struct kc_ctx *ctx, const struct kc_config *config,
				 const struct kc_update_options *options, struct kc_update_result *result);
void kc_update_result_clear(struct kc_update_result *result);
struct kc_error *kc_agent_unload(struct kc_ctx *ctx, const struct kc_kernel_options *options,
				 struct kc_kernel_result *result);

/* A patch file that was put into the cache. */
struct kc_imported {
	char *path, *release;
	struct kc_level level;
	bool is_for_this_kernel;
	bool was_there; /* already, the same file */
};
/*
 * Verifies a patch file, or each *.kpatch of a folder, and puts it into the cache: if one of them cannot be trusted,
 * none. Patches for other kernels are kept, too. `*imported` is for kc_imported_free().
 */
struct kc_error *kc_agent_import_patch(struct kc_ctx *ctx, const char *path, struct kc_imported **imported, size_t *n);
void kc_imported_free(struct kc_imported *imported, size_t n);

/*
 * Adds an author's public key to the trusted ones. `keyid` is the fingerprint to compare; `*path` (caller frees) is
 * where the key is now. KC_ERR_NOTHING: it is trusted already (both are set then, too).
 */
struct kc_error *kc_agent_import_key(struct kc_ctx *ctx, const char *source, char keyid[KC_KEYID_SIZE], char **path);

/*
 * The crash guard: clears the marker of the patch that was loaded in this boot. `now`: although the time is not over;
 * else waits for it. SIGTERM ends the wait, and clears the marker: a host that goes down in good order has not crashed.
 */
struct kc_error *kc_agent_confirm(struct kc_ctx *ctx, bool now);

#endif
