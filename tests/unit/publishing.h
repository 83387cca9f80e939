/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An author who makes small patchsets, and repositories that trust him: for tests that publish without our programs.
 * What goes wrong here ends the program.
 */
#ifndef KC_TESTS_PUBLISHING_H
#define KC_TESTS_PUBLISHING_H

#include "repo/repository.h"

struct publishing {
	struct kc_ctx *ctx; /* logs into `log` */
	char dir[32];	    /* everything is below; gone at the end */
	struct kc_key *author;
	struct kc_buf log;
	char path[3][256]; /* the last ones that were named, in turn */
	unsigned next_path;
};

/* One patch of a patchset. */
struct sample_entry {
	const char *kernel_id;
	uint32_t level;
	const char *type; /* NULL: "default" */
};

void publishing_start(struct publishing *publishing);
void publishing_clear(struct publishing *publishing);
/* "DIR/NAME": valid until the third call after. */
const char *publishing_path(struct publishing *publishing, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool publishing_has(struct publishing *publishing, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A key pair DIR/NAME.key, .pub. */
void publishing_keygen(struct publishing *publishing, const char *name);

/* A repository at DIR/NAME, its root at DIR/NAME.keys; it trusts the author (DIR/author.pub), or nobody. */
void publishing_init(struct publishing *publishing, const char *name, bool trusts_author);
/* "DIR/PATCHSET.tar.bz2", signed by `key` (NULL: the author), released at that time; the caller does not free it. */
const char *publishing_archive(struct publishing *publishing, const char *patchset, int64_t released,
			       const struct kc_key *key, const struct sample_entry *entries, size_t n_entries);
/* Opens DIR/NAME, deploys, closes. */
void publishing_deploy(struct publishing *publishing, const char *name, const char *archive, const char *feed);
void publishing_set_state(struct publishing *publishing, const char *name, const char *patchset, const char *feed,
			  enum kc_patchset_state state);

/* What a host would see: "1 K20261123_01\n2! K20261124_01\n" (! blocked; "2% " in a rollout), "" for no list. */
void publishing_seen(struct publishing *publishing, const char *name, const char *feed, const char *kernel_id,
		     struct kc_buf *out);

#endif
