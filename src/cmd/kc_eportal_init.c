/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal init: a new portal in a folder. The one command that works without a portal that runs. */
#include "cmd/kc_eportal.h"

#include <string.h>

#include "cmd/secret.h"
#include "portal/portal.h"

struct request {
	const char *keys_dir, *passphrase_path, *password_path, *listen;
	bool without_passphrase, without_admin;
	const char **authors; /* NULL-terminated */
	size_t n_authors;
};

static void clear_request(struct request *request)
{
	free(request->authors);
}

static struct kc_error *read_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "keys", required_argument, NULL, 'k' },    { "listen", required_argument, NULL, 'l' },
		{ "author", required_argument, NULL, 'a' },  { "passphrase-file", required_argument, NULL, 'p' },
		{ "no-passphrase", no_argument, NULL, 'n' }, { "password-file", required_argument, NULL, 'P' },
		{ "no-admin", no_argument, NULL, 'N' },	     { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'k')
			request->keys_dir = optarg;
		else if (option == 'l')
			request->listen = optarg;
		else if (option == 'a')
			KC_TRY(kc_command_list_add(&request->authors, &request->n_authors, optarg));
		else if (option == 'p')
			request->passphrase_path = optarg;
		else if (option == 'n')
			request->without_passphrase = true;
		else if (option == 'P')
			request->password_path = optarg;
		else if (option == 'N')
			request->without_admin = true;
		else
			return kc_command_bad_option(option, argv);
	}
	if (!request->keys_dir)
		return kc_error_new(KC_ERR_USAGE, "name a folder for the root key, apart from the portal, with --keys");
	if (request->password_path && request->without_admin)
		return kc_error_new(KC_ERR_USAGE, "--password-file and --no-admin exclude each other");
	return kc_command_need_arguments(argc, 1, "DIR");
}

static void print_next_steps(const char *dir, const struct request *request, bool has_admin)
{
	const char *listen = request->listen ? request->listen : KC_PORTAL_LISTEN, *port = strrchr(listen, ':') + 1;

	printf("portal    %s\nroot key  %s/root.key%s\nroot      %s/root.json\nlisten    %s  (LISTEN in %s/config)\n\n"
	       "What to do now:\n"
	       "- Move %s/root.key to a machine without a network, and keep a copy of it. Only 'kcare-repo sign-root' "
	       "needs it.\n"
	       "- Start it: 'eportald --foreground --data %s', or by systemd.\n",
	       dir, request->keys_dir, request->without_passphrase ? "  (no passphrase)" : "", request->keys_dir,
	       listen, dir, request->keys_dir, dir);
	if (!request->n_authors)
		printf("- Say whose patches it takes: 'kcare-repo trust %s/repository --author PUB'.\n", dir);
	if (!has_admin)
		printf("- Over the network it knows nobody yet: 'kc.eportal --data %s user -a -r admin NAME'.\n", dir);
	printf("- Make a key for hosts: 'kc.eportal --data %s key -a'.\n"
	       "- On each host: 'kcarectl --import-key root.json', 'kcarectl --import-key PUB' for each author, "
	       "PATCH_SERVER=http://THIS-MACHINE:%s in /etc/sysconfig/kcare/kcare.conf, 'kcarectl --register KEY'.\n",
	       dir, port);
}

struct kc_error *kc_eportal_init_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(clear_request) struct request request = { 0 };
	KC_CLEANUP(kc_secret_wipe) struct kc_buf passphrase = { 0 };
	KC_CLEANUP(kc_secret_wipe) struct kc_buf password = { 0 };
	struct kc_portal_init init = { 0 };

	(void)terminal;
	KC_TRY(read_options(argc, argv, &request));
	KC_TRY(kc_secret_new(ctx, "passphrase for the root key", request.passphrase_path, request.without_passphrase,
			     "--passphrase-file FILE or --no-passphrase", &passphrase));
	if (request.password_path)
		KC_TRY(kc_terminal_read_passphrase(request.password_path, &password));
	init.keys_dir = request.keys_dir;
	init.passphrase = passphrase.data;
	init.authors = (char *const *)request.authors;
	init.admin_password = password.data;
	init.listen = request.listen;
	KC_TRY(kc_portal_init(ctx, argv[optind], &init));
	print_next_steps(argv[optind], &request, password.data);
	return NULL;
}
