/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build keygen: an author's key pair. */
#include "cmd/kcare_build.h"

#include <string.h>

#include "sign/key.h"

struct kc_error *kc_build_keygen_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	const char *name = "author", *passphrase_path = NULL;
	kc_autobuf struct kc_buf passphrase = { 0 };
	char keyid[KC_KEYID_SIZE];
	struct kc_error *err;
	int option;

	(void)terminal;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'n')
			name = optarg;
		else if (option == 'p')
			passphrase_path = optarg;
		else
			return kc_command_bad_option(option, argv);
	}
	KC_TRY(kc_command_need_arguments(argc, 1, "DIR"));
	if (passphrase_path)
		KC_TRY(kc_terminal_read_passphrase(passphrase_path, &passphrase));
	err = kc_key_generate(ctx, argv[optind], name, passphrase.data, keyid);
	if (passphrase.data)
		explicit_bzero(passphrase.data, passphrase.size);
	if (err)
		return err;
	printf("secret key  %s/%s.key%s\npublic key  %s/%s.pub\nkey id      %s\n", argv[optind], name,
	       passphrase_path ? "" : "  (no passphrase: keep it on a machine that only you use)", argv[optind], name,
	       keyid);
	return NULL;
}
