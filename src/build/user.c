/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From fixes to patch files: the way of kcare-build user, step by step. */
#include "build/user.h"

#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "build/fix.h"
#include "build/proof.h"
#include "build/manifest.h"
#include "build/objects.h"
#include "build/scratch.h"
#include "build/touched.h"
#include "build/tree.h"
#include "diff/diff.h"
#include "patch/user_payload.h"

struct output {
	char *path;
	struct kc_buf data;
};

struct outputs {
	struct output *items;
	size_t n_items;
};

static void outputs_clear(struct outputs *outputs)
{
	for (size_t i = 0; i < outputs->n_items; i++) {
		free(outputs->items[i].path);
		kc_buf_free(&outputs->items[i].data);
	}
	free(outputs->items);
}

static struct kc_error *check_request(const struct kc_build_user_request *request)
{
	if (!request->level)
		return kc_error_new(KC_ERR_USAGE, "the level is a number from 1 on");
	if (!request->patchset || !*request->patchset)
		return kc_error_new(KC_ERR_USAGE, "the patchset has no name");
	if (!request->key_path || !request->output_dir)
		return kc_error_new(KC_ERR_USAGE, "a key and an output folder are needed");
	return NULL;
}

/* "libcrypto.so.3-0123456789ab-1.kpatch"; another type than the default one is part of the name. */
static char *output_path(const struct kc_build_user_request *request, const struct kc_manifest *manifest)
{
	bool is_default = !strcmp(manifest->type, "default");
	char *path;

	return asprintf(&path, "%s/%s-%.12s-%u%s%s.kpatch", request->output_dir, manifest->object, manifest->target,
			manifest->level, is_default ? "" : "-", is_default ? "" : manifest->type) < 0
		       ? NULL
		       : path;
}

static struct kc_manifest_values manifest_values(const struct kc_build_user_request *request,
						 const struct kc_fixes *fixes)
{
	return (struct kc_manifest_values){ .kind = KC_PATCH_USER,
					    .type = request->type,
					    .patchset = request->patchset,
					    .package = request->package,
					    .version = request->version,
					    .level = request->level,
					    .allowed = request->allowed,
					    .fixes = fixes->items,
					    .n_fixes = fixes->n_items };
}

static struct kc_error *encode(struct kc_ctx *ctx, const struct kc_build_user_request *request,
			       const struct kc_fixes *fixes, const struct kc_elf *linked, const struct kc_buf *payload,
			       const struct kc_key *key, struct output *output)
{
	struct kc_patch_payload payloads[] = {
		{ .name = KC_PAYLOAD_NAME, .data = payload->data, .size = payload->size }
	};
	const char *object = linked->soname ? linked->soname : kc_path_name(linked->name);
	kc_autofree char *target = kc_elf_build_id_text(linked);
	struct kc_manifest_values values = manifest_values(request, fixes);
	struct kc_manifest manifest = { 0 };
	struct kc_error *err;

	if (!target)
		return kc_error_no_memory();
	values.target = target;
	values.object = object;
	err = kc_build_manifest(&values, &manifest);
	if (!err)
		err = kc_patch_encode(ctx, &manifest, payloads, KC_ARRAY_SIZE(payloads), key, &output->data);
	if (!err) {
		output->path = output_path(request, &manifest);
		err = output->path ? NULL : kc_error_no_memory();
	}
	kc_manifest_clear(&manifest);
	return err;
}

static struct kc_error *emit_all(struct kc_ctx *ctx, const struct kc_build_user_request *request,
				 const struct kc_fixes *fixes, const struct kc_tree *tree, const struct kc_proof *list,
				 const struct kc_key *key, struct outputs *outputs)
{
	for (size_t i = 0; i < list->n_items; i++) {
		kc_autobuf struct kc_buf payload = { 0 };
		struct output *output;

		if (!kc_proved_file_changes(&list->items[i]))
			continue;
		output = kc_array_add(&outputs->items, &outputs->n_items);
		if (!output)
			return kc_error_no_memory();
		KC_TRY(kc_proof_emit(ctx, tree, &list->items[i], request->allowed, &payload));
		KC_TRY(encode(ctx, request, fixes, list->items[i].elf, &payload, key, output));
	}
	return NULL;
}

/* Nothing is written before everything is built. */
static struct kc_error *write_all(const char *dir, const struct outputs *outputs)
{
	int err = kc_dir_make(dir, 0755);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make %s", dir);
	for (size_t i = 0; i < outputs->n_items; i++) {
		const struct output *output = &outputs->items[i];

		err = kc_file_write_atomic(output->path, output->data.data, output->data.size, 0644);
		if (err)
			return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", output->path);
	}
	return NULL;
}

static struct kc_error *take_paths(struct outputs *outputs, char ***paths)
{
	*paths = calloc(outputs->n_items + 1, sizeof(**paths));
	if (!*paths)
		return kc_error_no_memory();
	for (size_t i = 0; i < outputs->n_items; i++)
		(*paths)[i] = kc_steal(outputs->items[i].path);
	return NULL;
}

struct kc_error *kc_build_user(struct kc_ctx *ctx, const struct kc_build_user_request *request, char ***paths)
{
	kc_autofixes struct kc_fixes fixes = { 0 };
	KC_CLEANUP(outputs_clear) struct outputs outputs = { 0 };
	kc_autoscratch struct kc_scratch work = { 0 };
	kc_autokey struct kc_key *key = NULL;
	kc_autotree struct kc_tree *tree = NULL;
	kc_autotouched struct kc_touched *touched = NULL;
	kc_autoobjects struct kc_objects *objects = NULL;
	kc_autoproof struct kc_proof *list = NULL;
	struct kc_manifest_values values;

	KC_TRY(check_request(request));
	KC_TRY(kc_diff_check_allowed(request->allowed));
	KC_TRY(kc_fixes_read(ctx, request->fix_paths, &fixes));
	values = manifest_values(request, &fixes);
	KC_TRY(kc_build_manifest_check(&values));
	KC_TRY(kc_key_load(ctx, request->key_path, &key));
	KC_TRY(kc_tree_open(ctx, request, &tree));
	KC_TRY(kc_touched_find(ctx, tree, fixes.items, fixes.n_items, request->jobs, &touched));
	KC_TRY(kc_scratch_make(tree->scratch_dir, &work));
	KC_TRY(kc_objects_make(ctx, tree, touched, work.path, request->jobs, &objects));
	KC_TRY(kc_proof_prove(ctx, tree, touched, objects, &list));
	KC_TRY(kc_proof_compare(ctx, list, request->allowed));
	KC_TRY(emit_all(ctx, request, &fixes, tree, list, key, &outputs));
	KC_TRY(write_all(request->output_dir, &outputs));
	return take_paths(&outputs, paths);
}
