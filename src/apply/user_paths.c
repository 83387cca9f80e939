/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_paths.h"

#include <stdio.h>
#include <stdlib.h>

char *kc_user_path(const char *fixed)
{
	const char *root = secure_getenv("KCARE_ROOT");
	char *path;

	return asprintf(&path, "%s%s", root ? root : "", fixed) < 0 ? NULL : path;
}
