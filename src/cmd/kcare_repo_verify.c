/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-repo verify: a repository or a mirror, as hosts see it. */
#include "cmd/kcare_repo.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "patchset/patchset.h"
#include "repo/verify.h"

struct check {
	struct kc_terminal *terminal;
	struct kc_verify_options options;
	enum kc_error_code first; /* kind of the first problem */
	size_t n_problems;
	struct kc_keyring *authors;
	char **known;
	size_t n_known;
};

static void clear_check(struct check *check)
{
	for (size_t i = 0; i < check->n_known; i++)
		free(check->known[i]);
	free(check->known);
	kc_keyring_free(check->authors);
}

#define CLEANUP_CHECK KC_CLEANUP(clear_check)

static void report(void *data, struct kc_error *err)
{
	struct check *check = data;

	if (!check->n_problems++)
		check->first = kc_error_code(err);
	kc_terminal_error(check->terminal, err);
}

/* DIR/public of a repository or a mirror; DIR itself when somebody copied only that. */
static char *public_folder(const char *dir)
{
	kc_autofree char *public_dir = kc_path_join(dir, "public"), *feeds = NULL;

	feeds = public_dir ? kc_path_join(public_dir, "feeds") : NULL;
	if (!feeds)
		return NULL;
	return access(feeds, F_OK) ? strdup(dir) : kc_steal(public_dir);
}

/* The repository's own list of authors, unless keys are named. Mirrors have none. */
static struct kc_error *load_authors(struct kc_ctx *ctx, const char *dir, const char *key, struct check *check)
{
	kc_autofree char *own = kc_path_join(dir, "private/authors");

	if (!own)
		return kc_error_no_memory();
	if (!key && !access(own, F_OK))
		key = own;
	if (key)
		KC_TRY(kc_keyring_load(ctx, key, &check->authors));
	if (!check->authors || !kc_keyring_size(check->authors)) {
		kc_warning(ctx, "the authors' signatures are not checked: name their public keys with --key");
		return NULL;
	}
	check->options.authors = check->authors;
	return NULL;
}

/* A disabled patchset's files are in the store, and in no feed. */
static struct kc_error *add_known(struct check *check, const char *path)
{
	kc_autopatchset struct kc_patchset *patchset = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read(path, KC_PATCHSET_LIST_SIZE_MAX, &text);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	KC_TRY(kc_patchset_decode(path, text.data, text.size, check->authors, &patchset));
	for (size_t i = 0; i < patchset->n_files; i++) {
		char **slot = kc_array_add(&check->known, &check->n_known);

		if (!slot || !(*slot = strdup(patchset->files[i].hash)))
			return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *load_known(const char *dir, struct check *check)
{
	kc_autofree char *folder = kc_path_join(dir, "private/patchsets");
	kc_autoclosedir DIR *patchsets = folder ? opendir(folder) : NULL;
	struct dirent *entry;
	char **last;

	while (check->authors && patchsets && (entry = readdir(patchsets))) {
		const char *suffix = strrchr(entry->d_name, '.');
		kc_autofree char *path = kc_path_join(folder, entry->d_name);
		struct kc_error *err;

		if (!path)
			return kc_error_no_memory();
		err = suffix && !strcmp(suffix, ".json") ? add_known(check, path) : NULL;
		if (err)
			report(check, err);
	}
	last = kc_array_add(&check->known, &check->n_known);
	if (!last)
		return kc_error_no_memory();
	check->n_known--;
	check->options.known = check->known;
	return NULL;
}

static struct kc_error *verify(struct kc_ctx *ctx, const char *dir, struct check *check)
{
	kc_autofree char *public_dir = public_folder(dir);
	struct kc_verified verified;

	if (!public_dir)
		return kc_error_no_memory();
	check->options.now = (int64_t)time(NULL);
	check->options.problem = report;
	check->options.data = check;
	KC_TRY(kc_public_verify(ctx, public_dir, &check->options, &verified));
	kc_terminal_clear(check->terminal);
	printf("%zu feed%s, %zu targets, %zu patch files: %s", verified.n_feeds, verified.n_feeds == 1 ? "" : "s",
	       verified.n_targets, verified.n_blobs, check->n_problems ? "not good" : "all good");
	if (verified.n_strays)
		printf("; %zu files that nothing refers to", verified.n_strays);
	printf("\n");
	if (check->n_problems)
		return kc_error_new(check->first, "%s is not as hosts need it; problems: %zu", dir, check->n_problems);
	return NULL;
}

struct kc_error *kc_repo_verify_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'r' },
		{ "key", required_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	CLEANUP_CHECK struct check check = { .terminal = terminal };
	const char *key = NULL;
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'r')
			check.options.root = optarg;
		else if (option == 'k')
			key = optarg;
		else
			return kc_command_bad_option(option, argv);
	}
	KC_TRY(kc_command_need_arguments(argc, 1, "DIR"));
	KC_TRY(load_authors(ctx, argv[optind], key, &check));
	KC_TRY(load_known(argv[optind], &check));
	return verify(ctx, argv[optind], &check);
}
