/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The values of kcare.conf, by kind: each reads one that is not empty into its field. Private to this room. */
#ifndef KC_AGENT_CONFIG_VALUE_H
#define KC_AGENT_CONFIG_VALUE_H

#include "base/error.h"

/* KC_ERR_CONFIG says what is allowed. */
typedef struct kc_error *kc_config_value_fn(const char *value, void *field);

kc_config_value_fn kc_value_ignored;  /* a key of the reference that nothing here reads */
kc_config_value_fn kc_value_boolean;  /* bool */
kc_config_value_fn kc_value_policy;   /* enum kc_update_policy */
kc_config_value_fn kc_value_method;   /* enum kc_freezer */
kc_config_value_fn kc_value_type;     /* char *, allocated, as all texts */
kc_config_value_fn kc_value_feed;     /* char *: a name that becomes a part of paths and URLs */
kc_config_value_fn kc_value_url;      /* char *: http or https, without '/' at its end */
kc_config_value_fn kc_value_proxy;    /* char *: a URL with or without scheme */
kc_config_value_fn kc_value_tags;     /* char *: "env:prod;ubuntu" */
kc_config_value_fn kc_value_hosts;    /* char *: a list as NO_PROXY has it */
kc_config_value_fn kc_value_patchset; /* char *: "K20230908_02" */
kc_config_value_fn kc_value_delay;    /* int64_t: seconds, of "12h" or "3d" */
kc_config_value_fn kc_value_sticky;   /* struct kc_sticky */
kc_config_value_fn kc_value_days;     /* unsigned */
kc_config_value_fn kc_value_kinds;    /* unsigned: KC_USERSPACE_LIBS | KC_USERSPACE_QEMU */

struct kc_error *kc_value_text(const char *value, void *field);

#endif
