/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "build/apt_sources.h"
#include "build/tool.h"

enum { LISTS_MAX_AGE = 24 * 60 * 60 };

struct kc_archive {
	char *dir;	/* CACHE/apt */
	char *config;	/* "APT_CONFIG=…", for the environment */
	bool refreshed; /* in this run */
	int lock_fd;	/* one apt at a time */
};

void kc_archive_free(struct kc_archive *archive)
{
	if (!archive)
		return;
	kc_cleanup_fd(&archive->lock_fd);
	free(archive->dir);
	free(archive->config);
	free(archive);
}

static struct kc_error *run(struct kc_archive *archive, enum kc_error_code code, const char *what,
			    const char *const *argv, const char *dir, struct kc_buf *output)
{
	const char *env[] = { archive->config, NULL };

	return kc_tool_run(code, what, argv, dir, env, output);
}

/* As root, apt would switch to a user that may not enter our folders. */
static struct kc_error *write_config(struct kc_archive *archive)
{
	kc_autofree char *path = kc_path_join(archive->dir, "apt.conf");
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	kc_buf_printf(&text,
		      "Dir::Etc::sourcelist \"/dev/null\";\n"
		      "Dir::Etc::sourceparts \"%s/sources.list.d\";\n"
		      "Dir::State \"%s/state\";\n"
		      "Dir::State::status \"/var/lib/dpkg/status\";\n"
		      "Dir::Cache \"%s/cache\";\n"
		      "APT::Architecture \"amd64\";\n"
		      "APT::Architectures { \"amd64\"; };\n"
		      "APT::Sandbox::User \"root\";\n"
		      "Acquire::Languages \"none\";\n"
		      "Acquire::Retries \"3\";\n",
		      archive->dir, archive->dir, archive->dir);
	if (!path || text.failed)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, text.data, text.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

static struct kc_error *make_dirs(struct kc_archive *archive)
{
	static const char *const names[] = { "sources.list.d", "state/lists/partial", "cache/archives/partial" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		kc_autofree char *dir = kc_path_join(archive->dir, names[i]);
		int err = dir ? kc_dir_make(dir, 0755) : -ENOMEM;

		if (err)
			return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make %s/%s", archive->dir, names[i]);
	}
	return NULL;
}

static bool lists_are_fresh(const struct kc_archive *archive)
{
	kc_autofree char *stamp = kc_path_join(archive->dir, "updated");
	struct stat st;

	return stamp && !stat(stamp, &st) && time(NULL) - st.st_mtime < LISTS_MAX_AGE;
}

static struct kc_error *refresh(struct kc_ctx *ctx, struct kc_archive *archive)
{
	/* Any-error: a list that could not be fetched must not look like a package that is gone. */
	const char *const argv[] = { "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update", NULL };
	kc_autofree char *stamp = kc_path_join(archive->dir, "updated");
	kc_autofree char *sources = kc_path_join(archive->dir, "sources.list.d");
	int err;

	if (!stamp || !sources)
		return kc_error_no_memory();
	kc_progress(ctx, "fetching the archive's lists of packages", 0, 0);
	KC_TRY(kc_apt_sources_write(sources));
	KC_TRY(run(archive, KC_ERR_SYSTEM, "cannot fetch the lists of packages", argv, NULL, NULL));
	kc_progress(ctx, "fetching the archive's lists of packages", 1, 1);
	archive->refreshed = true;
	err = kc_file_write_atomic(stamp, "", 0, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", stamp) : NULL;
}

struct kc_error *kc_archive_open(struct kc_ctx *ctx, const char *cache_dir, struct kc_archive **archive)
{
	kc_autoarchive struct kc_archive *new = calloc(1, sizeof(*new));
	kc_autofree char *lock = NULL;

	if (!new)
		return kc_error_no_memory();
	new->lock_fd = -1;
	new->dir = kc_path_join(cache_dir, "apt");
	if (!new->dir || asprintf(&new->config, "APT_CONFIG=%s/apt.conf", new->dir) < 0)
		return kc_error_no_memory();
	KC_TRY(make_dirs(new));
	lock = kc_path_join(new->dir, "lock");
	if (!lock)
		return kc_error_no_memory();
	new->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (new->lock_fd < 0 || flock(new->lock_fd, LOCK_EX) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot lock %s", lock);
	KC_TRY(write_config(new));
	if (!lists_are_fresh(new))
		KC_TRY(refresh(ctx, new));
	*archive = kc_steal(new);
	return NULL;
}

void kc_package_source_clear(struct kc_package_source *source)
{
	free(source->name);
	free(source->version);
	*source = (struct kc_package_source){ 0 };
}

/* The value of `field` in the stanza that `text` begins with. */
static char *control_value(const char *text, const char *field)
{
	size_t n = strlen(field);

	for (const char *p = text; p && *p && *p != '\n'; p = strchr(p, '\n'), p += p ? 1 : 0)
		if (!strncmp(p, field, n) && p[n] == ':')
			return strndup(p + n + 1 + strspn(p + n + 1, " "),
				       strcspn(p + n + 1 + strspn(p + n + 1, " "), "\n"));
	return NULL;
}

/* "Source: glibc (2.36-9)", "Source: openssl" or no such field: then the names are the same. */
static struct kc_error *source_of(const char *stanza, const char *package, const char *version,
				  struct kc_package_source *source)
{
	kc_autofree char *value = control_value(stanza, "Source");
	char *paren = value ? strchr(value, '(') : NULL;

	if (paren) {
		char *end = strchr(paren, ')');

		if (end)
			*end = '\0';
		source->version = strdup(paren + 1);
	} else {
		source->version = strdup(version);
	}
	if (value)
		value[strcspn(value, " ")] = '\0';
	source->name = strdup(value ? value : package);
	return source->name && source->version ? NULL : kc_error_no_memory();
}

/* The versions that `apt-cache madison` names, in its order, without repetitions: "1.2, 1.1". */
static char *versions_list(struct kc_archive *archive, const char *package, bool sources)
{
	const char *const argv[] = { "apt-cache", "madison", package, NULL };
	kc_autobuf struct kc_buf output = { 0 }, list = { 0 };
	char *state = NULL;

	kc_error_free(run(archive, KC_ERR_SYSTEM, "", argv, NULL, &output));
	for (char *line = strtok_r(output.data, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		char *version = strchr(line, '|'), *end = version ? strchr(version + 1, '|') : NULL;
		size_t size;

		if (!end || (strstr(end, "Sources") != NULL) != sources)
			continue;
		version += 1 + strspn(version + 1, " ");
		size = strcspn(version, " |");
		if (list.data && memmem(list.data, list.size, version, size))
			continue;
		kc_buf_printf(&list, "%s%.*s", list.size ? ", " : "", (int)size, version);
	}
	return kc_buf_take(&list);
}

static struct kc_error *package_gone(struct kc_archive *archive, const char *package, const char *version)
{
	kc_autofree char *versions = versions_list(archive, package, false);

	if (!versions || !*versions)
		return kc_error_new(KC_ERR_PACKAGE_GONE, "the archive has no package %s", package);
	return kc_error_new(KC_ERR_PACKAGE_GONE, "the archive does not have %s %s (any more); it has %s", package,
			    version, versions);
}

static struct kc_error *source_check(struct kc_archive *archive, const struct kc_package_source *source)
{
	const char *const argv[] = { "apt-cache", "showsrc", "--only-source", source->name, NULL };
	kc_autobuf struct kc_buf output = { 0 };
	kc_autofree char *versions = NULL;

	kc_error_free(run(archive, KC_ERR_SYSTEM, "", argv, NULL, &output));
	for (const char *p = output.data; p && *p;) {
		kc_autofree char *version = control_value(p, "Version");

		if (version && !strcmp(version, source->version))
			return NULL;
		p = strstr(p, "\n\n");
		p += p ? strspn(p, "\n") : 0;
	}
	versions = versions_list(archive, source->name, true);
	return kc_error_new(KC_ERR_SOURCE_MISSING, "the archive has no source of %s %s; it has %s", source->name,
			    source->version, versions && *versions ? versions : "none at all");
}

struct kc_error *kc_archive_resolve(struct kc_ctx *ctx, struct kc_archive *archive, const char *package,
				    const char *version, struct kc_package_source *source)
{
	kc_autofree char *wanted = NULL;
	kc_autobuf struct kc_buf stanza = { 0 };
	struct kc_error *err;

	if (asprintf(&wanted, "%s=%s", package, version) < 0) {
		wanted = NULL;
		return kc_error_no_memory();
	}
	for (;;) {
		const char *const argv[] = { "apt-cache", "show", "--no-all-versions", wanted, NULL };

		kc_buf_reset(&stanza);
		kc_package_source_clear(source);
		err = run(archive, KC_ERR_PACKAGE_GONE, "", argv, NULL, &stanza);
		if (!err && stanza.size)
			err = source_of(stanza.data, package, version, source);
		if (!err && source->name)
			err = source_check(archive, source);
		if (!err && source->name)
			return NULL;
		if (archive->refreshed)
			break;
		/* It may have come since the lists were fetched. */
		kc_error_free(err);
		KC_TRY(refresh(ctx, archive));
	}
	if (err && kc_error_code(err) != KC_ERR_PACKAGE_GONE)
		return err;
	kc_error_free(err);
	return package_gone(archive, package, version);
}

void kc_package_clear(struct kc_package *package)
{
	free(package->version);
	free(package->source);
	free(package->depends);
	*package = (struct kc_package){ 0 };
}

struct kc_error *kc_archive_show(struct kc_archive *archive, const char *package, const char *version,
				 struct kc_package *found)
{
	KC_CLEANUP(kc_package_source_clear) struct kc_package_source source = { 0 };
	kc_autobuf struct kc_buf stanza = { 0 }, wanted = { 0 };
	kc_autoerror struct kc_error *err = NULL;

	kc_buf_printf(&wanted, "%s%s%s", package, version ? "=" : "", version ? version : "");
	if (wanted.failed)
		return kc_error_no_memory();
	const char *const argv[] = { "apt-cache", "show", "--no-all-versions", wanted.data, NULL };
	err = run(archive, KC_ERR_PACKAGE_GONE, "", argv, NULL, &stanza);
	found->version = err || !stanza.size ? NULL : control_value(stanza.data, "Version");
	if (!found->version)
		return kc_error_not_found();
	KC_TRY(source_of(stanza.data, package, found->version, &source));
	found->source = kc_steal(source.name);
	found->depends = control_value(stanza.data, "Depends");
	return NULL;
}

void kc_archive_names_free(char **names)
{
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
}

static int compare_names(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

struct kc_error *kc_archive_match(struct kc_archive *archive, const char *pattern, char ***names)
{
	kc_autofree char *prefix = strndup(pattern, strcspn(pattern, "*?[\\"));
	kc_autoarchivenames char **found = calloc(1, sizeof(*found));
	kc_autobuf struct kc_buf output = { 0 };
	size_t n = 0, n_slots = 1;
	char *rest = NULL;

	if (!prefix || !found)
		return kc_error_no_memory();
	const char *const argv[] = { "apt-cache", "pkgnames", prefix, NULL };
	KC_TRY(run(archive, KC_ERR_SYSTEM, "cannot list packages", argv, NULL, &output));
	for (char *name = strtok_r(output.data, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
		if (fnmatch(pattern, name, 0))
			continue;
		if (!kc_array_add(&found, &n_slots))
			return kc_error_no_memory();
		found[n] = strdup(name);
		if (!found[n++])
			return kc_error_no_memory();
	}
	qsort(found, n, sizeof(*found), compare_names);
	*names = kc_steal(found);
	return NULL;
}

struct kc_error *kc_archive_refresh(struct kc_ctx *ctx, struct kc_archive *archive)
{
	return archive->refreshed ? NULL : refresh(ctx, archive);
}

struct kc_error *kc_archive_add_backports(struct kc_ctx *ctx, struct kc_archive *archive)
{
	kc_autofree char *sources = kc_path_join(archive->dir, "sources.list.d");
	struct kc_error *err;
	bool added = false;

	if (!sources)
		return kc_error_no_memory();
	KC_TRY(kc_apt_backports_write(sources, &added));
	if (!added)
		return NULL;
	err = refresh(ctx, archive);
	if (err) /* a mirror without backports: later runs go on without them */
		kc_apt_backports_remove(sources);
	return err;
}

/* A fresh folder for one download. */
static struct kc_error *download_dir(const struct kc_archive *archive, char **dir)
{
	int err;

	*dir = kc_path_join(archive->dir, "download");
	if (!*dir)
		return kc_error_no_memory();
	err = kc_tree_remove(*dir);
	if (!err)
		err = kc_dir_make(*dir, 0755);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make %s", *dir) : NULL;
}

/* The one file of that pattern in `dir`. */
static struct kc_error *find_one(const char *dir, const char *pattern, char **path)
{
	kc_autofree char *whole = kc_path_join(dir, pattern);
	glob_t found;

	if (!whole)
		return kc_error_no_memory();
	if (glob(whole, 0, NULL, &found))
		return kc_error_new(KC_ERR_SYSTEM, "apt has downloaded no %s into %s", pattern, dir);
	*path = strdup(found.gl_pathv[0]);
	globfree(&found);
	return *path ? NULL : kc_error_no_memory();
}

struct kc_error *kc_archive_fetch_binary(struct kc_ctx *ctx, struct kc_archive *archive, const char *package,
					 const char *version, const char *dir)
{
	kc_autofree char *download = NULL, *deb = NULL, *wanted = NULL, *what = NULL;

	if (asprintf(&wanted, "%s=%s", package, version) < 0 || asprintf(&what, "fetching %s %s", package, version) < 0)
		return kc_error_no_memory();
	kc_progress(ctx, what, 0, 0);
	KC_TRY(download_dir(archive, &download));
	const char *const fetch[] = { "apt-get", "-q", "download", wanted, NULL };
	KC_TRY(run(archive, KC_ERR_SYSTEM, wanted, fetch, download, NULL));
	KC_TRY(find_one(download, "*.deb", &deb));
	const char *const unpack[] = { "dpkg-deb", "-x", deb, dir, NULL };
	KC_TRY(run(archive, KC_ERR_SYSTEM, wanted, unpack, NULL, NULL));
	kc_tree_remove(download);
	kc_progress(ctx, what, 1, 1);
	return NULL;
}

struct kc_error *kc_archive_fetch_source(struct kc_ctx *ctx, struct kc_archive *archive,
					 const struct kc_package_source *source, const char *dir)
{
	kc_autofree char *download = NULL, *dsc = NULL, *wanted = NULL, *what = NULL;

	if (asprintf(&wanted, "%s=%s", source->name, source->version) < 0 ||
	    asprintf(&what, "fetching the source of %s %s", source->name, source->version) < 0)
		return kc_error_no_memory();
	kc_progress(ctx, what, 0, 0);
	KC_TRY(download_dir(archive, &download));
	const char *const fetch[] = { "apt-get", "-q", "source", "--download-only", "--only-source", wanted, NULL };
	KC_TRY(run(archive, KC_ERR_SOURCE_MISSING, wanted, fetch, download, NULL));
	KC_TRY(find_one(download, "*.dsc", &dsc));
	const char *const unpack[] = { "dpkg-source", "--no-copy", "-x", dsc, dir, NULL };
	KC_TRY(run(archive, KC_ERR_SYSTEM, wanted, unpack, download, NULL));
	kc_tree_remove(download);
	kc_progress(ctx, what, 1, 1);
	return NULL;
}
