/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/kernel_tree.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "build/cache.h"
#include "build/tool.h"
#include "build/words.h"
#include "sign/hash.h"

enum { MARKER_LIMIT = 65536, GIVEN_DIGITS = 16 };

#define MARKER "kcare-kernel 1\n"

void kc_kernel_tree_free(struct kc_kernel_tree *tree)
{
	if (!tree)
		return;
	kc_kernel_object_free(tree->image);
	kc_kernel_units_clear(&tree->units);
	kc_tree_free(tree->tree);
	free(tree->release);
	free(tree->package);
	free(tree->version);
	free(tree->obj_dir);
	free(tree->headers_dir);
	free(tree->modules_dir);
	free(tree->kmod_dir);
	free(tree->compiler);
	free(tree->image_path);
	free(tree->units_path);
	free(tree->commands_path);
	free(tree->includes_path);
	free(tree);
}

/* ---- make ---- */

static struct kc_error *word_add(struct kc_words *words, const char *format, const char *value)
{
	char **slot = kc_array_add(&words->items, &words->n_items);

	if (slot && asprintf(slot, format, value) >= 0)
		return NULL;
	if (slot)
		*slot = NULL;
	return kc_error_no_memory();
}

/*
 * The configuration asks pahole and rustc for their versions, and struct module looks different without BTF: so the
 * configuration gets the answers that the package's build got.
 */
static struct kc_error *make_words(const struct kc_kernel_tree *tree, const char *const *arguments,
				   struct kc_words *words)
{
	kc_autofree char *pahole = kc_path_join(tree->tree->cache_dir, "pahole");

	if (!pahole)
		return kc_error_no_memory();
	KC_TRY(word_add(words, "%s", "make"));
	KC_TRY(word_add(words, "%s", "-C"));
	KC_TRY(word_add(words, "%s", tree->tree->source_dir));
	KC_TRY(word_add(words, "O=%s", tree->obj_dir));
	KC_TRY(word_add(words, "%s", "ARCH=x86"));
	KC_TRY(word_add(words, "KERNELRELEASE=%s", tree->release));
	KC_TRY(word_add(words, "CC=%s", tree->compiler));
	KC_TRY(word_add(words, "HOSTCC=%s", tree->compiler));
	KC_TRY(word_add(words, "PAHOLE=%s", pahole));
	KC_TRY(word_add(words, "%s", "RUSTC=false"));
	for (; *arguments; arguments++)
		KC_TRY(word_add(words, "%s", *arguments));
	if (!kc_array_add(&words->items, &words->n_items))
		return kc_error_no_memory();
	return NULL;
}

struct kc_error *kc_kernel_make_run(const struct kc_kernel_tree *tree, enum kc_error_code code, const char *what,
				    const char *const *arguments, struct kc_buf *output, int *exit_code)
{
	kc_autobuf struct kc_buf own_output = { 0 }, errors = { 0 };
	kc_autowords struct kc_words words = { 0 };

	KC_TRY(make_words(tree, arguments, &words));
	if (exit_code)
		return kc_tool_try((const char *const *)words.items, NULL, NULL, output ? output : &own_output, &errors,
				   exit_code);
	return kc_tool_run(code, what, (const char *const *)words.items, NULL, NULL, output);
}

struct kc_error *kc_kernel_make(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, const char *const *targets,
				size_t n_targets, unsigned jobs)
{
	kc_autofree const char **arguments = calloc(n_targets + 2, sizeof(*arguments));
	long parallel = jobs ? (long)jobs : sysconf(_SC_NPROCESSORS_ONLN);
	struct kc_error *err;
	char option[24];

	if (!arguments)
		return kc_error_no_memory();
	snprintf(option, sizeof(option), "-j%ld", parallel > 0 ? parallel : 1);
	arguments[0] = option;
	memcpy(arguments + 1, targets, n_targets * sizeof(*targets));
	kc_progress(ctx, "compiling for the proof, with Kbuild", 0, 0);
	err = kc_kernel_make_run(tree, KC_ERR_COMPILE, n_targets == 1 ? targets[0] : "objects for the proof", arguments,
				 NULL, NULL);
	kc_progress(ctx, "compiling for the proof, with Kbuild", 1, 1);
	return err;
}

/* ---- modules ---- */

struct kc_error *kc_kernel_module_path(const struct kc_kernel_tree *tree, const char *module, char **path)
{
	static const char *const places[] = { "kernel/", "" };
	static const char *const suffixes[] = { ".ko", ".ko.xz", ".ko.zst", ".ko.gz" };

	if (!tree->modules_dir)
		return kc_error_new(KC_ERR_INPUT,
				    "the fix changes the module %s; say where the kernel's modules are, with --modules",
				    module);
	for (size_t i = 0; i < KC_ARRAY_SIZE(places); i++) {
		for (size_t k = 0; k < KC_ARRAY_SIZE(suffixes); k++) {
			kc_autofree char *tried = NULL;

			if (asprintf(&tried, "%s/%s%s%s", tree->modules_dir, places[i], module, suffixes[k]) < 0) {
				tried = NULL;
				return kc_error_no_memory();
			}
			if (access(tried, F_OK))
				continue;
			*path = kc_steal(tried);
			return NULL;
		}
	}
	return kc_error_new(KC_ERR_INPUT, "there is no module %s.ko in %s", module, tree->modules_dir);
}

/* ---- the marker ---- */

static void marker_line(struct kc_buf *text, const char *name, const char *value)
{
	if (value)
		kc_buf_printf(text, "%s %s\n", name, value);
}

static struct kc_error *write_marker(const struct kc_kernel_tree *tree, const char *path)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	kc_buf_append_str(&text, MARKER);
	marker_line(&text, "release", tree->release);
	marker_line(&text, "package", tree->package);
	marker_line(&text, "version", tree->version);
	marker_line(&text, "source", tree->tree->source_dir);
	marker_line(&text, "headers", tree->headers_dir);
	marker_line(&text, "modules", tree->modules_dir);
	marker_line(&text, "compiler", tree->compiler);
	if (text.failed)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, text.data, text.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

/* Replaces `*value` by what the marker says; unchanged when it says nothing. */
static bool marker_value(const char *text, const char *name, char **value)
{
	kc_autofree char *start = NULL;
	const char *line;

	if (asprintf(&start, "\n%s ", name) < 0) {
		start = NULL;
		return false;
	}
	line = strstr(text, start);
	if (!line)
		return true;
	line += strlen(start);
	free(*value);
	*value = strndup(line, strcspn(line, "\n"));
	return *value != NULL;
}

/* false when the folder is not, or only half, prepared. */
static bool read_marker(struct kc_kernel_tree *tree, const char *path)
{
	kc_autobuf struct kc_buf text = { 0 };

	if (kc_file_read(path, MARKER_LIMIT, &text) || strncmp(text.data ? text.data : "", MARKER, strlen(MARKER)))
		return false;
	return marker_value(text.data, "release", &tree->release) &&
	       marker_value(text.data, "package", &tree->package) &&
	       marker_value(text.data, "version", &tree->version) &&
	       marker_value(text.data, "source", &tree->tree->source_dir) &&
	       marker_value(text.data, "headers", &tree->headers_dir) &&
	       marker_value(text.data, "modules", &tree->modules_dir) &&
	       marker_value(text.data, "compiler", &tree->compiler) && tree->tree->source_dir &&
	       !access(tree->tree->source_dir, F_OK);
}

/* ---- opening ---- */

static struct kc_error *fill_paths(struct kc_kernel_tree *tree)
{
	const char *dir = tree->tree->cache_dir;

	tree->obj_dir = kc_path_join(dir, "obj");
	tree->kmod_dir = kc_path_join(dir, "kmod");
	tree->image_path = kc_path_join(dir, "vmlinux");
	tree->units_path = kc_path_join(dir, "units");
	tree->commands_path = kc_path_join(dir, "commands");
	tree->includes_path = kc_path_join(dir, "includes");
	return tree->obj_dir && tree->kmod_dir && tree->image_path && tree->units_path && tree->commands_path &&
			       tree->includes_path
		       ? NULL
		       : kc_error_no_memory();
}

/* CACHE/kernel/NAME, locked. */
static struct kc_error *use_folder(struct kc_ctx *ctx, const char *cache_dir, const char *name,
				   struct kc_kernel_tree *tree)
{
	kc_autofree char *kernel_dir = kc_path_join(cache_dir, "kernel");

	tree->tree->cache_dir = kernel_dir ? kc_path_join(kernel_dir, name) : NULL;
	tree->tree->scratch_dir = kc_path_join(cache_dir, "tmp");
	if (!tree->tree->cache_dir || !tree->tree->scratch_dir)
		return kc_error_no_memory();
	KC_TRY(kc_cache_make_dir(kernel_dir));
	KC_TRY(kc_cache_make_dir(tree->tree->scratch_dir));
	KC_TRY(fill_paths(tree));
	return kc_cache_lock(ctx, tree->tree->cache_dir, name, &tree->tree->lock_fd);
}

/* Configures what was fetched or given, and says so at the very end. */
static struct kc_error *finish(struct kc_ctx *ctx, struct kc_kernel_tree *tree, const char *marker, unsigned jobs)
{
	KC_TRY(kc_kernel_configure(ctx, tree, jobs));
	KC_TRY(kc_kernel_make_kmod(ctx, tree));
	return write_marker(tree, marker);
}

/* What a killed run has left would only confuse make. */
static struct kc_error *empty_folder(const struct kc_kernel_tree *tree)
{
	int err = kc_tree_remove(tree->tree->cache_dir);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot remove %s", tree->tree->cache_dir);
	return kc_cache_make_dir(tree->tree->cache_dir);
}

/* It becomes part of paths and an argument of apt and make. */
static struct kc_error *check_release(const char *release)
{
	if (*release >= '0' && *release <= '9' && kc_cache_path_is_plain(release) && !strchr(release, '/'))
		return NULL;
	return kc_error_new(KC_ERR_USAGE, "\"%s\" is no kernel release, such as 6.1.0-47-amd64", release);
}

static struct kc_error *open_archived(struct kc_ctx *ctx, const struct kc_build_kernel_request *request,
				      const char *cache_dir, struct kc_kernel_tree *tree)
{
	kc_autofree char *marker = NULL;

	KC_TRY(check_release(request->release));
	KC_TRY(use_folder(ctx, cache_dir, request->release, tree));
	marker = kc_path_join(tree->tree->cache_dir, "prepared");
	tree->release = strdup(request->release);
	if (!marker || !tree->release)
		return kc_error_no_memory();
	if (read_marker(tree, marker))
		return NULL;
	KC_TRY(empty_folder(tree));
	KC_TRY(kc_kernel_fetch(ctx, cache_dir, tree));
	return finish(ctx, tree, marker, request->jobs);
}

static struct kc_error *real_path(const char *what, const char *path, char **real)
{
	*real = realpath(path, NULL);
	if (!*real)
		return kc_error_errno(KC_ERR_INPUT, errno, "%s %s", what, path);
	if (!kc_cache_path_is_plain(*real))
		return kc_error_new(KC_ERR_INPUT, "the path %s has characters that makefiles do not bear", *real);
	return NULL;
}

/* "…/lib/modules/RELEASE", or a folder that has it below. */
static struct kc_error *find_modules(const char *dir, const char *release, char **modules)
{
	kc_autofree char *real = NULL, *below = NULL;

	KC_TRY(real_path("the folder of modules", dir, &real));
	if (asprintf(&below, "%s/lib/modules/%s", real, release) < 0) {
		below = NULL;
		return kc_error_no_memory();
	}
	*modules = access(below, F_OK) ? kc_steal(real) : kc_steal(below);
	return NULL;
}

/* A folder for each combination of image, source and headers. */
static struct kc_error *given_name(const struct kc_kernel_tree *tree, char *name, size_t size)
{
	kc_autobuf struct kc_buf key = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	kc_buf_printf(&key, "%s\n%s\n%s\n%s\n", tree->image->kernel_id, tree->tree->source_dir, tree->headers_dir,
		      tree->modules_dir ? tree->modules_dir : "");
	if (key.failed)
		return kc_error_no_memory();
	kc_sha256_text(key.data, key.size, hash);
	snprintf(name, size, "given-%.*s", GIVEN_DIGITS, hash);
	return NULL;
}

/* --image, --headers and --source: everything is there, and stays untouched. */
static struct kc_error *open_given(struct kc_ctx *ctx, const struct kc_build_kernel_request *request,
				   const char *cache_dir, struct kc_kernel_tree *tree)
{
	kc_autofree char *marker = NULL, *config = NULL;
	char name[GIVEN_DIGITS + 8];
	int err;

	KC_TRY(kc_kernel_image_open(ctx, request->image_path, &tree->image));
	tree->release = strdup(tree->image->release);
	if (!tree->release)
		return kc_error_no_memory();
	KC_TRY(check_release(tree->release));
	KC_TRY(real_path("the source folder", request->source_dir, &tree->tree->source_dir));
	KC_TRY(real_path("the folder of headers", request->headers_dir, &tree->headers_dir));
	if (request->modules_dir)
		KC_TRY(find_modules(request->modules_dir, tree->release, &tree->modules_dir));
	KC_TRY(given_name(tree, name, sizeof(name)));
	KC_TRY(use_folder(ctx, cache_dir, name, tree));
	marker = kc_path_join(tree->tree->cache_dir, "prepared");
	if (!marker)
		return kc_error_no_memory();
	if (read_marker(tree, marker))
		return NULL;
	KC_TRY(empty_folder(tree));
	err = kc_file_write_atomic(tree->image_path, tree->image->data.data, tree->image->data.size, 0644);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", tree->image_path);
	return finish(ctx, tree, marker, request->jobs);
}

struct kc_error *kc_kernel_tree_open(struct kc_ctx *ctx, const struct kc_build_kernel_request *request,
				     struct kc_kernel_tree **tree)
{
	kc_autokerneltree struct kc_kernel_tree *new = calloc(1, sizeof(*new));
	kc_autofree char *cache_dir = NULL;
	bool given = request->image_path && request->headers_dir && request->source_dir;

	if (!new)
		return kc_error_no_memory();
	new->tree = calloc(1, sizeof(*new->tree));
	if (!new->tree)
		return kc_error_no_memory();
	new->tree->lock_fd = -1;
	new->tree->kernel = new;
	new->tree->env = calloc(1, sizeof(*new->tree->env));
	if (!new->tree->env)
		return kc_error_no_memory();
	if (!request->release == !given)
		return kc_error_new(KC_ERR_USAGE, "name either RELEASE or --image, --headers and --source");
	KC_TRY(kc_cache_open(request->cache_dir, &cache_dir));
	if (given)
		KC_TRY(open_given(ctx, request, cache_dir, new));
	else
		KC_TRY(open_archived(ctx, request, cache_dir, new));
	KC_TRY(kc_kernel_check_compiler(ctx, new));
	KC_TRY(kc_kernel_make_kmod(ctx, new));
	KC_TRY(kc_kernel_units_read(new->units_path, &new->units));
	if (!new->image)
		KC_TRY(kc_kernel_image_open(ctx, new->image_path, &new->image));
	*tree = kc_steal(new);
	return NULL;
}

struct kc_error *kc_build_kernel_prepare(struct kc_ctx *ctx, const struct kc_build_kernel_request *request, char **path)
{
	kc_autokerneltree struct kc_kernel_tree *tree = NULL;

	KC_TRY(kc_kernel_tree_open(ctx, request, &tree));
	*path = kc_steal(tree->tree->cache_dir);
	return NULL;
}
