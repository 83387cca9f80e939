/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors over the wire: {"error": NAME, "message": TEXT}, with the HTTP status that base/error.h gives to the name. */
#include <string.h>

#include "base/array.h"
#include "proto/member.h"
#include "proto/proto.h"

struct error_answer {
	char *error, *message;
};

static const struct kc_member members[] = {
	{ KC_MEMBER_AT(error_answer, error), KC_PROTO_TEXT_MAX, KC_MEMBER_TEXT, true },
	{ KC_MEMBER_AT(error_answer, message), KC_PROTO_ERROR_MAX, KC_MEMBER_TEXT, false },
};
static const struct kc_message error_answer = { "the error", sizeof(struct error_answer), KC_PROTO_ANSWER_MAX, members,
						KC_ARRAY_SIZE(members) };

struct kc_error *kc_error_answer_encode(const struct kc_error *err, struct kc_buf *out)
{
	/* it may speak of a file or a host with a hostile name: what cannot be sent is replaced, never an error more */
	kc_autofree char *message = kc_plain_text(kc_error_message(err), KC_PROTO_ERROR_MAX);
	struct error_answer answer = { (char *)kc_error_code_name(kc_error_code(err)), message };

	return message ? kc_message_encode(&error_answer, &answer, out) : kc_error_no_memory();
}

static bool find_code(const char *name, enum kc_error_code *code)
{
	for (int i = 0; i < KC_ERR_COUNT; i++)
		if (!strcmp(kc_error_code_name((enum kc_error_code)i), name)) {
			*code = (enum kc_error_code)i;
			return true;
		}
	return false;
}

static struct kc_error *remake(unsigned status, const struct error_answer *answer)
{
	enum kc_error_code code;

	if (!find_code(answer->error, &code))
		return kc_error_new(KC_ERR_SERVER, "the portal answers with status %u, '%s': %s", status, answer->error,
				    answer->message);
	return kc_error_new(code, "%s", *answer->message ? answer->message : kc_error_code_text(code));
}

struct kc_error *kc_error_answer_decode(unsigned status, const char *text, size_t size)
{
	struct error_answer answer;
	kc_autoerror struct kc_error *err = kc_message_decode(&error_answer, text, size, &answer);
	struct kc_error *result;

	if (!err)
		result = remake(status, &answer);
	else if (status == 429)
		result = kc_error_new(KC_ERR_TOO_MANY, "the server has too many requests; try again later");
	else
		result = kc_error_new(KC_ERR_SERVER,
				      "the server answers with status %u, and not as a portal does: is its URL right?",
				      status);
	kc_message_clear(&error_answer, &answer);
	return result;
}
