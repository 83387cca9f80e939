/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/userspace_memory.h"

#include <string.h>

#include "base/array.h"
#include "base/hex.h"
#include "proc/process.h"

void kc_build_ids_clear(struct kc_build_ids *build_ids)
{
	free(build_ids->ids);
	*build_ids = (struct kc_build_ids){ 0 };
}

struct kc_error *kc_build_ids_add(struct kc_build_ids *build_ids, const char *build_id)
{
	char(*added)[KC_BUILD_ID_TEXT_SIZE] = kc_array_add(&build_ids->ids, &build_ids->n_ids);

	if (!added)
		return kc_error_no_memory();
	snprintf(*added, sizeof(*added), "%s", build_id);
	return NULL;
}

static struct kc_error *add_process(struct kc_ctx *ctx, pid_t pid, struct kc_build_ids *build_ids)
{
	kc_autoprocess struct kc_process_view *view = NULL;
	kc_autoerror struct kc_error *err = kc_process_view_open(ctx, pid, &view);

	if (err && kc_error_code(err) == KC_ERR_NO_MEMORY)
		return kc_steal(err);
	if (err)
		kc_debug(ctx, "pid %d: %s", pid, kc_error_message(err));
	for (size_t i = 0; !err && i < view->n_objects; i++) {
		const struct kc_object *object = &view->objects[i];
		char text[KC_BUILD_ID_TEXT_SIZE];

		if (!object->build_id_size)
			continue;
		kc_hex_encode(object->build_id, object->build_id_size, text);
		KC_TRY(kc_build_ids_add(build_ids, text));
	}
	return NULL;
}

struct kc_error *kc_build_ids_add_memory(struct kc_ctx *ctx, struct kc_build_ids *build_ids)
{
	kc_autofree pid_t *pids = NULL;
	size_t n_pids = 0;

	KC_TRY(kc_process_list(ctx, &pids, &n_pids));
	for (size_t i = 0; i < n_pids; i++)
		KC_TRY(add_process(ctx, pids[i], build_ids));
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(a, b);
}

void kc_build_ids_sort(struct kc_build_ids *build_ids)
{
	size_t n = 0;

	if (!build_ids->n_ids)
		return;
	qsort(build_ids->ids, build_ids->n_ids, sizeof(*build_ids->ids), compare_ids);
	for (size_t i = 0; i < build_ids->n_ids; i++)
		if (!n || strcmp(build_ids->ids[n - 1], build_ids->ids[i]) != 0)
			memmove(build_ids->ids[n++], build_ids->ids[i], sizeof(*build_ids->ids));
	build_ids->n_ids = n;
}

bool kc_build_ids_have(const struct kc_build_ids *build_ids, const char *build_id)
{
	return build_ids->n_ids &&
	       bsearch(build_id, build_ids->ids, build_ids->n_ids, sizeof(*build_ids->ids), compare_ids);
}

bool kc_build_ids_concern(const struct kc_build_ids *build_ids, const struct kc_user_index_package *package)
{
	for (size_t i = 0; i < build_ids->n_ids && package->n_prefixes; i++) {
		char prefix[KC_USER_INDEX_PREFIX_SIZE];

		snprintf(prefix, sizeof(prefix), "%.8s", build_ids->ids[i]);
		if (bsearch(prefix, package->prefixes, package->n_prefixes, sizeof(*package->prefixes), compare_ids))
			return true;
	}
	return false;
}
