/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_blacklist.h"

#include <errno.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdbool.h>
#include <string.h>

#include "apply/user_paths.h"
#include "base/array.h"
#include "base/file.h"

#define FILE_SIZE_MAX ((size_t)1 << 20)
#define LINE_SIZE_MAX 4096

enum rule_kind {
	RULE_PATH,
	RULE_FILENAME,
	RULE_REGEX,
};

static const struct {
	const char *prefix;
	enum rule_kind kind;
} rule_kinds[] = {
	{ "path:", RULE_PATH },
	{ "filename:", RULE_FILENAME },
	{ "regex:", RULE_REGEX },
};

struct rule {
	enum rule_kind kind;
	char *pattern;
	char *shown; /* "filename:docker* (FILE:LINE)" */
	regex_t regex;
	bool has_regex;
};

struct kc_user_blacklist {
	struct rule *rules;
	size_t n_rules;
};

void kc_user_blacklist_free(struct kc_user_blacklist *blacklist)
{
	if (!blacklist)
		return;
	for (size_t i = 0; i < blacklist->n_rules; i++) {
		struct rule *rule = &blacklist->rules[i];

		free(rule->pattern);
		free(rule->shown);
		if (rule->has_regex)
			regfree(&rule->regex);
	}
	free(blacklist->rules);
	free(blacklist);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts the blanks around `line` (in place). */
static char *trim(char *line)
{
	char *end = line + strlen(line);

	while (is_blank(*line))
		line++;
	while (end > line && is_blank(end[-1]))
		*--end = '\0';
	return line;
}

static struct kc_error *compile_regex(struct rule *rule)
{
	char why[128];
	int err = regcomp(&rule->regex, rule->pattern, REG_EXTENDED | REG_NOSUB);

	if (err) {
		regerror(err, &rule->regex, why, sizeof(why));
		return kc_error_new(KC_ERR_INPUT, "'%s' is not a POSIX extended regular expression: %s", rule->pattern,
				    why);
	}
	rule->has_regex = true;
	return NULL;
}

static struct kc_error *parse_line(struct kc_user_blacklist *blacklist, const char *name, unsigned number, char *line)
{
	const char *pattern = NULL;
	struct rule *rule;
	size_t kind;

	for (kind = 0; kind < KC_ARRAY_SIZE(rule_kinds) && !pattern; kind++) {
		size_t length = strlen(rule_kinds[kind].prefix);

		if (!strncmp(line, rule_kinds[kind].prefix, length))
			pattern = trim(line + length);
	}
	if (!pattern)
		return kc_error_new(KC_ERR_INPUT, "'%.60s' does not begin with path:, filename:, regex: or #", line);
	if (!*pattern)
		return kc_error_new(KC_ERR_INPUT, "there is no pattern behind '%s'", line);
	rule = kc_array_add(&blacklist->rules, &blacklist->n_rules);
	if (!rule)
		return kc_error_no_memory();
	rule->kind = rule_kinds[kind - 1].kind;
	rule->pattern = strdup(pattern);
	if (asprintf(&rule->shown, "%s%s (%s:%u)", rule_kinds[kind - 1].prefix, pattern, name, number) < 0)
		rule->shown = NULL;
	if (!rule->pattern || !rule->shown)
		return kc_error_no_memory();
	if (rule->kind == RULE_FILENAME && strchr(pattern, '/'))
		return kc_error_new(KC_ERR_INPUT, "'%s' can match no file name; use path:", pattern);
	return rule->kind == RULE_REGEX ? compile_regex(rule) : NULL;
}

struct kc_error *kc_user_blacklist_parse(const char *name, const char *text, size_t size,
					 struct kc_user_blacklist **blacklist)
{
	kc_autouserblacklist struct kc_user_blacklist *parsed = calloc(1, sizeof(*parsed));
	const char *end = text + size;
	unsigned number = 0;

	if (!parsed)
		return kc_error_no_memory();
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((newline ? newline : end) - text);
		char line[LINE_SIZE_MAX], *content;
		struct kc_error *err = NULL;

		number++;
		if (length >= sizeof(line) || memchr(text, '\0', length))
			return kc_error_new(KC_ERR_INPUT, "%s:%u: %s", name, number,
					    length >= sizeof(line) ? "the line is too long" : "not a text file");
		memcpy(line, text, length);
		line[length] = '\0';
		content = trim(line);
		if (*content && *content != '#')
			err = parse_line(parsed, name, number, content);
		if (err)
			return kc_error_prefix(err, "%s:%u", name, number);
		text += length + (newline != NULL);
	}
	*blacklist = kc_steal(parsed);
	return NULL;
}

/* `*exists` tells whether there is such a file; what else goes wrong is an error. */
static struct kc_error *load_file(const char *fixed, struct kc_user_blacklist **blacklist, bool *exists)
{
	kc_autofree char *path = kc_user_path(fixed);
	kc_autobuf struct kc_buf content = { 0 };
	int err;

	if (!path)
		return kc_error_no_memory();
	err = kc_file_read_now(path, FILE_SIZE_MAX, &content);
	*exists = err != -ENOENT && err != -ENOTDIR;
	if (!*exists)
		return NULL;
	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read the blacklist %s", path);
	return kc_user_blacklist_parse(path, content.data, content.size, blacklist);
}

struct kc_error *kc_user_blacklist_load(struct kc_ctx *ctx, struct kc_user_blacklist **blacklist)
{
	bool exists = false;

	KC_TRY(load_file(KC_PATH_BLACKLIST_OVERRIDE, blacklist, &exists));
	if (!exists)
		KC_TRY(load_file(KC_PATH_BLACKLIST, blacklist, &exists));
	if (exists)
		return NULL;
	kc_debug(ctx, "there is no blacklist");
	return kc_user_blacklist_parse("", "", 0, blacklist);
}

static bool rule_matches(const struct rule *rule, const char *exe)
{
	switch (rule->kind) {
	case RULE_PATH:
		return !fnmatch(rule->pattern, exe, 0);
	case RULE_FILENAME:
		return !fnmatch(rule->pattern, kc_path_name(exe), 0);
	case RULE_REGEX:
		return !regexec(&rule->regex, exe, 0, NULL, 0);
	}
	return false;
}

const char *kc_user_blacklist_match(const struct kc_user_blacklist *blacklist, const char *exe)
{
	for (size_t i = 0; i < blacklist->n_rules; i++) {
		if (rule_matches(&blacklist->rules[i], exe))
			return blacklist->rules[i].shown;
	}
	return NULL;
}
