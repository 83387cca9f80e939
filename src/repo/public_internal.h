/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files public_*.c share; private to them. */
#ifndef KC_REPO_PUBLIC_INTERNAL_H
#define KC_REPO_PUBLIC_INTERNAL_H

#include "repo/public_files.h"
#include "sign/canonical.h"

struct kc_public_files {
	char *dir;
	/* of main: kernel id → {"release", "distribution", "level", "patchset", "released"}; index/kernels.json */
	json_t *kernels;
	/* build-id → {"target", "object"…}; libcare-patches.json */
	json_t *builds;
	bool kernels_changed, builds_changed;
};

/* A file below the folder, replaced as a whole unless it is the same; makes its folder. */
struct kc_error *kc_public_write(const struct kc_public_files *files, const char *name, const void *data, size_t size);
/* NULL in `*value`: there is none, or it cannot be read. */
struct kc_error *kc_public_read_json(struct kc_ctx *ctx, const struct kc_public_files *files, const char *name,
				     json_t **value);
/* `flags`: of json_dumps(). */
struct kc_error *kc_public_write_json(const struct kc_public_files *files, const char *name, const json_t *value,
				      size_t flags);
/* The member's text; "" when there is none. */
const char *kc_public_text(const json_t *object, const char *name);
/* A file or folder with all that is in it. */
struct kc_error *kc_public_remove(const struct kc_public_files *files, const char *name);

/*
 * What a list says of a kernel, with the fixes of each patch file: {"kernel_id", "kernel", "distribution", "releases"},
 * the releases by level and type. `before`: the same from last time, or NULL; what is in it is not read again.
 */
struct kc_error *kc_public_releases_make(struct kc_ctx *ctx, const struct kc_public_files *files,
					 const struct kc_target_list *list, const json_t *before, json_t **releases);
int kc_public_level(const json_t *release);

/* The release that a host without a type of its own has at each level; none that is blocked. They are of `releases`. */
struct kc_public_levels {
	struct kc_public_level {
		int level;
		const json_t *release;
	} * levels;
	size_t n_levels;
};
struct kc_error *kc_public_levels_make(const json_t *releases, struct kc_public_levels *levels);
void kc_public_levels_clear(struct kc_public_levels *levels);
/* NULL: none. */
const json_t *kc_public_levels_find(const struct kc_public_levels *levels, int level);
const json_t *kc_public_levels_highest(const struct kc_public_levels *levels);

#define KC_CLEANUP_PUBLIC_LEVELS KC_CLEANUP(kc_public_levels_clear)

/* The page of one kernel; `releases` NULL: it is gone. */
struct kc_error *kc_public_kernel_page(const struct kc_public_files *files, const char *kernel_id,
				       const json_t *releases);
/* All pages above those. */
struct kc_error *kc_public_index_pages(const struct kc_public_files *files);

/* Text as it may stand in HTML, in and out of quotes. */
void kc_html_text(struct kc_buf *out, const char *text);
void kc_html_begin(struct kc_buf *out, const char *title, const char *up, const char *up_title);
void kc_html_end(struct kc_buf *out);

#endif
