/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcare-ctl patch: brings patch files into one process or into all. */
#include "cmd/libcare_switch.h"

struct kc_error *libcare_patch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP_LIBCARE_SWITCH struct libcare_switch run = { 0 };

	KC_TRY(libcare_switch_parse(ctx, argc, argv, &run));
	KC_TRY(kc_command_need_arguments(argc, 1, "FILE or DIR"));
	KC_TRY(libcare_host_load(ctx, run.argument, &run.host));
	if (!kc_user_index_size(run.host.index))
		kc_warning(ctx, "there are no patch files (*.kpatch) for processes in %s", run.argument);
	return libcare_switch_run(ctx, terminal, &run, "patched", libcare_patch_process);
}
