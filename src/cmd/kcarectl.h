/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcarectl is two programs with one command line. `kcarectl` looks: it is small, because monitoring asks it all the
 * time. `kcare-agent` does the rest, with everything that checks signatures and loads patches; kcarectl becomes it when
 * it is asked for more than a look. Only these programs include this file: it prints.
 */
#ifndef KC_CMD_KCARECTL_H
#define KC_CMD_KCARECTL_H

#include <stdbool.h>

#include "apply/kernel.h"
#include "cmd/terminal.h"

enum kcarectl_action {
	KCARECTL_NONE,
	KCARECTL_INFO,
	KCARECTL_STATUS,
	KCARECTL_UNAME,
	KCARECTL_PATCH_INFO,
	KCARECTL_UPDATE,
	KCARECTL_AUTO_UPDATE,
	KCARECTL_SMART_UPDATE,
	KCARECTL_CHECK,
	KCARECTL_SETTINGS, /* no action, but --set-… */
	KCARECTL_UNLOAD,
	KCARECTL_USERSPACE_UPDATE, /* from here on: processes */
	KCARECTL_LIB_UPDATE,
	KCARECTL_LIB_INFO,
	KCARECTL_LIB_PATCH_INFO,
	KCARECTL_LIB_UNLOAD,
	KCARECTL_DISABLE_LIBCARE,
	KCARECTL_ENABLE_LIBCARE, /* up to here */
	KCARECTL_REGISTER,	 /* from here on: the portal */
	KCARECTL_UNREGISTER,
	KCARECTL_LICENSE_INFO,
	KCARECTL_TAG,
	KCARECTL_DOCTOR,
	KCARECTL_CHECK_IN_LATER, /* up to here */
	KCARECTL_IMPORT_KEY,
	KCARECTL_IMPORT_PATCH,
	KCARECTL_CONFIRM,
	KCARECTL_CONFIRM_LATER,
	KCARECTL_VERSION,
	KCARECTL_HELP,
};

struct kcarectl_request {
	enum kcarectl_action action;
	const char *option;		 /* the one that asked for it, "--info" */
	const char *path;		 /* of --import-key and --import-patch; of --register the key */
	const char *tags;		 /* of --tag */
	const char *prefix;		 /* of --prefix and --test; NULL: the configured one */
	const char *patch_type, *sticky; /* of --set-patch-type and --set-sticky-patch, or NULL */
	const char *kinds;		 /* of --userspace-update; NULL: the configured ones */
	bool json, force, has_freezer, is_automatic, autoretry;
	enum kc_freezer freezer;
};

/* Reads the options; -v and -q take effect on `ctx`. KC_ERR_USAGE for options that do not go together. */
struct kc_error *kcarectl_parse(struct kc_ctx *ctx, int argc, char **argv, struct kcarectl_request *request);
void kcarectl_print_help(void);

/*
 * --info, --status, --uname, --patch-info, --version, --help. `kernel` NULL: KC_ERR_NOT_FOUND when the agent has not
 * seen this kernel before. `*status` is the exit code of --status.
 */
struct kc_error *kcarectl_look(struct kc_ctx *ctx, const struct kcarectl_request *request,
			       const struct kc_kernel *kernel, int *status);
/* Everything else about the kernel. `*status` is the exit code of --check. */
struct kc_error *kcarectl_change(struct kc_ctx *ctx, const struct kcarectl_request *request, int *status);
/* All about processes. */
struct kc_error *kcarectl_userspace(struct kc_ctx *ctx, struct kc_terminal *terminal,
				    const struct kcarectl_request *request);
/* All about the portal. */
struct kc_error *kcarectl_portal(struct kc_ctx *ctx, const struct kcarectl_request *request);
bool kcarectl_is_portal(const struct kcarectl_request *request);
/* After a patch was applied, on a registered host: checks in 1, 5 and 15 minutes later, and waits for nothing. */
void kcarectl_check_in_later(struct kc_ctx *ctx);
bool kcarectl_is_userspace(const struct kcarectl_request *request);
bool kcarectl_is_look(const struct kcarectl_request *request);
/*
 * What a run begins with: the exit code of a failure that has none of its own. KC_EXIT_FAILED would mean something else
 * to who asks for --check or --status.
 */
int kcarectl_failed_status(const struct kcarectl_request *request);

/* What both main()s are, around what they do: the exit code. `run` gets the context and the command line. */
typedef struct kc_error *kcarectl_run_fn(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv,
					 int *status);
int kcarectl_main(kcarectl_run_fn *run, int argc, char **argv);

#endif
