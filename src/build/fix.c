/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser of fixes: one pass over lines, first the header's fields, then files and hunks. */
#include "build/fix.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"

enum { FIX_SIZE_LIMIT = 16 << 20 };

struct line {
	const char *text;
	size_t size; /* without newline */
	bool newline;
};

struct parser {
	struct kc_fix *fix;
	const char *next, *end;
	unsigned long number; /* of the current line, for messages */
	struct line line;
};

static bool parser_next(struct parser *p)
{
	const char *newline;

	if (p->next == p->end)
		return false;
	newline = memchr(p->next, '\n', (size_t)(p->end - p->next));
	p->line.text = p->next;
	p->line.size = (size_t)((newline ? newline : p->end) - p->next);
	p->line.newline = newline;
	p->next = newline ? newline + 1 : p->end;
	p->number++;
	return true;
}

static bool line_starts(const struct line *line, const char *prefix)
{
	size_t size = strlen(prefix);

	return line->size >= size && !memcmp(line->text, prefix, size);
}

#define fix_error(p, ...) kc_error_prefix(kc_error_new(KC_ERR_FIX, __VA_ARGS__), "%s:%lu", (p)->fix->name, (p)->number)

/* Values go into a signed manifest as JSON: UTF-8 without control characters. */
static bool text_is_clean(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		int more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1 : (*p & 0xf0) == 0xe0 ? 2 : 3;
		unsigned int code = *p;

		if (*p < 0x20 || *p == 0x7f || (*p >= 0x80 && *p < 0xc2) || *p > 0xf4)
			return false;
		if (more)
			code &= 0x3fU >> more;
		for (int i = 1; i <= more; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (p[i] & 0x3f);
		}
		if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000) || code > 0x10ffff ||
		    (code >= 0xd800 && code < 0xe000))
			return false;
		p += 1 + more;
	}
	return true;
}

/* CVE-YYYY-NNNN, at least four digits at the end. */
static bool cve_is_valid(const char *cve)
{
	size_t digits;

	if (strncmp(cve, "CVE-", 4) || strspn(cve + 4, "0123456789") != 4 || cve[8] != '-')
		return false;
	digits = strspn(cve + 9, "0123456789");
	return digits >= 4 && digits <= 12 && !cve[9 + digits];
}

static struct kc_error *cves_add(struct parser *p, char *value)
{
	struct kc_fix_info *info = &p->fix->info;
	char *state = NULL;

	for (char *cve = strtok_r(value, ", \t", &state); cve; cve = strtok_r(NULL, ", \t", &state)) {
		bool known = false;
		char **slot;

		if (!cve_is_valid(cve))
			return fix_error(p, "\"%s\" is no CVE number", cve);
		for (size_t i = 0; i < info->n_cves; i++)
			known |= !strcmp(info->cves[i], cve);
		if (known)
			continue;
		slot = kc_array_add(&info->cves, &info->n_cves);
		if (slot)
			*slot = strdup(cve);
		if (!slot || !*slot)
			return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *consistency_set(struct parser *p, const char *value)
{
	if (!strcmp(value, "function"))
		p->fix->consistency = KC_CONSISTENCY_FUNCTION;
	else if (strcmp(value, "strict"))
		return fix_error(p, "Consistency is \"%s\", not \"strict\" or \"function\"", value);
	return NULL;
}

/* Takes ownership of `value`. The first of several fields of one name counts (CVE fields add up). */
static struct kc_error *field_set(struct parser *p, const char *name, char *value)
{
	struct kc_fix_info *info = &p->fix->info;
	const struct {
		const char *name;
		char **to;
	} fields[] = { { "Name", &info->name },
		       { "Description", &info->description },
		       { "CVSS", &info->cvss },
		       { "CVE-URL", &info->cve_url },
		       { "Patch-URL", &info->patch_url },
		       { "License", &info->license },
		       { "Effective-Version", &p->fix->effective_version } };
	kc_autofree char *owned = value;

	if (!text_is_clean(value))
		return fix_error(p, "%s holds a control character or is not UTF-8", name);
	if (!strcasecmp(name, "CVE"))
		return cves_add(p, value);
	if (!strcasecmp(name, "Consistency"))
		return consistency_set(p, value);
	for (size_t i = 0; i < KC_ARRAY_SIZE(fields); i++)
		if (!strcasecmp(name, fields[i].name) && !*fields[i].to && *value)
			*fields[i].to = kc_steal(owned);
	return NULL;
}

/* Appends the value part of a line, trimmed, after a space when there is something already. */
static void value_append(struct kc_buf *value, const char *text, size_t size)
{
	while (size && isspace((unsigned char)*text))
		text++, size--;
	while (size && isspace((unsigned char)text[size - 1]))
		size--;
	if (size == 1 && *text == '.') /* an empty line, in Debian's control syntax */
		return;
	if (value->size && size)
		kc_buf_append(value, " ", 1);
	kc_buf_append(value, text, size);
}

/* The size of a field's name at the start of the line ("CVE-URL: …" gives 7), or 0. */
static size_t field_name_size(const struct line *line)
{
	size_t i = 0;

	while (i < line->size && (isalnum((unsigned char)line->text[i]) || line->text[i] == '-'))
		i++;
	return i && i < line->size && line->text[i] == ':' ? i : 0;
}

static bool starts_diff(const struct line *line)
{
	return line_starts(line, "--- ") || line_starts(line, "diff ") || line_starts(line, "Index: ") ||
	       line_starts(line, "@@ ");
}

/* Leaves the first line of the diff as the current one. false when there is no diff. */
static struct kc_error *parse_header(struct parser *p, bool *found)
{
	bool more = parser_next(p);

	while (more && !starts_diff(&p->line)) {
		kc_autobuf struct kc_buf value = { 0 };
		size_t name_size = field_name_size(&p->line);
		kc_autofree char *name = strndup(p->line.text, name_size);
		char *text;

		if (name_size)
			value_append(&value, p->line.text + name_size + 1, p->line.size - name_size - 1);
		more = parser_next(p);
		while (more && p->line.size && (p->line.text[0] == ' ' || p->line.text[0] == '\t')) {
			if (name_size)
				value_append(&value, p->line.text, p->line.size);
			more = parser_next(p);
		}
		if (!name_size)
			continue;
		text = kc_buf_take(&value);
		if (!text || !name) {
			free(text);
			return kc_error_no_memory();
		}
		KC_TRY(field_set(p, name, text));
	}
	*found = more;
	return NULL;
}

/* "--- a/file.c\t2026-01-01 …": the name between the marker and a tab. */
static char *path_take(const struct line *line)
{
	const char *tab = memchr(line->text + 4, '\t', line->size - 4);
	size_t size = (size_t)((tab ? tab : line->text + line->size) - (line->text + 4));

	while (size && isspace((unsigned char)line->text[4 + size - 1]))
		size--;
	return strndup(line->text + 4, size);
}

/* A path of a diff must stay inside the source tree. */
static bool path_is_safe(const char *path)
{
	if (!*path || *path == '/' || *path == '"' || !text_is_clean(path))
		return false;
	for (const char *part = path; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (!strncmp(part, "..", 2) && (part[2] == '/' || !part[2]))
			return false;
	}
	return true;
}

/* The current line is "--- …"; reads "+++ …" too. */
static struct kc_error *parse_file(struct parser *p)
{
	kc_autofree char *orig = path_take(&p->line), *new = NULL;
	struct kc_fix_file *file;

	if (!orig)
		return kc_error_no_memory();
	if (!parser_next(p) || !line_starts(&p->line, "+++ "))
		return fix_error(p, "\"--- %s\" is not followed by a line \"+++ …\"", orig);
	new = path_take(&p->line);
	if (!new)
		return kc_error_no_memory();
	if (!strcmp(new, "/dev/null"))
		return fix_error(p, "it deletes %s; a running program cannot lose code", orig);
	if (!path_is_safe(new) || (strcmp(orig, "/dev/null") && !path_is_safe(orig)))
		return fix_error(p, "the path \"%s\" leaves the source tree or cannot be used",
				 path_is_safe(new) ? orig : new);
	file = kc_array_add(&p->fix->files, &p->fix->n_files);
	if (!file)
		return kc_error_no_memory();
	file->path = kc_steal(new);
	file->created = !strcmp(orig, "/dev/null");
	return NULL;
}

/* "LINE" or "LINE,COUNT" up to `end_char`. */
static bool range_parse(const char **text, char end_char, unsigned long *line, unsigned long *count)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*line = strtoul(*text, &end, 10);
	*count = 1;
	if (*end == ',' && isdigit((unsigned char)end[1]))
		*count = strtoul(end + 1, &end, 10);
	*text = end + 1;
	return !errno && *end == end_char && *line < 1UL << 31 && *count < 1UL << 31;
}

static struct kc_error *hunk_line_add(struct parser *p, struct kc_hunk *hunk, char kind)
{
	struct kc_hunk_line *line = kc_array_add(&hunk->lines, &hunk->n_lines);

	if (!line)
		return kc_error_no_memory();
	/* An empty line is an empty context line whose only space an editor has removed. */
	*line = (struct kc_hunk_line){ .kind = kind,
				       .newline = true,
				       .text = p->line.text + (p->line.size ? 1 : 0),
				       .size = p->line.size - (p->line.size ? 1 : 0) };
	return NULL;
}

/* "\ No newline at end of file" belongs to the line before it. */
static bool take_no_newline(struct parser *p, struct kc_hunk *hunk)
{
	if (p->next == p->end || *p->next != '\\')
		return false;
	parser_next(p);
	if (hunk->n_lines)
		hunk->lines[hunk->n_lines - 1].newline = false;
	return true;
}

/* The current line is "@@ -…". */
static struct kc_error *parse_hunk(struct parser *p)
{
	const char *text = p->line.text + 4;
	unsigned long orig_line, n_orig, new_line, n_new;
	struct kc_fix_file *file;
	struct kc_hunk *hunk;

	if (!p->fix->n_files)
		return fix_error(p, "a hunk before any \"--- file\"");
	/* The text is followed by '\0', so the numbers end inside it. */
	if (!line_starts(&p->line, "@@ -") || !range_parse(&text, ' ', &orig_line, &n_orig) || *text++ != '+' ||
	    !range_parse(&text, ' ', &new_line, &n_new))
		return fix_error(p, "not a hunk header: \"%.*s\"", (int)(p->line.size < 60 ? p->line.size : 60),
				 p->line.text);
	file = &p->fix->files[p->fix->n_files - 1];
	hunk = kc_array_add(&file->hunks, &file->n_hunks);
	if (!hunk)
		return kc_error_no_memory();
	hunk->orig_line = orig_line;
	hunk->n_orig = n_orig;
	while (n_orig || n_new) {
		char kind = ' ';

		if (!parser_next(p))
			return fix_error(p, "the fix ends in the middle of a hunk");
		if (p->line.size)
			kind = p->line.text[0];
		if ((kind != ' ' && kind != '-' && kind != '+') || (kind != '+' && !n_orig) || (kind != '-' && !n_new))
			return fix_error(p, "the hunk's lines do not add up to what its header says");
		n_orig -= kind != '+';
		n_new -= kind != '-';
		KC_TRY(hunk_line_add(p, hunk, kind));
		take_no_newline(p, hunk);
	}
	return NULL;
}

static struct kc_error *parse_diff(struct parser *p)
{
	do {
		if (line_starts(&p->line, "--- "))
			KC_TRY(parse_file(p));
		else if (line_starts(&p->line, "@@ "))
			KC_TRY(parse_hunk(p));
		else if (line_starts(&p->line, "rename from ") || line_starts(&p->line, "copy from "))
			return fix_error(p, "it renames or copies a file; write it as a change of the old file");
		else if (line_starts(&p->line, "GIT binary patch") || line_starts(&p->line, "Binary files "))
			return fix_error(p, "it changes a binary file; remove that part");
	} while (parser_next(p));
	return NULL;
}

static struct kc_error *check_files(struct kc_fix *fix)
{
	if (!fix->n_files)
		return kc_error_new(KC_ERR_FIX, "%s: there is no unified diff in it", fix->name);
	for (size_t i = 0; i < fix->n_files; i++)
		if (!fix->files[i].n_hunks)
			return kc_error_new(KC_ERR_FIX, "%s: %s has no hunk", fix->name, fix->files[i].path);
	return NULL;
}

static struct kc_error *parse(struct kc_fix *fix)
{
	struct parser p = { .fix = fix, .next = fix->text.data, .end = fix->text.data + fix->text.size };
	bool found = false;

	if (memchr(fix->text.data, '\0', fix->text.size))
		return kc_error_new(KC_ERR_FIX, "%s: it is not text", fix->name);
	KC_TRY(parse_header(&p, &found));
	if (found)
		KC_TRY(parse_diff(&p));
	KC_TRY(check_files(fix));
	if (!fix->info.name)
		fix->info.name = strdup(text_is_clean(fix->name) ? kc_path_name(fix->name) : "unnamed");
	return fix->info.name ? NULL : kc_error_no_memory();
}

struct kc_error *kc_fix_parse(struct kc_ctx *ctx, const char *name, const void *data, size_t size, struct kc_fix **fix)
{
	kc_autofix struct kc_fix *new = calloc(1, sizeof(*new));

	(void)ctx;
	if (!new)
		return kc_error_no_memory();
	new->name = strdup(name);
	kc_buf_append(&new->text, data, size);
	if (!new->name || new->text.failed)
		return kc_error_no_memory();
	if (size > FIX_SIZE_LIMIT)
		return kc_error_new(KC_ERR_LIMIT, "%s: a fix may have %d bytes at most", name, FIX_SIZE_LIMIT);
	KC_TRY(parse(new));
	*fix = kc_steal(new);
	return NULL;
}

struct kc_error *kc_fix_read(struct kc_ctx *ctx, const char *path, struct kc_fix **fix)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read(path, FIX_SIZE_LIMIT, &text);

	if (err)
		return kc_error_errno(KC_ERR_FIX, -err, "cannot read %s", path);
	return kc_fix_parse(ctx, path, text.data ? text.data : "", text.size, fix);
}

void kc_fix_free(struct kc_fix *fix)
{
	if (!fix)
		return;
	for (size_t i = 0; i < fix->n_files; i++) {
		for (size_t j = 0; j < fix->files[i].n_hunks; j++)
			free(fix->files[i].hunks[j].lines);
		free(fix->files[i].hunks);
		free(fix->files[i].path);
	}
	free(fix->files);
	kc_fix_info_clear(&fix->info);
	kc_buf_free(&fix->text);
	free(fix->effective_version);
	free(fix->name);
	free(fix);
}

/* Where only lines are added, its hunks would fit again. */
static struct kc_error *check_each_once(const char *const *paths)
{
	for (const char *const *path = paths; *path; path++)
		for (const char *const *before = paths; before < path; before++)
			if (!strcmp(*before, *path))
				return kc_error_new(KC_ERR_USAGE, "the fix %s is given twice", *path);
	return NULL;
}

struct kc_error *kc_fixes_read(struct kc_ctx *ctx, const char *const *paths, struct kc_fixes *fixes)
{
	if (!paths || !*paths)
		return kc_error_new(KC_ERR_USAGE, "there is no fix");
	KC_TRY(check_each_once(paths));
	for (; *paths; paths++) {
		struct kc_fix **slot = kc_array_add(&fixes->items, &fixes->n_items);

		if (!slot)
			return kc_error_no_memory();
		KC_TRY(kc_fix_read(ctx, *paths, slot));
	}
	return NULL;
}

void kc_fixes_clear(struct kc_fixes *fixes)
{
	for (size_t i = 0; i < fixes->n_items; i++)
		kc_fix_free(fixes->items[i]);
	free(fixes->items);
	*fixes = (struct kc_fixes){ 0 };
}
