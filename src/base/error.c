/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

struct kc_error {
	enum kc_error_code code;
	char *rule;
	char *message;
};

static const struct {
	const char *name;
	int exit_code;
	int http;
	const char *text;
} error_kinds[] = {
#define X(symbol, name, exit_code, http, text) [symbol] = { name, exit_code, http, text },
	KC_ERROR_LIST(X)
#undef X
};

static struct kc_error no_memory = { .code = KC_ERR_NO_MEMORY, .message = (char *)"out of memory" };
static struct kc_error not_found = { .code = KC_ERR_NOT_FOUND, .message = (char *)"not found" };

static bool is_singleton(const struct kc_error *err)
{
	return err == &no_memory || err == &not_found;
}

struct kc_error *kc_error_no_memory(void)
{
	return &no_memory;
}

struct kc_error *kc_error_not_found(void)
{
	return &not_found;
}

/* Takes ownership of `message`; NULL (no memory for it) gives the singleton. */
static struct kc_error *error_from_message(enum kc_error_code code, char *message)
{
	struct kc_error *err;

	if (!message)
		return &no_memory;
	err = calloc(1, sizeof(*err));
	if (!err) {
		free(message);
		return &no_memory;
	}
	err->code = code;
	err->message = message;
	return err;
}

static char *format_message(const char *format, va_list args)
{
	char *message;

	return vasprintf(&message, format, args) < 0 ? NULL : message;
}

struct kc_error *kc_error_new(enum kc_error_code code, const char *format, ...)
{
	va_list args;
	char *message;

	va_start(args, format);
	message = format_message(format, args);
	va_end(args);
	return error_from_message(code, message);
}

struct kc_error *kc_error_errno(enum kc_error_code code, int errnum, const char *format, ...)
{
	va_list args;
	kc_autofree char *what = NULL;
	char *message;

	va_start(args, format);
	what = format_message(format, args);
	va_end(args);
	if (!what || asprintf(&message, "%s: %s", what, strerror(errnum)) < 0)
		return &no_memory;
	if (code == KC_ERR_SYSTEM && (errnum == ENOSPC || errnum == EDQUOT))
		code = KC_ERR_NO_SPACE;
	return error_from_message(code, message);
}

struct kc_error *kc_error_rule(const char *rule, const char *format, ...)
{
	struct kc_error *err;
	va_list args;

	va_start(args, format);
	err = error_from_message(KC_ERR_RULE, format_message(format, args));
	va_end(args);
	if (!is_singleton(err))
		err->rule = strdup(rule);
	return err;
}

struct kc_error *kc_error_prefix(struct kc_error *err, const char *format, ...)
{
	va_list args;
	kc_autofree char *context = NULL;
	char *message;

	if (err == &no_memory)
		return err;
	va_start(args, format);
	context = format_message(format, args);
	va_end(args);
	if (!context || asprintf(&message, "%s: %s", context, err->message) < 0)
		return err;
	if (is_singleton(err))
		return error_from_message(err->code, message);
	free(err->message);
	err->message = message;
	return err;
}

enum kc_error_code kc_error_code(const struct kc_error *err)
{
	return err->code;
}

const char *kc_error_message(const struct kc_error *err)
{
	return err->message;
}

const char *kc_error_rule_name(const struct kc_error *err)
{
	return err->rule;
}

void kc_error_free(struct kc_error *err)
{
	if (!err || is_singleton(err))
		return;
	free(err->rule);
	free(err->message);
	free(err);
}

const char *kc_error_code_name(enum kc_error_code code)
{
	return error_kinds[code].name;
}

int kc_error_code_exit(enum kc_error_code code)
{
	return error_kinds[code].exit_code;
}

int kc_error_code_http(enum kc_error_code code)
{
	return error_kinds[code].http;
}

const char *kc_error_code_text(enum kc_error_code code)
{
	return error_kinds[code].text;
}
