/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is forgotten by the clock: old check-ins, audit lines and reports, as the configuration says. */
#ifndef KC_PORTAL_UPKEEP_H
#define KC_PORTAL_UPKEEP_H

#include "portal/portal.h"

/* A kc_worker_start() `due`: `data` is a struct kc_portal *. */
int64_t kc_upkeep_due(void *data);

#endif
