/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_report.h"

#include <string.h>

#include "apply/user_old_code.h"
#include "apply/user_paths.h"
#include "base/array.h"
#include "base/file.h"
#include "base/hex.h"
#include "proc/thread.h"

#define BUILD_ID_TEXT_SIZE (2 * sizeof(((struct kc_object *)NULL)->build_id) + 1)

static void object_clear(struct kc_report_object *object)
{
	free(object->name);
	free(object->build_id);
	free(object->patchset);
	free(object->problem);
	free(object->leftover);
}

static void process_clear(struct kc_report_process *process)
{
	for (size_t i = 0; i < process->n_objects; i++)
		object_clear(&process->objects[i]);
	free(process->objects);
	free(process->blacklisted);
	free(process->unreadable);
}

void kc_user_report_free(struct kc_user_report *report)
{
	if (!report)
		return;
	for (size_t i = 0; i < report->n_processes; i++)
		process_clear(&report->processes[i]);
	free(report->processes);
	free(report->known);
	kc_withdrawn_clear(&report->withdrawn);
	free(report);
}

bool kc_patch_names_cve(const struct kc_patch *patch, const char *cve)
{
	for (size_t i = 0; i < patch->manifest.n_fixes; i++) {
		const struct kc_fix_info *fix = &patch->manifest.fixes[i];

		for (size_t k = 0; k < fix->n_cves; k++) {
			if (!strcmp(fix->cves[k], cve))
				return true;
		}
	}
	return false;
}

const char **kc_patch_cves(const struct kc_patch *patch, size_t *n)
{
	size_t n_names = 0;
	const char **cves;

	*n = 0;
	for (size_t i = 0; i < patch->manifest.n_fixes; i++)
		n_names += patch->manifest.fixes[i].n_cves;
	cves = calloc(n_names + 1, sizeof(*cves));
	for (size_t i = 0; cves && i < patch->manifest.n_fixes; i++) {
		const struct kc_fix_info *fix = &patch->manifest.fixes[i];

		for (size_t k = 0; k < fix->n_cves; k++) {
			bool seen = false;

			for (size_t m = 0; m < *n && !seen; m++)
				seen = !strcmp(cves[m], fix->cves[k]);
			if (!seen)
				cves[(*n)++] = fix->cves[k];
		}
	}
	return cves;
}

bool kc_report_object_fixes(const struct kc_report_object *object, const char *cve)
{
	return object->patch && !object->problem && kc_patch_names_cve(object->patch, cve);
}

/* Blocked patches, too: what they fix is to be fixed in each process. */
static bool is_known(const struct kc_user_report *report, const char *build_id)
{
	for (size_t i = 0; i < report->n_known; i++)
		if (!strcmp(report->known[i]->manifest.target, build_id))
			return true;
	return false;
}

static const struct kc_patch *highest_available(const struct kc_user_report *report, const char *build_id)
{
	const struct kc_patch *highest = NULL;

	for (size_t i = 0; i < report->n_known; i++) {
		const struct kc_manifest *manifest = &report->known[i]->manifest;

		if (!strcmp(manifest->target, build_id) && (!highest || manifest->level > highest->manifest.level) &&
		    !kc_withdrawn_has(&report->withdrawn, report->known[i]->hash))
			highest = report->known[i];
	}
	return highest;
}

static struct kc_report_object *find_object(struct kc_report_process *process, const char *build_id)
{
	for (size_t i = 0; i < process->n_objects; i++) {
		if (!strcmp(process->objects[i].build_id, build_id))
			return &process->objects[i];
	}
	return NULL;
}

/* The entry for that build-id, a new one if need be. NULL when out of memory. */
static struct kc_report_object *need_object(const struct kc_user_report *report, struct kc_report_process *process,
					    const char *name, const char *build_id)
{
	struct kc_report_object *object = find_object(process, build_id);

	if (object)
		return object;
	object = kc_array_add(&process->objects, &process->n_objects);
	if (!object)
		return NULL;
	object->name = strdup(name);
	object->build_id = strdup(build_id);
	object->available = highest_available(report, build_id);
	return object->name && object->build_id ? object : NULL;
}

/* Why an active patch does not count, or NULL. The caller frees it. */
static char *judge(struct kc_ctx *ctx, struct kc_user_store *store, const struct kc_user_applied *applied,
		   const struct kc_patch **patch)
{
	kc_autoerror struct kc_error *err = kc_user_store_get(ctx, store, applied->hash, patch);

	if (err)
		return strdup(kc_error_message(err));
	if (strcmp((*patch)->manifest.target, applied->build_id) != 0)
		return strdup("the record in the process names a patch for another file");
	if (!applied->verified)
		return strdup("the code in memory is not what the record in the process says");
	return NULL;
}

/* What is not active must not be reachable; when it is, a patcher was killed in between. */
static struct kc_error *add_leftover(struct kc_report_object *object, const struct kc_user_applied *applied)
{
	uint32_t *level = kc_array_add(&object->leftover, &object->n_leftover);

	if (!level)
		return kc_error_no_memory();
	*level = applied->level;
	if (applied->verified || object->problem)
		return NULL;
	object->problem = strdup("a switch was interrupted: patch or unpatch the process again");
	return object->problem ? NULL : kc_error_no_memory();
}

static struct kc_error *add_applied(struct kc_ctx *ctx, struct kc_user_store *store,
				    const struct kc_user_report *report, struct kc_report_process *process,
				    const struct kc_user_applied *applied)
{
	struct kc_report_object *object = need_object(report, process, applied->object, applied->build_id);
	const struct kc_patch *patch = NULL;

	if (!object)
		return kc_error_no_memory();
	if (!applied->active)
		return add_leftover(object, applied);
	free(object->problem);
	free(object->patchset);
	object->problem = judge(ctx, store, applied, &patch);
	object->patchset = strdup(applied->patchset);
	object->level = applied->level;
	object->patch = patch;
	object->is_withdrawn = kc_withdrawn_has(&report->withdrawn, applied->hash);
	return object->patchset ? NULL : kc_error_no_memory();
}

/* A library may be mapped twice (dlmopen): then each of them must be patched. */
static struct kc_error *check_copies(struct kc_report_object *object, const struct kc_process_view *view,
				     const struct kc_user_applied *applied, size_t n_applied)
{
	size_t n_mapped = 0, n_patched = 0;

	for (size_t i = 0; i < view->n_objects; i++) {
		char text[BUILD_ID_TEXT_SIZE];

		kc_hex_encode(view->objects[i].build_id, view->objects[i].build_id_size, text);
		n_mapped += !strcmp(text, object->build_id);
	}
	for (size_t i = 0; i < n_applied; i++)
		n_patched += applied[i].active && !strcmp(applied[i].build_id, object->build_id);
	if (!object->level || object->problem || n_patched >= n_mapped)
		return NULL;
	if (asprintf(&object->problem, "the file is mapped %zu times and patched %zu times", n_mapped, n_patched) < 0) {
		object->problem = NULL;
		return kc_error_no_memory();
	}
	return NULL;
}

/* Old and new code may overlap, if the fix says so: it counts when the last thread has left the old. */
static struct kc_error *check_old_code(struct kc_ctx *ctx, const struct kc_process_view *view,
				       struct kc_report_object *report)
{
	kc_autobuf struct kc_buf text = { 0 };

	if (!report->patch || report->problem || report->patch->manifest.consistency != KC_CONSISTENCY_FUNCTION)
		return NULL;
	for (size_t i = 0; i < view->n_objects; i++) {
		const struct kc_object *object = &view->objects[i];
		kc_autofree pid_t *tids = NULL;
		char build_id[BUILD_ID_TEXT_SIZE];
		size_t n;

		kc_hex_encode(object->build_id, object->build_id_size, build_id);
		if (strcmp(build_id, report->build_id) != 0)
			continue;
		KC_TRY(kc_user_old_code(ctx, view, object, report->patch, &tids, &n));
		for (size_t k = 0; k < n; k++)
			kc_buf_printf(&text, " %d", tids[k]);
	}
	if (!text.size)
		return NULL;
	if (asprintf(&report->problem, "threads that are or may be in the old code still:%s", text.data) < 0) {
		report->problem = NULL;
		return kc_error_no_memory();
	}
	return NULL;
}

/* What the process maps that the store has a patch for. */
static struct kc_error *add_mapped(const struct kc_user_report *report, struct kc_report_process *process,
				   const struct kc_process_view *view)
{
	for (size_t i = 0; i < view->n_objects; i++) {
		const struct kc_object *object = &view->objects[i];
		char text[BUILD_ID_TEXT_SIZE];

		if (!object->build_id_size)
			continue;
		kc_hex_encode(object->build_id, object->build_id_size, text);
		if (is_known(report, text) && !need_object(report, process, object->name, text))
			return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *read_process(struct kc_ctx *ctx, struct kc_user_store *store,
				     const struct kc_user_blacklist *blacklist, const struct kc_user_report *report,
				     struct kc_report_process *process)
{
	kc_autoprocess struct kc_process_view *view = NULL;
	kc_autofree struct kc_user_applied *applied = NULL;
	size_t n_applied = 0;
	const char *rule;

	KC_TRY(kc_process_view_open(ctx, process->pid, &view));
	memcpy(process->comm, view->comm, sizeof(process->comm));
	KC_TRY(kc_user_list(ctx, view, &applied, &n_applied));
	KC_TRY(add_mapped(report, process, view));
	for (size_t i = 0; i < n_applied; i++)
		KC_TRY(add_applied(ctx, store, report, process, &applied[i]));
	for (size_t i = 0; i < process->n_objects; i++) {
		KC_TRY(check_copies(&process->objects[i], view, applied, n_applied));
		KC_TRY(check_old_code(ctx, view, &process->objects[i]));
	}
	rule = kc_user_blacklist_match(blacklist, view->exe);
	if (rule) {
		process->blacklisted = strdup(rule);
		if (!process->blacklisted)
			return kc_error_no_memory();
	}
	return NULL;
}

/* The name of a process whose memory cannot be read. */
static void read_comm(struct kc_report_process *process)
{
	kc_autobuf struct kc_buf content = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", process->pid);
	if (kc_file_read(path, 64, &content) < 0 || !content.size)
		return;
	snprintf(process->comm, sizeof(process->comm), "%s", content.data);
	process->comm[strcspn(process->comm, "\n")] = '\0';
}

/* The main thread has ended while others run: /proc shows nothing of the process any more, but it is there. */
static bool lives_on(pid_t pid)
{
	kc_autofree pid_t *tids = NULL;
	size_t n = 0;

	return kc_thread_list(pid, &tids, &n) == 0 && n > 1;
}

/* Reads one process; `*tells` is false when it does not belong into the report. */
static struct kc_error *collect_process(struct kc_ctx *ctx, struct kc_user_store *store,
					const struct kc_user_blacklist *blacklist, const struct kc_user_report *report,
					struct kc_report_process *process, bool *tells)
{
	kc_autoerror struct kc_error *err = read_process(ctx, store, blacklist, report, process);
	enum kc_error_code code;

	*tells = process->n_objects;
	if (!err)
		return NULL;
	code = kc_error_code(err);
	if (code == KC_ERR_NO_MEMORY)
		return kc_steal(err);
	*tells = code != KC_ERR_NO_PROCESS && (kc_error_code_exit(code) != KC_EXIT_NOTHING || lives_on(process->pid));
	if (!*tells)
		return NULL;
	for (size_t i = 0; i < process->n_objects; i++)
		object_clear(&process->objects[i]);
	process->n_objects = 0;
	read_comm(process);
	if (asprintf(&process->unreadable, "%s: %s", kc_error_code_name(code), kc_error_message(err)) < 0) {
		process->unreadable = NULL;
		return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *read_withdrawn(struct kc_withdrawn *withdrawn)
{
	kc_autofree char *dir = kc_user_path(KC_PATH_CURRENT);

	return dir ? kc_withdrawn_read(dir, withdrawn) : kc_error_no_memory();
}

struct kc_error *kc_user_report_collect(struct kc_ctx *ctx, struct kc_user_store *store,
					const struct kc_user_blacklist *blacklist, const pid_t *pids, size_t n_pids,
					bool everyone, struct kc_user_report **report)
{
	kc_autouserreport struct kc_user_report *collected = calloc(1, sizeof(*collected));

	if (!collected)
		return kc_error_no_memory();
	KC_TRY(kc_user_store_all(ctx, store, &collected->known, &collected->n_known));
	KC_TRY(read_withdrawn(&collected->withdrawn));
	for (size_t i = 0; i < n_pids; i++) {
		struct kc_report_process *process = kc_array_add(&collected->processes, &collected->n_processes);
		bool tells;

		if (!process)
			return kc_error_no_memory();
		process->pid = pids[i];
		KC_TRY(collect_process(ctx, store, blacklist, collected, process, &tells));
		if (tells || (everyone && *process->comm))
			continue;
		process_clear(process);
		collected->n_processes--;
	}
	*report = kc_steal(collected);
	return NULL;
}
