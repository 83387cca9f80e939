/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parameters of a request as one: from the query, from a form, or from a JSON object. All of it comes from outside;
 * every getter checks what it hands out, and its KC_ERR_INPUT names the parameter. Texts belong to the args.
 */
#ifndef KC_PORTAL_API_ARGS_H
#define KC_PORTAL_API_ARGS_H

#include <jansson.h>

#include "portal/http/server.h"

struct kc_args {
	const struct kc_http_request *request;
	json_t *body;  /* an object: name -> text, or what JSON has; of a form, several texts are an array */
	json_t *query; /* what was taken from the query so far: keeps the texts */
};

enum {
	KC_ARGS_TEXT_MAX = 255,
	KC_ARGS_BODY_MAX = 256 << 10, /* of calls with parameters */
	KC_ARGS_VALUES_MAX = 1000,
};

/*
 * Reads the body. KC_ERR_INPUT: not what its Content-Type says, or names twice. The caller clears `args` either way.
 */
struct kc_error *kc_args_read(const struct kc_http_request *request, struct kc_args *args);
/* The query alone, for calls that only look. */
struct kc_error *kc_args_read_query(const struct kc_http_request *request, struct kc_args *args);
void kc_args_clear(struct kc_args *args);
/*
 * KC_ERR_REFUSED: a page of another site made a browser send it, which remembers the password of ours. For all calls
 * that change something.
 */
struct kc_error *kc_args_check_site(const struct kc_http_request *request);

bool kc_args_has(const struct kc_args *args, const char *name);
/* UTF-8 without control characters, of at most `max` bytes. `*text` is NULL when the parameter is not there. */
struct kc_error *kc_args_text(struct kc_args *args, const char *name, size_t max, const char **text);
/* The same, and it must be there, and not be empty. */
struct kc_error *kc_args_need_text(struct kc_args *args, const char *name, size_t max, const char **text);
/* true, yes, 1 or on, and their opposites. What is not there leaves `*flag` alone. */
struct kc_error *kc_args_flag(struct kc_args *args, const char *name, bool *flag);
/* A whole number; what is not there leaves `*number` alone. */
struct kc_error *kc_args_number(struct kc_args *args, const char *name, int64_t min, int64_t max, int64_t *number);
/*
 * A parameter that may come several times, or as an array. `*texts` is an array of texts of the args, valid until they
 * are cleared; NULL when there is none.
 */
struct kc_error *kc_args_texts(struct kc_args *args, const char *name, size_t max, json_t **texts);

#define KC_CLEANUP_ARGS KC_CLEANUP(kc_args_clear)

#endif
