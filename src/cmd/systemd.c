/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/systemd.h"

#include "apply/user_paths.h"
#include "base/process.h"

#define PATH_SYSTEMD "/run/systemd/system"

struct kc_error *systemd_is_here(bool *is_here)
{
	kc_autofree char *path = kc_user_path(PATH_SYSTEMD);

	if (!path)
		return kc_error_no_memory();
	*is_here = !access(path, F_OK);
	return NULL;
}

struct kc_error *systemd_set(const char *verb, const char *unit)
{
	const char *root = secure_getenv("KCARE_ROOT");
	kc_autofree char *where = NULL;
	kc_autobuf struct kc_buf output = { 0 };
	int code, err;

	if (asprintf(&where, root ? "--root=%s" : "--now", root ? root : "") < 0) {
		where = NULL;
		return kc_error_no_memory();
	}
	err = kc_process_run(
		&(struct kc_process){ .argv = (const char *[]){ "systemctl", "--quiet", where, verb, unit, NULL },
				      .output = &output },
		&code);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot run systemctl");
	while (output.size && output.data[output.size - 1] == '\n')
		output.data[--output.size] = '\0';
	if (code)
		return kc_error_new(KC_ERR_SYSTEM, "systemctl %s %s: %s", verb, unit,
				    output.size ? output.data : "it failed and does not say why");
	return NULL;
}
