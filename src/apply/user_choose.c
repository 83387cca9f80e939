/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_choose.h"

#include <string.h>

/* A newer level in the process stays: only unpatching goes back. */
static struct kc_error *refuse_downgrade(struct kc_ctx *ctx, const struct kc_process_view *view,
					 struct kc_patch *const *patches, size_t n)
{
	kc_autofree struct kc_user_applied *applied = NULL;
	size_t n_applied = 0;

	KC_TRY(kc_user_list(ctx, view, &applied, &n_applied));
	for (size_t i = 0; i < n_applied; i++) {
		for (size_t k = 0; k < n && applied[i].active; k++) {
			const struct kc_manifest *manifest = &patches[k]->manifest;

			if (strcmp(applied[i].build_id, manifest->target) != 0 || applied[i].level <= manifest->level)
				continue;
			return kc_error_new(KC_ERR_REFUSED,
					    "%s has level %u already and this is level %u; "
					    "unpatch first to go back",
					    applied[i].object, applied[i].level, manifest->level);
		}
	}
	return NULL;
}

struct kc_error *kc_user_apply(struct kc_ctx *ctx, const struct kc_user_policy *policy, pid_t pid,
			       struct kc_user_result *result)
{
	kc_autoprocess struct kc_process_view *view = NULL;
	kc_autofree struct kc_patch **patches = NULL;
	const char *rule;
	size_t n;

	KC_TRY(kc_process_view_open(ctx, pid, &view));
	KC_TRY(kc_user_index_select(policy->index, view, &patches, &n));
	if (!n)
		return kc_error_new(KC_ERR_NOTHING, "it maps nothing that the patches are for");
	for (size_t i = 0; i < n; i++)
		KC_TRY(kc_user_index_keep(ctx, policy->index, policy->store, patches[i]));
	rule = kc_user_blacklist_match(policy->blacklist, view->exe);
	if (rule)
		return kc_error_new(KC_ERR_BLACKLISTED, "%s is excluded by %s", view->exe, rule);
	KC_TRY(refuse_downgrade(ctx, view, patches, n));
	return kc_user_patch(ctx, pid, patches, n, &policy->options, result);
}
