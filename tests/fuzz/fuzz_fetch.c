/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of what kcare-fetch may send when somebody took it over: a row of packets, each behind its size in two
 * bytes. And of what we send to it: the helper must take only that.
 */
#include <stdlib.h>
#include <string.h>

#include "fetch/body.h"

enum { LIMIT = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void take_request(const uint8_t *packet, size_t size)
{
	const char *texts[KC_FETCH_N_TEXTS];
	static uint8_t again[KC_FETCH_REQUEST_MAX];
	struct kc_fetch_request request;

	if (kc_fetch_request_decode(packet, size, &request, texts))
		must(kc_fetch_request_encode(&request, texts, again) == size && !memcmp(again, packet, size));
}

static void take_answer(struct kc_body *body, const uint8_t *packet, size_t size)
{
	struct kc_fetch_answer answer;

	if (!kc_fetch_answer_decode(packet, size, &answer))
		return;
	if (answer.kind == KC_FETCH_DATA)
		kc_error_free(kc_body_take(body, &answer));
	else
		must(answer.end.outcome < KC_FETCH_N_OUTCOMES && strlen(answer.end.message) < KC_FETCH_MESSAGE_SIZE);
	must(body->at <= LIMIT && body->at == body->out->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kc_autobuf struct kc_buf out = { 0 };
	struct kc_body body;

	kc_body_open_buf(&body, &out, LIMIT);
	while (size >= 2) {
		size_t length = data[0] | (size_t)data[1] << 8;

		data += 2;
		size -= 2;
		if (length > size)
			length = size;
		take_request(data, length);
		take_answer(&body, data, length);
		data += length;
		size -= length;
	}
	return 0;
}
