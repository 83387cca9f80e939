/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bodies of HTML forms, as JSON objects: name -> text; what comes several times is an array. Private to args.c. */
#ifndef KC_PORTAL_API_ARGS_FORM_H
#define KC_PORTAL_API_ARGS_FORM_H

#include <jansson.h>

#include "base/error.h"

/* application/x-www-form-urlencoded. KC_ERR_INPUT. The caller owns `*form`, also after an error. */
struct kc_error *kc_form_read(const char *text, size_t size, json_t **form);
/* multipart/form-data with texts, as curl -F sends it; `type` is the Content-Type. A part that is a file is refused. */
struct kc_error *kc_form_read_parts(const char *type, const char *text, size_t size, json_t **form);

#endif
