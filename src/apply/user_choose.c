/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_choose.h"

#include <string.h>

/* One process, and what is to happen to it. */
struct choice {
	const struct kc_user_policy *policy;
	struct kc_process_view *view;
	struct kc_patch **patches; /* that fit it */
	size_t n_patches;
	struct kc_user_applied *applied;
	size_t n_applied;
};

static void choice_clear(struct choice *choice)
{
	kc_process_view_free(choice->view);
	free(choice->patches);
	free(choice->applied);
}

static const struct kc_patch *replacement(const struct choice *choice, const struct kc_user_applied *applied)
{
	for (size_t i = 0; i < choice->n_patches; i++)
		if (!strcmp(choice->patches[i]->manifest.target, applied->build_id))
			return choice->patches[i];
	return NULL;
}

static bool is_withdrawn(const struct choice *choice, const struct kc_user_applied *applied)
{
	return applied->active && kc_user_index_withdraws(choice->policy->index, applied->hash);
}

static bool has_withdrawn(const struct choice *choice)
{
	for (size_t i = 0; i < choice->n_applied; i++)
		if (is_withdrawn(choice, &choice->applied[i]))
			return true;
	return false;
}

/* May it have something that is withdrawn? Cheap, and true for few. */
static bool may_have_withdrawn(const struct choice *choice)
{
	for (size_t i = 0; i < choice->view->n_objects; i++) {
		const struct kc_object *object = &choice->view->objects[i];

		if (kc_user_index_withdraws_from(choice->policy->index, object->build_id, object->build_id_size))
			return true;
	}
	return false;
}

static struct kc_error *read_process(struct kc_ctx *ctx, pid_t pid, struct choice *choice)
{
	KC_TRY(kc_process_view_open(ctx, pid, &choice->view));
	KC_TRY(kc_user_index_select(choice->policy->index, choice->view, &choice->patches, &choice->n_patches));
	if (choice->n_patches || may_have_withdrawn(choice))
		KC_TRY(kc_user_list(ctx, choice->view, &choice->applied, &choice->n_applied));
	if (!choice->n_patches && !has_withdrawn(choice))
		return kc_error_new(KC_ERR_NOTHING, "it maps nothing that the patches are for");
	return NULL;
}

/* Levels of different types do not compare. A patch that the store does not know is taken for the same type. */
static bool has_same_type(struct kc_ctx *ctx, const struct choice *choice, const struct kc_user_applied *applied,
			  const struct kc_patch *patch)
{
	const struct kc_patch *stored = NULL;
	kc_autoerror struct kc_error *err = kc_user_store_get(ctx, choice->policy->store, applied->hash, &stored);

	return err || !strcmp(stored->manifest.type, patch->manifest.type);
}

/* A newer level in the process stays: only unpatching goes back, or what withdraws the level. */
static struct kc_error *refuse_downgrade(struct kc_ctx *ctx, const struct choice *choice)
{
	for (size_t i = 0; i < choice->n_applied; i++) {
		const struct kc_user_applied *applied = &choice->applied[i];
		const struct kc_patch *patch = replacement(choice, applied);

		if (!patch || !applied->active || applied->level <= patch->manifest.level ||
		    is_withdrawn(choice, applied) || !has_same_type(ctx, choice, applied, patch))
			continue;
		return kc_error_new(KC_ERR_REFUSED,
				    "%s has level %u already and this is level %u; unpatch first to go back",
				    applied->object, applied->level, patch->manifest.level);
	}
	return NULL;
}

/* What is withdrawn and has nothing in its place. A patchset is withdrawn as a whole, so it is taken out as such. */
static struct kc_error *take_out(struct kc_ctx *ctx, const struct choice *choice, bool all,
				 struct kc_user_result *result)
{
	for (size_t i = 0; i < choice->n_applied; i++) {
		const struct kc_user_applied *applied = &choice->applied[i];
		kc_autoerror struct kc_error *err = NULL;

		if (!is_withdrawn(choice, applied) || (!all && replacement(choice, applied)))
			continue;
		err = kc_user_unpatch(ctx, choice->view->pid, applied->patchset, &choice->policy->options, result);
		if (err && kc_error_code(err) != KC_ERR_NOTHING) /* it went with another object */
			return kc_steal(err);
	}
	return NULL;
}

static bool has_to_go(const struct choice *choice)
{
	for (size_t i = 0; i < choice->n_applied; i++)
		if (is_withdrawn(choice, &choice->applied[i]) && !replacement(choice, &choice->applied[i]))
			return true;
	return false;
}

static struct kc_error *apply(struct kc_ctx *ctx, const struct choice *choice, struct kc_user_result *result)
{
	const struct kc_user_policy *policy = choice->policy;
	const char *rule = kc_user_blacklist_match(policy->blacklist, choice->view->exe);
	struct kc_error *err = NULL;

	for (size_t i = 0; i < choice->n_patches; i++)
		KC_TRY(kc_user_index_keep(ctx, policy->index, policy->store, choice->patches[i]));
	if (rule && has_withdrawn(choice)) /* taking out asks no blacklist */
		return take_out(ctx, choice, true, result);
	if (rule)
		return kc_error_new(KC_ERR_BLACKLISTED, "%s is excluded by %s", choice->view->exe, rule);
	KC_TRY(refuse_downgrade(ctx, choice));
	if (choice->n_patches)
		err = kc_user_patch(ctx, choice->view->pid, choice->patches, choice->n_patches, &policy->options,
				    result);
	if (!has_to_go(choice) || (err && kc_error_code(err) != KC_ERR_NOTHING))
		return err;
	kc_error_free(err);
	return take_out(ctx, choice, false, result);
}

struct kc_error *kc_user_apply(struct kc_ctx *ctx, const struct kc_user_policy *policy, pid_t pid,
			       struct kc_user_result *result)
{
	struct choice choice = { .policy = policy };
	struct kc_error *err = read_process(ctx, pid, &choice);

	if (!err)
		err = apply(ctx, &choice, result);
	choice_clear(&choice);
	return err;
}
