/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Our side of the helper: starting it, handing it work, reading its answers. */
#include "fetch/fetch.h"

void kc_fetch_free(struct kc_fetch *fetch)
{
	free(fetch);
}
