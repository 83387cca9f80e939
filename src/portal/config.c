/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/conf_line.h"
#include "base/file.h"
#include "portal/http/address.h"

enum { FILE_SIZE_MAX = 64 << 10, NUMBER_DIGITS_MAX = 9 };

struct key;
typedef struct kc_error *read_fn(const struct key *key, const char *value, void *field);

struct key {
	const char *name;
	read_fn *read;
	size_t offset;
	unsigned min, max; /* of numbers */
};

/* ---- values ---- */

static struct kc_error *read_text(const struct key *key, const char *value, void *field)
{
	char *copy = strdup(value);

	(void)key;
	if (!copy)
		return kc_error_no_memory();
	free(*(char **)field);
	*(char **)field = copy;
	return NULL;
}

static struct kc_error *read_listen(const struct key *key, const char *value, void *field)
{
	struct sockaddr_storage address;
	socklen_t size;

	if (*value)
		KC_TRY(kc_listen_parse(value, &address, &size));
	return read_text(key, value, field);
}

static struct kc_error *read_url(const struct key *key, const char *value, void *field)
{
	if (*value && strncasecmp(value, "http://", 7) != 0 && strncasecmp(value, "https://", 8) != 0)
		return kc_error_new(KC_ERR_CONFIG, "begins with http:// or https://, not \"%.80s\"", value);
	return read_text(key, value, field);
}

static struct kc_error *read_number(const struct key *key, const char *value, void *field)
{
	size_t length = strlen(value);
	unsigned long number;

	if (!length || length > NUMBER_DIGITS_MAX || strspn(value, "0123456789") != length)
		return kc_error_new(KC_ERR_CONFIG, "is a number, not \"%.80s\"", value);
	number = strtoul(value, NULL, 10);
	if (number < key->min || number > key->max)
		return kc_error_new(KC_ERR_CONFIG, "is a number from %u to %u, not %s", key->min, key->max, value);
	*(unsigned *)field = (unsigned)number;
	return NULL;
}

static bool is_one_of(const char *value, const char *const *words)
{
	for (; *words; words++)
		if (!strcasecmp(value, *words))
			return true;
	return false;
}

static struct kc_error *read_flag(const struct key *key, const char *value, void *field)
{
	static const char *const yes[] = { "yes", "true", "1", "on", NULL };
	static const char *const no[] = { "no", "false", "0", "off", NULL };

	(void)key;
	if (!is_one_of(value, yes) && !is_one_of(value, no))
		return kc_error_new(KC_ERR_CONFIG, "is YES or NO, not \"%.80s\"", value);
	*(bool *)field = is_one_of(value, yes);
	return NULL;
}

static struct kc_error *read_format(const struct key *key, const char *value, void *field)
{
	(void)key;
	if (strcasecmp(value, "text") != 0 && strcasecmp(value, "json") != 0)
		return kc_error_new(KC_ERR_CONFIG, "is text or json, not \"%.80s\"", value);
	*(bool *)field = !strcasecmp(value, "json");
	return NULL;
}

/* ---- keys ---- */

#define AT(member) offsetof(struct kc_portal_config, member)
static const struct key keys[] = {
	{ "LISTEN", read_listen, AT(listen), 0, 0 },
	{ "SOCKET", read_text, AT(socket), 0, 0 },
	{ "TLS_CERTIFICATE", read_text, AT(tls_certificate), 0, 0 },
	{ "TLS_KEY", read_text, AT(tls_key), 0, 0 },
	{ "TRUSTED_PROXIES", read_text, AT(trusted_proxies), 0, 0 },
	{ "UPSTREAM", read_url, AT(upstream), 0, 0 },
	{ "UPSTREAM_ROOT", read_text, AT(upstream_root), 0, 0 },
	{ "PROXY", read_text, AT(http_proxy), 0, 0 },
	{ "THREADS", read_number, AT(threads), 1, 64 },
	{ "CONNECTIONS", read_number, AT(connections), 10, 100000 },
	{ "CONNECTIONS_PER_ADDRESS", read_number, AT(connections_per_address), 1, 100000 },
	{ "AUTO_UPDATE_PERIOD", read_number, AT(auto_update_s), 10, 7 * 86400 },
	{ "CLEAN_INACTIVE_SERVERS_PERIOD", read_number, AT(inactive_days), 1, 3650 },
	{ "KEEP_CHECKINS", read_number, AT(checkin_days), 1, 36500 },
	{ "KEEP_AUDIT", read_number, AT(audit_days), 1, 36500 },
	{ "KEEP_REPORTS", read_number, AT(report_days), 1, 36500 },
	{ "AUTH_PASSWORD_MIN_LENGTH", read_number, AT(password_min), 1, 100 },
	{ "SERVE_REPOSITORY", read_flag, AT(serves_repository), 0, 0 },
	{ "LOG_FORMAT", read_format, AT(log_json), 0, 0 },
};

static bool is_text(const struct key *key)
{
	return key->read == read_text || key->read == read_url || key->read == read_listen;
}

struct kc_error *kc_portal_config_init(struct kc_portal_config *config)
{
	*config = (struct kc_portal_config){
		.threads = 2,
		.connections = 2000,
		.connections_per_address = 100,
		.auto_update_s = 600,
		.inactive_days = 30,
		.checkin_days = 90,
		.audit_days = 730,
		.report_days = 30,
		.password_min = 12,
		.serves_repository = true,
	};
	for (size_t i = 0; i < KC_ARRAY_SIZE(keys); i++)
		if (is_text(&keys[i]))
			KC_TRY(read_text(&keys[i], "", (char *)config + keys[i].offset));
	return NULL;
}

void kc_portal_config_clear(struct kc_portal_config *config)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(keys); i++)
		if (is_text(&keys[i]))
			free(*(char **)((char *)config + keys[i].offset));
	*config = (struct kc_portal_config){ 0 };
}

struct kc_error *kc_portal_config_set(struct kc_portal_config *config, const char *where, const char *key,
				      const char *value)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(keys); i++) {
		struct kc_error *err;

		if (strcasecmp(key, keys[i].name) != 0)
			continue;
		err = keys[i].read(&keys[i], value, (char *)config + keys[i].offset);
		return err ? kc_error_prefix(err, "%s: %s", where, keys[i].name) : NULL;
	}
	return kc_error_new(KC_ERR_CONFIG, "%s: there is no key %.80s; eportald(8) lists them", where, key);
}

/* ---- the file ---- */

static struct kc_error *take_line(const char *path, unsigned number, const struct kc_conf_line *line,
				  struct kc_portal_config *config)
{
	kc_autofree char *where = NULL, *key = NULL, *value = NULL;

	if (asprintf(&where, "%s:%u", path, number) < 0) {
		where = NULL;
		return kc_error_no_memory();
	}
	if (line->problem)
		return kc_error_new(KC_ERR_CONFIG, "%s: %s", where, line->problem);
	if (!line->key)
		return NULL;
	key = strndup(line->key, line->key_size);
	value = strndup(line->value, line->value_size);
	return key && value ? kc_portal_config_set(config, where, key, value) : kc_error_no_memory();
}

struct kc_error *kc_portal_config_load(struct kc_ctx *ctx, const char *path, struct kc_portal_config *config)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_conf_line line;
	unsigned number = 1;
	const char *at;
	int err = kc_file_read_now(path, FILE_SIZE_MAX, &text);

	if (err == -ENOENT) {
		kc_debug(ctx, "there is no %s: all keys have their defaults", path);
		return NULL;
	}
	if (err)
		return kc_error_errno(KC_ERR_CONFIG, -err, "cannot read %s", path);
	for (at = text.data; text.size && kc_conf_line_next(&at, text.data + text.size, &line); number++)
		KC_TRY(take_line(path, number, &line, config));
	return NULL;
}
