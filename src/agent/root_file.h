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
/* The same for a whole path, and up to `limit` bytes (KC_ERR_LIMIT). */
struct kc_error *kc_root_file_read_path(const char *path, size_t limit, struct kc_buf *buf, bool *exists);
/*
 * Makes the folder at `fixed`, and checks it and those above it, from the third one on ("/var/cache/kcare"): for root,
 * KC_ERR_PERMISSION names one that belongs to another user, that others may write to, or that is a link. `*path`, if
 * not NULL, is the caller's to free.
 */
struct kc_error *kc_root_folder_make(const char *fixed, char **path);
/* Replaces it as a whole, durably; makes its folder. */
struct kc_error *kc_root_file_write(const char *fixed, const void *data, size_t size);
/* The same for what only root may read. */
struct kc_error *kc_root_file_write_secret(const char *fixed, const void *data, size_t size);
/* Removes it, durably. No such file is fine. */
struct kc_error *kc_root_file_remove(const char *fixed);

#endif
