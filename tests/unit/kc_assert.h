/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cmocka does not know: our errors. Both take over `err`, and end the test with its message when it is not so. */
#ifndef KC_TESTS_KC_ASSERT_H
#define KC_TESTS_KC_ASSERT_H

#include "base/error.h"

/* Of that kind, and its message contains `text`. */
void assert_kc_error(struct kc_error *err, enum kc_error_code code, const char *text);
void assert_kc_ok(struct kc_error *err);

#endif
