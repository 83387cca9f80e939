/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /etc/sysconfig/kcare/kcare.conf: KEY=VALUE lines. Unknown keys warn, bad values are KC_ERR_CONFIG with file and line.
 * A rewritten file keeps its comments, order and unknown keys.
 */
#ifndef KC_AGENT_CONFIG_H
#define KC_AGENT_CONFIG_H

#include "apply/kernel.h"

enum kc_update_policy {
	KC_UPDATE_REMOTE,
	KC_UPDATE_LOCAL,
	KC_UPDATE_LOCAL_FIRST,
};

struct kc_config {
	bool auto_update;		     /* AUTO_UPDATE */
	enum kc_update_policy update_policy; /* UPDATE_POLICY */
	enum kc_freezer freezer;	     /* PATCH_METHOD: normal, nofreeze, smart */
	bool load_sysctl;		     /* LOAD_KCARE_SYSCTL */
	bool ignore_unknown_kernel;	     /* IGNORE_UNKNOWN_KERNEL */
	char *patch_type;		     /* PATCH_TYPE: "default", "extra", "free" */
	char *prefix;			     /* PREFIX, "" when unset */
};

struct kc_error *kc_config_load(struct kc_ctx *ctx, struct kc_config *config);
/* Sets one key and keeps everything else as it is; NULL removes it. */
struct kc_error *kc_config_set(struct kc_ctx *ctx, const char *key, const char *value);
void kc_config_clear(struct kc_config *config);

#endif
