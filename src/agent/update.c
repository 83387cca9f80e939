/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changes the running kernel but for an unload: an update; and the same question without the change, a check. */
#include "agent/agent.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "agent/ask.h"
#include "agent/cache.h"
#include "agent/checkin.h"
#include "agent/guard.h"
#include "agent/info.h"
#include "agent/keys.h"
#include "agent/loaded.h"
#include "agent/lock.h"
#include "agent/paths.h"
#include "agent/root_file.h"
#include "agent/step.h"
#include "agent/sysctl.h"
#include "agent/update.h"
#include "base/file.h"
#include "fetch/fetch.h"

struct kc_error *kc_agent_open(struct kc_ctx *ctx, struct kc_state *state, struct kc_kernel *kernel)
{
	KC_TRY(kc_root_folder_make(KC_PATH_KERNEL_CACHE, NULL));
	KC_TRY(kc_state_read(state));
	KC_TRY(kc_kernel_read(ctx, kernel));
	kernel->is_container = kc_agent_is_in_container(kernel);
	KC_TRY(kc_guard_settle(ctx, state, false, NULL));
	/* in a container every look asks anew */
	if (kernel->is_container || (state->kernel_version && !strcmp(state->kernel_version, kernel->version)))
		return NULL;
	free(state->kernel_version);
	state->kernel_version = strdup(kernel->version);
	if (!state->kernel_version)
		return kc_error_no_memory();
	memcpy(state->kernel_id, kernel->kernel_id, KC_KERNEL_ID_SIZE);
	return kc_state_write(state);
}

void kc_level_of_patch(const struct kc_patch *patch, struct kc_level *level)
{
	const struct kc_manifest *manifest = &patch->manifest;

	*level = (struct kc_level){ .number = manifest->level };
	snprintf(level->kernel_id, sizeof(level->kernel_id), "%s", manifest->target);
	snprintf(level->type, sizeof(level->type), "%s", manifest->type);
	snprintf(level->hash, sizeof(level->hash), "%s", patch->hash);
}

bool kc_level_file_hash(const struct kc_level *level, char hash[KC_SHA256_TEXT_SIZE])
{
	kc_autofree char *path = kc_cache_path(level);
	kc_autobuf struct kc_buf file = { 0 };

	if (!path || kc_file_read_now(path, KC_PATCH_FILE_MAX, &file))
		return false;
	kc_sha256_text(file.data, file.size, hash);
	return true;
}

void kc_notice(const struct kc_update_options *options, const char *format, ...)
{
	kc_autofree char *text = NULL;
	va_list args;

	if (!options || !options->notice)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		options->notice(options->data, text);
}

/* ---- update ---- */

struct update {
	struct kc_ctx *ctx;
	const struct kc_config *config;
	const struct kc_update_options *options;
	struct kc_state state;
	struct kc_kernel kernel;
	struct kc_asked asked; /* of the server, in this run; number 0: nothing */
	bool was_asked, portal_is_away;
	struct kc_level level; /* to be loaded */
	size_t n_left_out;     /* levels that the host went down with */
	struct kc_loaded loaded;
	struct kc_patch *patch;
};

static void update_clear(struct update *update)
{
	kc_state_clear(&update->state);
	kc_kernel_clear(&update->kernel);
	kc_loaded_clear(&update->loaded);
	kc_patch_free(update->patch);
}

static bool is_automatic(const struct update *update)
{
	return update->options->mode != KC_UPDATE_ASKED;
}

/* At boot there may be no network yet: the patch does not wait for it. */
static void tell_before(struct update *update)
{
	if (update->options->mode != KC_UPDATE_SMART && !update->portal_is_away)
		update->portal_is_away = !kc_checkin(update->ctx, update->config, KC_CHECKIN_BEFORE);
}

/* Who lives on what the host has does not ask the network for anything. */
static void tell_end(struct update *update, const struct kc_error *err, bool has_changed)
{
	const struct kc_run_end end = { .kind = KC_RUN_KERNEL, .err = err };
	bool is_local = update->options->mode == KC_UPDATE_SMART && update->config->update_policy != KC_UPDATE_REMOTE;

	if (is_local || update->portal_is_away)
		kc_checkin_remember_end(update->ctx, &end);
	else
		kc_checkin_end(update->ctx, update->config, &end, has_changed);
}

static bool has_server(const struct kc_config *config)
{
	return *config->patch_server != '\0';
}

/* ---- what to run ---- */

static struct kc_error *choose_from_cache(struct update *update)
{
	return kc_cache_newest(&(struct kc_cache_query){ .kernel_id = update->kernel.kernel_id,
							 .type = update->config->patch_type,
							 .state = &update->state,
							 .has_server = has_server(update->config),
							 .leaves_out_crashes = is_automatic(update) },
			       &update->level, &update->n_left_out);
}

static struct kc_error *ask_server(struct update *update)
{
	const struct kc_ask ask = {
		.is_automatic = is_automatic(update),
		.is_patient = update->options->mode != KC_UPDATE_SMART,
		.options = update->options,
	};

	KC_TRY(kc_ask_server(update->ctx, update->config, &ask, &update->state, &update->asked));
	update->was_asked = true;
	return choose_from_cache(update);
}

/* UPDATE_POLICY: at boot the network may not be there yet, or be there no more; what was chosen before is good. */
static struct kc_error *choose_smartly(struct update *update)
{
	kc_autoerror struct kc_error *err = NULL;

	KC_TRY(choose_from_cache(update));
	if (update->config->update_policy == KC_UPDATE_LOCAL ||
	    (update->config->update_policy == KC_UPDATE_LOCAL_FIRST && update->level.number))
		return NULL;
	err = ask_server(update);
	if (!err)
		return NULL;
	update->portal_is_away |= kc_error_code_exit(kc_error_code(err)) == KC_EXIT_NETWORK;
	KC_TRY(choose_from_cache(update));
	if (!update->level.number)
		return kc_steal(err);
	kc_warning(update->ctx, "%s; taking what was chosen before", kc_error_message(err));
	return NULL;
}

static struct kc_error *nothing(const struct update *update)
{
	const struct kc_kernel *kernel = &update->kernel;

	if (update->n_left_out)
		return kc_error_new(KC_ERR_REFUSED,
				    "this host went down after a patch was loaded, so it is not loaded automatically; "
				    "'kcarectl --info' says which, 'kcarectl --update' tries it again");
	if (update->was_asked && update->state.checked.is_known)
		return kc_error_new(
			KC_ERR_NOTHING,
			"the feed %s has patches for this kernel, but none that this host may have now (type, "
			"delay, sticky date, patchset, blocks)",
			update->state.checked.feed);
	if (update->was_asked)
		return kc_error_new(KC_ERR_NOTHING,
				    "There are no patches for this kernel (%s, kernel id %s) in the feed %s",
				    kernel->release, kernel->kernel_id, update->state.checked.feed);
	return kc_error_new(KC_ERR_NOTHING,
			    "there is no patch for this kernel (%s, kernel id %s) in the cache: add one with 'kcarectl "
			    "--import-patch FILE'",
			    kernel->release, kernel->kernel_id);
}

static void warn_of_crashes(const struct update *update)
{
	const struct kc_crash *crash = kc_state_find_crash(&update->state, &update->level);

	if (update->n_left_out)
		kc_warning(update->ctx, "a newer level is left out: this host went down after it was loaded; "
					"'kcarectl --update' tries it again");
	if (crash)
		kc_warning(update->ctx, "this host went down after patch level %u was loaded before; trying it again",
			   update->level.number);
}

static struct kc_error *choose(struct update *update)
{
	if (!has_server(update->config))
		return choose_from_cache(update);
	return update->options->mode == KC_UPDATE_SMART ? choose_smartly(update) : ask_server(update);
}

/* ---- from what is in ---- */

static bool choice_has_changed(const struct kc_state *state, const struct kc_level *level)
{
	kc_autofree char *origin = kc_checked_origin(&state->checked);

	return *level->hash && origin && state->applied.origin && strcmp(origin, state->applied.origin);
}

static struct kc_level loaded_level(const struct update *update)
{
	char boot_id[KC_BOOT_ID_SIZE] = "";
	struct kc_level level;

	kc_error_free(kc_boot_id_read(boot_id));
	kc_loaded_level(&update->loaded, &update->state, update->state.kernel_id, boot_id, &level);
	return level;
}

static bool must_go(const struct update *update)
{
	const struct kc_level level = loaded_level(update);

	return level.number && kc_state_is_blocked(&update->state, &level);
}

static enum kc_step decide(const struct update *update, const struct kc_level *chosen)
{
	const struct kc_level level = loaded_level(update);

	return kc_step_decide(&(struct kc_step_facts){
		.level = update->loaded.level,
		.type = update->loaded.type,
		.is_blocked = kc_state_is_blocked(&update->state, &level),
		.chosen = chosen->number,
		.chosen_type = chosen->type,
		.wanted_type = update->config->patch_type,
		.is_explicit = !is_automatic(update),
		.choice_changed = update->was_asked && choice_has_changed(&update->state, &level),
	});
}

/* A level that was built again: the kernel cannot take a module of the same name, and nobody should believe it has. */
static void warn_of_another_build(const struct update *update)
{
	const struct kc_level *applied = &update->state.applied.level;
	char hash[KC_SHA256_TEXT_SIZE];

	if (kc_level_is_same(applied, &update->level) && kc_level_file_hash(&update->level, hash) &&
	    strcmp(hash, applied->hash))
		kc_warning(update->ctx,
			   "the cache has another build of level %u than the kernel: 'kcarectl --unload' and then "
			   "'kcarectl --update' applies it, or give it a higher level",
			   applied->number);
}

static struct kc_error *open_patch(struct update *update)
{
	kc_autokeyring struct kc_keyring *keyring = NULL;
	kc_autofree char *path = kc_cache_path(&update->level);
	struct kc_level found;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_agent_keyring_load(update->ctx, &keyring));
	KC_TRY(kc_patch_open(update->ctx, path, keyring, &update->patch));
	kc_level_of_patch(update->patch, &found);
	if (update->patch->manifest.kind != KC_PATCH_KERNEL || !kc_level_is_same(&found, &update->level))
		return kc_error_new(
			KC_ERR_CORRUPT,
			"%s: it is for another kernel, type or level than its name says; remove it and import "
			"the patch again",
			path);
	if (update->asked.level.number == found.number && !strcmp(update->asked.level.type, found.type) &&
	    strcmp(update->asked.level.hash, found.hash))
		return kc_error_new(KC_ERR_CORRUPT, "%s: changed since it was verified", path);
	update->level = found;
	return NULL;
}

static struct kc_error *remember(struct update *update)
{
	struct kc_applied *applied = &update->state.applied;
	const struct kc_manifest *manifest = &update->patch->manifest;

	bool is_chosen = kc_level_is_same(&update->level, &update->state.checked.chosen);

	kc_applied_clear(applied);
	*applied = (struct kc_applied){
		.level = update->level,
		.origin = is_chosen ? kc_checked_origin(&update->state.checked) : NULL,
		.effective_version = strdup(manifest->kernel.effective_version),
		.patchset = strdup(manifest->patchset),
		.created = manifest->created,
		.applied_at = time(NULL),
	};
	if (!applied->effective_version || !applied->patchset)
		return kc_error_no_memory();
	KC_TRY(kc_boot_id_read(applied->boot_id));
	return kc_state_write(&update->state);
}

/* The marker stays when the patch is in: the host has yet to show that it can live with it. */
/* Could a load that failed not be taken back? Then the kernel runs new code, and the guard stays. */
static bool is_half_in(struct kc_ctx *ctx)
{
	kc_autofree struct kc_kernel_loaded *loaded = NULL;
	bool is_in = false;
	size_t n = 0;

	kc_error_free(kc_kernel_list(ctx, &loaded, &n));
	for (size_t i = 0; i < n; i++)
		is_in |= loaded[i].is_ours && loaded[i].in_transition;
	return is_in;
}

/* The watch over the level before, if it was not over, begins again. */
static void guard_go_back(struct kc_ctx *ctx, const struct kc_loading *before)
{
	if (is_half_in(ctx))
		return;
	kc_error_free(before->level.number ? kc_guard_begin(&before->level) : kc_guard_cancel());
}

static struct kc_error *load(struct update *update, struct kc_kernel_result *result)
{
	struct kc_loading before;
	struct kc_error *err;

	KC_TRY(kc_guard_read(&before));
	KC_TRY(kc_guard_begin(&update->level));
	err = kc_kernel_apply(update->ctx, &update->kernel, update->patch, &update->options->kernel, result);
	if (err) {
		guard_go_back(update->ctx, &before);
		return err;
	}
	err = remember(update);
	return err ? kc_error_prefix(err, "the patch is in, but it cannot be recorded") : NULL;
}

static void load_sysctl(struct update *update)
{
	kc_autoerror struct kc_error *err = NULL;

	if (!update->config->load_sysctl)
		return;
	err = kc_sysctl_load(update->ctx);
	if (err)
		kc_warning(update->ctx, "the patch is in, but its sysctls are not set: %s", kc_error_message(err));
}

/* A signal that comes meanwhile ends us behind it: between loading and recording would be a lie in the state. */
static struct kc_error *load_and_record(struct update *update, struct kc_kernel_result *result)
{
	struct kc_error *err;
	sigset_t end, before;

	kc_fetch_drop_kept(update->ctx); /* nobody of ours waits while tasks switch */
	sigemptyset(&end);
	sigaddset(&end, SIGINT);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &end, &before);
	err = load(update, result);
	if (!err)
		load_sysctl(update);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

static struct kc_error *take_out(struct update *update, struct kc_update_result *result)
{
	tell_before(update);
	kc_fetch_drop_kept(update->ctx);
	KC_TRY(kc_kernel_unload(update->ctx, &update->options->kernel, &result->kernel));
	result->was_unloaded = true;
	result->level = 0;
	KC_TRY(kc_guard_cancel());
	return kc_state_forget_applied(&update->state);
}

/*
 * What a higher level set up, a lower one may not know to take over: then the kernel does not accept it, and it begins
 * anew. For no other reason the higher one goes.
 */
static struct kc_error *load_lower(struct update *update, struct kc_update_result *result)
{
	kc_autoerror struct kc_error *err = load_and_record(update, &result->kernel);

	if (!err || kc_error_code(err) != KC_ERR_MODULE)
		return kc_steal(err);
	kc_info(update->ctx, "level %u cannot replace the higher one (%s): taking that out first", update->level.number,
		kc_error_message(err));
	KC_TRY(take_out(update, result));
	KC_TRY(load_and_record(update, &result->kernel));
	result->was_unloaded = false;
	return NULL;
}

static struct kc_error *load_chosen(struct update *update, bool is_lower, struct kc_update_result *result)
{
	KC_TRY(open_patch(update));
	tell_before(update);
	KC_TRY(is_lower ? load_lower(update, result) : load_and_record(update, &result->kernel));
	result->was_applied = true;
	result->level = update->level.number;
	result->effective_version = strdup(update->patch->manifest.kernel.effective_version);
	return result->effective_version ? NULL : kc_error_no_memory();
}

/* From a blocked level to the chosen one, or to none: what must go does not stay because of what should come. */
static struct kc_error *fall_back(struct update *update, struct kc_update_result *result)
{
	kc_autoerror struct kc_error *err = load_chosen(update, true, result);

	if (!err || result->was_unloaded || kc_error_code(err) == KC_ERR_NOT_SETTLED ||
	    kc_error_code(err) == KC_ERR_FORCED)
		return kc_steal(err);
	kc_notice(update->options, "Patch level %u cannot be loaded: taking the blocked one out", update->level.number);
	KC_TRY(take_out(update, result));
	return kc_steal(err);
}

/* From now on it is what the present configuration chose; an automatic run has a choice of its own. */
static struct kc_error *remember_origin(struct update *update)
{
	struct kc_applied *applied = &update->state.applied;
	const struct kc_level level = loaded_level(update);
	kc_autofree char *origin = NULL;

	if (is_automatic(update) || !update->was_asked || !*level.hash ||
	    strcmp(level.hash, update->state.checked.chosen.hash))
		return NULL;
	origin = kc_checked_origin(&update->state.checked);
	if (!origin)
		return kc_error_no_memory();
	if (applied->origin && !strcmp(applied->origin, origin))
		return NULL;
	free(applied->origin);
	applied->origin = kc_steal(origin);
	return kc_state_write(&update->state);
}

/* It is in, and nothing better is known. */
static struct kc_error *keep(struct update *update, bool could_lower)
{
	const char *next = could_lower ? "; 'kcarectl --update' goes there" : "";

	if (!update->level.number && update->options->mode == KC_UPDATE_ASKED)
		kc_notice(update->options, "Patch level %u stays: there is none that this host should have instead",
			  update->loaded.level);
	else if (update->level.number)
		kc_info(update->ctx, "level %u is in the kernel, which is newer than the one to be had (%u)%s",
			update->loaded.level, update->level.number, next);
	return NULL;
}

static struct kc_error *step(struct update *update, struct kc_update_result *result)
{
	const struct kc_loaded *loaded = &update->loaded;
	const uint32_t level = loaded->level, chosen = update->level.number;

	switch (decide(update, &update->level)) {
	case KC_STEP_NONE:
		if (!level)
			return nothing(update);
		warn_of_another_build(update);
		return remember_origin(update);
	case KC_STEP_KEEP:
		return keep(update, false);
	case KC_STEP_ASK:
		return keep(update, true);
	case KC_STEP_UP:
		warn_of_crashes(update);
		return load_chosen(update, false, result);
	case KC_STEP_LOWER:
		kc_notice(update->options, "The configuration has changed: going from patch level %u to %u", level,
			  chosen);
		return load_chosen(update, true, result);
	case KC_STEP_FALL_BACK:
		kc_notice(update->options, "Patch level %u is blocked: going to level %u (%s)", level, chosen,
			  update->level.type);
		return fall_back(update, result);
	case KC_STEP_UNLOAD:
		kc_notice(update->options, "Patch level %u is blocked, and there is no other: taking it out", level);
		return take_out(update, result);
	}
	return NULL;
}

/*
 * What is in must go, and the server could not be asked, or could not deliver what should take its place: then what the
 * cache has does, or nothing. Without `problem` this is step().
 */
static struct kc_error *step_despite(struct update *update, struct kc_error *problem, struct kc_update_result *result)
{
	struct kc_error *err;

	if (!problem)
		return step(update, result);
	if (!must_go(update))
		return problem;
	err = choose_from_cache(update);
	if (!err)
		err = step(update, result);
	if (!err)
		return problem;
	kc_warning(update->ctx, "%s", kc_error_message(problem));
	kc_error_free(problem);
	return err;
}

static struct kc_error *run_update(struct update *update, struct kc_update_result *result)
{
	kc_autoerror struct kc_error *problem = NULL;
	struct kc_error *err;

	KC_TRY(kc_agent_open(update->ctx, &update->state, &update->kernel));
	if (update->kernel.is_container)
		return kc_error_new(KC_ERR_CONTAINER, "this is a container: patch the kernel on its host");
	problem = choose(update);
	KC_TRY(kc_loaded_read(update->ctx, &update->loaded));
	result->level = update->loaded.level;
	result->was_downloaded = update->asked.was_downloaded;
	err = step_despite(update, kc_steal(problem), result);
	if (err && kc_error_code(err) == KC_ERR_NOTHING && is_automatic(update) &&
	    update->config->ignore_unknown_kernel && !(update->was_asked && update->state.checked.is_known)) {
		kc_error_free(err);
		return NULL;
	}
	return err;
}

struct kc_error *kc_agent_update(struct kc_ctx *ctx, const struct kc_config *config,
				 const struct kc_update_options *options, struct kc_update_result *result)
{
	struct update update = {
		.ctx = ctx, .config = config, .options = options, .portal_is_away = options->portal_is_away
	};
	kc_autoclose int lock = -1;
	struct kc_error *err;

	*result = (struct kc_update_result){ 0 };
	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	err = run_update(&update, result);
	tell_end(&update, err, result->was_applied || result->was_unloaded);
	update_clear(&update);
	return err;
}

void kc_update_result_clear(struct kc_update_result *result)
{
	free(result->effective_version);
	memset(result, 0, sizeof(*result));
}

/* ---- check ---- */

/* The chosen level, or one that was imported and is higher. */
static struct kc_error *look(struct update *update, struct kc_check_result *result)
{
	const struct kc_ask ask = { .is_patient = true, .only_look = true };
	const struct kc_checked *checked = &update->state.checked;
	struct kc_level offered;
	enum kc_step next;

	KC_TRY(kc_agent_open(update->ctx, &update->state, &update->kernel));
	if (update->kernel.is_container)
		return kc_error_new(KC_ERR_CONTAINER, "this is a container: ask on its host");
	if (has_server(update->config))
		KC_TRY(kc_ask_server(update->ctx, update->config, &ask, &update->state, &update->asked));
	update->was_asked = has_server(update->config);
	KC_TRY(kc_loaded_read(update->ctx, &update->loaded));
	KC_TRY(choose_from_cache(update));
	offered = update->asked.level;
	if (!offered.number || (update->level.number > offered.number && !strcmp(update->level.type, offered.type)))
		offered = update->level;
	next = decide(update, &offered);
	result->is_new =
		next == KC_STEP_UP || next == KC_STEP_LOWER || next == KC_STEP_FALL_BACK || next == KC_STEP_UNLOAD;
	result->is_block = next == KC_STEP_FALL_BACK || next == KC_STEP_UNLOAD;
	result->is_lower = next == KC_STEP_LOWER;
	result->is_unknown = !offered.number && !(update->was_asked && checked->is_known);
	result->level = offered.number;
	if (!kc_level_is_same(&offered, &checked->chosen) || !checked->patchset)
		return NULL;
	result->patchset = strdup(checked->patchset);
	return result->patchset ? NULL : kc_error_no_memory();
}

struct kc_error *kc_agent_check(struct kc_ctx *ctx, const struct kc_config *config, struct kc_check_result *result)
{
	static const struct kc_update_options options = { .mode = KC_UPDATE_ASKED };
	struct update update = { .ctx = ctx, .config = config, .options = &options };
	kc_autoclose int lock = -1;
	struct kc_error *err;

	*result = (struct kc_check_result){ 0 };
	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	err = look(&update, result);
	update_clear(&update);
	return err;
}

void kc_check_result_clear(struct kc_check_result *result)
{
	free(result->patchset);
	*result = (struct kc_check_result){ 0 };
}
