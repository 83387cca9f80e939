/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a download goes: a buffer, or a file that can be continued and is hashed as it grows. */
#ifndef KC_FETCH_BODY_H
#define KC_FETCH_BODY_H

#include "base/buf.h"
#include "base/error.h"
#include "fetch/protocol.h"
#include "sign/hash.h"

struct kc_body {
	uint64_t at;	/* bytes that are here */
	uint64_t limit; /* at most so many; a file has exactly so many */
	struct kc_buf *out;
	size_t out_start; /* what was in `out` before */
	int fd;		  /* -1: into `out` */
	int dir;	  /* the folder of the file */
	const char *path;
	struct kc_hasher *hasher;
	bool is_resumed; /* the file is made of more than one download */
	bool is_new_try; /* nothing came in yet: the server may still send all of it */
};

void kc_body_open_buf(struct kc_body *body, struct kc_buf *out, uint64_t limit);
/*
 * `path` stays the caller's. KC_ERR_PERMISSION: a link, not our file, or a folder where others write; KC_ERR_LOCKED:
 * another run downloads it.
 */
struct kc_error *kc_body_open_file(struct kc_body *body, const char *path, uint64_t size);
/* The next try: what is here stays only if it can be continued. */
struct kc_error *kc_body_begin(struct kc_body *body);
/* A piece that came in. KC_ERR_LIMIT, KC_ERR_CORRUPT: not the file that is wanted; KC_ERR_SYSTEM: cannot be kept. */
struct kc_error *kc_body_take(struct kc_body *body, const struct kc_fetch_answer *answer);
struct kc_error *kc_body_rewind(struct kc_body *body);
bool kc_body_is_complete(const struct kc_body *body);
/* Of a complete file: KC_ERR_CORRUPT unless it has that hash. Then it is on the disk for good. */
struct kc_error *kc_body_check(struct kc_body *body, const char *sha256);
void kc_body_remove(struct kc_body *body);
void kc_body_close(struct kc_body *body);

#endif
