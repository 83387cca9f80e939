/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the texts that the portal parses itself. The first byte says which: 'r' a Range header, 'a' an address
 * as proxies write it, 'n' networks, 'l' where to listen, 'c' a line KEY=VALUE of the configuration.
 */
#include <stdlib.h>
#include <string.h>

#include "portal/config.h"
#include "portal/http/address.h"
#include "portal/http/static.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void take_range(const char *text)
{
	static const uint64_t sizes[] = { 0, 1, 10, 1 << 20, INT64_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t offset = 0, size = 0;

		if (kc_http_range_parse(text, sizes[i], &offset, &size) == KC_HTTP_RANGE_PART)
			must(size > 0 && offset < sizes[i] && size <= sizes[i] - offset);
	}
}

/* What is an address is the same one when it was written by us. */
static void take_address(const char *text)
{
	struct kc_address address, again;
	char written[KC_ADDRESS_TEXT_SIZE];

	if (!kc_address_parse(text, &address))
		return;
	kc_address_text(&address, written);
	must(kc_address_parse(written, &again) && kc_address_equals(&address, &again));
}

static void take_networks(const char *text)
{
	kc_autoerror struct kc_error *err = kc_networks_check(text);
	struct kc_network *networks = NULL;
	size_t n = 0;

	(void)kc_networks_have(text, "192.0.2.1");
	if (err)
		return;
	must(!kc_networks_parse(text, &networks, &n));
	for (size_t i = 0; i < n; i++)
		must(networks[i].n_bits <= 128 && kc_network_has(&networks[i], &networks[i].address));
	free(networks);
}

static void take_listen(const char *text)
{
	struct sockaddr_storage address;
	socklen_t size;

	kc_error_free(kc_listen_parse(text, &address, &size));
}

static void take_setting(char *text)
{
	KC_CLEANUP_PORTAL_CONFIG struct kc_portal_config config = { 0 };
	char *value = strchr(text, '=');

	must(!kc_portal_config_init(&config));
	if (!value)
		return;
	*value++ = '\0';
	kc_error_free(kc_portal_config_set(&config, "config:1", text, value));
	must(config.threads && config.connections && config.listen && config.upstream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kc_autofree char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;

	if (!text)
		return 0;
	switch (*data) {
	case 'r':
		take_range(text);
		break;
	case 'a':
		take_address(text);
		break;
	case 'n':
		take_networks(text);
		break;
	case 'l':
		take_listen(text);
		break;
	default:
		take_setting(text);
	}
	return 0;
}
