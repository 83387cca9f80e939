/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Debian archive, through a private configuration of apt in the cache: the host's sources of this release with
 * source packages added, own lists and state. apt verifies signatures and hashes; nothing of the host changes, and no
 * privileges are needed.
 */
#ifndef KC_BUILD_ARCHIVE_H
#define KC_BUILD_ARCHIVE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/ctx.h"

struct kc_archive;

/* `cache_dir` exists. Fetches lists of packages when there are none or they are older than a day. */
struct kc_error *kc_archive_open(struct kc_ctx *ctx, const char *cache_dir, struct kc_archive **archive);
void kc_archive_free(struct kc_archive *archive);

struct kc_package_source {
	char *name, *version; /* of the source package: "glibc", "2.36-9+deb12u7" */
};

/*
 * Which source a binary package was built from. KC_ERR_PACKAGE_GONE lists the versions that can be had;
 * KC_ERR_SOURCE_MISSING when only the binary is there.
 */
struct kc_error *kc_archive_resolve(struct kc_ctx *ctx, struct kc_archive *archive, const char *package,
				    const char *version, struct kc_package_source *source);
void kc_package_source_clear(struct kc_package_source *source);

/* A binary package as the archive has it. */
struct kc_package {
	char *version, *source; /* the source package's name */
	char *depends;		/* as the archive writes it; NULL: nothing */
};

/* `version` NULL: the newest one. KC_ERR_NOT_FOUND when the archive has no such package. */
struct kc_error *kc_archive_show(struct kc_archive *archive, const char *package, const char *version,
				 struct kc_package *found);
void kc_package_clear(struct kc_package *package);
/* The binary packages whose names match a shell pattern, by version order of their names; NULL-terminated. */
struct kc_error *kc_archive_match(struct kc_archive *archive, const char *pattern, char ***names);
void kc_archive_names_free(char **names);
/* From now on the archive has the backports of this release, too. Nothing happens when it has them already. */
struct kc_error *kc_archive_add_backports(struct kc_ctx *ctx, struct kc_archive *archive);
/* Fetches the lists of packages again, unless that was done in this run. */
struct kc_error *kc_archive_refresh(struct kc_ctx *ctx, struct kc_archive *archive);

/* Downloads and unpacks the binary package below `dir`, which is made. */
struct kc_error *kc_archive_fetch_binary(struct kc_ctx *ctx, struct kc_archive *archive, const char *package,
					 const char *version, const char *dir);
/* Downloads and unpacks the source, with Debian's patches, as the folder `dir`, which must not exist. */
struct kc_error *kc_archive_fetch_source(struct kc_ctx *ctx, struct kc_archive *archive,
					 const struct kc_package_source *source, const char *dir);

KC_DEFINE_CLEANUP(kc_cleanup_archive, struct kc_archive *, kc_archive_free)
KC_DEFINE_CLEANUP(kc_cleanup_archive_names, char **, kc_archive_names_free)
#define kc_autoarchivenames KC_CLEANUP(kc_cleanup_archive_names)
#define kc_autoarchive KC_CLEANUP(kc_cleanup_archive)

#endif
