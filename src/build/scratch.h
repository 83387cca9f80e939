/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Temporary folders of a build. Each is locked as long as it is in use, so that a later build can tell and remove what
 * a killed one has left.
 */
#ifndef KC_BUILD_SCRATCH_H
#define KC_BUILD_SCRATCH_H

#include "base/error.h"

struct kc_scratch {
	char *path; /* NULL: none */
	int lock_fd;
};

/* Makes a folder in `base`, for this user only. */
struct kc_error *kc_scratch_make(const char *base, struct kc_scratch *scratch);
/* Removes the folder. A zeroed struct is fine. */
void kc_scratch_remove(struct kc_scratch *scratch);

#define kc_autoscratch KC_CLEANUP(kc_scratch_remove)

#endif
