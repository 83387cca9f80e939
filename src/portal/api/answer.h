/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers and their parts, for all files of api/. Values are for json_pack() and json_object_set_new(). */
#ifndef KC_PORTAL_API_ANSWER_H
#define KC_PORTAL_API_ANSWER_H

#include <jansson.h>

#include "portal/http/server.h"

/* Takes `json`; NULL is answered as out of memory. */
void kc_api_reply(struct kc_http_request *request, json_t *json);
/* Takes `err`, or else `json`. */
void kc_api_reply_result(struct kc_http_request *request, struct kc_error *err, json_t *json);
/* Takes `text`, as text/plain or the like. */
void kc_api_reply_text(struct kc_http_request *request, const char *content_type, struct kc_buf *text);

/* "2026-11-23 17:05:09", and null for 0. */
json_t *kc_api_time(int64_t seconds);
void kc_api_time_text(int64_t seconds, char text[32]);
/* null for "". */
json_t *kc_api_text(const char *text);
/* {"result": N} of a call that removes. */
json_t *kc_api_count(int64_t n);

#endif
