/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/config.h"

#include <string.h>
#include <strings.h>

#include "agent/conf_line.h"
#include "agent/paths.h"
#include "agent/root_file.h"
#include "base/array.h"

enum value_kind {
	VALUE_ANY, /* a key of the reference that nothing here reads */
	VALUE_BOOLEAN,
	VALUE_POLICY,
	VALUE_METHOD,
	VALUE_TYPE,
	VALUE_WORD, /* a name that may become a part of a path */
	VALUE_TEXT,
};

static const struct known_key {
	const char *name;
	enum value_kind kind;
	size_t offset; /* in struct kc_config */
} known_keys[] = {
	{ "AUTO_UPDATE", VALUE_BOOLEAN, offsetof(struct kc_config, auto_update) },
	{ "UPDATE_POLICY", VALUE_POLICY, offsetof(struct kc_config, update_policy) },
	{ "PATCH_METHOD", VALUE_METHOD, offsetof(struct kc_config, freezer) },
	{ "PATCH_TYPE", VALUE_TYPE, offsetof(struct kc_config, patch_type) },
	{ "LOAD_KCARE_SYSCTL", VALUE_BOOLEAN, offsetof(struct kc_config, load_sysctl) },
	{ "IGNORE_UNKNOWN_KERNEL", VALUE_BOOLEAN, offsetof(struct kc_config, ignore_unknown_kernel) },
	{ "REPORT_FQDN", VALUE_BOOLEAN, offsetof(struct kc_config, report_fqdn) },
	{ "PREFIX", VALUE_WORD, offsetof(struct kc_config, prefix) },
	{ "PATCH_SERVER", VALUE_TEXT, offsetof(struct kc_config, patch_server) },
	{ "REGISTRATION_URL", VALUE_ANY, 0 },
	{ "STICKY_PATCH", VALUE_ANY, 0 },
	{ "AUTO_STICKY_PATCH", VALUE_ANY, 0 },
	{ "STICKY_PATCHSET", VALUE_ANY, 0 },
	{ "AUTO_STICKY_PATCHSET", VALUE_ANY, 0 },
	{ "UPDATE_DELAY", VALUE_ANY, 0 },
	{ "AUTO_UPDATE_DELAY", VALUE_ANY, 0 },
	{ "FORCE_GID", VALUE_ANY, 0 },
	{ "USERSPACE_PATCHES", VALUE_ANY, 0 },
	{ "HTTP_PROXY", VALUE_ANY, 0 },
	{ "HTTPS_PROXY", VALUE_ANY, 0 },
	{ "NO_PROXY", VALUE_ANY, 0 },
};

static const struct choice {
	const char *name;
	int value;
} booleans[] = {
	{ "YES", true }, { "NO", false }, { "True", true }, { "False", false },
	{ "1", true },	 { "0", false },  { "on", true },   { "off", false },
};
static const struct choice policies[] = {
	{ "REMOTE", KC_UPDATE_REMOTE },
	{ "LOCAL", KC_UPDATE_LOCAL },
	{ "LOCAL_FIRST", KC_UPDATE_LOCAL_FIRST },
};
/* "normal" leaves the choice to us, and to interrupt only whom it helps is the best there is. */
static const struct choice methods[] = {
	{ "normal", KC_FREEZER_SMART },
	{ "nofreeze", KC_FREEZER_NONE },
	{ "smart", KC_FREEZER_SMART },
};
static const struct choice types[] = { { "default", 0 }, { "extra", 0 }, { "free", 0 } };

static const struct choice *find_choice(const struct choice *choices, size_t n, const char *value)
{
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(choices[i].name, value))
			return &choices[i];
	return NULL;
}

static struct kc_error *read_choice(const struct choice *choices, size_t n, const char *value, int *chosen)
{
	const struct choice *choice = find_choice(choices, n, value);
	kc_autobuf struct kc_buf names = { 0 };

	if (choice) {
		*chosen = choice->value;
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		kc_buf_printf(&names, "%s%s", !i ? "" : i + 1 < n ? ", " : " or ", choices[i].name);
	return kc_error_new(KC_ERR_CONFIG, "'%.80s' is not %s", value, names.failed ? "allowed" : names.data);
}

static struct kc_error *replace_text(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
	return *text ? NULL : kc_error_no_memory();
}

static bool is_word(const char *text)
{
	return *text != '.' &&
	       text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

static struct kc_error *read_value(struct kc_config *config, const struct known_key *key, const char *value)
{
	void *field = (char *)config + key->offset;
	const struct choice *type;
	int chosen = 0;

	switch (key->kind) {
	case VALUE_ANY:
		break;
	case VALUE_BOOLEAN:
		KC_TRY(read_choice(booleans, KC_ARRAY_SIZE(booleans), value, &chosen));
		*(bool *)field = chosen;
		break;
	case VALUE_POLICY:
		KC_TRY(read_choice(policies, KC_ARRAY_SIZE(policies), value, &chosen));
		config->update_policy = (enum kc_update_policy)chosen;
		break;
	case VALUE_METHOD:
		KC_TRY(read_choice(methods, KC_ARRAY_SIZE(methods), value, &chosen));
		config->freezer = (enum kc_freezer)chosen;
		break;
	case VALUE_TYPE:
		KC_TRY(read_choice(types, KC_ARRAY_SIZE(types), value, &chosen));
		type = find_choice(types, KC_ARRAY_SIZE(types), value);
		return replace_text(field, type->name);
	case VALUE_WORD:
		if (!is_word(value))
			return kc_error_new(KC_ERR_CONFIG, "'%.80s' is not a name of letters, digits, '.', '_' and '-'",
					    value);
		return replace_text(field, value);
	case VALUE_TEXT:
		return replace_text(field, value);
	}
	return NULL;
}

static const struct known_key *find_key(const struct kc_conf_line *line)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(known_keys); i++)
		if (kc_conf_line_has_key(line, known_keys[i].name))
			return &known_keys[i];
	return NULL;
}

/* `seen` has for each known key the line that set it. */
static struct kc_error *read_line(struct kc_ctx *ctx, const char *name, unsigned number,
				  const struct kc_conf_line *line, unsigned *seen, struct kc_config *config)
{
	const struct known_key *key = line->key ? find_key(line) : NULL;
	kc_autofree char *value = NULL;

	if (line->problem)
		return kc_error_new(KC_ERR_CONFIG, "%s", line->problem);
	if (!line->key)
		return NULL;
	if (!key) {
		kc_warning(ctx, "%s:%u: there is no key '%.*s'; it is ignored", name, number,
			   (int)(line->key_size < 80 ? line->key_size : 80), line->key);
		return NULL;
	}
	if (seen[key - known_keys])
		kc_warning(ctx, "%s:%u: %s is set in line %u already; the last one counts", name, number, key->name,
			   seen[key - known_keys]);
	seen[key - known_keys] = number;
	value = strndup(line->value, line->value_size);
	if (!value)
		return kc_error_no_memory();
	if (!*value)
		return NULL;
	return read_value(config, key, value);
}

static struct kc_error *set_defaults(struct kc_config *config)
{
	*config = (struct kc_config){
		.auto_update = true,
		.update_policy = KC_UPDATE_REMOTE,
		.freezer = KC_FREEZER_SMART,
		.load_sysctl = true,
		.patch_type = strdup("default"),
		.prefix = strdup(""),
		.patch_server = strdup(""),
	};
	return config->patch_type && config->prefix && config->patch_server ? NULL : kc_error_no_memory();
}

struct kc_error *kc_config_parse(struct kc_ctx *ctx, const char *name, const char *text, size_t size,
				 struct kc_config *config)
{
	unsigned seen[KC_ARRAY_SIZE(known_keys)] = { 0 }, number = 0;
	const char *end = text + size;
	struct kc_conf_line line;

	KC_TRY(set_defaults(config));
	while (kc_conf_line_next(&text, end, &line)) {
		struct kc_error *err = read_line(ctx, name, ++number, &line, seen, config);
		const struct known_key *key = err && line.key ? find_key(&line) : NULL;

		if (key)
			err = kc_error_prefix(err, "%s", key->name);
		if (err)
			return kc_error_prefix(err, "%s:%u", name, number);
	}
	return NULL;
}

struct kc_error *kc_config_load(struct kc_ctx *ctx, struct kc_config *config)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = NULL;
	bool exists;

	KC_TRY(kc_root_file_read(KC_PATH_CONFIG, &text, &path, &exists));
	return kc_config_parse(ctx, path, exists ? text.data : "", text.size, config);
}

void kc_config_clear(struct kc_config *config)
{
	free(config->patch_type);
	free(config->prefix);
	free(config->patch_server);
	memset(config, 0, sizeof(*config));
}
