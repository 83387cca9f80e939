/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subcommands of kcare-build; struct kc_command says how they are called. */
#ifndef KC_CMD_KCARE_BUILD_H
#define KC_CMD_KCARE_BUILD_H

#include "cmd/command.h"

struct kc_error *kc_build_keygen_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_build_prepare_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_build_kernel_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_build_user_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_build_patchset_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_build_show_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_build_verify_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);

#endif
