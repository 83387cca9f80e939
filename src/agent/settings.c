/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/settings.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "agent/config_value.h"
#include "agent/lock.h"

/* A bad value is a mistake on the command line here, not in the file. */
static struct kc_error *as_usage(const char *option, struct kc_error *err)
{
	struct kc_error *usage;

	if (!err || kc_error_code(err) != KC_ERR_CONFIG)
		return err;
	usage = kc_error_new(KC_ERR_USAGE, "%s: %s", option, kc_error_message(err));
	kc_error_free(err);
	return usage;
}

static struct kc_error *check_sticky(const struct kc_config *config, const char *value)
{
	struct kc_sticky sticky;
	int64_t now = time(NULL);

	KC_TRY(as_usage("--set-sticky-patch", kc_sticky_parse(value, &sticky)));
	KC_TRY(kc_sticky_check(&sticky, now));
	if (kc_sticky_is_old(&sticky, now, config->sticky_limit_days))
		return kc_error_new(KC_ERR_REFUSED,
				    "%s is more than %u days ago, and a host that stays there misses what was fixed "
				    "since; STICKY_LIMIT in kcare.conf allows more (0: any day)",
				    value, config->sticky_limit_days);
	return NULL;
}

struct kc_error *kc_agent_set(struct kc_ctx *ctx, const char *patch_type, const char *sticky)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	kc_autofree char *type = NULL;
	kc_autoclose int lock = -1;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(kc_config_load(ctx, &config));
	if (patch_type)
		KC_TRY(as_usage("--set-patch-type", kc_value_type(patch_type, &type)));
	if (sticky)
		KC_TRY(check_sticky(&config, sticky));
	if (type)
		KC_TRY(kc_config_set(ctx, "PATCH_TYPE", type));
	if (sticky)
		KC_TRY(kc_config_set(ctx, "STICKY_PATCH", sticky));
	if (sticky && !strcasecmp(sticky, "KEY") && !config.has_terms)
		kc_warning(ctx,
			   "the date comes from the key that a host is registered with: as long as this one is not "
			   "registered, it is not updated");
	if (sticky && kc_sticky_is_set(&config.auto_sticky))
		kc_warning(ctx, "AUTO_STICKY_PATCH is set in kcare.conf: automatic updates go by that");
	return NULL;
}
