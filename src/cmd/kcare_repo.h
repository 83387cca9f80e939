/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subcommands of kcare-repo; struct kc_command says how they are called. */
#ifndef KC_CMD_KCARE_REPO_H
#define KC_CMD_KCARE_REPO_H

#include "cmd/command.h"

struct kc_error *kc_repo_sign_root_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);

#endif
