/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The patch server as this host sees it: PATCH_SERVER and the feed that PREFIX names, verified by repo/client.h from
 * the trusted root.json, downloaded by fetch/. State: /var/cache/kcare/repo/ROOT/FEED/, where ROOT is the beginning of
 * the SHA-256 of the root.json that the host began with. What violates integrity goes to its own log as well. The
 * caller holds the lock of the agent.
 */
#ifndef KC_AGENT_REMOTE_H
#define KC_AGENT_REMOTE_H

#include "repo/choice.h"
#include "agent/config.h"

struct kc_remote;

/*
 * KC_ERR_CONFIG: no PATCH_SERVER; KC_ERR_UNKNOWN_KEY: no root.json is trusted yet, and what to do; KC_ERR_PERMISSION: a
 * folder of the state belongs to somebody else. `is_patient`: retries; else one try with short limits (at boot). No
 * network yet: kc_remote_refresh() begins. `config` must live as long.
 */
struct kc_error *kc_remote_open(struct kc_ctx *ctx, const struct kc_config *config, bool is_patient,
				struct kc_remote **remote);
void kc_remote_free(struct kc_remote *remote);
/* The same, but the check-in that follows has its connection (kc_fetch_keep()). */
void kc_remote_end(struct kc_ctx *ctx, struct kc_remote *remote);
struct kc_error *kc_remote_refresh(struct kc_ctx *ctx, struct kc_remote *remote);
/* After a refresh. KC_ERR_NOT_FOUND: the feed has nothing for it. */
struct kc_error *kc_remote_list(struct kc_ctx *ctx, struct kc_remote *remote, const char *path,
				struct kc_target_list *list);
struct kc_error *kc_remote_user_index(struct kc_ctx *ctx, struct kc_remote *remote,
				      struct kc_user_package_index *index);
/*
 * Downloads the patch file of an entry and verifies all of it: hash, author, and that kind, target, type, level and
 * patchset are those of the entry (KC_ERR_WRONG_TARGET). `target`: kernel id or build-id. `file` has the content then;
 * `*patch`, if not NULL, is the caller's.
 */
struct kc_error *kc_remote_download(struct kc_ctx *ctx, struct kc_remote *remote, const struct kc_target_entry *entry,
				    enum kc_patch_kind kind, const char *target, const struct kc_keyring *authors,
				    struct kc_buf *file, struct kc_patch **patch);

const char *kc_remote_feed(const struct kc_remote *remote);
const char *kc_remote_root(const struct kc_remote *remote); /* names the state folder, and what was applied from it */

KC_DEFINE_CLEANUP(kc_cleanup_remote, struct kc_remote *, kc_remote_free)
#define kc_autoremote KC_CLEANUP(kc_cleanup_remote)

#endif
