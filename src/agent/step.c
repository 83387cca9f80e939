/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/step.h"

#include <string.h>

enum kc_step kc_step_decide(const struct kc_step_facts *facts)
{
	bool is_same_type = facts->level && facts->chosen && !strcmp(facts->type, facts->chosen_type);

	if (!facts->level)
		return facts->chosen ? KC_STEP_UP : KC_STEP_NONE;
	if (!facts->chosen)
		return facts->is_blocked ? KC_STEP_UNLOAD : KC_STEP_KEEP;
	if (!is_same_type && facts->is_blocked)
		return KC_STEP_FALL_BACK;
	/* of the wanted type already: a feed that has no more of it takes nothing away, as it lowers no level */
	if (is_same_type ? facts->chosen > facts->level : strcmp(facts->type, facts->wanted_type) != 0)
		return KC_STEP_UP;
	if (facts->is_blocked) /* a blocked level that was chosen nevertheless is another build of it */
		return facts->chosen < facts->level ? KC_STEP_FALL_BACK : KC_STEP_NONE;
	if (is_same_type && facts->chosen == facts->level)
		return KC_STEP_NONE;
	if (!facts->choice_changed)
		return KC_STEP_KEEP;
	return facts->is_explicit ? KC_STEP_LOWER : KC_STEP_ASK;
}
