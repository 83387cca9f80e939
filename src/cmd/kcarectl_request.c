/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of kcarectl: GNU options, one of them an action. */
#include "cmd/kcarectl.h"

#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "cmd/command.h"

enum {
	OPTION_JSON = 1000, /* above all actions and letters */
	OPTION_FORCE,
	OPTION_FREEZER,
	OPTION_PREFIX,
	OPTION_TEST,
	OPTION_TYPE,
	OPTION_STICKY,
	OPTION_AUTO,
	OPTION_AUTORETRY,
};

static const struct option options[] = {
	{ "info", no_argument, NULL, KCARECTL_INFO },
	{ "status", no_argument, NULL, KCARECTL_STATUS },
	{ "uname", no_argument, NULL, KCARECTL_UNAME },
	{ "patch-info", no_argument, NULL, KCARECTL_PATCH_INFO },
	{ "update", no_argument, NULL, KCARECTL_UPDATE },
	{ "auto-update", no_argument, NULL, KCARECTL_AUTO_UPDATE },
	{ "smart-update", no_argument, NULL, KCARECTL_SMART_UPDATE },
	{ "check", no_argument, NULL, KCARECTL_CHECK },
	{ "unload", no_argument, NULL, KCARECTL_UNLOAD },
	{ "userspace-update", optional_argument, NULL, KCARECTL_USERSPACE_UPDATE },
	{ "lib-update", no_argument, NULL, KCARECTL_LIB_UPDATE },
	{ "lib-info", no_argument, NULL, KCARECTL_LIB_INFO },
	{ "lib-patch-info", no_argument, NULL, KCARECTL_LIB_PATCH_INFO },
	{ "lib-unload", no_argument, NULL, KCARECTL_LIB_UNLOAD },
	{ "disable-libcare", no_argument, NULL, KCARECTL_DISABLE_LIBCARE },
	{ "enable-libcare", no_argument, NULL, KCARECTL_ENABLE_LIBCARE },
	{ "auto", no_argument, NULL, OPTION_AUTO },
	{ "register", required_argument, NULL, KCARECTL_REGISTER },
	{ "register-autoretry", no_argument, NULL, OPTION_AUTORETRY },
	{ "unregister", no_argument, NULL, KCARECTL_UNREGISTER },
	{ "license-info", no_argument, NULL, KCARECTL_LICENSE_INFO },
	{ "tag", required_argument, NULL, KCARECTL_TAG },
	{ "doctor", no_argument, NULL, KCARECTL_DOCTOR },
	{ "check-in-later", no_argument, NULL, KCARECTL_CHECK_IN_LATER },
	{ "import-key", required_argument, NULL, KCARECTL_IMPORT_KEY },
	{ "import-patch", required_argument, NULL, KCARECTL_IMPORT_PATCH },
	{ "confirm", no_argument, NULL, KCARECTL_CONFIRM },
	{ "confirm-later", no_argument, NULL, KCARECTL_CONFIRM_LATER },
	{ "version", no_argument, NULL, KCARECTL_VERSION },
	{ "help", no_argument, NULL, KCARECTL_HELP },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "freezer", required_argument, NULL, OPTION_FREEZER },
	{ "prefix", required_argument, NULL, OPTION_PREFIX },
	{ "test", no_argument, NULL, OPTION_TEST },
	{ "set-patch-type", required_argument, NULL, OPTION_TYPE },
	{ "set-sticky-patch", required_argument, NULL, OPTION_STICKY },
	{ "verbose", no_argument, NULL, 'v' },
	{ "quiet", no_argument, NULL, 'q' },
	{ NULL, 0, NULL, 0 },
};

void kcarectl_print_help(void)
{
	fputs("Usage: kcarectl OPTION…\n"
	      "Shows and changes which patches the running kernel and processes have.\n\n"
	      "  -i, --info            what is applied; with --json as JSON\n"
	      "      --patch-info      every fix that is applied\n"
	      "      --uname           the kernel release whose fixes this kernel has\n"
	      "      --status          exit code 0: the latest patch is applied, 1: none is, 2: there is a newer\n"
	      "                        one, 3: no patch for this kernel is known; it asks nobody\n"
	      "      --check           asks the patch server; exit code 0: there is something new, 1: nothing,\n"
	      "                        2 or more: it could not tell\n"
	      "  -u, --update          downloads the newest patch and applies it\n"
	      "      --auto-update     the same for timers: obeys AUTO_UPDATE, and never loads a patch that the host\n"
	      "                        went down with\n"
	      "      --smart-update    the same for the boot: as UPDATE_POLICY says, with one try\n"
	      "      --unload          takes the patch out\n"
	      "      --prefix NAME     with an update or --check: this feed, or 12h, 24h, 48h; --test is "
	      "--prefix=test\n"
	      "      --force           with an update: applies it even if some tasks do not let it; only a reboot\n"
	      "                        takes it out then\n"
	      "      --freezer HOW     which tasks are interrupted, so that they switch: none, full (all) or smart\n"
	      "                        (those that need it; the default)\n"
	      "      --set-patch-type TYPE    default, extra or free: which choice of fixes, from the next update on\n"
	      "      --set-sticky-patch DAY   stays at what was released until the end of that day: DDMMYYYY, DDMMYY,\n"
	      "                               YYYY-MM-DD or KEY; \"\" goes on again\n"
	      "      --userspace-update [KINDS]   downloads the newest patches for running processes and applies "
	      "them;\n"
	      "                        KINDS: libs, qemu or libs,qemu; --auto: the same for timers\n"
	      "      --lib-update      patches all processes: libraries\n"
	      "      --lib-info        which processes are patched, as JSON\n"
	      "      --lib-patch-info  which patches they have and what those fix, as JSON\n"
	      "      --lib-unload      takes the patches out of all processes\n"
	      "      --disable-libcare, --enable-libcare   whether processes of this host are patched at all\n"
	      "      --register KEY    registers this host at its portal; --register-autoretry: tries again until\n"
	      "                        that works, unless the portal says that it never will\n"
	      "      --unregister      the portal forgets this host\n"
	      "      --license-info    what the key of this host allows\n"
	      "      --tag TAGS        \"env:prod;ubuntu\": shown by the portal; \"\" removes them\n"
	      "      --doctor          sends a report of this host to the portal, and prints its key\n"
	      "      --import-key PATH    trusts an author (a public key that 'kcare-build keygen' made) or a\n"
	      "                           repository (its root.json)\n"
	      "      --import-patch PATH  verifies a patch file, or those of a folder, and puts them into the cache\n"
	      "      --confirm         says that the host is well with the patch: a reboot loads it again\n"
	      "      --confirm-later   the same when it has been well for five minutes\n"
	      "      --version         the version of kcare\n"
	      "  -v, --verbose; -q, --quiet; --help\n\n"
	      "Exit codes but for --status and --check: 0 done, 1 failed, 2 usage, 3 nothing to do, 4 busy,\n"
	      "5 refused, 6 bad input, 7 another run is at work, 8 network.\n"
	      "'man kcarectl' says more.\n",
	      stdout);
}

static struct kc_error *read_freezer(const char *text, struct kcarectl_request *request)
{
	static const char *const names[] = {
		[KC_FREEZER_SMART] = "smart",
		[KC_FREEZER_NONE] = "none",
		[KC_FREEZER_FULL] = "full",
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++) {
		if (strcasecmp(text, names[i]))
			continue;
		request->freezer = (enum kc_freezer)i;
		request->has_freezer = true;
		return NULL;
	}
	return kc_error_new(KC_ERR_USAGE, "--freezer takes none, full or smart, not '%s'", text);
}

static struct kc_error *set_prefix(const char *prefix, struct kcarectl_request *request)
{
	if (request->prefix && strcmp(request->prefix, prefix))
		return kc_error_new(KC_ERR_USAGE, "one prefix at a time, not both '%s' and '%s'", request->prefix,
				    prefix);
	request->prefix = prefix;
	return NULL;
}

static const char *option_name(int action)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(options) - 1; i++)
		if (options[i].val == action)
			return options[i].name;
	return "";
}

static struct kc_error *set_action(struct kcarectl_request *request, int action)
{
	if (request->action != KCARECTL_NONE && request->action != (enum kcarectl_action)action)
		return kc_error_new(KC_ERR_USAGE, "--%s and --%s do not go together: one at a time", request->option,
				    option_name(action));
	request->action = (enum kcarectl_action)action;
	request->option = option_name(action);
	if (optarg && !*optarg)
		return kc_error_new(KC_ERR_USAGE, "--%s takes a %s", request->option,
				    action == KCARECTL_REGISTER ? "key" : "path");
	request->path = optarg;
	return NULL;
}

/* "--userspace-update libs", as it is documented, and "--userspace-update=libs", which getopt knows. */
static struct kc_error *set_userspace_update(struct kcarectl_request *request, char **argv)
{
	request->kinds = optarg;
	if (!optarg && argv[optind] && *argv[optind] != '-')
		request->kinds = argv[optind++];
	optarg = NULL;
	return set_action(request, KCARECTL_USERSPACE_UPDATE);
}

static struct kc_error *read_option(int option, char **argv, struct kcarectl_request *request, int *verbosity)
{
	switch (option) {
	case 'v':
		*verbosity = *verbosity < KC_LOG_DEBUG ? *verbosity + 1 : *verbosity;
		return NULL;
	case 'q':
		*verbosity = KC_LOG_ERROR;
		return NULL;
	case OPTION_JSON:
		request->json = true;
		return NULL;
	case OPTION_FORCE:
		request->force = true;
		return NULL;
	case OPTION_FREEZER:
		return read_freezer(optarg, request);
	case OPTION_PREFIX:
		return set_prefix(optarg, request);
	case OPTION_TEST:
		return set_prefix("test", request);
	case OPTION_TYPE:
		request->patch_type = optarg;
		return NULL;
	case OPTION_STICKY:
		request->sticky = optarg;
		return NULL;
	case OPTION_AUTO:
		request->is_automatic = true;
		return NULL;
	case OPTION_AUTORETRY:
		request->autoretry = true;
		return NULL;
	case KCARECTL_TAG:
		request->tags = optarg;
		optarg = NULL;
		return set_action(request, KCARECTL_TAG);
	case KCARECTL_USERSPACE_UPDATE:
		return set_userspace_update(request, argv);
	case ':':
	case '?':
		return kc_command_bad_option(option, argv);
	case 'i':
		return set_action(request, KCARECTL_INFO);
	case 'u':
		return set_action(request, KCARECTL_UPDATE);
	default:
		return set_action(request, option);
	}
}

static bool is_update(const struct kcarectl_request *request)
{
	return request->action == KCARECTL_UPDATE || request->action == KCARECTL_AUTO_UPDATE ||
	       request->action == KCARECTL_SMART_UPDATE;
}

static bool is_userspace_update(const struct kcarectl_request *request)
{
	return request->action == KCARECTL_USERSPACE_UPDATE || request->action == KCARECTL_LIB_UPDATE;
}

static struct kc_error *check_settings(struct kcarectl_request *request)
{
	bool has_settings = request->patch_type || request->sticky;

	if (request->action == KCARECTL_NONE && has_settings) {
		request->action = KCARECTL_SETTINGS;
		request->option = request->patch_type ? "set-patch-type" : "set-sticky-patch";
	}
	if (request->action == KCARECTL_NONE && request->autoretry)
		return kc_error_new(KC_ERR_USAGE, "--register-autoretry goes with --register KEY");
	if (request->action == KCARECTL_NONE)
		return kc_error_new(KC_ERR_USAGE, "say what to do, for example --info; see 'kcarectl --help'");
	if (has_settings && request->action != KCARECTL_SETTINGS && !is_update(request))
		return kc_error_new(KC_ERR_USAGE,
				    "--set-patch-type and --set-sticky-patch go with --update or alone, "
				    "not with --%s",
				    request->option);
	return NULL;
}

static struct kc_error *check_together(struct kcarectl_request *request)
{
	KC_TRY(check_settings(request));
	if (request->json && request->action != KCARECTL_INFO)
		return kc_error_new(KC_ERR_USAGE, "--json goes with --info, not with --%s", request->option);
	if (request->force && !is_update(request) && request->action != KCARECTL_IMPORT_KEY)
		return kc_error_new(KC_ERR_USAGE, "--force goes with --update or --import-key, not with --%s",
				    request->option);
	if (request->has_freezer && !is_update(request) && request->action != KCARECTL_UNLOAD)
		return kc_error_new(KC_ERR_USAGE, "--freezer goes with --update or --unload, not with --%s",
				    request->option);
	if (request->prefix && !is_update(request) && !is_userspace_update(request) &&
	    request->action != KCARECTL_CHECK)
		return kc_error_new(KC_ERR_USAGE, "--prefix and --test go with --update or --check, not with --%s",
				    request->option);
	if (request->autoretry && request->action != KCARECTL_REGISTER)
		return kc_error_new(KC_ERR_USAGE, "--register-autoretry goes with --register, not with --%s",
				    request->option);
	if (request->is_automatic && request->action != KCARECTL_USERSPACE_UPDATE)
		return kc_error_new(KC_ERR_USAGE, "--auto goes with --userspace-update, not with --%s",
				    request->option);
	return NULL;
}

struct kc_error *kcarectl_parse(struct kc_ctx *ctx, int argc, char **argv, struct kcarectl_request *request)
{
	int option, verbosity = KC_LOG_WARNING;

	*request = (struct kcarectl_request){ 0 };
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":iuvq", options, NULL)) != -1)
		KC_TRY(read_option(option, argv, request, &verbosity));
	if (optind < argc)
		return kc_error_new(KC_ERR_USAGE, "'%s' is not an option; see 'kcarectl --help'", argv[optind]);
	kc_ctx_set_log_level(ctx, (enum kc_log_level)verbosity);
	return check_together(request);
}

bool kcarectl_is_userspace(const struct kcarectl_request *request)
{
	return request->action >= KCARECTL_USERSPACE_UPDATE && request->action <= KCARECTL_ENABLE_LIBCARE;
}

bool kcarectl_is_look(const struct kcarectl_request *request)
{
	switch (request->action) {
	case KCARECTL_INFO:
	case KCARECTL_STATUS:
	case KCARECTL_UNAME:
	case KCARECTL_PATCH_INFO:
	case KCARECTL_VERSION:
	case KCARECTL_HELP:
		return true;
	default:
		return false;
	}
}

int kcarectl_failed_status(const struct kcarectl_request *request)
{
	if (request->action == KCARECTL_CHECK)
		return KC_EXIT_USAGE;
	return request->action == KCARECTL_STATUS ? KC_EXIT_INPUT : KC_EXIT_DONE;
}

int kcarectl_main(kcarectl_run_fn *run, int argc, char **argv)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	int status = KC_EXIT_DONE, failed;
	struct kc_terminal terminal;

	if (!ctx)
		return KC_EXIT_FAILED;
	kc_terminal_open(&terminal, "kcarectl", ctx);
	failed = kc_terminal_close(&terminal, run(ctx, &terminal, argc, argv, &status));
	/* --check and --status set the one that a failure has there */
	return failed > KC_EXIT_FAILED || (failed && !status) ? failed : status;
}
