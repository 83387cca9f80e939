/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_cvelist.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "apply/user_paths.h"
#include "base/array.h"
#include "base/file.h"

/* A CVE that a stored patch fixes, and what the processes say of it. */
struct verdict {
	const char *cve;
	size_t n_fixed, n_unfixed;
	const struct kc_report_process *unfixed; /* the first that lacks the fix */
	const struct kc_report_object *unfixed_object;
};

struct verdicts {
	struct verdict *items;
	size_t n;
};

static void verdicts_clear(struct verdicts *verdicts)
{
	free(verdicts->items);
}

/* A list of lines: what would break it is not listed. */
static bool is_listable(const char *cve)
{
	for (const char *c = cve; *c; c++) {
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	}
	return *cve;
}

static struct kc_error *need_verdict(struct verdicts *verdicts, const char *cve)
{
	struct verdict *verdict;

	for (size_t i = 0; i < verdicts->n; i++) {
		if (!strcmp(verdicts->items[i].cve, cve))
			return NULL;
	}
	verdict = kc_array_add(&verdicts->items, &verdicts->n);
	if (!verdict)
		return kc_error_no_memory();
	verdict->cve = cve;
	return NULL;
}

static struct kc_error *collect_cves(const struct kc_user_report *report, struct verdicts *verdicts)
{
	for (size_t i = 0; i < report->n_known; i++) {
		size_t n;
		kc_autofree const char **cves = kc_patch_cves(report->known[i], &n);

		if (!cves)
			return kc_error_no_memory();
		for (size_t k = 0; k < n; k++) {
			if (is_listable(cves[k]))
				KC_TRY(need_verdict(verdicts, cves[k]));
		}
	}
	return NULL;
}

/* Does a stored patch for this very file fix the CVE? */
static bool is_affected(const struct kc_user_report *report, const struct kc_report_object *object, const char *cve)
{
	for (size_t i = 0; i < report->n_known; i++) {
		if (!strcmp(report->known[i]->manifest.target, object->build_id) &&
		    kc_patch_names_cve(report->known[i], cve))
			return true;
	}
	return false;
}

static void judge(const struct kc_user_report *report, struct verdict *verdict)
{
	for (size_t i = 0; i < report->n_processes; i++) {
		const struct kc_report_process *process = &report->processes[i];

		for (size_t k = 0; k < process->n_objects; k++) {
			const struct kc_report_object *object = &process->objects[k];

			if (kc_report_object_fixes(object, verdict->cve)) {
				verdict->n_fixed++;
			} else if (is_affected(report, object, verdict->cve)) {
				if (!verdict->n_unfixed++) {
					verdict->unfixed = process;
					verdict->unfixed_object = object;
				}
			}
		}
	}
}

static int compare_cves(const void *a, const void *b)
{
	const struct verdict *left = a, *right = b;

	return strverscmp(left->cve, right->cve);
}

static bool warn_of_unreadable(struct kc_ctx *ctx, const struct kc_user_report *report)
{
	bool any = false;

	for (size_t i = 0; i < report->n_processes; i++) {
		const struct kc_report_process *process = &report->processes[i];

		if (!process->unreadable)
			continue;
		any = true;
		kc_warning(ctx, "no CVE is listed as fixed, because pid %d (%s) cannot be read: %s", process->pid,
			   process->comm, process->unreadable);
	}
	return any;
}

struct kc_error *kc_user_cvelist_compute(struct kc_ctx *ctx, const struct kc_user_report *report, struct kc_buf *out)
{
	KC_CLEANUP(verdicts_clear) struct verdicts verdicts = { 0 };

	KC_TRY(collect_cves(report, &verdicts));
	if (!verdicts.n || warn_of_unreadable(ctx, report))
		return NULL;
	qsort(verdicts.items, verdicts.n, sizeof(*verdicts.items), compare_cves);
	for (size_t i = 0; i < verdicts.n; i++) {
		struct verdict *verdict = &verdicts.items[i];

		judge(report, verdict);
		if (verdict->n_fixed && verdict->n_unfixed)
			kc_info(ctx, "%s is not listed as fixed: pid %d (%s) maps %s without the fix%s", verdict->cve,
				verdict->unfixed->pid, verdict->unfixed->comm, verdict->unfixed_object->name,
				verdict->n_unfixed > 1 ? ", and others" : "");
		else if (verdict->n_fixed)
			kc_buf_printf(out, "%s\n", verdict->cve);
	}
	return out->failed ? kc_error_no_memory() : NULL;
}

struct kc_error *kc_user_cvelist_write(struct kc_ctx *ctx, struct kc_user_store *store,
				       const struct kc_user_blacklist *blacklist)
{
	kc_autouserreport struct kc_user_report *report = NULL;
	kc_autofree char *path = kc_user_path(KC_PATH_CVELIST);
	kc_autobuf struct kc_buf list = { 0 };
	kc_autofree pid_t *pids = NULL;
	kc_autoclose int lock = -1;
	size_t n_pids, n = 0;
	int err;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_user_lock(KC_PATH_CVELIST_LOCK, true, &lock));
	KC_TRY(kc_process_list(ctx, &pids, &n_pids));
	for (size_t i = 0; i < n_pids; i++) {
		if (pids[i] != getpid())
			pids[n++] = pids[i];
	}
	KC_TRY(kc_user_report_collect(ctx, store, blacklist, pids, n, false, &report));
	KC_TRY(kc_user_cvelist_compute(ctx, report, &list));
	err = kc_file_write_atomic(path, list.data ? list.data : "", list.size, 0644);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path);
	return NULL;
}
