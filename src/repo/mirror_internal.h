/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files mirror*.c share; private to them. */
#ifndef KC_REPO_MIRROR_INTERNAL_H
#define KC_REPO_MIRROR_INTERNAL_H

#include "repo/mirror.h"
#include "repo/public_files.h"
#include "repo/root.h"

struct kc_mirror_names {
	char **names;
	size_t n_names;
};
void kc_mirror_names_clear(struct kc_mirror_names *names);

struct kc_mirror_feed {
	char *name;
	struct kc_repo_client *client;
	struct kc_mirror_names paths; /* of all targets */
};

struct kc_mirror_patchset {
	char *name;
	char (*hashes)[KC_SHA256_TEXT_SIZE]; /* of the patch files that feeds show */
	size_t n_hashes;
	bool is_new; /* one of them was not here before */
};

struct kc_mirror {
	struct kc_ctx *ctx;
	const char *dir;
	const struct kc_mirror_source *source;
	int64_t now;
	struct kc_mirrored *mirrored;
	struct kc_buf anchor;
	uint64_t anchor_version;
	struct kc_mirror_feed *feeds;
	size_t n_feeds;
	struct kc_mirror_patchset *patchsets; /* that the feeds show */
	size_t n_patchsets;
};

/* "DIR/…" (caller frees; NULL when out of memory). */
char *kc_mirror_path(const struct kc_mirror *mirror, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A file below DIR as a whole; makes its folder. */
struct kc_error *kc_mirror_write(const struct kc_mirror *mirror, const char *name, const void *data, size_t size);

/* The feed's metadata and lists, verified, into private/state. */
struct kc_error *kc_mirror_feed_fetch(struct kc_mirror *mirror, const char *name, struct kc_mirror_feed *feed);
/* The patch files that its lists name and that the mirror does not have, into public/blobs. */
struct kc_error *kc_mirror_blobs_fetch(struct kc_mirror *mirror, struct kc_mirror_feed *feed);
/* An entry of a list was seen; the patch file was fetched now, or not. */
struct kc_error *kc_mirror_patchset_note(struct kc_mirror *mirror, const struct kc_target_entry *entry, bool is_new);
/* The authors' lists of all patchsets that were noted, into public/patchsets. */
struct kc_error *kc_mirror_patchsets_fetch(struct kc_mirror *mirror);
void kc_mirror_patchsets_clear(struct kc_mirror *mirror);
/* Lists, the files made from them, and all metadata that nobody is led to yet. */
struct kc_error *kc_mirror_feed_prepare(struct kc_mirror *mirror, struct kc_mirror_feed *feed,
					struct kc_public_files *files);
/* Roots and timestamp.json, which lead to what is on disk by then. */
struct kc_error *kc_mirror_feed_show(struct kc_mirror *mirror, const struct kc_mirror_feed *feed);
void kc_mirror_feed_clear(struct kc_mirror_feed *feed);

#define KC_CLEANUP_MIRROR_NAMES KC_CLEANUP(kc_mirror_names_clear)

#endif
