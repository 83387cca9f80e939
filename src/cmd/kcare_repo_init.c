/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-repo init and trust: a new repository, and whose patches it takes. */
#include "cmd/kcare_repo.h"

#include "cmd/secret.h"
#include "repo/repository.h"

struct request {
	const char *keys_dir, *certificate, *passphrase_path;
	bool without_passphrase;
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
		{ "keys", required_argument, NULL, 'k' },
		{ "author", required_argument, NULL, 'a' },
		{ "module-certificate", required_argument, NULL, 'm' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ "no-passphrase", no_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'k')
			request->keys_dir = optarg;
		else if (option == 'a')
			KC_TRY(kc_command_list_add(&request->authors, &request->n_authors, optarg));
		else if (option == 'm')
			request->certificate = optarg;
		else if (option == 'p')
			request->passphrase_path = optarg;
		else if (option == 'n')
			request->without_passphrase = true;
		else
			return kc_command_bad_option(option, argv);
	}
	return kc_command_need_arguments(argc, 1, "DIR");
}

struct kc_error *kc_repo_new_passphrase(struct kc_ctx *ctx, const char *path, bool without, struct kc_buf *passphrase)
{
	return kc_secret_new(ctx, "passphrase for the root key", path, without,
			     "--passphrase-file FILE or --no-passphrase", passphrase);
}

static void print_next_steps(const char *dir, const struct request *request)
{
	printf("repository  %s\nroot key    %s/root.key%s\nroot        %s/root.json\n\n"
	       "What to do now:\n"
	       "- Move %s/root.key to a machine without a network, where the private keys of authors are, too, and "
	       "keep a "
	       "copy of it. Only 'kcare-repo sign-root' needs it, to replace keys and once a year.\n"
	       "- Install %s/root.json on each host as /etc/sysconfig/kcare/root.json, and the public keys of the "
	       "authors "
	       "in /etc/sysconfig/kcare/keys/.\n"
	       "- Let a web server show %s/public, and nothing else of the repository.\n"
	       "- Let cron run 'kcare-repo refresh %s' every hour: hosts take nothing new from a repository that was "
	       "silent for 3 days.\n",
	       dir, request->keys_dir, request->without_passphrase ? "  (no passphrase)" : "", request->keys_dir,
	       request->keys_dir, request->keys_dir, dir, dir);
	if (!request->n_authors)
		printf("- Say whose patches it takes: 'kcare-repo trust %s --author PUB'.\n", dir);
}

struct kc_error *kc_repo_init_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(clear_request) struct request request = { 0 };
	KC_CLEANUP(kc_secret_wipe) struct kc_buf passphrase = { 0 };
	struct kc_repository_options options = { 0 };

	(void)terminal;
	KC_TRY(read_options(argc, argv, &request));
	if (!request.keys_dir)
		return kc_error_new(KC_ERR_USAGE, "name a folder for the root key, apart from the repository, with "
						  "--keys");
	KC_TRY(kc_repo_new_passphrase(ctx, request.passphrase_path, request.without_passphrase, &passphrase));
	options.keys_dir = request.keys_dir;
	options.passphrase = passphrase.data;
	options.authors = (char *const *)request.authors;
	options.module_certificate = request.certificate;
	KC_TRY(kc_repository_init(ctx, argv[optind], &options));
	print_next_steps(argv[optind], &request);
	return NULL;
}

struct kc_error *kc_repo_trust_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(clear_request) struct request request = { 0 };
	kc_autorepository struct kc_repository *repository = NULL;

	(void)terminal;
	KC_TRY(read_options(argc, argv, &request));
	if (request.keys_dir || request.passphrase_path || request.without_passphrase)
		return kc_error_new(KC_ERR_USAGE, "trust takes --author PUB and --module-certificate DER only");
	if (!request.n_authors && !request.certificate)
		return kc_error_new(KC_ERR_USAGE, "name a public key with --author, or a certificate with "
						  "--module-certificate");
	KC_TRY(kc_repo_open(ctx, argv[optind], &repository));
	KC_TRY(kc_repository_trust(ctx, repository, (char *const *)request.authors, request.certificate));
	for (size_t i = 0; i < request.n_authors; i++)
		printf("patchsets signed with %s are taken from now on\n", request.authors[i]);
	if (request.certificate)
		printf("%s is shown as kernelcare_pub.der\n", request.certificate);
	return NULL;
}
