/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/config_value.h"

#include <string.h>
#include <strings.h>

#include "agent/config.h"
#include "base/array.h"
#include "proto/proto.h"

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyz"

enum {
	DELAY_HOURS_MAX = 24 * 3650,
	DAYS_MAX = 36500,
	FEED_SIZE_MAX = 64,
	PATCHSET_SIZE_MAX = 64,
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
static const struct choice kinds[] = { { "libs", KC_USERSPACE_LIBS }, { "qemu", KC_USERSPACE_QEMU } };

static struct kc_error *read_choice(const struct choice *choices, size_t n, const char *value,
				    const struct choice **chosen)
{
	kc_autobuf struct kc_buf names = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(choices[i].name, value))
			continue;
		*chosen = &choices[i];
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		kc_buf_printf(&names, "%s%s", !i ? "" : i + 1 < n ? ", " : " or ", choices[i].name);
	return kc_error_new(KC_ERR_CONFIG, "'%.80s' is not %s", value, names.failed ? "allowed" : names.data);
}

struct kc_error *kc_value_text(const char *value, void *field)
{
	char **text = field;

	free(*text);
	*text = strdup(value);
	return *text ? NULL : kc_error_no_memory();
}

struct kc_error *kc_value_ignored(const char *value, void *field)
{
	(void)value;
	(void)field;
	return NULL;
}

struct kc_error *kc_value_boolean(const char *value, void *field)
{
	const struct choice *chosen;

	KC_TRY(read_choice(booleans, KC_ARRAY_SIZE(booleans), value, &chosen));
	*(bool *)field = chosen->value;
	return NULL;
}

struct kc_error *kc_value_policy(const char *value, void *field)
{
	const struct choice *chosen;

	KC_TRY(read_choice(policies, KC_ARRAY_SIZE(policies), value, &chosen));
	*(enum kc_update_policy *)field = (enum kc_update_policy)chosen->value;
	return NULL;
}

struct kc_error *kc_value_method(const char *value, void *field)
{
	const struct choice *chosen;

	KC_TRY(read_choice(methods, KC_ARRAY_SIZE(methods), value, &chosen));
	*(enum kc_freezer *)field = (enum kc_freezer)chosen->value;
	return NULL;
}

struct kc_error *kc_value_type(const char *value, void *field)
{
	const struct choice *chosen;

	KC_TRY(read_choice(types, KC_ARRAY_SIZE(types), value, &chosen));
	return kc_value_text(chosen->name, field);
}

struct kc_error *kc_value_feed(const char *value, void *field)
{
	if (!strchr(LETTERS DIGITS, *value) || value[strspn(value, LETTERS DIGITS "._-")] ||
	    strlen(value) > FEED_SIZE_MAX)
		return kc_error_new(KC_ERR_CONFIG,
				    "'%.80s' is not 12h, 24h, 48h or the name of a feed (a-z, 0-9, '.', '_', '-'; a "
				    "letter or digit first; %d at most)",
				    value, FEED_SIZE_MAX);
	return kc_value_text(value, field);
}

/* Would end up in a request or in a log as it is. */
static bool has_odd_characters(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || strchr("\"<>\\^`{|}", *text))
			return true;
	return false;
}

/* "example.org", "192.0.2.1", "[::1]", each with ":8080" or without, at the start of `text`: how long it is; 0: none.
 */
static size_t host_size(const char *text)
{
	size_t size, digits;

	if (*text == '[') {
		size = 1 + strspn(text + 1, DIGITS "abcdefABCDEF:.");
		if (size < 3 || text[size++] != ']')
			return 0;
	} else {
		size = strspn(text, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS ".-_");
	}
	if (!size || text[size] != ':')
		return size;
	digits = strspn(text + size + 1, DIGITS);
	if (!digits || digits > 5 || atoi(text + size + 1) < 1 || atoi(text + size + 1) > 65535)
		return 0;
	return size + 1 + digits;
}

struct kc_error *kc_value_url(const char *value, void *field)
{
	const char *host = strstr(value, "://");
	size_t scheme = host ? (size_t)(host - value) : 0, size = strlen(value);
	kc_autofree char *url = NULL;

	if (strchr(value, '@'))
		return kc_error_new(KC_ERR_CONFIG, "a user name or password in the URL is not supported");
	if ((scheme != 4 || strncasecmp(value, "http", 4)) && (scheme != 5 || strncasecmp(value, "https", 5)))
		return kc_error_new(KC_ERR_CONFIG, "'%.200s' does not begin with http:// or https://", value);
	host += 3;
	if (!host_size(host) || (host[host_size(host)] && host[host_size(host)] != '/') || has_odd_characters(value) ||
	    strpbrk(value, "?#") || strstr(value, "/../"))
		return kc_error_new(KC_ERR_CONFIG,
				    "'%.200s' is not a URL such as https://patches.example.org or "
				    "http://10.0.0.5:8080/kcare",
				    value);
	while (value[size - 1] == '/')
		size--;
	url = strndup(value, size);
	return url ? kc_value_text(url, field) : kc_error_no_memory();
}

struct kc_error *kc_value_proxy(const char *value, void *field)
{
	static const char *const schemes[] = { "http", "https", "socks4", "socks4a", "socks5", "socks5h" };
	const char *host = strstr(value, "://"), *at;
	bool is_known = !host;

	for (size_t i = 0; host && i < KC_ARRAY_SIZE(schemes); i++)
		is_known |= strlen(schemes[i]) == (size_t)(host - value) &&
			    !strncasecmp(value, schemes[i], strlen(schemes[i]));
	host = host ? host + 3 : value;
	at = strrchr(host, '@'); /* proxies may want a name and a password */
	host = at ? at + 1 : host;
	if (!is_known || !host_size(host) || (host[host_size(host)] && strcmp(host + host_size(host), "/")) ||
	    has_odd_characters(value))
		return kc_error_new(KC_ERR_CONFIG, "this is not a proxy such as http://proxy.example.org:3128");
	return kc_value_text(value, field);
}

struct kc_error *kc_value_tags(const char *value, void *field)
{
	kc_autoerror struct kc_error *err = kc_tags_check(value);

	if (err)
		return kc_error_new(KC_ERR_CONFIG, "%s", kc_error_message(err));
	return kc_value_text(value, field);
}

struct kc_error *kc_value_hosts(const char *value, void *field)
{
	if (value[strspn(value, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS ".-_:[]/*, \t")])
		return kc_error_new(KC_ERR_CONFIG, "'%.80s' is not a list of hosts such as localhost,.example.org",
				    value);
	return kc_value_text(value, field);
}

struct kc_error *kc_value_patchset(const char *value, void *field)
{
	bool is_name = strchr("KU", *value) && strspn(value + 1, DIGITS) == 8 && value[9] == '_' &&
		       strspn(value + 10, DIGITS) == 2 && strlen(value) <= PATCHSET_SIZE_MAX;

	if (!is_name ||
	    (value[12] && (value[12] != '-' || !value[13] || value[13 + strspn(value + 13, LETTERS DIGITS)])))
		return kc_error_new(KC_ERR_CONFIG, "'%.80s' is not the name of a patchset such as K20230908_02", value);
	return kc_value_text(value, field);
}

/* Digits, then `*end`; -1: not so, or more than `max`. */
static long read_number(const char *text, long max, const char **end)
{
	size_t n_digits = strspn(text, DIGITS);
	long number = strtol(text, NULL, 10);

	*end = text + n_digits;
	return !n_digits || n_digits > 9 || number > max ? -1 : number;
}

struct kc_error *kc_value_delay(const char *value, void *field)
{
	const char *unit;
	long number = read_number(value, DELAY_HOURS_MAX, &unit), hours = number * (strcmp(unit, "d") ? 1 : 24);

	if (number < 0 || (strcmp(unit, "h") && strcmp(unit, "d")) || hours > DELAY_HOURS_MAX)
		return kc_error_new(KC_ERR_CONFIG, "'%.80s' is not a number of hours or days such as 12h or 3d", value);
	*(int64_t *)field = (int64_t)hours * 3600;
	return NULL;
}

struct kc_error *kc_value_sticky(const char *value, void *field)
{
	return kc_sticky_parse(value, field);
}

struct kc_error *kc_value_days(const char *value, void *field)
{
	const char *end;
	long number = read_number(value, DAYS_MAX, &end);

	if (number < 0 || *end)
		return kc_error_new(KC_ERR_CONFIG, "'%.80s' is not a number of days (0 to %d)", value, DAYS_MAX);
	*(unsigned *)field = (unsigned)number;
	return NULL;
}

struct kc_error *kc_value_kinds(const char *value, void *field)
{
	kc_autofree char *copy = strdup(value);
	const struct choice *chosen;
	unsigned found = 0;
	char *rest = NULL;

	if (!copy)
		return kc_error_no_memory();
	for (char *name = strtok_r(copy, ", \t", &rest); name; name = strtok_r(NULL, ", \t", &rest)) {
		KC_TRY(read_choice(kinds, KC_ARRAY_SIZE(kinds), name, &chosen));
		found |= (unsigned)chosen->value;
	}
	if (!found)
		return kc_error_new(KC_ERR_CONFIG, "'%.80s' is not a list of libs and qemu", value);
	*(unsigned *)field = found;
	return NULL;
}
