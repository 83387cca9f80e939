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

enum kc_update_mode {
	KC_UPDATE_ASKED,     /* --update: somebody wants it now */
	KC_UPDATE_AUTOMATIC, /* --auto-update: AUTO_ keys and the crash guard count */
	KC_UPDATE_SMART,     /* --smart-update: the same, as UPDATE_POLICY says, and with one try */
};

struct kc_update_options {
	struct kc_kernel_options kernel;
	enum kc_update_mode mode;
	bool portal_is_away; /* this run need not try to tell it anything */
	/* One line for whoever waits, as it happens: "Downloading updates". NULL: nobody does. */
	void (*notice)(void *data, const char *text);
	void *data;
};

struct kc_update_result {
	bool was_applied; /* false: what is in stayed */
	bool was_downloaded;
	bool was_unloaded; /* it was blocked, and no other could take its place */
	uint32_t level;	   /* what is in now; 0: nothing, and no error */
	char *effective_version;
	struct kc_kernel_result kernel;
};

/*
 * Asks the patch server, if one is configured; downloads what this kernel should run; loads the newest level that it
 * may have, then sysctl.conf. A level is lowered only if it is blocked, or if somebody asked and the configuration is
 * another one than when it was loaded. KC_ERR_NOTHING: there is none; KC_ERR_REFUSED: the crash guard keeps it out, or
 * the sticky date is none. A blocked level goes even if there is an error; `result` says so then, too.
 */
struct kc_error *kc_agent_update(struct kc_ctx *ctx, const struct kc_config *config,
				 const struct kc_update_options *options, struct kc_update_result *result);
void kc_update_result_clear(struct kc_update_result *result);

struct kc_check_result {
	bool is_new;	 /* an update would change something */
	uint32_t level;	 /* that it would lead to; 0: none */
	bool is_block;	 /* what is in is blocked */
	bool is_lower;	 /* than what is in: the configuration has changed */
	bool is_unknown; /* there are no patches for this kernel */
	char *patchset;	 /* of the level; NULL: not known */
};
/* Asks, and changes nothing but what is known. */
struct kc_error *kc_agent_check(struct kc_ctx *ctx, const struct kc_config *config, struct kc_check_result *result);
void kc_check_result_clear(struct kc_check_result *result);

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

/* What a root.json that was imported says of itself. */
struct kc_trusted_root {
	char (*keyids)[KC_KEYID_SIZE]; /* its root keys: to compare */
	size_t n_keyids;
	unsigned threshold;
	uint64_t version;
	int64_t expires;   /* Unix seconds */
	bool was_replaced; /* another repository was trusted before */
};
/* Is it a root.json, rather than an author's key? By its first character. */
bool kc_agent_is_root(const char *source);
/*
 * Trusts a repository: keeps its root.json, whose own keys must have signed it. KC_ERR_NOTHING: this repository is
 * trusted already (newer roots come by themselves). KC_ERR_REFUSED: another one is, and not `replace`.
 */
struct kc_error *kc_agent_import_root(struct kc_ctx *ctx, const char *source, bool replace,
				      struct kc_trusted_root *trusted);
void kc_trusted_root_clear(struct kc_trusted_root *trusted);

/*
 * The crash guard: clears the marker of the patch that was loaded in this boot. `now`: although the time is not over;
 * else waits for it. SIGTERM ends the wait, and clears the marker: a host that goes down in good order has not crashed.
 */
struct kc_error *kc_agent_confirm(struct kc_ctx *ctx, bool now);

#endif
