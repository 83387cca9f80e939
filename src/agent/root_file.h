/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files that root obeys: configuration, sysctls, what the agent remembers. */
#ifndef KC_AGENT_ROOT_FILE_H
#define KC_AGENT_ROOT_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * Appends the content of the file at `fixed` (below KCARE_ROOT) to `buf`; `*path` names it (caller frees). No such
 * file:
 * `*exists` is false. For root, a file that somebody else may write is KC_ERR_PERMISSION: he would decide what root
 * does.
 */
struct kc_error *kc_root_file_read(const char *fixed, struct kc_buf *buf, char **path, bool *exists);
/* Replaces it as a whole, durably; makes its folder. */
struct kc_error *kc_root_file_write(const char *fixed, const void *data, size_t size);
/* Removes it, durably. No such file is fine. */
struct kc_error *kc_root_file_remove(const char *fixed);

#endif
