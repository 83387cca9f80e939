/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcarectl: looks by itself, and becomes kcare-agent for everything else. It links no libcrypto, libelf or zstd: see
 * docs/agent.md for what that saves.
 */
#include "cmd/kcarectl.h"

#include <errno.h>

#include "base/process.h"

#define AGENT "kcare-agent"

static struct kc_error *run_agent(char **argv)
{
	kc_autofree char *path = kc_process_helper_path(AGENT);

	if (!path)
		return kc_error_no_memory();
	execv(path, argv);
	return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot run %s; install kcare again", path);
}

/* A kernel that the agent has not seen yet: its id must be hashed. */
static bool is_unknown_kernel(const struct kc_error *err)
{
	return err && kc_error_code(err) == KC_ERR_NOT_FOUND;
}

static struct kc_error *run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv, int *status)
{
	kc_autoerror struct kc_error *err = NULL;
	struct kcarectl_request request;

	(void)terminal;
	KC_TRY(kcarectl_parse(ctx, argc, argv, &request));
	*status = kcarectl_failed_status(&request);
	if (!kcarectl_is_look(&request))
		return run_agent(argv);
	err = kcarectl_look(ctx, &request, NULL, status);
	return is_unknown_kernel(err) ? run_agent(argv) : kc_steal(err);
}

int main(int argc, char **argv)
{
	return kcarectl_main(run, argc, argv);
}
