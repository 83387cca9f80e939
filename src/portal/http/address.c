/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"

#define SEPARATORS ",; \t\r\n"

static const uint8_t ipv4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_ipv4(const struct kc_address *address)
{
	return !memcmp(address->bytes, ipv4_prefix, sizeof(ipv4_prefix));
}

/* Just the address, as inet_pton(3) takes it. */
static bool parse_bare(const char *text, struct kc_address *address)
{
	if (inet_pton(AF_INET6, text, address->bytes) == 1)
		return true;
	memcpy(address->bytes, ipv4_prefix, sizeof(ipv4_prefix));
	return inet_pton(AF_INET, text, address->bytes + sizeof(ipv4_prefix)) == 1;
}

static bool is_port(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && n < 6 && !text[n];
}

bool kc_address_parse(const char *text, struct kc_address *address)
{
	char bare[KC_ADDRESS_TEXT_SIZE + 1];
	bool has_brackets = *text == '[';
	size_t size;

	text += has_brackets;
	if (has_brackets)
		size = strcspn(text, "]");
	else if (strchr(text, '.') && strchr(text, ':') == strrchr(text, ':'))
		size = strcspn(text, ":"); /* IPv4, with a port or without */
	else
		size = strlen(text);
	if (size >= sizeof(bare) || (has_brackets && text[size] != ']'))
		return false;
	memcpy(bare, text, size);
	bare[size] = '\0';
	text += size + has_brackets;
	if (*text && (*text != ':' || !is_port(text + 1)))
		return false;
	return parse_bare(bare, address);
}

void kc_address_of(const struct sockaddr *socket_address, struct kc_address *address)
{
	*address = (struct kc_address){ 0 };
	if (socket_address->sa_family == AF_INET6) {
		memcpy(address->bytes, &((const struct sockaddr_in6 *)(const void *)socket_address)->sin6_addr, 16);
	} else if (socket_address->sa_family == AF_INET) {
		memcpy(address->bytes, ipv4_prefix, sizeof(ipv4_prefix));
		memcpy(address->bytes + sizeof(ipv4_prefix),
		       &((const struct sockaddr_in *)(const void *)socket_address)->sin_addr, 4);
	}
}

void kc_address_text(const struct kc_address *address, char text[KC_ADDRESS_TEXT_SIZE])
{
	bool ipv4 = is_ipv4(address);

	inet_ntop(ipv4 ? AF_INET : AF_INET6, address->bytes + (ipv4 ? sizeof(ipv4_prefix) : 0), text,
		  KC_ADDRESS_TEXT_SIZE);
}

bool kc_address_equals(const struct kc_address *a, const struct kc_address *b)
{
	return !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool kc_address_is_loopback(const struct kc_address *address)
{
	static const uint8_t one[16] = { [15] = 1 };

	return is_ipv4(address) ? address->bytes[12] == 127 : !memcmp(address->bytes, one, sizeof(one));
}

struct kc_address kc_address_to_count(const struct kc_address *address)
{
	struct kc_address counted = *address;

	if (!is_ipv4(address))
		memset(counted.bytes + 8, 0, 8);
	return counted;
}

bool kc_network_has(const struct kc_network *network, const struct kc_address *address)
{
	unsigned n_bytes = network->n_bits / 8, rest = network->n_bits % 8;

	if (memcmp(network->address.bytes, address->bytes, n_bytes))
		return false;
	return !rest || !((network->address.bytes[n_bytes] ^ address->bytes[n_bytes]) >> (8 - rest));
}

/* "10.0.0.0/8", "2001:db8::1" */
static bool parse_network(char *text, struct kc_network *network)
{
	char *slash = strchr(text, '/'), *end;
	unsigned long n_bits;
	bool ipv4;

	if (slash)
		*slash = '\0';
	if (!parse_bare(text, &network->address))
		return false;
	ipv4 = !strchr(text, ':');
	network->n_bits = 128;
	if (!slash)
		return true;
	if (!is_port(slash + 1))
		return false;
	n_bits = strtoul(slash + 1, &end, 10);
	if (n_bits > (ipv4 ? 32 : 128))
		return false;
	network->n_bits = (unsigned)n_bits + (ipv4 ? 96 : 0);
	return true;
}

struct kc_error *kc_networks_parse(const char *text, struct kc_network **networks, size_t *n_networks)
{
	kc_autofree struct kc_network *found = NULL;
	struct kc_network *network;
	size_t n = 0, size;

	for (text += strspn(text, SEPARATORS); *text; text += strspn(text, SEPARATORS)) {
		char one[KC_ADDRESS_TEXT_SIZE + 4];

		size = strcspn(text, SEPARATORS);
		network = kc_array_add(&found, &n);
		if (!network)
			return kc_error_no_memory();
		memcpy(one, text, size < sizeof(one) ? size : 0);
		one[size < sizeof(one) ? size : 0] = '\0';
		if (!parse_network(one, network))
			return kc_error_new(KC_ERR_INPUT,
					    "'%.*s' is no address and no network, such as 192.0.2.1 or 2001:db8::/32",
					    size < 80 ? (int)size : 80, text);
		text += size;
	}
	*networks = kc_steal(found);
	*n_networks = n;
	return NULL;
}

struct kc_error *kc_networks_check(const char *networks)
{
	kc_autofree struct kc_network *parsed = NULL;
	size_t n;

	return kc_networks_parse(networks, &parsed, &n);
}

bool kc_networks_have(const char *networks, const char *address)
{
	kc_autofree struct kc_network *parsed = NULL;
	kc_autoerror struct kc_error *err = NULL;
	struct kc_address wanted;
	size_t n = 0;

	if (!kc_address_parse(address, &wanted))
		return false;
	err = kc_networks_parse(networks, &parsed, &n);
	for (size_t i = 0; !err && i < n; i++)
		if (kc_network_has(&parsed[i], &wanted))
			return true;
	return false;
}

struct kc_error *kc_listen_parse(const char *text, struct sockaddr_storage *address, socklen_t *size)
{
	const char *colon = strrchr(text, ':');
	struct sockaddr_in6 *ipv6 = (void *)address;
	struct sockaddr_in *ipv4 = (void *)address;
	struct kc_address parsed;
	unsigned long port = 0;

	*address = (struct sockaddr_storage){ 0 };
	if (colon && is_port(colon + 1))
		port = strtoul(colon + 1, NULL, 10);
	/* "::1:80" may be an address without a port: brackets tell */
	if (!colon || !is_port(colon + 1) || port > 65535 || (*text != '[' && strchr(text, ':') != colon) ||
	    !kc_address_parse(text, &parsed))
		return kc_error_new(KC_ERR_INPUT, "'%.80s' is not ADDRESS:PORT, such as 127.0.0.1:8142 or [::]:443",
				    text);
	if (*text == '[') {
		ipv6->sin6_family = AF_INET6;
		ipv6->sin6_port = htons((uint16_t)port);
		memcpy(&ipv6->sin6_addr, parsed.bytes, 16);
		*size = sizeof(*ipv6);
	} else {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons((uint16_t)port);
		memcpy(&ipv4->sin_addr, parsed.bytes + sizeof(ipv4_prefix), 4);
		*size = sizeof(*ipv4);
	}
	return NULL;
}
