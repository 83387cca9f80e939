/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "proto/paths.h"
#include "sign/hash.h"

enum { KERNELS = 20 }; /* that the fleet runs */

#define METADATA "/feeds/main/metadata/"

/* ---- scripts: bench_fleet.py compares them with what kcarectl asks ---- */

static const struct agent_step register_steps[] = {
	{ AGENT_REGISTER, NULL, 200, true },
	{ AGENT_CHECKIN, NULL, 200, true },
};

static const struct agent_step update_steps[] = {
	{ AGENT_GET, METADATA "2.root.json", 404, true },
	{ AGENT_GET, METADATA "timestamp.json", 200, false },
	{ AGENT_CHECKIN, NULL, 200, false },
};

static const struct agent_script scripts[] = {
	{ "register", register_steps, KC_ARRAY_SIZE(register_steps) },
	{ "update", update_steps, KC_ARRAY_SIZE(update_steps) },
};

const struct agent_script *agent_script(const char *name)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(scripts); i++)
		if (!strcmp(scripts[i].name, name))
			return &scripts[i];
	return NULL;
}

struct in_addr agent_address(size_t index)
{
	return (struct in_addr){ htonl(0x7f010001 + (uint32_t)index % 0xfe0000) };
}

/* ---- requests ---- */

/* Host names, machine ids and kernel ids that look as they do, and are always the same ones. */
struct host {
	char hostname[32], machine_id[KC_SHA256_TEXT_SIZE], kernel_id[41], release[32], effective_version[32];
};

static void host_of(size_t index, struct host *host)
{
	char hash[KC_SHA256_TEXT_SIZE];
	size_t kernel = index % KERNELS;

	snprintf(host->hostname, sizeof(host->hostname), "host-%06zu.example.org", index);
	kc_sha256_text(host->hostname, strlen(host->hostname), host->machine_id);
	snprintf(host->release, sizeof(host->release), "6.1.0-%zu-amd64", 20 + kernel);
	snprintf(host->effective_version, sizeof(host->effective_version), "6.1.0-%zu-amd64", 20 + (size_t)KERNELS);
	kc_sha256_text(host->release, strlen(host->release), hash);
	snprintf(host->kernel_id, sizeof(host->kernel_id), "%.40s", hash);
}

static int64_t uptime_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

static struct kc_error *encode_registration(size_t index, const char *key, struct kc_buf *out)
{
	struct host host;
	struct kc_registration registration = {
		.key = (char *)key,
		.hostname = host.hostname,
		.machine_id = host.machine_id,
		.agent_version = (char *)KC_VERSION,
		.virtualization = (char *)"kvm",
	};

	host_of(index, &host);
	return kc_registration_encode(&registration, out);
}

static struct kc_error *encode_checkin(const struct agent *agent, size_t index, struct kc_buf *out)
{
	struct host host;
	struct kc_checkin checkin = {
		.credentials = agent->credentials,
		.hostname = host.hostname,
		.release = host.release,
		.kernel_id = host.kernel_id,
		.effective_version = host.effective_version,
		.level = 1,
		.type = (char *)"default",
		.patchset = (char *)"K20261101_01",
		.feed = (char *)"main",
		.uptime_s = uptime_s(),
		.virtualization = (char *)"kvm",
		.distro = (char *)"debian",
		.distro_version = (char *)"12",
		.machine = (char *)"x86_64",
		.processor = (char *)"AMD EPYC",
		.agent_version = (char *)KC_VERSION,
		.libcare_is_enabled = true,
		.host_tag = host.machine_id,
	};

	host_of(index, &host);
	memcpy(checkin.nonce, agent->nonce, KC_NONCE_SIZE);
	return kc_checkin_encode(&checkin, out);
}

/* As libcurl writes them for kcare-fetch. */
static void write_request(struct kc_buf *out, const char *method, const char *base, const char *path, const char *host,
			  const struct kc_buf *body)
{
	kc_buf_printf(out, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kcare/%s\r\nAccept: */*\r\n", method, base,
		      path, host, KC_VERSION);
	if (body)
		kc_buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", body->size,
			      body->data);
	else
		kc_buf_append_str(out, "\r\n");
}

bool agent_ask(const struct agent *agent, size_t index, const struct agent_step *step, const char *host,
	       const char *key, struct link *link)
{
	kc_autobuf struct kc_buf body = { 0 };
	struct kc_error *err = NULL;

	kc_buf_reset(&link->out);
	switch (step->request) {
	case AGENT_GET:
		write_request(&link->out, "GET", "", step->path, host, NULL);
		break;
	case AGENT_REGISTER:
		err = encode_registration(index, key, &body);
		if (!err)
			write_request(&link->out, "POST", KC_PROTO_BASE, KC_PROTO_REGISTER, host, &body);
		break;
	case AGENT_CHECKIN:
		err = encode_checkin(agent, index, &body);
		if (!err)
			write_request(&link->out, "POST", KC_PROTO_BASE, KC_PROTO_CHECKIN, host, &body);
		break;
	}
	if (!err)
		return true;
	kc_error_free(err);
	return false;
}

/* ---- answers ---- */

static struct kc_error *take_registered(struct agent *agent, const struct link *link)
{
	KC_CLEANUP_REGISTERED struct kc_registered registered = { 0 };

	KC_TRY(kc_registered_decode(link->body, link->body_size, &registered));
	agent->credentials = registered.credentials;
	memcpy(agent->nonce, registered.nonce, KC_NONCE_SIZE);
	return NULL;
}

static struct kc_error *take_checkin(struct agent *agent, const struct link *link)
{
	KC_CLEANUP_CHECKIN_ANSWER struct kc_checkin_answer answer = { 0 };

	KC_TRY(kc_checkin_answer_decode(link->body, link->body_size, &answer));
	memcpy(agent->nonce, answer.nonce, KC_NONCE_SIZE);
	return NULL;
}

bool agent_take(struct agent *agent, const struct agent_step *step, const struct link *link)
{
	struct kc_error *err = NULL;

	if (link->status != step->status)
		return false;
	if (step->request == AGENT_REGISTER)
		err = take_registered(agent, link);
	else if (step->request == AGENT_CHECKIN)
		err = take_checkin(agent, link);
	kc_error_free(err);
	return !err;
}
