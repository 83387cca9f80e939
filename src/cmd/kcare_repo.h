/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subcommands of kcare-repo; struct kc_command says how they are called. */
#ifndef KC_CMD_KCARE_REPO_H
#define KC_CMD_KCARE_REPO_H

#include "cmd/command.h"
#include "repo/repository.h"

/* Opens a repository, and shows what its operator should know. */
struct kc_error *kc_repo_open(struct kc_ctx *ctx, const char *dir, struct kc_repository **repository);

struct kc_error *kc_repo_init_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_trust_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_deploy_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_enable_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_disable_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_block_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_undeploy_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_feed_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_refresh_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_sign_root_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_verify_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_repo_mirror_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
/*
 * The passphrase of a new root key: the first line of the file, none, or else what the terminal is asked for. Wiped by
 * the caller.
 */
struct kc_error *kc_repo_new_passphrase(struct kc_ctx *ctx, const char *path, bool without, struct kc_buf *passphrase);

#endif
