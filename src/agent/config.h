/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /etc/sysconfig/kcare/kcare.conf: KEY=VALUE lines. Unknown keys and keys that come twice (the last one counts) are
 * logged as warnings; a bad value is KC_ERR_CONFIG with file and line. An empty value is as good as none. A rewritten
 * file keeps its comments, order, quotes and unknown keys. man kcare.conf(5) lists the keys.
 */
#ifndef KC_AGENT_CONFIG_H
#define KC_AGENT_CONFIG_H

#include "agent/sticky.h"
#include "apply/kernel.h"

enum kc_update_policy {
	KC_UPDATE_REMOTE,
	KC_UPDATE_LOCAL,
	KC_UPDATE_LOCAL_FIRST,
};

enum kc_userspace_kind { /* USERSPACE_PATCHES: what --userspace-update without a name updates */
			 KC_USERSPACE_LIBS = 1,
			 KC_USERSPACE_QEMU = 2,
};

enum { KC_DELAY_UNSET = -1 };

/* Texts are "" when unset. AUTO_… keys count in automatic runs, instead of the plain one: see the functions below. */
struct kc_config {
	bool auto_update;			   /* AUTO_UPDATE */
	enum kc_update_policy update_policy;	   /* UPDATE_POLICY */
	enum kc_freezer freezer;		   /* PATCH_METHOD: normal, nofreeze, smart */
	bool load_sysctl;			   /* LOAD_KCARE_SYSCTL */
	bool ignore_unknown_kernel;		   /* IGNORE_UNKNOWN_KERNEL */
	bool report_fqdn;			   /* REPORT_FQDN */
	char *patch_type;			   /* PATCH_TYPE: "default", "extra", "free" */
	char *patch_server;			   /* PATCH_SERVER: http:// or https://, without '/' at its end */
	char *prefix;				   /* PREFIX: a feed, or "12h", "24h", "48h" */
	bool prefix_is_for_once;		   /* kc_config_use_prefix() */
	int64_t update_delay_s;			   /* UPDATE_DELAY */
	int64_t auto_update_delay_s;		   /* AUTO_UPDATE_DELAY */
	struct kc_sticky sticky;		   /* STICKY_PATCH */
	struct kc_sticky auto_sticky;		   /* AUTO_STICKY_PATCH */
	unsigned sticky_limit_days;		   /* STICKY_LIMIT; 0: none */
	char *sticky_patchset;			   /* STICKY_PATCHSET: "K20230908_02" */
	char *auto_sticky_patchset;		   /* AUTO_STICKY_PATCHSET */
	unsigned userspace;			   /* USERSPACE_PATCHES: enum kc_userspace_kind */
	bool libcare_disabled;			   /* LIBCARE_DISABLED: set by --disable-libcare */
	char *http_proxy, *https_proxy, *no_proxy; /* HTTP_PROXY, HTTPS_PROXY, NO_PROXY: before the environment */
	char *registration_url;			   /* REGISTRATION_URL; "": below PATCH_SERVER */
	char *tags;				   /* TAGS: "env:prod;ubuntu" */
	/* what the portal said of the key that this host is registered with: kc_config_use_terms() */
	bool has_terms;
	char *key_feed;	  /* counts while PREFIX is unset */
	char *key_sticky; /* "2026-11-20", "yesterday" or "": what STICKY_PATCH=KEY means */
};

/* The feed that PREFIX names, or the key's; delays are those of "main". */
const char *kc_config_feed(const struct kc_config *config);
/* What was released less than so long ago is left out: the larger one of what PREFIX and [AUTO_]UPDATE_DELAY say. */
int64_t kc_config_delay_s(const struct kc_config *config, bool is_automatic);
const struct kc_sticky *kc_config_sticky(const struct kc_config *config, bool is_automatic);
const char *kc_config_patchset(const struct kc_config *config, bool is_automatic);

/* Without a file all keys have their defaults. The terms of the key are those of the last answer. */
struct kc_error *kc_config_load(struct kc_ctx *ctx, struct kc_config *config);
/* The same from memory; `name` is for messages. On failure `config` holds what was read so far. */
struct kc_error *kc_config_parse(struct kc_ctx *ctx, const char *name, const char *text, size_t size,
				 struct kc_config *config);
/* The terms of the key as they are on disk now; those that make no sense are warned of. */
struct kc_error *kc_config_use_terms(struct kc_ctx *ctx, struct kc_config *config);
/* PREFIX for this run only. KC_ERR_USAGE: no prefix. */
struct kc_error *kc_config_use_prefix(struct kc_config *config, const char *prefix);
/* Sets one key and keeps everything else as it is; NULL removes it. Makes the file when there is none. */
struct kc_error *kc_config_set(struct kc_ctx *ctx, const char *key, const char *value);
/* The same in memory: `text` with the change is appended to `out`. KC_ERR_INPUT: the value cannot be written. */
struct kc_error *kc_config_rewrite(const char *text, size_t size, const char *key, const char *value,
				   struct kc_buf *out);
void kc_config_clear(struct kc_config *config);

#define KC_CLEANUP_CONFIG KC_CLEANUP(kc_config_clear)

#endif
