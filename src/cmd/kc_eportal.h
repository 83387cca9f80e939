/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The subcommands of kc.eportal, and how they ask the portal: over its Unix socket, as other programs ask over HTTP
 * (api/openapi.yaml). Only `init` works without a portal that runs; nothing here opens its database.
 */
#ifndef KC_CMD_KC_EPORTAL_H
#define KC_CMD_KC_EPORTAL_H

#include <stdbool.h>

#include <jansson.h>

#include "cmd/command.h"
#include "cmd/table.h"
#include "fetch/local.h"
#include "sign/canonical.h"

#define KC_EPORTAL_DIR "/var/lib/eportal"
#define KC_EPORTAL_SOCKET_ENV "KC_EPORTAL_SOCKET" /* --socket and --data set it for the rest of the run */

struct kc_error *kc_eportal_init_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_user_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_api_key_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_key_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_feed_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_patchset_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_unroll_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_download_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_server_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_doctor_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_backup_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_backup_db_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_restore_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *kc_eportal_audit_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);

/* ---- asking (kc_eportal_call.c) ---- */

/* Takes `body` (an object, or NULL). The caller owns `*answer`. */
struct kc_error *kc_eportal_ask(struct kc_ctx *ctx, const char *method, const char *target, json_t *body,
				json_t **answer);
/* The same where the last part of the path is a name. */
struct kc_error *kc_eportal_ask_named(struct kc_ctx *ctx, const char *method, const char *path, const char *name,
				      json_t *body, json_t **answer);
/* POST of a file. */
struct kc_error *kc_eportal_upload(struct kc_ctx *ctx, const char *target, const char *path, json_t **answer);
/* The answer as text, for what is not JSON. */
struct kc_error *kc_eportal_ask_text(struct kc_ctx *ctx, const char *target, struct kc_buf *text);
/* Appends "?name=value" or "&name=value"; NULL: nothing. */
void kc_eportal_query(struct kc_buf *target, const char *name, const char *value);

/* ---- showing ---- */

/* A member of an object as text; "" for null, numbers as digits; `buffer` is for those. */
const char *kc_eportal_text(const json_t *object, const char *member, char buffer[32]);
/* "result" as JSON, on stdout. */
struct kc_error *kc_eportal_print_json(const json_t *answer);
/* A table of "result" with the members of `members` as columns, under `names`; both NULL-terminated. */
struct kc_error *kc_eportal_print_table(const json_t *answer, const char *const *names, const char *const *members);
/*
 * Prints the answer's "message", or else `message`; when nothing has changed that is KC_ERR_NOTHING, with `unchanged`
 * or what the answer says.
 */
struct kc_error *kc_eportal_print_changed(const json_t *answer, const char *message, const char *unchanged);

/* Both of what GET `target` answers; as a table, or as JSON. */
struct kc_error *kc_eportal_list(struct kc_ctx *ctx, const char *target, bool as_json, const char *const *names,
				 const char *const *members);

/* ---- things that have a name: users, keys, feeds ---- */

struct kc_eportal_thing {
	const char *path;    /* "/admin/api/feeds/" */
	const char *member;  /* that is its name: "name" */
	const char *what;    /* "feed" */
	const char *removed; /* what else to say then: "; its keys follow main" */
};

/* What -a, -c, -d and -l ask for. */
enum kc_eportal_verb {
	KC_EPORTAL_LIST,
	KC_EPORTAL_ADD,
	KC_EPORTAL_CHANGE,
	KC_EPORTAL_REMOVE,
};
/* 'a', 'c', 'd', 'l'; false: another option. KC_ERR_USAGE when there was another of them before. */
bool kc_eportal_is_verb(int option);
struct kc_error *kc_eportal_set_verb(enum kc_eportal_verb *verb, int option);
/* KC_ERR_USAGE when something is set, and nothing is added or changed. */
struct kc_error *kc_eportal_check_sets(enum kc_eportal_verb verb, bool sets);
/* At most one argument behind the options; `verb`s other than list and `may_miss` need it. NULL: none, or "list". */
struct kc_error *kc_eportal_name_argument(int argc, char **argv, enum kc_eportal_verb verb, bool may_miss,
					  const char **name);
/* KC_ERR_EXISTS, KC_ERR_NOT_FOUND: what is there may be changed, not added; and the other way round. */
struct kc_error *kc_eportal_check(struct kc_ctx *ctx, const struct kc_eportal_thing *thing, enum kc_eportal_verb verb,
				  const char *name);
/* All of them, or the one that has `name`: as a table, or as JSON. KC_ERR_NOT_FOUND. */
struct kc_error *kc_eportal_show(struct kc_ctx *ctx, const struct kc_eportal_thing *thing, const char *name,
				 bool as_json, const char *const *names, const char *const *members);
/* Adds or changes it, with what `body` says, and tells. */
struct kc_error *kc_eportal_put(struct kc_ctx *ctx, const struct kc_eportal_thing *thing, enum kc_eportal_verb verb,
				const char *name, json_t *body);
/* KC_ERR_NOTHING: there is none. */
struct kc_error *kc_eportal_remove(struct kc_ctx *ctx, const struct kc_eportal_thing *thing, const char *name);
/* Takes `value`, as a member of the object `body`. */
struct kc_error *kc_eportal_set(json_t *body, const char *member, json_t *value);
/* Of two options, `both`, that say the opposite of each other. KC_ERR_USAGE when the other one was there. */
struct kc_error *kc_eportal_set_either(json_t *body, const char *member, bool value, const char *both);

/* PATH as the portal understands it: absolute (caller frees). */
struct kc_error *kc_eportal_absolute(const char *path, char **absolute);

#endif
