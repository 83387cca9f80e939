/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files verify*.c share; private to them. */
#ifndef KC_REPO_VERIFY_INTERNAL_H
#define KC_REPO_VERIFY_INTERNAL_H

#include "repo/verify.h"

/* A patch file that was looked at, by its hash. */
struct kc_verify_blob {
	char hash[KC_SHA256_TEXT_SIZE];
	bool is_good;
	char *target, *type, *patchset; /* of its manifest */
	uint32_t level;
};

struct kc_verify {
	struct kc_ctx *ctx;
	const char *dir;
	const struct kc_verify_options *options;
	struct kc_verified *verified;
	void *blobs;	 /* tsearch(3) tree of struct kc_verify_blob */
	void *files;	 /* tree of names below `dir` that are referred to */
	void *patchsets; /* tree of lists of patchsets, verify_patchsets.c */
};

/* Reports `err` (which may be NULL) as a problem of `what`; only what ends the whole run is returned. */
struct kc_error *kc_verify_report(struct kc_verify *verify, struct kc_error *err, const char *what);
/* `name` belongs here. */
struct kc_error *kc_verify_mark(struct kc_verify *verify, const char *name);

/* The patch file of an entry: hash, size, signature, and that its manifest says the same as the entry. */
struct kc_error *kc_verify_entry(struct kc_verify *verify, const struct kc_target_list *list,
				 const struct kc_target_entry *entry);
void kc_verify_blobs_free(struct kc_verify *verify);

/* KC_ERR_MIXED: the author's list of the entry's patchset is here, and does not say the same as the entry. */
struct kc_error *kc_verify_listed(struct kc_verify *verify, const char *target, const struct kc_target_entry *entry);
void kc_verify_patchsets_free(struct kc_verify *verify);

/* Warns about files that nobody marked. */
struct kc_error *kc_verify_strays(struct kc_verify *verify);

#endif
