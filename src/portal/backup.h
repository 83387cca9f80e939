/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A portal in one folder, and back, while it runs. A backup is taken in the publisher's thread, so that database and
 * repository are of one moment; it becomes visible under its name when it is complete.
 *
 *   PATH/portal.db
 *   PATH/config
 *   PATH/repository/private, public/feeds …   everything but blobs that are the same file: those are hard links, if
 * they can be PATH/archives
 */
#ifndef KC_PORTAL_BACKUP_H
#define KC_PORTAL_BACKUP_H

#include "portal/portal.h"

enum { /* what to restore, or-ed */
       KC_RESTORE_DB = 1,
       KC_RESTORE_CONFIG = 2,
       KC_RESTORE_DATA = 4, /* repository and archives; published with new versions, so that agents go on */
       KC_RESTORE_FULL = KC_RESTORE_DB | KC_RESTORE_CONFIG | KC_RESTORE_DATA,
};

/* All three are for jobs of the publisher. KC_ERR_EXISTS: `path` is there. */
struct kc_error *kc_backup_write(struct kc_portal *portal, struct kc_repository *repository, const char *path);
struct kc_error *kc_backup_write_db(struct kc_portal *portal, const char *path);
/* KC_ERR_CORRUPT, KC_ERR_NOT_FOUND: nothing was changed. What was there before is kept beside it until all is done. */
struct kc_error *kc_backup_restore(struct kc_portal *portal, struct kc_repository *repository, const char *path,
				   unsigned what);

#endif
