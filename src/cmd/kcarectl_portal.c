/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcarectl and the portal: registering, the licence, tags, reports. */
#include "cmd/kcarectl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "agent/checkin.h"
#include "agent/config.h"
#include "agent/doctor.h"
#include "agent/lock.h"
#include "agent/paths.h"
#include "agent/portal_link.h"
#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "cmd/systemd.h"
#include "repo/metadata.h"

enum { RETRY_FIRST_S = 5, RETRY_LAST_S = 1800 };

/* ---- register ---- */

/* Up to half as long again, so that the hosts of a site do not come back together. */
static void pause_with_jitter(unsigned seconds)
{
	struct timespec pause;
	uint16_t random = 0;

	if (kc_random_bytes(&random, sizeof(random)))
		random = 0;
	pause = (struct timespec){ .tv_sec = seconds + seconds * random / 2 / UINT16_MAX };
	nanosleep(&pause, NULL);
}

static struct kc_error *register_until_it_works(struct kc_ctx *ctx, const struct kc_config *config, const char *key)
{
	unsigned seconds = RETRY_FIRST_S;
	struct kc_error *err;

	while ((err = kc_portal_register(ctx, config, key)) && kc_portal_is_temporary(err)) {
		kc_warning(ctx, "trying again in %u s: %s", seconds, kc_error_message(err));
		kc_error_free(err);
		pause_with_jitter(seconds);
		seconds = seconds < RETRY_LAST_S / 2 ? 2 * seconds : RETRY_LAST_S;
	}
	return err;
}

/* Between programs of one machine nobody listens. */
static bool is_overheard(const char *url)
{
	static const char *const own[] = { "http://127.", "http://localhost:", "http://localhost/", "http://[::1]" };

	if (strncasecmp(url, "http://", strlen("http://")))
		return false;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (!strncasecmp(url, own[i], strlen(own[i])))
			return false;
	return true;
}

static struct kc_error *warn_of_listeners(struct kc_ctx *ctx, const struct kc_config *config)
{
	kc_autofree char *url = NULL;

	KC_TRY(kc_portal_url(config, "", &url));
	if (is_overheard(url))
		kc_warning(ctx,
			   "the key travels unencrypted to %s: give the portal a certificate, and kcare.conf its "
			   "https:// address",
			   url);
	return NULL;
}

static struct kc_error *register_host(struct kc_ctx *ctx, const struct kcarectl_request *request,
				      struct kc_config *config)
{
	KC_TRY(warn_of_listeners(ctx, config));
	KC_TRY(request->autoretry ? register_until_it_works(ctx, config, request->path)
				  : kc_portal_register(ctx, config, request->path));
	puts("Server Registered");
	KC_TRY(kc_config_use_terms(ctx, config)); /* the key may name a feed */
	kc_checkin_unlocked(ctx, config, KC_CHECKIN_PERIODIC);
	return NULL;
}

static struct kc_error *unregister_host(struct kc_ctx *ctx, const struct kc_config *config)
{
	KC_TRY(kc_portal_unregister(ctx, config));
	puts("Server Unregistered");
	return NULL;
}

/* ---- licence ---- */

static void print_day(const char *name, int64_t seconds)
{
	char text[21];

	if (!seconds)
		return;
	kc_repo_time_text(seconds, text);
	printf("%s: %s\n", name, text);
}

static struct kc_error *print_licence(struct kc_ctx *ctx, const struct kc_config *config)
{
	KC_CLEANUP_LICENCE_INFO struct kc_licence_info info = { 0 };

	KC_TRY(kc_portal_licence(ctx, config, &info));
	printf("Key: %s\n", info.key);
	if (*info.note)
		printf("Note: %s\n", info.note);
	if (info.server_limit)
		printf("Servers: %u of %u\n", info.n_servers, info.server_limit);
	else
		printf("Servers: %u, no limit\n", info.n_servers);
	printf("Feed: %s\n", *info.terms.feed ? info.terms.feed : "main");
	if (*info.terms.sticky)
		printf("Sticky: %s\n", info.terms.sticky);
	print_day("Valid until", info.terms.ends);
	printf("Products:%s%s%s\n", info.terms.has_kernel ? " kernel" : "", info.terms.has_libs ? " libs" : "",
	       info.terms.has_qemu ? " qemu" : "");
	return NULL;
}

/* ---- tags ---- */

static struct kc_error *set_tags(struct kc_ctx *ctx, const char *tags)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	kc_autoclose int lock = -1;

	KC_TRY(kc_tags_check(tags));
	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(kc_config_set(ctx, "TAGS", *tags ? tags : NULL));
	puts(*tags ? "The tags were set" : "The tags were removed");
	KC_TRY(kc_config_load(ctx, &config));
	kc_checkin(ctx, &config, KC_CHECKIN_PERIODIC);
	return NULL;
}

/* ---- doctor ---- */

static struct kc_error *keep_report(const struct kc_buf *report, const struct kc_error *why)
{
	kc_autofree char *path = kc_user_path(KC_DOCTOR_FALLBACK), *dir = NULL;
	int err;

	dir = path ? strndup(path, (size_t)(kc_path_name(path) - path - 1)) : NULL;
	if (!dir)
		return kc_error_no_memory();
	err = kc_dir_make(dir, 0700);
	if (!err)
		err = kc_file_write_atomic(path, report->data, report->size, 0600);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path);
	printf("The report could not be sent (%s).\nIt is in %s: please send it by hand.\n", kc_error_message(why),
	       path);
	return NULL;
}

static struct kc_error *send_report(struct kc_ctx *ctx, const struct kc_config *config)
{
	kc_autobuf struct kc_buf report = { 0 };
	kc_autoerror struct kc_error *err = NULL;
	kc_autofree char *key = NULL;

	puts("Generating report...");
	KC_TRY(kc_doctor_report(ctx, &report));
	puts("Uploading...");
	fflush(stdout);
	err = kc_portal_send_report(ctx, config, report.data, &key);
	if (err)
		return keep_report(&report, err);
	printf("Key: %s\nPlease, provide above mentioned key to whoever runs your patch portal\n", key);
	return NULL;
}

/* ---- later ---- */

/* A process of its own, which nobody waits for. */
static void start_detached(struct kc_ctx *ctx, const char *program)
{
	pid_t child = fork();
	int null;

	if (child < 0)
		kc_info(ctx, "cannot check in later: %s", strerror(errno));
	if (child)
		return;
	setsid();
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	execl(program, program, "--check-in-later", (char *)NULL);
	_exit(KC_EXIT_FAILED);
}

void kcarectl_check_in_later(struct kc_ctx *ctx)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autoerror struct kc_error *err = kc_identity_read(&identity);
	kc_autofree char *program = kc_process_helper_path("kcare-agent");
	bool is_systemd = false;
	int code;

	if (err || !program || !kc_identity_is_registered(&identity))
		return;
	err = systemd_is_here(&is_systemd);
	/* what a unit starts ends with it; and to wait for another one would hold up a boot for ever */
	if (!err && is_systemd &&
	    !kc_process_run(&(struct kc_process){ .argv = (const char *const[]){ "systemd-run", "--quiet", "--collect",
										 "--no-block", program,
										 "--check-in-later", NULL } },
			    &code) &&
	    !code)
		return;
	start_detached(ctx, program);
}

/* ---- all of it ---- */

bool kcarectl_is_portal(const struct kcarectl_request *request)
{
	return request->action >= KCARECTL_REGISTER && request->action <= KCARECTL_CHECK_IN_LATER;
}

struct kc_error *kcarectl_portal(struct kc_ctx *ctx, const struct kcarectl_request *request)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };

	if (request->action == KCARECTL_TAG)
		return set_tags(ctx, request->tags);
	if (request->action == KCARECTL_CHECK_IN_LATER)
		return kc_checkin_later(ctx);
	KC_TRY(kc_config_load(ctx, &config));
	switch (request->action) {
	case KCARECTL_REGISTER:
		return register_host(ctx, request, &config);
	case KCARECTL_UNREGISTER:
		return unregister_host(ctx, &config);
	case KCARECTL_LICENSE_INFO:
		return print_licence(ctx, &config);
	default:
		return send_report(ctx, &config);
	}
}
