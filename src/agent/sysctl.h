/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /etc/sysconfig/kcare/sysctl.conf: set after each load of a patch, as `sysctl -p` would, because a patch's switches
 * may be new. Written to /proc/sys directly: sysctl(8) need not be installed.
 */
#ifndef KC_AGENT_SYSCTL_H
#define KC_AGENT_SYSCTL_H

#include "base/ctx.h"

/* A "NAME = VALUE" line; parts are ranges of it. */
struct kc_sysctl_line {
	const char *name, *value;
	size_t name_size, value_size;
	bool ignore_failure; /* "-NAME = VALUE" */
	const char *problem;
};

/* Splits one line (without its newline). false: blank or a comment. */
bool kc_sysctl_parse(const char *line, size_t size, struct kc_sysctl_line *parsed);
/* "kernel/kcare_x" for "kernel.kcare_x" and "kernel/kcare_x" (caller frees; NULL: out of memory, or no sysctl's name).
 */
char *kc_sysctl_path(const char *name, size_t size);
/* Sets them all. A line that cannot be set is a warning with file and line; no file is fine. */
struct kc_error *kc_sysctl_load(struct kc_ctx *ctx);

#endif
