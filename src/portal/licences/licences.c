/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/licences/licences.h"

#include <string.h>

#include "base/hex.h"
#include "base/random.h"
#include "portal/http/address.h"
#include "sign/password.h"

enum { DAY_S = 86400 };

/* ---- secrets ---- */

/* `size`: of the text, with '\0'. */
static struct kc_error *random_hex(char *text, size_t size)
{
	uint8_t bytes[KC_SECRET_SIZE / 2];
	int err = kc_random_bytes(bytes, size / 2);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make a secret");
	kc_hex_encode(bytes, size / 2, text);
	explicit_bzero(bytes, sizeof(bytes));
	return NULL;
}

static struct kc_error *wrong_server(const char *id)
{
	return kc_error_new(KC_ERR_UNKNOWN_SERVER,
			    "server %s is not registered here, or its secret is another one: register it again", id);
}

/* An id that nobody has and a wrong secret are the same to who asks. */
static struct kc_error *get_server(struct kc_db_conn *conn, const struct kc_credentials *credentials,
				   struct kc_server *server)
{
	char hash[KC_SHA256_TEXT_SIZE];
	struct kc_error *err = kc_servers_get(conn, credentials->server_id, server);

	if (err && kc_error_code(err) != KC_ERR_UNKNOWN_SERVER)
		return err;
	kc_sha256_text(credentials->secret, strlen(credentials->secret), hash);
	if (!err && kc_secret_equals(hash, server->secret_hash))
		return NULL;
	kc_error_free(err);
	return wrong_server(credentials->server_id);
}

struct kc_error *kc_licence_verify(struct kc_db_conn *conn, const struct kc_credentials *credentials)
{
	KC_CLEANUP_SERVER struct kc_server server = { 0 };

	return get_server(conn, credentials, &server);
}

/* ---- what a key allows ---- */

static int64_t active_since(const struct kc_licences *licences)
{
	return licences->now - (int64_t)licences->inactive_days * DAY_S;
}

static struct kc_error *terms_of(const struct kc_activation_key *key, struct kc_key_terms *terms)
{
	terms->feed = strdup(key->feed);
	terms->sticky = strdup(key->sticky);
	terms->ends = key->ends;
	terms->has_kernel = key->products & KC_PRODUCT_KERNEL;
	terms->has_libs = key->products & KC_PRODUCT_LIBS;
	terms->has_qemu = key->products & KC_PRODUCT_QEMU;
	return terms->feed && terms->sticky ? NULL : kc_error_no_memory();
}

static struct kc_error *check_key(const struct kc_licences *licences, const struct kc_activation_key *key)
{
	if (key->is_locked)
		return kc_error_new(KC_ERR_KEY_LOCKED, "the key is locked: ask who gave it to you");
	if (key->ends && key->ends <= licences->now)
		return kc_error_new(KC_ERR_KEY_ENDED, "the time of the key is over: ask for another one");
	if (*key->addresses && !kc_networks_have(key->addresses, licences->address))
		return kc_error_new(KC_ERR_ADDRESS, "the key is not for servers with the address %s",
				    licences->address);
	return NULL;
}

/* ---- register ---- */

/*
 * The entry of before goes; its tags, which an operator gave, are handed over, and so is its place: a key whose limit
 * was lowered does not turn away who is in.
 */
static struct kc_error *replace_old(struct kc_db_conn *conn, const struct kc_licences *licences,
				    struct kc_server *server, bool *has_place)
{
	KC_CLEANUP_SERVER struct kc_server old = { 0 };
	char id[KC_SERVER_ID_SIZE];
	struct kc_error *err = kc_servers_find(conn, server->key, server->machine_id, server->instance, id);

	*has_place = false;
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return NULL;
	}
	if (err)
		return err;
	KC_TRY(kc_servers_get(conn, id, &old));
	*has_place = old.checked_in >= active_since(licences) || old.registered >= active_since(licences);
	free(server->tags);
	server->tags = kc_steal(old.tags);
	return kc_servers_remove(conn, id);
}

static struct kc_error *check_limit(struct kc_db_conn *conn, const struct kc_licences *licences, const char *name)
{
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };

	KC_TRY(kc_keys_get(conn, name, active_since(licences), &key));
	if (key.n_servers < key.server_limit)
		return NULL;
	return kc_error_new(KC_ERR_KEY_LIMIT,
			    "the key is for %u servers, and has %u: unregister one that does not need it any more",
			    key.server_limit, key.n_servers);
}

static struct kc_error *fill_server(const struct kc_licences *licences, const struct kc_registration *registration,
				    struct kc_server *server)
{
	server->key = strdup(registration->key);
	server->hostname = strdup(registration->hostname);
	server->ip = strdup(licences->address);
	server->machine_id = strdup(registration->machine_id);
	server->instance = strdup(registration->instance);
	server->last.hostname = strdup(registration->hostname);
	server->last.virtualization = strdup(registration->virtualization);
	server->last.agent_version = strdup(registration->agent_version);
	server->registered = licences->now;
	return server->key && server->hostname && server->ip && server->machine_id && server->instance &&
			       server->last.hostname && server->last.virtualization && server->last.agent_version
		       ? NULL
		       : kc_error_no_memory();
}

static struct kc_error *name_server(struct kc_server *server, struct kc_registered *registered)
{
	int err = kc_random_name(server->id, KC_SERVER_ID_SIZE - 1);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make a server id");
	KC_TRY(random_hex(registered->credentials.secret, KC_SECRET_SIZE));
	KC_TRY(random_hex(registered->nonce, KC_NONCE_SIZE));
	memcpy(registered->credentials.server_id, server->id, KC_SERVER_ID_SIZE);
	memcpy(server->nonce, registered->nonce, KC_NONCE_SIZE);
	kc_sha256_text(registered->credentials.secret, KC_SECRET_SIZE - 1, server->secret_hash);
	return NULL;
}

struct kc_error *kc_licence_register(struct kc_db_conn *conn, const struct kc_licences *licences,
				     const struct kc_registration *registration, struct kc_registered *registered)
{
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };
	KC_CLEANUP_SERVER struct kc_server server = { 0 };
	bool has_place;

	KC_TRY(kc_keys_get(conn, registration->key, KC_KEYS_UNCOUNTED, &key));
	KC_TRY(check_key(licences, &key));
	KC_TRY(fill_server(licences, registration, &server));
	KC_TRY(replace_old(conn, licences, &server, &has_place));
	/* counting is for keys with a limit only: of a large fleet it is most of what registering costs */
	if (key.server_limit && !has_place)
		KC_TRY(check_limit(conn, licences, registration->key));
	KC_TRY(name_server(&server, registered));
	KC_TRY(kc_servers_add(conn, &server));
	return terms_of(&key, &registered->terms);
}

struct kc_error *kc_licence_unregister(struct kc_db_conn *conn, const struct kc_licences *licences,
				       const struct kc_credentials *credentials)
{
	(void)licences;
	KC_TRY(kc_licence_verify(conn, credentials));
	return kc_servers_remove(conn, credentials->server_id);
}

/* ---- check in ---- */

/*
 * The nonce of the answer before, or, when that answer was lost, once more the one before that. Whoever comes with
 * another one was copied from a host that has gone on, or is the original of a copy that has.
 */
static struct kc_error *take_nonce(struct kc_server *server, const char *nonce)
{
	bool is_expected = kc_secret_equals(nonce, server->nonce);
	/* the previous one may be "", which no host may come with */
	bool is_previous = *nonce && kc_secret_equals(nonce, server->previous_nonce);

	if (*server->nonce && !is_expected && !is_previous)
		return kc_error_new(
			KC_ERR_CLONED,
			"two hosts speak as server %s: was one copied from the other? Register this one again",
			server->id);
	if (is_expected || !*server->nonce)
		snprintf(server->previous_nonce, KC_NONCE_SIZE, "%s", nonce);
	return random_hex(server->nonce, KC_NONCE_SIZE);
}

static bool has_changed(const struct kc_checkin *last, const struct kc_checkin *checkin)
{
	return last->level != checkin->level || strcmp(last->effective_version, checkin->effective_version) ||
	       strcmp(last->kernel_id, checkin->kernel_id);
}

static struct kc_error *replace_text(char **text, const char *with)
{
	char *copy = strdup(with);

	if (!copy)
		return kc_error_no_memory();
	free(*text);
	*text = copy;
	return NULL;
}

/* `checkin` is lent to `server` for the time of the write. */
static struct kc_error *write_checkin(struct kc_db_conn *conn, struct kc_server *server,
				      const struct kc_checkin *checkin)
{
	struct kc_checkin last = server->last;
	struct kc_error *err;

	server->last = *checkin;
	memset(&server->last.credentials, 0, sizeof(server->last.credentials));
	memset(server->last.nonce, 0, sizeof(server->last.nonce));
	err = kc_servers_check_in(conn, server);
	server->last = last;
	return err;
}

struct kc_error *kc_licence_check_in(struct kc_db_conn *conn, const struct kc_licences *licences,
				     const struct kc_checkin *checkin, struct kc_checkin_answer *answer)
{
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };
	KC_CLEANUP_SERVER struct kc_server server = { 0 };

	KC_TRY(get_server(conn, &checkin->credentials, &server));
	KC_TRY(take_nonce(&server, checkin->nonce));
	KC_TRY(replace_text(&server.ip, licences->address));
	if (*checkin->hostname)
		KC_TRY(replace_text(&server.hostname, checkin->hostname));
	if (!server.checked_in || has_changed(&server.last, checkin))
		server.updated = licences->now;
	server.checked_in = licences->now;
	KC_TRY(write_checkin(conn, &server, checkin));
	memcpy(answer->nonce, server.nonce, KC_NONCE_SIZE);
	KC_TRY(kc_keys_get(conn, server.key, KC_KEYS_UNCOUNTED, &key));
	return terms_of(&key, &answer->terms);
}

struct kc_error *kc_licence_info(struct kc_db_conn *conn, const struct kc_licences *licences,
				 const struct kc_credentials *credentials, struct kc_licence_info *info)
{
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };
	KC_CLEANUP_SERVER struct kc_server server = { 0 };

	KC_TRY(get_server(conn, credentials, &server));
	KC_TRY(kc_keys_get(conn, server.key, active_since(licences), &key));
	info->key = strdup(key.key);
	info->note = strdup(key.note);
	info->n_servers = key.n_servers;
	info->server_limit = key.server_limit;
	if (!info->key || !info->note)
		return kc_error_no_memory();
	return terms_of(&key, &info->terms);
}
