/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/userspace.h"

#include <string.h>
#include <time.h>

#include "agent/config_value.h"
#include "agent/keys.h"
#include "agent/policy.h"
#include "agent/remote.h"
#include "agent/userspace_current.h"
#include "agent/userspace_memory.h"
#include "base/array.h"

#define QEMU_SUFFIX "-qemu" /* of patchsets */

enum { SERVER_PROBLEMS_MAX = 3 };

struct run {
	struct kc_ctx *ctx;
	const struct kc_config *config;
	const struct kc_userspace_options *options;
	struct kc_userspace_result *result;
	struct kc_keyring *authors;
	struct kc_remote *remote;
	struct kc_policy policy;
	char *origin;			/* of what is chosen now */
	struct kc_build_ids build_ids;	/* in memory, or in the folder */
	struct kc_build_ids judged;	/* what a list of the feed spoke of */
	struct kc_current current;	/* as it is */
	struct kc_withdrawn withdrawn;	/* as it will be */
	struct kc_error *first_problem; /* of one patch; the others went on */
	unsigned n_server_problems;
};

static void run_clear(struct run *run)
{
	kc_keyring_free(run->authors);
	kc_remote_free(run->remote);
	free(run->origin);
	kc_build_ids_clear(&run->build_ids);
	kc_build_ids_clear(&run->judged);
	kc_current_clear(&run->current);
	kc_withdrawn_clear(&run->withdrawn);
	kc_error_free(run->first_problem);
}

/* ---- one file that processes map ---- */

/* What the feed says of it. */
struct target {
	const char *build_id;
	const struct kc_target_list *all;
	const struct kc_target_list *wanted; /* those of the kinds that are to be updated */
};

static const struct kc_target_entry *find_hash(const struct target *target, const char *hash)
{
	for (size_t i = 0; i < target->all->n_entries; i++) {
		const struct kc_target_entry *entry = &target->all->entries[i];

		if (entry->target && !strcmp(entry->target, target->build_id) && !strcmp(entry->hash, hash))
			return entry;
	}
	return NULL;
}

static struct kc_error *tell(struct run *run, enum kc_step step, const struct kc_current_patch *before,
			     const struct kc_current_patch *after, const char *patchset)
{
	struct kc_userspace_change *change = kc_array_add(&run->result->changes, &run->result->n_changes);

	if (!change)
		return kc_error_no_memory();
	change->step = step;
	change->from = before ? before->level : 0;
	change->to = after ? after->level : 0;
	change->object = strdup(after ? after->object : before->object);
	change->patchset = strdup(patchset);
	return change->object && change->patchset ? NULL : kc_error_no_memory();
}

/* The levels above the one that was chosen, on purpose, must leave the processes. */
static struct kc_error *withdraw_above(struct run *run, const struct target *target,
				       const struct kc_target_entry *chosen, const char *hash_before)
{
	KC_TRY(kc_withdrawn_add(&run->withdrawn, hash_before, target->build_id));
	for (size_t i = 0; i < target->all->n_entries; i++) {
		const struct kc_target_entry *entry = &target->all->entries[i];

		if (entry->target && !strcmp(entry->target, target->build_id) && !strcmp(entry->type, chosen->type) &&
		    entry->level > chosen->level)
			KC_TRY(kc_withdrawn_add(&run->withdrawn, entry->hash, target->build_id));
	}
	return NULL;
}

static struct kc_error *replace(struct run *run, const struct target *target, enum kc_step step,
				const struct kc_target_entry *chosen, const struct kc_current_patch *now)
{
	kc_autofree char *hash_before = strdup(now ? now->hash : ""), *left = strdup(now ? now->patchset : "");
	struct kc_current_patch before = { .level = now ? now->level : 0 };
	kc_autopatch struct kc_patch *patch = NULL;
	kc_autobuf struct kc_buf file = { 0 };

	if (!hash_before || !left)
		return kc_error_no_memory();
	KC_TRY(kc_remote_download(run->ctx, run->remote, chosen, KC_PATCH_USER, target->build_id, run->authors, &file,
				  &patch));
	KC_TRY(kc_current_put(&run->current, patch, &file, run->origin));
	run->result->n_downloads++;
	if (step == KC_STEP_LOWER)
		KC_TRY(withdraw_above(run, target, chosen, hash_before));
	return tell(run, step, &before, kc_current_find(&run->current, target->build_id),
		    step == KC_STEP_FALL_BACK ? left : chosen->patchset);
}

static struct kc_error *take_out(struct run *run, const struct kc_current_patch *now)
{
	char build_id[KC_BUILD_ID_TEXT_SIZE];

	memcpy(build_id, now->build_id, sizeof(build_id));
	KC_TRY(tell(run, KC_STEP_UNLOAD, now, NULL, now->patchset));
	return kc_current_remove(&run->current, build_id);
}

/* What is blocked does not stay because what should take its place cannot be had. */
static struct kc_error *fall_back(struct run *run, const struct target *target, const struct kc_target_entry *chosen,
				  const struct kc_current_patch *now)
{
	kc_autoerror struct kc_error *err = replace(run, target, KC_STEP_FALL_BACK, chosen, now);

	now = kc_current_find(&run->current, target->build_id);
	if (err && now && kc_error_code(err) != KC_ERR_NO_MEMORY)
		KC_TRY(take_out(run, now));
	return kc_steal(err);
}

static struct kc_error *remember_origin(struct run *run, struct kc_current_patch *now)
{
	char *origin = strdup(run->origin);

	if (!origin)
		return kc_error_no_memory();
	free(now->origin);
	now->origin = origin;
	return NULL;
}

static enum kc_step decide(const struct run *run, const struct kc_current_patch *now, bool is_blocked,
			   const struct kc_target_entry *chosen)
{
	enum kc_step step = kc_step_decide(&(struct kc_step_facts){
		.level = now ? now->level : 0,
		.type = now ? now->type : "",
		.is_blocked = is_blocked,
		.chosen = chosen ? chosen->level : 0,
		.chosen_type = chosen ? chosen->type : "",
		.wanted_type = run->config->patch_type,
		.is_explicit = !run->options->is_automatic,
		.choice_changed = now && strcmp(now->origin, run->origin) != 0,
	});

	/* of a blocked build the other one of the same level can take the place: processes are not kernels */
	return step == KC_STEP_NONE && is_blocked && chosen ? KC_STEP_FALL_BACK : step;
}

static struct kc_error *step_to(struct run *run, const struct target *target)
{
	struct kc_current_patch *now = kc_current_find(&run->current, target->build_id);
	const struct kc_target_entry *in = now ? find_hash(target, now->hash) : NULL, *chosen;
	bool is_blocked = in && in->blocked;
	enum kc_step step;

	chosen = kc_choice_pick(is_blocked ? target->all : target->wanted, target->build_id, &run->policy.choice);
	step = decide(run, now, is_blocked, chosen);
	switch (step) {
	case KC_STEP_UP:
	case KC_STEP_LOWER:
		return replace(run, target, step, chosen, now);
	case KC_STEP_FALL_BACK:
		return fall_back(run, target, chosen, now);
	case KC_STEP_UNLOAD:
		return take_out(run, now);
	case KC_STEP_ASK:
		return tell(run, step, now, now, chosen->patchset);
	case KC_STEP_NONE:
		return now ? remember_origin(run, now) : NULL;
	case KC_STEP_KEEP:
		break;
	}
	return NULL;
}

/* What was withdrawn before stays so until it is chosen again, or something higher is. */
static bool stays_withdrawn(const struct run *run, const struct target *target, const char *hash)
{
	const struct kc_current_patch *now = kc_current_find(&run->current, target->build_id);
	const struct kc_target_entry *entry = find_hash(target, hash);

	if (!now || !entry)
		return !now || strcmp(now->hash, hash) != 0;
	return strcmp(now->type, entry->type) != 0 || entry->level > now->level;
}

static struct kc_error *withdraw(struct run *run, const struct target *target)
{
	const struct kc_withdrawn *before = &run->current.withdrawn;

	for (size_t i = 0; i < target->all->n_entries; i++) {
		const struct kc_target_entry *entry = &target->all->entries[i];

		if (entry->blocked && entry->target && !strcmp(entry->target, target->build_id))
			KC_TRY(kc_withdrawn_add(&run->withdrawn, entry->hash, target->build_id));
	}
	for (size_t i = 0; i < before->n_patches; i++)
		if (!strcmp(before->patches[i].build_id, target->build_id) &&
		    stays_withdrawn(run, target, before->patches[i].hash))
			KC_TRY(kc_withdrawn_add(&run->withdrawn, before->patches[i].hash, target->build_id));
	return NULL;
}

/* ---- all of them ---- */

static bool is_wanted(const struct run *run, const struct kc_target_entry *entry)
{
	size_t length = strlen(entry->patchset), suffix = strlen(QEMU_SUFFIX);
	bool is_qemu = length > suffix && !strcmp(entry->patchset + length - suffix, QEMU_SUFFIX);

	return run->options->kinds & (is_qemu ? KC_USERSPACE_QEMU : KC_USERSPACE_LIBS);
}

/*
 * One patch that cannot be had does not keep the others away; a dead network or a full disk does, and a server that
 * does not have what it should again and again.
 */
static struct kc_error *weigh(struct run *run, struct kc_error *problem)
{
	enum kc_error_code code = problem ? kc_error_code(problem) : KC_ERR_NOTHING;

	if (!problem || code == KC_ERR_NO_MEMORY || code == KC_ERR_SYSTEM || code == KC_ERR_NO_SPACE)
		return problem;
	if (kc_error_code_exit(code) == KC_EXIT_NETWORK &&
	    (code != KC_ERR_SERVER || ++run->n_server_problems == SERVER_PROBLEMS_MAX))
		return problem;
	if (!run->first_problem) {
		run->first_problem = problem;
		return NULL;
	}
	kc_warning(run->ctx, "%s", kc_error_message(problem));
	kc_error_free(problem);
	return NULL;
}

/* What it is to leave is written down in any case. */
static struct kc_error *judge(struct run *run, const struct target *target)
{
	kc_autoerror struct kc_error *problem = step_to(run, target);

	KC_TRY(withdraw(run, target));
	KC_TRY(kc_build_ids_add(&run->judged, target->build_id));
	return weigh(run, kc_steal(problem));
}

static struct kc_error *judge_list(struct run *run, const struct kc_target_list *list)
{
	kc_autofree struct kc_target_entry *entries = calloc(list->n_entries + 1, sizeof(*entries));
	struct kc_target_list wanted = { .entries = entries };
	const char *previous = "";

	if (!entries)
		return kc_error_no_memory();
	for (size_t i = 0; i < list->n_entries; i++)
		if (is_wanted(run, &list->entries[i]))
			entries[wanted.n_entries++] = list->entries[i];
	/* entries are sorted by target */
	for (size_t i = 0; i < list->n_entries; i++) {
		const struct target target = { list->entries[i].target, list, &wanted };

		if (!target.build_id || !strcmp(target.build_id, previous) ||
		    !kc_build_ids_have(&run->build_ids, target.build_id))
			continue;
		previous = target.build_id;
		KC_TRY(judge(run, &target));
	}
	return NULL;
}

static struct kc_error *ask_for_package(struct run *run, const char *path)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };
	kc_autoerror struct kc_error *err = kc_remote_list(run->ctx, run->remote, path, &list);

	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) /* the index is a hint */
		return NULL;
	return err ? weigh(run, kc_steal(err)) : judge_list(run, &list);
}

static struct kc_error *name_origin(struct run *run)
{
	kc_autofree char *rules = kc_policy_rules(run->config, run->options->is_automatic);
	kc_autobuf struct kc_buf origin = { 0 };

	kc_buf_printf(&origin, "%s %s %s", kc_remote_root(run->remote), kc_remote_feed(run->remote),
		      rules ? rules : "");
	run->origin = kc_buf_take(&origin);
	return rules && run->origin ? NULL : kc_error_no_memory();
}

static struct kc_error *ask_server(struct run *run)
{
	KC_CLEANUP_USER_PACKAGE_INDEX struct kc_user_package_index index = { 0 };
	kc_autoerror struct kc_error *err = NULL;

	KC_TRY(kc_remote_open(run->ctx, run->config, true, &run->remote));
	KC_TRY(kc_remote_refresh(run->ctx, run->remote));
	KC_TRY(name_origin(run));
	err = kc_remote_user_index(run->ctx, run->remote, &index);
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) /* a feed without userspace */
		return NULL;
	if (err)
		return kc_steal(err);
	for (size_t i = 0; i < index.n_packages; i++)
		if (kc_build_ids_concern(&run->build_ids, &index.packages[i]))
			KC_TRY(ask_for_package(run, index.packages[i].path));
	return NULL;
}

/* ---- the run ---- */

static struct kc_error *look_around(struct run *run)
{
	KC_TRY(kc_policy_read(run->ctx, run->config, run->options->is_automatic, time(NULL), &run->policy));
	KC_TRY(kc_agent_keyring_load(run->ctx, &run->authors));
	KC_TRY(kc_current_read(run->ctx, run->authors, &run->current));
	KC_TRY(kc_build_ids_add_memory(run->ctx, &run->build_ids));
	for (size_t i = 0; i < run->current.n_patches; i++)
		KC_TRY(kc_build_ids_add(&run->build_ids, run->current.patches[i].build_id));
	kc_build_ids_sort(&run->build_ids);
	return NULL;
}

/* What no list spoke of in this run is withdrawn as before, while there is somebody to have it. */
static struct kc_error *keep_withdrawn(struct run *run)
{
	const struct kc_withdrawn *before = &run->current.withdrawn;

	kc_build_ids_sort(&run->judged);
	for (size_t i = 0; i < before->n_patches; i++) {
		const struct kc_withdrawn_patch *patch = &before->patches[i];

		if (kc_build_ids_have(&run->build_ids, patch->build_id) &&
		    !kc_build_ids_have(&run->judged, patch->build_id))
			KC_TRY(kc_withdrawn_add(&run->withdrawn, patch->hash, patch->build_id));
	}
	return NULL;
}

static bool is_same_withdrawn(const struct kc_withdrawn *a, const struct kc_withdrawn *b)
{
	for (size_t i = 0; i < a->n_patches; i++)
		if (!kc_withdrawn_has(b, a->patches[i].hash))
			return false;
	return a->n_patches == b->n_patches;
}

static struct kc_error *finish(struct run *run)
{
	struct kc_withdrawn before = run->current.withdrawn;
	struct kc_userspace_result *result = run->result;

	KC_TRY(keep_withdrawn(run));
	for (size_t i = 0; i < result->n_changes; i++)
		result->is_changed |= result->changes[i].step != KC_STEP_ASK;
	result->is_changed |= !is_same_withdrawn(&before, &run->withdrawn);
	result->n_files = run->current.n_patches;
	run->current.withdrawn = run->withdrawn;
	run->withdrawn = before;
	return kc_current_write(&run->current);
}

static struct kc_error *refresh(struct run *run)
{
	kc_autoerror struct kc_error *err = NULL, *problem = NULL;

	KC_TRY(look_around(run));
	err = ask_server(run);
	problem = finish(run);
	if (err)
		return kc_steal(err);
	return problem ? kc_steal(problem) : kc_steal(run->first_problem);
}

struct kc_error *kc_userspace_refresh(struct kc_ctx *ctx, const struct kc_config *config,
				      const struct kc_userspace_options *options, struct kc_userspace_result *result)
{
	struct run run = { .ctx = ctx, .config = config, .options = options, .result = result };
	struct kc_error *err;

	*result = (struct kc_userspace_result){ 0 };
	err = refresh(&run);
	run_clear(&run);
	return err;
}

void kc_userspace_result_clear(struct kc_userspace_result *result)
{
	for (size_t i = 0; i < result->n_changes; i++) {
		free(result->changes[i].object);
		free(result->changes[i].patchset);
	}
	free(result->changes);
	*result = (struct kc_userspace_result){ 0 };
}

struct kc_error *kc_userspace_check_enabled(const struct kc_config *config)
{
	if (!config->libcare_disabled)
		return NULL;
	return kc_error_new(KC_ERR_REFUSED, "patching of processes is disabled on this host (LIBCARE_DISABLED in "
					    "kcare.conf); 'kcarectl --enable-libcare' enables it");
}

struct kc_error *kc_userspace_kinds_parse(const char *text, unsigned *kinds)
{
	kc_autoerror struct kc_error *err = kc_value_kinds(text, kinds);

	return err ? kc_error_new(KC_ERR_USAGE, "userspace patches: %s", kc_error_message(err)) : NULL;
}
