/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes changed lines so that the compiler counts the unchanged ones as before: #line N in front of the first original
 * line behind each change, where the preprocessor reads it (not inside a comment, a string or a continued line), and
 * again behind each #else and #endif that could have skipped the directive.
 */
#ifndef KC_BUILD_LINE_NUMBERS_H
#define KC_BUILD_LINE_NUMBERS_H

#include "build/apply_fix.h"

void kc_lines_render(const struct kc_source_line *lines, size_t n, struct kc_buf *out);
void kc_lines_render_numbered(const struct kc_source_line *lines, size_t n, struct kc_buf *out);

#endif
