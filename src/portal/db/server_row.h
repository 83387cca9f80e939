/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row of `servers` as a struct: the one place that knows which column is which member. For servers*.c;
 * keys.c counts them.
 *
 * X(kind, column, member): CHARS is an array of char, TEXT an allocated text, UINT also an enum.
 */
#ifndef KC_PORTAL_DB_SERVER_ROW_H
#define KC_PORTAL_DB_SERVER_ROW_H

#include "portal/db/rows.h"
#include "portal/db/servers.h"

/* who it is, beside the id */
#define KC_SERVER_IDENTITY(X)              \
	X(TEXT, key_name, key)             \
	X(TEXT, machine_id, machine_id)    \
	X(TEXT, instance, instance)        \
	X(CHARS, secret_hash, secret_hash) \
	X(INT64, registered, registered)   \
	X(TEXT, tags, tags)

/* what changes now and then: columns with an index, which cost when they are written */
#define KC_SERVER_RARELY(X)                         \
	X(TEXT, hostname, hostname)                 \
	X(TEXT, ip, ip)                             \
	X(INT64, updated, updated)                  \
	X(TEXT, feed, last.feed)                    \
	X(TEXT, kernel_id, last.kernel_id)          \
	X(TEXT, type, last.type)                    \
	X(UINT, level, last.level)                  \
	X(INT64, delay_s, last.delay_s)             \
	X(INT64, sticky_before, last.sticky_before) \
	X(TEXT, pinned, last.pinned)

/* what may change with each check-in */
#define KC_SERVER_OFTEN(X)                                   \
	X(INT64, checked_in, checked_in)                     \
	X(CHARS, nonce, nonce)                               \
	X(CHARS, previous_nonce, previous_nonce)             \
	X(UINT, event, last.event)                           \
	X(TEXT, release, last.release)                       \
	X(TEXT, effective_version, last.effective_version)   \
	X(TEXT, patchset, last.patchset)                     \
	X(TEXT, host_tags, last.tags)                        \
	X(INT64, uptime_s, last.uptime_s)                    \
	X(TEXT, virtualization, last.virtualization)         \
	X(TEXT, distro, last.distro)                         \
	X(TEXT, distro_version, last.distro_version)         \
	X(TEXT, machine, last.machine)                       \
	X(TEXT, processor, last.processor)                   \
	X(TEXT, agent_version, last.agent_version)           \
	X(BOOL, libcare_is_enabled, last.libcare_is_enabled) \
	X(UINT, n_processes, last.n_processes)               \
	X(UINT, n_patched, last.n_patched)                   \
	X(TEXT, last_error, last.last_error)                 \
	X(TEXT, host_tag, last.host_tag)

/* all but the id, which comes first: so each of these follows a comma */
#define KC_SERVER_REST(X) KC_SERVER_IDENTITY(X) KC_SERVER_RARELY(X) KC_SERVER_OFTEN(X)

/* The feed that a server follows when it says none is that of its key. */
#define KC_SERVER_FEED "CASE WHEN s.feed = '' THEN COALESCE(k.feed, '') ELSE s.feed END"
#define KC_SERVER_COLUMN_(kind, column, member) ", s." #column
/* To be continued with a WHERE. */
#define KC_SERVER_SELECT                               \
	"SELECT s.id" KC_SERVER_REST(                  \
		KC_SERVER_COLUMN_) ", " KC_SERVER_FEED \
				   " FROM servers AS s LEFT JOIN activation_keys AS k ON k.name = s.key_name "

/*
 * Silent since before a time, which is given twice. With its key an index has them, servers_silent: "+ 0", so that it
 * is not one by registration, where nearly all are. Each server has a key (kc_keys_remove()), so those of all are found
 * by it, too.
 */
#define KC_SERVER_SILENT "checked_in < ? AND registered + 0 < ?"
#define KC_SERVER_HAS_KEY "key_name IN (SELECT name FROM activation_keys)"

enum { KC_SERVER_COLUMNS_MAX = 48 };

/* A struct for one row: its texts are the row's, valid until the next one, and not for kc_server_clear(). */
void kc_server_row_show(const struct kc_db_rows *rows, struct kc_server *server);
/* With texts of its own; `data` is an empty struct kc_server. */
struct kc_error *kc_server_row_read(const struct kc_db_rows *rows, void *data);

/* The values of these columns, in this order; returns how many. */
size_t kc_server_values_all(const struct kc_server *server, struct kc_db_value *values);
size_t kc_server_values_rarely(const struct kc_server *server, struct kc_db_value *values);
size_t kc_server_values_often(const struct kc_server *server, struct kc_db_value *values);

/* A line of the history for what `server` is about to say (checkins.c). */
struct kc_error *kc_checkins_add(struct kc_db_conn *conn, const struct kc_server *server);

#endif
