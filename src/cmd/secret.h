/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New passphrases and passwords: from a file, none, or asked for twice at the terminal. */
#ifndef KC_CMD_SECRET_H
#define KC_CMD_SECRET_H

#include <stdbool.h>

#include "cmd/terminal.h"

/*
 * `what`: "passphrase for the root key". The first line of the file `path`; empty when `without`; `options` name both
 * for messages: "--passphrase-file FILE or --no-passphrase". The caller wipes it. KC_ERR_USAGE: both were given.
 */
struct kc_error *kc_secret_new(struct kc_ctx *ctx, const char *what, const char *path, bool without,
			       const char *options, struct kc_buf *secret);
/* The same for a user's password: what the environment says of the passphrases of keys is not his. */
struct kc_error *kc_secret_new_password(const char *path, bool without, const char *options, struct kc_buf *secret);
void kc_secret_wipe(struct kc_buf *secret);

#endif
