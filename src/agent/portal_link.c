/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/portal_link.h"

#include <string.h>
#include <time.h>

#include "agent/host_facts.h"
#include "agent/info.h"
#include "agent/lock.h"
#include "agent/policy.h"
#include "agent/update.h"
#include "agent/portal_state.h"
#include "apply/user_paths.h"
#include "base/array.h"
#include "base/random.h"
#include "fetch/fetch.h"
#include "proto/paths.h"
#include "sign/canonical.h"

enum {
	HASTY_CONNECT_MS = 5000,
	HASTY_TOTAL_MS = 15000,
	PATIENT_TOTAL_MS = 60000,
	INSTANCE_LENGTH = KC_SERVER_ID_SIZE - 1,
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

/* Sends `request`, and appends a good answer to `answer`; any other one is the error that it names. */
static struct kc_error *ask(struct kc_ctx *ctx, const struct kc_config *config, const char *path,
			    const struct kc_buf *request, bool is_hasty, struct kc_buf *answer)
{
	const struct kc_fetch_options options = {
		.http_proxy = text_or_null(config->http_proxy),
		.https_proxy = text_or_null(config->https_proxy),
		.no_proxy = text_or_null(config->no_proxy),
		.connect_ms = is_hasty ? HASTY_CONNECT_MS : 0,
		.total_ms = is_hasty ? HASTY_TOTAL_MS : PATIENT_TOTAL_MS,
		.tries = is_hasty ? 1 : 0,
	};
	kc_autofetch struct kc_fetch *fetch = NULL;
	kc_autofree char *url = NULL;
	unsigned status;

	KC_TRY(kc_portal_url(config, path, &url));
	KC_TRY(kc_fetch_new(ctx, &options, &fetch));
	KC_TRY(kc_fetch_post(ctx, fetch, url, request->data, request->size, KC_PROTO_ANSWER_MAX, &status, answer));
	return status == 200 ? NULL : kc_error_answer_decode(status, answer->data ? answer->data : "", answer->size);
}

bool kc_portal_is_temporary(const struct kc_error *err)
{
	static const enum kc_error_code temporary[] = { KC_ERR_NETWORK,	 KC_ERR_STALLED,  KC_ERR_TRUNCATED,
							KC_ERR_SERVER,	 KC_ERR_TOO_MANY, KC_ERR_BUSY,
							KC_ERR_DATABASE, KC_ERR_LOCKED };

	for (size_t i = 0; i < KC_ARRAY_SIZE(temporary); i++)
		if (kc_error_code(err) == temporary[i])
			return true;
	return false;
}

/* ---- what is remembered ---- */

static struct kc_error *remember(const char *nonce, struct kc_key_terms *terms)
{
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state state = { 0 };

	KC_TRY(kc_portal_state_read(&state));
	kc_checkin_answer_clear(&state.answer);
	memcpy(state.answer.nonce, nonce, KC_NONCE_SIZE);
	state.answer.terms = *terms;
	memset(terms, 0, sizeof(*terms)); /* they are the state's now */
	state.answered_at = time(NULL);
	return kc_portal_state_write(&state);
}

static struct kc_error *remember_error(const char *error)
{
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state state = { 0 };

	KC_TRY(kc_portal_state_read(&state));
	free(state.errors[KC_RUN_KERNEL]);
	state.errors[KC_RUN_KERNEL] = error ? kc_plain_text(error, KC_PROTO_ERROR_MAX) : NULL;
	/* without an answer there is no state yet, and nothing is lost */
	return state.answered_at ? kc_portal_state_write(&state) : NULL;
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

/* `identity` has key, machine and instance; it gets the rest. */
static struct kc_error *register_identity(struct kc_ctx *ctx, const struct kc_config *config,
					  struct kc_identity *identity, bool is_hasty)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered = { 0 };
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };

	KC_TRY(kc_identity_check_writable());
	KC_TRY(encode_registration(ctx, config, identity, &request));
	KC_TRY(ask(ctx, config, KC_PROTO_REGISTER, &request, is_hasty, &answer));
	KC_TRY(kc_registered_decode(answer.data, answer.size, &registered));
	identity->credentials = registered.credentials;
	KC_TRY(kc_identity_write(identity));
	return remember(registered.nonce, &registered.terms);
}

/* What tells this host from others with its machine id stays, unless the machine is another one. */
static struct kc_error *read_identity(struct kc_identity *identity)
{
	char machine[KC_SHA256_TEXT_SIZE];
	struct kc_error *err = kc_identity_read(identity);

	if (err && kc_error_code(err) != KC_ERR_CORRUPT)
		return err;
	kc_error_free(err);
	KC_TRY(kc_machine_id(machine));
	if (strcmp(machine, identity->machine) != 0)
		*identity->instance = '\0';
	memcpy(identity->machine, machine, sizeof(machine));
	return NULL;
}

struct kc_error *kc_portal_register(struct kc_ctx *ctx, const struct kc_config *config, const char *key)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autoclose int lock = -1;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(read_identity(&identity));
	free(identity.key);
	identity.key = strdup(key);
	return identity.key ? register_identity(ctx, config, &identity, false) : kc_error_no_memory();
}

/* ---- unregister, licence ---- */

static struct kc_error *not_registered(void)
{
	return kc_error_new(KC_ERR_NOT_REGISTERED, "this host is not registered: 'kcarectl --register KEY' does that");
}

static struct kc_error *need_identity(struct kc_identity *identity)
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
	KC_TRY(need_identity(&identity));
	KC_TRY(kc_credentials_encode(&identity.credentials, &request));
	err = ask(ctx, config, KC_PROTO_UNREGISTER, &request, false, &answer);
	if (err && kc_error_code(err) != KC_ERR_UNKNOWN_SERVER)
		return err;
	kc_error_free(err);
	KC_TRY(kc_identity_remove());
	return kc_portal_state_remove();
}

struct kc_error *kc_portal_licence(struct kc_ctx *ctx, const struct kc_config *config, struct kc_licence_info *info)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };

	*info = (struct kc_licence_info){ 0 };
	KC_TRY(need_identity(&identity));
	KC_TRY(kc_credentials_encode(&identity.credentials, &request));
	KC_TRY(ask(ctx, config, KC_PROTO_LICENCE, &request, false, &answer));
	return kc_licence_info_decode(answer.data, answer.size, info);
}

/* ---- check in ---- */

/* What a check-in is made of; texts of it are borrowed from here. */
struct report {
	struct kc_host_facts facts;
	struct kc_agent_info info;
	struct kc_portal_state state;
	struct kc_policy policy;
	char *error;
};

static void clear_report(struct report *report)
{
	kc_host_facts_clear(&report->facts);
	kc_agent_info_clear(&report->info);
	kc_portal_state_clear(&report->state);
	free(report->error);
}

static struct kc_error *read_report(struct kc_ctx *ctx, const struct kc_config *config, const char *error,
				    struct report *report)
{
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	struct kc_error *err;

	KC_TRY(kc_kernel_read(ctx, &kernel));
	KC_TRY(kc_agent_info_read(ctx, &kernel, config, &report->info));
	KC_TRY(kc_host_facts_read("", report->info.is_container, config->report_fqdn, &report->facts));
	KC_TRY(kc_portal_state_read(&report->state));
	report->error = kc_plain_text(error ? error : "", KC_PROTO_ERROR_MAX);
	if (!report->error)
		return kc_error_no_memory();
	/* a sticky date that cannot be used has no effect on what is offered, and is the run's error anyway */
	err = kc_policy_read(ctx, config, true, time(NULL), &report->policy);
	if (err && kc_error_code(err) != KC_ERR_REFUSED)
		return err;
	kc_error_free(err);
	return NULL;
}

static char *or_empty(char *text)
{
	return text ? text : (char *)"";
}

static struct kc_error *encode_checkin(const struct kc_config *config, const struct kc_identity *identity,
				       struct report *report, enum kc_checkin_event event, struct kc_buf *out)
{
	const struct kc_agent_info *info = &report->info;
	struct kc_checkin checkin = {
		.credentials = identity->credentials,
		.event = event,
		.hostname = report->facts.hostname,
		.release = or_empty(info->release),
		.kernel_id = (char *)info->kernel_id,
		.effective_version = or_empty(info->effective_version),
		.level = info->loaded.level,
		.type = config->patch_type,
		.patchset = or_empty(info->patchset),
		.feed = (char *)kc_config_feed(config),
		.tags = config->tags,
		.uptime_s = report->facts.uptime_s,
		.virtualization = report->facts.virtualization,
		.distro = report->facts.distro,
		.distro_version = report->facts.distro_version,
		.machine = report->facts.machine,
		.processor = report->facts.processor,
		.agent_version = (char *)KC_VERSION,
		.libcare_is_enabled = !config->libcare_disabled,
		.n_processes = report->state.n_processes,
		.n_patched = report->state.n_patched,
		.last_error = report->error,
		.delay_s = report->policy.choice.delay_s,
		.sticky_before = report->policy.choice.before,
		.pinned = (char *)kc_config_patchset(config, true),
		.host_tag = report->policy.host,
	};

	memcpy(checkin.nonce, report->state.answer.nonce, KC_NONCE_SIZE);
	return kc_checkin_encode(&checkin, out);
}

static struct kc_error *send_checkin(struct kc_ctx *ctx, const struct kc_config *config,
				     const struct kc_identity *identity, enum kc_checkin_event event, const char *error,
				     bool is_hasty)
{
	KC_CLEANUP(clear_report) struct report report = { 0 };
	KC_CLEANUP_CHECKIN_ANSWER struct kc_checkin_answer decoded = { 0 };
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };

	KC_TRY(read_report(ctx, config, error, &report));
	/* a nonce that was lost must not look like a copy of this host */
	if (!*report.state.answer.nonce)
		return kc_error_new(KC_ERR_UNKNOWN_SERVER, "the portal's last answer is lost");
	KC_TRY(encode_checkin(config, identity, &report, event, &request));
	KC_TRY(ask(ctx, config, KC_PROTO_CHECKIN, &request, is_hasty, &answer));
	KC_TRY(kc_checkin_answer_decode(answer.data, answer.size, &decoded));
	return remember(decoded.nonce, &decoded.terms);
}

/* One of two hosts with the same id: from now on this one is told from the other by an instance of its own. */
static struct kc_error *make_instance(struct kc_identity *identity)
{
	int err = kc_random_name(identity->instance, INSTANCE_LENGTH);

	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make a name") : NULL;
}

static struct kc_error *check_in(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event,
				 const char *error, bool is_hasty)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autoerror struct kc_error *err = NULL;

	KC_TRY(need_identity(&identity));
	KC_TRY(remember_error(error));
	err = send_checkin(ctx, config, &identity, event, error, is_hasty);
	if (!err || (kc_error_code(err) != KC_ERR_CLONED && kc_error_code(err) != KC_ERR_UNKNOWN_SERVER))
		return kc_steal(err);
	kc_info(ctx, "registering again: %s", kc_error_message(err));
	KC_TRY(kc_machine_id(identity.machine));
	if (kc_error_code(err) == KC_ERR_CLONED)
		KC_TRY(make_instance(&identity));
	KC_TRY(register_identity(ctx, config, &identity, is_hasty));
	return send_checkin(ctx, config, &identity, event, error, is_hasty);
}

struct kc_error *kc_portal_check_in(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event,
				    const char *error)
{
	return check_in(ctx, config, event, error, false);
}

void kc_portal_tell(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event,
		    const struct kc_error *err)
{
	kc_autofree char *text = NULL;
	kc_autoerror struct kc_error *failed = NULL;

	if (err && asprintf(&text, "%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err)) < 0)
		text = NULL;
	failed = check_in(ctx, config, event, text, true);
	if (failed && kc_error_code(failed) != KC_ERR_NOT_REGISTERED)
		kc_info(ctx, "the portal was not told: %s", kc_error_message(failed));
}

void kc_portal_tell_unlocked(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event)
{
	kc_autoclose int lock = -1;
	kc_autoerror struct kc_error *err = kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock);

	if (err)
		kc_info(ctx, "the portal was not told: %s", kc_error_message(err));
	else
		kc_portal_tell(ctx, config, event, NULL);
}

struct kc_error *kc_portal_check_in_later(struct kc_ctx *ctx)
{
	static const time_t pauses_s[] = { 60, 240, 600 };

	for (size_t i = 0; i < KC_ARRAY_SIZE(pauses_s); i++) {
		const struct timespec pause = { .tv_sec = pauses_s[i] };
		KC_CLEANUP_CONFIG struct kc_config config = { 0 };
		KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
		kc_autoclose int lock = -1;

		KC_TRY(kc_identity_read(&identity));
		if (!kc_identity_is_registered(&identity))
			return NULL;
		clock_nanosleep(CLOCK_BOOTTIME, 0, &pause, NULL);
		KC_TRY(kc_config_load(ctx, &config));
		KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
		kc_portal_tell(ctx, &config, KC_CHECKIN_LATER, NULL);
	}
	return NULL;
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
	KC_TRY(ask(ctx, config, KC_PROTO_DOCTOR, &request, false, &answer));
	json = json_loadb(answer.data ? answer.data : "", answer.size, 0, NULL);
	text = json_string_value(json_object_get(json, "key"));
	if (!text)
		return kc_error_new(KC_ERR_SERVER, "the portal took the report, and did not say its key");
	*key = strdup(text);
	return *key ? NULL : kc_error_no_memory();
}
