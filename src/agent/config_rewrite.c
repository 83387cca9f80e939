/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changing one key of kcare.conf, and nothing else of it. */
#include "agent/config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/conf_line.h"
#include "agent/paths.h"
#include "agent/root_file.h"
#include "base/file.h"

/* The quotes that a value needs where the line has none: '"', '\'', 0 (none), or -1 when no quotes will do. */
static int quote_for(const char *value, char present)
{
	const char *quotes = present == '\'' ? "'\"" : "\"'";

	if (!present && !strpbrk(value, " \t#'\""))
		return 0;
	for (const char *quote = quotes; *quote; quote++)
		if (!strchr(value, *quote))
			return *quote;
	return -1;
}

static void append_value(struct kc_buf *out, const char *value, int quote)
{
	char text[2] = { (char)quote, '\0' };

	kc_buf_append_str(out, text);
	kc_buf_append_str(out, value);
	kc_buf_append_str(out, text);
}

/* The line with another value; what is around the value stays. */
static void append_changed(struct kc_buf *out, const struct kc_conf_line *line, const char *value, int quote)
{
	size_t quote_size = line->quote ? 1 : 0;
	const char *rest = line->value + line->value_size + quote_size;

	kc_buf_append(out, line->text, (size_t)(line->value - quote_size - line->text));
	append_value(out, value, quote);
	if (rest < line->text + line->size && *rest == '#') /* "KEY= # note" */
		kc_buf_append_str(out, " ");
	kc_buf_append(out, rest, (size_t)(line->text + line->size - rest));
}

static void append_new(struct kc_buf *out, const char *key, const char *value)
{
	bool is_dos = out->size > 1 && !memcmp(out->data + out->size - 2, "\r\n", 2);

	if (out->size && out->data[out->size - 1] != '\n')
		kc_buf_append_str(out, "\n");
	kc_buf_printf(out, "%s=", key);
	append_value(out, value, quote_for(value, 0));
	kc_buf_append_str(out, is_dos ? "\r\n" : "\n");
}

struct kc_error *kc_config_rewrite(const char *text, size_t size, const char *key, const char *value,
				   struct kc_buf *out)
{
	const char *end = text + size, *at = text, *last = NULL;
	struct kc_conf_line line;

	if (value && (quote_for(value, 0) < 0 || strpbrk(value, "\r\n")))
		return kc_error_new(KC_ERR_INPUT, "%s: a value cannot have line breaks, nor both kinds of quotes", key);
	while (kc_conf_line_next(&at, end, &line))
		if (kc_conf_line_has_key(&line, key))
			last = line.text;
	for (at = text; kc_conf_line_next(&at, end, &line);) {
		if (!kc_conf_line_has_key(&line, key) || (value && line.text != last))
			kc_buf_append(out, line.text, line.size);
		else if (value)
			append_changed(out, &line, value, quote_for(value, line.quote));
	}
	if (value && !last)
		append_new(out, key, value);
	return out->failed ? kc_error_no_memory() : NULL;
}

/* A configuration that is managed elsewhere may be a link: the file behind it is replaced, not the link. */
static struct kc_error *write_behind_link(const char *path, const struct kc_buf *text)
{
	kc_autofree char *real = realpath(path, NULL);
	struct stat st;
	int err;

	if (!real || stat(real, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
	err = kc_file_write_atomic(real, text->data, text->size, st.st_mode & 0777);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", real) : NULL;
}

struct kc_error *kc_config_set(struct kc_ctx *ctx, const char *key, const char *value)
{
	kc_autobuf struct kc_buf text = { 0 }, changed = { 0 };
	kc_autofree char *path = NULL;
	bool exists;

	KC_TRY(kc_root_file_read(KC_PATH_CONFIG, &text, &path, &exists));
	KC_TRY(kc_config_rewrite(exists ? text.data : "", text.size, key, value, &changed));
	kc_debug(ctx, "%s: %s is now %s", path, key, value ? value : "removed");
	if (exists)
		return write_behind_link(path, &changed);
	return value ? kc_root_file_write(KC_PATH_CONFIG, changed.data, changed.size) : NULL;
}
