/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The step from the level that is in to the level that was chosen. Pure. What it makes sure of: nothing that the
 * network says lowers a level, but a signed block; an administrator who asks for it gets what he configured.
 */
#ifndef KC_AGENT_STEP_H
#define KC_AGENT_STEP_H

#include <stdbool.h>
#include <stdint.h>

struct kc_step_facts {
	uint32_t level;	  /* that is in; 0: none */
	const char *type; /* of it */
	bool is_blocked;  /* it must go */
	uint32_t chosen;  /* 0: the host should have none */
	const char *chosen_type;
	const char *wanted_type; /* the configured one; chosen is "default" where there is none of it */
	bool is_explicit;	 /* an administrator asked for an update */
	bool choice_changed;	 /* server, feed, type, sticky date, pin or delay are others than when it was loaded */
};

enum kc_step {
	KC_STEP_NONE,	   /* it is what was chosen, or there is nothing */
	KC_STEP_KEEP,	   /* what is in is higher, or of a type that the feed has no more, or nothing was chosen */
	KC_STEP_ASK,	   /* the same, and an explicit update would lower it */
	KC_STEP_UP,	   /* load the chosen one; of another type, too */
	KC_STEP_LOWER,	   /* load the chosen one, which is lower: the configuration changed … */
	KC_STEP_FALL_BACK, /* … or the level is blocked */
	KC_STEP_UNLOAD,	   /* it is blocked, and there is no other */
};

enum kc_step kc_step_decide(const struct kc_step_facts *facts);

#endif
