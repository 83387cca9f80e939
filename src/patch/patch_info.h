/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a kernel patch fixes, as text in the form that scanners of KernelCare read: /proc/kcare/patch_info, `kcarectl
 * --patch-info`, and kpatch.info of a repository. A head, then a paragraph for each fix.
 */
#ifndef KC_PATCH_PATCH_INFO_H
#define KC_PATCH_PATCH_INFO_H

#include "patch/patch_file.h"

/* "OS: Debian", "kernel: 6.1.0-47-amd64", "time: …" (UTC), "uname: " with the effective version. */
void kc_patch_info_head(struct kc_buf *text, const char *os, const char *release, int64_t time,
			const char *effective_version);
void kc_patch_info_fix(struct kc_buf *text, const struct kc_fix_info *fix, const char *effective_version);
/* "2026-11-24 12:00:00", UTC. */
void kc_patch_info_time(int64_t seconds, char text[20]);

#endif
