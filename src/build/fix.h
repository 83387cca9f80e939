/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fix: a unified diff below a DEP-3 style header. Parsed here, applied by build/source.h.
 *
 *	Name: cms-pwri-overread
 *	Description: out-of-bounds read in the key unwrapping
 *	 of password recipients
 *	CVE: CVE-2026-42766
 *	CVSS: 7.5
 *	CVE-URL: https://…        Patch-URL: https://…        License: Apache-2.0
 *	Consistency: strict | function
 *	Effective-Version: 6.1.0-56-amd64      kernels: the release that brings this fix
 *
 *	--- a/crypto/cms/cms_pwri.c
 *	+++ b/crypto/cms/cms_pwri.c
 *	@@ -228,7 +228,8 @@
 *
 * A field's value goes on in lines that begin with a space. Other fields, and text between header and diff, are
 * skipped. Fixes are written by hand and found on the net: everything is checked, errors are KC_ERR_FIX.
 */
#ifndef KC_BUILD_FIX_H
#define KC_BUILD_FIX_H

#include "base/buf.h"
#include "patch/patch_file.h"

struct kc_hunk_line {
	char kind; /* ' ', '-', '+' */
	bool newline;
	const char *text; /* without newline; in kc_fix.text */
	size_t size;
};

struct kc_hunk {
	unsigned long orig_line; /* 1-based, as its "@@ -LINE" says */
	size_t n_orig;		 /* lines of kind ' ' and '-' */
	struct kc_hunk_line *lines;
	size_t n_lines;
};

struct kc_fix_file {
	char *path;   /* of the file it makes or changes, as written: "b/crypto/cms/cms_pwri.c" */
	bool created; /* "--- /dev/null" */
	struct kc_hunk *hunks;
	size_t n_hunks;
};

struct kc_fix {
	char *name; /* where it came from, for messages */
	struct kc_fix_info info;
	enum kc_consistency consistency;
	char *effective_version; /* or NULL */
	struct kc_fix_file *files;
	size_t n_files;
	struct kc_buf text;
};

struct kc_error *kc_fix_read(struct kc_ctx *ctx, const char *path, struct kc_fix **fix);
/* `data` is copied. */
struct kc_error *kc_fix_parse(struct kc_ctx *ctx, const char *name, const void *data, size_t size, struct kc_fix **fix);
void kc_fix_free(struct kc_fix *fix);

/* Fixes in the order in which they are applied. */
struct kc_fixes {
	struct kc_fix **items;
	size_t n_items;
};

/* `paths` is NULL-terminated. KC_ERR_USAGE when there are none, or one is there twice. */
struct kc_error *kc_fixes_read(struct kc_ctx *ctx, const char *const *paths, struct kc_fixes *fixes);
void kc_fixes_clear(struct kc_fixes *fixes);
#define kc_autofixes KC_CLEANUP(kc_fixes_clear)

KC_DEFINE_CLEANUP(kc_cleanup_fix, struct kc_fix *, kc_fix_free)
#define kc_autofix KC_CLEANUP(kc_cleanup_fix)

#endif
