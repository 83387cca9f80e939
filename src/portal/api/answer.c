/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/api/answer.h"

#include <string.h>
#include <time.h>

static int append(const char *data, size_t size, void *buf)
{
	kc_buf_append(buf, data, size);
	return 0;
}

void kc_api_reply(struct kc_http_request *request, json_t *json)
{
	struct kc_http_answer answer = { .status = 200 };

	if (!json || json_dump_callback(json, append, &answer.body, JSON_COMPACT) || answer.body.failed) {
		kc_buf_free(&answer.body);
		json_decref(json);
		kc_http_reply_error(request, kc_error_no_memory());
		return;
	}
	json_decref(json);
	kc_http_reply(request, &answer);
}

void kc_api_reply_result(struct kc_http_request *request, struct kc_error *err, json_t *json)
{
	if (!err) {
		kc_api_reply(request, json);
		return;
	}
	json_decref(json);
	kc_http_reply_error(request, err);
}

void kc_api_reply_text(struct kc_http_request *request, const char *content_type, struct kc_buf *text)
{
	struct kc_http_answer answer = { .status = 200, .content_type = content_type, .body = *text };
	bool failed = text->failed;

	*text = (struct kc_buf){ 0 };
	if (failed) {
		kc_buf_free(&answer.body);
		kc_http_reply_error(request, kc_error_no_memory());
		return;
	}
	kc_http_reply(request, &answer);
}

void kc_api_time_text(int64_t seconds, char text[32])
{
	const time_t at = (time_t)seconds;
	struct tm tm;

	*text = '\0';
	if (seconds && gmtime_r(&at, &tm))
		strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm);
}

json_t *kc_api_time(int64_t seconds)
{
	char text[32];

	kc_api_time_text(seconds, text);
	return *text ? json_string(text) : json_null();
}

json_t *kc_api_text(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

json_t *kc_api_count(int64_t n)
{
	return json_pack("{s:I}", "result", (json_int_t)n);
}
