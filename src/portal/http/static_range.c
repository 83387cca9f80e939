/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "portal/http/static.h"

/* Digits only, as many as there are. */
static bool read_number(const char **text, uint64_t *number)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*number = strtoull(*text, &end, 10);
	if (errno)
		*number = UINT64_MAX;
	*text = end;
	return true;
}

enum kc_http_range kc_http_range_parse(const char *text, uint64_t file_size, uint64_t *offset, uint64_t *size)
{
	uint64_t first = 0, last = UINT64_MAX;
	bool has_first, has_last;

	if (strncmp(text, "bytes=", 6))
		return KC_HTTP_RANGE_NONE;
	text += 6;
	has_first = read_number(&text, &first);
	if (*text++ != '-')
		return KC_HTTP_RANGE_NONE;
	has_last = read_number(&text, &last);
	if (*text || (!has_first && !has_last) || (has_first && last < first))
		return KC_HTTP_RANGE_NONE;
	if (!has_first) { /* the last `last` bytes */
		if (!last || !file_size)
			return KC_HTTP_RANGE_OUTSIDE;
		first = last < file_size ? file_size - last : 0;
		last = UINT64_MAX;
	}
	if (first >= file_size)
		return KC_HTTP_RANGE_OUTSIDE;
	if (last >= file_size)
		last = file_size - 1;
	*offset = first;
	*size = last - first + 1;
	return KC_HTTP_RANGE_PART;
}
