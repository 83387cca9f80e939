/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two ways in which forms are sent (HTML 4.10.21, RFC 7578). Bounded by the body, which has a limit. */
#include "portal/api/args_form.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/hex.h"

enum { FIELDS_MAX = 1000, BOUNDARY_MAX = 70 };

static struct kc_error *bad(const char *why)
{
	return kc_error_new(KC_ERR_INPUT, "the form cannot be read: %s", why);
}

/* A name that comes again becomes an array. */
static struct kc_error *add(json_t *form, const struct kc_buf *name, const struct kc_buf *value)
{
	json_t *text = json_stringn(value->data ? value->data : "", value->size), *there, *array;
	const char *key = name->data ? name->data : "";

	if (name->failed || value->failed) {
		json_decref(text);
		return kc_error_no_memory();
	}
	if (!text || strlen(key) != name->size || json_object_size(form) >= FIELDS_MAX) {
		json_decref(text);
		return bad("it is not UTF-8, or has too many fields");
	}
	there = json_object_get(form, key);
	if (json_is_array(there))
		return json_array_append_new(there, text) ? kc_error_no_memory() : NULL;
	array = there ? json_pack("[O, o]", there, text) : text;
	/* json_object_set_new() refuses a name that is not UTF-8 */
	return json_object_set_new(form, key, array) ? bad("a name is not UTF-8") : NULL;
}

static struct kc_error *decode(const char *text, size_t size, struct kc_buf *out)
{
	for (size_t i = 0; i < size; i++) {
		char digits[3] = { 0 };
		uint8_t byte = (uint8_t)text[i];

		if (text[i] == '+')
			byte = ' ';
		if (text[i] == '%') {
			if (size - i < 3)
				return bad("a % without two digits");
			memcpy(digits, text + i + 1, 2);
			if (kc_hex_decode(digits, &byte, 1))
				return bad("a % without two digits");
			i += 2;
		}
		kc_buf_append(out, &byte, 1);
	}
	return NULL;
}

static struct kc_error *read_field(json_t *form, const char *field, size_t size)
{
	kc_autobuf struct kc_buf name = { 0 }, value = { 0 };
	const char *equals = memchr(field, '=', size);
	size_t name_size = equals ? (size_t)(equals - field) : size;

	if (!size)
		return NULL;
	KC_TRY(decode(field, name_size, &name));
	if (equals)
		KC_TRY(decode(equals + 1, size - name_size - 1, &value));
	return add(form, &name, &value);
}

struct kc_error *kc_form_read(const char *text, size_t size, json_t **form)
{
	const char *end = text + size;

	*form = json_object();
	if (!*form)
		return kc_error_no_memory();
	while (text < end) {
		const char *next = memchr(text, '&', (size_t)(end - text));

		if (!next)
			next = end;
		KC_TRY(read_field(*form, text, (size_t)(next - text)));
		text = next + 1;
	}
	return NULL;
}

/* ---- multipart/form-data ---- */

/* "--BOUNDARY" of the Content-Type, quoted or not. */
static struct kc_error *find_boundary(const char *type, char boundary[BOUNDARY_MAX + 3])
{
	const char *begin = strcasestr(type, "boundary=");
	size_t length;

	if (!begin)
		return bad("its Content-Type names no boundary");
	begin += strlen("boundary=");
	length = *begin == '"' ? strcspn(++begin, "\"") : strcspn(begin, "; \t");
	if (!length || length > BOUNDARY_MAX)
		return bad("its boundary is empty or too long");
	snprintf(boundary, BOUNDARY_MAX + 3, "--%.*s", (int)length, begin);
	return NULL;
}

/* `Content-Disposition: form-data; name="key"`; the header ends at `end`. */
static struct kc_error *read_disposition(const char *line, const char *end, struct kc_buf *name)
{
	kc_autobuf struct kc_buf text = { 0 };
	const char *begin;

	kc_buf_append(&text, line, (size_t)(end - line));
	if (text.failed)
		return kc_error_no_memory();
	if (strcasestr(text.data, "filename"))
		return bad("a file where a text is expected");
	begin = strcasestr(text.data, "; name=\"");
	if (!begin || !strchr(begin + 8, '"'))
		return bad("a part without a name");
	begin += 8;
	kc_buf_append(name, begin, strcspn(begin, "\""));
	return NULL;
}

static struct kc_error *read_part(json_t *form, const char *part, size_t size)
{
	static const char disposition[] = "Content-Disposition:";
	kc_autobuf struct kc_buf name = { 0 }, value = { 0 };
	const char *body = memmem(part, size, "\r\n\r\n", 4);

	if (!body)
		return bad("a part without a header");
	for (const char *line = part; line < body + 2;) {
		const char *end = memmem(line, (size_t)(body + 2 - line), "\r\n", 2);

		if (!strncasecmp(line, disposition, sizeof(disposition) - 1))
			KC_TRY(read_disposition(line, end, &name));
		line = end + 2;
	}
	if (!name.size)
		return bad("a part without a name");
	kc_buf_append(&value, body + 4, size - (size_t)(body + 4 - part));
	return add(form, &name, &value);
}

struct kc_error *kc_form_read_parts(const char *type, const char *text, size_t size, json_t **form)
{
	char boundary[BOUNDARY_MAX + 3], between[BOUNDARY_MAX + 5];
	const char *end = text + size, *next;
	size_t length;

	*form = json_object();
	if (!*form)
		return kc_error_no_memory();
	KC_TRY(find_boundary(type, boundary));
	length = strlen(boundary);
	snprintf(between, sizeof(between), "\r\n%s", boundary);
	text = memmem(text, size, boundary, length);
	for (; text; text = next + 2) {
		text += length;
		if (end - text >= 2 && !memcmp(text, "--", 2))
			return NULL;
		if (end - text < 2 || memcmp(text, "\r\n", 2))
			break;
		text += 2;
		next = memmem(text, (size_t)(end - text), between, length + 2);
		if (!next)
			break;
		KC_TRY(read_part(*form, text, (size_t)(next - text)));
	}
	return bad("it has no end");
}
