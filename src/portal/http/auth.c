/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/http/auth.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/random.h"
#include "portal/db/users.h"
#include "portal/http/address.h"
#include "portal/worker.h"
#include "sign/hash.h"
#include "sign/password.h"

enum { REMEMBERED = 64, SALT_SIZE = 32 };

struct remembered {
	char hash[KC_SHA256_TEXT_SIZE]; /* of salt, name, kept password, password */
	int64_t until;
};

struct kc_http_auth {
	struct kc_db *db;
	struct kc_worker *worker;
	struct kc_limits *limits;
	uint8_t salt[SALT_SIZE];
	pthread_mutex_t mutex; /* of what follows */
	struct remembered remembered[REMEMBERED];
	unsigned next_remembered, n_waiting;
};

static int64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* ---- limits ---- */

struct kc_error *kc_http_auth_check_limit(struct kc_http_auth *auth, enum kc_limit_kind kind, const char *name)
{
	return kc_limits_is_over(auth->limits, kind, name, now_s())
		       ? kc_error_new(KC_ERR_TOO_MANY, "too many tries; try again in %d minutes",
				      KC_LIMIT_WINDOW_S / 60)
		       : NULL;
}

void kc_http_auth_count(struct kc_http_auth *auth, enum kc_limit_kind kind, const char *name)
{
	kc_limits_count(auth->limits, kind, name, now_s());
}

void kc_http_auth_address(const struct kc_http_request *request, char name[KC_ADDRESS_TEXT_SIZE])
{
	struct kc_address address;

	snprintf(name, KC_ADDRESS_TEXT_SIZE, "%s", kc_http_address(request));
	if (!kc_address_parse(name, &address))
		return;
	address = kc_address_to_count(&address);
	kc_address_text(&address, name);
}

/* Where it was right lately it is not locked out: failures there are limited by the address alone. */
static struct kc_error *check_account(struct kc_http_auth *auth, const struct kc_http_request *request,
				      const char *account)
{
	char address[KC_ADDRESS_TEXT_SIZE];

	kc_http_auth_address(request, address);
	return kc_limits_is_known(auth->limits, account, address, now_s())
		       ? NULL
		       : kc_http_auth_check_limit(auth, KC_LIMIT_ACCOUNTS, account);
}

static void know(struct kc_http_auth *auth, const struct kc_http_request *request, const char *account)
{
	char address[KC_ADDRESS_TEXT_SIZE];

	kc_http_auth_address(request, address);
	kc_limits_know(auth->limits, account, address, now_s());
}

/* ---- passwords that were right ---- */

/* The kept password changes with each new one, so that a change counts at once. False: no memory. */
static bool secret_hash(const struct kc_http_auth *auth, const struct kc_user *user, const char *password,
			char hash[KC_SHA256_TEXT_SIZE])
{
	const char *const parts[] = { user->name, user->password, password };
	kc_autobuf struct kc_buf text = { 0 };

	kc_buf_append(&text, auth->salt, sizeof(auth->salt));
	for (size_t i = 0; i < KC_ARRAY_SIZE(parts); i++)
		kc_buf_append(&text, parts[i], strlen(parts[i]) + 1);
	if (text.data) {
		kc_sha256_text(text.data, text.size, hash);
		explicit_bzero(text.data, text.size);
	}
	return !text.failed;
}

static bool is_remembered(struct kc_http_auth *auth, const struct kc_user *user, const char *password)
{
	char hash[KC_SHA256_TEXT_SIZE];
	bool found = false;

	if (!secret_hash(auth, user, password, hash))
		return false;
	pthread_mutex_lock(&auth->mutex);
	for (size_t i = 0; i < REMEMBERED; i++)
		found |= auth->remembered[i].until > now_s() && kc_secret_equals(auth->remembered[i].hash, hash);
	pthread_mutex_unlock(&auth->mutex);
	return found;
}

static void remember(struct kc_http_auth *auth, const struct kc_user *user, const char *password)
{
	struct remembered made = { .until = now_s() + KC_AUTH_REMEMBER_S };

	if (!secret_hash(auth, user, password, made.hash))
		return;
	pthread_mutex_lock(&auth->mutex);
	auth->remembered[auth->next_remembered++ % REMEMBERED] = made;
	pthread_mutex_unlock(&auth->mutex);
}

/* ---- who asks ---- */

/* With the name, in the database. */
struct lookup {
	const char *name, *hash;
	int64_t now;
	struct kc_user user;
};

static struct kc_error *find_user(struct kc_db_conn *conn, void *data)
{
	struct lookup *lookup = data;

	return lookup->name ? kc_users_get(conn, lookup->name, &lookup->user)
			    : kc_api_keys_user(conn, lookup->hash, lookup->now, &lookup->user);
}

/* KC_ERR_NOT_FOUND is no answer: a user without a kept password is as slow, and as wrong, as any other. */
static struct kc_error *read_user(struct kc_http_auth *auth, const char *name, struct kc_user *user)
{
	struct lookup lookup = { .name = name };
	struct kc_error *err = kc_db_read(auth->db, find_user, &lookup);

	*user = lookup.user;
	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	return NULL;
}

static struct kc_error *enough(struct kc_http_request *request, const struct kc_user *user, enum kc_http_role role)
{
	if (role == KC_HTTP_ADMIN && !user->is_admin)
		return kc_error_new(KC_ERR_FORBIDDEN, "%s may look, and change nothing", user->name);
	kc_http_set_user(request, user->name, user->is_admin);
	return NULL;
}

static struct kc_error *wrong(struct kc_http_auth *auth, const struct kc_http_request *request, const char *name)
{
	char address[KC_ADDRESS_TEXT_SIZE];

	kc_http_auth_address(request, address);
	kc_http_auth_count(auth, KC_LIMIT_ADDRESSES, address);
	if (name)
		kc_http_auth_count(auth, KC_LIMIT_ACCOUNTS, name);
	return kc_error_new(KC_ERR_UNAUTHORIZED, "name or password is wrong");
}

/* ---- a password that has to be checked ---- */

struct check {
	struct kc_worker_item item;
	struct kc_http_auth *auth;
	struct kc_http_request *request;
	enum kc_http_role role;
	char *name, *password;
};

static void free_check(struct check *check)
{
	free(check->name);
	if (check->password)
		explicit_bzero(check->password, strlen(check->password));
	free(check->password);
	free(check);
}

static struct kc_error *check_password(const struct check *check)
{
	KC_CLEANUP_USER struct kc_user user = { 0 };
	struct kc_error *err;

	/* of those that came at the same time, the first ones may have failed meanwhile */
	KC_TRY(check_account(check->auth, check->request, check->name));
	KC_TRY(read_user(check->auth, check->name, &user));
	if (!user.name || !is_remembered(check->auth, &user, check->password)) {
		err = kc_password_check(check->password, user.name ? user.password : NULL);
		if (err && kc_error_code(err) == KC_ERR_UNAUTHORIZED) {
			kc_error_free(err);
			return wrong(check->auth, check->request, check->name);
		}
		if (err)
			return err;
		remember(check->auth, &user, check->password);
	}
	know(check->auth, check->request, check->name);
	return enough(check->request, &user, check->role);
}

static void run_check(struct kc_worker_item *item, bool is_cancelled)
{
	struct check *check = (struct check *)item;
	struct kc_error *err =
		is_cancelled ? kc_error_new(KC_ERR_BUSY, "the portal is being stopped") : check_password(check);

	pthread_mutex_lock(&check->auth->mutex);
	check->auth->n_waiting--;
	pthread_mutex_unlock(&check->auth->mutex);
	kc_http_admitted(check->request, err);
	free_check(check);
}

static bool take_place(struct kc_http_auth *auth)
{
	bool has_place;

	pthread_mutex_lock(&auth->mutex);
	has_place = auth->n_waiting < KC_AUTH_WAITING_MAX;
	auth->n_waiting += has_place;
	pthread_mutex_unlock(&auth->mutex);
	return has_place;
}

/* `name` and `password` are taken over. */
static struct kc_error *begin_check(struct kc_http_auth *auth, struct kc_http_request *request, enum kc_http_role role,
				    char *name, char *password)
{
	struct check *check = calloc(1, sizeof(*check));
	struct kc_error *err;

	if (!check || !take_place(auth)) {
		err = check ? kc_error_new(KC_ERR_TOO_MANY, "too many passwords are being checked; try again")
			    : kc_error_no_memory();
		free(check);
		free(name);
		explicit_bzero(password, strlen(password));
		free(password);
		return err;
	}
	*check = (struct check){ .item.run = run_check,
				 .auth = auth,
				 .request = request,
				 .role = role,
				 .name = name,
				 .password = password };
	kc_worker_add(auth->worker, &check->item);
	return NULL;
}

/* ---- the ways to be somebody ---- */

/* True: it ended in kc_http_admitted(), or will; else `*err` is the answer. */
static bool admit_basic(struct kc_http_auth *auth, struct kc_http_request *request, enum kc_http_role role,
			struct kc_error **err)
{
	KC_CLEANUP_USER struct kc_user user = { 0 };
	char *name, *password;

	kc_http_basic(request, &name, &password);
	if (!name) {
		*err = kc_error_new(KC_ERR_UNAUTHORIZED, "a user's name and password are needed, or an API key");
		return false;
	}
	*err = check_account(auth, request, name);
	if (!*err)
		*err = read_user(auth, name, &user);
	if (!*err && user.name && is_remembered(auth, &user, password)) {
		know(auth, request, name);
		*err = enough(request, &user, role);
	} else if (!*err) {
		*err = begin_check(auth, request, role, name, password);
		return !*err;
	}
	free(name);
	explicit_bzero(password, strlen(password));
	free(password);
	return false;
}

static struct kc_error *admit_api_key(struct kc_http_auth *auth, struct kc_http_request *request,
				      enum kc_http_role role, const char *key)
{
	char hash[KC_SHA256_TEXT_SIZE];
	struct lookup lookup = { .hash = hash, .now = time(NULL) };
	struct kc_error *err;

	kc_sha256_text(key, strlen(key), hash);
	err = kc_db_read(auth->db, find_user, &lookup);
	if (!err)
		err = enough(request, &lookup.user, role);
	else if (kc_error_code(err) == KC_ERR_UNAUTHORIZED) {
		kc_error_free(err);
		err = wrong(auth, request, NULL);
	}
	kc_user_clear(&lookup.user);
	return err;
}

void kc_http_auth_admit(struct kc_http_auth *auth, struct kc_http_request *request, enum kc_http_role role)
{
	const char *key = kc_http_header(request, "X-Api-Key");
	char address[KC_ADDRESS_TEXT_SIZE];
	struct kc_error *err = NULL;

	if (kc_http_is_local(request)) {
		kc_http_set_user(request, "local", true);
	} else if (role == KC_HTTP_LOCAL) {
		err = kc_error_new(KC_ERR_FORBIDDEN, "this is only for kc.eportal on the portal's own machine");
	} else {
		kc_http_auth_address(request, address);
		err = kc_http_auth_check_limit(auth, KC_LIMIT_ADDRESSES, address);
		if (!err && key)
			err = admit_api_key(auth, request, role, key);
		else if (!err && admit_basic(auth, request, role, &err))
			return;
	}
	kc_http_admitted(request, err);
}

/* ---- all of it ---- */

struct kc_error *kc_http_auth_new(struct kc_db *db, struct kc_http_auth **auth)
{
	struct kc_http_auth *made = calloc(1, sizeof(*made));
	struct kc_error *err;
	int random;

	if (!made)
		return kc_error_no_memory();
	made->db = db;
	pthread_mutex_init(&made->mutex, NULL);
	random = kc_random_bytes(made->salt, sizeof(made->salt));
	err = random ? kc_error_errno(KC_ERR_SYSTEM, -random, "cannot make a salt") : kc_limits_new(&made->limits);
	if (!err)
		err = kc_worker_start(NULL, KC_WORKER_NEVER, NULL, &made->worker);
	if (err)
		kc_http_auth_free(made);
	else
		*auth = made;
	return err;
}

void kc_http_auth_stop(struct kc_http_auth *auth)
{
	if (auth)
		kc_worker_stop(auth->worker);
}

void kc_http_auth_free(struct kc_http_auth *auth)
{
	if (!auth)
		return;
	kc_worker_free(auth->worker);
	kc_limits_free(auth->limits);
	pthread_mutex_destroy(&auth->mutex);
	explicit_bzero(auth->salt, sizeof(auth->salt));
	free(auth);
}
