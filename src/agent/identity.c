/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/identity.h"

#include <errno.h>
#include <string.h>

#include "base/conf_line.h"
#include "agent/paths.h"
#include "agent/root_file.h"
#include "base/array.h"
#include "base/file.h"

#define MACHINE_PREFIX "kcare machine " /* so that this hash means nothing to other programs */

enum { MACHINE_ID_FILE_MAX = 4096, HOST_NAME_SIZE = 256 };

bool kc_identity_is_registered(const struct kc_identity *identity)
{
	return *identity->credentials.server_id != '\0';
}

void kc_identity_clear(struct kc_identity *identity)
{
	if (identity->key)
		explicit_bzero(identity->key, strlen(identity->key));
	free(identity->key);
	explicit_bzero(identity, sizeof(*identity));
}

void kc_identity_take_next_instance(struct kc_identity *identity)
{
	if (*identity->next_instance)
		memcpy(identity->instance, identity->next_instance, sizeof(identity->instance));
	*identity->next_instance = '\0';
}

/* ---- reading ---- */

static bool copy(const struct kc_conf_line *line, char *to, size_t size)
{
	if (line->value_size >= size)
		return false;
	memcpy(to, line->value, line->value_size);
	to[line->value_size] = '\0';
	return true;
}

/* Lines of others stay unread. False: a value that cannot be one. */
static bool read_line(const struct kc_conf_line *line, struct kc_identity *identity)
{
	const struct {
		const char *key;
		char *to;
		size_t size;
	} members[] = {
		{ "server_id", identity->credentials.server_id, sizeof(identity->credentials.server_id) },
		{ "secret", identity->credentials.secret, sizeof(identity->credentials.secret) },
		{ "instance", identity->instance, sizeof(identity->instance) },
		{ "machine", identity->machine, sizeof(identity->machine) },
		{ "next_instance", identity->next_instance, sizeof(identity->next_instance) },
		{ "former_id", identity->former.server_id, sizeof(identity->former.server_id) },
		{ "former_secret", identity->former.secret, sizeof(identity->former.secret) },
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(members); i++)
		if (kc_conf_line_has_key(line, members[i].key))
			return copy(line, members[i].to, members[i].size);
	if (!kc_conf_line_has_key(line, "key"))
		return true;
	free(identity->key);
	identity->key = strndup(line->value, line->value_size);
	return identity->key && line->value_size <= KC_PROTO_TEXT_MAX;
}

static bool is_hex(const char *text, size_t length)
{
	return strspn(text, "0123456789abcdef") == length && !text[length];
}

static bool is_valid(const struct kc_credentials *credentials)
{
	return kc_server_id_is_valid(credentials->server_id) && is_hex(credentials->secret, KC_SECRET_SIZE - 1);
}

struct kc_error *kc_identity_parse(const char *name, const char *text, size_t size, struct kc_identity *identity)
{
	const char *end = text + size;
	struct kc_conf_line line;
	bool is_good = true;

	*identity = (struct kc_identity){ .key = strdup("") };
	if (!identity->key)
		return kc_error_no_memory();
	while (kc_conf_line_next(&text, end, &line))
		is_good &= !line.key || read_line(&line, identity);
	if (!identity->key)
		return kc_error_no_memory();
	if (is_good && !*identity->credentials.secret) { /* of another agent, which knows no secrets */
		*identity->credentials.server_id = '\0';
		return NULL;
	}
	if (*identity->former.server_id || *identity->former.secret)
		is_good &= is_valid(&identity->former);
	if (is_good && *identity->key && is_valid(&identity->credentials))
		return NULL;
	return kc_error_new(KC_ERR_CORRUPT, "%s is damaged: register this host again ('kcarectl --register KEY')",
			    name);
}

struct kc_error *kc_identity_read(struct kc_identity *identity)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = NULL;
	struct kc_error *err;
	bool exists;

	*identity = (struct kc_identity){ 0 };
	KC_TRY(kc_root_file_read(KC_PATH_SYSTEMID, &text, &path, &exists));
	err = kc_identity_parse(path, exists ? text.data : "", text.size, identity);
	if (text.data)
		explicit_bzero(text.data, text.size);
	return err;
}

/* ---- writing ---- */

/* Of runs that were killed: each has a secret in it. */
static void remove_begun(void)
{
	kc_autofree char *path = kc_user_path(KC_PATH_SYSTEMID);

	if (path)
		kc_file_remove_begun(path);
}

struct kc_error *kc_identity_write(const struct kc_identity *identity)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err;

	remove_begun();
	kc_buf_printf(&text, "server_id=%s\nkey=%s\nsecret=%s\n", identity->credentials.server_id, identity->key,
		      identity->credentials.secret);
	if (*identity->instance)
		kc_buf_printf(&text, "instance=%s\n", identity->instance);
	kc_buf_printf(&text, "machine=%s\n", identity->machine);
	if (*identity->next_instance)
		kc_buf_printf(&text, "next_instance=%s\n", identity->next_instance);
	if (*identity->former.server_id)
		kc_buf_printf(&text, "former_id=%s\nformer_secret=%s\n", identity->former.server_id,
			      identity->former.secret);
	err = text.failed ? kc_error_no_memory() : kc_root_file_write_secret(KC_PATH_SYSTEMID, text.data, text.size);
	if (text.data)
		explicit_bzero(text.data, text.size);
	return err;
}

struct kc_error *kc_identity_check_writable(void)
{
	kc_autofree char *path = kc_user_path(KC_PATH_SYSTEMID), *dir = NULL;
	int err;

	dir = path ? strndup(path, (size_t)(kc_path_name(path) - path - 1)) : NULL;
	if (!dir)
		return kc_error_no_memory();
	err = kc_dir_make(dir, 0755);
	if (!err && access(dir, W_OK) < 0)
		err = -errno;
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

struct kc_error *kc_identity_remove(void)
{
	remove_begun();
	return kc_root_file_remove(KC_PATH_SYSTEMID);
}

/* ---- the machine ---- */

struct kc_error *kc_machine_id(char id[KC_SHA256_TEXT_SIZE])
{
	kc_autofree char *path = kc_user_path(KC_PATH_MACHINE_ID);
	kc_autobuf struct kc_buf file = { 0 }, text = { 0 };
	char name[HOST_NAME_SIZE] = "unknown";

	if (!path)
		return kc_error_no_memory();
	kc_buf_append_str(&text, MACHINE_PREFIX);
	if (!kc_file_read_now(path, MACHINE_ID_FILE_MAX, &file) && file.size && strcspn(file.data, "\n")) {
		kc_buf_append(&text, file.data, strcspn(file.data, "\n"));
	} else {
		if (gethostname(name, sizeof(name) - 1) < 0)
			strcpy(name, "unknown");
		kc_buf_printf(&text, "of the host %s", name);
	}
	if (text.failed)
		return kc_error_no_memory();
	kc_sha256_text(text.data, text.size, id);
	return NULL;
}
