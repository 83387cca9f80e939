/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pages above those of the kernels: all distributions, and each with its kernels and packages. */
#include "repo/public_internal.h"

#include <string.h>

#include "base/array.h"
#include "base/file.h"

/* A line of a distribution's page: a kernel, or a package with all its build-ids. */
struct line {
	const char *distribution; /* not '\0'-terminated for packages: `distribution_size` */
	size_t distribution_size;
	const char *id;	  /* kernels; NULL: a package */
	const char *name; /* "6.1.0-47-amd64", "libssl3" */
	const char *patchset, *released;
	int level;
	size_t n_builds;
};

struct lines {
	struct line *lines;
	size_t n_lines;
};

static void clear_lines(struct lines *lines)
{
	free(lines->lines);
}

#define CLEANUP_LINES KC_CLEANUP(clear_lines)

static struct kc_error *add_kernels(const json_t *kernels, struct lines *lines)
{
	const char *id;
	json_t *kernel;

	json_object_foreach((json_t *)kernels, id, kernel)
	{
		struct line *line = kc_array_add(&lines->lines, &lines->n_lines);

		if (!line)
			return kc_error_no_memory();
		*line = (struct line){ .distribution = kc_public_text(kernel, "distribution"),
				       .distribution_size = strlen(kc_public_text(kernel, "distribution")),
				       .id = id,
				       .name = kc_public_text(kernel, "kernel"),
				       .patchset = kc_public_text(kernel, "patchset"),
				       .released = kc_public_text(kernel, "released"),
				       .level = (int)json_integer_value(json_object_get(kernel, "level")) };
	}
	return NULL;
}

/* One line for each build-id, of "user/debian12/libssl3". */
static struct kc_error *add_builds(const json_t *builds, struct lines *lines)
{
	const char *id;
	json_t *build;

	json_object_foreach((json_t *)builds, id, build)
	{
		const char *path = kc_public_text(build, "target"), *name = strrchr(path, '/');
		struct line *line;

		if (strncmp(path, "user/", 5) || !name || name < path + 5)
			continue;
		line = kc_array_add(&lines->lines, &lines->n_lines);
		if (!line)
			return kc_error_no_memory();
		*line = (struct line){ .distribution = path + 5,
				       .distribution_size = (size_t)(name - path - 5),
				       .name = name + 1,
				       .patchset = kc_public_text(build, "patchset"),
				       .released = "",
				       .level = (int)json_integer_value(json_object_get(build, "level")),
				       .n_builds = 1 };
	}
	return NULL;
}

static int compare_distributions(const struct line *a, const struct line *b)
{
	size_t size = a->distribution_size < b->distribution_size ? a->distribution_size : b->distribution_size;
	int difference = memcmp(a->distribution, b->distribution, size);

	if (difference)
		return difference;
	return (a->distribution_size > b->distribution_size) - (a->distribution_size < b->distribution_size);
}

/* By distribution; kernels first, those of the highest version on top; then packages by name. */
static int compare_lines(const void *first, const void *second)
{
	const struct line *a = first, *b = second;
	int difference = compare_distributions(a, b);

	if (!difference)
		difference = !a->id - !b->id;
	if (!difference)
		difference = a->id ? strverscmp(b->name, a->name) : strcmp(a->name, b->name);
	if (!difference && a->id)
		difference = strcmp(a->id, b->id);
	return difference;
}

/* Build-ids of one package become one line, with the highest level. */
static void join_builds(struct lines *lines)
{
	size_t n = 0;

	for (size_t i = 0; i < lines->n_lines; i++) {
		struct line *line = &lines->lines[i], *last = n ? &lines->lines[n - 1] : NULL;

		if (!last || last->id || line->id || compare_lines(last, line)) {
			lines->lines[n++] = *line;
			continue;
		}
		last->n_builds++;
		if (line->level > last->level) {
			last->level = line->level;
			last->patchset = line->patchset;
		}
	}
	lines->n_lines = n;
}

static void append_kernel(struct kc_buf *out, const struct line *line)
{
	kc_buf_append_str(out, "<tr><td><a href=\"kernel/");
	kc_html_text(out, line->id);
	kc_buf_append_str(out, ".html\">");
	kc_html_text(out, line->name);
	kc_buf_append_str(out, "</a></td>");
	if (line->level) {
		kc_buf_printf(out, "<td class=\"number\">%d</td><td>", line->level);
		kc_html_text(out, line->patchset);
	} else {
		kc_buf_append_str(out, "<td></td><td>blocked");
	}
	kc_buf_append_str(out, "</td><td>");
	kc_html_text(out, line->released);
	kc_buf_append_str(out, "</td><td><code>");
	kc_html_text(out, line->id);
	kc_buf_append_str(out, "</code></td></tr>\n");
}

static void append_package(struct kc_buf *out, const struct line *line)
{
	kc_buf_append_str(out, "<tr><td>");
	kc_html_text(out, line->name);
	kc_buf_printf(out, "</td><td class=\"number\">%d</td><td>", line->level);
	kc_html_text(out, line->patchset);
	kc_buf_printf(out, "</td><td class=\"number\">%zu</td></tr>\n", line->n_builds);
}

/* All lines are of one distribution. */
static struct kc_error *write_distribution(const struct kc_public_files *files, const struct line *lines, size_t n)
{
	kc_autofree char *title = strndup(lines->distribution, lines->distribution_size), *name = NULL;
	kc_autobuf struct kc_buf out = { 0 };
	size_t i = 0;

	if (!title || asprintf(&name, "index/%s.html", title) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	kc_html_begin(&out, title, "../index.html", "All distributions");
	if (lines->id)
		kc_buf_append_str(&out, "<h2>Kernels</h2>\n<table>\n<tr><th>Kernel</th><th class=\"number\">Level</th>"
					"<th>Patchset</th><th>Release Date</th><th>Kernel id</th></tr>\n");
	for (; i < n && lines[i].id; i++)
		append_kernel(&out, &lines[i]);
	kc_buf_append_str(&out, lines->id ? "</table>\n" : "");
	if (i < n)
		kc_buf_append_str(
			&out,
			"<h2>Libraries and programs</h2>\n<table>\n<tr><th>Package</th>"
			"<th class=\"number\">Level</th><th>Patchset</th><th class=\"number\">Builds</th></tr>\n");
	for (size_t k = i; k < n; k++)
		append_package(&out, &lines[k]);
	kc_buf_append_str(&out, i < n ? "</table>\n" : "");
	kc_html_end(&out);
	return out.failed ? kc_error_no_memory() : kc_public_write(files, name, out.data, out.size);
}

static void append_distribution(struct kc_buf *out, const struct line *lines, size_t n)
{
	kc_autofree char *name = strndup(lines->distribution, lines->distribution_size);
	const char *released = "", *patchset = "";
	size_t n_kernels = 0;

	for (size_t i = 0; i < n; i++) {
		n_kernels += !!lines[i].id;
		if (strcmp(lines[i].released, released) > 0) {
			released = lines[i].released;
			patchset = lines[i].patchset;
		}
	}
	kc_buf_append_str(out, "<tr><td><a href=\"index/");
	kc_html_text(out, name ? name : "");
	kc_buf_append_str(out, ".html\">");
	kc_html_text(out, name ? name : "");
	kc_buf_printf(out, "</a></td><td class=\"number\">%zu</td><td class=\"number\">%zu</td><td>", n_kernels,
		      n - n_kernels);
	kc_html_text(out, released);
	kc_buf_append_str(out, "</td><td>");
	kc_html_text(out, patchset);
	kc_buf_append_str(out, "</td></tr>\n");
}

static size_t count_same(const struct lines *lines, size_t begin)
{
	size_t n = 1;

	while (begin + n < lines->n_lines && !compare_distributions(&lines->lines[begin], &lines->lines[begin + n]))
		n++;
	return n;
}

/* Pages of distributions that have nothing any more. */
static struct kc_error *remove_others(const struct kc_public_files *files, const struct lines *lines)
{
	kc_autofree char *path = kc_path_join(files->dir, "index");
	kc_autoclosedir DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t size = strlen(entry->d_name);
		char name[NAME_MAX + 16];
		bool is_used = false;

		if (size <= 5 || strcmp(entry->d_name + size - 5, ".html"))
			continue;
		for (size_t i = 0; !is_used && i < lines->n_lines; i++)
			is_used = lines->lines[i].distribution_size == size - 5 &&
				  !memcmp(lines->lines[i].distribution, entry->d_name, size - 5);
		snprintf(name, sizeof(name), "index/%s", entry->d_name);
		if (!is_used)
			KC_TRY(kc_public_remove(files, name));
	}
	return NULL;
}

struct kc_error *kc_public_index_pages(const struct kc_public_files *files)
{
	CLEANUP_LINES struct lines lines = { 0 };
	kc_autobuf struct kc_buf out = { 0 };

	KC_TRY(add_kernels(files->kernels, &lines));
	KC_TRY(add_builds(files->builds, &lines));
	if (lines.n_lines)
		qsort(lines.lines, lines.n_lines, sizeof(*lines.lines), compare_lines);
	join_builds(&lines);
	kc_html_begin(&out, "Live patches", NULL, NULL);
	kc_buf_append_str(&out,
			  "<table>\n<tr><th>Distribution</th><th class=\"number\">Kernels</th>"
			  "<th class=\"number\">Packages</th><th>Newest kernel patch</th><th>Patchset</th></tr>\n");
	for (size_t i = 0, n; i < lines.n_lines; i += n) {
		n = count_same(&lines, i);
		append_distribution(&out, &lines.lines[i], n);
		KC_TRY(write_distribution(files, &lines.lines[i], n));
	}
	kc_buf_append_str(&out, "</table>\n<p class=\"soft\">For programs: <a href=\"index/kernels.json\">kernels.json"
				"</a>, <a href=\"libcare-patches.json\">libcare-patches.json</a></p>\n");
	kc_html_end(&out);
	KC_TRY(remove_others(files, &lines));
	return out.failed ? kc_error_no_memory() : kc_public_write(files, "index.html", out.data, out.size);
}
