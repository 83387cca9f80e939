/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "repo/choice.h"

#include <string.h>

#define DEFAULT_TYPE "default"

enum {
	PATCHSET_ORDER_SIZE = 12, /* "K20230908_02": what follows, "-qemu", says nothing about the order */
	PER_CENT_MAX = 100,
};

static bool is_for(const struct kc_target_entry *entry, const char *target)
{
	return !target ? !entry->target : entry->target && !strcmp(entry->target, target);
}

static bool has_type(const struct kc_target_list *list, const char *target, const char *type)
{
	for (size_t i = 0; i < list->n_entries; i++)
		if (is_for(&list->entries[i], target) && !strcmp(list->entries[i].type, type))
			return true;
	return false;
}

static bool is_newer_than_pin(const char *patchset, const char *pin)
{
	return pin && *pin && *patchset == *pin && strncmp(patchset, pin, PATCHSET_ORDER_SIZE) > 0;
}

bool kc_choice_is_in_rollout(const char *host, const char *patchset, unsigned per_cent)
{
	uint8_t hash[KC_SHA256_SIZE];
	kc_autobuf struct kc_buf text = { 0 };

	if (per_cent >= PER_CENT_MAX)
		return true;
	kc_buf_printf(&text, "%s %s", host ? host : "", patchset);
	if (text.failed)
		return false;
	kc_sha256(text.data, text.size, hash);
	return (((unsigned)hash[0] << 24 | hash[1] << 16 | hash[2] << 8 | hash[3]) % PER_CENT_MAX) < per_cent;
}

static bool may_have(const struct kc_target_entry *entry, const struct kc_choice_policy *policy)
{
	return !entry->blocked && entry->released <= policy->now - policy->delay_s &&
	       (!policy->before || entry->released < policy->before) &&
	       !is_newer_than_pin(entry->patchset, policy->not_newer) &&
	       kc_choice_is_in_rollout(policy->host, entry->patchset, entry->rollout) &&
	       !(policy->leaves_out && policy->leaves_out(policy->data, entry));
}

/* Of one level there is one entry, unless somebody built it again: then the newer build. */
static bool is_better(const struct kc_target_entry *entry, const struct kc_target_entry *best)
{
	if (!best || entry->level != best->level)
		return !best || entry->level > best->level;
	if (entry->released != best->released)
		return entry->released > best->released;
	return strcmp(entry->patchset, best->patchset) > 0;
}

const struct kc_target_entry *kc_choice_pick(const struct kc_target_list *list, const char *target,
					     const struct kc_choice_policy *policy)
{
	const char *type = has_type(list, target, policy->type) ? policy->type : DEFAULT_TYPE;
	const struct kc_target_entry *best = NULL;

	for (size_t i = 0; i < list->n_entries; i++) {
		const struct kc_target_entry *entry = &list->entries[i];

		if (is_for(entry, target) && !strcmp(entry->type, type) && may_have(entry, policy) &&
		    is_better(entry, best))
			best = entry;
	}
	return best;
}

const struct kc_target_entry *kc_choice_find(const struct kc_target_list *list, const char *target, const char *type,
					     uint32_t level)
{
	for (size_t i = 0; i < list->n_entries; i++) {
		const struct kc_target_entry *entry = &list->entries[i];

		if (is_for(entry, target) && entry->level == level && !strcmp(entry->type, type))
			return entry;
	}
	return NULL;
}
