/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build user: from fixes to patch files for the libraries and programs of a package, or for one linked file. */
#include "cmd/kcare_build.h"

#include "build/user.h"
#include "cmd/kcare_build_request.h"

struct kc_error *kc_build_user_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(kc_request_clear) struct kc_request request = { 0 };
	char **paths = NULL;

	KC_TRY(kc_request_parse(&request, argc, argv));
	if (request.user.elf_path) {
		KC_TRY(kc_command_need_arguments(argc, 0, "--elf, without PACKAGE=VERSION"));
	} else {
		KC_TRY(kc_command_need_arguments(argc, 1, "PACKAGE=VERSION"));
		KC_TRY(kc_request_set_package(&request, argv[optind]));
	}
	KC_TRY(kc_build_user(ctx, &request.user, &paths));
	kc_terminal_clear(terminal);
	for (char **path = paths; *path; path++) {
		printf("%s\n", *path);
		free(*path);
	}
	free(paths);
	return NULL;
}
