/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/root_file.h"
#include "base/file.h"
#include "sample.h"

static void keep_warning(void *data, enum kc_log_level level, const char *message)
{
	if (level == KC_LOG_WARNING)
		kc_buf_printf(data, "%s\n", message);
}

void agent_host_open(struct agent_host *host)
{
	*host = (struct agent_host){ .ctx = kc_ctx_new(), .root = "/tmp/kcare-agent-XXXXXX" };
	if (!host->ctx || !mkdtemp(host->root) || setenv("KCARE_ROOT", host->root, 1))
		sample_must(kc_error_new(KC_ERR_SYSTEM, "no host"));
	kc_ctx_set_log(host->ctx, KC_LOG_DEBUG, keep_warning, &host->log);
}

void agent_host_close(struct agent_host *host)
{
	kc_ctx_free(host->ctx);
	kc_buf_free(&host->log);
	kc_tree_remove(host->root);
}

int agent_host_set_up(void **state)
{
	struct agent_host *host = malloc(sizeof(*host));

	agent_host_open(host);
	*state = host;
	return 0;
}

int agent_host_tear_down(void **state)
{
	agent_host_close(*state);
	free(*state);
	return 0;
}

char *agent_host_path(const struct agent_host *host, const char *fixed)
{
	char *path;

	return asprintf(&path, "%s%s", host->root, fixed) < 0 ? NULL : path;
}

void agent_host_put(const struct agent_host *host, const char *fixed, const void *data, size_t size)
{
	(void)host; /* it is the root of the process */
	sample_must(kc_root_file_write(fixed, data, size));
}

void agent_host_put_text(const struct agent_host *host, const char *fixed, const char *text)
{
	agent_host_put(host, fixed, text, strlen(text));
}

bool agent_host_has(const struct agent_host *host, const char *fixed)
{
	kc_autofree char *path = agent_host_path(host, fixed);

	return access(path, F_OK) == 0;
}
