/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build: makes, shows and checks patch files and patchsets. One file per subcommand beside this one. */
#include "cmd/kcare_build.h"

#include "base/array.h"

static const struct kc_command commands[] = {
	{ "keygen", "DIR [--name NAME] [--passphrase-file FILE]",
	  "Makes an author's key pair: DIR/NAME.key (keep it secret) and DIR/NAME.pub.", kc_build_keygen_run },
	{ "prepare", "user PACKAGE=VERSION | kernel RELEASE  [--cache DIR] [--print-path]",
	  "Fetches a package or a kernel with its source and configures it, so that `user` and `kernel` only compile.",
	  kc_build_prepare_run },
	{ "user",
	  "PACKAGE=VERSION | --elf FILE --source DIR --commands JSON  --fix FIX… --level N --patchset NAME --key KEY "
	  "-o DIR  [--type TYPE] [--allow RULE…] [--jobs N] [--cache DIR]",
	  "Builds patch files for the programs and libraries that the fixes change.", kc_build_user_run },
	{ "kernel",
	  "RELEASE | --all PATTERN | --image FILE --headers DIR --source DIR [--modules DIR]  --fix FIX… --level N "
	  "--patchset NAME --key KEY -o DIR  [--module-key PEM] [--previous FILE] [--effective-version RELEASE] "
	  "[--type TYPE] [--allow RULE…] [--max-objects N] [--jobs N] [--cache DIR]",
	  "Builds a patch file with a livepatch module for a kernel.", kc_build_kernel_run },
	{ "patchset", "NAME FILE|DIR… --key KEY  [--type TYPE…] [--released DATE] [--distro NAME] [-o NAME.tar.bz2]",
	  "Makes a release of patch files: a signed list of them, and all of them, in one archive.",
	  kc_build_patchset_run },
	{ "show", "FILE [--json]",
	  "Shows what a patch file or a patchset says of itself, without checking its signature.", kc_build_show_run },
	{ "verify", "FILE --key PUB", "Checks a patch file or a patchset against a public key, or a folder of them.",
	  kc_build_verify_run },
};

static const struct kc_program program = {
	"kcare-build",
	"makes, shows and checks live patches",
	commands,
	KC_ARRAY_SIZE(commands),
};

int main(int argc, char **argv)
{
	return kc_program_main(&program, argc, argv);
}
