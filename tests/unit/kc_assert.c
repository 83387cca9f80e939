/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kc_assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void assert_kc_error(struct kc_error *err, enum kc_error_code code, const char *text)
{
	if (!err)
		fail_msg("no error, expected %s with '%s'", kc_error_code_name(code), text);
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), text))
		fail_msg("%s: %s, expected %s with '%s'", kc_error_code_name(kc_error_code(err)), kc_error_message(err),
			 kc_error_code_name(code), text);
	kc_error_free(err);
}

void assert_kc_ok(struct kc_error *err)
{
	if (err)
		fail_msg("%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
}
