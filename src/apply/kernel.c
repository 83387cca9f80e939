// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two things that are done to a running kernel: a patch comes in, our patch goes out. Each leaves a transition
 * either finished or taken back, also when a signal comes; what a killed run left is finished first. What may go wrong
 * and what is left then: docs/kernel-switching.md.
 */
#include "apply/kernel.h"

#include <errno.h>
#include <string.h>

#include "apply/kernel_internal.h"
#include "apply/kernel_read.h"
#include "apply/user_tracee.h"

#define REMOVE_WAIT_MS 3000

struct job {
	struct kc_ctx *ctx;
	const struct kc_kernel_options *options;
	const struct kc_signal_guard *guard;
	struct kc_kernel_result *result;
};

/*
 * Modules that were replaced or disabled, by us now or by a run that was killed. Livepatch gives them back a little
 * late; pinned and forced ones never: `wait_ms` for all together.
 */
static struct kc_error *remove_idle(struct kc_ctx *ctx, unsigned wait_ms)
{
	uint64_t end_ns = kc_now_ns() + (uint64_t)wait_ms * 1000000;
	char **names;
	size_t n;
	struct kc_error *err = kc_module_list_idle(&names, &n);

	for (size_t i = 0; i < n; i++) {
		int ret = err ? -ECANCELED : kc_module_remove(names[i], end_ns);

		if (ret == -EWOULDBLOCK)
			kc_info(ctx,
				"%s is out of use but stays in memory until the next boot: pointers into it may be "
				"stored, or tasks were forced",
				names[i]);
		else if (ret && !err)
			err = kc_error_errno(KC_ERR_SYSTEM, -ret, "cannot remove the module %s", names[i]);
		free(names[i]);
	}
	free(names);
	return err;
}

/* Nothing of ours is left when no patch is in. A module of that name without our files is not ours. */
static struct kc_error *tidy_up(struct kc_ctx *ctx)
{
	kc_autofree struct kc_kernel_loaded *loaded = NULL;
	size_t n;

	KC_TRY(remove_idle(ctx, REMOVE_WAIT_MS));
	KC_TRY(kc_kernel_list(ctx, &loaded, &n));
	for (size_t i = 0; i < n; i++) {
		if (loaded[i].is_ours && (loaded[i].is_enabled || loaded[i].in_transition))
			return NULL;
	}
	if (kc_module_is_loaded(KC_KCARE_MODULE) && kc_module_kcare_is_ours() &&
	    kc_module_remove(KC_KCARE_MODULE, kc_now_ns() + REMOVE_WAIT_MS * UINT64_C(1000000)))
		kc_info(ctx, "the module %s stays: something uses it", KC_KCARE_MODULE);
	return NULL;
}

/* What is left behind only takes memory. */
static void tidy_up_or_warn(struct kc_ctx *ctx)
{
	kc_autoerror struct kc_error *err = tidy_up(ctx);

	if (err)
		kc_warning(ctx, "%s", kc_error_message(err));
}

/* What was begun is turned round, and nothing interrupts that. Returns the reason, with what became of it. */
static struct kc_error *take_back(const struct job *job, const char *name, bool was_enabling, struct kc_error *reason)
{
	kc_autoerror struct kc_error *err = NULL;
	int ret = kc_livepatch_set(name, "enabled", !was_enabling);

	if (ret == -ENOENT && !was_enabling) { /* it has settled just now: livepatch has forgotten the patch */
		kc_error_free(reason);
		return NULL;
	}
	if (!ret)
		err = kc_kernel_settle(job->ctx, name, job->options, NULL, job->result);
	else
		err = kc_error_errno(KC_ERR_SYSTEM, -ret, "%s cannot be taken back", name);
	if (!err)
		return kc_error_prefix(reason, "taken back");
	return kc_error_prefix(reason,
			       "NOT taken back, the kernel is still at it (%s); run this again when the tasks are gone",
			       kc_error_message(err));
}

/* Tasks that do not switch are told that they have. The note comes first: it must not be missing when we are killed. */
static struct kc_error *force(const struct job *job, const char *name)
{
	struct kc_kernel_options options = *job->options;
	int ret;

	KC_TRY(kc_forced_note());
	ret = kc_livepatch_set(name, "force", true);
	if (ret && ret != -EINVAL && ret != -ENOENT) /* those two: it has just settled */
		return kc_error_errno(KC_ERR_SYSTEM, -ret, "%s cannot be forced", name);
	job->result->was_forced = true;
	kc_warning(job->ctx, "%s was forced: only a reboot unloads it from now on", name);
	options.freezer = KC_FREEZER_NONE;
	return kc_kernel_settle(job->ctx, name, &options, NULL, job->result);
}

/* Waits for a transition that goes to `enabling`; one that does not settle is forced, if that is wanted, or taken back.
 */
static struct kc_error *settle(const struct job *job, const char *name, bool enabling)
{
	struct kc_error *err = kc_kernel_settle(job->ctx, name, job->options, job->guard, job->result);
	kc_autoerror struct kc_error *force_err = NULL;

	if (!err)
		return NULL;
	if (!job->options->force || kc_error_code(err) != KC_ERR_NOT_SETTLED)
		return take_back(job, name, enabling, err);
	force_err = force(job, name);
	if (force_err)
		return take_back(job, name, enabling, kc_error_prefix(err, "%s", kc_error_message(force_err)));
	kc_warning(job->ctx, "%s", kc_error_message(err));
	kc_error_free(err);
	return NULL;
}

/* A run that was killed leaves a transition of which the kernel takes care alone; livepatch does one at a time. */
static struct kc_error *finish_left_over(const struct job *job)
{
	kc_autofree struct kc_kernel_loaded *loaded = NULL;
	unsigned wait_ms = 0;
	size_t n;

	KC_TRY(kc_kernel_list(job->ctx, &loaded, &n));
	for (size_t i = 0; i < n; i++) {
		if (!loaded[i].is_ours || !loaded[i].in_transition)
			continue;
		kc_info(job->ctx, "%s is still in transition: waiting for it", loaded[i].name);
		wait_ms = REMOVE_WAIT_MS;
		KC_TRY(settle(job, loaded[i].name, loaded[i].is_enabled));
	}
	return remove_idle(job->ctx, wait_ms);
}

static bool is_in(const char *name)
{
	return kc_livepatch_get(name, "enabled") == 1 && kc_livepatch_get(name, "transition") == 0;
}

/* Any version will do: what it offers is frozen. */
static struct kc_error *load_kcare(const struct job *job, const struct kc_kernel *kernel, const struct kc_patch *patch)
{
	if (kc_module_is_loaded(KC_KCARE_MODULE))
		return NULL;
	return kc_module_load(job->ctx, kernel, KC_KCARE_MODULE, kc_patch_payload_find(patch, KC_PATCH_KCARE_NAME));
}

static struct kc_error *load_patch(const struct job *job, const struct kc_kernel *kernel, const struct kc_patch *patch)
{
	const char *module = patch->manifest.kernel.module;
	uint64_t begin_ns = kc_now_ns();

	if (kc_module_is_loaded(module))
		return kc_error_new(
			KC_ERR_MODULE,
			"%s was unloaded before but stays in memory, and the kernel enables no patch twice: "
			"a higher level can be loaded, or this one after a reboot",
			module);
	kc_progress(job->ctx, "loading the patch", 0, 1);
	KC_TRY(kc_module_load(job->ctx, kernel, module, kc_patch_payload_find(patch, KC_PATCH_MODULE_NAME)));
	job->result->load_ns = kc_now_ns() - begin_ns;
	kc_progress(job->ctx, "loading the patch", 1, 1);
	return settle(job, module, true);
}

static struct kc_error *bring_in(const struct job *job, const struct kc_kernel *kernel, const struct kc_patch *patch)
{
	const char *module = patch->manifest.kernel.module;

	KC_TRY(finish_left_over(job));
	if (is_in(module))
		return NULL;
	KC_TRY(load_kcare(job, kernel, patch));
	KC_TRY(load_patch(job, kernel, patch));
	return is_in(module) ? NULL
			     : kc_error_new(KC_ERR_BUSY, "%s: another program has disabled it meanwhile", module);
}

struct kc_error *kc_kernel_apply(struct kc_ctx *ctx, const struct kc_kernel *kernel, const struct kc_patch *patch,
				 const struct kc_kernel_options *options, struct kc_kernel_result *result)
{
	struct kc_signal_guard guard;
	struct job job = { .ctx = ctx, .options = options, .guard = &guard, .result = result };
	struct kc_error *err;

	memset(result, 0, sizeof(*result));
	result->n_functions = patch->manifest.kernel.n_functions;
	KC_TRY(kc_kernel_plan(ctx, kernel, patch));
	kc_signals_hold(&guard);
	err = bring_in(&job, kernel, patch);
	tidy_up_or_warn(ctx);
	kc_signals_release(&guard);
	return err;
}

/* `in_transition`: only those that are under way, else the others. */
static struct kc_error *take_out_some(const struct job *job, bool in_transition, size_t *n_found)
{
	kc_autofree struct kc_kernel_loaded *loaded = NULL;
	size_t n;

	KC_TRY(kc_kernel_list(job->ctx, &loaded, &n));
	for (size_t i = 0; i < n; i++) {
		int ret;

		if (!loaded[i].is_ours || loaded[i].in_transition != in_transition)
			continue;
		(*n_found)++;
		ret = loaded[i].is_enabled ? kc_livepatch_set(loaded[i].name, "enabled", false) : 0;
		if (ret && ret != -ENOENT)
			return kc_error_errno(ret == -EBUSY ? KC_ERR_BUSY : KC_ERR_SYSTEM, -ret, "cannot disable %s",
					      loaded[i].name);
		KC_TRY(settle(job, loaded[i].name, false));
	}
	return NULL;
}

/* A transition to a new level goes back first; then the level below goes out. */
static struct kc_error *take_out(const struct job *job)
{
	size_t n_found = 0;

	KC_TRY(take_out_some(job, true, &n_found));
	KC_TRY(take_out_some(job, false, &n_found));
	return n_found ? NULL : kc_error_new(KC_ERR_NOTHING, "no patch of ours is in the kernel");
}

struct kc_error *kc_kernel_unload(struct kc_ctx *ctx, const struct kc_kernel_options *options,
				  struct kc_kernel_result *result)
{
	struct kc_signal_guard guard;
	struct job job = { .ctx = ctx, .options = options, .guard = &guard, .result = result };
	struct kc_error *err;

	memset(result, 0, sizeof(*result));
	if (kc_forced_is_noted())
		return kc_error_new(KC_ERR_FORCED,
				    "a transition was forced, so tasks may still be anywhere in the code: the patch "
				    "stays until the next boot; reboot to get rid of it");
	kc_signals_hold(&guard);
	err = take_out(&job);
	tidy_up_or_warn(ctx);
	kc_signals_release(&guard);
	return err;
}
