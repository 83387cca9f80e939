// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which livepatches are in the kernel. In a file of its own, without hashes and patch files, because programs that only
 * ask for the state are to stay small.
 */
#include <dirent.h>
#include <string.h>

#include "apply/kernel_read.h"
#include "base/array.h"
#include "base/file.h"

void kc_kernel_clear(struct kc_kernel *kernel)
{
	free(kernel->release);
	free(kernel->version);
	free(kernel->build_id);
	memset(kernel, 0, sizeof(*kernel));
}

/* The level that kcare.ko shows; 0: none. */
static uint32_t published_level(void)
{
	kc_autobuf struct kc_buf text = { 0 };

	return kc_file_read("/proc/kcare/level", 64, &text) || !text.data ? 0 : (uint32_t)strtoul(text.data, NULL, 10);
}

uint32_t kc_module_level(const char *name)
{
	const char *number = strrchr(name, '_');

	return kc_module_is_ours(name) && number ? (uint32_t)strtoul(number + 1, NULL, 10) : 0;
}

static bool describe_loaded(const char *name, uint32_t published, struct kc_kernel_loaded *loaded)
{
	int enabled = kc_livepatch_get(name, "enabled"), transition = kc_livepatch_get(name, "transition");

	if (enabled < 0 || transition < 0) /* just gone */
		return false;
	snprintf(loaded->name, sizeof(loaded->name), "%.63s", name);
	loaded->is_ours = kc_module_is_ours(name);
	loaded->is_enabled = enabled;
	loaded->in_transition = transition;
	loaded->is_forced = loaded->is_ours && kc_forced_is_noted();
	loaded->level = published && kc_module_level(name) == published ? published : 0;
	return true;
}

struct kc_error *kc_kernel_list(struct kc_ctx *ctx, struct kc_kernel_loaded **loaded, size_t *n)
{
	kc_autoclosedir DIR *dir = opendir(KC_LIVEPATCH_DIR);
	kc_autofree struct kc_kernel_loaded *list = NULL;
	uint32_t published = published_level();
	struct dirent *entry;
	size_t count = 0;

	(void)ctx;
	while (dir && (entry = readdir(dir))) {
		struct kc_kernel_loaded one = { 0 }, *added;

		if (entry->d_name[0] == '.' || !describe_loaded(entry->d_name, published, &one))
			continue;
		added = kc_array_add(&list, &count);
		if (!added)
			return kc_error_no_memory();
		*added = one;
	}
	*loaded = kc_steal(list);
	*n = count;
	return NULL;
}
