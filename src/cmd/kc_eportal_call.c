/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the subcommands of kc.eportal share: asking the portal, showing answers, reading arguments. */
#include "cmd/kc_eportal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"

enum { ANSWER_MAX = 512 << 20 };

/* ---- asking ---- */

static const char *socket_path(void)
{
	const char *path = getenv(KC_EPORTAL_SOCKET_ENV);

	return path && *path ? path : KC_EPORTAL_DIR "/socket";
}

static struct kc_error *parse(const struct kc_buf *text, json_t **answer)
{
	*answer = json_loadb(text->data ? text->data : "", text->size, 0, NULL);
	if (json_is_object(*answer))
		return NULL;
	json_decref(*answer);
	*answer = NULL;
	return kc_error_new(KC_ERR_SERVER, "what listens at %s does not answer as eportald does", socket_path());
}

struct kc_error *kc_eportal_ask(struct kc_ctx *ctx, const char *method, const char *target, json_t *body,
				json_t **answer)
{
	kc_autojson json_t *owned = body;
	kc_autofree char *sent = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_local_call call = { .method = method, .target = target, .limit = ANSWER_MAX };

	*answer = NULL;
	if (owned) {
		sent = json_dumps(owned, JSON_COMPACT);
		if (!sent)
			return kc_error_new(KC_ERR_INPUT, "an argument is not UTF-8");
		call.body = sent;
		call.body_size = strlen(sent);
	}
	KC_TRY(kc_local_do(ctx, socket_path(), &call, &text));
	return parse(&text, answer);
}

struct kc_error *kc_eportal_ask_named(struct kc_ctx *ctx, const char *method, const char *path, const char *name,
				      json_t *body, json_t **answer)
{
	kc_autobuf struct kc_buf target = { 0 };

	kc_buf_append_str(&target, path);
	kc_local_escape(&target, name);
	if (target.failed) {
		json_decref(body);
		return kc_error_no_memory();
	}
	return kc_eportal_ask(ctx, method, target.data, body, answer);
}

struct kc_error *kc_eportal_upload(struct kc_ctx *ctx, const char *target, const char *path, json_t **answer)
{
	kc_autobuf struct kc_buf what = { 0 }, text = { 0 };
	struct kc_local_call call = {
		.method = "POST",
		.target = target,
		.content_type = "application/octet-stream",
		.body_path = path,
		.limit = ANSWER_MAX,
	};

	*answer = NULL;
	kc_buf_printf(&what, "uploading %s", kc_path_name(path));
	if (what.failed)
		return kc_error_no_memory();
	call.what = what.data;
	KC_TRY(kc_local_do(ctx, socket_path(), &call, &text));
	return parse(&text, answer);
}

struct kc_error *kc_eportal_ask_text(struct kc_ctx *ctx, const char *target, struct kc_buf *text)
{
	const struct kc_local_call call = { .method = "GET", .target = target, .limit = ANSWER_MAX };

	return kc_local_do(ctx, socket_path(), &call, text);
}

void kc_eportal_query(struct kc_buf *target, const char *name, const char *value)
{
	if (!value)
		return;
	kc_buf_printf(target, "%c%s=", target->data && strchr(target->data, '?') ? '&' : '?', name);
	kc_local_escape(target, value);
}

/* ---- showing ---- */

const char *kc_eportal_text(const json_t *object, const char *member, char buffer[32])
{
	const json_t *value = json_object_get(object, member);

	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_boolean(value))
		return json_is_true(value) ? "yes" : "no";
	if (!json_is_integer(value))
		return "";
	snprintf(buffer, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return buffer;
}

struct kc_error *kc_eportal_print_json(const json_t *answer)
{
	const json_t *result = json_object_get(answer, "result");
	kc_autofree char *text = json_dumps(result ? result : answer, JSON_INDENT(2));

	if (!text)
		return kc_error_no_memory();
	puts(text);
	return NULL;
}

/* "a, b" of an array of texts. */
static struct kc_error *add_array(struct kc_table *table, const json_t *array)
{
	kc_autobuf struct kc_buf text = { 0 };
	json_t *item;
	size_t i;

	json_array_foreach(array, i, item) kc_buf_printf(&text, "%s%s", i ? "," : "", json_string_value(item));
	return text.failed ? kc_error_no_memory() : kc_table_add(table, text.data);
}

/* "1/3": of 3 processes, 1 is patched. */
static struct kc_error *add_processes(struct kc_table *table, const json_t *libcare)
{
	char patched[32], processes[32], text[72];

	snprintf(text, sizeof(text), "%s/%s", kc_eportal_text(libcare, "patched", patched),
		 kc_eportal_text(libcare, "processes", processes));
	return kc_table_add(table, text);
}

struct kc_error *kc_eportal_print_table(const json_t *answer, const char *const *names, const char *const *members)
{
	KC_CLEANUP_TABLE struct kc_table table = { 0 };
	json_t *item;
	size_t i;

	kc_table_begin(&table, names);
	json_array_foreach(json_object_get(answer, "result"), i, item)
	{
		for (const char *const *member = members; *member; member++) {
			const json_t *value = json_object_get(item, *member);
			char buffer[32];

			if (json_is_array(value))
				KC_TRY(add_array(&table, value));
			else if (json_is_object(value))
				KC_TRY(add_processes(&table, value));
			else
				KC_TRY(kc_table_add(&table, kc_eportal_text(item, *member, buffer)));
		}
	}
	kc_table_print(&table);
	return NULL;
}

struct kc_error *kc_eportal_print_changed(const json_t *answer, const char *message, const char *unchanged)
{
	const char *said = json_string_value(json_object_get(answer, "message"));
	const json_t *changed = json_object_get(answer, "changed");

	if (json_is_integer(changed) && !json_integer_value(changed))
		return kc_error_new(KC_ERR_NOTHING, "%s", said && !unchanged ? said : unchanged);
	puts(said ? said : message);
	return NULL;
}

struct kc_error *kc_eportal_list(struct kc_ctx *ctx, const char *target, bool as_json, const char *const *names,
				 const char *const *members)
{
	kc_autojson json_t *answer = NULL;

	KC_TRY(kc_eportal_ask(ctx, "GET", target, NULL, &answer));
	return as_json ? kc_eportal_print_json(answer) : kc_eportal_print_table(answer, names, members);
}
