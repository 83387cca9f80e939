/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/apt_sources.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <string.h>

#include "base/file.h"
#include "base/os_release.h"

enum { SOURCES_LIMIT = 1 << 20 };

/* Is one of the words of `text` the release, or one of its pockets ("bookworm", "bookworm-updates")? */
static bool names_release(const char *text, size_t size, const char *codename)
{
	const char *end = text + size;
	size_t n = strlen(codename);

	while (text < end) {
		const char *word = text;

		while (text < end && !isspace((unsigned char)*text))
			text++;
		if ((size_t)(text - word) >= n && !memcmp(word, codename, n) &&
		    ((size_t)(text - word) == n || word[n] == '-' || word[n] == '/'))
			return true;
		while (text < end && isspace((unsigned char)*text))
			text++;
	}
	return false;
}

void kc_apt_convert_list(const char *text, const char *codename, struct kc_buf *out)
{
	while (*text) {
		size_t size = strcspn(text, "\n");

		if (!strncmp(text, "deb ", 4) && names_release(text, size, codename)) {
			kc_buf_printf(out, "%.*s\n", (int)size, text);
			kc_buf_printf(out, "deb-src%.*s\n", (int)size - 3, text + 3);
		}
		text += size;
		text += *text == '\n';
	}
}

/* The field of a stanza at the start of a line, and the size of its first line's value. */
static const char *stanza_field(const char *stanza, size_t stanza_size, const char *name, size_t *size)
{
	const char *p = stanza, *end = stanza + stanza_size;
	size_t n = strlen(name);

	*size = 0;
	while (p < end) {
		size_t line = (size_t)(end - p) < strcspn(p, "\n") ? (size_t)(end - p) : strcspn(p, "\n");

		if (line > n && !strncasecmp(p, name, n) && p[n] == ':') {
			*size = line - n - 1;
			return p + n + 1;
		}
		p += line + 1;
	}
	return NULL;
}

static void convert_stanza(const char *stanza, size_t size, const char *codename, struct kc_buf *out)
{
	size_t suites_size, types_size, enabled_size;
	const char *suites = stanza_field(stanza, size, "Suites", &suites_size);
	const char *types = stanza_field(stanza, size, "Types", &types_size);
	const char *enabled = stanza_field(stanza, size, "Enabled", &enabled_size);

	if (!suites || !types || !names_release(suites, suites_size, codename) ||
	    (enabled && memmem(enabled, enabled_size, "no", 2)))
		return;
	kc_buf_append(out, stanza, (size_t)(types - stanza));
	kc_buf_append_str(out, " deb deb-src");
	kc_buf_append(out, types + types_size, (size_t)(stanza + size - (types + types_size)));
	kc_buf_append_str(out, "\n");
}

void kc_apt_convert_deb822(const char *text, const char *codename, struct kc_buf *out)
{
	while (*text) {
		const char *end = strstr(text, "\n\n");
		size_t size = end ? (size_t)(end + 1 - text) : strlen(text);

		convert_stanza(text, size, codename, out);
		text += size;
		text += *text == '\n';
	}
}

/* Reads every file that `pattern` names and converts it. */
static void convert_files(const char *pattern, const char *codename, bool deb822, struct kc_buf *out)
{
	glob_t found;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		kc_autobuf struct kc_buf text = { 0 };

		if (kc_file_read(found.gl_pathv[i], SOURCES_LIMIT, &text) || !text.data)
			continue;
		if (deb822)
			kc_apt_convert_deb822(text.data, codename, out);
		else
			kc_apt_convert_list(text.data, codename, out);
	}
	globfree(&found);
}

static void append_public_mirrors(const char *codename, struct kc_buf *out)
{
	kc_autobuf struct kc_buf text = { 0 };

	kc_buf_printf(&text, "deb http://deb.debian.org/debian %s main\n", codename);
	kc_buf_printf(&text, "deb http://deb.debian.org/debian %s-updates main\n", codename);
	kc_buf_printf(&text, "deb http://deb.debian.org/debian-security %s-security main\n", codename);
	if (!text.failed)
		kc_apt_convert_list(text.data, codename, out);
	out->failed |= text.failed;
}

static struct kc_error *write_file(const char *dir, const char *name, const struct kc_buf *text)
{
	kc_autofree char *path = kc_path_join(dir, name);
	int err;

	if (!path || text->failed)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, text->data ? text->data : "", text->size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

static struct kc_error *read_release(char **codename, char **id)
{
	kc_autobuf struct kc_buf os_release = { 0 };
	int err = kc_file_read(KC_OS_RELEASE_PATH, SOURCES_LIMIT, &os_release);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read " KC_OS_RELEASE_PATH);
	*codename = kc_os_release_value(os_release.data, "VERSION_CODENAME");
	*id = kc_os_release_value(os_release.data, "ID");
	if (!*codename || !**codename || !*id)
		return kc_error_new(KC_ERR_INPUT, "/etc/os-release does not name a Debian release; name files instead");
	return NULL;
}

struct kc_error *kc_apt_sources_write(const char *dir)
{
	kc_autobuf struct kc_buf list = { 0 }, deb822 = { 0 };
	kc_autofree char *codename = NULL, *id = NULL;

	KC_TRY(read_release(&codename, &id));
	convert_files("/etc/apt/sources.list", codename, false, &list);
	convert_files("/etc/apt/sources.list.d/*.list", codename, false, &list);
	convert_files("/etc/apt/sources.list.d/*.sources", codename, true, &deb822);
	if (!list.size && !deb822.size && !strcmp(id, "debian"))
		append_public_mirrors(codename, &list);
	if (!list.size && !deb822.size)
		return kc_error_new(KC_ERR_INPUT, "apt has no sources for %s", codename);
	KC_TRY(write_file(dir, "kcare.list", &list));
	return write_file(dir, "kcare.sources", &deb822);
}

/* The word `codename` in [text, text + size), by itself; NULL: it is not there. */
static const char *find_codename(const char *text, size_t size, const char *codename)
{
	size_t n = strlen(codename);

	for (const char *p = text; p + n <= text + size; p++)
		if (!memcmp(p, codename, n) && (p == text || isspace((unsigned char)p[-1])) &&
		    (p + n == text + size || isspace((unsigned char)p[n])))
			return p;
	return NULL;
}

void kc_apt_backports_list(const char *text, const char *codename, struct kc_buf *out)
{
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		size_t size = strcspn(text, "\n");
		const char *word = find_codename(text, size, codename);

		if (word)
			kc_buf_printf(out, "%.*s%s-backports%.*s\n", (int)(word - text), text, codename,
				      (int)(text + size - word - strlen(codename)), word + strlen(codename));
	}
}

void kc_apt_backports_deb822(const char *text, const char *codename, struct kc_buf *out)
{
	while (*text) {
		const char *end = strstr(text, "\n\n"), *suites;
		size_t size = end ? (size_t)(end + 1 - text) : strlen(text), suites_size;

		suites = stanza_field(text, size, "Suites", &suites_size);
		if (suites && find_codename(suites, suites_size, codename)) {
			kc_buf_append(out, text, (size_t)(suites - text));
			kc_buf_printf(out, " %s-backports", codename);
			kc_buf_append(out, suites + suites_size, (size_t)(text + size - (suites + suites_size)));
			kc_buf_append_str(out, "\n");
		}
		text += size;
		text += *text == '\n';
	}
}

static struct kc_error *read_file(const char *dir, const char *name, struct kc_buf *text)
{
	kc_autofree char *path = kc_path_join(dir, name);
	int err = path ? kc_file_read(path, SOURCES_LIMIT, text) : -ENOMEM;

	kc_buf_append(text, "", 0);
	return err && err != -ENOENT ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s in %s", name, dir) : NULL;
}

static bool has_backports(const struct kc_buf *text, const char *codename)
{
	kc_autofree char *name = NULL;

	if (asprintf(&name, "%s-backports", codename) < 0) {
		name = NULL;
		return false;
	}
	return text->data && strstr(text->data, name);
}

void kc_apt_backports_remove(const char *dir)
{
	static const char *const names[] = { "backports.list", "backports.sources" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		kc_autofree char *path = kc_path_join(dir, names[i]);

		if (path)
			unlink(path);
	}
}

struct kc_error *kc_apt_backports_write(const char *dir, bool *added)
{
	kc_autobuf struct kc_buf list = { 0 }, deb822 = { 0 }, old_list = { 0 }, new_list = { 0 }, new_deb822 = { 0 };
	kc_autofree char *codename = NULL, *id = NULL;

	*added = false;
	KC_TRY(read_release(&codename, &id));
	KC_TRY(read_file(dir, "kcare.list", &list));
	KC_TRY(read_file(dir, "kcare.sources", &deb822));
	KC_TRY(read_file(dir, "backports.list", &old_list));
	if (has_backports(&list, codename) || has_backports(&deb822, codename) || has_backports(&old_list, codename))
		return NULL;
	kc_apt_backports_list(list.data, codename, &new_list);
	kc_apt_backports_deb822(deb822.data, codename, &new_deb822);
	if (!new_list.size && !new_deb822.size && !strcmp(id, "debian"))
		kc_buf_printf(&new_list, "deb http://deb.debian.org/debian %s-backports main\n", codename);
	*added = new_list.size || new_deb822.size;
	/* Stands for both: found by the next run. */
	kc_buf_printf(&new_list, "# %s-backports\n", codename);
	KC_TRY(write_file(dir, "backports.sources", &new_deb822));
	return write_file(dir, "backports.list", &new_list);
}
