/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets to and from the helper. What both sides need; each side checks what it gets. */
#include "fetch/protocol.h"

#include <string.h>

#define DATE_MAX INT64_C(253402300799) /* the end of the year 9999 */

size_t kc_fetch_request_encode(const struct kc_fetch_request *request, const char *const texts[KC_FETCH_N_TEXTS],
			       uint8_t *packet)
{
	size_t size = sizeof(*request);

	memcpy(packet, request, sizeof(*request));
	for (int i = 0; i < KC_FETCH_N_TEXTS; i++) {
		size_t length = strlen(texts[i]) + 1;

		if (length > KC_FETCH_REQUEST_MAX - size)
			return 0;
		memcpy(packet + size, texts[i], length);
		size += length;
	}
	return size;
}

bool kc_fetch_request_decode(const uint8_t *packet, size_t size, struct kc_fetch_request *request,
			     const char *texts[KC_FETCH_N_TEXTS])
{
	const uint8_t *at = packet + sizeof(*request), *end = packet + size;

	if (size < sizeof(*request) || size > KC_FETCH_REQUEST_MAX)
		return false;
	memcpy(request, packet, sizeof(*request));
	for (int i = 0; i < KC_FETCH_N_TEXTS; i++) {
		const uint8_t *zero = memchr(at, '\0', (size_t)(end - at));

		if (!zero)
			return false;
		texts[i] = (const char *)at;
		at = zero + 1;
	}
	return at == end && request->version == KC_FETCH_VERSION && request->offset <= request->limit &&
	       request->is_post <= 1 && request->post_size <= (request->is_post ? KC_FETCH_POST_MAX : 0);
}

static bool data_is_sane(const struct kc_fetch_answer *answer)
{
	uint64_t end;

	return answer->n_bytes && answer->n_bytes <= KC_FETCH_DATA_MAX && answer->data.reserved == 0 &&
	       !__builtin_add_overflow(answer->data.offset, answer->n_bytes, &end) && end <= answer->data.total;
}

/* Text that can be shown on a terminal, and nothing hidden behind it. */
static bool message_is_sane(const char message[KC_FETCH_MESSAGE_SIZE])
{
	size_t length = strnlen(message, KC_FETCH_MESSAGE_SIZE);

	if (length == KC_FETCH_MESSAGE_SIZE)
		return false;
	for (size_t i = 0; i < KC_FETCH_MESSAGE_SIZE; i++)
		if (i < length ? message[i] < ' ' || message[i] > '~' : message[i] != '\0')
			return false;
	return true;
}

static bool end_is_sane(const struct kc_fetch_end *end)
{
	bool has_status = end->status >= 100 && end->status <= 999;
	bool is_good = end->status == 200 || end->status == 206;

	if (end->outcome >= KC_FETCH_N_OUTCOMES || end->was_asked > 1 || (end->status && !has_status))
		return false;
	if ((end->outcome == KC_FETCH_DONE && !is_good) ||
	    (end->outcome == KC_FETCH_STATUS && (!has_status || is_good)))
		return false;
	return end->retry_after_s <= KC_FETCH_RETRY_AFTER_MAX_S && end->date >= 0 && end->date <= DATE_MAX &&
	       message_is_sane(end->message);
}

bool kc_fetch_answer_decode(const uint8_t *packet, size_t size, struct kc_fetch_answer *answer)
{
	uint32_t kind;

	*answer = (struct kc_fetch_answer){ 0 };
	if (size < sizeof(kind))
		return false;
	memcpy(&kind, packet, sizeof(kind));
	answer->kind = (enum kc_fetch_kind)kind;
	if (kind == KC_FETCH_DATA && size >= sizeof(answer->data)) {
		memcpy(&answer->data, packet, sizeof(answer->data));
		answer->bytes = packet + sizeof(answer->data);
		answer->n_bytes = size - sizeof(answer->data);
		return data_is_sane(answer);
	}
	if (kind == KC_FETCH_END && size == sizeof(answer->end)) {
		memcpy(&answer->end, packet, sizeof(answer->end));
		return end_is_sane(&answer->end);
	}
	return false;
}
