/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/os_release.h"

#include <string.h>

#include "base/cleanup.h"

char *kc_os_release_value(const char *text, const char *name)
{
	size_t n = strlen(name), size;

	for (; text && *text; text = strchr(text, '\n'), text += text ? 1 : 0) {
		if (strncmp(text, name, n) || text[n] != '=')
			continue;
		text += n + 1;
		size = strcspn(text, "\n");
		if (size >= 2 && (*text == '"' || *text == '\'') && text[size - 1] == *text)
			return strndup(text + 1, size - 2);
		return strndup(text, size);
	}
	return NULL;
}

char *kc_os_distro(const char *text)
{
	kc_autofree char *id = kc_os_release_value(text, "ID"), *version = kc_os_release_value(text, "VERSION_ID");
	char *distro;

	if (!id || !*id)
		return NULL;
	if (asprintf(&distro, "%s%.*s", id, version ? (int)strcspn(version, ".") : 0, version ? version : "") < 0)
		return NULL;
	return distro;
}
