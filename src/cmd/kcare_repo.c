/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-repo: makes and keeps a signed repository. One file per subcommand beside this one. */
#include "cmd/kcare_repo.h"

#include "base/array.h"

static const struct kc_command commands[] = {
	{ "sign-root",
	  "DIR | FILE  [--rotate ROLE…] [--renew] [--add-root-key PUB…] [--remove-root-key KEYID…] [--threshold N] "
	  "[--key KEY… | --export FILE | --import FILE] [--passphrase-file FILE]",
	  "Makes a new root: other keys, or a later expiry; at once, or on the machine where the root keys are.",
	  kc_repo_sign_root_run },
};

static const struct kc_program program = {
	"kcare-repo",
	"makes and keeps a signed repository of patches",
	commands,
	KC_ARRAY_SIZE(commands),
};

int main(int argc, char **argv)
{
	return kc_program_main(&program, argc, argv);
}
