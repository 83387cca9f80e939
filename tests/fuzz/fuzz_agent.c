/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the files that root obeys: kcare.conf (read, rewritten, and read again), sysctl.conf, state.json and
 * the crash guard's marker; of the userspace folder its state.json and `withdrawn`; systemid and portal.json. The first
 * byte chooses.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/config.h"
#include "agent/guard.h"
#include "agent/identity.h"
#include "agent/portal_state.h"
#include "agent/sysctl.h"
#include "agent/userspace_current.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was accepted cannot break out of a URL, a path or a request. */
static void check_config(const struct kc_config *config)
{
	const char *const texts[] = { config->patch_server, config->http_proxy, config->https_proxy, config->prefix,
				      config->sticky_patchset };
	struct kc_sticky again;
	char text[16];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (const char *p = texts[i]; *p; p++)
			if (*p <= ' ' || *p > '~')
				abort();
	if (strchr(config->prefix, '/') || *config->prefix == '.' || strchr(config->patch_server, '@'))
		abort();
	if (*config->patch_server && strncasecmp(config->patch_server, "http", 4))
		abort();
	if (kc_config_delay_s(config, true) < 0 || kc_config_delay_s(config, false) < 0)
		abort();
	kc_sticky_text(&config->sticky, text);
	if (kc_sticky_parse(text, &again) || again.before != config->sticky.before)
		abort();
}

static void fuzz_config(struct kc_ctx *ctx, const char *text, size_t size)
{
	KC_CLEANUP_CONFIG struct kc_config before = { 0 }, after = { 0 };
	kc_autoerror struct kc_error *err = kc_config_parse(ctx, "fuzz", text, size, &before);
	kc_autobuf struct kc_buf changed = { 0 };

	if (err)
		return;
	check_config(&before);
	/* what was readable is so with a changed key, and every other key is what it was */
	if (kc_config_rewrite(text, size, "PREFIX", "new", &changed) ||
	    kc_config_parse(ctx, "fuzz", changed.data, changed.size, &after))
		abort();
	if (strcmp(after.prefix, "new") || strcmp(after.patch_server, before.patch_server) ||
	    strcmp(after.patch_type, before.patch_type) || after.update_policy != before.update_policy ||
	    after.auto_update != before.auto_update || after.sticky.before != before.sticky.before ||
	    strcmp(after.sticky_patchset, before.sticky_patchset) || strcmp(after.http_proxy, before.http_proxy))
		abort();
}

static void fuzz_sysctl(const char *text, size_t size)
{
	struct kc_sysctl_line line;
	kc_autofree char *path = NULL;

	if (!kc_sysctl_parse(text, size, &line) || line.problem)
		return;
	path = kc_sysctl_path(line.name, line.name_size);
	if (path && (*path == '/' || strstr(path, "/../") || !strncmp(path, "../", 3)))
		abort();
}

static void fuzz_state(const char *text, size_t size)
{
	KC_CLEANUP_STATE struct kc_state state = { 0 };

	kc_autoerror struct kc_error *err = kc_state_parse("fuzz", text, size, &state);

	if (err)
		return;
	for (size_t i = 0; i < state.checked.n_blocked; i++)
		if (kc_state_allows(&state, &state.checked.blocked[i], i % 2))
			abort();
	if (memchr(state.checked.feed, '\0', sizeof(state.checked.feed)) == NULL)
		abort();
}

static void fuzz_marker(const char *text, size_t size)
{
	struct kc_loading loading = { 0 };

	kc_error_free(kc_guard_parse("fuzz", text, size, &loading));
}

/* A build-id becomes the name of a file that is removed or replaced. */
static void fuzz_current(const char *text, size_t size)
{
	KC_CLEANUP_CURRENT struct kc_current current = { 0 };
	kc_autoerror struct kc_error *err = kc_current_parse("fuzz", text, size, &current);

	for (size_t i = 0; !err && i < current.n_patches; i++)
		if (strpbrk(current.patches[i].build_id, "/.") || !current.patches[i].level ||
		    !current.patches[i].patchset || !current.patches[i].origin)
			abort();
}

static void fuzz_withdrawn(const char *text, size_t size)
{
	KC_CLEANUP_WITHDRAWN struct kc_withdrawn withdrawn = { 0 };
	kc_autoerror struct kc_error *err = kc_withdrawn_parse("fuzz", text, size, &withdrawn);

	for (size_t i = 0; !err && i < withdrawn.n_patches; i++)
		if (strlen(withdrawn.patches[i].hash) != KC_SHA256_TEXT_SIZE - 1 || !*withdrawn.patches[i].build_id ||
		    !kc_withdrawn_has(&withdrawn, withdrawn.patches[i].hash) ||
		    !kc_withdrawn_has_target(&withdrawn, withdrawn.patches[i].build_id))
			abort();
}

/* What is accepted can be sent to the portal, and is not registered only by half. */
static void fuzz_identity(const char *text, size_t size)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	kc_autoerror struct kc_error *err = kc_identity_parse("fuzz", text, size, &identity);
	kc_autobuf struct kc_buf out = { 0 };

	if (!err && kc_identity_is_registered(&identity) &&
	    (!*identity.key || kc_credentials_encode(&identity.credentials, &out)))
		abort();
}

static void fuzz_portal_state(const char *text, size_t size)
{
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state state = { 0 };
	kc_autobuf struct kc_buf out = { 0 };

	if (kc_portal_state_parse(text, size, &state) || state.answered_at < 0 ||
	    kc_checkin_answer_encode(&state.answer, &out))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	const char *text = (const char *)data + 1;

	if (!size || !ctx)
		return 0;
	switch (*data) {
	case 'c':
		fuzz_config(ctx, text, size - 1);
		break;
	case 'y':
		fuzz_sysctl(text, size - 1);
		break;
	case 's':
		fuzz_state(text, size - 1);
		break;
	case 'm':
		fuzz_marker(text, size - 1);
		break;
	case 'i':
		fuzz_identity(text, size - 1);
		break;
	case 'p':
		fuzz_portal_state(text, size - 1);
		break;
	case 'u':
		fuzz_current(text, size - 1);
		break;
	case 'w':
		fuzz_withdrawn(text, size - 1);
		break;
	}
	return 0;
}
