/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed paths of the agent; kc_user_path() puts KCARE_ROOT before them. Those below /proc are the kernel's own and
 * stay as they are. Trusted keys: KC_PATH_KEYS of apply/user_paths.h.
 */
#ifndef KC_AGENT_PATHS_H
#define KC_AGENT_PATHS_H

#include "apply/user_paths.h"

#define KC_PATH_CONFIG "/etc/sysconfig/kcare/kcare.conf"
#define KC_PATH_SYSCTL "/etc/sysconfig/kcare/sysctl.conf"
#define KC_PATH_KERNEL_CACHE "/var/cache/kcare/kernel" /* KERNELID/TYPE/LEVEL.kpatch */
#define KC_PATH_STATE KC_PATH_KERNEL_CACHE "/state.json"
#define KC_PATH_LOADING KC_PATH_KERNEL_CACHE "/loading"
#define KC_PATH_CACHE "/var/cache/kcare"
#define KC_PATH_REPOSITORY KC_PATH_CACHE "/repo" /* ROOT/FEED/: repo/client.h */
#define KC_PATH_PARTIAL KC_PATH_CACHE "/partial" /* downloads that are not complete, or not verified */
#define KC_PATH_USERSPACE_STATE KC_PATH_CACHE "/userspace/state.json"
#define KC_PATH_ROOT "/etc/sysconfig/kcare/root.json"
#define KC_PATH_SYSTEMID "/etc/sysconfig/kcare/systemid"
#define KC_PATH_PORTAL KC_PATH_CACHE "/portal.json"
#define KC_PATH_CHECKIN_LATER KC_PATH_CACHE "/checkin-later"
#define KC_PATH_INTEGRITY_LOG "/var/log/kcare/integrity.log"
#define KC_PATH_MACHINE_ID "/etc/machine-id"
#define KC_PATH_AGENT_LOCK "/run/kcare.lock"

#define KC_PATH_PROC_PATCH_INFO "/proc/kcare/patch_info"
#define KC_PATH_PROC_EFFECTIVE_VERSION "/proc/kcare/effective_version"
#define KC_PATH_PROC_VERSION "/proc/version"
#define KC_PATH_BOOT_ID "/proc/sys/kernel/random/boot_id"

#endif
