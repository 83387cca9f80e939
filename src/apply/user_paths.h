/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed paths of userspace patching. Each is below the folder that KCARE_ROOT names, if it is set and the program
 * is not setuid: so tests and images need no real /var.
 */
#ifndef KC_APPLY_USER_PATHS_H
#define KC_APPLY_USER_PATHS_H

#include <stdbool.h>

#include "base/error.h"

#define KC_PATH_KEYS "/etc/sysconfig/kcare/keys"
#define KC_PATH_CURRENT "/var/cache/kcare/userspace/current" /* what the agent chose for processes */
#define KC_PATH_STORE "/var/cache/kcare/userspace/patches"
#define KC_PATH_CVELIST "/var/cache/kcare/libcare_cvelist"
#define KC_PATH_CVELIST_LOCK "/var/cache/kcare/userspace/cvelist.lock"
#define KC_PATH_BLACKLIST "/var/lib/libcare/blacklist"
#define KC_PATH_BLACKLIST_OVERRIDE "/var/cache/kcare/userspace/blacklist"
#define KC_PATH_SERVER_LOCK "/run/libcare-server.lock"

/* The path below KCARE_ROOT (caller frees; NULL when out of memory). */
char *kc_user_path(const char *fixed);

/*
 * Opens the lock file at a fixed path, with its folder, and locks it until `*fd` is closed. `wait`: for as long as
 * another holds it; else KC_ERR_BUSY.
 */
struct kc_error *kc_user_lock(const char *fixed, bool wait, int *fd);

#endif
