/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/member.h"

#include <string.h>

#include "base/array.h"
#include "proto/proto.h"
#include "sign/canonical.h"

static const struct kc_member terms_members[] = {
	{ KC_MEMBER_AT(kc_key_terms, feed), KC_PROTO_TEXT_MAX, KC_MEMBER_TEXT, false },
	{ KC_MEMBER_AT(kc_key_terms, sticky), KC_PROTO_TEXT_MAX, KC_MEMBER_TEXT, false },
	{ KC_MEMBER_AT(kc_key_terms, ends), 0, KC_MEMBER_NUMBER, false },
	{ KC_MEMBER_AT(kc_key_terms, has_kernel), 0, KC_MEMBER_FLAG, false },
	{ KC_MEMBER_AT(kc_key_terms, has_libs), 0, KC_MEMBER_FLAG, false },
	{ KC_MEMBER_AT(kc_key_terms, has_qemu), 0, KC_MEMBER_FLAG, false },
};
static const struct kc_message terms_message = { "the terms", sizeof(struct kc_key_terms), KC_PROTO_ANSWER_MAX,
						 terms_members, KC_ARRAY_SIZE(terms_members) };

static bool is_allocated(enum kc_member_kind kind)
{
	return kind == KC_MEMBER_TEXT || kind == KC_MEMBER_LINES || kind == KC_MEMBER_TAGS || kind == KC_MEMBER_HEX;
}

static bool is_text(enum kc_member_kind kind)
{
	return is_allocated(kind) || kind == KC_MEMBER_DIGITS || kind == KC_MEMBER_ID;
}

static const char *text_of(const struct kc_member *member, const void *from)
{
	const char *text = is_allocated(member->kind) ? *(char *const *)((const char *)from + member->offset)
						      : (const char *)from + member->offset;

	return text ? text : "";
}

static const char *text_problem(const struct kc_member *member, const char *text)
{
	if (!*text)
		return member->is_needed ? "missing" : NULL;
	switch (member->kind) {
	case KC_MEMBER_ID:
		return kc_server_id_is_valid(text) ? NULL : "not a server id: 16 letters and digits, a letter first";
	case KC_MEMBER_HEX:
	case KC_MEMBER_DIGITS:
		return strspn(text, "0123456789abcdef") == member->limit && !text[member->limit]
			       ? NULL
			       : "not as many hexadecimal digits as it must have";
	default:
		return kc_text_problem(text, member->limit, member->kind == KC_MEMBER_LINES);
	}
}

static struct kc_error *check_text(const struct kc_member *member, const char *text)
{
	const char *problem = text_problem(member, text);

	if (member->kind == KC_MEMBER_TAGS)
		return kc_tags_check(text);
	return problem ? kc_error_new(KC_ERR_INPUT, "%s: %s", member->name, problem) : NULL;
}

/* ---- encoding ---- */

static struct kc_error *build(const struct kc_message *message, const void *from, json_t **json);

/* `*value` NULL: left out. */
static struct kc_error *build_number(const struct kc_member *member, const void *from, json_t **value)
{
	const char *at = (const char *)from + member->offset;
	int64_t number = member->kind == KC_MEMBER_COUNT ? *(const uint32_t *)at : *(const int64_t *)at;

	if (number < 0 || number > KC_CANONICAL_INTEGER_MAX)
		return kc_error_new(KC_ERR_INPUT, "%s: must be from 0 to 2^53-1", member->name);
	*value = number ? json_integer(number) : NULL;
	return number && !*value ? kc_error_no_memory() : NULL;
}

static struct kc_error *build_text(const struct kc_member *member, const void *from, json_t **value)
{
	const char *text = text_of(member, from);

	KC_TRY(check_text(member, text));
	*value = *text ? json_string(text) : NULL;
	return *text && !*value ? kc_error_no_memory() : NULL;
}

static struct kc_error *build_member(const struct kc_member *member, const void *from, json_t **value)
{
	const char *at = (const char *)from + member->offset;

	if (is_text(member->kind))
		return build_text(member, from, value);
	switch (member->kind) {
	case KC_MEMBER_TERMS:
		return build(&terms_message, at, value);
	case KC_MEMBER_EVENT:
		*value = json_string(kc_checkin_event_name(*(const enum kc_checkin_event *)at));
		return *value ? NULL : kc_error_no_memory();
	case KC_MEMBER_FLAG:
		*value = *(const bool *)at ? json_true() : NULL;
		return NULL;
	default:
		return build_number(member, from, value);
	}
}

static struct kc_error *build(const struct kc_message *message, const void *from, json_t **json)
{
	kc_autojson json_t *object = json_object();

	if (!object)
		return kc_error_no_memory();
	for (size_t i = 0; i < message->n_members; i++) {
		json_t *value = NULL;

		KC_TRY(build_member(&message->members[i], from, &value));
		if (value && json_object_set_new(object, message->members[i].name, value))
			return kc_error_no_memory();
	}
	*json = kc_steal(object);
	return NULL;
}

static int append(const char *text, size_t size, void *data)
{
	struct kc_buf *out = data;

	kc_buf_append(out, text, size);
	return out->failed ? -1 : 0;
}

struct kc_error *kc_message_encode(const struct kc_message *message, const void *from, struct kc_buf *out)
{
	kc_autojson json_t *json = NULL;
	size_t begin = out->size;

	KC_TRY(build(message, from, &json));
	if (json_dump_callback(json, append, out, JSON_COMPACT))
		return kc_error_no_memory();
	if (out->size - begin > message->text_limit)
		return kc_error_new(KC_ERR_LIMIT, "%s: more than %zu bytes", message->what, message->text_limit);
	return NULL;
}

/* ---- decoding ---- */

static struct kc_error *take(const struct kc_message *message, const json_t *json, void *to);

static struct kc_error *take_text(const struct kc_member *member, const json_t *value, void *to)
{
	const char *text = value ? json_string_value(value) : "";
	char *at = (char *)to + member->offset;

	if (!text)
		return kc_error_new(KC_ERR_INPUT, "%s: must be a text", member->name);
	KC_TRY(check_text(member, text));
	if (!is_allocated(member->kind)) {
		memcpy(at, text, strlen(text) + 1); /* checked: "", or as long as the array */
		return NULL;
	}
	*(char **)at = strdup(text);
	return *(char **)at ? NULL : kc_error_no_memory();
}

static struct kc_error *take_number(const struct kc_member *member, const json_t *value, void *to)
{
	int64_t greatest = member->kind == KC_MEMBER_COUNT ? UINT32_MAX : KC_CANONICAL_INTEGER_MAX;
	int64_t number = value ? json_integer_value(value) : 0;
	char *at = (char *)to + member->offset;

	if (value && (!json_is_integer(value) || number < 0 || number > greatest))
		return kc_error_new(KC_ERR_INPUT, "%s: must be a whole number from 0 to %lld", member->name,
				    (long long)greatest);
	if (member->kind == KC_MEMBER_COUNT)
		*(uint32_t *)at = (uint32_t)number;
	else
		*(int64_t *)at = number;
	return NULL;
}

static struct kc_error *take_event(const struct kc_member *member, const json_t *value, void *to)
{
	enum kc_checkin_event event = KC_CHECKIN_PERIODIC;
	const char *name = value ? json_string_value(value) : "", *problem;

	if (!name)
		return kc_error_new(KC_ERR_INPUT, "%s: must be a text", member->name);
	problem = kc_text_problem(name, KC_PROTO_TEXT_MAX, false);
	if (problem)
		return kc_error_new(KC_ERR_INPUT, "%s: %s", member->name, problem);
	for (enum kc_checkin_event i = KC_CHECKIN_PERIODIC; i <= KC_CHECKIN_FAILED; i++)
		if (!strcmp(kc_checkin_event_name(i), name))
			event = i;
	*(enum kc_checkin_event *)((char *)to + member->offset) = event;
	return NULL;
}

static struct kc_error *take_member(const struct kc_member *member, const json_t *value, void *to)
{
	char *at = (char *)to + member->offset;

	if (is_text(member->kind))
		return take_text(member, value, to);
	switch (member->kind) {
	case KC_MEMBER_TERMS:
		return take(&terms_message, value, at);
	case KC_MEMBER_EVENT:
		return take_event(member, value, to);
	case KC_MEMBER_FLAG:
		if (value && !json_is_boolean(value))
			return kc_error_new(KC_ERR_INPUT, "%s: must be true or false", member->name);
		*(bool *)at = json_is_true(value);
		return NULL;
	default:
		return take_number(member, value, to);
	}
}

/* `json` NULL: an empty object. */
static struct kc_error *take(const struct kc_message *message, const json_t *json, void *to)
{
	if (json && !json_is_object(json))
		return kc_error_new(KC_ERR_INPUT, "%s: must be a JSON object", message->what);
	for (size_t i = 0; i < message->n_members; i++) {
		const json_t *value = json_object_get(json, message->members[i].name);

		KC_TRY(take_member(&message->members[i], json_is_null(value) ? NULL : value, to));
	}
	return NULL;
}

struct kc_error *kc_message_decode(const struct kc_message *message, const char *text, size_t size, void *to)
{
	kc_autojson json_t *json = NULL;
	json_error_t problem;

	memset(to, 0, message->struct_size);
	if (size > message->text_limit)
		return kc_error_new(KC_ERR_LIMIT, "%s: more than %zu bytes", message->what, message->text_limit);
	json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
	if (!json)
		return kc_error_new(KC_ERR_INPUT, "%s: not JSON: byte %d", message->what, problem.position);
	return take(message, json, to);
}

void kc_message_clear(const struct kc_message *message, void *from)
{
	for (size_t i = 0; i < message->n_members; i++) {
		char *at = (char *)from + message->members[i].offset;

		if (message->members[i].kind == KC_MEMBER_TERMS)
			kc_message_clear(&terms_message, at);
		else if (is_allocated(message->members[i].kind))
			free(*(char **)at);
	}
	explicit_bzero(from, message->struct_size); /* a secret may be in it */
}
