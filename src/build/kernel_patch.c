/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/kernel_patch.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "build/words.h"
#include "patch/patch_info.h"

enum { TEXT_LIMIT = 64 << 20 };

static struct kc_error *append_file(const char *dir, const char *name, struct kc_buf *text)
{
	kc_autofree char *path = kc_path_join(dir, name);
	int err = path ? kc_file_read(path, TEXT_LIMIT, text) : -ENOMEM;

	return err ? kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s/%s", dir, name) : NULL;
}

/* ---- what kcare.ko shows ---- */

/* One CVE per line, each once. */
static void make_cvelist(const struct kc_fixes *fixes, struct kc_buf *text)
{
	kc_buf_append(text, "", 0);
	for (size_t i = 0; i < fixes->n_items; i++) {
		const struct kc_fix_info *info = &fixes->items[i]->info;

		for (size_t k = 0; k < info->n_cves; k++) {
			char line[64];

			snprintf(line, sizeof(line), "%s\n", info->cves[k]);
			if (!text->data || !strstr(text->data, line))
				kc_buf_append_str(text, line);
		}
	}
}

static const char *os_name(const struct kc_kernel_object *image)
{
	static const char *const names[] = { "Debian", "Ubuntu", "Red Hat", "SUSE" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (strstr(image->proc_version, names[i]))
			return names[i];
	return "Linux";
}

static void make_patch_info(const struct kc_kernel_tree *tree, const struct kc_kernel_patch *patch, struct kc_buf *text)
{
	kc_patch_info_head(text, os_name(tree->image), tree->release, (int64_t)time(NULL), patch->effective_version);
	for (size_t i = 0; i < patch->fixes->n_items; i++)
		kc_patch_info_fix(text, &patch->fixes->items[i]->info, patch->effective_version);
}

/* ---- the level before ---- */

static bool has_state(const struct kc_kernel_emitted *emitted, uint64_t id)
{
	for (size_t i = 0; i < emitted->n_states; i++)
		if (emitted->states[i] == id)
			return true;
	return false;
}

static bool has_text(char *const *list, const char *text)
{
	for (; list && *list; list++)
		if (!strcmp(*list, text))
			return true;
	return false;
}

/* On replacement the old level's callbacks do not run: what it owns must be owned by this one. */
static struct kc_error *check_taken_over(struct kc_ctx *ctx, const struct kc_patch *previous,
					 const struct kc_kernel_emitted *emitted)
{
	const struct kc_kernel_manifest *before = previous ? &previous->manifest.kernel : NULL;

	for (size_t i = 0; before && i < before->n_states; i++)
		if (!has_state(emitted, before->states[i]))
			return kc_error_rule(
				"state",
				"level %u owns the state %ju, which this level does not take over; keep the "
				"fix with its KCARE_STATE(), or bring one that cleans up",
				previous->manifest.level, (uintmax_t)before->states[i]);
	for (size_t i = 0; before && i < before->n_switches; i++)
		if (!has_text(emitted->switches, before->switches[i]))
			kc_warning(ctx, "level %u has the switch %s, and this level does not", previous->manifest.level,
				   before->switches[i]);
	return NULL;
}

static struct kc_error *previous_globals(const struct kc_patch *previous, struct kc_kernel_globals *globals)
{
	const struct kc_kernel_manifest *before = previous ? &previous->manifest.kernel : NULL;

	if (!before || !before->n_globals)
		return NULL;
	globals->items = calloc(before->n_globals, sizeof(*globals->items));
	if (!globals->items)
		return kc_error_no_memory();
	globals->n_items = before->n_globals;
	for (size_t i = 0; i < before->n_globals; i++)
		globals->items[i] = (struct kc_kernel_global){ .name = before->globals[i].name,
							       .offset = before->globals[i].offset,
							       .size = before->globals[i].size,
							       .align = before->globals[i].align };
	return NULL;
}

/* ---- the module ---- */

/* A kernel that has objtool needs what it adds: unwind data, return sites. */
static struct kc_error *check_no_objtool(const struct kc_kernel_tree *tree)
{
	kc_autofree char *objtool = kc_path_join(tree->obj_dir, "tools/objtool/objtool");

	if (!objtool)
		return kc_error_no_memory();
	if (access(objtool, F_OK))
		return NULL;
	return kc_error_new(KC_ERR_SYSTEM, "%s/.kcare.o.cmd does not say how this kernel's build calls objtool",
			    tree->kmod_dir);
}

/*
 * The objtool line of kcare.ko, "…; ./tools/objtool/objtool FLAGS --module kcare.o", without its last word: what this
 * kernel's build does to a module of one object.
 */
static struct kc_error *find_objtool(const struct kc_kernel_tree *tree, struct kc_words *words)
{
	kc_autobuf struct kc_buf text = { 0 };
	const char *start;
	char *path = NULL;

	KC_TRY(append_file(tree->kmod_dir, ".kcare.o.cmd", &text));
	start = text.data ? strstr(text.data, "; ./tools/objtool/objtool ") : NULL;
	if (!start)
		return check_no_objtool(tree);
	kc_autofree char *line = strndup(start + 2, strcspn(start + 2, "\n;"));
	if (!line)
		return kc_error_no_memory();
	KC_TRY(kc_words_split(line, tree->obj_dir, words));
	if (words->n_items < 2 || asprintf(&path, "%s/%s", tree->obj_dir, words->items[0] + 2) < 0)
		return kc_error_no_memory();
	free(words->items[0]);
	words->items[0] = path;
	free(words->items[--words->n_items]);
	words->items[words->n_items] = NULL;
	return NULL;
}

static size_t count_placements(const struct kc_kernel_parts *parts)
{
	size_t n = 0;

	for (size_t i = 0; i < parts->n_items; i++)
		n += parts->items[i]->n_placements;
	return n;
}

static struct kc_kernel_emit_object *list_objects(const struct kc_kernel_parts *parts, size_t *n)
{
	struct kc_kernel_emit_object *objects = calloc(count_placements(parts) + 1, sizeof(*objects));

	*n = 0;
	for (size_t i = 0; objects && i < parts->n_items; i++)
		for (size_t k = 0; k < parts->items[i]->n_placements; k++)
			objects[(*n)++] = (struct kc_kernel_emit_object){ .name = parts->items[i]->object.name,
									  .diff = parts->items[i]->diff,
									  .placement = parts->items[i]->placements[k] };
	return objects;
}

static struct kc_error *emit(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, const struct kc_kernel_patch *patch,
			     const struct kc_kernel_parts *parts, const struct kc_elf *template_elf,
			     const char *work_dir, struct kc_kernel_emitted *emitted, struct kc_buf *module)
{
	kc_autobuf struct kc_buf symvers = { 0 }, cvelist = { 0 }, info = { 0 };
	kc_autofree char *template_path = kc_path_join(tree->kmod_dir, "kcare_template.ko");
	KC_CLEANUP(kc_words_clear) struct kc_words objtool = { 0 };
	struct kc_kernel_globals previous = { 0 };
	struct kc_kernel_emit_options options = { .image = tree->image,
						  .template_elf = template_elf,
						  .template_path = template_path,
						  .module_name = patch->module_name,
						  .allowed = patch->request->allowed,
						  .work_dir = work_dir,
						  .level = patch->request->level,
						  .effective_version = patch->effective_version,
						  .previous = patch->previous ? &previous : NULL };
	kc_autofree struct kc_kernel_emit_object *objects = NULL;
	struct kc_error *err;
	size_t n;

	KC_TRY(append_file(tree->headers_dir, "Module.symvers", &symvers));
	KC_TRY(append_file(tree->kmod_dir, "Module.symvers", &symvers));
	KC_TRY(find_objtool(tree, &objtool));
	make_cvelist(patch->fixes, &cvelist);
	make_patch_info(tree, patch, &info);
	objects = list_objects(parts, &n);
	if (!objects || !template_path || symvers.failed || cvelist.failed || info.failed)
		return kc_error_no_memory();
	options.symvers = symvers.data;
	options.cvelist = cvelist.data ? cvelist.data : "";
	options.patch_info = info.data;
	options.objtool = objtool.n_items ? (const char *const *)objtool.items : NULL;
	err = previous_globals(patch->previous, &previous);
	if (!err)
		err = kc_kernel_emit(ctx, objects, n, &options, emitted, module);
	free(previous.items);
	return err;
}

/* ---- the manifest ---- */

struct kc_manifest_values kc_kernel_manifest_values(const struct kc_kernel_patch *patch)
{
	return (struct kc_manifest_values){ .kind = KC_PATCH_KERNEL,
					    .type = patch->request->type,
					    .patchset = patch->request->patchset,
					    .level = patch->request->level,
					    .allowed = patch->request->allowed,
					    .fixes = patch->fixes->items,
					    .n_fixes = patch->fixes->n_items };
}

static size_t count_texts(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* The manifest takes what the emitter found out. */
static struct kc_error *fill_kernel(const struct kc_kernel_tree *tree, const struct kc_kernel_patch *patch,
				    struct kc_kernel_emitted *emitted, struct kc_kernel_manifest *kernel)
{
	size_t n = emitted->globals.n_items;

	kernel->release = strdup(tree->release);
	kernel->effective_version = strdup(patch->effective_version);
	kernel->build_id = kc_elf_build_id_text(tree->image->elf);
	kernel->module = strdup(patch->module_name);
	kernel->globals = calloc(n + 1, sizeof(*kernel->globals));
	if (!kernel->release || !kernel->effective_version || !kernel->build_id || !kernel->module || !kernel->globals)
		return kc_error_no_memory();
	kernel->n_functions = count_texts(emitted->functions);
	kernel->functions = kc_steal(emitted->functions);
	kernel->n_switches = count_texts(emitted->switches);
	kernel->switches = kc_steal(emitted->switches);
	kernel->n_states = emitted->n_states;
	kernel->states = kc_steal(emitted->states);
	kernel->is_pinned = emitted->is_pinned;
	for (; kernel->n_globals < n; kernel->n_globals++) {
		struct kc_kernel_global *global = &emitted->globals.items[kernel->n_globals];

		kernel->globals[kernel->n_globals].offset = global->offset;
		kernel->globals[kernel->n_globals].size = global->size;
		kernel->globals[kernel->n_globals].align = global->align;
		kernel->globals[kernel->n_globals].name = kc_steal(global->name);
	}
	return NULL;
}

static struct kc_error *make_manifest(const struct kc_kernel_tree *tree, const struct kc_kernel_patch *patch,
				      struct kc_kernel_emitted *emitted, struct kc_manifest *manifest)
{
	struct kc_manifest_values values = kc_kernel_manifest_values(patch);

	values.target = tree->image->kernel_id;
	values.object = "vmlinux";
	values.package = tree->package;
	values.version = tree->version;
	KC_TRY(kc_build_manifest(&values, manifest));
	return fill_kernel(tree, patch, emitted, &manifest->kernel);
}

/* ---- all together ---- */

static struct kc_error *encode(struct kc_ctx *ctx, const struct kc_kernel_tree *tree,
			       const struct kc_manifest *manifest, struct kc_buf *module, const struct kc_key *key,
			       const struct kc_module_key *module_key, struct kc_buf *out)
{
	kc_autobuf struct kc_buf kcare = { 0 };
	struct kc_patch_payload payloads[2];

	KC_TRY(append_file(tree->kmod_dir, "kcare.ko", &kcare));
	if (module_key) {
		KC_TRY(kc_module_sign(module_key, module));
		KC_TRY(kc_module_sign(module_key, &kcare));
	}
	payloads[0] = (struct kc_patch_payload){ KC_PATCH_MODULE_NAME, module->data, module->size };
	payloads[1] = (struct kc_patch_payload){ KC_PATCH_KCARE_NAME, kcare.data, kcare.size };
	return kc_patch_encode(ctx, manifest, payloads, KC_ARRAY_SIZE(payloads), key, out);
}

struct kc_error *kc_kernel_patch_make(struct kc_ctx *ctx, const struct kc_kernel_tree *tree,
				      const struct kc_kernel_patch *patch, const struct kc_kernel_parts *parts,
				      const struct kc_elf *template_elf, const char *work_dir, const struct kc_key *key,
				      const struct kc_module_key *module_key, struct kc_buf *out)
{
	kc_autobuf struct kc_buf module = { 0 };
	struct kc_kernel_emitted emitted = { 0 };
	struct kc_manifest manifest = { 0 };
	struct kc_error *err;

	err = emit(ctx, tree, patch, parts, template_elf, work_dir, &emitted, &module);
	if (!err)
		err = check_taken_over(ctx, patch->previous, &emitted);
	if (!err)
		err = make_manifest(tree, patch, &emitted, &manifest);
	if (!err)
		err = encode(ctx, tree, &manifest, &module, key, module_key, out);
	kc_kernel_emitted_clear(&emitted);
	kc_manifest_clear(&manifest);
	return err;
}
