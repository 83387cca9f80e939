/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build prepare kernel: called by kcare-build prepare, whose first argument says what to prepare. */
#ifndef KC_CMD_KCARE_BUILD_KERNEL_H
#define KC_CMD_KCARE_BUILD_KERNEL_H

#include "build/kernel.h"
#include "cmd/command.h"

struct kc_error *kc_build_prepare_kernel_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);

#endif
