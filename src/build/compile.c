/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/compile.h"

#include <pthread.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "base/process.h"
#include "build/depfile.h"

enum { SHOWN_OUTPUT = 8192, DEPFILE_LIMIT = 16 << 20 };

struct words {
	char **items;
	size_t n_items;
};

static void words_clear(struct words *words)
{
	for (size_t i = 0; i < words->n_items; i++)
		free(words->items[i]);
	free(words->items);
}

/* Takes ownership of `word`, which may be NULL for "out of memory". */
static bool words_add(struct words *words, char *word)
{
	char **slot = word ? kc_array_add(&words->items, &words->n_items) : NULL;

	if (!slot) {
		free(word);
		return false;
	}
	*slot = word;
	return true;
}

/*
 * How much of an argument stands before a path that the overlay must see: 0 for a path by itself, 2 for "-I/…",
 * -1 when there is none. Values of -D stay: they are code.
 */
static int path_offset(const char *argument)
{
	static const char *const prefixes[] = {
		"",	    "-I", "-iquote", "-isystem",	   "-idirafter",	  "-include",
		"-imacros", "@",  "-I=",     "-ffile-prefix-map=", "-fdebug-prefix-map=", "-fmacro-prefix-map="
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(prefixes); i++) {
		size_t size = strlen(prefixes[i]);

		if (!strncmp(argument, prefixes[i], size) && argument[size] == '/')
			return (int)size;
	}
	return -1;
}

/* Is the folder that `path` lies in a real one of the overlay? What lies behind a link is the original anyway. */
static bool lies_in_overlay(const struct kc_overlay *overlay, const char *path, size_t size)
{
	const char *root = kc_overlay_dir(overlay);
	kc_autofree char *dir = NULL, *real = NULL;

	while (size > 1 && path[size - 1] == '/')
		size--;
	while (size && path[size - 1] != '/')
		size--;
	if (asprintf(&dir, "%s%.*s", root, (int)size, path) < 0) {
		dir = NULL;
		return false;
	}
	real = realpath(dir, NULL);
	return real && !strncmp(real, root, strlen(root));
}

/* Moves a path below the overlay. */
static char *overlay_argument(const struct kc_overlay *overlay, const char *argument, bool is_value_of_define)
{
	int offset = is_value_of_define ? -1 : path_offset(argument);
	char *moved;

	if (offset < 0 || !lies_in_overlay(overlay, argument + offset, strcspn(argument + offset, "=")))
		return strdup(argument);
	return asprintf(&moved, "%.*s%s%s", offset, argument, kc_overlay_dir(overlay), argument + offset) < 0 ? NULL
													      : moved;
}

struct kc_error *kc_compile_add_dirs(const struct kc_compile_command *command, struct kc_overlay *overlay)
{
	for (size_t i = 1; i < command->n_arguments; i++) {
		int offset = path_offset(command->arguments[i]);
		const char *path = command->arguments[i] + (offset < 0 ? 0 : offset);
		kc_autofree char *dir = NULL;

		if (offset < 0 || !strstr(path, "/../"))
			continue;
		dir = strndup(path, (size_t)(kc_path_name(path) - path - 1));
		if (!dir)
			return kc_error_no_memory();
		KC_TRY(kc_overlay_add_dir(overlay, dir));
	}
	return NULL;
}

/* A prefix map holds for the files that the overlay has, and for those that it has not. */
static bool add_prefix_map(struct words *words, const struct kc_overlay *overlay, const char *argument)
{
	char *moved = overlay_argument(overlay, argument, false);
	bool ok = moved && (!strcmp(moved, argument) || words_add(words, strdup(argument)));

	return words_add(words, moved) && ok;
}

static bool is_prefix_map(const char *argument)
{
	const char *map = strstr(argument, "-prefix-map=");

	return map && argument[0] == '-' && argument[1] == 'f' && map < strchr(argument, '=');
}

static bool add_format(struct words *words, const char *format, const char *value)
{
	char *word;

	return words_add(words, asprintf(&word, format, value) < 0 ? NULL : word);
}

/*
 * The compiler and its options; in the overlay, its own prefix is hidden first. Later prefix maps win, but gcc
 * looks at -ffile-prefix-map only after all -fmacro-prefix-map: ours must not be one.
 */
static struct kc_error *arguments_make(const struct kc_compile_job *job, struct words *words)
{
	const struct kc_compile_command *command = job->command;
	const struct kc_overlay *overlay = job->variant == KC_VARIANT_PATCHED ? job->overlay : NULL;
	bool ok = words_add(words, strdup(command->arguments[0]));

	if (overlay)
		ok = ok && add_format(words, "-fdebug-prefix-map=%s=", kc_overlay_dir(overlay)) &&
		     add_format(words, "-fmacro-prefix-map=%s=", kc_overlay_dir(overlay));
	if (job->variant != KC_VARIANT_PLAIN)
		ok = ok && words_add(words, strdup("-g"));
	for (size_t i = 1; i < command->n_arguments; i++) {
		const char *argument = command->arguments[i];
		bool define = !strcmp(command->arguments[i - 1], "-D") || !strcmp(command->arguments[i - 1], "-U");

		if (overlay && !define && is_prefix_map(argument))
			ok = ok && add_prefix_map(words, overlay, argument);
		else
			ok = ok &&
			     words_add(words, overlay ? overlay_argument(overlay, argument, define) : strdup(argument));
	}
	if (job->variant != KC_VARIANT_PLAIN)
		ok = ok && words_add(words, strdup("-ffunction-sections")) &&
		     words_add(words, strdup("-fdata-sections"));
	if (overlay)
		ok = ok && words_add(words, strdup("-MD")) && words_add(words, strdup("-MF")) &&
		     add_format(words, "%s.d", job->object_path);
	ok = ok && words_add(words, strdup("-c")) && words_add(words, strdup("-o")) &&
	     words_add(words, strdup(job->object_path));
	if (!ok || !kc_array_add(&words->items, &words->n_items))
		return kc_error_no_memory();
	return NULL;
}

static char *job_dir(const struct kc_compile_job *job)
{
	char *dir;

	if (job->variant != KC_VARIANT_PATCHED)
		return strdup(job->command->dir);
	return asprintf(&dir, "%s%s", kc_overlay_dir(job->overlay), job->command->dir) < 0 ? NULL : dir;
}

/* The compiler's words, with the overlay's folder taken out of file names. */
static char *output_clean(const struct kc_compile_job *job, const struct kc_buf *output)
{
	const char *prefix = job->variant == KC_VARIANT_PATCHED ? kc_overlay_dir(job->overlay) : NULL;
	const char *p = output->data ? output->data : "", *found;
	kc_autobuf struct kc_buf clean = { 0 };

	while (prefix && (found = strstr(p, prefix))) {
		kc_buf_append(&clean, p, (size_t)(found - p));
		p = found + strlen(prefix);
	}
	kc_buf_append_str(&clean, p);
	while (clean.size && clean.data[clean.size - 1] == '\n')
		clean.data[--clean.size] = '\0';
	if (clean.size > SHOWN_OUTPUT) {
		clean.size = SHOWN_OUTPUT;
		kc_buf_append_str(&clean, "\n…");
	}
	return kc_buf_take(&clean);
}

static struct kc_error *job_run(const struct kc_compile_job *job, const char *const *env)
{
	static const char *const forms[] = { "plain", "original", "patched" };
	kc_autobuf struct kc_buf output = { 0 };
	kc_autofree char *dir = job_dir(job), *shown = NULL;
	struct words words = { 0 };
	struct kc_process process = { .env = env, .dir = dir, .output = &output };
	struct kc_error *err = dir ? arguments_make(job, &words) : kc_error_no_memory();
	int exit_code = 0, errnum;

	if (!err && words.items) {
		process.argv = (const char *const *)words.items;
		errnum = kc_process_run(&process, &exit_code);
		if (errnum)
			err = kc_error_errno(KC_ERR_SYSTEM, -errnum, "cannot run %s", words.items[0]);
	}
	if (!err && words.items && exit_code) {
		shown = output_clean(job, &output);
		err = kc_error_new(KC_ERR_COMPILE, "%s (%s): %s %s\n%s", job->command->file, forms[job->variant],
				   words.items[0],
				   exit_code == 127 ? "is not installed" : "refuses it:", shown ? shown : "");
	}
	words_clear(&words);
	return err;
}

struct pool {
	struct kc_ctx *ctx;
	const char *what;
	void (*run)(void *data, size_t i);
	void *data;
	size_t next, done, n;
	pthread_mutex_t mutex;
};

static void *pool_work(void *data)
{
	struct pool *pool = data;

	pthread_mutex_lock(&pool->mutex);
	while (pool->next < pool->n) {
		size_t i = pool->next++;

		pthread_mutex_unlock(&pool->mutex);
		pool->run(pool->data, i);
		pthread_mutex_lock(&pool->mutex);
		kc_progress(pool->ctx, pool->what, ++pool->done, pool->n);
	}
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

void kc_parallel(struct kc_ctx *ctx, const char *what, size_t n, unsigned parallel, void (*run)(void *data, size_t i),
		 void *data)
{
	enum { MOST_THREADS = 64 };
	struct pool pool = { .ctx = ctx, .what = what, .run = run, .data = data, .n = n };
	pthread_t threads[MOST_THREADS];
	size_t n_threads = 0;

	if (!parallel)
		parallel = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	parallel = parallel > MOST_THREADS ? MOST_THREADS : parallel;
	pthread_mutex_init(&pool.mutex, NULL);
	kc_progress(ctx, what, 0, n);
	/* This thread works, too: so the work is done even when no thread can be started. */
	while (n_threads + 1 < parallel && n_threads + 1 < n &&
	       !pthread_create(&threads[n_threads], NULL, pool_work, &pool))
		n_threads++;
	pool_work(&pool);
	while (n_threads)
		pthread_join(threads[--n_threads], NULL);
	pthread_mutex_destroy(&pool.mutex);
}

struct compile_batch {
	struct kc_compile_job *jobs;
	const char *const *env;
};

static void compile_one(void *data, size_t i)
{
	struct compile_batch *batch = data;

	batch->jobs[i].err = job_run(&batch->jobs[i], batch->env);
}

struct kc_error *kc_compile(struct kc_ctx *ctx, struct kc_compile_job *jobs, size_t n_jobs, unsigned parallel,
			    const char *const *env)
{
	struct compile_batch batch = { jobs, env };
	struct kc_error *err = NULL;

	kc_parallel(ctx, "compiling", n_jobs, parallel, compile_one, &batch);
	for (size_t i = 0; i < n_jobs; i++) {
		jobs[i].failed = jobs[i].err;
		if (!err)
			err = kc_steal(jobs[i].err);
		kc_error_free(jobs[i].err);
		jobs[i].err = NULL;
	}
	return err;
}

struct kc_error *kc_compile_dependencies(const struct kc_compile_job *job, char ***paths)
{
	kc_autofree char *path = NULL, *dir = job_dir(job);
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!dir || asprintf(&path, "%s.d", job->object_path) < 0)
		return kc_error_no_memory();
	err = kc_file_read(path, DEPFILE_LIMIT, &text);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	return kc_depfile_parse(dir, text.data, paths);
}
