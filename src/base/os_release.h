/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What os-release(5) says, and the name of a distribution as patchsets have it. */
#ifndef KC_BASE_OS_RELEASE_H
#define KC_BASE_OS_RELEASE_H

#define KC_OS_RELEASE_PATH "/etc/os-release"

/* The value of NAME in os-release's text (caller frees; NULL when missing or out of memory). */
char *kc_os_release_value(const char *text, const char *name);
/*
 * "debian12": ID, and VERSION_ID up to its first '.'; only ID when there is no version. Caller frees; NULL when there
 * is no ID, or out of memory.
 */
char *kc_os_distro(const char *text);

#endif
