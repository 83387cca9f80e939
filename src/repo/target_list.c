/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a feed has for one target. */
#include "repo/target_list.h"

#include <string.h>

void kc_target_list_clear(struct kc_target_list *list)
{
	for (size_t i = 0; i < list->n_entries; i++) {
		free(list->entries[i].target);
		free(list->entries[i].type);
		free(list->entries[i].patchset);
	}
	free(list->entries);
	free(list->feed);
	free(list->path);
	free(list->title);
	memset(list, 0, sizeof(*list));
}

char *kc_blob_path(const char *hash)
{
	char *path;

	return asprintf(&path, "blobs/%.2s/%s.kpatch", hash, hash) < 0 ? NULL : path;
}
