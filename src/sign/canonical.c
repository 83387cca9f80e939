/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sign/canonical.h"

#include <string.h>

static struct kc_error *encode(const json_t *value, struct kc_buf *out, int depth);

/* jansson has checked that it is UTF-8; what is left are characters that could hide something on a terminal. */
static struct kc_error *encode_string(const json_t *value, struct kc_buf *out)
{
	const char *text = json_string_value(value);
	size_t size = json_string_length(value);

	kc_buf_append(out, "\"", 1);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		/* U+0080..U+009F are the bytes C2 80 .. C2 9F */
		if ((c < ' ' && c != '\n') || c == 0x7f || (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
			return kc_error_new(KC_ERR_INPUT, "a string contains a control character");
		if (c == '\n')
			kc_buf_append(out, "\\n", 2);
		else if (c == '"' || c == '\\')
			kc_buf_append(out, (char[]){ '\\', (char)c }, 2);
		else
			kc_buf_append(out, &text[i], 1);
	}
	kc_buf_append(out, "\"", 1);
	return NULL;
}

static bool is_key(const char *key)
{
	size_t length = strnlen(key, KC_CANONICAL_KEY_MAX + 1);

	for (size_t i = 0; i < length; i++)
		if (key[i] < ' ' || key[i] > '~' || key[i] == '"' || key[i] == '\\')
			return false;
	return length > 0 && length <= KC_CANONICAL_KEY_MAX;
}

static int compare_keys(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;

	return strcmp(*left, *right);
}

static struct kc_error *encode_object(const json_t *value, struct kc_buf *out, int depth)
{
	size_t n = json_object_size(value), i = 0;
	kc_autofree const char **keys = calloc(n + 1, sizeof(*keys));
	const char *key;
	json_t *member;

	if (!keys)
		return kc_error_no_memory();
	json_object_foreach((json_t *)value, key, member) keys[i++] = key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	kc_buf_append(out, "{", 1);
	for (i = 0; i < n; i++) {
		if (!is_key(keys[i]))
			return kc_error_new(KC_ERR_INPUT, "a key is not plain ASCII, empty or too long");
		kc_buf_append_str(out, i ? ",\"" : "\"");
		kc_buf_append_str(out, keys[i]);
		kc_buf_append_str(out, "\":");
		KC_TRY(encode(json_object_get(value, keys[i]), out, depth + 1));
	}
	kc_buf_append(out, "}", 1);
	return NULL;
}

static struct kc_error *encode_array(const json_t *value, struct kc_buf *out, int depth)
{
	kc_buf_append(out, "[", 1);
	for (size_t i = 0; i < json_array_size(value); i++) {
		if (i)
			kc_buf_append(out, ",", 1);
		KC_TRY(encode(json_array_get(value, i), out, depth + 1));
	}
	kc_buf_append(out, "]", 1);
	return NULL;
}

static struct kc_error *encode_integer(const json_t *value, struct kc_buf *out)
{
	json_int_t integer = json_integer_value(value);

	if (integer > KC_CANONICAL_INTEGER_MAX || integer < -KC_CANONICAL_INTEGER_MAX)
		return kc_error_new(KC_ERR_INPUT, "an integer is larger than 2^53-1");
	kc_buf_printf(out, "%lld", (long long)integer);
	return NULL;
}

static struct kc_error *encode(const json_t *value, struct kc_buf *out, int depth)
{
	if (depth >= KC_CANONICAL_DEPTH_MAX)
		return kc_error_new(KC_ERR_INPUT, "nested deeper than %d levels", KC_CANONICAL_DEPTH_MAX);
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return encode_object(value, out, depth);
	case JSON_ARRAY:
		return encode_array(value, out, depth);
	case JSON_STRING:
		return encode_string(value, out);
	case JSON_INTEGER:
		return encode_integer(value, out);
	case JSON_TRUE:
	case JSON_FALSE:
		kc_buf_append_str(out, json_is_true(value) ? "true" : "false");
		return NULL;
	case JSON_NULL:
		kc_buf_append_str(out, "null");
		return NULL;
	case JSON_REAL:
		break;
	}
	return kc_error_new(KC_ERR_INPUT, "a number is not an integer");
}

struct kc_error *kc_canonical_encode(const json_t *value, struct kc_buf *out)
{
	KC_TRY(encode(value, out, 0));
	return out->failed ? kc_error_no_memory() : NULL;
}

/* The parser recurses: what is nested too deep is turned away before it. Quotes need no care: a lie only costs depth.
 */
static bool is_too_deep(const char *text, size_t size)
{
	int depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '{' || text[i] == '['))
			depth++;
		else if (!in_string && (text[i] == '}' || text[i] == ']'))
			depth--;
		if (depth > KC_CANONICAL_DEPTH_MAX)
			return true;
	}
	return false;
}

struct kc_error *kc_canonical_parse(const char *text, size_t size, json_t **value)
{
	kc_autojson json_t *parsed = NULL;
	kc_autobuf struct kc_buf again = { 0 };
	struct kc_error *err;
	json_error_t problem;

	if (is_too_deep(text, size))
		return kc_error_new(KC_ERR_CORRUPT, "nested deeper than %d levels", KC_CANONICAL_DEPTH_MAX);
	parsed = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
	if (!parsed)
		return kc_error_new(KC_ERR_CORRUPT, "byte %d: %s", problem.position, problem.text);
	err = kc_canonical_encode(parsed, &again);
	if (err && kc_error_code(err) == KC_ERR_INPUT) {
		kc_autoerror struct kc_error *reason = err;

		return kc_error_new(KC_ERR_CORRUPT, "%s", kc_error_message(reason));
	}
	if (err)
		return err;
	if (again.size != size || !again.data || memcmp(again.data, text, size))
		return kc_error_new(KC_ERR_CORRUPT, "not canonical JSON");
	*value = kc_steal(parsed);
	return NULL;
}
