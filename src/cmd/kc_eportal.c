/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal: administers a portal, through its socket. One file for each group of subcommands beside this one. */
#include "cmd/kc_eportal.h"

#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"

#define PATCHSETS                                                                                        \
	"deploy [--feed F] [--disabled] ARCHIVE | update [--feed F] | auto-update | download-missing | " \
	"list [--feed F] [--distro D…] [--json] | "                                                    \
	"{enable|disable|block|undeploy|enable-up-to|undeploy-down-to} NAME [--feed F…] | unroll NAME [--delete]"

static const struct kc_command commands[] = {
	{ "init",
	  "DIR --keys DIR [--author PUB…] [--listen ADDRESS] [--passphrase-file FILE | --no-passphrase] "
	  "[--password-file FILE | "
	  "--no-admin]",
	  "Makes a new portal; the root key goes to another folder.", kc_eportal_init_run },
	{ "kcare", PATCHSETS, "Patchsets for kernels.", kc_eportal_patchset_run },
	{ "libcare", PATCHSETS, "Patchsets for libraries.", kc_eportal_patchset_run },
	{ "qemu", PATCHSETS, "Patchsets for QEMU.", kc_eportal_patchset_run },
	{ "unroll", "NAME [--delete]", "Takes a patchset out of all feeds; --delete: and its files.",
	  kc_eportal_unroll_run },
	{ "download-missing", "", "Gets archives that are known and not here from the upstream.",
	  kc_eportal_download_run },
	{ "feed",
	  "[list | -a | -c | -d] [--auto|--no-auto] [--deploy-after HOURS] [--channel default|test|unstable] [--note "
	  "TEXT] "
	  "[--from FEED] [--json] [NAME]",
	  "Lists, adds, changes and removes feeds.", kc_eportal_feed_run },
	{ "key",
	  "[-a | -c | -d] [--feed F] [--server-limit N] [--note TEXT] [--product kernel|libcare|qemu…] "
	  "[--default-products] "
	  "[--sticky DAY|yesterday] [--ends DAY] [--addresses NETWORKS] [--lock|--unlock] [--json] [KEY]",
	  "Lists, adds, changes and removes keys, with which servers register.", kc_eportal_key_run },
	{ "server",
	  "[list] [--hostname H] [--ip A] [--id ID] [--feed F] [--key K] [--tag T] [--registered-age N] [--checkin-age "
	  "N] "
	  "[--updated-age N] [--updated|--outdated] [--limit N] [--count|--csv|--json] | tag ID TAGS | "
	  "remove ID | remove --hostname H --ip A | clean --inactive [--days N]",
	  "Lists, tags and removes servers.", kc_eportal_server_run },
	{ "user",
	  "[-a | -c | -d] [-p PASSWORD | --password-file FILE | --ask-password | --no-password] [-r admin|readonly] "
	  "[--note TEXT] [--json] [USER]",
	  "Lists, adds, changes and removes users.", kc_eportal_user_run },
	{ "api-key", "[-a USER | -d ID] [--days N] [--note TEXT] [--json]",
	  "Lists, adds and removes API keys of users.", kc_eportal_api_key_run },
	{ "audit", "[--limit N] [--offset N] [--json]", "Shows who did what, the newest first.", kc_eportal_audit_run },
	{ "doctor", "[--json]", "Looks whether the portal is well: 0, or 1 when something is to be done.",
	  kc_eportal_doctor_run },
	{ "backup", "PATH", "Copies the whole portal into a new folder, while it runs.", kc_eportal_backup_run },
	{ "backup-db", "PATH", "Copies the database into a new file.", kc_eportal_backup_db_run },
	{ "restore", "--db|--config|--data|--full PATH",
	  "Takes a backup, or a part of it, in the place of what is there.", kc_eportal_restore_run },
};

static const struct kc_program program = {
	"kc.eportal",
	"administers a patch portal; --socket PATH or --data DIR say which, else " KC_EPORTAL_DIR,
	commands,
	KC_ARRAY_SIZE(commands),
};

/* As the first versions of the reference's kc.eportal were called. */
static const struct {
	const char *option;
	const char *words[3];
} old_forms[] = {
	{ "--list-servers", { "server", "--list-servers" } },
	{ "--get-latest", { "kcare", "update" } },
	{ "--auto-update", { "kcare", "auto-update" } },
	{ "--deploy", { "kcare", "deploy" } },
	{ "--unroll", { "unroll" } },
	{ "--download-missing", { "download-missing" } },
};

struct words {
	const char **list; /* NULL-terminated */
	size_t n;
};

static void add(struct words *words, const char *word)
{
	/* the list is as long as argv and an old form could need */
	words->list[words->n++] = word;
}

/* Which portal: for the rest of the run in the environment, where it may come from, too. */
static bool take_place(const char *option, const char *value)
{
	kc_autofree char *path = NULL;

	if (!strcmp(option, "--socket"))
		return !setenv(KC_EPORTAL_SOCKET_ENV, value, 1);
	path = kc_path_join(value, "socket");
	return path && !setenv(KC_EPORTAL_SOCKET_ENV, path, 1);
}

/*
 * "--socket PATH" and "--socket=PATH" may stand anywhere; --data, too, but behind `restore`, which has one of its own.
 * How many words it is, 0: another word.
 */
static int read_place(int argc, char **argv, int i, bool is_restore)
{
	static const char *const options[] = { "--socket", "--data" };

	for (size_t k = 0; k < (is_restore ? 1 : KC_ARRAY_SIZE(options)); k++) {
		size_t length = strlen(options[k]);

		if (!strcmp(argv[i], options[k]) && i + 1 < argc)
			return take_place(options[k], argv[i + 1]) ? 2 : 0;
		if (!strncmp(argv[i], options[k], length) && argv[i][length] == '=')
			return take_place(options[k], argv[i] + length + 1) ? 1 : 0;
	}
	return 0;
}

static bool add_old_form(struct words *words, const char *word)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(old_forms); i++) {
		if (strcmp(word, old_forms[i].option))
			continue;
		for (size_t k = 0; old_forms[i].words[k]; k++)
			add(words, old_forms[i].words[k]);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	kc_autofree const char **list = calloc((size_t)argc + 4, sizeof(*list));
	struct words words = { .list = list };
	bool is_restore = false;
	int taken;

	if (!list)
		return KC_EXIT_FAILED;
	/* whatever the operator's is: a web server may be meant to read the repository of a new portal */
	umask(022);
	add(&words, argv[0]);
	for (int i = 1; i < argc; i++) {
		is_restore |= words.n > 1 && !strcmp(argv[i - 1], "restore");
		taken = read_place(argc, argv, i, is_restore);
		if (taken)
			i += taken - 1;
		else if (words.n != 1 || !add_old_form(&words, argv[i]))
			add(&words, argv[i]);
	}
	return kc_program_main(&program, (int)words.n, (char **)words.list);
}
