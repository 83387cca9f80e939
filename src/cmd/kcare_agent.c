/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcare-agent: what kcarectl becomes when it is to change something, or to look at a kernel that the agent has not seen
 * yet. Not for calling by hand.
 */
#include "agent/update.h"
#include "cmd/kcarectl.h"

/* The sanitizer's leak check would trace this program, which then could not trace others. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static struct kc_error *run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv, int *status)
{
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	struct kcarectl_request request;

	KC_TRY(kcarectl_parse(ctx, argc, argv, &request));
	*status = kcarectl_failed_status(&request);
	if (kcarectl_is_userspace(&request))
		return kcarectl_userspace(ctx, terminal, &request);
	if (kcarectl_is_portal(&request))
		return kcarectl_portal(ctx, &request);
	if (!kcarectl_is_look(&request))
		return kcarectl_change(ctx, &request, status);
	KC_TRY(kc_kernel_read(ctx, &kernel));
	return kcarectl_look(ctx, &request, &kernel, status);
}

int main(int argc, char **argv)
{
	return kcarectl_main(run, argc, argv);
}
