/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The products of patchsets as the API names them. */
#ifndef KC_PORTAL_API_PRODUCT_H
#define KC_PORTAL_API_PRODUCT_H

#include "portal/api/args.h"
#include "portal/portal.h"

/* "kernel", "user" or "libcare", "qemu": 'K', 'U', 'Q'; what is not there leaves `*product` alone. KC_ERR_INPUT. */
struct kc_error *kc_args_product(struct kc_args *args, char *product);
/* "K20261123_01", "U20261123_01", "U20261123_01-qemu": needed. KC_ERR_INPUT. */
struct kc_error *kc_args_patchset(struct kc_args *args, const char **patchset);
/* The feed that is named, else `main`; it must be there. */
struct kc_error *kc_args_feed(struct kc_args *args, const struct kc_portal *portal, const char **feed);

#endif
