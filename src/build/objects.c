/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/objects.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "build/compile.h"
#include "build/depfile.h"
#include "build/scratch.h"
#include "sign/hash.h"

enum { OBJECT_LIMIT = 1 << 30, N_VARIANTS = 3 };

struct maker {
	struct kc_ctx *ctx;
	const struct kc_tree *tree;
	const struct kc_touched *touched;
	const struct kc_overlay *overlay;
	const char *work_dir;
	unsigned parallel;
	struct kc_compile_job *jobs; /* N_VARIANTS per object */
	size_t n_objects;
};

/* Where the plain object of a prepared package is kept: named by everything that shapes it. */
static char *plain_cache_path(const struct kc_tree *tree, const struct kc_compile_command *command)
{
	kc_autobuf struct kc_buf key = { 0 };
	char hash[KC_SHA256_TEXT_SIZE], *path;

	kc_buf_printf(&key, "%s\n%s\n", command->dir, command->file);
	for (size_t i = 0; i < command->n_arguments; i++)
		kc_buf_printf(&key, "%s\n", command->arguments[i]);
	if (key.failed)
		return NULL;
	kc_sha256_text(key.data, key.size, hash);
	return asprintf(&path, "%s/plain/%s.o", tree->cache_dir, hash) < 0 ? NULL : path;
}

static struct kc_error *jobs_fill(struct maker *m)
{
	static const char *const names[] = { "plain", "original", "patched" };

	for (size_t i = 0; i < m->n_objects; i++) {
		for (int variant = 0; variant < N_VARIANTS; variant++) {
			struct kc_compile_job *job = &m->jobs[i * N_VARIANTS + variant];

			job->command = m->touched->commands[i];
			job->variant = variant;
			job->overlay = m->overlay;
			if (asprintf(&job->object_path, "%s/%zu-%s.o", m->work_dir, i, names[variant]) < 0) {
				job->object_path = NULL;
				return kc_error_no_memory();
			}
		}
	}
	return NULL;
}

/* Copies the plain object from the cache; true when it was there. */
static bool plain_from_cache(const struct maker *m, const struct kc_compile_job *job)
{
	kc_autofree char *path = m->tree->cache_dir ? plain_cache_path(m->tree, job->command) : NULL;

	return path && job->object_path && !link(path, job->object_path);
}

/* The cache only saves time: when it cannot be written, the next run compiles again. */
static void plain_to_cache(const struct maker *m, const struct kc_compile_job *job)
{
	kc_autofree char *path = m->tree->cache_dir ? plain_cache_path(m->tree, job->command) : NULL;
	kc_autofree char *dir = path ? kc_path_join(m->tree->cache_dir, "plain") : NULL;

	if (dir && !kc_dir_make(dir, 0755) && link(job->object_path, path) < 0)
		kc_debug(m->ctx, "cannot keep %s", path);
}

/* Kernels make their plain objects themselves, and later. */
static enum kc_variant first_variant(const struct maker *m)
{
	return m->tree->kernel ? KC_VARIANT_ORIGINAL : KC_VARIANT_PLAIN;
}

/* Lets the package make what it generates for the objects whose first form failed; true when that may have helped. */
static bool make_missing(const struct maker *m, const struct kc_compile_job *jobs, size_t n)
{
	bool made = false;

	for (size_t i = 0; i < n; i++) {
		kc_autoerror struct kc_error *err = NULL;

		if (jobs[i].variant != first_variant(m) || !jobs[i].failed)
			continue;
		err = kc_tree_make_object(m->ctx, m->tree, jobs[i].command);
		if (err)
			kc_debug(m->ctx, "%s", kc_error_message(err));
		made |= !err;
	}
	return made;
}

static struct kc_error *compile_all(const struct maker *m)
{
	kc_autofree struct kc_compile_job *jobs = calloc(m->n_objects * N_VARIANTS + 1, sizeof(*jobs));
	const char *const *env = (const char *const *)m->tree->env;
	struct kc_error *err;
	size_t n = 0;

	if (!jobs)
		return kc_error_no_memory();
	for (size_t i = 0; i < m->n_objects * N_VARIANTS; i++)
		if (i % N_VARIANTS >= first_variant(m) &&
		    (i % N_VARIANTS != KC_VARIANT_PLAIN || !plain_from_cache(m, &m->jobs[i])))
			jobs[n++] = m->jobs[i];
	err = kc_compile(m->ctx, jobs, n, m->parallel, env);
	if (err && make_missing(m, jobs, n)) {
		kc_error_free(err);
		err = kc_compile(m->ctx, jobs, n, m->parallel, env);
	}
	for (size_t i = 0; !err && i < n; i++)
		if (jobs[i].variant == KC_VARIANT_PLAIN)
			plain_to_cache(m, &jobs[i]);
	return err;
}

static bool is_original(const char *path, const struct kc_touched_file *file)
{
	struct stat st, original;

	return !strcmp(kc_path_name(path), kc_path_name(file->path)) && !stat(path, &st) &&
	       !stat(file->path, &original) && st.st_dev == original.st_dev && st.st_ino == original.st_ino;
}

/* The patched object must not have read the unpatched form of a touched file, on whatever way. */
static struct kc_error *check_read(const struct maker *m, const struct kc_compile_job *job)
{
	kc_autopaths char **paths = NULL;

	KC_TRY(kc_compile_dependencies(job, &paths));
	for (char **path = paths; *path; path++)
		for (size_t i = 0; i < m->touched->n_files; i++)
			if (is_original(*path, &m->touched->files[i]))
				return kc_error_new(
					KC_ERR_SYSTEM,
					"%s was compiled with the unpatched %s, which it finds as %s; is the "
					"tree configured through a symbolic link?",
					job->command->file, m->touched->files[i].name, *path);
	return NULL;
}

/* Errors shall name the source, not a temporary file. */
static struct kc_error *object_read(struct kc_ctx *ctx, const char *path, enum kc_variant variant,
				    struct kc_object *object, struct kc_elf **elf)
{
	struct kc_buf *file = &object->files[variant];
	int err = kc_file_read(path, OBJECT_LIMIT, file);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	return kc_elf_parse(ctx, object->name, file->data, file->size, elf);
}

static struct kc_elf **elf_of(struct kc_object *object, enum kc_variant variant)
{
	struct kc_elf **const elfs[] = { &object->plain, &object->original, &object->patched };

	return elfs[variant];
}

struct kc_error *kc_object_read_plain(struct kc_ctx *ctx, struct kc_object *object, const char *path)
{
	return object_read(ctx, path, KC_VARIANT_PLAIN, object, &object->plain);
}

static struct kc_error *objects_parse(const struct maker *m, struct kc_objects *objects)
{
	size_t root_size = strlen(m->tree->source_dir);

	objects->items = calloc(m->n_objects, sizeof(*objects->items));
	if (!objects->items)
		return kc_error_no_memory();
	objects->n_items = m->n_objects;
	for (size_t i = 0; i < m->n_objects; i++) {
		const struct kc_compile_job *jobs = &m->jobs[i * N_VARIANTS];
		struct kc_object *object = &objects->items[i];
		const char *file = jobs[0].command->file;

		object->command = jobs[0].command;
		object->name = !strncmp(file, m->tree->source_dir, root_size) ? file + root_size + 1 : file;
		KC_TRY(check_read(m, &jobs[KC_VARIANT_PATCHED]));
		for (size_t v = first_variant(m); v < N_VARIANTS; v++)
			KC_TRY(object_read(m->ctx, jobs[v].object_path, v, object, elf_of(object, v)));
	}
	return NULL;
}

static struct kc_error *make(struct maker *m, struct kc_objects *objects)
{
	KC_TRY(jobs_fill(m));
	KC_TRY(compile_all(m));
	return objects_parse(m, objects);
}

/*
 * Hundreds of symbolic links cost as much as a compilation on a disk, and nothing in memory. `work_dir` serves where
 * there is no file system in memory.
 */
static const char *overlay_base(const char *work_dir)
{
	struct statfs fs;

	return !statfs("/dev/shm", &fs) && fs.f_type == TMPFS_MAGIC && !access("/dev/shm", W_OK | X_OK) ? "/dev/shm"
													: work_dir;
}

static struct kc_error *make_in_overlay(struct maker *m, struct kc_objects *objects)
{
	kc_autoscratch struct kc_scratch scratch = { 0 };
	kc_autooverlay struct kc_overlay *overlay = NULL;

	KC_TRY(kc_scratch_make(overlay_base(m->work_dir), &scratch));
	KC_TRY(kc_overlay_new(scratch.path, &overlay));
	KC_TRY(kc_touched_overlay(m->tree, m->touched, overlay));
	m->overlay = overlay;
	return make(m, objects);
}

struct kc_error *kc_objects_make(struct kc_ctx *ctx, const struct kc_tree *tree, const struct kc_touched *touched,
				 const char *work_dir, unsigned parallel, struct kc_objects **objects)
{
	kc_autoobjects struct kc_objects *new = calloc(1, sizeof(*new));
	struct maker m = { .ctx = ctx,
			   .tree = tree,
			   .touched = touched,
			   .work_dir = work_dir,
			   .parallel = parallel,
			   .n_objects = touched->n_commands };
	struct kc_error *err;

	m.jobs = calloc(m.n_objects * N_VARIANTS + 1, sizeof(*m.jobs));
	if (!new || !m.jobs) {
		free(m.jobs);
		return kc_error_no_memory();
	}
	err = make_in_overlay(&m, new);
	for (size_t i = 0; i < m.n_objects * N_VARIANTS; i++)
		free(m.jobs[i].object_path);
	free(m.jobs);
	if (!err)
		*objects = kc_steal(new);
	return err;
}

void kc_object_clear(struct kc_object *object)
{
	for (size_t v = 0; v < N_VARIANTS; v++) {
		kc_elf_free(*elf_of(object, v));
		kc_buf_free(&object->files[v]);
	}
	*object = (struct kc_object){ 0 };
}

void kc_objects_free(struct kc_objects *objects)
{
	if (!objects)
		return;
	for (size_t i = 0; i < objects->n_items; i++)
		kc_object_clear(&objects->items[i]);
	free(objects->items);
	free(objects);
}
