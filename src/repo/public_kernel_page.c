/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page of one kernel: its releases, newest first, each with what it fixes that the one below did not. */
#include "repo/public_internal.h"

#include <string.h>

static bool has_fix(const json_t *release, const char *name)
{
	const json_t *fix;
	size_t i;

	json_array_foreach(json_object_get(release, "fixes"), i, fix)
	{
		if (!strcmp(kc_public_text(fix, "name"), name))
			return true;
	}
	return false;
}

/* Only the web: an address may come from anywhere. */
static void append_link(struct kc_buf *out, const char *url, const char *title)
{
	bool is_web = !strncmp(url, "https://", 8) || !strncmp(url, "http://", 7);

	if (is_web) {
		kc_buf_append_str(out, "<a rel=\"noreferrer\" href=\"");
		kc_html_text(out, url);
		kc_buf_append_str(out, "\">");
	}
	kc_html_text(out, title);
	kc_buf_append_str(out, is_web ? "</a>" : "");
}

static void append_cves(struct kc_buf *out, const json_t *fix)
{
	const json_t *cves = json_object_get(fix, "cves"), *cve;
	size_t i;

	if (!json_array_size(cves) && *kc_public_text(fix, "cve_url"))
		append_link(out, kc_public_text(fix, "cve_url"), "advisory");
	json_array_foreach(cves, i, cve)
	{
		kc_buf_append_str(out, i ? ", " : "");
		/* one address for several CVEs is that of the first */
		append_link(out, i ? "" : kc_public_text(fix, "cve_url"),
			    json_string_value(cve) ? json_string_value(cve) : "");
	}
}

static void append_fix(struct kc_buf *out, const json_t *fix)
{
	kc_buf_append_str(out, "<tr><td>");
	append_cves(out, fix);
	kc_buf_append_str(out, "</td><td>");
	kc_html_text(out, kc_public_text(fix, "cvss"));
	kc_buf_append_str(out, "</td><td>");
	kc_html_text(out, kc_public_text(fix, "description"));
	kc_buf_append_str(out, " <span class=\"soft\">");
	kc_html_text(out, kc_public_text(fix, "name"));
	kc_buf_append_str(out, "</span></td><td>");
	if (*kc_public_text(fix, "patch_url"))
		append_link(out, kc_public_text(fix, "patch_url"), "patch");
	kc_buf_append_str(out, "</td></tr>\n");
}

static void append_fixes(struct kc_buf *out, const json_t *release, const json_t *below)
{
	const json_t *fix;
	size_t i, n = 0;

	json_array_foreach(json_object_get(release, "fixes"), i, fix)
	{
		if (has_fix(below, kc_public_text(fix, "name")))
			continue;
		if (!n++)
			kc_buf_append_str(out, "<table>\n<tr><th>CVE</th><th>CVSS</th><th>Fix</th><th></th></tr>\n");
		append_fix(out, fix);
	}
	kc_buf_append_str(out, n ? "</table>\n" : "");
	if (below && json_array_size(json_object_get(release, "fixes")) > n)
		kc_buf_printf(out, "<p class=\"soft\">%s of level %d.</p>\n",
			      n ? "And all fixes" : "No other fixes than those", kc_public_level(below));
}

/* `below`: the release of the same type that it builds on; NULL: it is the first. */
static void append_release(struct kc_buf *out, const json_t *release, const json_t *below)
{
	const char *type = kc_public_text(release, "type");

	kc_buf_printf(out, "<h2 id=\"level-%d\">Level %d, ", kc_public_level(release), kc_public_level(release));
	kc_html_text(out, kc_public_text(release, "patchset"));
	if (strcmp(type, "default")) {
		kc_buf_append_str(out, ", for hosts with the patch type ");
		kc_html_text(out, type);
	}
	kc_buf_append_str(out, "</h2>\n<p>Release Date: ");
	kc_html_text(out, kc_public_text(release, "released"));
	kc_buf_append_str(out, "<br>\nEffective version: ");
	kc_html_text(out, kc_public_text(release, "effective_version"));
	if (json_is_true(json_object_get(release, "blocked")))
		kc_buf_append_str(out, "<br>\n<strong>Blocked: hosts take this level out.</strong>");
	kc_buf_append_str(out, "</p>\n");
	append_fixes(out, release, below);
}

static int newest_first(const void *a, const void *b)
{
	const json_t *first = *(json_t *const *)a, *second = *(json_t *const *)b;
	int difference = kc_public_level(second) - kc_public_level(first);

	return difference ? difference : strcmp(kc_public_text(first, "type"), kc_public_text(second, "type"));
}

static struct kc_error *append_releases(struct kc_buf *out, const json_t *releases)
{
	const json_t *array = json_object_get(releases, "releases"), *release;
	kc_autofree const json_t **sorted = calloc(json_array_size(array) + 1, sizeof(*sorted));
	size_t i;

	if (!sorted)
		return kc_error_no_memory();
	json_array_foreach(array, i, release) sorted[i] = release;
	qsort(sorted, json_array_size(array), sizeof(*sorted), newest_first);
	for (i = 0; i < json_array_size(array); i++) {
		size_t k = i + 1;

		while (k < json_array_size(array) &&
		       (strcmp(kc_public_text(sorted[k], "type"), kc_public_text(sorted[i], "type")) ||
			kc_public_level(sorted[k]) == kc_public_level(sorted[i])))
			k++;
		append_release(out, sorted[i], k < json_array_size(array) ? sorted[k] : NULL);
	}
	return NULL;
}

struct kc_error *kc_public_kernel_page(const struct kc_public_files *files, const char *kernel_id,
				       const json_t *releases)
{
	kc_autobuf struct kc_buf out = { 0 };
	char name[96], up[96];

	snprintf(name, sizeof(name), "index/kernel/%s.html", kernel_id);
	if (!releases)
		return kc_public_remove(files, name);
	snprintf(up, sizeof(up), "../%s.html", kc_public_text(releases, "distribution"));
	kc_html_begin(&out, kc_public_text(releases, "kernel"), up, kc_public_text(releases, "distribution"));
	kc_buf_printf(&out,
		      "<p>Kernel id: <code>%s</code><br>\nFor programs: <a "
		      "href=\"../../%s/releases.json\">releases.json</a></p>\n",
		      kernel_id, kernel_id);
	KC_TRY(append_releases(&out, releases));
	kc_html_end(&out);
	return out.failed ? kc_error_no_memory() : kc_public_write(files, name, out.data, out.size);
}
