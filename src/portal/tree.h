/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies of folders, for backups. Files become hard links where that is possible: none of them is changed in place.
 * What is in a folder "private" is copied, and is the owner's alone, whatever the modes were. A link that leads out of
 * its folder is KC_ERR_CORRUPT: an enemy may have made the backup.
 */
#ifndef KC_PORTAL_TREE_H
#define KC_PORTAL_TREE_H

#include "base/error.h"

/* `to` must not be there. Locks are left out. After an error a part of it is. */
struct kc_error *kc_tree_copy(const char *from, const char *to);
/* `name`, a file or a folder, of one folder into another; nothing, when it is not there. */
struct kc_error *kc_tree_copy_part(const char *from, const char *to, const char *name);
/* Waits until all that was written to the file system of the folder is on its disk. */
struct kc_error *kc_tree_sync(const char *path);

#endif
