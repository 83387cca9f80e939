/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A source file under the hands of fixes. Hunks apply with their exact context, at their line or, when earlier changes
 * moved it, at the nearest place where the context fits. The result is written with #line directives, so that code
 * behind a hunk keeps its line numbers: OpenSSL's error macros and every assert() would change otherwise.
 */
#ifndef KC_BUILD_APPLY_FIX_H
#define KC_BUILD_APPLY_FIX_H

#include "build/fix.h"

struct kc_source_line {
	const char *text; /* without newline; in the original text or in a fix, which must outlive this */
	size_t size;
	bool newline;
	unsigned long number; /* in the original file, from 1; 0: a fix brought it */
};

struct kc_source {
	char *path; /* for messages */
	struct kc_buf text;
	struct kc_source_line *lines;
	size_t n_lines;
};

/* `text` is copied. */
struct kc_error *kc_source_parse(const char *path, const void *text, size_t size, struct kc_source **source);
void kc_source_free(struct kc_source *source);

/* KC_ERR_FIX_DOES_NOT_APPLY names the hunk, its line and what is there instead. */
struct kc_error *kc_source_apply(struct kc_ctx *ctx, struct kc_source *source, const struct kc_fix *fix,
				 const struct kc_fix_file *file);
/* Appends the changed text; with #line directives when the path's suffix says C, C++ or preprocessed assembler. */
struct kc_error *kc_source_render(const struct kc_source *source, struct kc_buf *out);

/* By its suffix: a compiler reads it, directly (.c, .cc, .S, …) or by inclusion (.h, .inc, …). */
bool kc_path_is_source(const char *path);
/* .c, .cc, .cpp, .cxx, .C, .S */
bool kc_path_is_compiled(const char *path);

KC_DEFINE_CLEANUP(kc_cleanup_source, struct kc_source *, kc_source_free)
#define kc_autosource KC_CLEANUP(kc_cleanup_source)

#endif
