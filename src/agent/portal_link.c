/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/portal_link.h"

#include <string.h>
#include <time.h>

#include "agent/host_facts.h"
#include "agent/info.h"
#include "agent/lock.h"
#include "agent/portal_internal.h"
#include "agent/portal_state.h"
#include "agent/update.h"
#include "apply/user_paths.h"
#include "base/array.h"
#include "fetch/fetch.h"
#include "proto/paths.h"
#include "sign/canonical.h"

enum {
	HASTY_SILENCE_MS = 5000,
	HASTY_TOTAL_MS = 10000,
	PATIENT_TOTAL_MS = 60000,
};

/* ---- asking ---- */

struct kc_error *kc_portal_url(const struct kc_config *config, const char *path, char **url)
{
	const char *base = *config->registration_url ? config->registration_url : config->patch_server;
	const char *below = *config->registration_url ? "" : KC_PROTO_BASE;

	if (!*base)
		return kc_error_new(KC_ERR_CONFIG, "no portal is configured: set REGISTRATION_URL or PATCH_SERVER in "
						   "kcare.conf");
	if (asprintf(url, "%s%s%s", base, below, path) < 0)
		return kc_error_no_memory();
	return NULL;
}

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

struct kc_error *kc_portal_ask(struct kc_ctx *ctx, const struct kc_config *config, const char *path,
			       const struct kc_buf *request, bool is_hasty, struct kc_buf *answer)
{
	const struct kc_fetch_options options = {
		.http_proxy = text_or_null(config->http_proxy),
		.https_proxy = text_or_null(config->https_proxy),
		.no_proxy = text_or_null(config->no_proxy),
		.connect_ms = is_hasty ? HASTY_SILENCE_MS : 0,
		.stall_ms = is_hasty ? HASTY_SILENCE_MS : 0,
		.total_ms = is_hasty ? HASTY_TOTAL_MS : PATIENT_TOTAL_MS,
		.tries = is_hasty ? 1 : 0,
	};
	kc_autofetch struct kc_fetch *fetch = NULL;
	kc_autofree char *url = NULL;
	struct kc_error *err;
	unsigned status;

	KC_TRY(kc_portal_url(config, path, &url));
	KC_TRY(kc_fetch_new(ctx, &options, &fetch));
	KC_TRY(kc_fetch_post(ctx, fetch, url, request->data, request->size, KC_PROTO_ANSWER_MAX, &status, answer));
	if (status == 200)
		return NULL;
	err = kc_error_answer_decode(status, answer->data, answer->size);
	return kc_error_code(err) == KC_ERR_SERVER ? kc_error_prefix(err, "%s", url) : err;
}

struct kc_error *kc_portal_not_understood(struct kc_error *err)
{
	struct kc_error *server;

	if (!err || kc_error_code(err) == KC_ERR_NO_MEMORY)
		return err;
	server = kc_error_new(
		KC_ERR_SERVER,
		"the server does not answer as a portal does (%s): are REGISTRATION_URL or PATCH_SERVER in "
		"kcare.conf right?",
		kc_error_message(err));
	kc_error_free(err);
	return server;
}

bool kc_portal_is_temporary(const struct kc_error *err)
{
	static const enum kc_error_code temporary[] = { KC_ERR_NETWORK,	 KC_ERR_STALLED,  KC_ERR_TRUNCATED,
							KC_ERR_SERVER,	 KC_ERR_TOO_MANY, KC_ERR_BUSY,
							KC_ERR_DATABASE, KC_ERR_LOCKED,	  KC_ERR_NO_SPACE };

	for (size_t i = 0; i < KC_ARRAY_SIZE(temporary); i++)
		if (kc_error_code(err) == temporary[i])
			return true;
	return false;
}

/* ---- what is remembered ---- */

struct kc_error *kc_portal_remember(const char *server_id, const char *nonce, struct kc_key_terms *terms)
{
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state state = { 0 };

	KC_TRY(kc_portal_state_read(&state));
	kc_checkin_answer_clear(&state.answer);
	memcpy(state.server_id, server_id, KC_SERVER_ID_SIZE);
	memcpy(state.answer.nonce, nonce, KC_NONCE_SIZE);
	state.answer.terms = *terms;
	memset(terms, 0, sizeof(*terms)); /* they are the state's now */
	state.answered_at = time(NULL);
	return kc_portal_state_write(&state);
}

/* ---- register ---- */

static bool is_container(struct kc_ctx *ctx)
{
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	kc_autoerror struct kc_error *err = kc_kernel_read(ctx, &kernel);

	return !err && kc_agent_is_in_container(&kernel);
}

static struct kc_error *encode_registration(struct kc_ctx *ctx, const struct kc_config *config,
					    const struct kc_identity *identity, struct kc_buf *out)
{
	KC_CLEANUP_HOST_FACTS struct kc_host_facts facts = { 0 };
	bool container = is_container(ctx);
	struct kc_registration registration = {
		.key = identity->key,
		.machine_id = (char *)identity->machine,
		.instance = (char *)identity->instance,
		.agent_version = (char *)KC_VERSION,
		.is_container = container,
	};

	KC_TRY(kc_host_facts_read("", container, config->report_fqdn, &facts));
	registration.hostname = facts.hostname;
	registration.virtualization = facts.virtualization;
	return kc_registration_encode(&registration, out);
}

struct kc_error *kc_portal_register_identity(struct kc_ctx *ctx, const struct kc_config *config,
					     struct kc_identity *identity, bool is_hasty)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered = { 0 };
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };

	KC_TRY(kc_identity_check_writable());
	KC_TRY(encode_registration(ctx, config, identity, &request));
	KC_TRY(kc_portal_ask(ctx, config, KC_PROTO_REGISTER, &request, is_hasty, &answer));
	KC_TRY(kc_portal_not_understood(kc_registered_decode(answer.data, answer.size, &registered)));
	identity->credentials = registered.credentials;
	KC_TRY(kc_identity_write(identity));
	return kc_portal_remember(identity->credentials.server_id, registered.nonce, &registered.terms);
}

/* What tells this host from others with its machine id stays, unless the machine is another one. */
static struct kc_error *read_identity(struct kc_identity *identity)
{
	char machine[KC_SHA256_TEXT_SIZE];
	struct kc_error *err = kc_identity_read(identity);

	if (err && kc_error_code(err) != KC_ERR_CORRUPT)
		return err;
	if (err) { /* what is no id or no secret must not go on */
		kc_credentials_clear(&identity->credentials);
		kc_credentials_clear(&identity->former);
	}
	kc_error_free(err);
	KC_TRY(kc_machine_id(machine));
	kc_identity_take_next_instance(identity);
	if (strcmp(machine, identity->machine) != 0)
		*identity->instance = '\0';
	memcpy(identity->machine, machine, sizeof(machine));
	return NULL;
}

struct kc_error *kc_portal_leave_former(struct kc_ctx *ctx, const struct kc_config *config,
					struct kc_identity *identity)
{
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };
	struct kc_error *err;

	if (!*identity->former.server_id)
		return NULL;
	KC_TRY(kc_credentials_encode(&identity->former, &request));
	err = kc_portal_ask(ctx, config, KC_PROTO_UNREGISTER, &request, true, &answer);
	if (err && kc_error_code(err) != KC_ERR_UNKNOWN_SERVER)
		return err;
	kc_error_free(err);
	kc_credentials_clear(&identity->former);
	return kc_identity_write(identity);
}

static struct kc_error *set_key(struct kc_identity *identity, const char *key)
{
	if (kc_identity_is_registered(identity) && strcmp(identity->key, key))
		identity->former = identity->credentials;
	free(identity->key);
	identity->key = strdup(key);
	return identity->key ? NULL : kc_error_no_memory();
}

struct kc_error *kc_portal_register(struct kc_ctx *ctx, const struct kc_config *config, const char *key)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autoerror struct kc_error *err = NULL;
	kc_autoclose int lock = -1;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(read_identity(&identity));
	kc_error_free(kc_portal_leave_former(ctx, config, &identity)); /* there is room for one */
	KC_TRY(set_key(&identity, key));
	KC_TRY(kc_portal_register_identity(ctx, config, &identity, false));
	err = kc_portal_leave_former(ctx, config, &identity);
	if (err)
		kc_warning(ctx, "the entry with the key of before could not be removed: %s; this is tried again",
			   kc_error_message(err));
	return NULL;
}

/* ---- unregister, licence ---- */

static struct kc_error *not_registered(void)
{
	return kc_error_new(KC_ERR_NOT_REGISTERED, "this host is not registered: 'kcarectl --register KEY' does that");
}

struct kc_error *kc_portal_need_identity(struct kc_identity *identity)
{
	KC_TRY(kc_identity_read(identity));
	return kc_identity_is_registered(identity) ? NULL : not_registered();
}

struct kc_error *kc_portal_unregister(struct kc_ctx *ctx, const struct kc_config *config)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };
	kc_autoclose int lock = -1;
	struct kc_error *err;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(kc_portal_need_identity(&identity));
	KC_TRY(kc_credentials_encode(&identity.credentials, &request));
	err = kc_portal_ask(ctx, config, KC_PROTO_UNREGISTER, &request, true, &answer);
	if (err && kc_error_code(err) != KC_ERR_UNKNOWN_SERVER)
		return err;
	kc_error_free(err);
	kc_error_free(kc_portal_leave_former(ctx, config, &identity));
	/* in this order: terms without an identity would count for ever */
	KC_TRY(kc_portal_state_remove());
	return kc_identity_remove();
}

struct kc_error *kc_portal_licence(struct kc_ctx *ctx, const struct kc_config *config, struct kc_licence_info *info)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };

	*info = (struct kc_licence_info){ 0 };
	KC_TRY(kc_portal_need_identity(&identity));
	KC_TRY(kc_credentials_encode(&identity.credentials, &request));
	KC_TRY(kc_portal_ask(ctx, config, KC_PROTO_LICENCE, &request, false, &answer));
	return kc_portal_not_understood(kc_licence_info_decode(answer.data, answer.size, info));
}

/* ---- reports ---- */

struct kc_error *kc_portal_send_report(struct kc_ctx *ctx, const struct kc_config *config, const char *report,
				       char **key)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	KC_CLEANUP_HOST_FACTS struct kc_host_facts facts = { 0 };
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };
	kc_autoerror struct kc_error *ignored = kc_identity_read(&identity);
	struct kc_doctor_report message = { .credentials = identity.credentials, .report = (char *)report };
	kc_autojson json_t *json = NULL;
	const char *text;

	KC_TRY(kc_host_facts_read("", false, config->report_fqdn, &facts));
	message.hostname = facts.hostname;
	KC_TRY(kc_doctor_report_encode(&message, &request));
	KC_TRY(kc_portal_ask(ctx, config, KC_PROTO_DOCTOR, &request, false, &answer));
	json = json_loadb(answer.data ? answer.data : "", answer.size, 0, NULL);
	text = json_string_value(json_object_get(json, "key"));
	if (!text || !*text)
		return kc_error_new(KC_ERR_SERVER, "the portal took the report, and did not say its key");
	*key = kc_plain_text(text, KC_PROTO_TEXT_MAX);
	return *key ? NULL : kc_error_no_memory();
}
