/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patches that must not stay in processes: blocked ones, and those that a change of the configuration left behind. The
 * file `withdrawn` in a folder of patch files lists them, one per line:
 *
 *	HASH BUILD-ID     SHA-256 of the patch file, and what it is for, in lower-case hexadecimal digits
 *
 * The agent writes it; whoever patches processes from the folder takes these out, or puts another level in their place,
 * also a lower one. Lines that begin with '#' are comments. A line that cannot be understood makes the file bad input.
 */
#ifndef KC_APPLY_USER_WITHDRAWN_H
#define KC_APPLY_USER_WITHDRAWN_H

#include <stdbool.h>

#include "base/error.h"
#include "sign/hash.h"

#define KC_WITHDRAWN_NAME "withdrawn"

enum { KC_BUILD_ID_TEXT_SIZE = 129 };

struct kc_withdrawn_patch {
	char hash[KC_SHA256_TEXT_SIZE];
	char build_id[KC_BUILD_ID_TEXT_SIZE];
};

struct kc_withdrawn {
	struct kc_withdrawn_patch *patches;
	size_t n_patches;
};

/* Without a file it is empty. The caller clears it either way. */
struct kc_error *kc_withdrawn_read(const char *dir, struct kc_withdrawn *withdrawn);
struct kc_error *kc_withdrawn_parse(const char *name, const char *text, size_t size, struct kc_withdrawn *withdrawn);
/* Replaces the file as a whole; nothing to list: there is none. */
struct kc_error *kc_withdrawn_write(const char *dir, const struct kc_withdrawn *withdrawn);
/* Once for each hash. In memory only. */
struct kc_error *kc_withdrawn_add(struct kc_withdrawn *withdrawn, const char *hash, const char *build_id);
void kc_withdrawn_clear(struct kc_withdrawn *withdrawn);

bool kc_withdrawn_has(const struct kc_withdrawn *withdrawn, const char *hash);
/* Is one of them for this file? */
bool kc_withdrawn_has_target(const struct kc_withdrawn *withdrawn, const char *build_id);

#define KC_CLEANUP_WITHDRAWN KC_CLEANUP(kc_withdrawn_clear)

#endif
