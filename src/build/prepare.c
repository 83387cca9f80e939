/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/prepare.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "build/archive.h"
#include "build/cache.h"
#include "build/recipe.h"
#include "build/tool.h"

enum { MARKER_LIMIT = 4096, NEEDED_MIB = 256 };

/* These become arguments of apt and parts of paths. */
static struct kc_error *check_names(const char *package, const char *version)
{
	if (!isalnum((unsigned char)*package) ||
	    strspn(package, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != strlen(package))
		return kc_error_new(KC_ERR_USAGE, "\"%s\" is no name of a Debian package", package);
	if (!version || !isdigit((unsigned char)*version) ||
	    !kc_cache_path_is_plain(version + strspn(version, "0123456789:")) || strchr(version, '/'))
		return kc_error_new(KC_ERR_USAGE, "\"%s\" is no version of a Debian package", version ? version : "");
	return NULL;
}

/* Epochs have a colon ("1:2.3"), which makefiles take for a rule. */
static char *tree_path(const char *cache_dir, const char *package, const char *version)
{
	char *path;

	if (asprintf(&path, "%s/user/%s_%s", cache_dir, package, version) < 0)
		return NULL;
	for (char *p = path + strlen(cache_dir); *p; p++)
		if (*p == ':')
			*p = '@';
	return path;
}

static struct kc_error *env_add(struct kc_tree *tree, size_t *n, char *text)
{
	char **slot = kc_array_add(&tree->env, n);

	if (slot)
		*slot = text;
	else
		free(text);
	return slot ? NULL : kc_error_no_memory();
}

/* What dpkg-buildpackage would set: code may contain the date of the last change. */
static struct kc_error *set_env(struct kc_tree *tree, const char *source_date, unsigned parallel)
{
	char *date = NULL, *options = NULL, *locale = strdup("LC_ALL=C.UTF-8");
	size_t n = 0;

	if (asprintf(&date, "SOURCE_DATE_EPOCH=%s", source_date) < 0)
		date = NULL;
	if (asprintf(&options, "DEB_BUILD_OPTIONS=parallel=%u", parallel ? parallel : 1) < 0)
		options = NULL;
	if (!date || !options || !locale) {
		free(date);
		free(options);
		free(locale);
		return kc_error_no_memory();
	}
	KC_TRY(env_add(tree, &n, date));
	KC_TRY(env_add(tree, &n, options));
	KC_TRY(env_add(tree, &n, locale));
	return env_add(tree, &n, NULL);
}

static struct kc_error *read_source_date(const struct kc_tree *tree, char **date)
{
	const char *const argv[] = { "dpkg-parsechangelog", "-S", "Timestamp", NULL };
	kc_autobuf struct kc_buf output = { 0 };

	KC_TRY(kc_tool_run(KC_ERR_SYSTEM, "debian/changelog", argv, tree->source_dir, NULL, &output));
	*date = strndup(output.data ? output.data : "", output.data ? strcspn(output.data, "\n") : 0);
	return *date ? NULL : kc_error_no_memory();
}

/* The marker holds "SOURCE DATE". false when the folder is not, or only half, prepared. */
static bool read_marker(const char *path, char **source, char **date)
{
	kc_autobuf struct kc_buf text = { 0 };
	char *space;

	if (kc_file_read(path, MARKER_LIMIT, &text) || !text.data)
		return false;
	space = strchr(text.data, ' ');
	if (!space)
		return false;
	*source = strndup(text.data, (size_t)(space - text.data));
	*date = strndup(space + 1, strcspn(space + 1, "\n"));
	return *source && *date;
}

static struct kc_error *write_marker(const char *path, const char *source, const char *date)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	kc_buf_printf(&text, "%s %s\n", source, date);
	if (text.failed)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, text.data, text.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

static struct kc_error *fetch(struct kc_ctx *ctx, const char *cache_dir, const struct kc_tree *tree,
			      struct kc_package_source *source)
{
	kc_autofree char *binary = kc_path_join(tree->cache_dir, "binary");
	kc_autoarchive struct kc_archive *archive = NULL;

	if (!binary)
		return kc_error_no_memory();
	KC_TRY(kc_archive_open(ctx, cache_dir, &archive));
	KC_TRY(kc_archive_resolve(ctx, archive, tree->package, tree->version, source));
	KC_TRY(kc_cache_make_dir(tree->cache_dir));
	KC_TRY(kc_archive_fetch_binary(ctx, archive, tree->package, tree->version, binary));
	return kc_archive_fetch_source(ctx, archive, source, tree->source_dir);
}

/*
 * Much of what a package build-depends on is for manuals and tests, so it is tried without; the proof would tell if the
 * configuration came out differently.
 */
static struct kc_error *configure(struct kc_ctx *ctx, struct kc_tree *tree, unsigned parallel)
{
	kc_autobuf struct kc_buf missing = { 0 };
	struct kc_error *err, *explained;

	KC_TRY(kc_recipe_find_missing(tree->recipe, tree->source_dir, &missing));
	err = kc_recipe_configure(ctx, tree, parallel);
	if (!missing.size || (err && kc_error_code(err) != KC_ERR_SYSTEM))
		return err;
	if (!err) {
		kc_warning(ctx, "configured without%s; should an object not match, run apt-get install%s and remove %s",
			   missing.data, missing.data, tree->cache_dir);
		return NULL;
	}
	explained = kc_error_new(KC_ERR_BUILD_DEPENDS, "not installed:%s; run: apt-get install%s (without them: %s)",
				 missing.data, missing.data, kc_error_message(err));
	kc_error_free(err);
	return explained;
}

static struct kc_error *prepare(struct kc_ctx *ctx, const char *cache_dir, struct kc_tree *tree,
				const char *commands_path, const char *marker_path, unsigned parallel)
{
	KC_CLEANUP(kc_package_source_clear) struct kc_package_source source = { 0 };
	kc_autofree char *date = NULL;
	int err = kc_tree_remove(tree->cache_dir);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot remove %s", tree->cache_dir);
	KC_TRY(fetch(ctx, cache_dir, tree, &source));
	tree->recipe = kc_recipe_find(source.name);
	KC_TRY(read_source_date(tree, &date));
	KC_TRY(set_env(tree, date, parallel));
	KC_TRY(configure(ctx, tree, parallel));
	KC_TRY(kc_commands_save(tree->commands, commands_path));
	return write_marker(marker_path, source.name, date);
}

static bool is_linked_elf(const char *path)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	Elf64_Ehdr header;

	return fd >= 0 && pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
	       !memcmp(header.e_ident, ELFMAG, SELFMAG) && header.e_ident[EI_CLASS] == ELFCLASS64 &&
	       (header.e_type == ET_DYN || header.e_type == ET_EXEC);
}

/* Depth first; links are skipped, so that each file comes once. */
static struct kc_error *find_elf_files(const char *dir, char ***paths, size_t *n)
{
	kc_autoclosedir DIR *handle = opendir(dir);
	struct dirent *entry;

	while (handle && (entry = readdir(handle))) {
		kc_autofree char *path = kc_path_join(dir, entry->d_name);
		struct stat st;

		if (!path)
			return kc_error_no_memory();
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || lstat(path, &st))
			continue;
		if (S_ISDIR(st.st_mode)) {
			KC_TRY(find_elf_files(path, paths, n));
		} else if (S_ISREG(st.st_mode) && is_linked_elf(path)) {
			char **slot = kc_array_add(paths, n);

			if (!slot)
				return kc_error_no_memory();
			*slot = kc_steal(path);
		}
	}
	return NULL;
}

static struct kc_error *list_elf_files(struct kc_tree *tree)
{
	kc_autofree char *binary = kc_path_join(tree->cache_dir, "binary");
	size_t n = 0;
	struct kc_error *err = binary ? find_elf_files(binary, &tree->elf_paths, &n) : kc_error_no_memory();

	if (!kc_array_add(&tree->elf_paths, &n))
		return err ? err : kc_error_no_memory();
	if (!err && n == 1)
		return kc_error_new(KC_ERR_INPUT, "%s %s contains no programs or libraries", tree->package,
				    tree->version);
	return err;
}

static struct kc_error *fill_paths(const struct kc_build_user_request *request, const char *cache_dir,
				   struct kc_tree *tree)
{
	kc_autofree char *user_dir = kc_path_join(cache_dir, "user");

	tree->package = strdup(request->package);
	tree->version = strdup(request->version);
	tree->cache_dir = tree_path(cache_dir, request->package, request->version);
	tree->source_dir = tree->cache_dir ? kc_path_join(tree->cache_dir, "source") : NULL;
	tree->scratch_dir = kc_path_join(cache_dir, "tmp");
	if (!user_dir || !tree->package || !tree->version || !tree->source_dir || !tree->scratch_dir)
		return kc_error_no_memory();
	KC_TRY(kc_cache_make_dir(user_dir));
	return kc_cache_make_dir(tree->scratch_dir);
}

struct kc_error *kc_prepare(struct kc_ctx *ctx, const struct kc_build_user_request *request, struct kc_tree *tree)
{
	kc_autofree char *cache_dir = NULL, *commands_path = NULL, *marker_path = NULL, *source = NULL, *date = NULL;
	kc_autofree char *what = NULL;

	KC_TRY(check_names(request->package, request->version));
	KC_TRY(kc_cache_open(request->cache_dir, &cache_dir));
	KC_TRY(fill_paths(request, cache_dir, tree));
	commands_path = kc_path_join(tree->cache_dir, "compile_commands.json");
	marker_path = kc_path_join(tree->cache_dir, "prepared");
	if (!commands_path || !marker_path)
		return kc_error_no_memory();
	if (asprintf(&what, "%s %s", tree->package, tree->version) < 0) {
		what = NULL;
		return kc_error_no_memory();
	}
	KC_TRY(kc_cache_lock(ctx, tree->cache_dir, what, &tree->lock_fd));
	if (read_marker(marker_path, &source, &date)) {
		tree->recipe = kc_recipe_find(source);
		KC_TRY(set_env(tree, date, request->jobs));
		KC_TRY(kc_commands_load(ctx, commands_path, &tree->commands));
	} else {
		KC_TRY(kc_cache_check_space(cache_dir, NEEDED_MIB, "a package and its source"));
		KC_TRY(prepare(ctx, cache_dir, tree, commands_path, marker_path, request->jobs));
	}
	return list_elf_files(tree);
}

struct kc_error *kc_build_user_prepare(struct kc_ctx *ctx, const struct kc_build_user_request *request, char **path)
{
	kc_autotree struct kc_tree *tree = NULL;

	if (!request->package)
		return kc_error_new(KC_ERR_USAGE, "only packages are prepared");
	KC_TRY(kc_tree_open(ctx, request, &tree));
	*path = kc_steal(tree->cache_dir);
	return NULL;
}
