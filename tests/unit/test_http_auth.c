/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who asks, over real HTTP and a real database: passwords, API keys, and what is remembered of them. The clock is ours,
 * and so is the check of passwords when a test needs many of them: both are wrapped by the linker.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "http_host.h"
#include "kc_assert.h"
#include "portal/db/users.h"
#include "portal/http/auth.h"
#include "portal_db.h"
#include "sign/hash.h"
#include "sign/password.h"

#define RIGHT "correct horse battery staple"
#define OTHER "another long password"
#define API_KEY "0123456789012345678901234567890123456789"

enum { DAY_S = 86400 };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int64_t clock_is_off_by;
	unsigned n_checks;
	bool all_are_wrong, are_held;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static char kept_right[KC_PASSWORD_TEXT_SIZE], kept_other[KC_PASSWORD_TEXT_SIZE];

/* ---- what is wrapped ---- */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
time_t __real_time(time_t *now);
struct kc_error *__real_kc_password_check(const char *password, const char *text);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
time_t __wrap_time(time_t *now);
struct kc_error *__wrap_kc_password_check(const char *password, const char *text);

static int64_t off_by(void)
{
	int64_t seconds;

	pthread_mutex_lock(&fake.lock);
	seconds = fake.clock_is_off_by;
	pthread_mutex_unlock(&fake.lock);
	return seconds;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = __real_clock_gettime(clock, now);

	if (clock == CLOCK_MONOTONIC)
		now->tv_sec += off_by();
	return result;
}

time_t __wrap_time(time_t *now)
{
	time_t result = __real_time(NULL) + off_by();

	if (now)
		*now = result;
	return result;
}

struct kc_error *__wrap_kc_password_check(const char *password, const char *text)
{
	bool all_are_wrong;

	pthread_mutex_lock(&fake.lock);
	fake.n_checks++;
	pthread_cond_broadcast(&fake.changed);
	while (fake.are_held)
		pthread_cond_wait(&fake.changed, &fake.lock);
	all_are_wrong = fake.all_are_wrong;
	pthread_mutex_unlock(&fake.lock);
	return all_are_wrong ? kc_error_new(KC_ERR_UNAUTHORIZED, "wrong") : __real_kc_password_check(password, text);
}

static void pass_time(int64_t seconds)
{
	pthread_mutex_lock(&fake.lock);
	fake.clock_is_off_by += seconds;
	pthread_mutex_unlock(&fake.lock);
}

static void hold_checks(bool are_held)
{
	pthread_mutex_lock(&fake.lock);
	fake.are_held = are_held;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

/* How many passwords were checked since the last call. */
static unsigned checks(void)
{
	unsigned n;

	pthread_mutex_lock(&fake.lock);
	n = fake.n_checks;
	fake.n_checks = 0;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* ---- a server, and who may ask it ---- */

struct site {
	struct portal_db *db;
	struct http_host host;
	struct kc_http_auth *auth;
};

static void handle(void *data, struct kc_http_request *request)
{
	struct kc_http_answer answer = { .content_type = "text/plain" };

	(void)data;
	kc_buf_printf(&answer.body, "%s, %s", kc_http_user(request),
		      kc_http_user_is_admin(request) ? "admin" : "readonly");
	kc_http_reply(request, &answer);
}

static void admit(void *data, struct kc_http_request *request, enum kc_http_role role)
{
	struct site *site = data;

	kc_http_auth_admit(site->auth, request, role);
}

static struct kc_error *add_users(struct kc_db_conn *conn, void *data)
{
	char note[] = "", boss[] = "boss", reader[] = "reader", robot[] = "robot";
	const struct kc_user users[] = {
		{ .name = boss, .note = note, .password = kept_right, .is_admin = true },
		{ .name = reader, .note = note, .password = kept_right },
		{ .name = robot, .note = note, .password = note, .is_admin = true },
	};

	(void)data;
	for (size_t i = 0; i < KC_ARRAY_SIZE(users); i++)
		KC_TRY(kc_users_add(conn, &users[i]));
	return NULL;
}

/* `data`: an int64_t, seconds for which it is good; 0: for ever. */
static struct kc_error *add_api_key(struct kc_db_conn *conn, void *data)
{
	char id[] = "abcdefgh", robot[] = "robot", note[] = "", hash[KC_SHA256_TEXT_SIZE];
	const int64_t *seconds = data;
	const struct kc_api_key key = {
		.id = id, .user = robot, .note = note, .expires = *seconds ? time(NULL) + *seconds : 0
	};

	kc_sha256_text(API_KEY, strlen(API_KEY), hash);
	return kc_api_keys_add(conn, &key, hash);
}

static struct kc_error *remove_robot(struct kc_db_conn *conn, void *data)
{
	(void)data;
	return kc_users_remove(conn, "robot");
}

static struct kc_error *change_reader(struct kc_db_conn *conn, void *data)
{
	char name[] = "reader";
	const struct kc_user user = { .name = name, .password = kept_other, .is_admin = data != NULL };

	return kc_users_change(conn, &user);
}

static int make_passwords(void **state)
{
	(void)state;
	assert_kc_ok(kc_password_hash(RIGHT, kept_right));
	assert_kc_ok(kc_password_hash(OTHER, kept_other));
	return 0;
}

static int set_up(void **state)
{
	static const struct kc_http_route routes[] = {
		{ "GET", "/look", KC_HTTP_READONLY, 0, false, handle },
		{ "GET", "/change", KC_HTTP_ADMIN, 0, false, handle },
		{ "GET", "/local", KC_HTTP_LOCAL, 0, false, handle },
	};
	struct site *site = calloc(1, sizeof(*site));
	struct kc_http_options options = {
		.routes = routes,
		.n_routes = KC_ARRAY_SIZE(routes),
		.admit = admit,
		.data = site,
		.trusted_proxies = "127.0.0.1",
	};

	assert_non_null(site);
	fake.clock_is_off_by = 0;
	fake.all_are_wrong = fake.are_held = false;
	fake.n_checks = 0;
	assert_int_equal(portal_db_set_up((void **)&site->db), 0);
	assert_kc_ok(kc_db_write_wait(site->db->db, add_users, NULL));
	assert_kc_ok(kc_http_auth_new(site->db->db, &site->auth));
	http_host_open(&site->host);
	http_host_start(&site->host, options);
	*state = site;
	return 0;
}

static int tear_down(void **state)
{
	struct site *site = *state;

	kc_http_auth_stop(site->auth);
	http_host_close(&site->host);
	kc_http_auth_free(site->auth);
	assert_int_equal(portal_db_tear_down((void **)&site->db), 0);
	free(site);
	return 0;
}

/* ---- asking ---- */

/* The lines for a request by `user`, from `address`. */
static const char *headers(const char *user, const char *password, const char *address)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static char text[1024];
	char plain[256], basic[400], *out = basic;
	size_t size = (size_t)snprintf(plain, sizeof(plain), "%s:%s", user, password);

	assert_true(size < sizeof(plain) - 3);
	memset(plain + size, 0, 3);
	for (size_t i = 0; i < size; i += 3) {
		const uint8_t *at = (const uint8_t *)plain + i;
		uint32_t bits = (uint32_t)(at[0] << 16 | at[1] << 8 | at[2]);

		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = i + 1 < size ? digits[bits >> 6 & 63] : '=';
		*out++ = i + 2 < size ? digits[bits & 63] : '=';
	}
	*out = '\0';
	snprintf(text, sizeof(text), "Authorization: Basic %s\r\nX-Forwarded-For: %s\r\n", basic, address);
	return text;
}

static void assert_asks(struct site *site, const char *path, const char *user, const char *password, unsigned status,
			const char *says)
{
	char what[64];

	snprintf(what, sizeof(what), "GET %s", path);
	assert_http(&site->host, what, headers(user, password, "192.0.2.1"), "", status, says);
}

static void assert_key(struct site *site, const char *path, const char *key, unsigned status, const char *says)
{
	char what[64], lines[256];

	snprintf(what, sizeof(what), "GET %s", path);
	snprintf(lines, sizeof(lines), "X-Forwarded-For: 192.0.2.1\r\nX-Api-Key: %s\r\n", key);
	assert_http(&site->host, what, lines, "", status, says);
}

static void assert_from(struct site *site, const char *address, const char *user, const char *password, unsigned status)
{
	assert_http(&site->host, "GET /look", headers(user, password, address), "", status, "");
}

/* ---- passwords ---- */

static void test_passwords(void **state)
{
	struct site *site = *state;

	assert_asks(site, "/look", "boss", RIGHT, 200, "boss, admin");
	assert_asks(site, "/change", "boss", RIGHT, 200, "boss, admin");
	assert_asks(site, "/look", "reader", RIGHT, 200, "reader, readonly");
	assert_asks(site, "/change", "reader", RIGHT, 403, "may look, and change nothing");
	assert_asks(site, "/local", "boss", RIGHT, 403, "forbidden");
	assert_asks(site, "/look", "boss", OTHER, 401, "unauthorized");
	assert_asks(site, "/look", "boss", "", 401, "unauthorized");
	assert_asks(site, "/look", "Boss", RIGHT, 401, "unauthorized");
	assert_http(&site->host, "GET /look", "", "", 401, "unauthorized");
}

/* Nobody learns from the time, or from the answer, which names there are. */
static void test_names_that_nobody_has(void **state)
{
	struct site *site = *state;

	assert_asks(site, "/look", "nobody", RIGHT, 401, "name or password is wrong");
	assert_int_equal(checks(), 1);
	assert_asks(site, "/look", "robot", "", 401, "name or password is wrong");
	assert_int_equal(checks(), 1);
	assert_asks(site, "/look", "boss", OTHER, 401, "name or password is wrong");
	assert_int_equal(checks(), 1);
}

static void test_what_was_right_is_remembered(void **state)
{
	struct site *site = *state;

	assert_asks(site, "/look", "boss", RIGHT, 200, "boss");
	assert_int_equal(checks(), 1);
	pass_time(KC_AUTH_REMEMBER_S - 1);
	assert_asks(site, "/look", "boss", RIGHT, 200, "boss");
	assert_int_equal(checks(), 0);
	/* of one user only, and only that password */
	assert_asks(site, "/look", "reader", RIGHT, 200, "reader");
	assert_asks(site, "/look", "boss", RIGHT " ", 401, "");
	assert_int_equal(checks(), 2);
	pass_time(2);
	assert_asks(site, "/look", "boss", RIGHT, 200, "boss");
	assert_int_equal(checks(), 1);
}

static void test_changes_count_at_once(void **state)
{
	struct site *site = *state;

	assert_asks(site, "/look", "reader", RIGHT, 200, "reader, readonly");
	assert_kc_ok(kc_db_write_wait(site->db->db, change_reader, NULL));
	assert_asks(site, "/look", "reader", RIGHT, 401, "");
	assert_asks(site, "/change", "reader", OTHER, 403, "");
	assert_kc_ok(kc_db_write_wait(site->db->db, change_reader, site));
	assert_asks(site, "/change", "reader", OTHER, 200, "reader, admin");
}

/* ---- API keys ---- */

static void test_api_keys(void **state)
{
	struct site *site = *state;
	int64_t for_ever = 0;
	char hash[KC_SHA256_TEXT_SIZE];

	kc_sha256_text(API_KEY, strlen(API_KEY), hash);
	assert_kc_ok(kc_db_write_wait(site->db->db, add_api_key, &for_ever));
	assert_key(site, "/change", API_KEY, 200, "robot, admin");
	assert_key(site, "/local", API_KEY, 403, "forbidden");
	/* a part of it, more than it, what is kept of it, its id */
	assert_key(site, "/look", "012345678901234567890123456789012345678", 401, "");
	assert_key(site, "/look", API_KEY "0", 401, "");
	assert_key(site, "/look", hash, 401, "");
	assert_key(site, "/look", "abcdefgh", 401, "");
	assert_asks(site, "/look", "robot", API_KEY, 401, "");
	pass_time(4000 * (int64_t)DAY_S);
	assert_key(site, "/look", API_KEY, 200, "robot");
	assert_kc_ok(kc_db_write_wait(site->db->db, remove_robot, NULL));
	assert_key(site, "/look", API_KEY, 401, "");
}

static void test_api_keys_expire(void **state)
{
	struct site *site = *state;
	int64_t seconds = DAY_S;

	assert_kc_ok(kc_db_write_wait(site->db->db, add_api_key, &seconds));
	pass_time(DAY_S - 60);
	assert_key(site, "/look", API_KEY, 200, "robot");
	pass_time(60);
	assert_key(site, "/look", API_KEY, 401, "unauthorized");
}

/* ---- failures ---- */

static void guess(struct site *site, const char *user, unsigned n)
{
	char address[32];

	fake.all_are_wrong = true;
	for (unsigned i = 0; i < n; i++) {
		snprintf(address, sizeof(address), "198.51.100.%u", i + 1);
		assert_from(site, address, user, OTHER, 401);
	}
	fake.all_are_wrong = false;
}

static void test_an_account_that_is_guessed(void **state)
{
	struct site *site = *state;

	assert_from(site, "203.0.113.1", "boss", RIGHT, 200);
	guess(site, "boss", KC_LIMIT_FAILURES);
	checks();
	assert_from(site, "192.0.2.1", "boss", RIGHT, 429);
	assert_int_equal(checks(), 0);
	/* where it was right before, nobody is locked out; others are not, either */
	assert_from(site, "203.0.113.1", "boss", RIGHT, 200);
	assert_from(site, "192.0.2.1", "reader", RIGHT, 200);
	pass_time(KC_LIMIT_WINDOW_S - 5);
	assert_from(site, "192.0.2.1", "boss", RIGHT, 429);
	pass_time(10);
	assert_from(site, "192.0.2.1", "boss", RIGHT, 200);
}

static void test_an_address_that_guesses(void **state)
{
	struct site *site = *state;
	int64_t for_ever = 0;

	assert_kc_ok(kc_db_write_wait(site->db->db, add_api_key, &for_ever));
	for (unsigned i = 0; i < KC_LIMIT_FAILURES; i++)
		assert_key(site, "/look", "guess", 401, "");
	/* whoever it is, by whatever way */
	assert_key(site, "/look", API_KEY, 429, "too-many-requests");
	assert_asks(site, "/look", "boss", RIGHT, 429, "too-many-requests");
	assert_from(site, "192.0.2.2", "boss", RIGHT, 200);
	pass_time(KC_LIMIT_WINDOW_S);
	assert_key(site, "/look", API_KEY, 200, "robot");
}

/* ---- many at a time ---- */

static void wait_for_check(void)
{
	pthread_mutex_lock(&fake.lock);
	while (!fake.n_checks)
		pthread_cond_wait(&fake.changed, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
}

/* So many requests that wait for their password to be checked. */
static void ask_many(struct site *site, int *fds, size_t n)
{
	char address[32];

	hold_checks(true);
	for (size_t i = 0; i < n; i++) {
		snprintf(address, sizeof(address), "198.51.100.%zu", i + 1);
		fds[i] = http_connect(&site->host);
		http_send(fds[i], "GET /look HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s\r\n",
			  headers("reader", RIGHT, address));
	}
	wait_for_check();
}

static unsigned receive_status(int fd)
{
	HTTP_CLEANUP_REPLY struct http_reply reply = http_receive(fd, false);

	close(fd);
	return reply.status;
}

static void test_so_many_may_wait(void **state)
{
	struct site *site = *state;
	unsigned n_right = 0, n_over = 0, status;
	int fds[KC_AUTH_WAITING_MAX + 5];

	ask_many(site, fds, KC_ARRAY_SIZE(fds));
	/* those over the limit are told so at once, whichever they are; this one comes when all have been read */
	for (unsigned tries = 0; tries < 600 && n_over < 5; tries++) {
		for (size_t i = 0; i < KC_ARRAY_SIZE(fds); i++) {
			if (fds[i] < 0 || poll(&(struct pollfd){ .fd = fds[i], .events = POLLIN }, 1, 0) <= 0)
				continue;
			assert_int_equal(receive_status(fds[i]), 429);
			fds[i] = -1;
			n_over++;
		}
		portal_db_pause(50000);
	}
	assert_int_equal(n_over, 5);
	hold_checks(false);
	for (size_t i = 0; i < KC_ARRAY_SIZE(fds); i++) {
		if (fds[i] < 0)
			continue;
		status = receive_status(fds[i]);
		assert_int_equal(status, 200);
		n_right++;
	}
	assert_int_equal(n_right, KC_AUTH_WAITING_MAX);
	/* the first one was checked; the others were remembered when their turn came */
	assert_int_equal(checks(), 1);
	assert_from(site, "192.0.2.1", "reader", RIGHT, 200);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_passwords),
		TEST(test_names_that_nobody_has),
		TEST(test_what_was_right_is_remembered),
		TEST(test_changes_count_at_once),
		TEST(test_api_keys),
		TEST(test_api_keys_expire),
		TEST(test_an_account_that_is_guessed),
		TEST(test_an_address_that_guesses),
		TEST(test_so_many_may_wait),
	};

	return cmocka_run_group_tests(tests, make_passwords, NULL);
}
