/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcare-ctl unpatch: restores the original code of one process or of all. */
#include "cmd/libcare_switch.h"

struct kc_error *libcare_unpatch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP_LIBCARE_SWITCH struct libcare_switch run = { 0 };

	KC_TRY(libcare_switch_parse(ctx, argc, argv, &run));
	if (argc - optind > 1)
		return kc_command_need_arguments(argc, 1, "at most one PATCHSET");
	KC_TRY(libcare_host_load(ctx, NULL, &run.host));
	return libcare_switch_run(ctx, terminal, &run, "unpatched", libcare_unpatch_process);
}
