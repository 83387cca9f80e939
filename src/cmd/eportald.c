/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eportald: the patch portal. Everything it does is in portal/. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cmd/command.h"
#include "cmd/notify.h"
#include "portal/log.h"
#include "portal/portal.h"

#define DATA_DIR "/var/lib/eportal"

enum { SETTINGS_MAX = 64, DESCRIPTORS_EACH = 3, DESCRIPTORS_OWN = 200 };

struct request {
	const char *dir;
	const char *settings[SETTINGS_MAX]; /* "KEY=VALUE" */
	size_t n_settings;
	const char *listen;
	bool is_quiet, is_verbose, help, version;
};

static void print_help(void)
{
	puts("Usage: eportald --foreground [--data DIR] [OPTION]…\n"
	     "The patch portal: knows a site's servers, and shows them the patches that they should have.\n\n"
	     "  -f, --foreground       stays a process of the terminal, as systemd wants it, too; always so\n"
	     "  -d, --data DIR         where everything is (" DATA_DIR "); 'kc.eportal init' makes it\n"
	     "  -l, --listen ADDRESS   as LISTEN: 127.0.0.1:8142, [::]:443\n"
	     "  -s, --set KEY=VALUE    a key of DIR/config, for this run\n"
	     "  -q, --quiet            logs only warnings\n"
	     "  -v, --verbose          logs more\n"
	     "  -h, --help             this text\n"
	     "  -V, --version          the version\n\n"
	     "SIGHUP reads the certificate anew; SIGTERM ends it, after the requests that are under way.\n"
	     "Exit codes: 0 done, 1 failed, 2 wrong arguments, 6 bad configuration or no portal, 7 another one runs.");
}

static struct kc_error *add_setting(struct request *request, const char *setting)
{
	if (!strchr(setting, '='))
		return kc_error_new(KC_ERR_USAGE, "--set wants KEY=VALUE, not '%s'", setting);
	if (request->n_settings == SETTINGS_MAX)
		return kc_error_new(KC_ERR_USAGE, "more than %d times --set", SETTINGS_MAX);
	request->settings[request->n_settings++] = setting;
	return NULL;
}

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct request *request = data;

	switch (option) {
	case 'd':
		request->dir = value;
		break;
	case 'l':
		request->listen = value;
		break;
	case 's':
		return add_setting(request, value);
	case 'q':
		request->is_quiet = true;
		break;
	case 'v':
		request->is_verbose = true;
		break;
	case 'h':
		request->help = true;
		break;
	case 'V':
		request->version = true;
		break;
	default: /* --foreground */
		break;
	}
	return NULL;
}

static struct kc_error *read_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "data", required_argument, NULL, 'd' },
		{ "listen", required_argument, NULL, 'l' },
		{ "set", required_argument, NULL, 's' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};

	KC_TRY(kc_command_read_options(argc, argv, ":fd:l:s:qvhV", options, set_option, request));
	if (optind < argc)
		return kc_error_new(KC_ERR_USAGE, "'%s' is no option of eportald; see --help", argv[optind]);
	return NULL;
}

static struct kc_error *read_config(struct kc_ctx *ctx, const struct request *request, struct kc_portal_config *config)
{
	kc_autofree char *path = kc_path_join(request->dir, "config");

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_portal_config_init(config));
	KC_TRY(kc_portal_config_load(ctx, path, config));
	for (size_t i = 0; i < request->n_settings; i++) {
		const char *equals = strchr(request->settings[i], '=');
		kc_autofree char *key = strndup(request->settings[i], (size_t)(equals - request->settings[i]));

		if (!key)
			return kc_error_no_memory();
		KC_TRY(kc_portal_config_set(config, "--set", key, equals + 1));
	}
	return request->listen ? kc_portal_config_set(config, "--listen", "LISTEN", request->listen) : NULL;
}

/*
 * What shells give is for programs with select(2). A connection has a descriptor, and so has the large file that it is
 * sent; as many connections again may be told that they are too many. The portal's own files come first.
 */
static void take_descriptors(struct kc_ctx *ctx, struct kc_portal_config *config)
{
	struct rlimit limit;
	unsigned most;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max >= (rlim_t)config->connections * DESCRIPTORS_EACH + DESCRIPTORS_OWN)
		return;
	most = limit.rlim_max > DESCRIPTORS_OWN ? (unsigned)(limit.rlim_max - DESCRIPTORS_OWN) / DESCRIPTORS_EACH : 0;
	config->connections = most > 0 ? most : 1;
	kc_warning(ctx, "CONNECTIONS is %u: there are %llu file descriptors (ulimit -n, LimitNOFILE)",
		   config->connections, (unsigned long long)limit.rlim_max);
}

static struct kc_error *serve(struct kc_ctx *ctx, const struct request *request)
{
	KC_CLEANUP_PORTAL_CONFIG struct kc_portal_config config = { 0 };
	kc_autoportal struct kc_portal *portal = NULL;

	KC_TRY(read_config(ctx, request, &config));
	kc_portal_log_open(ctx,
			   request->is_verbose ? KC_LOG_DEBUG
			   : request->is_quiet ? KC_LOG_WARNING
					       : KC_LOG_INFO,
			   config.log_json);
	kc_portal_prepare_signals();
	take_descriptors(ctx, &config);
	KC_TRY(kc_portal_start(ctx, request->dir, &config, &portal));
	notify_systemd(ctx, "READY=1");
	KC_TRY(kc_portal_run(portal));
	notify_systemd(ctx, "STOPPING=1");
	return NULL;
}

static struct kc_error *run(struct kc_ctx *ctx, int argc, char **argv)
{
	struct request request = { .dir = DATA_DIR };

	KC_TRY(read_options(argc, argv, &request));
	if (request.help)
		print_help();
	else if (request.version)
		puts("eportald " KC_VERSION);
	else
		return serve(ctx, &request);
	return NULL;
}

int main(int argc, char **argv)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct kc_terminal terminal;

	if (!ctx)
		return KC_EXIT_FAILED;
	kc_terminal_open(&terminal, "eportald", ctx);
	umask(022); /* a web server may show the repository; what is the portal's own has modes of its own */
	return kc_terminal_close(&terminal, run(ctx, argc, argv));
}
