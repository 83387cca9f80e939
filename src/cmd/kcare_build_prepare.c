/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build prepare: fetches and configures a package or a kernel, so that later builds only compile. */
#include "cmd/kcare_build.h"

#include <string.h>

#include "build/user.h"
#include "cmd/kcare_build_kernel.h"
#include "cmd/kcare_build_request.h"

struct kc_error *kc_build_prepare_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(kc_request_clear) struct kc_request request = { 0 };
	kc_autofree char *path = NULL;

	if (argc > 1 && !strcmp(argv[1], "kernel"))
		return kc_build_prepare_kernel_run(ctx, terminal, argc, argv);
	KC_TRY(kc_request_parse(&request, argc, argv));
	KC_TRY(kc_command_need_arguments(argc, 2, "user PACKAGE=VERSION"));
	if (strcmp(argv[optind], "user"))
		return kc_error_new(KC_ERR_USAGE, "cannot prepare \"%s\"; there are \"user\" and \"kernel\"",
				    argv[optind]);
	KC_TRY(kc_request_set_package(&request, argv[optind + 1]));
	KC_TRY(kc_build_user_prepare(ctx, &request.user, &path));
	kc_terminal_clear(terminal);
	if (request.print_path)
		printf("%s\n", path);
	return NULL;
}
