/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live patching of processes: plan (is it safe?), prepare, look, stop, check, write, go. The protocol and its reasons
 * are in docs/switching.md; what is recorded inside the process is in apply/user_record.h.
 */
#ifndef KC_APPLY_USER_H
#define KC_APPLY_USER_H

#include "patch/patch_file.h"
#include "proc/process.h"

struct kc_user_options {
	unsigned wait_ms;     /* retry while busy for so long; 0: one try */
	unsigned stop_max_ms; /* give up a stop after this; 0: 20 ms */
};

struct kc_user_result {
	size_t n_threads;
	size_t n_functions;
	unsigned attempts;
	uint64_t stop_ns; /* of the last stop: first interrupt of a running thread until all running ones go on */
};

/*
 * Brings `pid` to exactly these patches, in one transaction: `patches` are verified patch files for objects that the
 * process maps, at most one for each; an older level in the process is replaced.
 * KC_ERR_NOTHING: all are in already, or none fits. KC_ERR_BUSY, KC_ERR_TRACED, KC_ERR_BYTES_DIFFER, KC_ERR_IMPORT, …:
 * the process is unchanged.
 */
struct kc_error *kc_user_patch(struct kc_ctx *ctx, pid_t pid, struct kc_patch *const *patches, size_t n_patches,
			       const struct kc_user_options *options, struct kc_user_result *result);

/* Takes out the patches of `patchset` (NULL: all). KC_ERR_NOTHING when there are none. */
struct kc_error *kc_user_unpatch(struct kc_ctx *ctx, pid_t pid, const char *patchset,
				 const struct kc_user_options *options, struct kc_user_result *result);

/* A patch that the record in a process names. */
struct kc_user_applied {
	char hash[KC_SHA256_TEXT_SIZE]; /* of the patch file */
	char build_id[129];		/* of its target, as text */
	char object[256];		/* name of the patched object */
	char patchset[64];
	uint32_t level;
	bool active;   /* switched in; false: only left-over code that may still be pointed to */
	bool verified; /* the bytes in memory are what the record says */
};

/*
 * What is in the process, read without stopping it. Finishes nothing: a record of a killed patcher shows as it is. The
 * array is the caller's to free.
 */
struct kc_error *kc_user_list(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_user_applied **applied,
			      size_t *n);

#endif
