/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From source and fixes to userspace patch files: prepare a tree once, then compile only what a fix touches, prove,
 * diff, emit, sign.
 */
#ifndef KC_BUILD_USER_H
#define KC_BUILD_USER_H

#include "base/ctx.h"

struct kc_build_user_request {
	/* either a Debian binary package … */
	const char *package, *version;
	/* … or a linked file, its source and how it was compiled */
	const char *elf_path, *source_dir, *commands_path;

	const char *const *fix_paths; /* NULL-terminated */
	unsigned level;
	const char *patchset;
	const char *type; /* NULL: "default" */
	const char *key_path;
	const char *output_dir;
	const char *const *allowed; /* NULL-terminated, or NULL */
	unsigned jobs;		    /* 0: number of CPUs */
	const char *cache_dir;	    /* NULL: $KCARE_BUILD_CACHE, else /var/cache/kcare/build, else ~/.cache/… */
};

/*
 * Fetches binary and source, configures, caches. Does nothing when it is there already. `*path` is the prepared
 * folder (caller frees): binary/ and source/ are in it.
 */
struct kc_error *kc_build_user_prepare(struct kc_ctx *ctx, const struct kc_build_user_request *request, char **path);
/* Writes one patch file per ELF file that changes; `*paths` lists them (NULL-terminated, caller frees each and all). */
struct kc_error *kc_build_user(struct kc_ctx *ctx, const struct kc_build_user_request *request, char ***paths);

#endif
