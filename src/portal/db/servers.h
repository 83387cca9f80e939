/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registered servers: who they are, and what they said last. Functions are for kc_db_read() and kc_db_write(). */
#ifndef KC_PORTAL_DB_SERVERS_H
#define KC_PORTAL_DB_SERVERS_H

#include "portal/db/db.h"
#include "proto/proto.h"
#include "sign/hash.h"

struct kc_server {
	char id[KC_SERVER_ID_SIZE];
	char *key, *hostname, *ip;
	char *machine_id, *instance;
	char secret_hash[KC_SHA256_TEXT_SIZE];
	char nonce[KC_NONCE_SIZE];	    /* of the next check-in; "": any, as after a restore */
	char previous_nonce[KC_NONCE_SIZE]; /* when our last answer was lost, this one comes again */
	int64_t registered, checked_in;	    /* Unix seconds; checked_in 0: never */
	int64_t updated;		    /* when level or effective version were another one for the last time */
	char *tags;			    /* of the portal's operator; those that the host reports are in `last` */
	char *feed;			    /* when read: last.feed, or, when that is "", the feed of its key */
	struct kc_checkin last;		    /* what it said; credentials and nonce are empty */
};

/* KC_ERR_EXISTS: its id, or its key, machine and instance. */
struct kc_error *kc_servers_add(struct kc_db_conn *conn, const struct kc_server *server);
/* The one that registered with these before, its id in `id`; KC_ERR_NOT_FOUND. */
struct kc_error *kc_servers_find(struct kc_db_conn *conn, const char *key, const char *machine_id, const char *instance,
				 char id[KC_SERVER_ID_SIZE]);
/* KC_ERR_UNKNOWN_SERVER. The caller clears `server` either way. */
struct kc_error *kc_servers_get(struct kc_db_conn *conn, const char *id, struct kc_server *server);
/*
 * What a check-in changes: nonces, ip, hostname, checked_in, updated, last; and a line of its history, unless it is
 * periodic and says what the one before said: of 100,000 servers that would be a gigabyte each week. A server has sixty
 * lines an hour at most. KC_ERR_UNKNOWN_SERVER.
 */
struct kc_error *kc_servers_check_in(struct kc_db_conn *conn, const struct kc_server *server);
struct kc_error *kc_servers_remove(struct kc_db_conn *conn, const char *id); /* KC_ERR_UNKNOWN_SERVER */
/* Those that were silent since before. */
struct kc_error *kc_servers_remove_silent(struct kc_db_conn *conn, int64_t since, int64_t *n_removed);
/* KC_ERR_UNKNOWN_SERVER. */
struct kc_error *kc_servers_set_tags(struct kc_db_conn *conn, const char *id, const char *tags);
/* After a restore: the next nonce of every server may be any. */
struct kc_error *kc_servers_forget_nonces(struct kc_db_conn *conn);

/* NULL or 0: does not matter. */
struct kc_server_filter {
	const char *hostname, *ip; /* may have '%' for any text; capitals count as small letters then */
	const char *id, *feed, *key;
	const char *tag; /* "env:prod", or "env" for any value of it; the operator's and the host's */
	/* Unix seconds, inclusive; one that never checked in has checked in at 0 */
	int64_t registered_from, registered_to, checked_in_from, checked_in_to, updated_from, updated_to;
	int64_t offset, limit; /* limit -1: all */
};
/* By registration. `each` may end it with an error. `server` is valid within the call. */
struct kc_error *kc_servers_each(struct kc_db_conn *conn, const struct kc_server_filter *filter,
				 struct kc_error *(*each)(void *data, const struct kc_server *server), void *data);
/* Without a look at offset and limit. */
struct kc_error *kc_servers_count(struct kc_db_conn *conn, const struct kc_server_filter *filter, int64_t *n);

/*
 * Servers that are the same to the choice of patches, counted: what monitoring and metrics need, however many there
 * are. `server` has key and feed, and in `last` feed, kernel_id, type, level, delay_s, sticky_before and pinned, and
 * nothing else. In particular no host_tag, by which each host would be a group of its own: while a patchset is rolled
 * out to some hosts only, a group does not say which.
 */
struct kc_server_group {
	struct kc_server server;
	int64_t n;
};
/* `key` NULL: of all keys. `active_since`: servers silent since before are left out; 0: none. */
struct kc_error *kc_servers_groups(struct kc_db_conn *conn, const char *key, int64_t active_since,
				   struct kc_error *(*each)(void *data, const struct kc_server_group *group),
				   void *data);
/*
 * Of a group, and of a key those that are silent, in no order. They have what the group has, or the key, and hostname,
 * ip and last.host_tag. `limit` -1: all.
 */
struct kc_error *kc_servers_of_group(struct kc_db_conn *conn, const struct kc_server_group *group, int64_t active_since,
				     int64_t limit,
				     struct kc_error *(*each)(void *data, const struct kc_server *server), void *data);
struct kc_error *kc_servers_silent(struct kc_db_conn *conn, const char *key, int64_t since, int64_t limit,
				   struct kc_error *(*each)(void *data, const struct kc_server *server), void *data);

/* ---- the history of check-ins ---- */

/* What a server said at `at`: event, release, effective_version, level, patchset, feed, last_error, nothing else. */
struct kc_checkin_line {
	int64_t at;
	struct kc_checkin checkin;
};
/* Newest first; the line is valid within the call. `limit` -1: all. */
struct kc_error *kc_checkins_each(struct kc_db_conn *conn, const char *id, int64_t limit,
				  struct kc_error *(*each)(void *data, const struct kc_checkin_line *line), void *data);
/* The oldest lines, of before that time; some thousand of them. `is_more`: call it again, in a write of its own. */
struct kc_error *kc_checkins_forget(struct kc_db_conn *conn, int64_t before, bool *is_more);

void kc_server_clear(struct kc_server *server);

#define KC_CLEANUP_SERVER KC_CLEANUP(kc_server_clear)

#endif
