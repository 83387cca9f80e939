/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys, servers, users, audit log and arrivals, as their headers promise; in a database in memory, and in the test's
 * own thread: cmocka cannot end a test from another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "kc_assert.h"
#include "portal/db/arrivals.h"
#include "portal/db/audit.h"
#include "portal/db/db_internal.h"
#include "portal/db/keys.h"
#include "portal/db/rows.h"
#include "portal/db/servers.h"
#include "portal/db/users.h"

enum { DAY = 86400, NOW = 1700000000 };

static int set_up(void **state)
{
	struct kc_db_conn *conn = calloc(1, sizeof(*conn));

	*state = conn;
	assert_kc_ok(kc_db_conn_open(":memory:", KC_DB_FILE, conn));
	assert_kc_ok(kc_db_migrate(conn, kc_db_schema, kc_db_schema_size));
	return 0;
}

static int tear_down(void **state)
{
	kc_db_conn_close(*state);
	free(*state);
	return 0;
}

static int64_t query_number(struct kc_db_conn *conn, const char *sql)
{
	int64_t number;

	assert_kc_ok(kc_db_conn_number(conn, sql, &number));
	return number;
}

/* Collects what a kc_…_each() shows, as "a b c ". */
static struct kc_error *collect(void *data, const char *text)
{
	kc_buf_printf(data, "%s ", text);
	return NULL;
}

static void assert_collected(struct kc_buf *buf, const char *expected)
{
	assert_string_equal(buf->data ? buf->data : "", expected);
	kc_buf_reset(buf);
}

/* ---- keys ---- */

static const struct kc_activation_key sample_key = {
	.key = (char *)"abc",
	.note = (char *)"it's 50% \";--",
	.feed = (char *)"main",
	.sticky = (char *)"yesterday",
	.addresses = (char *)"10.0.0.0/8",
	.server_limit = UINT32_MAX,
	.products = KC_PRODUCT_KERNEL | KC_PRODUCT_QEMU,
	.created = NOW,
	.ends = NOW + DAY,
	.is_locked = true,
};

static void assert_key(const struct kc_activation_key *key, const struct kc_activation_key *expected)
{
	assert_string_equal(key->key, expected->key);
	assert_string_equal(key->note, expected->note ? expected->note : "");
	assert_string_equal(key->feed, expected->feed ? expected->feed : "");
	assert_string_equal(key->sticky, expected->sticky ? expected->sticky : "");
	assert_string_equal(key->addresses, expected->addresses ? expected->addresses : "");
	assert_int_equal(key->server_limit, expected->server_limit);
	assert_int_equal(key->products, expected->products);
	assert_int_equal(key->created, expected->created);
	assert_int_equal(key->ends, expected->ends);
	assert_int_equal(key->is_locked, expected->is_locked);
	assert_int_equal(key->n_servers, expected->n_servers);
}

static void test_keys(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_activation_key changed = { .key = (char *)"abc", .feed = (char *)"test", .created = 1 };
	struct kc_activation_key second = { .key = (char *)"second", .created = NOW - 1 };
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };
	struct kc_activation_key *keys;
	size_t n_keys;

	assert_kc_ok(kc_keys_add(conn, &sample_key));
	assert_kc_error(kc_keys_add(conn, &sample_key), KC_ERR_EXISTS, "abc");
	assert_kc_ok(kc_keys_get(conn, "abc", 0, &key));
	assert_key(&key, &sample_key);
	kc_activation_key_clear(&key);
	assert_kc_error(kc_keys_get(conn, "ABC", 0, &key), KC_ERR_INVALID_KEY, "ABC");
	assert_null(key.key);

	assert_kc_ok(kc_keys_change(conn, &changed));
	changed.created = NOW; /* stays */
	assert_kc_ok(kc_keys_get(conn, "abc", KC_KEYS_UNCOUNTED, &key));
	assert_key(&key, &changed);
	changed.key = (char *)"other";
	assert_kc_error(kc_keys_change(conn, &changed), KC_ERR_INVALID_KEY, "other");

	assert_kc_ok(kc_keys_add(conn, &second));
	assert_kc_ok(kc_keys_move_feed(conn, "test", "main"));
	assert_kc_ok(kc_keys_list(conn, 0, &keys, &n_keys));
	assert_int_equal(n_keys, 2);
	assert_key(&keys[0], &second);
	assert_string_equal(keys[1].feed, "main");
	kc_keys_free(keys, n_keys);

	assert_kc_ok(kc_keys_remove(conn, "abc"));
	assert_kc_error(kc_keys_remove(conn, "abc"), KC_ERR_INVALID_KEY, "abc");
}

static void test_products(void **state)
{
	static const char *const bad[] = { "", "kernel,", ",kernel", "kernel, libs", "Kernel", "kernels", "kern" };
	unsigned products;
	char text[32];

	(void)state;
	assert_kc_ok(kc_products_parse("qemu,kernel,libs,qemu", &products));
	assert_int_equal(products, 7);
	kc_products_text(products, text);
	assert_string_equal(text, "kernel,libs,qemu");
	assert_kc_ok(kc_products_parse("libs", &products));
	kc_products_text(products, text);
	assert_string_equal(text, "libs");
	kc_products_text(0, text);
	assert_string_equal(text, "");
	for (size_t i = 0; i < KC_ARRAY_SIZE(bad); i++)
		assert_kc_error(kc_products_parse(bad[i], &products), KC_ERR_INPUT, "is no product");
}

/* ---- servers ---- */

static const struct kc_server sample_server = {
	.id = "Server0000000001",
	.key = (char *)"abc",
	.hostname = (char *)"web1.example.org",
	.ip = (char *)"10.0.0.1",
	.machine_id = (char *)"machine",
	.instance = (char *)"",
	.secret_hash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	.nonce = "0123456789abcdef0123456789abcdef",
	.previous_nonce = "fedcba9876543210fedcba9876543210",
	.registered = NOW,
	.checked_in = NOW + 1,
	.updated = NOW + 2,
	.tags = (char *)"rack:7",
	.last = { .event = KC_CHECKIN_LATER,
		  .release = (char *)"6.1.0-28-amd64",
		  .kernel_id = (char *)"d6a9ac615d000000000000000000000000000047",
		  .effective_version = (char *)"6.1.0-30",
		  .level = 3,
		  .type = (char *)"default",
		  .patchset = (char *)"K20261123_01",
		  .feed = (char *)"test",
		  .tags = (char *)"env:prod;ubuntu",
		  .uptime_s = INT64_MAX,
		  .virtualization = (char *)"kvm",
		  .distro = (char *)"Debian",
		  .distro_version = (char *)"12",
		  .machine = (char *)"x86_64",
		  .processor = (char *)"x86_64",
		  .agent_version = (char *)"1.0",
		  .libcare_is_enabled = true,
		  .n_processes = 17,
		  .n_patched = 16,
		  .last_error = (char *)"network: '; DROP TABLE servers; --",
		  .delay_s = 43200,
		  .sticky_before = NOW - DAY,
		  .pinned = (char *)"K20261101_01",
		  .host_tag = (char *)"host" },
};

static void assert_last(const struct kc_checkin *last, const struct kc_checkin *expected)
{
	assert_int_equal(last->event, expected->event);
	assert_string_equal(last->release, expected->release);
	assert_string_equal(last->kernel_id, expected->kernel_id);
	assert_string_equal(last->effective_version, expected->effective_version);
	assert_int_equal(last->level, expected->level);
	assert_string_equal(last->type, expected->type);
	assert_string_equal(last->patchset, expected->patchset);
	assert_string_equal(last->feed, expected->feed);
	assert_string_equal(last->tags, expected->tags);
	assert_int_equal(last->uptime_s, expected->uptime_s);
	assert_string_equal(last->virtualization, expected->virtualization);
	assert_string_equal(last->distro, expected->distro);
	assert_string_equal(last->distro_version, expected->distro_version);
	assert_string_equal(last->machine, expected->machine);
	assert_string_equal(last->processor, expected->processor);
	assert_string_equal(last->agent_version, expected->agent_version);
	assert_int_equal(last->libcare_is_enabled, expected->libcare_is_enabled);
	assert_int_equal(last->n_processes, expected->n_processes);
	assert_int_equal(last->n_patched, expected->n_patched);
	assert_string_equal(last->last_error, expected->last_error);
	assert_int_equal(last->delay_s, expected->delay_s);
	assert_int_equal(last->sticky_before, expected->sticky_before);
	assert_string_equal(last->pinned, expected->pinned);
	assert_string_equal(last->host_tag, expected->host_tag);
}

static void assert_server(const struct kc_server *server, const struct kc_server *expected, const char *feed)
{
	assert_string_equal(server->id, expected->id);
	assert_string_equal(server->key, expected->key);
	assert_string_equal(server->hostname, expected->hostname);
	assert_string_equal(server->last.hostname, expected->hostname);
	assert_string_equal(server->ip, expected->ip);
	assert_string_equal(server->machine_id, expected->machine_id);
	assert_string_equal(server->instance, expected->instance);
	assert_string_equal(server->secret_hash, expected->secret_hash);
	assert_string_equal(server->nonce, expected->nonce);
	assert_string_equal(server->previous_nonce, expected->previous_nonce);
	assert_int_equal(server->registered, expected->registered);
	assert_int_equal(server->checked_in, expected->checked_in);
	assert_int_equal(server->updated, expected->updated);
	assert_string_equal(server->tags, expected->tags);
	assert_string_equal(server->feed, feed);
	assert_last(&server->last, &expected->last);
}

static void test_server(void **state)
{
	struct kc_db_conn *conn = *state;
	KC_CLEANUP_SERVER struct kc_server server = { 0 };
	struct kc_server other = sample_server;
	char id[KC_SERVER_ID_SIZE] = "";

	assert_kc_ok(kc_servers_add(conn, &sample_server));
	assert_kc_error(kc_servers_add(conn, &sample_server), KC_ERR_EXISTS, sample_server.id);
	strcpy(other.id, "Server0000000002");
	assert_kc_error(kc_servers_add(conn, &other), KC_ERR_EXISTS, "machine");
	assert_kc_ok(kc_servers_get(conn, sample_server.id, &server));
	assert_server(&server, &sample_server, "test");
	kc_server_clear(&server);
	assert_kc_error(kc_servers_get(conn, other.id, &server), KC_ERR_UNKNOWN_SERVER, other.id);
	assert_null(server.key);

	assert_kc_ok(kc_servers_find(conn, "abc", "machine", "", id));
	assert_string_equal(id, sample_server.id);
	assert_kc_error(kc_servers_find(conn, "abc", "machine", "clone", id), KC_ERR_NOT_FOUND, "");
	assert_kc_error(kc_servers_find(conn, "abd", "machine", "", id), KC_ERR_NOT_FOUND, "");

	assert_kc_ok(kc_servers_set_tags(conn, sample_server.id, "a;b"));
	assert_kc_error(kc_servers_set_tags(conn, other.id, "a;b"), KC_ERR_UNKNOWN_SERVER, other.id);
	assert_kc_ok(kc_servers_forget_nonces(conn));
	assert_kc_ok(kc_servers_get(conn, sample_server.id, &server));
	assert_string_equal(server.tags, "a;b");
	assert_string_equal(server.nonce, "");
	assert_string_equal(server.previous_nonce, "");

	assert_kc_ok(kc_servers_remove(conn, sample_server.id));
	assert_kc_error(kc_servers_remove(conn, sample_server.id), KC_ERR_UNKNOWN_SERVER, sample_server.id);
}

static struct kc_error *add_line(void *data, const struct kc_checkin_line *line)
{
	kc_buf_printf(data, "%d:%s:%u ", (int)(line->at - NOW), kc_checkin_event_name(line->checkin.event),
		      line->checkin.level);
	assert_non_null(line->checkin.release);
	assert_non_null(line->checkin.last_error);
	return NULL;
}

static void test_checkins(void **state)
{
	struct kc_db_conn *conn = *state;
	KC_CLEANUP_SERVER struct kc_server read = { 0 };
	struct kc_server server = sample_server;
	kc_autobuf struct kc_buf lines = { 0 };
	bool is_more;

	server.last = (struct kc_checkin){ 0 };
	server.checked_in = 0;
	assert_kc_ok(kc_servers_add(conn, &server));
	strcpy(server.id, "Server0000000009");
	assert_kc_error(kc_servers_check_in(conn, &server), KC_ERR_UNKNOWN_SERVER, server.id);

	server = sample_server;
	server.ip = (char *)"::1";
	server.hostname = (char *)"new";
	server.last.event = KC_CHECKIN_PERIODIC;
	server.checked_in = NOW + 10;
	assert_kc_ok(kc_servers_check_in(conn, &server));
	assert_kc_ok(kc_servers_get(conn, server.id, &read));
	assert_server(&read, &server, "test");

	/* nothing new */
	server.checked_in = NOW + 20;
	server.last.uptime_s = 5;
	strcpy(server.nonce, "1");
	assert_kc_ok(kc_servers_check_in(conn, &server));
	kc_server_clear(&read);
	assert_kc_ok(kc_servers_get(conn, server.id, &read));
	assert_server(&read, &server, "test");
	/* news: by its event, then by its level */
	server.checked_in = NOW + 30;
	server.last.event = KC_CHECKIN_BEFORE;
	assert_kc_ok(kc_servers_check_in(conn, &server));
	server.last.event = KC_CHECKIN_AFTER;
	server.last.level = 4;
	assert_kc_ok(kc_servers_check_in(conn, &server));
	server.last.event = KC_CHECKIN_PERIODIC;
	server.checked_in = NOW + 40;
	assert_kc_ok(kc_servers_check_in(conn, &server));
	server.last.level = 5;
	assert_kc_ok(kc_servers_check_in(conn, &server));

	assert_kc_ok(kc_checkins_each(conn, server.id, -1, add_line, &lines));
	assert_collected(&lines, "40:periodic:5 30:after:4 30:before:3 10:periodic:3 ");
	assert_kc_ok(kc_checkins_each(conn, server.id, 1, add_line, &lines));
	assert_collected(&lines, "40:periodic:5 ");
	assert_kc_ok(kc_checkins_forget(conn, NOW + 30, &is_more));
	assert_false(is_more);
	assert_kc_ok(kc_checkins_each(conn, server.id, -1, add_line, &lines));
	assert_collected(&lines, "40:periodic:5 30:after:4 30:before:3 ");
	assert_kc_ok(kc_servers_remove(conn, server.id));
	assert_kc_ok(kc_checkins_each(conn, server.id, -1, add_line, &lines));
	assert_collected(&lines, "");
}

/* One that lies, or loops, has sixty lines an hour. */
static void test_checkins_in_a_loop(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_server server = sample_server;

	assert_kc_ok(kc_servers_add(conn, &server));
	server.last.event = KC_CHECKIN_LATER;
	for (int i = 1; i <= 100; i++) {
		server.checked_in = NOW + i;
		assert_kc_ok(kc_servers_check_in(conn, &server));
	}
	assert_int_equal(query_number(conn, "SELECT COUNT(*) FROM checkins"), 60);
	/* what it says last is known all the same */
	assert_int_equal(query_number(conn, "SELECT checked_in FROM servers"), NOW + 100);
	server.checked_in = NOW + 3600 + 60;
	assert_kc_ok(kc_servers_check_in(conn, &server));
	assert_int_equal(query_number(conn, "SELECT COUNT(*) FROM checkins"), 61);
}

/* ---- many servers ---- */

struct fleet_server {
	const char *id, *key, *hostname, *ip, *tags, *host_tags, *feed, *kernel_id;
	uint32_t level;
	int registered, checked_in, updated; /* days after NOW */
};

static const struct fleet_server fleet[] = {
	{ "a", "k1", "web1", "10.0.0.1", "", "env:prod", "", "A", 1, 1, 8, 3 },
	{ "b", "k1", "Web2", "10.0.0.2", "rack", "env:test", "test", "A", 1, 2, 8, 2 },
	{ "c", "k2", "db_1", "10.0.1.1", "env:Prod", "", "", "A", 1, 3, 2, 1 },
	{ "d", "k2", "dbx1", "::1", "rack:7", "prod", "main", "B", 0, 9, 0, 0 },
	{ "e", "k2", "100%", "::2", "", "envy;production", "", "A", 1, 5, 9, 0 },
};

static void add_fleet(struct kc_db_conn *conn)
{
	assert_kc_ok(kc_keys_add(conn, &(struct kc_activation_key){ .key = (char *)"k1", .feed = (char *)"main" }));
	assert_kc_ok(kc_keys_add(conn, &(struct kc_activation_key){ .key = (char *)"k2", .feed = (char *)"test" }));
	for (size_t i = 0; i < KC_ARRAY_SIZE(fleet); i++) {
		const struct fleet_server *s = &fleet[i];
		struct kc_server server = { .key = (char *)s->key,
					    .machine_id = (char *)s->id,
					    .hostname = (char *)s->hostname,
					    .ip = (char *)s->ip,
					    .tags = (char *)s->tags,
					    .registered = NOW + s->registered * DAY,
					    .checked_in = s->checked_in ? NOW + s->checked_in * DAY : 0,
					    .updated = s->updated ? NOW + s->updated * DAY : 0,
					    .last = { .tags = (char *)s->host_tags,
						      .feed = (char *)s->feed,
						      .kernel_id = (char *)s->kernel_id,
						      .level = s->level } };

		strcpy(server.id, s->id);
		assert_kc_ok(kc_servers_add(conn, &server));
		assert_kc_ok(kc_db_exec(conn, "INSERT INTO checkins VALUES (?, ?, 0, '', '', 0, '', '', '')", "si",
					s->id, (int64_t)NOW));
	}
}

static struct kc_error *collect_id(void *data, const struct kc_server *server)
{
	return collect(data, server->id);
}

static void assert_found(struct kc_db_conn *conn, const struct kc_server_filter *filter, const char *expected)
{
	struct kc_server_filter all = *filter;
	kc_autobuf struct kc_buf ids = { 0 };
	int64_t n = -1;

	all.limit = -1;
	assert_kc_ok(kc_servers_each(conn, &all, collect_id, &ids));
	assert_kc_ok(kc_servers_count(conn, &all, &n));
	assert_int_equal(n, ids.size / 2);
	assert_collected(&ids, expected);
}

#define FOUND(expected, ...) assert_found(conn, &(struct kc_server_filter){ __VA_ARGS__ }, expected)

static void test_filters(void **state)
{
	struct kc_db_conn *conn = *state;
	add_fleet(conn);
	FOUND("a b c e d ", .offset = 0);
	FOUND("c ", .id = "c");
	FOUND("", .id = "C");
	FOUND("a b ", .key = "k1");
	FOUND("a d ", .feed = "main");
	FOUND("b c e ", .feed = "test");
	FOUND("", .feed = "");
	FOUND("b ", .hostname = "Web2");
	FOUND("", .hostname = "web2");
	FOUND("a b ", .hostname = "WEB%");
	FOUND("c ", .hostname = "%_1");
	FOUND("c d ", .hostname = "db%1");
	FOUND("", .hostname = "!%");
	FOUND("", .hostname = "x' OR 1=1 --%");
	FOUND("a b c e d ", .hostname = "%");
	FOUND("a b ", .ip = "10.0.0.%");
	FOUND("d ", .ip = "::1");
	FOUND("a c ", .tag = "env:prod");
	FOUND("a b c ", .tag = "env");
	FOUND("b d ", .tag = "rack");
	FOUND("d ", .tag = "prod");
	FOUND("", .tag = "pro%");
	FOUND("c e d ", .registered_from = NOW + 3 * DAY);
	FOUND("a b c ", .registered_to = NOW + 3 * DAY);
	FOUND("a b e ", .checked_in_from = NOW + 8 * DAY);
	FOUND("c d ", .checked_in_to = NOW + 2 * DAY);
	FOUND("b ", .updated_from = NOW + 2 * DAY, .updated_to = NOW + 2 * DAY);
	FOUND("d ", .hostname = "%1", .ip = "%1", .tag = "rack", .key = "k2", .feed = "main", .registered_from = 1,
	      .registered_to = INT64_MAX, .checked_in_to = 1, .updated_to = 1);
}

static struct kc_error *stop_at_b(void *data, const struct kc_server *server)
{
	collect(data, server->id);
	return strcmp(server->id, "b") ? NULL : kc_error_new(KC_ERR_LIMIT, "enough");
}

static void test_pages(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_server_filter page = { .offset = 1, .limit = 2 };
	kc_autobuf struct kc_buf ids = { 0 };

	add_fleet(conn);
	assert_kc_ok(kc_servers_each(conn, &page, collect_id, &ids));
	assert_collected(&ids, "b c ");
	page.offset = 4;
	assert_kc_ok(kc_servers_each(conn, &page, collect_id, &ids));
	assert_collected(&ids, "d ");
	page.limit = 0;
	assert_kc_ok(kc_servers_each(conn, &page, collect_id, &ids));
	assert_collected(&ids, "");
	page = (struct kc_server_filter){ .limit = -1 };
	assert_kc_error(kc_servers_each(conn, &page, stop_at_b, &ids), KC_ERR_LIMIT, "enough");
	assert_collected(&ids, "a b ");
}

static struct kc_error *collect_group(void *data, const struct kc_server_group *group)
{
	kc_buf_printf(data, "%s:%s:%s:%s:%u=%d ", group->server.key, group->server.feed, group->server.last.feed,
		      group->server.last.kernel_id, group->server.last.level, (int)group->n);
	return NULL;
}

static void test_groups(void **state)
{
	struct kc_db_conn *conn = *state;
	kc_autobuf struct kc_buf groups = { 0 };

	add_fleet(conn);
	assert_kc_ok(kc_servers_groups(conn, NULL, 0, collect_group, &groups));
	assert_collected(&groups, "k1:main::A:1=1 k1:test:test:A:1=1 k2:main:main:B:0=1 k2:test::A:1=2 ");
	assert_kc_ok(kc_servers_groups(conn, "k2", 0, collect_group, &groups));
	assert_collected(&groups, "k2:main:main:B:0=1 k2:test::A:1=2 ");
	/* c is silent; d never checked in, but it is new */
	assert_kc_ok(kc_servers_groups(conn, "k2", NOW + 8 * DAY, collect_group, &groups));
	assert_collected(&groups, "k2:main:main:B:0=1 k2:test::A:1=1 ");
	assert_kc_ok(kc_servers_groups(conn, NULL, NOW + 9 * DAY, collect_group, &groups));
	assert_collected(&groups, "k2:main:main:B:0=1 k2:test::A:1=1 ");
	assert_kc_ok(kc_servers_groups(conn, "none", 0, collect_group, &groups));
	assert_collected(&groups, "");
}

static struct kc_error *collect_names(void *data, const struct kc_server *server)
{
	kc_buf_printf(data, "%s:%s:%s:%s:%s ", server->key, server->hostname, server->ip, server->last.kernel_id,
		      server->last.host_tag);
	return NULL;
}

static void test_servers_of_a_group(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_server_group group = { .server = { .key = (char *)"k2",
						     .last = { .kernel_id = (char *)"A", .level = 1 } } };
	kc_autobuf struct kc_buf names = { 0 };

	add_fleet(conn);
	assert_kc_ok(kc_db_exec(conn, "UPDATE servers SET host_tag = ? WHERE id = ?", "ss", "tag", "e"));
	assert_kc_ok(kc_servers_of_group(conn, &group, 0, -1, collect_names, &names));
	assert_collected(&names, "k2:db_1:10.0.1.1:A: k2:100%:::2:A:tag ");
	assert_kc_ok(kc_servers_of_group(conn, &group, 0, 1, collect_names, &names));
	assert_collected(&names, "k2:db_1:10.0.1.1:A: ");
	/* c is silent */
	assert_kc_ok(kc_servers_of_group(conn, &group, NOW + 8 * DAY, 1, collect_names, &names));
	assert_collected(&names, "k2:100%:::2:A:tag ");
	group.server.last.level = 0;
	assert_kc_ok(kc_servers_of_group(conn, &group, 0, -1, collect_names, &names));
	assert_collected(&names, "");
}

static void test_silent_servers(void **state)
{
	struct kc_db_conn *conn = *state;
	kc_autobuf struct kc_buf names = { 0 };

	add_fleet(conn);
	assert_kc_ok(kc_servers_silent(conn, "k2", NOW + 8 * DAY, -1, collect_names, &names));
	assert_collected(&names, "k2:db_1:10.0.1.1:(null): ");
	assert_kc_ok(kc_servers_silent(conn, "k2", NOW + 10 * DAY, 1, collect_names, &names));
	assert_collected(&names, "k2:dbx1:::1:(null): ");
	assert_kc_ok(kc_servers_silent(conn, "k1", NOW + 8 * DAY, -1, collect_names, &names));
	assert_collected(&names, "");
}

/* ---- what it takes ---- */

enum { MANY = 1000 };

static void add_many(struct kc_db_conn *conn, const char *key, bool are_silent)
{
	struct kc_server server = { .key = (char *)key,
				    .registered = NOW,
				    .checked_in = NOW + (are_silent ? 0 : 9 * DAY),
				    .last = { .kernel_id = (char *)"A" } };
	char machine_id[16];

	server.machine_id = machine_id;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(machine_id, sizeof(machine_id), "%s%u%d", key, i, are_silent);
		snprintf(server.id, sizeof(server.id), "%s", machine_id);
		assert_kc_ok(kc_servers_add(conn, &server));
	}
}

/* Of all statements of this connection, since the last call. */
static int work(struct kc_db_conn *conn, int what)
{
	int n = 0;

	for (sqlite3_stmt *one = NULL; (one = sqlite3_next_stmt(conn->sqlite, one));)
		n += sqlite3_stmt_status(one, what, 1);
	return n;
}

static int work_for_groups(struct kc_db_conn *conn, const char *key, int what)
{
	kc_autobuf struct kc_buf groups = { 0 };

	work(conn, what);
	assert_kc_ok(kc_servers_groups(conn, key, NOW + 8 * DAY, collect_group, &groups));
	return work(conn, what);
}

static int work_for_one(struct kc_db_conn *conn, const char *key)
{
	const struct kc_server_group group = { .server = { .key = (char *)key, .last = { .kernel_id = (char *)"A" } } };
	kc_autobuf struct kc_buf names = { 0 };

	work(conn, SQLITE_STMTSTATUS_VM_STEP);
	assert_kc_ok(kc_servers_of_group(conn, &group, NOW + 8 * DAY, 1, collect_names, &names));
	assert_kc_ok(kc_servers_silent(conn, key, NOW + 8 * DAY, 1, collect_names, &names));
	return work(conn, SQLITE_STMTSTATUS_VM_STEP);
}

static int work_for_key(struct kc_db_conn *conn, int what)
{
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };

	work(conn, what);
	assert_kc_ok(kc_keys_get(conn, "k1", NOW + 8 * DAY, &key));
	assert_int_equal(key.n_servers, 2);
	return work(conn, what);
}

static void test_servers_of_other_keys_cost_nothing(void **state)
{
	struct kc_db_conn *conn = *state;
	int for_key, for_groups;

	add_fleet(conn);
	for_key = work_for_key(conn, SQLITE_STMTSTATUS_VM_STEP);
	for_groups = work_for_groups(conn, "k1", SQLITE_STMTSTATUS_VM_STEP);
	add_many(conn, "k2", true);
	add_many(conn, "k2", false);
	assert_int_equal(work_for_key(conn, SQLITE_STMTSTATUS_VM_STEP), for_key);
	assert_int_equal(work_for_groups(conn, "k1", SQLITE_STMTSTATUS_VM_STEP), for_groups);
}

/* Once, in the index that has them by groups; the silent ones have an index of theirs. */
static void test_groups_go_over_all_once(void **state)
{
	struct kc_db_conn *conn = *state;
	int before;

	add_fleet(conn);
	before = work_for_groups(conn, NULL, SQLITE_STMTSTATUS_FULLSCAN_STEP);
	add_many(conn, "k2", true);
	add_many(conn, "k2", false);
	assert_in_range(work_for_groups(conn, NULL, SQLITE_STMTSTATUS_FULLSCAN_STEP) - before, 2 * MANY,
			2 * MANY + MANY / 10);
}

static void test_a_few_of_many_cost_little(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_server server = { .key = (char *)"k3",
				    .registered = NOW,
				    .checked_in = NOW + 9 * DAY,
				    .last = { .kernel_id = (char *)"A" } };
	int for_one;

	add_fleet(conn);
	strcpy(server.id, "active");
	assert_kc_ok(kc_servers_add(conn, &server));
	strcpy(server.id, "silent");
	server.instance = (char *)"silent";
	server.checked_in = 0;
	assert_kc_ok(kc_servers_add(conn, &server));
	for_one = work_for_one(conn, "k3");
	add_many(conn, "k2", false);
	assert_kc_ok(kc_servers_add(conn, &(struct kc_server){ .id = "sleeps", .key = (char *)"k2" }));
	assert_in_range(work_for_one(conn, "k2"), for_one / 2, for_one + 10);
}

static void test_counts(void **state)
{
	struct kc_db_conn *conn = *state;
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };
	struct kc_activation_key *keys;
	int64_t n_removed;
	size_t n_keys;

	add_fleet(conn);
	assert_kc_ok(kc_keys_list(conn, NOW + 8 * DAY, &keys, &n_keys));
	assert_int_equal(n_keys, 2);
	assert_int_equal(keys[0].n_servers, 2);
	assert_int_equal(keys[1].n_servers, 2);
	kc_keys_free(keys, n_keys);
	assert_kc_ok(kc_keys_get(conn, "k2", NOW + 8 * DAY, &key));
	assert_int_equal(key.n_servers, 2);
	kc_activation_key_clear(&key);
	assert_kc_ok(kc_keys_get(conn, "k2", 0, &key));
	assert_int_equal(key.n_servers, 3);

	assert_kc_ok(kc_servers_remove_silent(conn, NOW + 8 * DAY, &n_removed));
	assert_int_equal(n_removed, 1);
	FOUND("a b e d ", .offset = 0);
	assert_kc_ok(kc_keys_remove(conn, "k2"));
	FOUND("a b ", .offset = 0);
	/* history goes with its server */
	assert_int_equal(query_number(conn, "SELECT COUNT(*) FROM checkins"), 2);
}

/* ---- users ---- */

static void test_users(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_user ann = { .name = (char *)"ann", .note = (char *)"n", .password = (char *)"p", .created = 2 };
	struct kc_user bob = { .name = (char *)"bob", .is_admin = true, .created = 1 };
	KC_CLEANUP_USER struct kc_user user = { 0 };
	struct kc_user *users;
	size_t n_users;

	assert_kc_ok(kc_users_add(conn, &ann));
	assert_kc_ok(kc_users_add(conn, &bob));
	assert_kc_error(kc_users_add(conn, &ann), KC_ERR_EXISTS, "ann");
	assert_kc_ok(kc_users_change(conn, &(struct kc_user){ .name = ann.name, .is_admin = true }));
	assert_kc_ok(kc_users_get(conn, "ann", &user));
	assert_string_equal(user.name, "ann");
	assert_string_equal(user.note, "n");
	assert_string_equal(user.password, "p");
	assert_true(user.is_admin);
	assert_int_equal(user.created, 2);
	kc_user_clear(&user);
	assert_kc_ok(kc_users_change(
		conn, &(struct kc_user){ .name = ann.name, .note = (char *)"", .password = (char *)"q" }));
	assert_kc_ok(kc_users_get(conn, "ann", &user));
	assert_string_equal(user.note, "");
	assert_string_equal(user.password, "q");
	assert_false(user.is_admin);
	kc_user_clear(&user);
	assert_kc_error(kc_users_change(conn, &(struct kc_user){ .name = (char *)"eve" }), KC_ERR_NOT_FOUND, "eve");
	assert_kc_error(kc_users_get(conn, "eve", &user), KC_ERR_NOT_FOUND, "eve");
	assert_kc_ok(kc_users_list(conn, &users, &n_users));
	assert_int_equal(n_users, 2);
	assert_string_equal(users[0].name, "bob");
	assert_string_equal(users[0].note, "");
	assert_string_equal(users[1].name, "ann");
	kc_users_free(users, n_users);
	assert_kc_ok(kc_users_remove(conn, "ann"));
	assert_kc_error(kc_users_remove(conn, "ann"), KC_ERR_NOT_FOUND, "ann");
}

static void assert_api_user(struct kc_db_conn *conn, const char *hash, int64_t now, const char *expected)
{
	KC_CLEANUP_USER struct kc_user user = { 0 };

	if (expected) {
		assert_kc_ok(kc_api_keys_user(conn, hash, now, &user));
		assert_string_equal(user.name, expected);
	} else {
		assert_kc_error(kc_api_keys_user(conn, hash, now, &user), KC_ERR_UNAUTHORIZED, "API key");
	}
}

static void test_api_keys(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_api_key one = { .id = (char *)"one", .user = (char *)"ann", .note = (char *)"n", .created = 5 };
	struct kc_api_key two = { .id = (char *)"two", .user = (char *)"bob", .created = 4, .expires = NOW };
	struct kc_api_key *keys;
	size_t n_keys;

	assert_kc_error(kc_api_keys_add(conn, &one, "h1"), KC_ERR_NOT_FOUND, "ann");
	assert_kc_ok(kc_users_add(conn, &(struct kc_user){ .name = (char *)"ann" }));
	assert_kc_ok(kc_users_add(conn, &(struct kc_user){ .name = (char *)"bob" }));
	assert_kc_ok(kc_api_keys_add(conn, &one, "h1"));
	assert_kc_error(kc_api_keys_add(conn, &one, "h3"), KC_ERR_EXISTS, "one");
	assert_kc_error(kc_api_keys_add(conn, &two, "h1"), KC_ERR_EXISTS, "two");
	assert_kc_ok(kc_api_keys_add(conn, &two, "h2"));
	assert_api_user(conn, "h1", NOW, "ann");
	assert_api_user(conn, "h2", NOW - 1, "bob");
	assert_api_user(conn, "h2", NOW, NULL);
	assert_api_user(conn, "", NOW, NULL);
	assert_api_user(conn, "one", NOW, NULL);
	assert_kc_ok(kc_api_keys_list(conn, &keys, &n_keys));
	assert_int_equal(n_keys, 2);
	assert_string_equal(keys[0].id, "two");
	assert_int_equal(keys[0].expires, NOW);
	assert_string_equal(keys[1].user, "ann");
	assert_string_equal(keys[1].note, "n");
	assert_int_equal(keys[1].created, 5);
	kc_api_keys_free(keys, n_keys);
	/* a user takes the keys along */
	assert_kc_ok(kc_users_remove(conn, "ann"));
	assert_api_user(conn, "h1", NOW, NULL);
	assert_kc_error(kc_api_keys_remove(conn, "one"), KC_ERR_NOT_FOUND, "one");
	assert_kc_ok(kc_api_keys_remove(conn, "two"));
	assert_api_user(conn, "h2", 1, NULL);
}

/* ---- audit ---- */

static struct kc_error *collect_audit(void *data, const struct kc_audit_line *line)
{
	kc_buf_printf(data, "%s/%s/%s/%s/%s/%s ", line->who, line->address, line->action, line->object, line->detail,
		      line->outcome);
	return NULL;
}

static void test_audit(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_audit_line line = { .at = NOW,
				      .who = (char *)"ann",
				      .address = (char *)"::1",
				      .action = (char *)"key add",
				      .object = (char *)"abc",
				      .detail = (char *)"feed=main",
				      .outcome = (char *)"ok" };
	kc_autobuf struct kc_buf lines = { 0 };
	bool is_more;

	assert_kc_ok(kc_audit_add(conn, &line));
	line.who = (char *)"bob";
	assert_kc_ok(kc_audit_add(conn, &line));
	assert_kc_ok(kc_audit_add(conn, &(struct kc_audit_line){ .who = (char *)"eve" }));
	assert_kc_ok(kc_audit_each(conn, 0, -1, collect_audit, &lines));
	assert_collected(&lines, "eve///// bob/::1/key add/abc/feed=main/ok ann/::1/key add/abc/feed=main/ok ");
	assert_kc_ok(kc_audit_each(conn, 1, 1, collect_audit, &lines));
	assert_collected(&lines, "bob/::1/key add/abc/feed=main/ok ");
	assert_kc_ok(kc_audit_forget(conn, NOW + 1, &is_more));
	assert_false(is_more);
	/* the one without a time got that of today */
	assert_int_equal(query_number(conn, "SELECT COUNT(*) FROM audit"), 1);
}

/* A row each second; what is too old goes in portions. */
static void test_portions(void **state)
{
	struct kc_db_conn *conn = *state;
	int64_t oldest = NOW + 2 * KC_DB_FORGET + 10;
	unsigned n_calls = 0;
	bool is_more = true;

	for (int i = 0; i < 2 * KC_DB_FORGET + 100; i++)
		assert_kc_ok(kc_audit_add(conn, &(struct kc_audit_line){ .at = NOW + i }));
	while (is_more && n_calls++ < 10)
		assert_kc_ok(kc_audit_forget(conn, oldest, &is_more));
	assert_int_equal(n_calls, 3);
	assert_kc_ok(kc_audit_forget(conn, 0, &is_more));
	assert_false(is_more);
	assert_int_equal(query_number(conn, "SELECT COUNT(*) FROM audit"), 90);
	assert_int_equal(query_number(conn, "SELECT MIN(at) FROM audit"), NOW + 2 * KC_DB_FORGET + 10);
}

/* ---- arrivals ---- */

static struct kc_error *collect_arrival(void *data, const struct kc_arrival *arrival)
{
	kc_buf_printf(data, "%s/%s/%s/%s/%d/%d/%d ", arrival->patchset, arrival->channel, arrival->distro,
		      arrival->source, (int)arrival->released, (int)arrival->arrived, arrival->is_here);
	return NULL;
}

static void test_arrivals(void **state)
{
	struct kc_db_conn *conn = *state;
	struct kc_arrival one = { .patchset = (char *)"K1",
				  .channel = (char *)"test",
				  .distro = (char *)"debian12",
				  .source = (char *)"http://x/",
				  .released = 1,
				  .arrived = 7 };
	struct kc_arrival again = { .patchset = one.patchset,
				    .channel = (char *)"default",
				    .source = (char *)"upload",
				    .arrived = 9,
				    .is_here = true };
	kc_autobuf struct kc_buf all = { 0 };

	assert_kc_ok(kc_arrivals_put(conn, &one));
	assert_kc_ok(kc_arrivals_put(conn, &(struct kc_arrival){ .patchset = (char *)"K0", .arrived = 6 }));
	assert_kc_ok(kc_arrivals_each(conn, collect_arrival, &all));
	assert_collected(&all, "K0////0/6/0 K1/test/debian12/http://x//1/7/0 ");
	assert_kc_ok(kc_arrivals_put(conn, &again));
	assert_kc_ok(kc_arrivals_remove(conn, "K0"));
	assert_kc_error(kc_arrivals_remove(conn, "K0"), KC_ERR_NOT_FOUND, "K0");
	assert_kc_ok(kc_arrivals_each(conn, collect_arrival, &all));
	assert_collected(&all, "K1/default/debian12/upload/1/7/1 ");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keys),
		TEST(test_products),
		TEST(test_server),
		TEST(test_checkins),
		TEST(test_checkins_in_a_loop),
		TEST(test_filters),
		TEST(test_pages),
		TEST(test_groups),
		TEST(test_servers_of_a_group),
		TEST(test_silent_servers),
		TEST(test_servers_of_other_keys_cost_nothing),
		TEST(test_a_few_of_many_cost_little),
		TEST(test_groups_go_over_all_once),
		TEST(test_counts),
		TEST(test_users),
		TEST(test_api_keys),
		TEST(test_audit),
		TEST(test_portions),
		TEST(test_arrivals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
