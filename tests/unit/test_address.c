/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses, networks and where to listen, as text. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "kc_assert.h"
#include "portal/http/address.h"

static void assert_address(const char *text, const char *expected)
{
	char found[KC_ADDRESS_TEXT_SIZE];
	struct kc_address address;

	if (!kc_address_parse(text, &address))
		fail_msg("'%s' is no address", text);
	kc_address_text(&address, found);
	assert_string_equal(found, expected);
}

static void test_addresses_are_read(void **state)
{
	(void)state;
	assert_address("192.0.2.1", "192.0.2.1");
	assert_address("192.0.2.1:1234", "192.0.2.1");
	assert_address("::ffff:192.0.2.1", "192.0.2.1");
	assert_address("[::ffff:192.0.2.1]:80", "192.0.2.1");
	assert_address("2001:DB8::1", "2001:db8::1");
	assert_address("[2001:db8::1]", "2001:db8::1");
	assert_address("[2001:db8::1]:65535", "2001:db8::1");
	assert_address("::", "::");
}

static void test_other_texts_are_none(void **state)
{
	static const char *const wrong[] = {
		"",
		"x",
		"192.0.2",
		"192.0.2.256",
		"192.0.2.1.",
		"192.0.2.1:",
		"192.0.2.1:x",
		"192.0.2.1:123456",
		" 192.0.2.1",
		"0x7f.0.0.1",
		"[192.0.2.1",
		"[2001:db8::1",
		"[2001:db8::1]x",
		"[]",
		"2001:db8::g",
		"fe80::1%eth0",
		"unknown",
		"_hidden",
		"2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
	};
	struct kc_address address;

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(wrong); i++)
		if (kc_address_parse(wrong[i], &address))
			fail_msg("'%s' is an address", wrong[i]);
}

static void test_networks_have_addresses(void **state)
{
	static const char networks[] = "10.0.0.0/8; 192.0.2.7,\t2001:db8::/33\n::1 172.16.0.0/12";

	(void)state;
	assert_null(kc_networks_check(networks));
	assert_true(kc_networks_have(networks, "10.255.0.1"));
	assert_true(kc_networks_have(networks, "::ffff:10.255.0.1"));
	assert_false(kc_networks_have(networks, "11.0.0.1"));
	assert_true(kc_networks_have(networks, "192.0.2.7"));
	assert_false(kc_networks_have(networks, "192.0.2.6"));
	assert_true(kc_networks_have(networks, "2001:db8:7fff::1"));
	assert_false(kc_networks_have(networks, "2001:db8:8000::1"));
	assert_true(kc_networks_have(networks, "::1"));
	assert_false(kc_networks_have(networks, "::2"));
	assert_true(kc_networks_have(networks, "172.31.255.255"));
	assert_false(kc_networks_have(networks, "172.32.0.0"));
	assert_false(kc_networks_have(networks, "nobody"));
	assert_false(kc_networks_have("", "10.0.0.1"));
	assert_true(kc_networks_have("0.0.0.0/0", "10.0.0.1"));
	assert_false(kc_networks_have("0.0.0.0/0", "2001:db8::1"));
	assert_true(kc_networks_have("::/0", "10.0.0.1"));
	assert_true(kc_networks_have("::ffff:10.0.0.0/104", "10.1.2.3"));
}

static void test_wrong_networks_are_named(void **state)
{
	(void)state;
	assert_null(kc_networks_check(" ,; "));
	assert_kc_error(kc_networks_check("10.0.0.0/33"), KC_ERR_INPUT, "'10.0.0.0/33'");
	assert_kc_error(kc_networks_check("10.0.0.1, 10.0.0.0/"), KC_ERR_INPUT, "'10.0.0.0/'");
	assert_kc_error(kc_networks_check("2001:db8::/129"), KC_ERR_INPUT, "2001:db8::/129");
	assert_kc_error(kc_networks_check("10.0.0.0/-1"), KC_ERR_INPUT, "/-1");
	assert_kc_error(kc_networks_check("example.org"), KC_ERR_INPUT, "example.org");
	assert_kc_error(kc_networks_check("2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001"),
			KC_ERR_INPUT, "2001:db8:0000");
}

static void test_ipv6_is_counted_by_network(void **state)
{
	struct kc_address a, b, c;

	(void)state;
	assert_true(kc_address_parse("2001:db8:1:2:3::4", &a) && kc_address_parse("2001:db8:1:2:5::6", &b) &&
		    kc_address_parse("2001:db8:1:3::", &c));
	a = kc_address_to_count(&a);
	b = kc_address_to_count(&b);
	c = kc_address_to_count(&c);
	assert_true(kc_address_equals(&a, &b));
	assert_false(kc_address_equals(&a, &c));
	assert_true(kc_address_parse("192.0.2.1", &a) && kc_address_parse("192.0.2.2", &b));
	a = kc_address_to_count(&a);
	b = kc_address_to_count(&b);
	assert_false(kc_address_equals(&a, &b));
}

static void test_loopback(void **state)
{
	struct kc_address address;

	(void)state;
	assert_true(kc_address_parse("127.1.2.3", &address) && kc_address_is_loopback(&address));
	assert_true(kc_address_parse("::1", &address) && kc_address_is_loopback(&address));
	assert_true(kc_address_parse("::", &address) && !kc_address_is_loopback(&address));
	assert_true(kc_address_parse("128.0.0.1", &address) && !kc_address_is_loopback(&address));
}

static void test_where_to_listen(void **state)
{
	struct sockaddr_storage address;
	socklen_t size;

	(void)state;
	assert_null(kc_listen_parse("127.0.0.1:8142", &address, &size));
	assert_int_equal(address.ss_family, AF_INET);
	assert_int_equal(ntohs(((struct sockaddr_in *)&address)->sin_port), 8142);
	assert_null(kc_listen_parse("[::]:0", &address, &size));
	assert_int_equal(address.ss_family, AF_INET6);
	assert_int_equal(size, sizeof(struct sockaddr_in6));
	assert_kc_error(kc_listen_parse("127.0.0.1", &address, &size), KC_ERR_INPUT, "ADDRESS:PORT");
	assert_kc_error(kc_listen_parse("8142", &address, &size), KC_ERR_INPUT, "ADDRESS:PORT");
	assert_kc_error(kc_listen_parse(":8142", &address, &size), KC_ERR_INPUT, "ADDRESS:PORT");
	assert_kc_error(kc_listen_parse("127.0.0.1:65536", &address, &size), KC_ERR_INPUT, "65536");
	assert_kc_error(kc_listen_parse("::1:80", &address, &size), KC_ERR_INPUT, "::1:80");
	assert_kc_error(kc_listen_parse("localhost:80", &address, &size), KC_ERR_INPUT, "localhost");
	assert_kc_error(kc_listen_parse("", &address, &size), KC_ERR_INPUT, "ADDRESS:PORT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_read),
		cmocka_unit_test(test_other_texts_are_none),
		cmocka_unit_test(test_networks_have_addresses),
		cmocka_unit_test(test_wrong_networks_are_named),
		cmocka_unit_test(test_ipv6_is_counted_by_network),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_where_to_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
