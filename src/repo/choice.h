/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which patch of a target list this host should run: the newest level of its type that it may have. A pure function of
 * signed data and the host's own configuration; what is applied now is not its business (agent/step.h).
 */
#ifndef KC_REPO_CHOICE_H
#define KC_REPO_CHOICE_H

#include "repo/target_list.h"

struct kc_choice_policy {
	const char *type;      /* a target without any entry of it gets "default" */
	int64_t now;	       /* Unix seconds */
	int64_t delay_s;       /* leaves out what was released less than so long ago */
	int64_t before;	       /* leaves out what was released at this moment or later (sticky date); 0: nothing */
	const char *not_newer; /* patchset pin, "K20230908_02", for patchsets of its letter; "" or NULL: none */
	const char *host;      /* a name that stays: decides who is in a rollout of less than 100 per cent */
	/* What else is left out, such as levels that the host went down with; NULL: nothing. */
	bool (*leaves_out)(const void *data, const struct kc_target_entry *entry);
	const void *data;
};

/* `target`: a build-id; NULL for a kernel's list. NULL: the host should run none. Blocked entries are never chosen. */
const struct kc_target_entry *kc_choice_pick(const struct kc_target_list *list, const char *target,
					     const struct kc_choice_policy *policy);
/* What the list says of a level that is applied; NULL: it does not know it. */
const struct kc_target_entry *kc_choice_find(const struct kc_target_list *list, const char *target, const char *type,
					     uint32_t level);
/* The same host gets the same answer for a patchset, and stays in when the percentage grows. */
bool kc_choice_is_in_rollout(const char *host, const char *patchset, unsigned per_cent);

#endif
