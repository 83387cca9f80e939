/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Applies the hunks of fixes to the lines of one source file. */
#include "build/apply_fix.h"

#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "build/line_numbers.h"

struct kc_error *kc_source_parse(const char *path, const void *text, size_t size, struct kc_source **source)
{
	kc_autosource struct kc_source *new = calloc(1, sizeof(*new));
	const char *p, *end;

	if (!new)
		return kc_error_no_memory();
	new->path = strdup(path);
	kc_buf_append(&new->text, text, size);
	if (!new->path || new->text.failed)
		return kc_error_no_memory();
	p = new->text.data;
	end = p + size;
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		struct kc_source_line *line = kc_array_add(&new->lines, &new->n_lines);

		if (!line)
			return kc_error_no_memory();
		line->text = p;
		line->size = (size_t)((newline ? newline : end) - p);
		line->newline = newline;
		line->number = new->n_lines;
		p = newline ? newline + 1 : end;
	}
	*source = kc_steal(new);
	return NULL;
}

void kc_source_free(struct kc_source *source)
{
	if (!source)
		return;
	free(source->lines);
	kc_buf_free(&source->text);
	free(source->path);
	free(source);
}

/*
 * How many of the hunk's old lines (kinds ' ' and '-'; with `undo`: ' ' and '+') are found from line `at` on, up to the
 * first difference.
 */
static size_t hunk_matching(const struct kc_source *source, const struct kc_hunk *hunk, size_t at, bool undo)
{
	size_t n = 0;

	for (size_t i = 0; i < hunk->n_lines; i++) {
		const struct kc_hunk_line *old = &hunk->lines[i];
		const struct kc_source_line *line = &source->lines[at + n];

		if (old->kind == (undo ? '-' : '+'))
			continue;
		if (at + n >= source->n_lines || line->size != old->size || memcmp(line->text, old->text, old->size))
			return n;
		n++;
	}
	return n;
}

static bool hunk_fits(const struct kc_source *source, const struct kc_hunk *hunk, size_t at)
{
	return at <= source->n_lines && hunk_matching(source, hunk, at, false) == hunk->n_orig;
}

/* The place nearest to `expected`, not before `first`; source->n_lines + 1 when there is none. */
static size_t hunk_find(const struct kc_source *source, const struct kc_hunk *hunk, size_t first, size_t expected)
{
	if (expected >= first && hunk_fits(source, hunk, expected))
		return expected;
	/* Without context there is nothing to recognise a moved place by. */
	for (size_t distance = 1; hunk->n_orig && distance <= source->n_lines + expected; distance++) {
		if (expected >= first + distance && hunk_fits(source, hunk, expected - distance))
			return expected - distance;
		if (expected + distance >= first && hunk_fits(source, hunk, expected + distance))
			return expected + distance;
	}
	return source->n_lines + 1;
}

/* The hunk's line number `n` of the kinds that the source should have. */
static const struct kc_hunk_line *hunk_old_line(const struct kc_hunk *hunk, size_t n)
{
	for (size_t i = 0; i < hunk->n_lines; i++)
		if (hunk->lines[i].kind != '+' && n-- == 0)
			return &hunk->lines[i];
	return NULL;
}

static int shown(size_t size)
{
	return size < 100 ? (int)size : 100;
}

static struct kc_error *no_place(const struct kc_source *source, const struct kc_fix *fix, const struct kc_hunk *hunk,
				 size_t hunk_number, size_t expected)
{
	size_t at = expected < source->n_lines ? expected : source->n_lines;
	size_t n = hunk_matching(source, hunk, at, false), n_new = 0;
	const struct kc_hunk_line *want = hunk_old_line(hunk, n);
	const char *path = source->path;
	struct kc_error *err;

	for (size_t i = 0; i < hunk->n_lines; i++)
		n_new += hunk->lines[i].kind != '-';
	if (n_new && hunk_matching(source, hunk, at, true) == n_new)
		err = kc_error_new(KC_ERR_FIX_DOES_NOT_APPLY,
				   "%s: hunk %zu at line %lu: the source has this change already", path, hunk_number,
				   hunk->orig_line);
	else if (at + n >= source->n_lines || !want)
		err = kc_error_new(KC_ERR_FIX_DOES_NOT_APPLY,
				   "%s: hunk %zu at line %lu: the file has only %zu lines; is it the right version?",
				   path, hunk_number, hunk->orig_line, source->n_lines);
	else if (want->size == source->lines[at + n].size + 1 && want->text[want->size - 1] == '\r')
		err = kc_error_new(KC_ERR_FIX_DOES_NOT_APPLY,
				   "%s: hunk %zu at line %lu: the fix has DOS line ends (CR LF), the source has not; "
				   "convert the fix",
				   path, hunk_number, hunk->orig_line);
	else
		err = kc_error_new(KC_ERR_FIX_DOES_NOT_APPLY,
				   "%s: hunk %zu at line %lu: line %zu is \"%.*s\", but the fix expects \"%.*s\"", path,
				   hunk_number, hunk->orig_line, at + n + 1, shown(source->lines[at + n].size),
				   source->lines[at + n].text, shown(want->size), want->text);
	return kc_error_prefix(err, "%s", fix->name);
}

/* Builds the new list of lines: old ones up to `at`, the hunk's result, the rest. */
static struct kc_error *hunk_splice(struct kc_source *source, const struct kc_hunk *hunk, size_t at)
{
	size_t n = source->n_lines - hunk->n_orig, old = at, filled = at, allocated;
	struct kc_source_line *lines;

	for (size_t i = 0; i < hunk->n_lines; i++)
		n += hunk->lines[i].kind != '-';
	allocated = n ? n : 1;
	lines = calloc(allocated, sizeof(*lines));
	if (!lines)
		return kc_error_no_memory();
	if (at)
		memcpy(lines, source->lines, at * sizeof(*lines));
	for (size_t i = 0; i < hunk->n_lines; i++) {
		const struct kc_hunk_line *line = &hunk->lines[i];

		if (line->kind == '+')
			lines[filled++] = (struct kc_source_line){ line->text, line->size, line->newline, 0 };
		else if (line->kind == ' ')
			lines[filled++] = source->lines[old++];
		else
			old++;
	}
	if (old < source->n_lines)
		memcpy(lines + filled, source->lines + old, (source->n_lines - old) * sizeof(*lines));
	free(source->lines);
	source->lines = lines;
	source->n_lines = n;
	return NULL;
}

struct kc_error *kc_source_apply(struct kc_ctx *ctx, struct kc_source *source, const struct kc_fix *fix,
				 const struct kc_fix_file *file)
{
	size_t first = 0; /* hunks are in order: the next one may not begin before this line */
	long moved = 0;	  /* how far earlier hunks, and the fixes before this one, moved the lines */

	for (size_t i = 0; i < file->n_hunks; i++) {
		const struct kc_hunk *hunk = &file->hunks[i];
		/* "-0,0" makes a file; "-N,0" inserts behind line N; "-N" begins at line N. */
		long expected = (long)hunk->orig_line - (hunk->n_orig ? 1 : 0) + moved;
		size_t at, n_lines = source->n_lines;

		expected = expected < 0 ? 0 : expected;
		at = hunk_find(source, hunk, first, (size_t)expected);
		if (at > source->n_lines)
			return no_place(source, fix, hunk, i + 1, (size_t)expected);
		if (at != (size_t)expected)
			kc_info(ctx, "%s: %s: hunk %zu applies %ld lines further", fix->name, source->path, i + 1,
				(long)at - expected);
		KC_TRY(hunk_splice(source, hunk, at));
		moved += (long)at - expected + (long)source->n_lines - (long)n_lines;
		first = at + hunk->n_orig + source->n_lines - n_lines;
	}
	return NULL;
}

static bool has_suffix(const char *path, const char *const *suffixes, size_t n)
{
	const char *dot = strrchr(kc_path_name(path), '.');

	for (size_t i = 0; dot && i < n; i++)
		if (!strcmp(dot + 1, suffixes[i]))
			return true;
	return false;
}

bool kc_path_is_compiled(const char *path)
{
	static const char *const suffixes[] = { "c", "cc", "cpp", "cxx", "C", "S" };

	return has_suffix(path, suffixes, KC_ARRAY_SIZE(suffixes));
}

bool kc_path_is_source(const char *path)
{
	static const char *const suffixes[] = { "h", "hh", "hpp", "hxx", "H", "inc", "inl", "ipp", "tcc", "def" };

	return kc_path_is_compiled(path) || has_suffix(path, suffixes, KC_ARRAY_SIZE(suffixes));
}

struct kc_error *kc_source_render(const struct kc_source *source, struct kc_buf *out)
{
	if (kc_path_is_source(source->path))
		kc_lines_render_numbered(source->lines, source->n_lines, out);
	else
		kc_lines_render(source->lines, source->n_lines, out);
	return out->failed ? kc_error_no_memory() : NULL;
}
