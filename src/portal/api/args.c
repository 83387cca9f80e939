/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the query and a JSON body say. Forms are read in args_form.c; handlers and work.c call this. */
#include "portal/api/args.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "portal/api/args_form.h"
#include "proto/proto.h"

enum {
	NESTING_MAX = 8, /* what a body may need: an array in an object */
};

static bool is_type(const char *content_type, const char *type)
{
	size_t length = strlen(type);

	return content_type && !strncasecmp(content_type, type, length) &&
	       (!content_type[length] || strchr("; \t", content_type[length]));
}

struct kc_error *kc_args_check_site(const struct kc_http_request *request)
{
	const char *site = kc_http_header(request, "Sec-Fetch-Site"), *origin = kc_http_header(request, "Origin");
	const char *host = kc_http_header(request, "Host"), *at = origin ? strstr(origin, "://") : NULL;
	bool is_ours = true;

	if (site)
		is_ours = !strcmp(site, "same-origin") || !strcmp(site, "none");
	else if (origin)
		is_ours = at && host && !strcasecmp(at + 3, host);
	return is_ours ? NULL : kc_error_new(KC_ERR_REFUSED, "a page of another site asked for this");
}

static bool is_too_deep(const json_t *value, unsigned depth)
{
	const char *key;
	json_t *item;
	size_t i;

	if (depth > NESTING_MAX)
		return true;
	json_array_foreach(value, i, item) if (is_too_deep(item, depth + 1)) return true;
	json_object_foreach((json_t *)value, key, item) if (is_too_deep(item, depth + 1)) return true;
	return false;
}

static struct kc_error *read_json(const char *text, size_t size, json_t **body)
{
	json_error_t problem;

	*body = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
	if (!*body)
		return kc_error_new(KC_ERR_INPUT, "the body is not JSON: line %d: %s", problem.line, problem.text);
	if (!json_is_object(*body) || is_too_deep(*body, 0))
		return kc_error_new(KC_ERR_INPUT, "the body is not a JSON object of parameters");
	return NULL;
}

struct kc_error *kc_args_read_query(const struct kc_http_request *request, struct kc_args *args)
{
	*args = (struct kc_args){ .request = request, .query = json_array() };
	return args->query ? NULL : kc_error_no_memory();
}

struct kc_error *kc_args_read(const struct kc_http_request *request, struct kc_args *args)
{
	const char *type = kc_http_header(request, "Content-Type");
	size_t size;
	const char *text = kc_http_body(request, &size);
	size_t blanks = strspn(text, " \t\r\n");

	KC_TRY(kc_args_read_query(request, args));
	if (blanks == size)
		return NULL;
	if (size > KC_ARGS_BODY_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the parameters are longer than %d bytes", KC_ARGS_BODY_MAX);
	/* curl -d sends JSON as a form, when nobody tells it */
	if (is_type(type, "application/json") || text[blanks] == '{')
		return read_json(text, size, &args->body);
	if (is_type(type, "application/x-www-form-urlencoded"))
		return kc_form_read(text, size, &args->body);
	if (is_type(type, "multipart/form-data"))
		return kc_form_read_parts(type, text, size, &args->body);
	return kc_error_new(KC_ERR_INPUT, "the body must be JSON or a form, and Content-Type must say which");
}

void kc_args_clear(struct kc_args *args)
{
	json_decref(args->body);
	json_decref(args->query);
	*args = (struct kc_args){ 0 };
}

/* ---- one parameter ---- */

/* A text of the query, kept by the args. */
static struct kc_error *keep(struct kc_args *args, const char *name, const char *text, json_t **kept)
{
	*kept = json_string(text);
	if (!*kept)
		return kc_error_new(KC_ERR_INPUT, "%s: not UTF-8", name);
	return json_array_append_new(args->query, *kept) ? kc_error_no_memory() : NULL;
}

bool kc_args_has(const struct kc_args *args, const char *name)
{
	const json_t *value = json_object_get(args->body, name);

	return (value && !json_is_null(value)) || kc_http_query(args->request, name);
}

static void count(void *data, const char *text)
{
	(void)text;
	++*(size_t *)data;
}

/* NULL: not there. */
static struct kc_error *find(struct kc_args *args, const char *name, json_t **value)
{
	const char *text = kc_http_query(args->request, name);
	size_t n = 0;

	kc_http_query_each(args->request, name, count, &n);
	if (n > 1)
		return kc_error_new(KC_ERR_INPUT, "%s: comes %zu times, and has one value", name, n);
	*value = json_object_get(args->body, name);
	if (json_is_null(*value))
		*value = NULL;
	return !*value && text ? keep(args, name, text, value) : NULL;
}

static struct kc_error *check_text(const char *name, const json_t *value, size_t max, const char **text)
{
	const char *problem;

	*text = json_string_value(value);
	if (!*text)
		return kc_error_new(KC_ERR_INPUT, "%s must be a text", name);
	if (strlen(*text) > max)
		return kc_error_new(KC_ERR_INPUT, "%s is longer than %zu bytes", name, max);
	problem = strlen(*text) == json_string_length(value) ? kc_text_problem(*text, max, false)
							     : "has a control character";
	return problem ? kc_error_new(KC_ERR_INPUT, "%s: %s", name, problem) : NULL;
}

struct kc_error *kc_args_text(struct kc_args *args, const char *name, size_t max, const char **text)
{
	json_t *value;

	*text = NULL;
	KC_TRY(find(args, name, &value));
	return value ? check_text(name, value, max, text) : NULL;
}

struct kc_error *kc_args_need_text(struct kc_args *args, const char *name, size_t max, const char **text)
{
	KC_TRY(kc_args_text(args, name, max, text));
	if (!*text || !**text)
		return kc_error_new(KC_ERR_INPUT, "%s is missing", name);
	return NULL;
}

struct kc_error *kc_args_flag(struct kc_args *args, const char *name, bool *flag)
{
	static const char *const words[][2] = { { "true", "false" }, { "yes", "no" }, { "1", "0" }, { "on", "off" } };
	const char *text;
	json_t *value;

	KC_TRY(find(args, name, &value));
	if (!value)
		return NULL;
	if (json_is_boolean(value) || json_is_integer(value)) {
		*flag = json_is_true(value) || json_integer_value(value) == 1;
		if (json_is_boolean(value) || (json_integer_value(value) | 1) == 1)
			return NULL;
	}
	text = json_string_value(value);
	for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++) {
		*flag = !strcasecmp(text, words[i][0]);
		if (*flag || !strcasecmp(text, words[i][1]))
			return NULL;
	}
	return kc_error_new(KC_ERR_INPUT, "%s must be true or false", name);
}

struct kc_error *kc_args_number(struct kc_args *args, const char *name, int64_t min, int64_t max, int64_t *number)
{
	char *end = NULL;
	const char *text;
	json_t *value;
	bool is_good;
	long long n;

	KC_TRY(find(args, name, &value));
	if (!value)
		return NULL;
	text = json_string_value(value);
	errno = 0;
	n = text ? strtoll(text, &end, 10) : json_integer_value(value);
	is_good = text ? end != text && !*end && !errno && strchr("-0123456789", *text) : json_is_integer(value);
	if (!is_good || n < min || n > max)
		return kc_error_new(KC_ERR_INPUT, "%s must be a number from %lld to %lld", name, (long long)min,
				    (long long)max);
	*number = n;
	return NULL;
}

/* ---- one with several values ---- */

struct values {
	json_t *array;
	bool failed;
};

static void add_value(void *data, const char *text)
{
	struct values *values = data;

	if (json_array_size(values->array) >= KC_ARGS_VALUES_MAX ||
	    json_array_append_new(values->array, json_string(text)))
		values->failed = true;
}

struct kc_error *kc_args_texts(struct kc_args *args, const char *name, size_t max, json_t **texts)
{
	json_t *value = json_object_get(args->body, name), *item;
	struct values values = { .array = json_array() };
	const char *text;
	size_t i;

	*texts = NULL;
	if (!values.array || json_array_append_new(args->query, values.array))
		return kc_error_no_memory();
	if (json_is_array(value))
		json_array_extend(values.array, value);
	else if (value && !json_is_null(value))
		json_array_append(values.array, value);
	else
		kc_http_query_each(args->request, name, add_value, &values);
	if (values.failed)
		return kc_error_new(KC_ERR_INPUT, "%s: not UTF-8, or more than %d values", name, KC_ARGS_VALUES_MAX);
	json_array_foreach(values.array, i, item) KC_TRY(check_text(name, item, max, &text));
	if (json_array_size(values.array) > KC_ARGS_VALUES_MAX)
		return kc_error_new(KC_ERR_INPUT, "%s has more than %d values", name, KC_ARGS_VALUES_MAX);
	*texts = json_array_size(values.array) ? values.array : NULL;
	return NULL;
}
