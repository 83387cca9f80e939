/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report as text and as JSON. Names come from processes: what a terminal or JSON cannot take becomes '?'. */
#include "apply/user_report.h"

#include <jansson.h>
#include <string.h>

#include "base/array.h"

KC_DEFINE_CLEANUP(cleanup_json, json_t *, json_decref)
#define autojson KC_CLEANUP(cleanup_json)

static void append_printable(struct kc_buf *out, const char *text)
{
	for (; *text; text++) {
		char c = *text >= ' ' && *text < 0x7f ? *text : '?';

		kc_buf_append(out, &c, 1);
	}
}

static void text_cves(const struct kc_patch *patch, const struct kc_report_object *unless_fixed_by, struct kc_buf *out)
{
	size_t n;
	kc_autofree const char **cves = kc_patch_cves(patch, &n);

	if (!cves) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (!unless_fixed_by || !kc_report_object_fixes(unless_fixed_by, cves[i]))
			kc_buf_printf(out, " %s", cves[i]);
	}
}

static bool is_behind(const struct kc_report_object *object)
{
	return object->available && object->available->manifest.level > object->level;
}

static void text_object(const struct kc_report_object *object, struct kc_buf *out)
{
	kc_buf_append_str(out, "  ");
	append_printable(out, object->name);
	kc_buf_append_str(out, " (build-id ");
	append_printable(out, object->build_id);
	kc_buf_append_str(out, ")\n");
	if (object->level) {
		kc_buf_printf(out, "    patched: level %u of ", object->level);
		append_printable(out, object->patchset);
		if (object->problem) {
			kc_buf_append_str(out, "; does not count: ");
			append_printable(out, object->problem);
		} else {
			kc_buf_append_str(out, object->patch->manifest.n_fixes ? "; fixed:" : "");
			text_cves(object->patch, NULL, out);
		}
		kc_buf_append_str(out, "\n");
	}
	if (object->is_withdrawn)
		kc_buf_append_str(out, "    WITHDRAWN: this level must leave the process\n");
	if (!object->level && object->problem) {
		kc_buf_append_str(out, "    ");
		append_printable(out, object->problem);
		kc_buf_append_str(out, "\n");
	}
	if (is_behind(object)) {
		kc_buf_printf(out, "    %s: level %u is known; missing:", object->level ? "BEHIND" : "NOT PATCHED",
			      object->available->manifest.level);
		text_cves(object->available, object, out);
		kc_buf_append_str(out, "\n");
	}
	if (!object->n_leftover)
		return;
	kc_buf_append_str(out, "    left-over code that something may still point to: level");
	for (size_t i = 0; i < object->n_leftover; i++)
		kc_buf_printf(out, " %u", object->leftover[i]);
	kc_buf_append_str(out, "\n");
}

/* All that can be fixed is fixed. */
static bool is_fixed(const struct kc_report_process *process)
{
	if (process->unreadable || !process->n_objects)
		return false;
	for (size_t i = 0; i < process->n_objects; i++) {
		const struct kc_report_object *object = &process->objects[i];

		if (object->problem || is_behind(object) || !object->level)
			return false;
	}
	return true;
}

static bool is_unfixed(const struct kc_report_process *process)
{
	for (size_t i = 0; i < process->n_objects; i++) {
		if (process->objects[i].problem || is_behind(&process->objects[i]))
			return true;
	}
	return false;
}

void kc_user_report_text(const struct kc_user_report *report, struct kc_buf *out)
{
	size_t n_fixed = 0, n_unfixed = 0, n_unreadable = 0;

	for (size_t i = 0; i < report->n_processes; i++) {
		const struct kc_report_process *process = &report->processes[i];

		n_fixed += is_fixed(process);
		n_unfixed += is_unfixed(process);
		n_unreadable += process->unreadable != NULL;
		kc_buf_printf(out, "pid %d ", process->pid);
		append_printable(out, process->comm);
		kc_buf_append_str(out, "\n");
		if (process->unreadable) {
			kc_buf_append_str(out, "  cannot be read: ");
			append_printable(out, process->unreadable);
			kc_buf_append_str(out, "\n");
		}
		for (size_t k = 0; k < process->n_objects; k++)
			text_object(&process->objects[k], out);
		if (process->blacklisted) {
			kc_buf_append_str(out, "  never patched: blacklisted by ");
			append_printable(out, process->blacklisted);
			kc_buf_append_str(out, "\n");
		}
	}
	kc_buf_printf(out, "processes fixed: %zu, not fixed: %zu, not readable: %zu\n", n_fixed, n_unfixed,
		      n_unreadable);
}

/* NULL when out of memory. */
static json_t *json_text(const char *text)
{
	kc_autobuf struct kc_buf printable = { 0 };
	json_t *string = json_string(text);

	if (string)
		return string;
	append_printable(&printable, text);
	return printable.failed ? NULL : json_string(printable.size ? printable.data : "");
}

static json_t *json_cves(const struct kc_patch *patch, const struct kc_report_object *unless_fixed_by)
{
	size_t n;
	kc_autofree const char **cves = kc_patch_cves(patch, &n);
	autojson json_t *list = json_array();

	for (size_t i = 0; cves && i < n; i++) {
		if (unless_fixed_by && kc_report_object_fixes(unless_fixed_by, cves[i]))
			continue;
		if (json_array_append_new(list, json_text(cves[i])) < 0)
			return NULL;
	}
	return cves ? kc_steal(list) : NULL;
}

static json_t *json_levels(const struct kc_report_object *object)
{
	json_t *list = json_array();

	for (size_t i = 0; i < object->n_leftover; i++)
		json_array_append_new(list, json_integer(object->leftover[i]));
	return list;
}

static json_t *json_object_entry(const struct kc_report_object *object)
{
	autojson json_t *entry = json_object();
	bool counts = object->patch && !object->problem;
	int err = 0;

	err |= json_object_set_new(entry, "buildid", json_text(object->build_id));
	err |= json_object_set_new(entry, "patchlvl", json_integer(object->level));
	err |= json_object_set_new(entry, "cve", counts ? json_cves(object->patch, NULL) : json_array());
	if (object->patchset)
		err |= json_object_set_new(entry, "patchset", json_text(object->patchset));
	if (is_behind(object)) {
		err |= json_object_set_new(entry, "available", json_integer(object->available->manifest.level));
		err |= json_object_set_new(entry, "missing", json_cves(object->available, object));
	}
	if (object->is_withdrawn)
		err |= json_object_set_new(entry, "withdrawn", json_true());
	if (object->n_leftover)
		err |= json_object_set_new(entry, "leftover", json_levels(object));
	if (object->problem)
		err |= json_object_set_new(entry, "problem", json_text(object->problem));
	return err ? NULL : kc_steal(entry);
}

/* A name that the line has not got yet: "libc.so.6", "libc.so.6#2". */
static int set_object(json_t *line, const struct kc_report_object *object)
{
	kc_autobuf struct kc_buf key = { 0 };
	size_t length;

	append_printable(&key, object->name);
	length = key.size;
	for (unsigned i = 2; !key.failed && json_object_get(line, length ? key.data : ""); i++) {
		key.size = length;
		kc_buf_printf(&key, "#%u", i);
	}
	if (key.failed)
		return -1;
	return json_object_set_new(line, key.size ? key.data : "", json_object_entry(object));
}

static json_t *json_process(const struct kc_report_process *process)
{
	autojson json_t *line = json_object();
	int err = 0;

	err |= json_object_set_new(line, "pid", json_integer(process->pid));
	err |= json_object_set_new(line, "comm", json_text(process->comm));
	if (process->blacklisted)
		err |= json_object_set_new(line, "blacklisted", json_text(process->blacklisted));
	if (process->unreadable)
		err |= json_object_set_new(line, "error", json_text(process->unreadable));
	for (size_t i = 0; i < process->n_objects; i++)
		err |= set_object(line, &process->objects[i]);
	return err ? NULL : kc_steal(line);
}

struct kc_error *kc_user_report_json(const struct kc_user_report *report, struct kc_buf *out)
{
	for (size_t i = 0; i < report->n_processes; i++) {
		autojson json_t *line = json_process(&report->processes[i]);
		kc_autofree char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

		if (!text)
			return kc_error_no_memory();
		kc_buf_append_str(out, text);
		kc_buf_append_str(out, "\n");
	}
	return out->failed ? kc_error_no_memory() : NULL;
}

/* ---- by patch ---- */

/* It is in, and it counts. */
static bool is_patched(const struct kc_report_object *object)
{
	return object->level && object->patch && !object->problem;
}

static int compare_counts(const void *a, const void *b)
{
	return strcmp(((const struct kc_report_count *)a)->name, ((const struct kc_report_count *)b)->name);
}

static struct kc_report_count *need_count(struct kc_report_count **counts, size_t *n, const char *name)
{
	struct kc_report_count *added;

	for (size_t i = 0; i < *n; i++)
		if (!strcmp((*counts)[i].name, name))
			return &(*counts)[i];
	added = kc_array_add(counts, n);
	if (added)
		added->name = name;
	return added;
}

struct kc_error *kc_user_report_count(const struct kc_user_report *report, struct kc_report_count **counts, size_t *n)
{
	for (size_t i = 0; i < report->n_processes; i++) {
		const struct kc_report_process *process = &report->processes[i];

		for (size_t k = 0; k < process->n_objects; k++) {
			struct kc_report_count *count;

			if (!is_patched(&process->objects[k]))
				continue;
			count = need_count(counts, n, process->objects[k].name);
			if (!count)
				return kc_error_no_memory();
			count->n_processes++;
		}
	}
	if (*n)
		qsort(*counts, *n, sizeof(**counts), compare_counts);
	return NULL;
}

static bool is_complete(const struct kc_report_object *object)
{
	return is_patched(object) && !object->is_withdrawn &&
	       (!object->available || object->level >= object->available->manifest.level);
}

void kc_user_report_totals(const struct kc_user_report *report, struct kc_report_totals *totals)
{
	*totals = (struct kc_report_totals){ 0 };
	for (size_t i = 0; i < report->n_processes; i++) {
		const struct kc_report_process *process = &report->processes[i];
		bool has_any = false, has_all = true;

		for (size_t k = 0; k < process->n_objects; k++) {
			const struct kc_report_object *object = &process->objects[k];

			if (!object->level && !object->available)
				continue;
			has_any = true;
			has_all &= is_complete(object);
		}
		if (process->blacklisted || !has_any)
			continue;
		totals->n_processes++;
		totals->n_patched += has_all;
	}
}

static json_t *text_or_null(const char *text)
{
	return text ? json_text(text) : json_null();
}

static int append_fix(json_t *list, const struct kc_fix_info *fix, const char *cve)
{
	json_t *entry = json_object();

	return json_array_append_new(list, entry) || json_object_set_new(entry, "cve", text_or_null(cve)) ||
	       json_object_set_new(entry, "name", text_or_null(fix->name)) ||
	       json_object_set_new(entry, "description", text_or_null(fix->description)) ||
	       json_object_set_new(entry, "cvss", text_or_null(fix->cvss)) ||
	       json_object_set_new(entry, "cve-url", text_or_null(fix->cve_url)) ||
	       json_object_set_new(entry, "patch-url", text_or_null(fix->patch_url));
}

static json_t *json_fixes(const struct kc_manifest *manifest)
{
	autojson json_t *list = json_array();
	int err = 0;

	for (size_t i = 0; i < manifest->n_fixes; i++) {
		const struct kc_fix_info *fix = &manifest->fixes[i];

		for (size_t k = 0; k < fix->n_cves; k++)
			err |= append_fix(list, fix, fix->cves[k]);
		if (!fix->n_cves)
			err |= append_fix(list, fix, NULL);
	}
	return err ? NULL : kc_steal(list);
}

/* The entry of a patch in `results`, which it gets when it is met first. NULL: out of memory. */
static json_t *need_result(json_t *results, const struct kc_report_object *object)
{
	const struct kc_manifest *manifest = &object->patch->manifest;
	json_t *result;
	size_t i;

	json_array_foreach(results, i, result) if (!strcmp(json_string_value(json_object_get(result, "hash")),
							   object->patch->hash)) return result;
	result = json_object();
	if (json_array_append_new(results, result) ||
	    json_object_set_new(result, "hash", json_string(object->patch->hash)) ||
	    json_object_set_new(result, "object", json_text(object->name)) ||
	    json_object_set_new(result, "buildid", json_text(object->build_id)) ||
	    json_object_set_new(result, "patchlvl", json_integer(object->level)) ||
	    json_object_set_new(result, "type", json_text(manifest->type)) ||
	    json_object_set_new(result, "patchset", json_text(manifest->patchset)) ||
	    json_object_set_new(result, "processes", json_array()) ||
	    json_object_set_new(result, "patches", json_fixes(manifest)))
		return NULL;
	return result;
}

static int append_process(json_t *result, const struct kc_report_process *process)
{
	json_t *entry = json_object();

	return json_array_append_new(json_object_get(result, "processes"), entry) ||
	       json_object_set_new(entry, "pid", json_integer(process->pid)) ||
	       json_object_set_new(entry, "comm", json_text(process->comm));
}

struct kc_error *kc_user_report_patches_json(const struct kc_user_report *report, struct kc_buf *out)
{
	autojson json_t *whole = json_object();
	kc_autofree char *text = NULL;
	json_t *results = json_array();

	if (json_object_set_new(whole, "results", results))
		return kc_error_no_memory();
	for (size_t i = 0; i < report->n_processes; i++) {
		const struct kc_report_process *process = &report->processes[i];

		for (size_t k = 0; k < process->n_objects; k++) {
			json_t *result;

			if (!is_patched(&process->objects[k]))
				continue;
			result = need_result(results, &process->objects[k]);
			if (!result || append_process(result, process))
				return kc_error_no_memory();
		}
	}
	text = json_dumps(whole, JSON_INDENT(2));
	if (!text)
		return kc_error_no_memory();
	kc_buf_append_str(out, text);
	kc_buf_append_str(out, "\n");
	return out->failed ? kc_error_no_memory() : NULL;
}
