/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /var/cache/kcare/userspace/current/: the patches that processes of this host should have, BUILDID.kpatch, one for
 * each file that is patched; libcare-server and kcarectl apply them. Files with other names are the administrator's.
 * The signed files say what they are; state.json beside the folder remembers by which choice each came.
 */
#ifndef KC_AGENT_USERSPACE_CURRENT_H
#define KC_AGENT_USERSPACE_CURRENT_H

#include "agent/state.h"
#include "apply/user_withdrawn.h"
#include "patch/patch_file.h"

/* A file of the folder. */
struct kc_current_patch {
	char build_id[KC_BUILD_ID_TEXT_SIZE];
	char type[KC_TYPE_SIZE];
	char hash[KC_SHA256_TEXT_SIZE];
	uint32_t level;
	char *patchset, *object;
	char *origin; /* server, feed and rules by which it was chosen; "": not known */
};

struct kc_current {
	char *dir;
	struct kc_current_patch *patches; /* by build-id */
	size_t n_patches;
	struct kc_withdrawn withdrawn; /* of the folder */
};

/*
 * Makes the folder where there is none. What `authors` did not sign, and what is damaged, is removed with a warning: it
 * can be had again. A damaged state.json is a warning, too: what it tells is not needed to go on.
 */
struct kc_error *kc_current_read(struct kc_ctx *ctx, const struct kc_keyring *authors, struct kc_current *current);
/* In memory only. */
struct kc_error *kc_current_parse(const char *name, const char *text, size_t size, struct kc_current *current);
/* Both change the folder at once, and memory; kc_current_write() then remembers. */
struct kc_error *kc_current_put(struct kc_current *current, const struct kc_patch *patch, const struct kc_buf *file,
				const char *origin);
struct kc_error *kc_current_remove(struct kc_current *current, const char *build_id);
struct kc_error *kc_current_write(const struct kc_current *current);
/* NULL: there is none. Valid until the next put or remove. */
struct kc_current_patch *kc_current_find(const struct kc_current *current, const char *build_id);
void kc_current_clear(struct kc_current *current);

#define KC_CLEANUP_CURRENT KC_CLEANUP(kc_current_clear)

#endif
