/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build show and verify, when what they are given is a patchset's archive. */
#ifndef KC_CMD_KCARE_BUILD_ARCHIVE_H
#define KC_CMD_KCARE_BUILD_ARCHIVE_H

#include "patchset/patchset.h"

struct kc_error *kc_build_archive_show(struct kc_ctx *ctx, const char *path, bool json);
struct kc_error *kc_build_archive_verify(struct kc_ctx *ctx, const char *path, const struct kc_keyring *authors);

/* "created      2026-11-23 12:00:00 UTC" */
void kc_build_print_time(const char *label, int64_t seconds);

#endif
