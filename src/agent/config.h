/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /etc/sysconfig/kcare/kcare.conf: KEY=VALUE lines. Unknown keys and keys that come twice (the last one counts) are
 * logged as warnings; a bad value is KC_ERR_CONFIG with file and line. An empty value is as good as none. A rewritten
 * file keeps its comments, order, quotes and unknown keys. man kcare.conf(5) lists the keys.
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
	bool report_fqdn;		     /* REPORT_FQDN */
	char *patch_type;		     /* PATCH_TYPE: "default", "extra", "free" */
	char *prefix;			     /* PREFIX, "" when unset */
	char *patch_server;		     /* PATCH_SERVER, "" when unset */
};

/* Without a file all keys have their defaults. */
struct kc_error *kc_config_load(struct kc_ctx *ctx, struct kc_config *config);
/* The same from memory; `name` is for messages. On failure `config` holds what was read so far. */
struct kc_error *kc_config_parse(struct kc_ctx *ctx, const char *name, const char *text, size_t size,
				 struct kc_config *config);
/* Sets one key and keeps everything else as it is; NULL removes it. Makes the file when there is none. */
struct kc_error *kc_config_set(struct kc_ctx *ctx, const char *key, const char *value);
/* The same in memory: `text` with the change is appended to `out`. KC_ERR_INPUT: the value cannot be written. */
struct kc_error *kc_config_rewrite(const char *text, size_t size, const char *key, const char *value,
				   struct kc_buf *out);
void kc_config_clear(struct kc_config *config);

#define KC_CLEANUP_CONFIG KC_CLEANUP(kc_config_clear)

#endif
