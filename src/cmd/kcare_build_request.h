/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options that `kcare-build prepare` and `kcare-build user` share. */
#ifndef KC_CMD_KCARE_BUILD_REQUEST_H
#define KC_CMD_KCARE_BUILD_REQUEST_H

#include <stdbool.h>

#include "build/user.h"

struct kc_request {
	struct kc_build_user_request user;
	const char **fixes, **allowed; /* with a place for the closing NULL */
	size_t n_fixes, n_allowed;
	char *package;
	bool print_path; /* prepare: say where */
};

/* Options up to the first argument that is none; `optind` stays there. Strings are borrowed from `argv`. */
struct kc_error *kc_request_parse(struct kc_request *request, int argc, char **argv);
/* "PACKAGE=VERSION" */
struct kc_error *kc_request_set_package(struct kc_request *request, const char *argument);
void kc_request_clear(struct kc_request *request);

#endif
