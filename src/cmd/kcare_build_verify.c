/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build verify: everything that an agent checks before it would apply a patch file. */
#include "cmd/kcare_build.h"

#include "cmd/kcare_build_archive.h"
#include "patch/patch_file.h"
#include "patch/user_payload.h"

/* A signature says who made it, not that it is whole: the payload is read as the patcher reads it. */
static struct kc_error *count_functions(struct kc_ctx *ctx, const struct kc_patch *patch, size_t *n)
{
	kc_autopayload struct kc_payload *payload = NULL;

	*n = 0;
	if (patch->manifest.kind != KC_PATCH_USER)
		return NULL;
	KC_TRY(kc_patch_user_payload(ctx, patch, &payload));
	*n = payload->n_functions;
	return NULL;
}

struct kc_error *kc_build_verify_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = { { "key", required_argument, NULL, 'k' }, { NULL, 0, NULL, 0 } };
	kc_autokeyring struct kc_keyring *keyring = NULL;
	kc_autopatch struct kc_patch *patch = NULL;
	const char *key_path = NULL, *path;
	struct kc_error *err;
	size_t n_functions;
	int option;

	while ((option = getopt_long(argc, argv, ":k:", options, NULL)) != -1) {
		if (option != 'k')
			return kc_command_bad_option(option, argv);
		key_path = optarg;
	}
	KC_TRY(kc_command_need_arguments(argc, 1, "FILE"));
	if (!key_path)
		return kc_error_new(KC_ERR_USAGE, "name the public key, or a folder of them, with --key");
	path = argv[optind];
	KC_TRY(kc_keyring_load(ctx, key_path, &keyring));
	if (kc_keyring_size(keyring) == 0)
		return kc_error_new(KC_ERR_KEY, "%s: no public key (*.pub) in this folder", key_path);
	if (kc_patchset_is_archive(path)) {
		err = kc_build_archive_verify(ctx, path, keyring);
		kc_terminal_clear(terminal);
		return err;
	}
	KC_TRY(kc_patch_open(ctx, path, keyring, &patch));
	err = count_functions(ctx, patch, &n_functions);
	if (err)
		return kc_error_prefix(err, "%s", path);
	printf("%s: good signature\nkey id    %s\nsha256    %s\npatch     %s, level %u, type %s\ntarget    %s %s\n",
	       path, patch->keyid, patch->hash, patch->manifest.patchset, patch->manifest.level, patch->manifest.type,
	       patch->manifest.object, patch->manifest.target);
	if (n_functions)
		printf("replaces  %zu function%s\n", n_functions, n_functions == 1 ? "" : "s");
	return NULL;
}
