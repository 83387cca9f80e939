/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables of all messages. What is done with them is in member.c. */
#include "proto/proto.h"

#include "base/array.h"
#include "proto/member.h"

#define AT KC_MEMBER_AT
#define TEXT KC_PROTO_TEXT_MAX, KC_MEMBER_TEXT

/* The functions that proto.h promises for struct kc_NAME. */
#define MESSAGE(name, text_limit)                                                                                      \
	static const struct kc_message name##_message = { #name, sizeof(struct kc_##name), text_limit, name##_members, \
							  KC_ARRAY_SIZE(name##_members) };                             \
	struct kc_error *kc_##name##_encode(const struct kc_##name *from, struct kc_buf *out)                          \
	{                                                                                                              \
		return kc_message_encode(&name##_message, from, out);                                                  \
	}                                                                                                              \
	struct kc_error *kc_##name##_decode(const char *text, size_t size, struct kc_##name *to)                       \
	{                                                                                                              \
		return kc_message_decode(&name##_message, text, size, to);                                             \
	}                                                                                                              \
	void kc_##name##_clear(struct kc_##name *message)                                                              \
	{                                                                                                              \
		kc_message_clear(&name##_message, message);                                                            \
	}

#define SERVER_ID(type) "server_id", offsetof(struct type, credentials.server_id), KC_SERVER_ID_SIZE - 1, KC_MEMBER_ID
#define SECRET(type) "secret", offsetof(struct type, credentials.secret), KC_SECRET_SIZE - 1, KC_MEMBER_DIGITS

static const struct kc_member credentials_members[] = {
	{ AT(kc_credentials, server_id), KC_SERVER_ID_SIZE - 1, KC_MEMBER_ID, true },
	{ AT(kc_credentials, secret), KC_SECRET_SIZE - 1, KC_MEMBER_DIGITS, true },
};
MESSAGE(credentials, KC_PROTO_REQUEST_MAX)

static const struct kc_member registration_members[] = {
	{ AT(kc_registration, key), TEXT, true },
	{ AT(kc_registration, hostname), TEXT, true },
	{ AT(kc_registration, machine_id), TEXT, true },
	{ AT(kc_registration, instance), TEXT, false },
	{ AT(kc_registration, agent_version), TEXT, false },
	{ AT(kc_registration, virtualization), TEXT, false },
	{ AT(kc_registration, is_container), 0, KC_MEMBER_FLAG, false },
};
MESSAGE(registration, KC_PROTO_REQUEST_MAX)

static const struct kc_member registered_members[] = {
	{ SERVER_ID(kc_registered), true },
	{ SECRET(kc_registered), true },
	{ AT(kc_registered, nonce), KC_NONCE_SIZE - 1, KC_MEMBER_DIGITS, false },
	{ AT(kc_registered, terms), 0, KC_MEMBER_TERMS, false },
};
MESSAGE(registered, KC_PROTO_ANSWER_MAX)

static const struct kc_member checkin_members[] = {
	{ SERVER_ID(kc_checkin), true },
	{ SECRET(kc_checkin), true },
	{ AT(kc_checkin, nonce), KC_NONCE_SIZE - 1, KC_MEMBER_DIGITS, false },
	{ AT(kc_checkin, event), 0, KC_MEMBER_EVENT, false },
	{ AT(kc_checkin, hostname), TEXT, false },
	{ AT(kc_checkin, release), TEXT, false },
	{ AT(kc_checkin, kernel_id), 40, KC_MEMBER_HEX, false },
	{ AT(kc_checkin, effective_version), TEXT, false },
	{ AT(kc_checkin, level), 0, KC_MEMBER_COUNT, false },
	{ AT(kc_checkin, type), TEXT, false },
	{ AT(kc_checkin, patchset), TEXT, false },
	{ AT(kc_checkin, feed), TEXT, false },
	{ AT(kc_checkin, tags), KC_PROTO_TAGS_MAX, KC_MEMBER_TAGS, false },
	{ AT(kc_checkin, uptime_s), 0, KC_MEMBER_NUMBER, false },
	{ AT(kc_checkin, virtualization), TEXT, false },
	{ AT(kc_checkin, distro), TEXT, false },
	{ AT(kc_checkin, distro_version), TEXT, false },
	{ AT(kc_checkin, machine), TEXT, false },
	{ AT(kc_checkin, processor), TEXT, false },
	{ AT(kc_checkin, agent_version), TEXT, false },
	{ AT(kc_checkin, libcare_is_enabled), 0, KC_MEMBER_FLAG, false },
	{ AT(kc_checkin, n_processes), 0, KC_MEMBER_COUNT, false },
	{ AT(kc_checkin, n_patched), 0, KC_MEMBER_COUNT, false },
	{ AT(kc_checkin, last_error), KC_PROTO_ERROR_MAX, KC_MEMBER_TEXT, false },
	{ AT(kc_checkin, delay_s), 0, KC_MEMBER_NUMBER, false },
	{ AT(kc_checkin, sticky_before), 0, KC_MEMBER_NUMBER, false },
	{ AT(kc_checkin, pinned), TEXT, false },
	{ AT(kc_checkin, host_tag), TEXT, false },
};
MESSAGE(checkin, KC_PROTO_REQUEST_MAX)

static const struct kc_member checkin_answer_members[] = {
	{ AT(kc_checkin_answer, nonce), KC_NONCE_SIZE - 1, KC_MEMBER_DIGITS, false },
	{ AT(kc_checkin_answer, terms), 0, KC_MEMBER_TERMS, false },
};
MESSAGE(checkin_answer, KC_PROTO_ANSWER_MAX)

static const struct kc_member licence_info_members[] = {
	{ AT(kc_licence_info, key), TEXT, false },
	{ AT(kc_licence_info, note), TEXT, false },
	{ AT(kc_licence_info, n_servers), 0, KC_MEMBER_COUNT, false },
	{ AT(kc_licence_info, server_limit), 0, KC_MEMBER_COUNT, false },
	{ AT(kc_licence_info, terms), 0, KC_MEMBER_TERMS, false },
};
MESSAGE(licence_info, KC_PROTO_ANSWER_MAX)

static const struct kc_member doctor_report_members[] = {
	{ SERVER_ID(kc_doctor_report), false },
	{ SECRET(kc_doctor_report), false },
	{ AT(kc_doctor_report, hostname), TEXT, false },
	{ AT(kc_doctor_report, report), KC_PROTO_REPORT_MAX, KC_MEMBER_LINES, true },
};
MESSAGE(doctor_report, KC_PROTO_REPORT_MAX)

const char *kc_checkin_event_name(enum kc_checkin_event event)
{
	static const char *const names[] = { "periodic", "before", "after", "later", "failed" };

	return names[event];
}
