/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What compilers put into names: numbers, suffixes of clones, the scopes of C++. */
#include "diff/diff_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool diff_is_mangled_static(const char *name)
{
	return strncmp(name, "_ZZ", 3) == 0 || strncmp(name, "_ZGVZ", 5) == 0;
}

/* Itanium C++ ABI: "", "_0" to "_9", or "__10_" and so on. */
static bool is_discriminator(const char *text)
{
	size_t digits;

	if (*text == '\0')
		return true;
	if (text[0] != '_')
		return false;
	if (text[1] != '_')
		return isdigit((unsigned char)text[1]) && text[2] == '\0';
	digits = strspn(text + 2, "0123456789");
	return digits > 1 && strcmp(text + 2 + digits, "_") == 0;
}

/*
 * The second static variable `n` of f() is _ZZ1fvE1n_0: the length of what tells it from the first. Its source name is
 * preceded by its length, so that a variable called n_0 is not meant.
 */
static size_t discriminator_length(const char *name)
{
	size_t length = strlen(name);

	if (!diff_is_mangled_static(name))
		return 0;
	for (const char *at = name + length - 1; at > name; at--) {
		const char *digits = at + 1;
		char *source_name;
		unsigned long source_length;

		if (*at != 'E' || !isdigit((unsigned char)*digits))
			continue;
		source_length = strtoul(digits, &source_name, 10);
		if (source_length <= strlen(source_name) && is_discriminator(source_name + source_length))
			return strlen(source_name + source_length);
	}
	return 0;
}

/* Leaves out every ".NUMBER": "foo.part.0" becomes "foo.part". */
char *diff_base_name(const char *name)
{
	static const char initialiser[] = "_GLOBAL__sub_I_"; /* named after the first global thing or the file */
	char *base = malloc(strlen(name) + sizeof(initialiser)), *out = base;
	const char *end_of_name;

	if (!base)
		return NULL;
	if (strncmp(name, initialiser, strlen(initialiser)) == 0)
		name = initialiser;
	end_of_name = name + strlen(name) - discriminator_length(name);
	while (name < end_of_name) {
		const char *end = name + 1;

		while (isdigit((unsigned char)*end))
			end++;
		if (*name == '.' && end > name + 1 && (*end == '.' || *end == '\0'))
			name = end;
		else
			*out++ = *name++;
	}
	*out = '\0';
	return base;
}

size_t diff_parent_length(const char *name)
{
	static const char *const suffixes[] = { ".part.", ".constprop.", ".isra." };
	const char *cold = strstr(name, ".cold");
	const char *end = NULL;

	if (cold && (cold[5] == '\0' || cold[5] == '.'))
		return cold - name;
	for (size_t i = 0; i < 3; i++) {
		const char *at = strstr(name, suffixes[i]);

		if (at && (!end || at < end))
			end = at;
	}
	return end ? end - name : 0;
}
