/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/checkin.h"

#include <string.h>
#include <time.h>

#include "agent/host_facts.h"
#include "agent/info.h"
#include "agent/lock.h"
#include "agent/policy.h"
#include "agent/portal_internal.h"
#include "agent/portal_link.h"
#include "agent/update.h"
#include "base/array.h"
#include "base/random.h"
#include "proto/paths.h"

/* ---- what is told ---- */

/* What a check-in is made of; texts of it are borrowed from here. */
struct report {
	struct kc_host_facts facts;
	struct kc_agent_info info;
	struct kc_portal_state state;
	struct kc_policy policy;
};

static void clear_report(struct report *report)
{
	kc_host_facts_clear(&report->facts);
	kc_agent_info_clear(&report->info);
	kc_portal_state_clear(&report->state);
}

static struct kc_error *read_report(struct kc_ctx *ctx, const struct kc_config *config, struct report *report)
{
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	struct kc_error *err;

	KC_TRY(kc_kernel_read(ctx, &kernel));
	KC_TRY(kc_agent_info_read(ctx, &kernel, config, &report->info));
	KC_TRY(kc_host_facts_read("", kernel.is_container, config->report_fqdn, &report->facts));
	KC_TRY(kc_portal_state_read(&report->state));
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

static char *last_error(const struct kc_portal_state *state)
{
	for (int i = 0; i < KC_N_RUN_KINDS; i++)
		if (state->errors[i])
			return state->errors[i];
	return (char *)"";
}

static struct kc_error *encode(const struct kc_config *config, const struct kc_identity *identity,
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
		.last_error = last_error(&report->state),
		.delay_s = report->policy.choice.delay_s,
		.sticky_before = report->policy.choice.before,
		.pinned = (char *)kc_config_patchset(config, true),
		.host_tag = report->policy.host,
	};

	memcpy(checkin.nonce, report->state.answer.nonce, KC_NONCE_SIZE);
	return kc_checkin_encode(&checkin, out);
}

/* ---- one check-in ---- */

/* Does it speak of this machine? An image that was copied, and made its own machine-id since, is another host. */
static struct kc_error *check_machine(const struct kc_identity *identity)
{
	char machine[KC_SHA256_TEXT_SIZE];

	KC_TRY(kc_machine_id(machine));
	return strcmp(machine, identity->machine)
		       ? kc_error_new(KC_ERR_CLONED, "this is another machine than the one that was registered")
		       : NULL;
}

static bool is_answer_to(const struct kc_portal_state *state, const struct kc_identity *identity)
{
	return !*state->server_id || !strcmp(state->server_id, identity->credentials.server_id);
}

static struct kc_error *send(struct kc_ctx *ctx, const struct kc_config *config, const struct kc_identity *identity,
			     enum kc_checkin_event event)
{
	KC_CLEANUP(clear_report) struct report report = { 0 };
	KC_CLEANUP_CHECKIN_ANSWER struct kc_checkin_answer decoded = { 0 };
	kc_autobuf struct kc_buf request = { 0 }, answer = { 0 };

	KC_TRY(check_machine(identity));
	KC_TRY(read_report(ctx, config, &report));
	/* a nonce that was lost, or is of the registration before, must not look like a copy of this host */
	if (!*report.state.answer.nonce || !is_answer_to(&report.state, identity))
		return kc_error_new(KC_ERR_UNKNOWN_SERVER, "the portal's last answer is lost");
	KC_TRY(encode(config, identity, &report, event, &request));
	KC_TRY(kc_portal_ask(ctx, config, KC_PROTO_CHECKIN, &request, true, &answer));
	KC_TRY(kc_portal_not_understood(kc_checkin_answer_decode(answer.data, answer.size, &decoded)));
	return kc_portal_remember(identity->credentials.server_id, decoded.nonce, &decoded.terms);
}

/* On disk before the portal hears of it: whoever is cut off comes with the same one again, and is one server. */
static struct kc_error *make_instance(struct kc_identity *identity)
{
	int err;

	if (!*identity->next_instance) {
		err = kc_random_name(identity->next_instance, KC_SERVER_ID_SIZE - 1);
		if (err)
			return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make a name");
		KC_TRY(kc_identity_write(identity));
	}
	kc_identity_take_next_instance(identity);
	return NULL;
}

/* One of two hosts with the same id: from now on this one is told from the other by an instance of its own. */
static struct kc_error *become_another(struct kc_identity *identity)
{
	char machine[KC_SHA256_TEXT_SIZE];

	KC_TRY(kc_machine_id(machine));
	if (!strcmp(machine, identity->machine))
		return make_instance(identity);
	*identity->instance = *identity->next_instance = '\0'; /* the machine alone tells */
	memcpy(identity->machine, machine, sizeof(machine));
	return NULL;
}

/* What an earlier run could not. */
static void leave_former(struct kc_ctx *ctx, const struct kc_config *config, struct kc_identity *identity)
{
	kc_autoerror struct kc_error *err = kc_portal_leave_former(ctx, config, identity);

	if (err)
		kc_info(ctx, "the entry with the key of before is not removed yet: %s", kc_error_message(err));
}

/* KC_ERR_NOT_REGISTERED: there is nobody to tell. */
static struct kc_error *check_in(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autoerror struct kc_error *err = NULL;

	KC_TRY(kc_portal_need_identity(&identity));
	err = send(ctx, config, &identity, event);
	if (!err)
		leave_former(ctx, config, &identity);
	if (!err || (kc_error_code(err) != KC_ERR_CLONED && kc_error_code(err) != KC_ERR_UNKNOWN_SERVER))
		return kc_steal(err);
	kc_info(ctx, "registering again: %s", kc_error_message(err));
	if (kc_error_code(err) == KC_ERR_CLONED)
		KC_TRY(become_another(&identity));
	KC_TRY(kc_portal_register_identity(ctx, config, &identity, true));
	return send(ctx, config, &identity, event);
}

bool kc_checkin(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event)
{
	kc_autoerror struct kc_error *err = check_in(ctx, config, event);

	if (!err || kc_error_code(err) == KC_ERR_NOT_REGISTERED)
		return true;
	/* that it is away is the business of whoever runs it; what will not get better is this administrator's */
	kc_log(ctx, kc_portal_is_temporary(err) ? KC_LOG_INFO : KC_LOG_WARNING, "the portal was not told: %s",
	       kc_error_message(err));
	return !kc_portal_is_temporary(err);
}

/* ---- the end of a run ---- */

/* To have nothing to do, or to be in a container, whose kernel is not ours, is well. */
static bool has_failed(const struct kc_run_end *end)
{
	return end->err && kc_error_code(end->err) != KC_ERR_NOTHING && kc_error_code(end->err) != KC_ERR_CONTAINER;
}

/* For one who reads lists: a text of several lines becomes one of one line. */
static void join_lines(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		bool is_end = *at == '\n';

		*to++ = is_end ? ' ' : *at;
		at += is_end ? strspn(at + 1, " ") : 0;
	}
	*to = '\0';
}

static struct kc_error *error_text(const struct kc_run_end *end, char **text)
{
	kc_autofree char *whole = NULL;

	*text = NULL;
	if (!has_failed(end))
		return NULL;
	if (asprintf(&whole, "%s: %s", kc_error_code_name(kc_error_code(end->err)), kc_error_message(end->err)) < 0) {
		whole = NULL;
		return kc_error_no_memory();
	}
	join_lines(whole);
	*text = kc_plain_text(whole, KC_PROTO_ERROR_MAX);
	return *text ? NULL : kc_error_no_memory();
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static struct kc_error *remember_end(const struct kc_run_end *end)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state state = { 0 };
	kc_autofree char *text = NULL;
	bool is_same;

	KC_TRY(kc_portal_need_identity(&identity));
	KC_TRY(kc_portal_state_read(&state));
	KC_TRY(error_text(end, &text));
	is_same = is_same_text(text, state.errors[end->kind]);
	free(state.errors[end->kind]);
	state.errors[end->kind] = kc_steal(text);
	if (end->kind == KC_RUN_USERSPACE) {
		is_same &= state.n_processes == end->n_processes && state.n_patched == end->n_patched;
		state.n_processes = end->n_processes;
		state.n_patched = end->n_patched;
	}
	return is_same ? NULL : kc_portal_state_write(&state);
}

void kc_checkin_remember_end(struct kc_ctx *ctx, const struct kc_run_end *end)
{
	kc_autoerror struct kc_error *err = remember_end(end);

	if (err && kc_error_code(err) != KC_ERR_NOT_REGISTERED)
		kc_info(ctx, "how this ended is not kept for the portal: %s", kc_error_message(err));
}

bool kc_checkin_end(struct kc_ctx *ctx, const struct kc_config *config, const struct kc_run_end *end, bool has_changed)
{
	kc_checkin_remember_end(ctx, end);
	return kc_checkin(ctx, config,
			  has_failed(end) ? KC_CHECKIN_FAILED
			  : has_changed	  ? KC_CHECKIN_AFTER
					  : KC_CHECKIN_PERIODIC);
}

/* ---- outside of the lock ---- */

bool kc_checkin_unlocked(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autoerror struct kc_error *err = kc_identity_read(&identity);
	kc_autoclose int lock = -1;

	if (!err && !kc_identity_is_registered(&identity))
		return true;
	if (!err)
		err = kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock);
	if (!err)
		return kc_checkin(ctx, config, event);
	kc_info(ctx, "the portal was not told: %s", kc_error_message(err));
	return true;
}

bool kc_checkin_for_terms(struct kc_ctx *ctx, struct kc_config *config, bool is_automatic)
{
	kc_autoerror struct kc_error *err = NULL;

	if (is_automatic && config->has_terms && !kc_config_sticky(config, true)->is_key)
		return true;
	if (!kc_checkin_unlocked(ctx, config, KC_CHECKIN_PERIODIC))
		return false;
	err = kc_config_use_terms(ctx, config);
	if (err)
		kc_warning(ctx, "%s", kc_error_message(err));
	return true;
}

struct kc_error *kc_checkin_later(struct kc_ctx *ctx)
{
	static const time_t pauses_s[] = { 60, 240, 600 };

	for (size_t i = 0; i < KC_ARRAY_SIZE(pauses_s); i++) {
		const struct timespec pause = { .tv_sec = pauses_s[i] };
		KC_CLEANUP_CONFIG struct kc_config config = { 0 };

		clock_nanosleep(CLOCK_BOOTTIME, 0, &pause, NULL);
		KC_TRY(kc_config_load(ctx, &config));
		kc_checkin_unlocked(ctx, &config, KC_CHECKIN_LATER);
	}
	return NULL;
}
