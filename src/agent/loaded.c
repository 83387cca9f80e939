/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/loaded.h"

#include <stdio.h>
#include <string.h>

#define MODULE_PREFIX "kcare_livepatch_"

void kc_loaded_type(const char *module, char type[KC_TYPE_SIZE])
{
	const char *name = strncmp(module, MODULE_PREFIX, strlen(MODULE_PREFIX)) ? "" : module + strlen(MODULE_PREFIX);
	size_t size = strcspn(name, "_");

	if (name[size] == '_' && size < KC_TYPE_SIZE)
		snprintf(type, KC_TYPE_SIZE, "%.*s", (int)size, name);
	else
		memcpy(type, "default", sizeof("default"));
}

struct kc_error *kc_loaded_read(struct kc_ctx *ctx, struct kc_loaded *loaded)
{
	kc_autofree struct kc_kernel_loaded *list = NULL;
	size_t n = 0;

	*loaded = (struct kc_loaded){ 0 };
	KC_TRY(kc_kernel_list(ctx, &list, &n));
	for (size_t i = 0; i < n; i++) {
		if (list[i].is_ours) {
			loaded->in_transition |= list[i].in_transition;
			loaded->is_forced |= list[i].is_forced;
		} else if (!loaded->other) {
			loaded->other = strdup(list[i].name);
			if (!loaded->other)
				return kc_error_no_memory();
		}
		if (list[i].is_ours && list[i].level) {
			loaded->level = list[i].level;
			kc_loaded_type(list[i].name, loaded->type);
		}
	}
	return NULL;
}

void kc_loaded_level(const struct kc_loaded *loaded, const struct kc_state *state, const char *kernel_id,
		     const char *boot_id, struct kc_level *level)
{
	const struct kc_applied *applied = &state->applied;

	*level = (struct kc_level){ .number = loaded->level };
	memcpy(level->kernel_id, kernel_id, sizeof(level->kernel_id));
	memcpy(level->type, loaded->type, sizeof(level->type));
	if (kc_level_is_same(&applied->level, level) && !strcmp(applied->boot_id, boot_id))
		*level = applied->level;
}

void kc_loaded_clear(struct kc_loaded *loaded)
{
	free(loaded->other);
	*loaded = (struct kc_loaded){ 0 };
}
