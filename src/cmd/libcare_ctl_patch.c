/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcare-ctl patch: brings patch files into one process or into all. */
#include "cmd/libcare_switch.h"

static struct kc_error *patch(struct kc_ctx *ctx, const struct libcare_switch *run, pid_t pid,
			      struct kc_user_result *result)
{
	struct kc_user_policy policy = libcare_host_policy(&run->host, run->wait_ms);

	return kc_user_apply(ctx, &policy, pid, result);
}

struct kc_error *libcare_patch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP_LIBCARE_SWITCH struct libcare_switch run = { 0 };

	KC_TRY(libcare_switch_parse(ctx, argc, argv, &run));
	KC_TRY(kc_command_need_arguments(argc, 1, "FILE or DIR"));
	KC_TRY(libcare_host_load(ctx, run.argument, &run.host));
	return libcare_switch_run(ctx, terminal, &run, "patched", patch);
}
