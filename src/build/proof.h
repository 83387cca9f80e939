/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which linked files contain the touched objects: the proof, and per linked file what changes in it.
 */
#ifndef KC_BUILD_PROOF_H
#define KC_BUILD_PROOF_H

#include "build/objects.h"
#include "diff/diff.h"
#include "target/user/emit.h"

struct kc_proved_object {
	const struct kc_object *object;
	struct kc_placement *placement;
	struct kc_diff *diff; /* NULL: nothing changed */
};

struct kc_proved_file {
	struct kc_elf *elf;
	struct kc_proved_object *parts;
	size_t n_parts;
};

struct kc_proof {
	struct kc_proved_file *items; /* files that contain at least one touched object */
	size_t n_items;
};

/*
 * Proves every object in every linked file that contains it. KC_ERR_PROOF when one does not match, or when no object
 * of a touched file was found at all.
 */
struct kc_error *kc_proof_prove(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_touched *touched,
				const struct kc_objects *objects, struct kc_proof **list);
/* Finds out what changes. KC_ERR_NO_CHANGE when nothing does anywhere; KC_ERR_RULE for a refusal. */
struct kc_error *kc_proof_compare(struct kc_ctx *ctx, struct kc_proof *list, const char *const *allowed);
/* Appends the payload for one linked file in which something changes. */
struct kc_error *kc_proof_emit(struct kc_ctx *ctx, const struct kc_tree *tree, const struct kc_proved_file *file,
			       const char *const *allowed, struct kc_buf *payload);
bool kc_proved_file_changes(const struct kc_proved_file *file);
void kc_proof_free(struct kc_proof *list);

KC_DEFINE_CLEANUP(kc_cleanup_proof, struct kc_proof *, kc_proof_free)
#define kc_autoproof KC_CLEANUP(kc_cleanup_proof)

#endif
