/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From fixes to a kernel patch file: the way of kcare-build kernel, step by step. */
#include "build/kernel.h"

#include <string.h>

#include "base/file.h"
#include "build/kernel_parts.h"
#include "build/kernel_patch.h"
#include "build/scratch.h"
#include "build/touched.h"

static struct kc_error *check_request(const struct kc_build_kernel_request *request)
{
	if (!request->level)
		return kc_error_new(KC_ERR_USAGE, "the level is a number from 1 on; give it with --level");
	if (!request->patchset || !*request->patchset)
		return kc_error_new(KC_ERR_USAGE, "the patchset has no name; give it with --patchset");
	if (!request->key_path || !request->output_dir)
		return kc_error_new(KC_ERR_USAGE, "a key and an output folder are needed; give them with --key and -o");
	return NULL;
}

/* Another type than the default one is part of the name: both may be in one cache. */
static bool is_default(const struct kc_build_kernel_request *request)
{
	return !request->type || !strcmp(request->type, "default");
}

static struct kc_error *open_previous(struct kc_ctx *ctx, const struct kc_build_kernel_request *request,
				      struct kc_patch **previous)
{
	if (!request->previous_path) {
		if (request->level > 1)
			kc_warning(
				ctx,
				"level %u without --previous: variables and states of the level before are not taken "
				"over",
				request->level);
		return NULL;
	}
	KC_TRY(kc_patch_peek(ctx, request->previous_path, previous));
	if ((*previous)->manifest.kind != KC_PATCH_KERNEL)
		return kc_error_new(KC_ERR_INPUT, "%s is no kernel patch", request->previous_path);
	if ((*previous)->manifest.level >= request->level)
		return kc_error_new(KC_ERR_INPUT, "%s is level %u: the level before %u is needed",
				    request->previous_path, (*previous)->manifest.level, request->level);
	return NULL;
}

static struct kc_error *check_previous(const struct kc_kernel_tree *tree, const struct kc_patch *previous,
				       const char *path)
{
	if (!previous || !strcmp(previous->manifest.target, tree->image->kernel_id))
		return NULL;
	return kc_error_new(KC_ERR_WRONG_TARGET, "%s is for the kernel %s, not for %s", path,
			    previous->manifest.kernel.release, tree->release);
}

/* The last fix that names one wins: fixes are given in their order. */
static const char *effective_version(const struct kc_build_kernel_request *request, const struct kc_fixes *fixes,
				     const struct kc_kernel_tree *tree)
{
	const char *version = tree->release;

	for (size_t i = 0; i < fixes->n_items; i++)
		if (fixes->items[i]->effective_version)
			version = fixes->items[i]->effective_version;
	return request->effective_version ? request->effective_version : version;
}

static struct kc_error *open_template(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, struct kc_elf **elf,
				      struct kc_kernel_layout *layout)
{
	kc_autofree char *path = kc_path_join(tree->kmod_dir, "kcare_template.ko");

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_elf_open(ctx, path, elf));
	return kc_kernel_layout_read(*elf, layout);
}

/* "kernel-0123456789ab-3.kpatch" */
static struct kc_error *write_patch(const struct kc_build_kernel_request *request, const struct kc_kernel_tree *tree,
				    const struct kc_buf *data, char **path)
{
	bool plain = is_default(request);
	int err = kc_dir_make(request->output_dir, 0755);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make %s", request->output_dir);
	if (asprintf(path, "%s/kernel-%.12s-%u%s%s.kpatch", request->output_dir, tree->image->kernel_id, request->level,
		     plain ? "" : "-", plain ? "" : request->type) < 0) {
		*path = NULL;
		return kc_error_no_memory();
	}
	err = kc_file_write_atomic(*path, data->data, data->size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", *path) : NULL;
}

/* Objects first, then what changes in them, then the proof that they are the kernel's. */
static struct kc_error *find_parts(struct kc_ctx *ctx, struct kc_kernel_tree *tree,
				   const struct kc_build_kernel_request *request, const struct kc_fixes *fixes,
				   const struct kc_kernel_layout *layout, const char *work_dir,
				   struct kc_kernel_parts *parts)
{
	kc_autotouched struct kc_touched *touched = NULL;

	KC_TRY(kc_touched_apply(ctx, tree->tree, fixes->items, fixes->n_items, &touched));
	KC_TRY(kc_kernel_select(ctx, tree, touched, request->max_objects, request->jobs));
	KC_TRY(kc_kernel_compare(ctx, tree, touched, layout, request->allowed, work_dir, request->jobs, parts));
	return kc_kernel_prove(ctx, tree, request->jobs, parts);
}

static struct kc_error *build(struct kc_ctx *ctx, const struct kc_build_kernel_request *request,
			      struct kc_kernel_tree *tree, struct kc_kernel_patch *patch, const struct kc_key *key,
			      const struct kc_module_key *module_key, struct kc_buf *out)
{
	kc_autoscratch struct kc_scratch objects = { 0 }, module = { 0 };
	KC_CLEANUP(kc_kernel_parts_clear) struct kc_kernel_parts parts = { 0 };
	kc_autoelf struct kc_elf *template_elf = NULL;
	struct kc_kernel_layout layout;

	KC_TRY(open_template(ctx, tree, &template_elf, &layout));
	KC_TRY(kc_scratch_make(tree->tree->scratch_dir, &objects));
	KC_TRY(kc_scratch_make(tree->tree->scratch_dir, &module));
	KC_TRY(find_parts(ctx, tree, request, patch->fixes, &layout, objects.path, &parts));
	return kc_kernel_patch_make(ctx, tree, patch, &parts, template_elf, module.path, key, module_key, out);
}

struct kc_error *kc_build_kernel(struct kc_ctx *ctx, const struct kc_build_kernel_request *request, char **path)
{
	kc_autofixes struct kc_fixes fixes = { 0 };
	kc_autokey struct kc_key *key = NULL;
	kc_automodulekey struct kc_module_key *module_key = NULL;
	kc_autopatch struct kc_patch *previous = NULL;
	kc_autokerneltree struct kc_kernel_tree *tree = NULL;
	kc_autobuf struct kc_buf data = { 0 };
	struct kc_kernel_patch patch = { .request = request, .fixes = &fixes };
	struct kc_manifest_values values;

	KC_TRY(check_request(request));
	KC_TRY(kc_diff_check_allowed(request->allowed));
	KC_TRY(kc_fixes_read(ctx, request->fix_paths, &fixes));
	values = kc_kernel_manifest_values(&patch);
	KC_TRY(kc_build_manifest_check(&values));
	KC_TRY(kc_key_load(ctx, request->key_path, &key));
	if (request->module_key_path)
		KC_TRY(kc_module_key_load(ctx, request->module_key_path, &module_key));
	KC_TRY(open_previous(ctx, request, &previous));
	KC_TRY(kc_kernel_tree_open(ctx, request, &tree));
	KC_TRY(check_previous(tree, previous, request->previous_path));
	patch.previous = previous;
	patch.effective_version = effective_version(request, &fixes, tree);
	snprintf(patch.module_name, sizeof(patch.module_name), "kcare_livepatch_%s%s%u",
		 is_default(request) ? "" : request->type, is_default(request) ? "" : "_", request->level);
	KC_TRY(build(ctx, request, tree, &patch, key, module_key, &data));
	return write_patch(request, tree, &data, path);
}
