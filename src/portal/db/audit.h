/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who did what, and when. Every change by a user, a key's holder or the portal itself writes one line, with its
 * outcome. */
#ifndef KC_PORTAL_DB_AUDIT_H
#define KC_PORTAL_DB_AUDIT_H

#include "portal/db/db.h"

struct kc_audit_line {
	int64_t at;    /* Unix seconds */
	char *who;     /* user, "local", "server:ID", "eportald" */
	char *address; /* "" for the portal itself */
	char *action;  /* "patchset deploy", "key add", "server register" */
	char *object;  /* "K20261123_01" */
	char *detail;  /* "feed=test" */
	char *outcome; /* "ok", or an error's name */
};

/* `at` 0: now. */
struct kc_error *kc_audit_add(struct kc_db_conn *conn, const struct kc_audit_line *line);
/* Newest first; the line is valid within the call. `limit` -1: all. */
struct kc_error *kc_audit_each(struct kc_db_conn *conn, int64_t offset, int64_t limit,
			       struct kc_error *(*each)(void *data, const struct kc_audit_line *line), void *data);
/* The oldest lines, of before that time; some thousand of them. `is_more`: call it again, in a write of its own. */
struct kc_error *kc_audit_forget(struct kc_db_conn *conn, int64_t before, bool *is_more);

#endif
