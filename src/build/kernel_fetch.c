/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel of the Debian archive: image, headers, and the exact source. The source is the package linux-source-6.1 of
 * the same version; where the archive does not have that (any more), and for the rt flavour, which has patches of its
 * own, it is the source package.
 */
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "build/archive.h"
#include "build/cache.h"
#include "build/kernel_tree.h"
#include "build/tool.h"

enum { KERNEL_MIB = 1500, SOURCE_MIB = 2500, SERIES_LIMIT = 1 << 20 };

struct fetcher {
	struct kc_ctx *ctx;
	struct kc_archive *archive;
	struct kc_kernel_tree *tree;
	struct kc_package headers;
	bool is_rt;
};

/* What there is instead: the other releases of the same series. */
static struct kc_error *release_gone(struct kc_archive *archive, const char *release)
{
	kc_autoarchivenames char **names = NULL;
	kc_autobuf struct kc_buf list = { 0 };
	kc_autofree char *pattern = NULL;
	const char *flavour = strchr(release, '-');

	/* "6.1.0-47-amd64": 6.1.0-*-amd64; "6.12.117+deb12-amd64": 6.12*-amd64 */
	flavour = flavour && flavour[1] >= '0' && flavour[1] <= '9' ? strchr(flavour + 1, '-') : flavour;
	if (asprintf(&pattern, "linux-image-%.*s*%s", (int)strcspn(release, "-+"), release, flavour ? flavour : "") < 0)
		return kc_error_no_memory();
	KC_TRY(kc_archive_match(archive, pattern, &names));
	for (char **name = names; *name; name++)
		kc_buf_printf(&list, "%s%s", list.size ? ", " : "", *name + strlen("linux-image-"));
	if (list.size)
		return kc_error_new(KC_ERR_PACKAGE_GONE, "the archive has no kernel %s (any more); it has %s", release,
				    list.data);
	return kc_error_new(KC_ERR_PACKAGE_GONE, "the archive has no kernel %s", release);
}

/* Looks into the archive, then into a fresh copy of its lists, then into the backports. */
static struct kc_error *find_image(struct fetcher *f)
{
	KC_CLEANUP(kc_package_clear) struct kc_package found = { 0 };
	struct kc_error *err;

	if (asprintf(&f->tree->package, "linux-image-%s", f->tree->release) < 0) {
		f->tree->package = NULL;
		return kc_error_no_memory();
	}
	for (int attempt = 0;; attempt++) {
		err = kc_archive_show(f->archive, f->tree->package, NULL, &found);
		if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND || attempt == 2)
			break;
		kc_error_free(err);
		KC_TRY(attempt ? kc_archive_add_backports(f->ctx, f->archive) : kc_archive_refresh(f->ctx, f->archive));
	}
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return release_gone(f->archive, f->tree->release);
	}
	if (!err)
		f->tree->version = kc_steal(found.version);
	return err;
}

static struct kc_error *fetch_headers(struct fetcher *f)
{
	kc_autofree char *package = NULL, *dir = kc_path_join(f->tree->tree->cache_dir, "headers");
	struct kc_error *err;

	if (!dir || asprintf(&package, "linux-headers-%s", f->tree->release) < 0)
		return kc_error_no_memory();
	err = kc_archive_show(f->archive, package, f->tree->version, &f->headers);
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return kc_error_new(KC_ERR_PACKAGE_GONE, "the archive does not have %s %s (any more)", package,
				    f->tree->version);
	}
	if (err)
		return err;
	f->is_rt = f->headers.depends && strstr(f->headers.depends, "-common-rt");
	KC_TRY(kc_archive_fetch_binary(f->ctx, f->archive, package, f->tree->version, dir));
	if (asprintf(&f->tree->headers_dir, "%s/usr/src/%s", dir, package) < 0) {
		f->tree->headers_dir = NULL;
		return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *fetch_image(struct fetcher *f)
{
	kc_autofree char *dir = kc_path_join(f->tree->tree->cache_dir, "image"), *path = NULL;
	struct kc_kernel_tree *tree = f->tree;
	int err;

	if (!dir)
		return kc_error_no_memory();
	KC_TRY(kc_archive_fetch_binary(f->ctx, f->archive, tree->package, tree->version, dir));
	if (asprintf(&path, "%s/boot/vmlinuz-%s", dir, tree->release) < 0) {
		path = NULL;
		return kc_error_no_memory();
	}
	if (asprintf(&tree->modules_dir, "%s/lib/modules/%s", dir, tree->release) < 0) {
		tree->modules_dir = NULL;
		return kc_error_no_memory();
	}
	if (access(tree->modules_dir, F_OK)) { /* since Debian 13 */
		free(tree->modules_dir);
		if (asprintf(&tree->modules_dir, "%s/usr/lib/modules/%s", dir, tree->release) < 0) {
			tree->modules_dir = NULL;
			return kc_error_no_memory();
		}
	}
	KC_TRY(kc_kernel_image_open(f->ctx, path, &tree->image));
	if (strcmp(tree->image->release, tree->release))
		return kc_error_new(KC_ERR_INPUT, "%s holds the kernel %s", tree->package, tree->image->release);
	/* Unpacking it costs a second: once is enough. */
	err = kc_file_write_atomic(tree->image_path, tree->image->data.data, tree->image->data.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", tree->image_path) : NULL;
}

/* ---- the source ---- */

/* "linux-source-6.1" for 6.1.0-47-amd64, "linux-source-6.12" for 6.12.117+deb12-amd64. */
static char *source_package(const char *release)
{
	const char *dot = strchr(release, '.');
	char *name;

	if (!dot ||
	    asprintf(&name, "linux-source-%.*s", (int)(dot + 1 + strspn(dot + 1, "0123456789") - release), release) < 0)
		return NULL;
	return name;
}

static struct kc_error *find_one(const char *dir, const char *pattern, char **path)
{
	kc_autofree char *whole = kc_path_join(dir, pattern);
	glob_t found;

	if (!whole)
		return kc_error_no_memory();
	if (glob(whole, 0, NULL, &found))
		return kc_error_new(KC_ERR_SOURCE_MISSING, "there is no %s in the package of the source", pattern);
	*path = strdup(found.gl_pathv[0]);
	globfree(&found);
	return *path ? NULL : kc_error_no_memory();
}

static struct kc_error *unpack_source_package(struct fetcher *f, const char *package, const char *dir)
{
	kc_autofree char *deb_dir = NULL, *tarball = NULL, *what = NULL;
	struct kc_error *err;

	if (asprintf(&deb_dir, "%s.deb", dir) < 0 || asprintf(&what, "unpacking %s", package) < 0)
		return kc_error_no_memory();
	err = kc_archive_fetch_binary(f->ctx, f->archive, package, f->tree->version, deb_dir);
	if (!err)
		err = find_one(deb_dir, "usr/src/linux-source-*.tar.*", &tarball);
	if (!err)
		err = kc_cache_make_dir(dir);
	if (!err) {
		const char *const argv[] = { "tar", "-C", dir, "--strip-components=1", "-xf", tarball, NULL };

		kc_progress(f->ctx, what, 0, 0);
		err = kc_tool_run(KC_ERR_SYSTEM, package, argv, NULL, NULL, NULL);
		kc_progress(f->ctx, what, 1, 1);
	}
	kc_tree_remove(deb_dir);
	return err;
}

/* The rt flavour is made from the same source and the patches of debian/patches-rt/series. */
static struct kc_error *apply_rt(const char *dir)
{
	kc_autofree char *series = kc_path_join(dir, "debian/patches-rt/series");
	kc_autobuf struct kc_buf text = { 0 };
	char *rest = NULL;
	int err = series ? kc_file_read(series, SERIES_LIMIT, &text) : -ENOMEM;

	if (err)
		return kc_error_errno(KC_ERR_SOURCE_MISSING, -err, "the patches of the rt flavour: %s/%s", dir,
				      "debian/patches-rt/series");
	for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		kc_autofree char *path = NULL;

		line[strcspn(line, " \t#")] = '\0';
		if (!*line)
			continue;
		if (asprintf(&path, "debian/patches-rt/%s", line) < 0) {
			path = NULL;
			return kc_error_no_memory();
		}
		const char *const argv[] = { "patch", "-p1", "-s", "-i", path, NULL };
		KC_TRY(kc_tool_run(KC_ERR_SOURCE_MISSING, line, argv, dir, NULL, NULL));
	}
	return NULL;
}

static struct kc_error *unpack_source(struct fetcher *f, const char *dir)
{
	struct kc_package_source source = { .name = f->headers.source, .version = f->tree->version };
	kc_autofree char *package = source_package(f->tree->release);
	KC_CLEANUP(kc_package_clear) struct kc_package found = { 0 };
	kc_autoerror struct kc_error *err = NULL;

	if (!package)
		return kc_error_no_memory();
	err = f->is_rt ? kc_error_not_found() : kc_archive_show(f->archive, package, f->tree->version, &found);
	if (!err)
		return unpack_source_package(f, package, dir);
	if (kc_error_code(err) != KC_ERR_NOT_FOUND)
		return kc_steal(err);
	KC_TRY(kc_archive_fetch_source(f->ctx, f->archive, &source, dir));
	return f->is_rt ? apply_rt(dir) : NULL;
}

/* CACHE/kernel/source-VERSION: complete as soon as it has that name. */
static struct kc_error *fetch_source(struct fetcher *f, const char *cache_dir)
{
	kc_autofree char *part = NULL, *dir = NULL;
	kc_autoclose int lock = -1;

	if (asprintf(&dir, "%s/kernel/source-%s%s", cache_dir, f->tree->version, f->is_rt ? "-rt" : "") < 0)
		return kc_error_no_memory();
	for (char *p = dir + strlen(cache_dir); *p; p++)
		if (*p == ':') /* makefiles take it for a rule */
			*p = '@';
	if (asprintf(&part, "%s.part", dir) < 0)
		return kc_error_no_memory();
	KC_TRY(kc_cache_lock(f->ctx, dir, "the same source", &lock));
	if (access(dir, F_OK)) {
		KC_TRY(kc_cache_check_space(cache_dir, SOURCE_MIB, "a kernel's source"));
		kc_tree_remove(part);
		KC_TRY(unpack_source(f, part));
		if (rename(part, dir) < 0)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot rename %s", part);
	}
	f->tree->tree->source_dir = kc_steal(dir);
	return NULL;
}

struct kc_error *kc_kernel_fetch(struct kc_ctx *ctx, const char *cache_dir, struct kc_kernel_tree *tree)
{
	kc_autoarchive struct kc_archive *archive = NULL;
	struct fetcher f = { .ctx = ctx, .tree = tree };
	struct kc_error *err;

	KC_TRY(kc_cache_check_space(cache_dir, KERNEL_MIB, "a kernel and its objects"));
	KC_TRY(kc_archive_open(ctx, cache_dir, &archive));
	f.archive = archive;
	err = find_image(&f);
	if (!err)
		err = fetch_headers(&f);
	if (!err)
		err = fetch_image(&f);
	if (!err)
		err = fetch_source(&f, cache_dir);
	kc_package_clear(&f.headers);
	return err;
}

/* Packages that only name others (linux-image-amd64), debug symbols, and unsigned doubles are no kernels. */
static bool is_kernel(const char *name)
{
	return fnmatch("linux-image-[0-9]*.[0-9]*.[0-9]*-*", name, 0) == 0 && fnmatch("*-dbg", name, 0) &&
	       fnmatch("*-unsigned", name, 0) && fnmatch("*-template", name, 0);
}

struct kc_error *kc_build_kernel_find(struct kc_ctx *ctx, const char *pattern, const char *cache_dir, char ***releases)
{
	kc_autoarchive struct kc_archive *archive = NULL;
	kc_autoarchivenames char **names = NULL;
	kc_autofree char *dir = NULL;
	size_t kept = 0;

	KC_TRY(kc_cache_open(cache_dir, &dir));
	KC_TRY(kc_archive_open(ctx, dir, &archive));
	KC_TRY(kc_archive_match(archive, pattern, &names));
	if (!*names) {
		KC_TRY(kc_archive_add_backports(ctx, archive));
		kc_archive_names_free(kc_steal(names));
		KC_TRY(kc_archive_match(archive, pattern, &names));
	}
	for (size_t i = 0; names[i]; i++) {
		char *name = names[i];

		names[i] = NULL;
		if (is_kernel(name)) {
			memmove(name, name + strlen("linux-image-"), strlen(name) + 1 - strlen("linux-image-"));
			names[kept++] = name;
		} else {
			free(name);
		}
	}
	if (!kept)
		return kc_error_new(KC_ERR_PACKAGE_GONE, "the archive has no kernel whose package is called \"%s\"",
				    pattern);
	*releases = kc_steal(names);
	return NULL;
}
