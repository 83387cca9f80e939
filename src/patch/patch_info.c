/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "patch/patch_info.h"

#include <time.h>

void kc_patch_info_time(int64_t seconds, char text[20])
{
	time_t when = (time_t)seconds;
	struct tm utc;

	if (!gmtime_r(&when, &utc) || !strftime(text, 20, "%Y-%m-%d %H:%M:%S", &utc))
		snprintf(text, 20, "N/A");
}

void kc_patch_info_head(struct kc_buf *text, const char *os, const char *release, int64_t time,
			const char *effective_version)
{
	char when[20];

	kc_patch_info_time(time, when);
	kc_buf_printf(text, "OS: %s\nkernel: %s\ntime: %s\nuname: %s\n", os, release, when, effective_version);
}

static const char *or_unknown(const char *text)
{
	return text && *text ? text : "N/A";
}

/* A line break would end the field, and an empty line the paragraph. */
static void append_line(struct kc_buf *text, const char *value)
{
	size_t begin = text->size;

	kc_buf_append_str(text, or_unknown(value));
	for (size_t i = begin; i < text->size; i++)
		if (text->data[i] == '\n')
			text->data[i] = ' ';
	kc_buf_append_str(text, "\n");
}

void kc_patch_info_fix(struct kc_buf *text, const struct kc_fix_info *fix, const char *effective_version)
{
	kc_buf_append_str(text, "\nkpatch-name: ");
	append_line(text, fix->name);
	kc_buf_append_str(text, "kpatch-description: ");
	append_line(text, fix->description);
	kc_buf_printf(text, "kpatch-kernel: %s\nkpatch-cve: ", effective_version);
	for (size_t i = 0; i < fix->n_cves; i++)
		kc_buf_printf(text, "%s%s", i ? " " : "", fix->cves[i]);
	kc_buf_printf(text, "%s\nkpatch-cvss: %s\nkpatch-cve-url: %s\nkpatch-patch-url: %s\n", fix->n_cves ? "" : "N/A",
		      or_unknown(fix->cvss), or_unknown(fix->cve_url), or_unknown(fix->patch_url));
}
