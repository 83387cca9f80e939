/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is a backup what it should be? Looked at before anything of the portal changes. */
#ifndef KC_PORTAL_RESTORE_CHECK_H
#define KC_PORTAL_RESTORE_CHECK_H

#include "base/ctx.h"
#include "base/error.h"

/* Of a backup's configuration: a missing one is good. KC_ERR_CONFIG, KC_ERR_INPUT. */
struct kc_error *kc_restore_check_config(struct kc_ctx *ctx, const char *path);
/* `copy`: of the repository of the folder `backup`. All that it shows to hosts is there, and is what it says:
 * KC_ERR_CORRUPT. */
struct kc_error *kc_restore_check_shown(const char *copy, const char *backup);
/* Takes `err`: what it says of the copy, it says of the backup then. NULL is fine. */
struct kc_error *kc_restore_name_backup(struct kc_error *err, const char *copy, const char *backup);

#endif
