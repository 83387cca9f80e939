/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks names up in the graph that kernel_include_lines.c has made: from each file that is reached, to the files that
 * include it. The graph is made once for a prepared kernel and then read from its file "includes".
 */
#include "build/kernel_includes.h"

#include <inttypes.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "build/kernel_include_lines.h"
#include "sign/hash.h"

enum { INCLUDES_LIMIT = 256 << 20 };

#define HEADER "kcare-includes 1 "

/* Every command of Kbuild searches these first, in this order (LINUXINCLUDE). */
static const char *const first_folders[] = {
	"arch/x86/include",	  "arch/x86/include/generated",	     "include",
	"arch/x86/include/uapi",  "arch/x86/include/generated/uapi", "include/uapi",
	"include/generated/uapi",
};

enum { N_FIRST = KC_ARRAY_SIZE(first_folders), RANK_UNKNOWN = N_FIRST + 1 };

struct name {
	const char *text; /* with its mark: enum kc_include_mark */
	uint32_t *files;  /* that include it */
	size_t n_files;
	unsigned rank; /* which of first_folders has it; N_FIRST: none; RANK_UNKNOWN: not looked up yet */
};

struct graph {
	struct kc_buf text; /* the file; the strings are in it */
	const char **files; /* sorted, relative to the folder of source or objects */
	size_t n_files;
	struct name *names; /* by their last part */
	size_t n_names;
	uint32_t *numbers; /* what names[].files points into */
};

static void graph_clear(struct graph *graph)
{
	free(graph->files);
	free(graph->names);
	free(graph->numbers);
	kc_buf_free(&graph->text);
}

/* ---- the file "includes" ---- */

static char *take_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line;
}

static bool parse_name(char *line, struct graph *graph, size_t *n_numbers, size_t most)
{
	struct name *name = &graph->names[graph->n_names];
	char *tab = line ? strchr(line, '\t') : NULL;

	if (!tab)
		return false;
	*tab = '\0';
	*name = (struct name){ .text = line, .files = graph->numbers + *n_numbers, .rank = RANK_UNKNOWN };
	for (char *p = tab + 1, *end; *p; p = end) {
		unsigned long number = strtoul(p, &end, 10);

		if (end == p || number >= graph->n_files || *n_numbers == most)
			return false;
		graph->numbers[(*n_numbers)++] = (uint32_t)number;
		name->n_files++;
	}
	graph->n_names++;
	return true;
}

/* `text` is what stands behind the first line. */
static bool parse_text(char *text, struct graph *graph)
{
	size_t n_files, n_names, most, n_numbers = 0;
	char *line = take_line(&text);

	if (!line || sscanf(line, "%zu %zu %zu", &n_files, &n_names, &most) != 3 || n_files > INCLUDES_LIMIT ||
	    n_names > INCLUDES_LIMIT || most > INCLUDES_LIMIT)
		return false;
	graph->files = calloc(n_files + 1, sizeof(*graph->files));
	graph->names = calloc(n_names + 1, sizeof(*graph->names));
	graph->numbers = calloc(most + 1, sizeof(*graph->numbers));
	if (!graph->files || !graph->names || !graph->numbers)
		return false;
	for (; graph->n_files < n_files; graph->n_files++) {
		graph->files[graph->n_files] = take_line(&text);
		if (!graph->files[graph->n_files])
			return false;
	}
	while (graph->n_names < n_names)
		if (!parse_name(take_line(&text), graph, &n_numbers, most))
			return false;
	return !*text;
}

/* false when the file is missing or damaged: then it is made again. */
static bool read_graph(const char *path, struct graph *graph)
{
	size_t start = strlen(HEADER), size = start + KC_SHA256_TEXT_SIZE; /* its '\0' is the end of the line */
	char hash[KC_SHA256_TEXT_SIZE];

	if (kc_file_read(path, INCLUDES_LIMIT, &graph->text) || graph->text.size < size ||
	    memcmp(graph->text.data, HEADER, start) != 0)
		return false;
	kc_sha256_text(graph->text.data + size, graph->text.size - size, hash);
	return !memcmp(graph->text.data + start, hash, KC_SHA256_TEXT_SIZE - 1) &&
	       parse_text(graph->text.data + size, graph);
}

static struct kc_error *make_graph(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, struct graph *graph)
{
	kc_autobuf struct kc_buf lines = { 0 }, text = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];
	int err;

	KC_TRY(kc_kernel_include_lines(ctx, tree, &lines));
	kc_sha256_text(lines.data, lines.size, hash);
	kc_buf_printf(&text, HEADER "%s\n", hash);
	kc_buf_append(&text, lines.data, lines.size);
	if (text.failed)
		return kc_error_no_memory();
	err = kc_file_write_atomic(tree->includes_path, text.data, text.size, 0644);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", tree->includes_path);
	graph_clear(graph);
	*graph = (struct graph){ 0 };
	if (!read_graph(tree->includes_path, graph))
		return kc_error_new(KC_ERR_SYSTEM, "cannot read back %s", tree->includes_path);
	return NULL;
}

/* ---- names ---- */

static int compare_path(const void *path, const void *file)
{
	return strcmp(path, *(const char *const *)file);
}

/* The number of a file, or -1. */
static ssize_t find_file(const struct graph *graph, const char *path)
{
	const char **file = bsearch(path, graph->files, graph->n_files, sizeof(*file), compare_path);

	return file ? file - graph->files : -1;
}

/* Is `path` first_folders[rank] and `name`? */
static bool is_in_first(const char *path, unsigned rank, const char *name)
{
	size_t size = strlen(first_folders[rank]);

	return !strncmp(path, first_folders[rank], size) && path[size] == '/' && !strcmp(path + size + 1, name);
}

static unsigned find_rank(const struct graph *graph, const char *name)
{
	for (unsigned rank = 0; rank < N_FIRST; rank++) {
		kc_autofree char *path = kc_path_join(first_folders[rank], name);

		if (path && find_file(graph, path) >= 0)
			return rank;
	}
	return N_FIRST;
}

/* Does the path end in the parts of this name? "../" in front says nothing. */
static bool ends_in(const char *path, const char *name)
{
	kc_autofree char *clean = kc_path_resolve("/", name);
	size_t size = clean ? strlen(clean) : 0, path_size = strlen(path);

	if (path_size + 1 == size)
		return !strcmp(path, clean + 1);
	return path_size >= size && !strcmp(path + path_size - size, clean ? clean : "");
}

/* May the name stand for `path`, wherever it is written? */
static bool may_name(const struct graph *graph, struct name *name, const char *path)
{
	const char *text = name->text + 1;

	if (*name->text == KC_INCLUDE_EXACT)
		return !strcmp(text, path);
	if (*name->text == KC_INCLUDE_ANYWHERE)
		return ends_in(path, text);
	if (name->rank == RANK_UNKNOWN)
		name->rank = find_rank(graph, text);
	for (unsigned rank = 0; rank < N_FIRST && rank <= name->rank; rank++)
		if (is_in_first(path, rank, text))
			return true;
	return name->rank == N_FIRST && ends_in(path, text);
}

/* "x.h" in a/b.c is a/x.h when that exists. */
static bool reads(const struct graph *graph, const char *file, const struct name *name, const char *path, bool named)
{
	kc_autofree char *dir = NULL, *beside = NULL;

	if (*name->text != KC_INCLUDE_QUOTED)
		return named;
	if (asprintf(&dir, "/%.*s", (int)(kc_path_name(file) - file), file) < 0) {
		dir = NULL;
		return true;
	}
	beside = kc_path_resolve(dir, name->text + 1);
	if (!beside || !strcmp(beside + 1, path))
		return true;
	return named && find_file(graph, beside + 1) < 0;
}

/* ---- backwards ---- */

struct walk {
	struct graph *graph;
	bool *reached;
	uint32_t *queue; /* room for every file */
	size_t n_queued;
	bool header; /* one of them was a header */
};

static void reach(struct walk *walk, size_t file)
{
	if (walk->reached[file])
		return;
	walk->reached[file] = true;
	walk->queue[walk->n_queued++] = (uint32_t)file;
}

static void reach_includers(struct walk *walk, const char *path)
{
	const char *last = kc_path_name(path), *suffix = strrchr(last, '.');
	size_t low = 0, high = walk->graph->n_names;

	walk->header |= suffix && !strcmp(suffix, ".h");
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(kc_include_last_part(walk->graph->names[middle].text), last) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < walk->graph->n_names; low++) {
		struct name *name = &walk->graph->names[low];
		bool named;

		if (strcmp(kc_include_last_part(name->text), last) != 0)
			break;
		named = may_name(walk->graph, name, path);
		for (size_t i = 0; i < name->n_files; i++)
			if (!walk->reached[name->files[i]] &&
			    reads(walk->graph, walk->graph->files[name->files[i]], name, path, named))
				reach(walk, name->files[i]);
	}
}

/* A path of the fix may be new: then only those that name it are reached. */
static void walk_back(const struct kc_kernel_tree *tree, struct walk *walk, const char *const *paths, size_t n_paths)
{
	for (size_t i = 0; i < n_paths; i++) {
		const char *path = kc_kernel_relative_path(tree, paths[i]);
		ssize_t file = path ? find_file(walk->graph, path) : -1;

		if (file >= 0)
			reach(walk, (size_t)file);
		else if (path)
			reach_includers(walk, path);
	}
	for (size_t i = 0; i < walk->n_queued; i++)
		reach_includers(walk, walk->graph->files[walk->queue[i]]);
}

/* A source that is generated, and was not yet, may read any header. */
static bool is_reached(const struct kc_kernel_tree *tree, const struct walk *walk, const struct kc_kernel_unit *unit)
{
	const char *path = kc_kernel_relative_path(tree, unit->source);
	ssize_t file = path ? find_file(walk->graph, path) : -1;

	return file >= 0 ? walk->reached[file] : walk->header;
}

static int compare_sizes(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static struct kc_error *add_units(const struct kc_kernel_tree *tree, const struct walk *walk, size_t **units,
				  size_t *n_units)
{
	size_t n_kept = 0;

	for (size_t i = 0; i < tree->units.n_items; i++) {
		size_t *slot = NULL;

		if (!is_reached(tree, walk, &tree->units.items[i]))
			continue;
		slot = kc_array_add(units, n_units);
		if (!slot)
			return kc_error_no_memory();
		*slot = i;
	}
	if (*n_units)
		qsort(*units, *n_units, sizeof(**units), compare_sizes);
	for (size_t i = 0; i < *n_units; i++)
		if (!i || (*units)[i] != (*units)[n_kept - 1])
			(*units)[n_kept++] = (*units)[i];
	*n_units = n_kept;
	return NULL;
}

static struct kc_error *find_units(const struct kc_kernel_tree *tree, struct graph *graph, const char *const *paths,
				   size_t n_paths, size_t **units, size_t *n_units)
{
	kc_autofree bool *reached = calloc(graph->n_files + 1, sizeof(*reached));
	kc_autofree uint32_t *queue = calloc(graph->n_files + 1, sizeof(*queue));
	struct walk walk = { .graph = graph, .reached = reached, .queue = queue };

	if (!reached || !queue)
		return kc_error_no_memory();
	walk_back(tree, &walk, paths, n_paths);
	return add_units(tree, &walk, units, n_units);
}

struct kc_error *kc_kernel_includes_find(struct kc_ctx *ctx, const struct kc_kernel_tree *tree,
					 const char *const *paths, size_t n_paths, size_t max, size_t **units,
					 size_t *n_units)
{
	struct graph graph = { 0 };
	struct kc_error *err = NULL;

	if (!read_graph(tree->includes_path, &graph))
		err = make_graph(ctx, tree, &graph);
	if (!err)
		err = find_units(tree, &graph, paths, n_paths, units, n_units);
	graph_clear(&graph);
	if (err || *n_units <= max)
		return err;
	return kc_error_new(
		KC_ERR_LIMIT,
		"%zu objects may read what the fix changes, more than %zu; when all of them shall be looked "
		"at, say --max-objects %zu",
		*n_units, max, *n_units);
}
