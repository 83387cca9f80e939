/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/paths.h"
#include "agent/root_file.h"
#include "base/file.h"

#define SYSCTL_DIR "/proc/sys"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts the blanks around the range. */
static void trim(const char **text, size_t *size)
{
	for (; *size && is_blank(**text); --*size)
		++*text;
	while (*size && is_blank((*text)[*size - 1]))
		--*size;
}

bool kc_sysctl_parse(const char *line, size_t size, struct kc_sysctl_line *parsed)
{
	const char *equals;

	*parsed = (struct kc_sysctl_line){ 0 };
	trim(&line, &size);
	if (!size || *line == '#' || *line == ';')
		return false;
	if (*line == '-') {
		parsed->ignore_failure = true;
		line++;
		size--;
	}
	equals = memchr(line, '=', size);
	parsed->name = line;
	parsed->name_size = equals ? (size_t)(equals - line) : size;
	trim(&parsed->name, &parsed->name_size);
	if (!equals || !parsed->name_size) {
		parsed->problem = "expected NAME = VALUE, or # and a comment";
		return true;
	}
	parsed->value = equals + 1;
	parsed->value_size = size - (size_t)(equals + 1 - line);
	trim(&parsed->value, &parsed->value_size);
	return true;
}

/* Neither empty nor "." nor "..": it stays below /proc/sys. */
static bool is_path(const char *path)
{
	while (true) {
		size_t length = strcspn(path, "/");

		if (!length || (length <= 2 && !strncmp(path, "..", length)))
			return false;
		if (!path[length])
			return true;
		path += length + 1;
	}
}

/* As sysctl(8): the first separator decides. "net.ipv4.conf.eth0/1.x" has the other one inside a part. */
char *kc_sysctl_path(const char *name, size_t size)
{
	char *path = memchr(name, '\0', size) ? NULL : strndup(name, size);
	bool has_dots;

	if (!path)
		return NULL;
	has_dots = path[strcspn(path, "./")] == '.';
	for (char *p = path; has_dots && *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	if (is_path(path))
		return path;
	free(path);
	return NULL;
}

static struct kc_error *set_line(const struct kc_sysctl_line *line)
{
	kc_autofree char *path = NULL, *file = NULL;
	kc_autobuf struct kc_buf value = { 0 };
	kc_autoclose int fd = -1;
	int err;

	if (line->problem)
		return kc_error_new(KC_ERR_CONFIG, "%s", line->problem);
	path = kc_sysctl_path(line->name, line->name_size);
	if (!path)
		return kc_error_new(KC_ERR_CONFIG, "'%.*s' is not the name of a sysctl",
				    (int)(line->name_size < 80 ? line->name_size : 80), line->name);
	file = kc_path_join(SYSCTL_DIR, path);
	kc_buf_append(&value, line->value, line->value_size);
	kc_buf_append_str(&value, "\n");
	if (!file || value.failed)
		return kc_error_no_memory();
	fd = open(file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return kc_error_new(KC_ERR_CONFIG, "this kernel has no sysctl %.*s", (int)line->name_size, line->name);
	err = fd < 0 ? -errno : kc_fd_write(fd, value.data, value.size);
	return err ? kc_error_errno(KC_ERR_CONFIG, -err, "cannot set %.*s", (int)line->name_size, line->name) : NULL;
}

struct kc_error *kc_sysctl_load(struct kc_ctx *ctx)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = NULL;
	const char *at, *end;
	bool exists;

	KC_TRY(kc_root_file_read(KC_PATH_SYSCTL, &text, &path, &exists));
	at = exists ? text.data : "";
	end = at + text.size;
	for (unsigned number = 1; at < end; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
		kc_autoerror struct kc_error *err = NULL;
		struct kc_sysctl_line line;

		if (kc_sysctl_parse(at, (size_t)(stop - at), &line))
			err = set_line(&line);
		if (err && line.ignore_failure)
			kc_debug(ctx, "%s:%u: %s", path, number, kc_error_message(err));
		else if (err)
			kc_warning(ctx, "%s:%u: %s", path, number, kc_error_message(err));
		at = newline ? newline + 1 : end;
	}
	return NULL;
}
