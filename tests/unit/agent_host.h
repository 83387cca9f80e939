/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host for tests of the agent: an empty KCARE_ROOT, and what the agent warned of, one warning per line. */
#ifndef KC_TESTS_AGENT_HOST_H
#define KC_TESTS_AGENT_HOST_H

#include <stdbool.h>

#include "base/ctx.h"
#include "kc_assert.h"

struct agent_host {
	struct kc_ctx *ctx;
	struct kc_buf log;
	char root[64];
};

void agent_host_open(struct agent_host *host);
void agent_host_close(struct agent_host *host);
/* For cmocka: `*state` is a host of the test's own. */
int agent_host_set_up(void **state);
int agent_host_tear_down(void **state);
/* The path below the root (caller frees). */
char *agent_host_path(const struct agent_host *host, const char *fixed);
/* Writes a file there, with its folder. */
void agent_host_put(const struct agent_host *host, const char *fixed, const void *data, size_t size);
void agent_host_put_text(const struct agent_host *host, const char *fixed, const char *text);
bool agent_host_has(const struct agent_host *host, const char *fixed);

#endif
