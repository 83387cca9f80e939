/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tests of the archive's reader need; private to this room and to them. */
#ifndef KC_PATCHSET_ARCHIVE_INTERNAL_H
#define KC_PATCHSET_ARCHIVE_INTERNAL_H

#include "patchset/patchset.h"

/*
 * kc_patchset_archive_read() of bytes in memory. `is_tar`: they are not compressed, so that a fuzzer reaches what lies
 * behind bzip2's checksums.
 */
struct kc_error *kc_patchset_memory_read(struct kc_ctx *ctx, const char *name, const void *data, size_t size,
					 bool is_tar, const struct kc_keyring *authors, const char *dir,
					 struct kc_patchset **patchset);

#endif
