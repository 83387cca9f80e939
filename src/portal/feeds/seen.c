/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/feeds/seen.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "sign/canonical.h"

#define DOCUMENT "kcare-upstream-1"

enum { SIZE_MAX_ = 16 << 20 };

static const struct {
	const char *feed, *channel;
} channels[KC_CHANNELS] = {
	[KC_CHANNEL_DEFAULT] = { "main", "default" },
	[KC_CHANNEL_TEST] = { "test", "test" },
	[KC_CHANNEL_UNSTABLE] = { "unstable", "unstable" },
};

unsigned kc_channel_find(const char *name)
{
	for (unsigned i = 0; name && i < KC_CHANNELS; i++)
		if (!strcmp(name, channels[i].channel))
			return i;
	return KC_CHANNEL_DEFAULT;
}

const char *kc_channel_name(unsigned channel)
{
	return channels[channel].channel;
}

void kc_seen_clear(struct kc_seen *seen)
{
	free(seen->patchsets);
	*seen = (struct kc_seen){ 0 };
}

/* ---- noting ---- */

/* NULL: out of memory. Entries in a row are of few patchsets. */
static struct kc_seen_patchset *find_or_add(struct kc_seen *seen, const char *name)
{
	struct kc_seen_patchset *patchset;

	for (size_t i = seen->n; i-- > 0;)
		if (!strcmp(seen->patchsets[i].name, name))
			return &seen->patchsets[i];
	patchset = kc_array_add(&seen->patchsets, &seen->n);
	if (patchset)
		snprintf(patchset->name, sizeof(patchset->name), "%s", name);
	return patchset;
}

struct kc_error *kc_seen_note(struct kc_seen *seen, const struct kc_target_list *list)
{
	unsigned channel = 0;

	while (channel < KC_CHANNELS && strcmp(list->feed, channels[channel].feed))
		channel++;
	for (size_t i = 0; channel < KC_CHANNELS && i < list->n_entries; i++) {
		struct kc_seen_patchset *patchset = find_or_add(seen, list->entries[i].patchset);

		if (!patchset)
			return kc_error_no_memory();
		patchset->in[channel].rollout = list->entries[i].rollout;
		patchset->in[channel].is_blocked |= list->entries[i].blocked;
	}
	return NULL;
}

unsigned kc_seen_channel(const struct kc_seen_patchset *patchset)
{
	unsigned channel = 0;

	while (channel + 1 < KC_CHANNELS && !patchset->in[channel].rollout)
		channel++;
	return channel;
}

void kc_seen_state_for(const struct kc_seen_patchset *patchset, unsigned channel, struct kc_seen_state *state)
{
	*state = (struct kc_seen_state){ 0 };
	for (unsigned i = 0; i <= channel; i++) {
		const struct kc_seen_state *its = &patchset->in[i];

		if (its->rollout > state->rollout)
			state->rollout = its->rollout;
		state->is_blocked |= its->rollout && its->is_blocked;
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct kc_seen_patchset *)a)->name, ((const struct kc_seen_patchset *)b)->name);
}

static void sort(struct kc_seen *seen)
{
	if (seen->n)
		qsort(seen->patchsets, seen->n, sizeof(*seen->patchsets), compare);
}

const struct kc_seen_patchset *kc_seen_find(const struct kc_seen *seen, const char *patchset)
{
	struct kc_seen_patchset wanted = { 0 };

	snprintf(wanted.name, sizeof(wanted.name), "%s", patchset);
	return seen->n ? bsearch(&wanted, seen->patchsets, seen->n, sizeof(wanted), compare) : NULL;
}

/* ---- on disk: {"document", "patchsets": {NAME: {CHANNEL: ROLLOUT, below 0 when blocked}}} ---- */

static json_t *patchset_to_json(const struct kc_seen_patchset *patchset)
{
	json_t *json = json_object();

	for (unsigned i = 0; i < KC_CHANNELS; i++) {
		json_int_t rollout = patchset->in[i].rollout;

		if (rollout && json_object_set_new(json, channels[i].channel,
						   json_integer(patchset->in[i].is_blocked ? -rollout : rollout))) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

struct kc_error *kc_seen_write(struct kc_seen *seen, const char *path)
{
	kc_autojson json_t *patchsets = json_object(), *json = NULL;
	kc_autofree char *text = NULL;
	int err;

	sort(seen);
	for (size_t i = 0; i < seen->n; i++)
		if (json_object_set_new(patchsets, seen->patchsets[i].name, patchset_to_json(&seen->patchsets[i])))
			return kc_error_no_memory();
	json = json_pack("{s:s, s:O}", "document", DOCUMENT, "patchsets", patchsets);
	text = json ? json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	if (!text)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, text, strlen(text), 0600);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

static bool read_patchset(const char *name, const json_t *json, struct kc_seen_patchset *patchset)
{
	snprintf(patchset->name, sizeof(patchset->name), "%s", name);
	for (unsigned i = 0; i < KC_CHANNELS; i++) {
		json_int_t rollout = json_integer_value(json_object_get(json, channels[i].channel));

		if (rollout < -KC_ROLLOUT_ALL || rollout > KC_ROLLOUT_ALL)
			return false;
		patchset->in[i].is_blocked = rollout < 0;
		patchset->in[i].rollout = (unsigned)(rollout < 0 ? -rollout : rollout);
	}
	return kc_patchset_name_is_valid(name);
}

static struct kc_error *read_all(const char *path, const struct kc_buf *text, struct kc_seen *seen)
{
	kc_autojson json_t *json = json_loadb(text->data, text->size, JSON_REJECT_DUPLICATES, NULL);
	const char *document, *name;
	json_t *patchsets, *patchset;

	if (!json || json_unpack(json, "{s:s, s:o}", "document", &document, "patchsets", &patchsets) ||
	    strcmp(document, DOCUMENT))
		return kc_error_new(KC_ERR_CORRUPT, "%s is damaged: remove it, and the next update writes it anew",
				    path);
	json_object_foreach(patchsets, name, patchset)
	{
		struct kc_seen_patchset *added = kc_array_add(&seen->patchsets, &seen->n);

		if (!added)
			return kc_error_no_memory();
		if (!read_patchset(name, patchset, added))
			return kc_error_new(KC_ERR_CORRUPT, "%s is damaged (%s)", path, name);
	}
	sort(seen);
	return NULL;
}

struct kc_error *kc_seen_read(const char *path, struct kc_seen *seen)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read_now(path, SIZE_MAX_, &text);

	if (err == -ENOENT || err == -ENOTDIR)
		return NULL;
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	return read_all(path, &text, seen);
}
