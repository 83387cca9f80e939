/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The units of this host, through systemctl(1). Under KCARE_ROOT those of an image, where nothing runs. */
#ifndef KC_CMD_SYSTEMD_H
#define KC_CMD_SYSTEMD_H

#include <stdbool.h>

#include "base/error.h"

/* Does systemd run here? As sd_booted(3). */
struct kc_error *systemd_is_here(bool *is_here);
/* `verb` is enable (and start) or disable (and stop). */
struct kc_error *systemd_set(const char *verb, const char *unit);

#endif
