/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A portal in one folder, and back, while it runs. A backup is taken in the publisher's thread, so that database and
 * repository are of one moment; it has its name when it is complete. A restore (restore.c) is done as a whole, or not.
 *
 *   PATH/portal.db
 *   PATH/config
 *   PATH/repository, PATH/archives     files as hard links where that is possible: none of them is ever changed in
 * place
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

/*
 * All three are for jobs of the publisher. `path` begins with '/'. KC_ERR_EXISTS: it is there; KC_ERR_INPUT: it cannot
 * be; KC_ERR_PERMISSION.
 */
struct kc_error *kc_backup_write(struct kc_portal *portal, const char *path);
struct kc_error *kc_backup_write_db(struct kc_portal *portal, const char *path);
/*
 * KC_ERR_NOT_FOUND, KC_ERR_CORRUPT: it is no backup; KC_ERR_BUSY: one of before is not over. After any error nothing was
 * changed, unless its message says that the next start completes it. The repository of the job holds the lock; the next
 * job opens what was restored.
 */
struct kc_error *kc_backup_restore(struct kc_portal *portal, const char *path, unsigned what);
/* Before a portal works, with its database open: completes a restore that was cut off, or removes what it left. */
struct kc_error *kc_backup_recover(struct kc_portal *portal);

#endif
