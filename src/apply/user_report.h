/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is patched: for each process the objects that are patched, those for which the store has a patch that is not (or
 * not at its highest level) in, and left-over code. Read without stopping anybody. `libcare-ctl info` prints it,
 * apply/user_cvelist.h judges by it.
 */
#ifndef KC_APPLY_USER_REPORT_H
#define KC_APPLY_USER_REPORT_H

#include "apply/user.h"
#include "apply/user_blacklist.h"
#include "apply/user_store.h"
#include "apply/user_withdrawn.h"

struct kc_report_object {
	char *name;			  /* soname or file name */
	char *build_id;			  /* text */
	char *patchset;			  /* of the active patch, else NULL */
	uint32_t level;			  /* of the active patch; 0: not patched */
	const struct kc_patch *patch;	  /* the active one, from the store; NULL: none, or `problem` says why */
	const struct kc_patch *available; /* the highest in the store that is not withdrawn, or NULL */
	bool is_withdrawn;		  /* the active patch must leave the process */
	char *problem;			  /* why the active patch does not count; NULL: it does */
	uint32_t *leftover;		  /* levels that were taken out, whose code something may still point to */
	size_t n_leftover;
};

struct kc_report_process {
	pid_t pid;
	char comm[17];
	char *blacklisted; /* the rule that keeps patches away, or NULL */
	char *unreadable;  /* why the process could not be read, or NULL; then there are no objects */
	struct kc_report_object *objects;
	size_t n_objects;
};

/* The patches belong to the store, which must live longer. */
struct kc_user_report {
	struct kc_report_process *processes; /* those with something to tell */
	size_t n_processes;
	const struct kc_patch **known; /* every verified patch of the store */
	size_t n_known;
	struct kc_withdrawn withdrawn; /* those of this host's folder */
};

/*
 * Reads the given processes. One that has ended, and kernel threads, are passed over; one that cannot be read is listed
 * as such. With `everyone` a process with nothing to tell is listed, too.
 */
struct kc_error *kc_user_report_collect(struct kc_ctx *ctx, struct kc_user_store *store,
					const struct kc_user_blacklist *blacklist, const pid_t *pids, size_t n_pids,
					bool everyone, struct kc_user_report **report);
void kc_user_report_free(struct kc_user_report *report);

/* The CVE is in the active patch, and the patch counts. */
bool kc_report_object_fixes(const struct kc_report_object *object, const char *cve);
bool kc_patch_names_cve(const struct kc_patch *patch, const char *cve);
/* The CVEs of a patch, each once, in the order of its fixes (the caller frees the array; NULL when out of memory). */
const char **kc_patch_cves(const struct kc_patch *patch, size_t *n);

/* For people: a paragraph per process, and a summary line. */
void kc_user_report_text(const struct kc_user_report *report, struct kc_buf *out);
/*
 * One JSON object per process and line: {"pid":1,"comm":"sshd","libcrypto.so.3":{"buildid":"…","patchlvl":3,
 * "cve":["CVE-…"]}}. Not patched is patchlvl 0 with no cve. Where it applies an object has "available" (a higher level
 * is in the store), "missing" (the CVEs that it would fix), "withdrawn" (true), "leftover" (levels), "problem"; a
 * process has "blacklisted" or "error". A second object of the same name gets "#2".
 */
struct kc_error *kc_user_report_json(const struct kc_user_report *report, struct kc_buf *out);

/*
 * What is fixed in memory, by patch: one JSON object, {"results":[{"object":"libssl.so.3","buildid":"…","patchlvl":3,
 * "type":"default","patchset":"U…","processes":[{"pid":1,"comm":"sshd"}],"patches":[{"cve":"CVE-…","name":"…",
 * "description":"…","cvss":"…","cve-url":"…","patch-url":"…"}]}]}. Each CVE has an entry; unknown texts are null.
 */
struct kc_error *kc_user_report_patches_json(const struct kc_user_report *report, struct kc_buf *out);
/*
 * For each object name how many processes have it patched, ascending by name (caller frees the array; the names are the
 * report's).
 */
struct kc_report_count {
	const char *name;
	size_t n_processes;
};
struct kc_error *kc_user_report_count(const struct kc_user_report *report, struct kc_report_count **counts, size_t *n);

/*
 * How far this host is: processes that have a file with a known patch, and those of them that have all these patches,
 * at the highest level. What the blacklist names is left out.
 */
struct kc_report_totals {
	uint32_t n_processes, n_patched;
};
void kc_user_report_totals(const struct kc_user_report *report, struct kc_report_totals *totals);

KC_DEFINE_CLEANUP(kc_cleanup_user_report, struct kc_user_report *, kc_user_report_free)
#define kc_autouserreport KC_CLEANUP(kc_cleanup_user_report)

#endif
