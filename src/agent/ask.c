/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/ask.h"

#include <string.h>
#include <time.h>

#include "agent/cache.h"
#include "agent/keys.h"
#include "agent/policy.h"
#include "agent/remote.h"
#include "agent/update.h"
#include "base/array.h"

struct question {
	struct kc_ctx *ctx;
	const struct kc_config *config;
	const struct kc_ask *ask;
	struct kc_state *state;
	struct kc_remote *remote;
	struct kc_target_list list;
	struct kc_policy policy;
};

static struct kc_level level_of(const struct kc_state *state, const struct kc_target_entry *entry)
{
	struct kc_level level = { .number = entry->level };

	memcpy(level.kernel_id, state->kernel_id, sizeof(level.kernel_id));
	snprintf(level.type, sizeof(level.type), "%s", entry->type);
	memcpy(level.hash, entry->hash, sizeof(level.hash));
	return level;
}

/* Another build of a level says nothing about this one. */
static bool has_crashed(const void *data, const struct kc_target_entry *entry)
{
	const struct kc_state *state = data;
	struct kc_level level = level_of(state, entry);
	const struct kc_crash *crash = kc_state_find_crash(state, &level);

	return crash && !strcmp(crash->level.hash, entry->hash);
}

/* ---- remembering ---- */

static struct kc_error *remember_blocked(const struct question *q, struct kc_checked *checked)
{
	for (size_t i = 0; i < q->list.n_entries; i++) {
		struct kc_level *added;

		if (!q->list.entries[i].blocked)
			continue;
		added = kc_array_add(&checked->blocked, &checked->n_blocked);
		if (!added)
			return kc_error_no_memory();
		*added = level_of(q->state, &q->list.entries[i]);
	}
	return NULL;
}

static struct kc_error *describe(const struct question *q, bool is_known, struct kc_checked *checked)
{
	const struct kc_target_entry *chosen = kc_choice_pick(&q->list, NULL, &q->policy.choice);

	checked->at = q->policy.choice.now;
	checked->is_known = is_known;
	snprintf(checked->root, sizeof(checked->root), "%s", kc_remote_root(q->remote));
	snprintf(checked->feed, sizeof(checked->feed), "%s", kc_remote_feed(q->remote));
	memcpy(checked->chosen.kernel_id, q->state->kernel_id, sizeof(checked->chosen.kernel_id));
	snprintf(checked->chosen.type, sizeof(checked->chosen.type), "%s", q->config->patch_type);
	if (chosen) {
		checked->chosen = level_of(q->state, chosen);
		checked->patchset = strdup(chosen->patchset);
	}
	checked->rules = kc_policy_rules(q->config, q->ask->is_automatic);
	if (!checked->rules || (chosen && !checked->patchset))
		return kc_error_no_memory();
	return remember_blocked(q, checked);
}

static struct kc_error *remember(const struct question *q, bool is_known)
{
	struct kc_checked checked = { 0 };
	struct kc_error *err = describe(q, is_known, &checked);

	if (err) {
		kc_checked_clear(&checked);
		return err;
	}
	kc_checked_clear(&q->state->checked);
	q->state->checked = checked;
	/* a look at another feed says nothing about what this host should run */
	return q->ask->only_look && q->config->prefix_is_for_once ? NULL : kc_state_write(q->state);
}

char *kc_checked_origin(const struct kc_checked *checked)
{
	char *origin;

	return asprintf(&origin, "%s/%s %s", checked->root, checked->feed, checked->rules ? checked->rules : "") < 0
		       ? NULL
		       : origin;
}

/* ---- asking ---- */

/* A crash, or an import, of the file that was there before says nothing about this one. */
static struct kc_error *forget_other_build(struct kc_state *state, const struct kc_level *level)
{
	const struct kc_crash *crash = kc_state_find_crash(state, level);

	if (crash && strcmp(crash->level.hash, level->hash))
		kc_state_drop_crash(state, level);
	kc_state_drop_imported(state, level);
	return kc_state_write(state);
}

static struct kc_error *download(const struct question *q, const struct kc_target_entry *entry, struct kc_asked *asked)
{
	kc_autokeyring struct kc_keyring *authors = NULL;
	kc_autobuf struct kc_buf file = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	asked->level = level_of(q->state, entry);
	if (q->ask->only_look || (kc_level_file_hash(&asked->level, hash) && !strcmp(hash, entry->hash)))
		return NULL;
	KC_TRY(kc_agent_keyring_load(q->ctx, &authors));
	kc_notice(q->ask->options, "Downloading updates");
	KC_TRY(kc_remote_download(q->ctx, q->remote, entry, KC_PATCH_KERNEL, q->state->kernel_id, authors, &file,
				  NULL));
	asked->was_downloaded = true;
	KC_TRY(kc_cache_put(&asked->level, file.data, file.size));
	return forget_other_build(q->state, &asked->level);
}

static struct kc_error *read_list(struct question *q, bool *is_known)
{
	struct kc_error *err;
	char path[64];

	snprintf(path, sizeof(path), "kernel/%s", q->state->kernel_id);
	err = kc_remote_list(q->ctx, q->remote, path, &q->list);
	*is_known = !err;
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return NULL;
	}
	return err;
}

static struct kc_error *ask(struct question *q, struct kc_asked *asked)
{
	const struct kc_target_entry *entry;
	bool is_known;

	KC_TRY(kc_policy_read(q->ctx, q->config, q->ask->is_automatic, time(NULL), &q->policy));
	KC_TRY(kc_remote_open(q->ctx, q->config, q->ask->is_patient, &q->remote));
	KC_TRY(kc_remote_refresh(q->ctx, q->remote));
	KC_TRY(read_list(q, &is_known));
	KC_TRY(remember(q, is_known));
	if (q->ask->is_automatic) {
		q->policy.choice.leaves_out = has_crashed;
		q->policy.choice.data = q->state;
	}
	entry = kc_choice_pick(&q->list, NULL, &q->policy.choice);
	return entry ? download(q, entry, asked) : NULL;
}

struct kc_error *kc_ask_server(struct kc_ctx *ctx, const struct kc_config *config, const struct kc_ask *how,
			       struct kc_state *state, struct kc_asked *asked)
{
	struct question q = { .ctx = ctx, .config = config, .ask = how, .state = state };
	struct kc_error *err = ask(&q, asked);

	kc_remote_end(ctx, q.remote);
	kc_target_list_clear(&q.list);
	return err;
}
