/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/depfile.h"

#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "base/process.h"
#include "build/compile.h"

enum { CACHE_LIMIT = 1 << 30 };

void kc_paths_free(char **paths)
{
	for (char **p = paths; p && *p; p++)
		free(*p);
	free(paths);
}

/* Takes ownership of `path`. */
static struct kc_error *path_add(char ***paths, size_t *n, char *path)
{
	char **slot = kc_array_add(paths, n);

	if (!slot) {
		free(path);
		return kc_error_no_memory();
	}
	*slot = path;
	return NULL;
}

struct kc_error *kc_depfile_parse(const char *dir, const char *text, char ***paths)
{
	const char *p = strstr(text, ": ");
	kc_autopaths char **new = NULL;
	size_t n = 0;

	p = p ? p + 1 : text + strlen(text);
	while (*p) {
		kc_autobuf struct kc_buf word = { 0 };
		char *path;

		while (*p && *p != ' ' && *p != '\n') {
			bool escaped = (*p == '\\' && p[1] && strchr(" #\\", p[1])) || (*p == '$' && p[1] == '$');

			if (*p == '\\' && p[1] == '\n')
				break;
			p += escaped;
			kc_buf_append(&word, p++, 1);
		}
		if (word.size) {
			path = kc_path_resolve(dir, word.data);
			if (!path)
				return kc_error_no_memory();
			KC_TRY(path_add(&new, &n, path));
			/* keeps the list terminated for the cleanup */
			KC_TRY(path_add(&new, &n, NULL));
			n--;
		}
		if (*p == '\\')
			p++;
		if (*p == '\n' && p[-1] != '\\') /* -MP adds more rules behind the first */
			break;
		p += *p != '\0';
	}
	if (!n)
		KC_TRY(path_add(&new, &n, NULL));
	*paths = kc_steal(new);
	return NULL;
}

void kc_dependencies_free(char ***dependencies, size_t n)
{
	for (size_t i = 0; dependencies && i < n; i++)
		kc_paths_free(dependencies[i]);
	free(dependencies);
}

struct scan {
	const struct kc_commands *commands;
	const char *root;
	char ***dependencies;
};

static void keep_below(char **paths, const char *root)
{
	size_t size = strlen(root), kept = 0;

	for (size_t i = 0; paths[i]; i++) {
		if (!strncmp(paths[i], root, size) && paths[i][size] == '/')
			paths[kept++] = paths[i];
		else
			free(paths[i]);
	}
	paths[kept] = NULL;
}

/* A command that cannot be preprocessed (a header that is generated later) has no known dependencies. */
static void scan_one(void *data, size_t i)
{
	struct scan *scan = data;
	const struct kc_compile_command *command = &scan->commands->items[i];
	kc_autofree const char **argv = calloc(command->n_arguments + 3, sizeof(*argv));
	kc_autobuf struct kc_buf output = { 0 }, errors = { 0 };
	struct kc_process process = { .dir = command->dir, .output = &output, .errors = &errors };
	struct kc_error *err;
	int exit_code;

	if (!argv)
		return;
	memcpy(argv, command->arguments, command->n_arguments * sizeof(*argv));
	argv[command->n_arguments] = "-M";
	argv[command->n_arguments + 1] = "-MG";
	process.argv = argv;
	if (kc_process_run(&process, &exit_code) || exit_code || !output.data)
		return;
	err = kc_depfile_parse(command->dir, output.data, &scan->dependencies[i]);
	if (!err)
		keep_below(scan->dependencies[i], scan->root);
	kc_error_free(err);
}

/* One line per command: its paths, each followed by a tab. */
static struct kc_error *cache_write(const char *path, char ***dependencies, size_t n)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	for (size_t i = 0; i < n; i++) {
		for (char **p = dependencies[i]; p && *p; p++)
			kc_buf_printf(&text, "%s\t", *p);
		kc_buf_append(&text, "\n", 1);
	}
	if (text.failed)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, text.data, text.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

static struct kc_error *line_parse(char *line, char ***paths)
{
	char *state = NULL;
	size_t n = 0;

	for (char *path = strtok_r(line, "\t", &state); path; path = strtok_r(NULL, "\t", &state)) {
		char *copy = strdup(path);

		if (!copy)
			return kc_error_no_memory();
		KC_TRY(path_add(paths, &n, copy));
		KC_TRY(path_add(paths, &n, NULL));
		n--;
	}
	return NULL;
}

/* `*found` stays false when the cache is missing or was made for other commands. */
static struct kc_error *cache_read(const char *path, char ***dependencies, size_t n, bool *found)
{
	kc_autobuf struct kc_buf text = { 0 };
	size_t n_lines = 0, i = 0;

	if (kc_file_read(path, CACHE_LIMIT, &text))
		return NULL;
	for (size_t at = 0; at < text.size; at++)
		n_lines += text.data[at] == '\n';
	if (n_lines != n)
		return NULL;
	for (char *line = text.data; i < n; i++) {
		char *end = strchr(line, '\n');

		*end = '\0';
		KC_TRY(line_parse(line, &dependencies[i]));
		line = end + 1;
	}
	*found = true;
	return NULL;
}

struct kc_error *kc_dependencies_scan(struct kc_ctx *ctx, const struct kc_commands *commands, const char *root,
				      const char *cache_path, unsigned parallel, char ****dependencies)
{
	struct scan scan = { commands, root, calloc(commands->n_items + 1, sizeof(char **)) };
	struct kc_error *err = NULL;
	bool found = false;

	if (!scan.dependencies)
		return kc_error_no_memory();
	if (cache_path)
		err = cache_read(cache_path, scan.dependencies, commands->n_items, &found);
	if (!err && !found) {
		kc_parallel(ctx, "looking for objects that include the header", commands->n_items, parallel, scan_one,
			    &scan);
		if (cache_path)
			err = cache_write(cache_path, scan.dependencies, commands->n_items);
	}
	if (err) {
		kc_dependencies_free(scan.dependencies, commands->n_items);
		return err;
	}
	*dependencies = scan.dependencies;
	return NULL;
}
