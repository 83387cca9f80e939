/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may register and check in; in a database in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kc_assert.h"
#include "portal/db/db_internal.h"
#include "portal/licences/licences.h"

enum { DAY = 86400, NOW = 1700000000 };

static struct kc_licences at(int64_t now)
{
	return (struct kc_licences){ .now = now, .inactive_days = 30, .address = "10.1.2.3" };
}

static struct kc_activation_key a_key(const char *name)
{
	return (struct kc_activation_key){
		.key = (char *)name,
		.feed = (char *)"prod",
		.sticky = (char *)"yesterday",
		.note = (char *)"a note",
		.products = KC_PRODUCT_KERNEL | KC_PRODUCT_LIBS,
		.created = NOW,
	};
}

static int set_up(void **state)
{
	struct kc_db_conn *conn = calloc(1, sizeof(*conn));
	struct kc_activation_key key = a_key("KEY");

	*state = conn;
	assert_kc_ok(kc_db_conn_open(":memory:", KC_DB_FILE, conn));
	assert_kc_ok(kc_db_migrate(conn, kc_db_schema, kc_db_schema_size));
	assert_kc_ok(kc_keys_add(conn, &key));
	return 0;
}

static int tear_down(void **state)
{
	kc_db_conn_close(*state);
	free(*state);
	return 0;
}

static struct kc_error *try_register(struct kc_db_conn *conn, const struct kc_licences *licences, const char *key,
				     const char *machine, const char *instance, struct kc_registered *registered)
{
	const struct kc_registration registration = {
		.key = (char *)key,
		.hostname = (char *)"host",
		.machine_id = (char *)machine,
		.instance = (char *)instance,
		.agent_version = (char *)"1",
		.virtualization = (char *)"kvm",
	};

	*registered = (struct kc_registered){ 0 };
	return kc_licence_register(conn, licences, &registration, registered);
}

static struct kc_credentials must_register(struct kc_db_conn *conn, int64_t now, const char *machine, char *nonce)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered;
	struct kc_licences licences = at(now);

	assert_kc_ok(try_register(conn, &licences, "KEY", machine, "", &registered));
	if (nonce)
		memcpy(nonce, registered.nonce, KC_NONCE_SIZE);
	return registered.credentials;
}

/* `nonce` is that of the next check-in afterwards. */
static struct kc_error *check_in(struct kc_db_conn *conn, int64_t now, const struct kc_credentials *credentials,
				 uint32_t level, char nonce[KC_NONCE_SIZE])
{
	KC_CLEANUP_CHECKIN_ANSWER struct kc_checkin_answer answer = { 0 };
	struct kc_licences licences = at(now);
	struct kc_checkin checkin = {
		.credentials = *credentials,
		.hostname = (char *)"renamed",
		.release = (char *)"6.1.0-47-amd64",
		.kernel_id = (char *)"0123456789012345678901234567890123456789",
		.effective_version = (char *)"6.1.0-48-amd64",
		.level = level,
		.type = (char *)"default",
		.patchset = (char *)"K20261123_01",
		.feed = (char *)"main",
		.tags = (char *)"env:prod",
		.virtualization = (char *)"kvm",
		.distro = (char *)"debian",
		.distro_version = (char *)"12",
		.machine = (char *)"x86_64",
		.processor = (char *)"",
		.agent_version = (char *)"1",
		.last_error = (char *)"",
		.pinned = (char *)"",
		.host_tag = (char *)"host",
	};

	memcpy(checkin.nonce, nonce, KC_NONCE_SIZE);
	KC_TRY(kc_licence_check_in(conn, &licences, &checkin, &answer));
	assert_string_equal(answer.terms.feed, "prod");
	memcpy(nonce, answer.nonce, KC_NONCE_SIZE);
	return NULL;
}

static int64_t count(struct kc_db_conn *conn)
{
	const struct kc_server_filter all = { .limit = -1 };
	int64_t n;

	assert_kc_ok(kc_servers_count(conn, &all, &n));
	return n;
}

/* ---- registering ---- */

static void test_registering(void **state)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered;
	KC_CLEANUP_SERVER struct kc_server server = { 0 };
	struct kc_licences licences = at(NOW);

	assert_kc_ok(try_register(*state, &licences, "KEY", "machine", "", &registered));
	assert_true(kc_server_id_is_valid(registered.credentials.server_id));
	assert_int_equal(strlen(registered.credentials.secret), KC_SECRET_SIZE - 1);
	assert_int_equal(strlen(registered.nonce), KC_NONCE_SIZE - 1);
	assert_string_equal(registered.terms.feed, "prod");
	assert_string_equal(registered.terms.sticky, "yesterday");
	assert_true(registered.terms.has_kernel && registered.terms.has_libs && !registered.terms.has_qemu);

	assert_kc_ok(kc_servers_get(*state, registered.credentials.server_id, &server));
	assert_string_equal(server.ip, "10.1.2.3");
	assert_string_equal(server.hostname, "host");
	assert_null(strstr(server.secret_hash, registered.credentials.secret));
}

static void test_keys_that_are_no_good(void **state)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered;
	struct kc_activation_key locked = a_key("LOCKED"), ended = a_key("ENDED"), elsewhere = a_key("ELSEWHERE");
	struct kc_licences licences = at(NOW);

	locked.is_locked = true;
	ended.ends = NOW;
	elsewhere.addresses = (char *)"192.0.2.0/24 10.1.2.4";
	assert_kc_ok(kc_keys_add(*state, &locked));
	assert_kc_ok(kc_keys_add(*state, &ended));
	assert_kc_ok(kc_keys_add(*state, &elsewhere));
	assert_kc_error(try_register(*state, &licences, "NONE", "m", "", &registered), KC_ERR_INVALID_KEY, "NONE");
	assert_kc_error(try_register(*state, &licences, "LOCKED", "m", "", &registered), KC_ERR_KEY_LOCKED, "locked");
	assert_kc_error(try_register(*state, &licences, "ENDED", "m", "", &registered), KC_ERR_KEY_ENDED, "over");
	assert_kc_error(try_register(*state, &licences, "ELSEWHERE", "m", "", &registered), KC_ERR_ADDRESS, "10.1.2.3");
	assert_int_equal(count(*state), 0);
	licences.now = NOW - 1;
	assert_kc_ok(try_register(*state, &licences, "ENDED", "m", "", &registered));
	kc_registered_clear(&registered);
	licences.address = "10.1.2.4";
	assert_kc_ok(try_register(*state, &licences, "ELSEWHERE", "m", "", &registered));
}

static void test_the_same_machine_replaces_itself(void **state)
{
	struct kc_credentials first = must_register(*state, NOW, "machine", NULL), second;
	KC_CLEANUP_SERVER struct kc_server server = { 0 };

	assert_kc_ok(kc_servers_set_tags(*state, first.server_id, "rack:7"));
	second = must_register(*state, NOW + 1, "machine", NULL);
	assert_string_not_equal(first.server_id, second.server_id);
	assert_int_equal(count(*state), 1);
	assert_kc_error(kc_licence_verify(*state, &first), KC_ERR_UNKNOWN_SERVER, first.server_id);
	assert_kc_ok(kc_servers_get(*state, second.server_id, &server));
	assert_string_equal(server.tags, "rack:7");
	must_register(*state, NOW + 2, "another", NULL);
	assert_int_equal(count(*state), 2);
}

static void test_the_limit(void **state)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered;
	struct kc_activation_key key = a_key("KEY");
	struct kc_licences licences = at(NOW);
	struct kc_credentials first;
	char nonce[KC_NONCE_SIZE];

	key.server_limit = 2;
	assert_kc_ok(kc_keys_change(*state, &key));
	first = must_register(*state, NOW, "one", nonce);
	must_register(*state, NOW, "two", NULL);
	assert_kc_error(try_register(*state, &licences, "KEY", "three", "", &registered), KC_ERR_KEY_LIMIT,
			"2 servers");
	must_register(*state, NOW, "two", NULL); /* has a place already */

	/* whoever is silent for 30 days makes place, and stays registered */
	assert_kc_ok(check_in(*state, NOW + 29 * DAY, &first, 1, nonce));
	must_register(*state, NOW + 31 * DAY, "three", NULL);
	assert_int_equal(count(*state), 3);
	licences.now = NOW + 31 * DAY;
	assert_kc_error(try_register(*state, &licences, "KEY", "four", "", &registered), KC_ERR_KEY_LIMIT, "2 servers");
	assert_kc_ok(kc_licence_unregister(*state, &licences, &first));
	assert_kc_ok(try_register(*state, &licences, "KEY", "four", "", &registered));
}

static void assert_key(struct kc_db_conn *conn, int64_t now, uint32_t n_servers, uint32_t n_above)
{
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };

	assert_kc_ok(kc_keys_get(conn, "KEY", now - 30 * DAY, &key));
	assert_int_equal(key.n_servers, n_servers);
	assert_int_equal(kc_key_above_limit(&key), n_above);
}

/* Whoever was silent is heard again, also when others have the places; but there is none for anybody new. */
static void test_who_comes_back_to_a_full_key(void **state)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered;
	struct kc_activation_key key = a_key("KEY");
	struct kc_licences later = at(NOW + 31 * DAY);
	struct kc_credentials first, second;
	char nonce[KC_NONCE_SIZE];

	key.server_limit = 1;
	assert_kc_ok(kc_keys_change(*state, &key));
	first = must_register(*state, NOW, "one", nonce);
	second = must_register(*state, later.now, "two", NULL);
	assert_key(*state, later.now, 1, 0);
	assert_kc_ok(check_in(*state, later.now, &first, 1, nonce));
	assert_key(*state, later.now, 2, 1);
	assert_kc_error(try_register(*state, &later, "KEY", "three", "", &registered), KC_ERR_KEY_LIMIT, "has 2");
	assert_kc_ok(kc_licence_unregister(*state, &later, &second));
	assert_key(*state, later.now, 1, 0);
	assert_kc_error(try_register(*state, &later, "KEY", "three", "", &registered), KC_ERR_KEY_LIMIT, "has 1");
	key.server_limit = 0;
	assert_kc_ok(kc_keys_change(*state, &key));
	assert_key(*state, later.now, 1, 0);
	assert_kc_ok(try_register(*state, &later, "KEY", "three", "", &registered));
}

/* A limit that was lowered turns away new ones, and those that were silent, but not who is in. */
static void test_a_lowered_limit(void **state)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered;
	struct kc_activation_key key = a_key("KEY");
	struct kc_licences licences = at(NOW + 10 * DAY);

	must_register(*state, NOW - 30 * DAY, "silent", NULL);
	must_register(*state, NOW, "one", NULL);
	must_register(*state, NOW, "two", NULL);
	key.server_limit = 1;
	assert_kc_ok(kc_keys_change(*state, &key));
	must_register(*state, NOW + 10 * DAY, "one", NULL);
	assert_kc_error(try_register(*state, &licences, "KEY", "one", "copy", &registered), KC_ERR_KEY_LIMIT,
			"for 1 servers");
	assert_kc_error(try_register(*state, &licences, "KEY", "silent", "", &registered), KC_ERR_KEY_LIMIT,
			"for 1 servers");
}

/* ---- secrets ---- */

static void test_a_wrong_secret_is_as_good_as_none(void **state)
{
	struct kc_credentials credentials = must_register(*state, NOW, "machine", NULL), nobody = credentials;
	struct kc_licences licences = at(NOW);
	char nonce[KC_NONCE_SIZE] = "";

	credentials.secret[5] = credentials.secret[5] == '0' ? '1' : '0';
	nobody.server_id[3] = nobody.server_id[3] == 'x' ? 'y' : 'x';
	assert_kc_error(kc_licence_verify(*state, &credentials), KC_ERR_UNKNOWN_SERVER, "secret");
	assert_kc_error(kc_licence_verify(*state, &nobody), KC_ERR_UNKNOWN_SERVER, "secret");
	assert_kc_error(kc_licence_unregister(*state, &licences, &credentials), KC_ERR_UNKNOWN_SERVER, "secret");
	assert_kc_error(check_in(*state, NOW, &credentials, 1, nonce), KC_ERR_UNKNOWN_SERVER, "secret");
	assert_int_equal(count(*state), 1);
}

/* ---- checking in ---- */

static void test_checking_in(void **state)
{
	char nonce[KC_NONCE_SIZE];
	struct kc_credentials credentials = must_register(*state, NOW, "machine", nonce);
	KC_CLEANUP_SERVER struct kc_server server = { 0 };

	assert_kc_ok(check_in(*state, NOW + 10, &credentials, 1, nonce));
	assert_kc_ok(check_in(*state, NOW + 20, &credentials, 1, nonce));
	assert_kc_ok(kc_servers_get(*state, credentials.server_id, &server));
	assert_int_equal(server.checked_in, NOW + 20);
	assert_int_equal(server.updated, NOW + 10);
	assert_string_equal(server.hostname, "renamed");
	assert_string_equal(server.last.patchset, "K20261123_01");
	assert_string_equal(server.last.tags, "env:prod");
	kc_server_clear(&server);
	assert_kc_ok(check_in(*state, NOW + 30, &credentials, 2, nonce));
	assert_kc_ok(kc_servers_get(*state, credentials.server_id, &server));
	assert_int_equal(server.updated, NOW + 30);
}

/* The answer may be lost: the host comes with the nonce of before, any number of times. */
static void test_lost_answers(void **state)
{
	char nonce[KC_NONCE_SIZE], same[KC_NONCE_SIZE];
	struct kc_credentials credentials = must_register(*state, NOW, "machine", nonce);

	for (int i = 0; i < 3; i++) {
		memcpy(same, nonce, sizeof(same));
		assert_kc_ok(check_in(*state, NOW + i, &credentials, 1, same));
	}
	assert_kc_ok(check_in(*state, NOW + 4, &credentials, 1, same));
}

/* Two hosts with the same secret: whoever speaks first goes on, the other one is told at its next check-in at the
 * latest. */
static void test_clones(void **state)
{
	char original[KC_NONCE_SIZE], clone[KC_NONCE_SIZE];
	struct kc_credentials credentials = must_register(*state, NOW, "machine", original);
	KC_CLEANUP_REGISTERED struct kc_registered registered;
	struct kc_licences licences = at(NOW);

	assert_kc_ok(check_in(*state, NOW, &credentials, 1, original));
	memcpy(clone, original, sizeof(clone));
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, original));
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, original));
	assert_kc_error(check_in(*state, NOW, &credentials, 1, clone), KC_ERR_CLONED, credentials.server_id);
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, original));

	/* as fast as an answer that was lost: then it is the other one that is told */
	memcpy(clone, original, sizeof(clone));
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, original));
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, clone));
	assert_kc_error(check_in(*state, NOW, &credentials, 1, original), KC_ERR_CLONED, credentials.server_id);
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, clone));

	/* it registers with an instance of its own, and both are there */
	assert_kc_ok(try_register(*state, &licences, "KEY", "machine", "0123456789abcdef", &registered));
	assert_int_equal(count(*state), 2);
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, clone));
	assert_kc_ok(check_in(*state, NOW, &registered.credentials, 1, registered.nonce));
}

static void test_after_a_restore_any_nonce_is_taken_once(void **state)
{
	char nonce[KC_NONCE_SIZE], old[KC_NONCE_SIZE] = "00000000000000000000000000000000";
	struct kc_credentials credentials = must_register(*state, NOW, "machine", nonce);

	assert_kc_ok(check_in(*state, NOW, &credentials, 1, nonce));
	assert_kc_ok(kc_servers_forget_nonces(*state));
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, old));
	assert_kc_error(check_in(*state, NOW, &credentials, 1, nonce), KC_ERR_CLONED, credentials.server_id);
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, old));
}

/* No nonce is none that is over: a copy must not get around by leaving it out. */
static void test_no_nonce(void **state)
{
	char nonce[KC_NONCE_SIZE], none[KC_NONCE_SIZE] = "";
	struct kc_credentials credentials = must_register(*state, NOW, "machine", nonce);

	assert_kc_error(check_in(*state, NOW, &credentials, 1, none), KC_ERR_CLONED, credentials.server_id);
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, nonce));
	assert_kc_error(check_in(*state, NOW, &credentials, 1, none), KC_ERR_CLONED, credentials.server_id);
	assert_kc_ok(kc_servers_forget_nonces(*state));
	assert_kc_ok(check_in(*state, NOW, &credentials, 1, none));
	memset(none, 0, sizeof(none));
	assert_kc_error(check_in(*state, NOW, &credentials, 1, none), KC_ERR_CLONED, credentials.server_id);
}

/* What a host says is worth knowing, whatever became of its key. */
static void test_servers_of_a_locked_key_are_heard(void **state)
{
	struct kc_activation_key key = a_key("KEY");
	char nonce[KC_NONCE_SIZE];
	struct kc_credentials credentials = must_register(*state, NOW, "machine", nonce);

	key.is_locked = true;
	key.ends = NOW;
	assert_kc_ok(kc_keys_change(*state, &key));
	assert_kc_ok(check_in(*state, NOW + DAY, &credentials, 1, nonce));
}

static void test_licence_info(void **state)
{
	struct kc_credentials credentials = must_register(*state, NOW, "machine", NULL);
	KC_CLEANUP_LICENCE_INFO struct kc_licence_info info = { 0 };
	struct kc_licences licences = at(NOW);

	assert_kc_ok(kc_licence_info(*state, &licences, &credentials, &info));
	assert_string_equal(info.key, "KEY");
	assert_string_equal(info.note, "a note");
	assert_int_equal(info.n_servers, 1);
	assert_string_equal(info.terms.sticky, "yesterday");
	credentials.secret[0] = '\0';
	kc_licence_info_clear(&info);
	assert_kc_error(kc_licence_info(*state, &licences, &credentials, &info), KC_ERR_UNKNOWN_SERVER, "secret");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registering),
		TEST(test_keys_that_are_no_good),
		TEST(test_the_same_machine_replaces_itself),
		TEST(test_the_limit),
		TEST(test_who_comes_back_to_a_full_key),
		TEST(test_a_lowered_limit),
		TEST(test_a_wrong_secret_is_as_good_as_none),
		TEST(test_checking_in),
		TEST(test_lost_answers),
		TEST(test_clones),
		TEST(test_after_a_restore_any_nonce_is_taken_once),
		TEST(test_no_nonce),
		TEST(test_servers_of_a_locked_key_are_heard),
		TEST(test_licence_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
