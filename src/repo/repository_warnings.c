/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an operator is told after each command. Private keys that belong elsewhere are looked for where they usually
 * lie.
 */
#include "repo/repository_internal.h"

#include <dirent.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "repo/root.h"

enum { PUBLIC_KEY_FILE_MAX = 65536 };

struct warnings {
	const struct kc_repository *repository;
	char **texts;
	size_t n;
	bool failed;
};

/* Takes `text`. */
static void add(struct warnings *warnings, char *text)
{
	char **slot = text ? kc_array_add(&warnings->texts, &warnings->n) : NULL;

	if (slot)
		*slot = text;
	else
		free(text);
	warnings->failed = warnings->failed || !slot;
}

/* "/k/author.key" with "/k/author.pub" beside it: that one's id. */
static bool public_part_id(const char *path, char keyid[KC_KEYID_SIZE])
{
	kc_autofree char *public = strdup(path);
	kc_autoerror struct kc_error *err = NULL;
	kc_autobuf struct kc_buf pem = { 0 };

	if (!public)
		return false;
	strcpy(public + strlen(public) - strlen("key"), "pub");
	if (kc_file_read_now(public, PUBLIC_KEY_FILE_MAX, &pem))
		return false;
	err = kc_public_key_id(public, &pem, keyid);
	return !err;
}

static bool is_author(const struct kc_repository *repository, const char *keyid)
{
	kc_autofree char *path = kc_repository_path(repository, "private/authors/%s.pub", keyid);

	return path && access(path, F_OK) == 0;
}

/* What can be signed with a private key, or NULL. */
static const char *meaning(const struct kc_repository *repository, const char *path)
{
	char keyid[KC_KEYID_SIZE];

	if (!strcmp(kc_path_name(path), "root.key"))
		return "the root key: whoever breaks in here can hand out new keys for this repository";
	if (!public_part_id(path, keyid))
		return NULL;
	if (kc_repo_role_has_key(&repository->root.roles[KC_ROLE_ROOT], keyid))
		return "a root key: whoever breaks in here can hand out new keys for this repository";
	if (is_author(repository, keyid))
		return "an author's private key: whoever breaks in here can sign patches with it";
	return NULL;
}

static void look_at(struct warnings *warnings, const char *folder, const char *name)
{
	kc_autofree char *path = kc_path_join(folder, name);
	const char *suffix = strrchr(name, '.'), *what = NULL;
	char *text;

	if (path && suffix && !strcmp(suffix, ".key"))
		what = meaning(warnings->repository, path);
	if (what)
		add(warnings,
		    asprintf(&text, "%s is %s; move it to a machine without a network", path, what) < 0 ? NULL : text);
	warnings->failed = warnings->failed || !path;
}

static void look_into(struct warnings *warnings, const char *folder)
{
	kc_autoclosedir DIR *dir = folder ? opendir(folder) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		look_at(warnings, folder, entry->d_name);
}

char **kc_repository_warnings(const struct kc_repository *repository)
{
	static const char *const folders[] = { "", "/private", "/private/keys", "/private/authors", "/public" };
	struct warnings warnings = { .repository = repository };
	char *root_warning = kc_root_warning(&repository->root, repository->now);

	if (root_warning)
		add(&warnings, root_warning);
	look_into(&warnings, repository->keys_dir);
	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++) {
		kc_autofree char *path = NULL;

		if (asprintf(&path, "%s%s", repository->dir, folders[i]) >= 0)
			look_into(&warnings, path);
		else
			path = NULL;
	}
	if (!warnings.failed && kc_array_add(&warnings.texts, &warnings.n)) /* the NULL at the end */
		return warnings.texts;
	for (size_t i = 0; i < warnings.n; i++)
		free(warnings.texts[i]);
	free(warnings.texts);
	return NULL;
}
