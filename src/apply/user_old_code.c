/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_old_code.h"

#include <errno.h>
#include <time.h>

#include "apply/user_internal.h"
#include "apply/user_stack.h"
#include "base/array.h"
#include "patch/user_payload.h"
#include "proc/thread.h"

#define LOOKS_MAX 10

/* All of the original but its entry, which is the jump to the new code now. */
static struct kc_error *forbid_original(struct kc_forbidden *forbidden, uint64_t bias,
					const struct kc_payload_function *function)
{
	uint64_t behind = function->addr + function->jump_offset + KC_JUMP_SIZE;

	for (size_t i = 0; i < function->n_fragments; i++) {
		const struct kc_payload_fragment *fragment = &function->fragments[i];
		uint64_t skip = behind - fragment->addr <= fragment->size ? behind - fragment->addr : 0;

		KC_TRY(kc_forbidden_add_range(forbidden, bias + fragment->addr + skip, fragment->size - skip));
	}
	for (size_t i = 0; i < function->n_returns; i++)
		KC_TRY(kc_forbidden_add_return(forbidden, bias + function->returns[i]));
	return NULL;
}

/* False only if the thread is provably outside. */
static bool may_be_inside(const struct kc_transition *transition, pid_t tid, struct kc_scratch *scratch)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	pid_t pid = transition->view->pid;
	struct kc_thread_look look, again;
	struct kc_hit hit;

	for (int i = 0; i < LOOKS_MAX; i++) {
		int err = kc_thread_look(pid, tid, &look);

		if (err == -ESRCH)
			return false;
		if (!err && look.blocked) {
			enum kc_verdict verdict = kc_stack_search(transition, pid, look.pc, look.sp, 0, scratch, &hit);

			if (verdict != KC_VERDICT_OUTSIDE ||
			    (!kc_thread_look(pid, tid, &again) && kc_thread_look_same(&look, &again)))
				return verdict != KC_VERDICT_OUTSIDE;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

static struct kc_error *find_threads(const struct kc_transition *transition, pid_t **tids, size_t *n)
{
	kc_autofree struct kc_scratch *scratch = malloc(sizeof(*scratch));
	size_t n_inside = 0;

	if (!scratch)
		return kc_error_no_memory();
	if (kc_thread_list(transition->view->pid, tids, n))
		return kc_error_new(KC_ERR_EXITED, "the process has ended");
	for (size_t i = 0; i < *n; i++) {
		if (may_be_inside(transition, (*tids)[i], scratch))
			(*tids)[n_inside++] = (*tids)[i];
	}
	*n = n_inside;
	return NULL;
}

struct kc_error *kc_user_old_code(struct kc_ctx *ctx, const struct kc_process_view *view,
				  const struct kc_object *object, const struct kc_patch *patch, pid_t **tids, size_t *n)
{
	const struct kc_patch_payload *file = kc_patch_payload_find(patch, KC_PAYLOAD_NAME);
	KC_CLEANUP(kc_gadgets_clear) struct kc_gadgets gadgets = { 0 };
	kc_autopayload struct kc_payload *payload = NULL;
	struct kc_transition transition = { .view = (struct kc_process_view *)view };
	struct kc_error *err = NULL;

	*tids = NULL;
	*n = 0;
	if (!file)
		return kc_error_new(KC_ERR_INPUT, "the patch has no %s", KC_PAYLOAD_NAME);
	KC_TRY(kc_payload_parse(ctx, object->name, file->data, file->size, &payload));
	KC_TRY(kc_gadgets_find(ctx, view, &gadgets));
	transition.restorers = gadgets.restorers;
	transition.n_restorers = gadgets.n_restorers;
	for (size_t i = 0; i < payload->n_functions && !err; i++)
		err = forbid_original(&transition.forbidden, object->bias, &payload->functions[i]);
	kc_forbidden_finish(&transition.forbidden);
	if (!err)
		err = find_threads(&transition, tids, n);
	kc_forbidden_clear(&transition.forbidden);
	return err;
}
