/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/config.h"

#include <stddef.h>
#include <string.h>

#include "base/conf_line.h"
#include "agent/config_value.h"
#include "agent/paths.h"
#include "agent/portal_state.h"
#include "agent/root_file.h"
#include "base/array.h"

#define KEY(key, kind, field)                                           \
	{                                                               \
		key, kc_value_##kind, offsetof(struct kc_config, field) \
	}

static const struct known_key {
	const char *name;
	kc_config_value_fn *read;
	size_t offset; /* in struct kc_config */
} known_keys[] = {
	KEY("AUTO_UPDATE", boolean, auto_update),
	KEY("UPDATE_POLICY", policy, update_policy),
	KEY("PATCH_METHOD", method, freezer),
	KEY("PATCH_TYPE", type, patch_type),
	KEY("LOAD_KCARE_SYSCTL", boolean, load_sysctl),
	KEY("IGNORE_UNKNOWN_KERNEL", boolean, ignore_unknown_kernel),
	KEY("REPORT_FQDN", boolean, report_fqdn),
	KEY("PREFIX", feed, prefix),
	KEY("PATCH_SERVER", url, patch_server),
	KEY("STICKY_PATCH", sticky, sticky),
	KEY("AUTO_STICKY_PATCH", sticky, auto_sticky),
	KEY("STICKY_PATCHSET", patchset, sticky_patchset),
	KEY("AUTO_STICKY_PATCHSET", patchset, auto_sticky_patchset),
	KEY("STICKY_LIMIT", days, sticky_limit_days),
	KEY("UPDATE_DELAY", delay, update_delay_s),
	KEY("AUTO_UPDATE_DELAY", delay, auto_update_delay_s),
	KEY("USERSPACE_PATCHES", kinds, userspace),
	KEY("LIBCARE_DISABLED", boolean, libcare_disabled),
	KEY("HTTP_PROXY", proxy, http_proxy),
	KEY("HTTPS_PROXY", proxy, https_proxy),
	KEY("NO_PROXY", hosts, no_proxy),
	KEY("REGISTRATION_URL", url, registration_url),
	KEY("TAGS", tags, tags),
	{ "FORCE_GID", kc_value_ignored, 0 },
};

/* Fields that are allocated: "" until a key says otherwise. */
static const size_t texts[] = {
	offsetof(struct kc_config, prefix),	      offsetof(struct kc_config, patch_server),
	offsetof(struct kc_config, sticky_patchset),  offsetof(struct kc_config, auto_sticky_patchset),
	offsetof(struct kc_config, http_proxy),	      offsetof(struct kc_config, https_proxy),
	offsetof(struct kc_config, no_proxy),	      offsetof(struct kc_config, patch_type),
	offsetof(struct kc_config, registration_url), offsetof(struct kc_config, tags),
	offsetof(struct kc_config, key_feed),	      offsetof(struct kc_config, key_sticky),
};

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
	return key->read(value, (char *)config + key->offset);
}

static struct kc_error *set_defaults(struct kc_config *config)
{
	*config = (struct kc_config){
		.auto_update = true,
		.update_policy = KC_UPDATE_REMOTE,
		.freezer = KC_FREEZER_SMART,
		.load_sysctl = true,
		.update_delay_s = KC_DELAY_UNSET,
		.auto_update_delay_s = KC_DELAY_UNSET,
		.sticky_limit_days = KC_STICKY_LIMIT_DAYS,
		.userspace = KC_USERSPACE_LIBS | KC_USERSPACE_QEMU,
	};
	for (size_t i = 0; i < KC_ARRAY_SIZE(texts); i++)
		KC_TRY(kc_value_text("", (char *)config + texts[i]));
	return kc_value_text("default", &config->patch_type);
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
	KC_TRY(kc_config_parse(ctx, path, exists ? text.data : "", text.size, config));
	return kc_config_use_terms(ctx, config);
}

static struct kc_error *use_key_feed(struct kc_ctx *ctx, const char *feed, struct kc_config *config)
{
	kc_autoerror struct kc_error *err = NULL;

	KC_TRY(kc_value_text("", &config->key_feed));
	err = *feed ? kc_value_feed(feed, &config->key_feed) : NULL;
	if (!err || kc_error_code(err) != KC_ERR_CONFIG)
		return kc_steal(err);
	kc_warning(ctx, "the portal names a feed for this host that is none: %s; it is ignored", kc_error_message(err));
	return NULL;
}

struct kc_error *kc_config_use_terms(struct kc_ctx *ctx, struct kc_config *config)
{
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state state = { 0 };

	KC_TRY(kc_portal_state_read(&state));
	config->has_terms = state.answered_at != 0;
	if (!config->has_terms)
		return NULL;
	KC_TRY(use_key_feed(ctx, state.answer.terms.feed, config));
	return kc_value_text(state.answer.terms.sticky, &config->key_sticky);
}

struct kc_error *kc_config_use_prefix(struct kc_config *config, const char *prefix)
{
	kc_autoerror struct kc_error *err =
		*prefix ? kc_value_feed(prefix, &config->prefix) : kc_value_text("", &config->prefix);

	config->prefix_is_for_once = true;
	if (err && kc_error_code(err) == KC_ERR_CONFIG)
		return kc_error_new(KC_ERR_USAGE, "--prefix: %s", kc_error_message(err));
	return kc_steal(err);
}

static const struct {
	const char *name;
	int hours;
} delayed_prefixes[] = { { "12h", 12 }, { "24h", 24 }, { "48h", 48 } };

/* A choice of this host is never overridden by the portal. */
static const char *chosen_prefix(const struct kc_config *config)
{
	return *config->prefix || config->prefix_is_for_once ? config->prefix : config->key_feed;
}

static int prefix_hours(const struct kc_config *config)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(delayed_prefixes); i++)
		if (!strcmp(chosen_prefix(config), delayed_prefixes[i].name))
			return delayed_prefixes[i].hours;
	return 0;
}

const char *kc_config_feed(const struct kc_config *config)
{
	return *chosen_prefix(config) && !prefix_hours(config) ? chosen_prefix(config) : "main";
}

int64_t kc_config_delay_s(const struct kc_config *config, bool is_automatic)
{
	bool has_own = is_automatic && config->auto_update_delay_s != KC_DELAY_UNSET;
	int64_t delay_s = has_own ? config->auto_update_delay_s : config->update_delay_s;
	int64_t prefix_s = (int64_t)prefix_hours(config) * 3600;

	return delay_s > prefix_s ? delay_s : prefix_s;
}

const struct kc_sticky *kc_config_sticky(const struct kc_config *config, bool is_automatic)
{
	return is_automatic && kc_sticky_is_set(&config->auto_sticky) ? &config->auto_sticky : &config->sticky;
}

const char *kc_config_patchset(const struct kc_config *config, bool is_automatic)
{
	return is_automatic && *config->auto_sticky_patchset ? config->auto_sticky_patchset : config->sticky_patchset;
}

void kc_config_clear(struct kc_config *config)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(texts); i++)
		free(*(char **)((char *)config + texts[i]));
	memset(config, 0, sizeof(*config));
}
