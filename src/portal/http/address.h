/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses and networks as text: "10.0.0.0/8, 2001:db8::/32, 127.0.0.1". */
#ifndef KC_PORTAL_HTTP_ADDRESS_H
#define KC_PORTAL_HTTP_ADDRESS_H

#include <stdbool.h>

#include "base/error.h"

/* Separated by commas, semicolons or blanks. KC_ERR_INPUT names the one that is wrong. */
struct kc_error *kc_networks_check(const char *networks);
/* Is the address in one of them? IPv4-mapped IPv6 addresses count as IPv4. */
bool kc_networks_have(const char *networks, const char *address);

#endif
