/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From source and fixes to a kernel patch file: prepare a kernel once, then compile only what a fix touches, prove,
 * diff, emit, sign. No kernel is ever built as a whole.
 */
#ifndef KC_BUILD_KERNEL_H
#define KC_BUILD_KERNEL_H

#include "base/ctx.h"

struct kc_build_kernel_request {
	/* either a kernel of the archive … */
	const char *release; /* "6.1.0-47-amd64" */
	/* … or one that is here */
	const char *image_path, *headers_dir, *source_dir, *modules_dir;

	const char *const *fix_paths; /* NULL-terminated */
	unsigned level;
	const char *patchset;
	const char *type;	       /* NULL: "default" */
	const char *effective_version; /* NULL: from the fixes' header "Effective-Version:", else the release itself */
	const char *previous_path;     /* patch file of the level before: its variables and states are taken over */
	const char *key_path;
	const char *module_key_path; /* NULL: modules are not signed */
	const char *output_dir;
	const char *const *allowed; /* NULL-terminated, or NULL */
	unsigned max_objects;	    /* refuse fixes that touch more; 0: 2000 */
	unsigned jobs;		    /* 0: number of CPUs */
	const char *cache_dir;	    /* NULL: as kc_build_user_request */
};

/* `*path` is the prepared folder (caller frees); does nothing when it is there already. */
struct kc_error *kc_build_kernel_prepare(struct kc_ctx *ctx, const struct kc_build_kernel_request *request,
					 char **path);
/* Writes one patch file; `*path` names it (caller frees). */
struct kc_error *kc_build_kernel(struct kc_ctx *ctx, const struct kc_build_kernel_request *request, char **path);

/* The releases of the archive whose package "linux-image-RELEASE" matches a shell pattern; caller frees each and all.
 */
struct kc_error *kc_build_kernel_find(struct kc_ctx *ctx, const char *pattern, const char *cache_dir, char ***releases);

#endif
