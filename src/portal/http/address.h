/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses and networks as text: "10.0.0.0/8, 2001:db8::/32, 127.0.0.1". IPv4-mapped IPv6 addresses count as IPv4, in
 * both: "::ffff:10.0.0.1" is in "10.0.0.0/8".
 */
#ifndef KC_PORTAL_HTTP_ADDRESS_H
#define KC_PORTAL_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

enum { KC_ADDRESS_TEXT_SIZE = 46 }; /* INET6_ADDRSTRLEN */

struct kc_address {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* Takes what proxies write, too: "192.0.2.1:1234", "[2001:db8::1]", "[2001:db8::1]:1234". */
bool kc_address_parse(const char *text, struct kc_address *address);
/* Of a socket; all zeros for one that is none of IPv4 and IPv6. */
void kc_address_of(const struct sockaddr *socket_address, struct kc_address *address);
void kc_address_text(const struct kc_address *address, char text[KC_ADDRESS_TEXT_SIZE]);
bool kc_address_equals(const struct kc_address *a, const struct kc_address *b);
bool kc_address_is_loopback(const struct kc_address *address);
/* Who can have one address of a network of IPv6 can have all of them: what is counted is the /64. */
struct kc_address kc_address_to_count(const struct kc_address *address);

struct kc_network {
	struct kc_address address;
	unsigned n_bits; /* 0 to 128 */
};
/* Separated by commas, semicolons or blanks. KC_ERR_INPUT names the one that is wrong. The caller frees `*networks`. */
struct kc_error *kc_networks_parse(const char *text, struct kc_network **networks, size_t *n_networks);
bool kc_network_has(const struct kc_network *network, const struct kc_address *address);

/* The same for those that have only texts. */
struct kc_error *kc_networks_check(const char *networks);
/* Is the address in one of them? No for texts that are wrong. */
bool kc_networks_have(const char *networks, const char *address);

/* "127.0.0.1:8142", "[::1]:0": numbers only. KC_ERR_INPUT. */
struct kc_error *kc_listen_parse(const char *text, struct sockaddr_storage *address, socklen_t *size);

#endif
