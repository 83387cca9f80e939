/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of what agents and portals read from each other. What is accepted can be sent again, and is then the
 * same. The first byte chooses the message.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEFINE_FUZZ(name)                                                                                             \
	static void fuzz_##name(const char *text, size_t size)                                                        \
	{                                                                                                             \
		struct kc_##name first, second = { 0 };                                                               \
		kc_autoerror struct kc_error *err = kc_##name##_decode(text, size, &first);                           \
		kc_autobuf struct kc_buf once = { 0 }, twice = { 0 };                                                 \
                                                                                                                      \
		if (!err) {                                                                                           \
			if (kc_##name##_encode(&first, &once) || kc_##name##_decode(once.data, once.size, &second) || \
			    kc_##name##_encode(&second, &twice) || once.size != twice.size ||                         \
			    memcmp(once.data, twice.data, once.size))                                                 \
				abort();                                                                              \
		} else if (!*kc_error_message(err) || strchr(kc_error_message(err), '\n')) {                          \
			abort();                                                                                      \
		}                                                                                                     \
		kc_##name##_clear(&first);                                                                            \
		kc_##name##_clear(&second);                                                                           \
	}
DEFINE_FUZZ(credentials)
DEFINE_FUZZ(registration)
DEFINE_FUZZ(registered)
DEFINE_FUZZ(checkin)
DEFINE_FUZZ(checkin_answer)
DEFINE_FUZZ(licence_info)
DEFINE_FUZZ(doctor_report)

static void fuzz_error(const char *text, size_t size)
{
	kc_autoerror struct kc_error *first = kc_error_answer_decode(400, text, size), *second = NULL;
	kc_autobuf struct kc_buf again = { 0 };

	if (kc_error_answer_encode(first, &again))
		abort();
	second = kc_error_answer_decode(400, again.data, again.size);
	if (kc_error_code(first) != kc_error_code(second))
		abort();
}

/* Any bytes become a text that every message takes, within its limit. */
static void fuzz_plain(const char *text, size_t size)
{
	kc_autofree char *raw = strndup(text, size), *plain = raw ? kc_plain_text(raw, 50) : NULL;
	struct kc_licence_info info = { .key = plain };
	kc_autobuf struct kc_buf out = { 0 };

	if (!plain || strlen(plain) > 50 || kc_licence_info_encode(&info, &out))
		abort();
	kc_error_free(kc_tags_check(raw));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const fuzz[])(const char *text, size_t size) = {
		fuzz_credentials,  fuzz_registration,  fuzz_registered, fuzz_checkin, fuzz_checkin_answer,
		fuzz_licence_info, fuzz_doctor_report, fuzz_error,	fuzz_plain,
	};

	if (size && *data >= '0' && (size_t)*data - '0' < sizeof(fuzz) / sizeof(*fuzz))
		fuzz[*data - '0']((const char *)data + 1, size - 1);
	return 0;
}
