/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of a folder, as a web server shows them: the repository's public/. GET and HEAD, ETag, one range; whatever
 * changes under a name is to be asked for again each time, blobs and numbered metadata never. Nothing that is outside
 * of the folder is shown, whichever paths and links lead there, and no file whose name begins with '.'.
 *
 * Knows two things of a repository: which names are for ever (is_forever()), and that the folder may be replaced as a
 * whole.
 */
#ifndef KC_PORTAL_HTTP_STATIC_H
#define KC_PORTAL_HTTP_STATIC_H

#include "portal/http/server.h"

struct kc_http_static;

/* `dir` need not be there yet. */
struct kc_error *kc_http_static_new(const char *dir, struct kc_http_static **files);
/* Its server must have ended. */
void kc_http_static_free(struct kc_http_static *files);
/* Answers; KC_ERR_NOT_FOUND and KC_ERR_METHOD are answers, too. */
void kc_http_static_handle(struct kc_http_static *files, struct kc_http_request *request);

/* A Range header for a file of that size. */
enum kc_http_range {
	KC_HTTP_RANGE_NONE, /* not one that we know: the whole file */
	KC_HTTP_RANGE_PART,
	KC_HTTP_RANGE_OUTSIDE, /* 416 */
};
/* "bytes=0-99", "bytes=100-", "bytes=-100". */
enum kc_http_range kc_http_range_parse(const char *text, uint64_t file_size, uint64_t *offset, uint64_t *size);

#endif
