/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/config.h"

#include <stdlib.h>
#include <string.h>

void kc_config_clear(struct kc_config *config)
{
	free(config->patch_type);
	free(config->prefix);
	memset(config, 0, sizeof(*config));
}
