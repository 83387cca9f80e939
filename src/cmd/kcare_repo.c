/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-repo: makes and keeps a signed repository. One file per subcommand beside this one. */
#include "cmd/kcare_repo.h"

#include <sys/stat.h>

#include "base/array.h"

#define STATE_ARGUMENTS "DIR PATCHSET --feed FEED [--rollout PERCENT]"

static const struct kc_command commands[] = {
	{ "init",
	  "DIR --keys DIR [--author PUB…] [--module-certificate DER] [--passphrase-file FILE | --no-passphrase]",
	  "Makes a repository with the feed `main`; the root key goes to another folder.", kc_repo_init_run },
	{ "trust", "DIR [--author PUB…] [--module-certificate DER]",
	  "Takes patchsets of more authors; shows the certificate that modules are signed with.", kc_repo_trust_run },
	{ "deploy", "DIR ARCHIVE --feed FEED [--disabled] [--rollout PERCENT]",
	  "Verifies a patchset and adds it to a feed.", kc_repo_deploy_run },
	{ "enable", STATE_ARGUMENTS, "Lets hosts have a patchset; adds it to a feed that does not have it yet.",
	  kc_repo_enable_run },
	{ "disable", STATE_ARGUMENTS, "Hides a patchset: hosts that have it keep it.", kc_repo_disable_run },
	{ "block", STATE_ARGUMENTS, "Makes hosts take a patchset out.", kc_repo_block_run },
	{ "undeploy", "DIR PATCHSET --feed FEED",
	  "Takes a patchset out of a feed, and out of the repository when no feed has it.", kc_repo_undeploy_run },
	{ "feed",
	  "DIR list [--json] | add NAME [--from FEED] … | change NAME … | remove NAME  [--note TEXT] "
	  "[--auto|--no-auto] "
	  "[--deploy-after HOURS] [--channel default|test|unstable]",
	  "Lists feeds and their patchsets; adds, changes and removes feeds.", kc_repo_feed_run },
	{ "refresh", "DIR [--all]", "Signs anew what hosts see, so that it does not expire: for cron, each hour.",
	  kc_repo_refresh_run },
	{ "sign-root",
	  "DIR | FILE  [--rotate ROLE…] [--renew] [--add-root-key PUB…] [--remove-root-key KEYID…] [--threshold N] "
	  "[--key KEY… | --export FILE | --import FILE] [--passphrase-file FILE | --no-passphrase]",
	  "Makes a new root: other keys, or a later expiry; at once, or on the machine where the root keys are.",
	  kc_repo_sign_root_run },
	{ "verify", "DIR [--root FILE] [--key PUB]",
	  "Checks a repository or a mirror as hosts do, and every patch file in it.", kc_repo_verify_run },
	{ "mirror", "URL DIR [--root FILE]", "Copies a repository, verified; again: only what is new.",
	  kc_repo_mirror_run },
};

static const struct kc_program program = {
	"kcare-repo",
	"makes and keeps a signed repository of patches",
	commands,
	KC_ARRAY_SIZE(commands),
};

int main(int argc, char **argv)
{
	/* whatever the operator's is: the web server must be able to read what is published */
	umask(022);
	return kc_program_main(&program, argc, argv);
}
