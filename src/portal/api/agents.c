/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What agents ask, by their key or their secret: proto/proto.h has the messages, licences/licences.h the rules. Who has
 * neither learns nothing, and after a few tries from one address nobody listens.
 */
#include "portal/api/handlers.h"

#include <string.h>

#include "portal/api/work.h"
#include "portal/licences/licences.h"

struct agent_work {
	struct kc_registration registration;
	struct kc_registered registered;
	struct kc_credentials credentials;
	struct kc_checkin checkin;
	struct kc_checkin_answer checkin_answer;
	struct kc_licence_info info;
	enum kc_limit_kind limit_kind; /* what failures are counted for */
	char limit[80];
};

static void clear(void *data)
{
	struct agent_work *agent = data;

	kc_registration_clear(&agent->registration);
	kc_registered_clear(&agent->registered);
	explicit_bzero(&agent->credentials, sizeof(agent->credentials));
	kc_checkin_clear(&agent->checkin);
	kc_checkin_answer_clear(&agent->checkin_answer);
	kc_licence_info_clear(&agent->info);
}

static struct kc_licences rules(const struct kc_work *work)
{
	return (struct kc_licences){
		.now = work->now,
		.inactive_days = work->portal->config.inactive_days,
		.address = kc_http_address(work->request),
	};
}

/* ---- who may try how often ---- */

/*
 * Keys can be guessed: tries with a wrong one are counted for the address. And who has one that is without a limit must
 * not fill the disk with hosts that he makes up.
 */
static struct kc_error *limit_register(struct kc_work *work)
{
	struct agent_work *agent = work->data;

	agent->limit_kind = KC_LIMIT_KEYS;
	kc_http_auth_address(work->request, agent->limit);
	KC_TRY(kc_http_auth_check_limit(work->portal->auth, KC_LIMIT_REGISTRATIONS, agent->limit));
	return kc_http_auth_check_limit(work->portal->auth, KC_LIMIT_KEYS, agent->limit);
}

/*
 * Secrets cannot; this is about hosts that do not stop asking. One of them must not keep others of its network from
 * checking in.
 */
static struct kc_error *limit_server(struct kc_work *work, const char *id)
{
	struct agent_work *agent = work->data;

	agent->limit_kind = KC_LIMIT_SERVERS;
	snprintf(agent->limit, sizeof(agent->limit), "%s %s", id, kc_http_address(work->request));
	snprintf(work->who, sizeof(work->who), "server:%s", id);
	return kc_http_auth_check_limit(work->portal->auth, KC_LIMIT_SERVERS, agent->limit);
}

/*
 * Each one is written to the disk, however often a host that is broken comes. Who is heard has the secret, so nobody is
 * locked out by others: copies of a host have its secret, too, and count where they are.
 */
static struct kc_error *limit_checkins(struct kc_work *work)
{
	const struct agent_work *agent = work->data;

	KC_TRY(kc_http_auth_check_limit(work->portal->auth, KC_LIMIT_CHECKINS, agent->checkin.credentials.server_id));
	return kc_http_auth_check_limit(work->portal->auth, KC_LIMIT_CHECKINS, agent->limit);
}

static void failed(struct kc_work *work, const struct kc_error *err)
{
	struct agent_work *agent = work->data;
	enum kc_error_code code = kc_error_code(err);

	if (code == KC_ERR_CLONED) {
		work->portal->metrics.clones++;
		kc_http_auth_count(work->portal->auth, KC_LIMIT_CHECKINS, agent->limit);
		kc_info(work->portal->ctx, "%s at %s is a copy of another host; it has to register again", work->who,
			kc_http_address(work->request));
	}
	if (!agent || !*agent->limit || (code != KC_ERR_INVALID_KEY && code != KC_ERR_UNKNOWN_SERVER))
		return;
	work->portal->metrics.auth_failures++;
	kc_http_auth_count(work->portal->auth, agent->limit_kind, agent->limit);
}

/* ---- register ---- */

static struct kc_error *prepare_register(struct kc_work *work)
{
	struct agent_work *agent = work->data;
	size_t size;
	const char *text = kc_http_body(work->request, &size);

	KC_TRY(limit_register(work));
	return kc_registration_decode(text, size, &agent->registration);
}

static struct kc_error *write_register(struct kc_db_conn *conn, struct kc_work *work)
{
	struct agent_work *agent = work->data;
	const struct kc_licences licences = rules(work);

	KC_TRY(kc_licence_register(conn, &licences, &agent->registration, &agent->registered));
	snprintf(work->who, sizeof(work->who), "server:%s", agent->registered.credentials.server_id);
	KC_TRY(kc_work_set(&work->object, "%s", agent->registration.hostname));
	KC_TRY(kc_work_set(&work->detail, "key=%s", agent->registration.key));
	return kc_registered_encode(&agent->registered, &work->body);
}

static void registered(struct kc_work *work)
{
	const struct agent_work *agent = work->data;
	struct kc_address address;

	work->portal->metrics.registrations++;
	/* who is on this machine is not kept away, as in http/ */
	if (kc_address_parse(agent->limit, &address) && !kc_address_is_loopback(&address))
		kc_http_auth_count(work->portal->auth, KC_LIMIT_REGISTRATIONS, agent->limit);
}

void kc_api_agent_register(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "server register",
		.is_of_agents = true,
		.has_own_body = true,
		.data_size = sizeof(struct agent_work),
		.clear = clear,
		.prepare = prepare_register,
		.write = write_register,
		.failed = failed,
		.succeeded = registered,
	};

	kc_work_run(data, request, &kind);
}

/* By programs that are not agents: there is no machine id, so the name stands for the machine. */
static struct kc_error *prepare_simple_register(struct kc_work *work)
{
	struct agent_work *agent = work->data;
	struct kc_registration *registration = &agent->registration;
	char machine_id[KC_SHA256_TEXT_SIZE];
	kc_autofree char *named = NULL;
	const char *key, *hostname;

	KC_TRY(limit_register(work));
	KC_TRY(kc_args_need_text(&work->args, "key", 64, &key));
	KC_TRY(kc_args_text(&work->args, "hostname", KC_PROTO_TEXT_MAX, &hostname));
	if (!hostname || !*hostname)
		hostname = kc_http_address(work->request);
	KC_TRY(kc_work_set(&named, "hostname %s", hostname));
	kc_sha256_text(named, strlen(named), machine_id);
	KC_TRY(kc_work_set(&registration->key, "%s", key));
	KC_TRY(kc_work_set(&registration->hostname, "%s", hostname));
	KC_TRY(kc_work_set(&registration->machine_id, "%s", machine_id));
	KC_TRY(kc_work_set(&registration->instance, "%s", ""));
	KC_TRY(kc_work_set(&registration->agent_version, "%s", ""));
	return kc_work_set(&registration->virtualization, "%s", "");
}

static struct kc_error *write_simple_register(struct kc_db_conn *conn, struct kc_work *work)
{
	struct agent_work *agent = work->data;
	const struct kc_credentials *credentials = &agent->registered.credentials;

	KC_TRY(write_register(conn, work));
	kc_buf_free(&work->body);
	work->answer = json_pack("{s:s, s:s}", "server_id", credentials->server_id, "secret", credentials->secret);
	return work->answer ? NULL : kc_error_no_memory();
}

void kc_api_register(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "server register",
		.is_of_agents = true,
		.data_size = sizeof(struct agent_work),
		.clear = clear,
		.prepare = prepare_simple_register,
		.write = write_simple_register,
		.failed = failed,
		.succeeded = registered,
	};

	kc_work_run(data, request, &kind);
}

/* ---- unregister, licence ---- */

static struct kc_error *prepare_credentials(struct kc_work *work)
{
	struct agent_work *agent = work->data;
	size_t size;
	const char *text = kc_http_body(work->request, &size);

	KC_TRY(kc_credentials_decode(text, size, &agent->credentials));
	return limit_server(work, agent->credentials.server_id);
}

static struct kc_error *write_unregister(struct kc_db_conn *conn, struct kc_work *work)
{
	struct agent_work *agent = work->data;
	const struct kc_licences licences = rules(work);

	KC_TRY(kc_licence_unregister(conn, &licences, &agent->credentials));
	KC_TRY(kc_work_set(&work->object, "%s", agent->credentials.server_id));
	work->answer = json_object();
	return work->answer ? NULL : kc_error_no_memory();
}

void kc_api_agent_unregister(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "server unregister",
		.is_of_agents = true,
		.has_own_body = true,
		.data_size = sizeof(struct agent_work),
		.clear = clear,
		.prepare = prepare_credentials,
		.write = write_unregister,
		.failed = failed,
	};

	kc_work_run(data, request, &kind);
}

static struct kc_error *read_licence(struct kc_db_conn *conn, void *data)
{
	struct kc_work *work = data;
	struct agent_work *agent = work->data;
	const struct kc_licences licences = rules(work);

	return kc_licence_info(conn, &licences, &agent->credentials, &agent->info);
}

static struct kc_error *prepare_licence(struct kc_work *work)
{
	struct agent_work *agent = work->data;

	KC_TRY(prepare_credentials(work));
	KC_TRY(kc_db_read(work->portal->db, read_licence, work));
	return kc_licence_info_encode(&agent->info, &work->body);
}

void kc_api_agent_licence(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.is_of_agents = true,
		.has_own_body = true,
		.data_size = sizeof(struct agent_work),
		.clear = clear,
		.prepare = prepare_licence,
		.failed = failed,
	};

	kc_work_run(data, request, &kind);
}

/* ---- check in ---- */

static struct kc_error *prepare_checkin(struct kc_work *work)
{
	struct agent_work *agent = work->data;
	size_t size;
	const char *text = kc_http_body(work->request, &size);

	KC_TRY(kc_checkin_decode(text, size, &agent->checkin));
	KC_TRY(limit_server(work, agent->checkin.credentials.server_id));
	return limit_checkins(work);
}

static struct kc_error *write_checkin(struct kc_db_conn *conn, struct kc_work *work)
{
	struct agent_work *agent = work->data;
	const struct kc_licences licences = rules(work);

	KC_TRY(kc_licence_check_in(conn, &licences, &agent->checkin, &agent->checkin_answer));
	return kc_checkin_answer_encode(&agent->checkin_answer, &work->body);
}

static void checked_in(struct kc_work *work)
{
	const struct agent_work *agent = work->data;

	work->portal->metrics.checkins++;
	kc_http_auth_count(work->portal->auth, KC_LIMIT_CHECKINS, agent->checkin.credentials.server_id);
}

void kc_api_agent_checkin(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.is_of_agents = true,
		.has_own_body = true,
		.data_size = sizeof(struct agent_work),
		.clear = clear,
		.prepare = prepare_checkin,
		.write = write_checkin,
		.failed = failed,
		.succeeded = checked_in,
	};

	kc_work_run(data, request, &kind);
}
