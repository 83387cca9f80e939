/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/kernel_include_lines.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "build/compile.h"

enum { FILE_LIMIT = 64 << 20 };

struct source_file {
	char *path;	     /* absolute */
	const char *name;    /* below the folder of source or of objects; in `path` */
	uint32_t number;     /* its line in the answer */
	struct kc_buf names; /* what it includes, each with its mark and '\0' */
	int errnum;
};

struct inclusion {
	const char *name;
	uint32_t file;
};

struct reader {
	const struct kc_kernel_tree *tree;
	struct source_file *files;
	size_t n_files;
	struct inclusion *inclusions;
	size_t n_inclusions;
};

static void reader_clear(struct reader *reader)
{
	for (size_t i = 0; i < reader->n_files; i++) {
		free(reader->files[i].path);
		kc_buf_free(&reader->files[i].names);
	}
	free(reader->files);
	free(reader->inclusions);
}

static const char *path_below(const char *path, const char *dir)
{
	size_t size = strlen(dir);

	return !strncmp(path, dir, size) && path[size] == '/' ? path + size + 1 : NULL;
}

const char *kc_kernel_relative_path(const struct kc_kernel_tree *tree, const char *path)
{
	const char *name = path_below(path, tree->obj_dir);

	return name ? name : path_below(path, tree->tree->source_dir);
}

const char *kc_include_last_part(const char *name)
{
	return kc_path_name(name + 1);
}

/* ---- which files ---- */

/* All that C of a kernel was ever put into. */
static bool is_source(const char *name)
{
	static const char *const suffixes[] = { ".c", ".h", ".S", ".inl", ".inc", ".def" };
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; suffix && i < KC_ARRAY_SIZE(suffixes); i++)
		if (!strcmp(suffix, suffixes[i]))
			return true;
	return false;
}

/* Other architectures have headers of the same names; nothing of this one includes them. */
static bool is_left_out(const char *dir_name, const char *name)
{
	return *name == '.' || !strcmp(name, "Documentation") ||
	       (!strcmp(dir_name, "arch") && strcmp(name, "x86") != 0);
}

static struct kc_error *add_file(struct reader *reader, char **path)
{
	struct source_file *file = kc_array_add(&reader->files, &reader->n_files);

	if (!file)
		return kc_error_no_memory();
	file->path = kc_steal(*path);
	file->name = kc_kernel_relative_path(reader->tree, file->path);
	return NULL;
}

/* Does not follow symbolic links: the folder of objects has one to the source. */
static struct kc_error *list_files(struct reader *reader, const char *root, const char *path)
{
	kc_autoclosedir DIR *dir = opendir(path);
	const char *dir_name = path_below(path, root);
	struct dirent *entry;

	if (!dir)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", path);
	while ((entry = readdir(dir))) {
		kc_autofree char *below = NULL;

		if (entry->d_type == DT_DIR ? is_left_out(dir_name ? dir_name : "", entry->d_name)
					    : entry->d_type != DT_REG || !is_source(entry->d_name))
			continue;
		below = kc_path_join(path, entry->d_name);
		if (!below)
			return kc_error_no_memory();
		if (entry->d_type == DT_DIR)
			KC_TRY(list_files(reader, root, below));
		else
			KC_TRY(add_file(reader, &below));
	}
	return NULL;
}

static int compare_files(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* A file that both folders have is one. */
static uint32_t number_files(struct reader *reader)
{
	uint32_t n = 0;

	for (size_t i = 0; i < reader->n_files; i++) {
		n += i && strcmp(reader->files[i].name, reader->files[i - 1].name) != 0;
		reader->files[i].number = n;
	}
	return reader->n_files ? n + 1 : 0;
}

/* ---- what they include ---- */

static void add_name(struct kc_buf *names, char mark, const char *name, size_t size)
{
	if (memchr(name, '\t', size) || memchr(name, '\0', size))
		return;
	kc_buf_append(names, &mark, 1);
	kc_buf_append(names, name, size);
	kc_buf_append(names, "", 1);
}

/* "file.h" or <file.h>: its size without the quotes, or 0. */
static size_t quoted_size(const char *text)
{
	size_t size = *text == '<' || *text == '"' ? strcspn(text + 1, *text == '<' ? ">\n" : "\"\n") : 0;

	return size && text[1 + size] == (*text == '<' ? '>' : '"') ? size : 0;
}

/*
 * `#include MACRO` reads what some `#define MACRO "file.h"` says. (TRACE_INCLUDE_FILE says no such thing, but what it
 * stands for is the header itself that includes define_trace.h.)
 */
static void take_define(const char *text, struct kc_buf *names)
{
	size_t size;

	text += strspn(text, " \t");
	text += strcspn(text, " \t\n");
	text += strspn(text, " \t");
	size = quoted_size(text);
	if (size > 2 && text[size - 1] == '.' && (text[size] == 'h' || text[size] == 'c'))
		add_name(names, KC_INCLUDE_ANYWHERE, text + 1, size);
}

/* `text` stands behind a '#'. Comments are not told apart: a name too many does no harm. */
static void take_directive(const char *text, struct kc_buf *names)
{
	static const char include[] = "include", next[] = "_next", define[] = "define";
	bool is_next = false;
	size_t size;

	text += strspn(text, " \t");
	if (!strncmp(text, define, strlen(define))) {
		take_define(text + strlen(define), names);
		return;
	}
	if (strncmp(text, include, strlen(include)) != 0)
		return;
	text += strlen(include);
	if (!strncmp(text, next, strlen(next))) {
		text += strlen(next);
		is_next = true;
	}
	text += strspn(text, " \t");
	size = quoted_size(text);
	if (size)
		add_name(names, is_next ? KC_INCLUDE_ANYWHERE : *text, text + 1, size);
}

static void read_one(void *data, size_t i)
{
	struct reader *reader = data;
	struct source_file *file = &reader->files[i];
	kc_autobuf struct kc_buf text = { 0 };
	const char *p, *end;

	file->errnum = -kc_file_read(file->path, FILE_LIMIT, &text);
	if (file->errnum || !text.size)
		return;
	end = text.data + text.size;
	for (p = text.data; (p = memchr(p, '#', (size_t)(end - p))); p++)
		take_directive(p + 1, &file->names);
}

/* What -include on the command line forces upon a unit is as good as written in its source. */
static struct kc_error *take_forced(const struct kc_kernel_tree *tree, const char *command, struct kc_buf *names)
{
	static const char option[] = " -include ";

	while ((command = strstr(command, option))) {
		kc_autofree char *word = NULL, *path = NULL;
		const char *name;

		command += strlen(option);
		word = strndup(command, strcspn(command, " "));
		path = word ? kc_path_resolve(tree->obj_dir, word) : NULL;
		if (!path)
			return kc_error_no_memory();
		name = kc_kernel_relative_path(tree, path);
		if (name)
			add_name(names, KC_INCLUDE_EXACT, name, strlen(name));
	}
	return NULL;
}

static struct kc_error *read_forced(struct reader *reader)
{
	const struct kc_kernel_units *units = &reader->tree->units;

	for (size_t i = 0; i < units->n_items; i++) {
		struct source_file key = { .name = kc_kernel_relative_path(reader->tree, units->items[i].source) },
				   *file;
		kc_autobuf struct kc_buf command = { 0 };

		file = key.name ? bsearch(&key, reader->files, reader->n_files, sizeof(key), compare_files) : NULL;
		if (!file)
			continue;
		KC_TRY(kc_kernel_unit_command_text(&units->items[i], reader->tree->commands_path, &command));
		KC_TRY(take_forced(reader->tree, command.data, &file->names));
	}
	return NULL;
}

/* ---- the answer ---- */

static int compare_inclusions(const void *a, const void *b)
{
	const struct inclusion *x = a, *y = b;
	int order = strcmp(kc_include_last_part(x->name), kc_include_last_part(y->name));

	if (!order)
		order = strcmp(x->name, y->name);
	return order ? order : (x->file > y->file) - (x->file < y->file);
}

static struct kc_error *sort_inclusions(struct reader *reader)
{
	size_t n = 0;

	for (size_t i = 0; i < reader->n_files; i++) {
		const struct kc_buf *names = &reader->files[i].names;

		if (reader->files[i].errnum)
			return kc_error_errno(KC_ERR_SYSTEM, reader->files[i].errnum, "cannot read %s",
					      reader->files[i].path);
		if (names->failed)
			return kc_error_no_memory();
		for (size_t at = 0; at < names->size; at += strlen(names->data + at) + 1) {
			struct inclusion *inclusion = kc_array_add(&reader->inclusions, &reader->n_inclusions);

			if (!inclusion)
				return kc_error_no_memory();
			*inclusion = (struct inclusion){ names->data + at, reader->files[i].number };
		}
	}
	if (!reader->n_inclusions)
		return NULL;
	qsort(reader->inclusions, reader->n_inclusions, sizeof(*reader->inclusions), compare_inclusions);
	for (size_t i = 0; i < reader->n_inclusions; i++)
		if (!i || compare_inclusions(&reader->inclusions[i], &reader->inclusions[n - 1]))
			reader->inclusions[n++] = reader->inclusions[i];
	reader->n_inclusions = n;
	return NULL;
}

static struct kc_error *write_answer(const struct reader *reader, size_t n_files, struct kc_buf *text)
{
	const struct inclusion *inclusions = reader->inclusions;
	kc_autobuf struct kc_buf names = { 0 };
	size_t n_names = 0;

	for (size_t i = 0; i < reader->n_inclusions; i++) {
		bool is_new = !i || strcmp(inclusions[i].name, inclusions[i - 1].name) != 0;

		if (is_new)
			kc_buf_printf(&names, "%s%s", i ? "\n" : "", inclusions[i].name);
		kc_buf_printf(&names, "%c%u", is_new ? '\t' : ' ', inclusions[i].file);
		n_names += is_new;
	}
	kc_buf_append_str(&names, n_names ? "\n" : "");
	kc_buf_printf(text, "%zu %zu %zu\n", n_files, n_names, reader->n_inclusions);
	for (size_t i = 0; i < reader->n_files; i++)
		if (!i || reader->files[i].number != reader->files[i - 1].number)
			kc_buf_printf(text, "%s\n", reader->files[i].name);
	kc_buf_append(text, names.data, names.size);
	return text->failed || names.failed ? kc_error_no_memory() : NULL;
}

static struct kc_error *read_all(struct kc_ctx *ctx, struct reader *reader, struct kc_buf *text)
{
	const struct kc_kernel_tree *tree = reader->tree;
	uint32_t n_files;

	KC_TRY(list_files(reader, tree->tree->source_dir, tree->tree->source_dir));
	KC_TRY(list_files(reader, tree->obj_dir, tree->obj_dir));
	if (reader->n_files)
		qsort(reader->files, reader->n_files, sizeof(*reader->files), compare_files);
	n_files = number_files(reader);
	kc_parallel(ctx, "reading who includes what", reader->n_files, 0, read_one, reader);
	KC_TRY(read_forced(reader));
	KC_TRY(sort_inclusions(reader));
	return write_answer(reader, n_files, text);
}

struct kc_error *kc_kernel_include_lines(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, struct kc_buf *text)
{
	struct reader reader = { .tree = tree };
	struct kc_error *err = read_all(ctx, &reader, text);

	reader_clear(&reader);
	return err;
}
