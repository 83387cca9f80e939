/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Members of the agent's JSON files; private to this room. */
#ifndef KC_AGENT_STATE_JSON_H
#define KC_AGENT_STATE_JSON_H

#include <jansson.h>

#include "agent/state.h"

KC_DEFINE_CLEANUP(kc_cleanup_agent_json, json_t *, json_decref)
#define kc_autoagentjson KC_CLEANUP(kc_cleanup_agent_json)

/* Parses `text` and checks its member "document". KC_ERR_CORRUPT says to remove the file, and what is lost by that. */
struct kc_error *kc_agent_json_load(const char *name, const char *text, size_t size, const char *document,
				    json_t **json);
struct kc_error *kc_agent_json_damaged(const char *name, const char *what);
/* Writes `json` to a file below KCARE_ROOT. NULL: out of memory. */
struct kc_error *kc_agent_json_write(const char *fixed, const json_t *json);

/* {kernel_id, type, level, hash} as members of `json`; false when a value is missing or makes no sense. */
bool kc_level_read(const json_t *json, struct kc_level *level);
/* The same of {kernel_id, type} alone. */
bool kc_kernel_and_type_read(const json_t *json, struct kc_level *level);
/* 0 or -1, as jansson has it. */
int kc_level_set(json_t *json, const struct kc_level *level);
/* A string of at most `size` - 1 characters. */
bool kc_agent_json_copy(const json_t *json, const char *key, char *text, size_t size);

#endif
