/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signs a kernel module that no patch file brings: sign_module KEY MODULE OUT
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "sign/module_signature.h"

#define MODULE_LIMIT (64 << 20)

static struct kc_error *sign(struct kc_ctx *ctx, char *const *args)
{
	kc_automodulekey struct kc_module_key *key = NULL;
	kc_autobuf struct kc_buf module = { 0 };
	int err;

	KC_TRY(kc_module_key_load(ctx, args[0], &key));
	err = kc_file_read(args[1], MODULE_LIMIT, &module);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", args[1]);
	KC_TRY(kc_module_sign(key, &module));
	err = kc_file_write_atomic(args[2], module.data, module.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", args[2]) : NULL;
}

int main(int argc, char **argv)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoerror struct kc_error *err = NULL;

	if (argc != 4 || !ctx) {
		fprintf(stderr, "usage: sign_module KEY MODULE OUT\n");
		return KC_EXIT_USAGE;
	}
	err = sign(ctx, argv + 1);
	if (err)
		fprintf(stderr, "sign_module: %s\n", kc_error_message(err));
	return err ? KC_EXIT_FAILED : KC_EXIT_DONE;
}
