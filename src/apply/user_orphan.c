/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds mappings that a killed patcher made and did not fill any more. */
#include "apply/user_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"

#define SMAPS_SIZE_MAX ((size_t)256 << 20)

static bool may_be_orphan(const struct kc_map *map)
{
	return map->exec && map->read && !map->write && !map->shared && !map->inode && !map->path[0];
}

/* One mapping's lines in smaps: never touched, and marked? */
static bool is_orphan(const char *lines)
{
	const char *rss = strstr(lines, "\nRss:"), *flags = strstr(lines, "\nVmFlags:");
	const char *end = flags ? strchr(flags + 1, '\n') : NULL;
	const char *mark = flags ? strstr(flags, " nr") : NULL;

	return rss && strtoul(rss + 5, NULL, 10) == 0 && end && mark && mark < end;
}

struct kc_error *kc_orphans_find(const struct kc_process_view *view, struct kc_range **orphans, size_t *n)
{
	kc_autobuf struct kc_buf smaps = { 0 };
	char path[64];
	bool any = false;

	for (size_t i = 0; i < view->n_maps; i++)
		any |= may_be_orphan(&view->maps[i]);
	snprintf(path, sizeof(path), "/proc/%d/smaps", view->pid);
	if (!any || kc_file_read(path, SMAPS_SIZE_MAX, &smaps))
		return NULL;
	for (size_t i = 0; i < view->n_maps; i++) {
		const struct kc_map *map = &view->maps[i];
		struct kc_range *orphan;
		const char *lines;
		char head[64];

		snprintf(head, sizeof(head), "%" PRIx64 "-%" PRIx64 " ", map->start, map->end);
		lines = may_be_orphan(map) ? strstr(smaps.data, head) : NULL;
		if (!lines || !is_orphan(lines))
			continue;
		orphan = kc_array_add(orphans, n);
		if (!orphan)
			return kc_error_no_memory();
		*orphan = (struct kc_range){ map->start, map->end };
	}
	return NULL;
}
