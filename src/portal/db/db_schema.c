/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables, as steps from each version to the next. Texts are never NULL, times are Unix seconds, flags 0 or 1.
 * Indices are for 100,000 servers: what each one is for stands beside it. A check-in that says nothing new touches the
 * row and servers_silent, and nothing else (servers.c).
 */
#include "portal/db/db_internal.h"

static const char first[] = "CREATE TABLE activation_keys ("
			    "name TEXT NOT NULL PRIMARY KEY,"
			    "note TEXT NOT NULL,"
			    "feed TEXT NOT NULL,"
			    "sticky TEXT NOT NULL,"
			    "addresses TEXT NOT NULL,"
			    "server_limit BIGINT NOT NULL,"
			    "products BIGINT NOT NULL,"
			    "created BIGINT NOT NULL,"
			    "ends BIGINT NOT NULL,"
			    "is_locked BIGINT NOT NULL);"

			    "CREATE TABLE servers ("
			    "id TEXT NOT NULL PRIMARY KEY,"
			    /* who it is */
			    "key_name TEXT NOT NULL,"
			    "machine_id TEXT NOT NULL,"
			    "instance TEXT NOT NULL,"
			    "secret_hash TEXT NOT NULL,"
			    "registered BIGINT NOT NULL,"
			    "tags TEXT NOT NULL,"
			    /* what changes now and then */
			    "hostname TEXT NOT NULL,"
			    "ip TEXT NOT NULL,"
			    "updated BIGINT NOT NULL,"
			    "feed TEXT NOT NULL,"
			    "kernel_id TEXT NOT NULL,"
			    "type TEXT NOT NULL,"
			    "level BIGINT NOT NULL,"
			    "delay_s BIGINT NOT NULL,"
			    "sticky_before BIGINT NOT NULL,"
			    "pinned TEXT NOT NULL,"
			    /* what may change with each check-in */
			    "checked_in BIGINT NOT NULL,"
			    "nonce TEXT NOT NULL,"
			    "previous_nonce TEXT NOT NULL,"
			    "event BIGINT NOT NULL,"
			    "release TEXT NOT NULL,"
			    "effective_version TEXT NOT NULL,"
			    "patchset TEXT NOT NULL,"
			    "host_tags TEXT NOT NULL,"
			    "uptime_s BIGINT NOT NULL,"
			    "virtualization TEXT NOT NULL,"
			    "distro TEXT NOT NULL,"
			    "distro_version TEXT NOT NULL,"
			    "machine TEXT NOT NULL,"
			    "processor TEXT NOT NULL,"
			    "agent_version TEXT NOT NULL,"
			    "libcare_is_enabled BIGINT NOT NULL,"
			    "n_processes BIGINT NOT NULL,"
			    "n_patched BIGINT NOT NULL,"
			    "last_error TEXT NOT NULL,"
			    "host_tag TEXT NOT NULL);"
			    /* the same machine registers again */
			    "CREATE UNIQUE INDEX servers_machine ON servers (key_name, machine_id, instance);"
			    /* lists, by registration: of all, of a key */
			    "CREATE INDEX servers_registered ON servers (registered, id);"
			    "CREATE INDEX servers_key ON servers (key_name, registered, id);"
			    /* filters */
			    "CREATE INDEX servers_hostname ON servers (hostname);"
			    "CREATE INDEX servers_ip ON servers (ip);"
			    "CREATE INDEX servers_feed ON servers (feed, registered, id);"
			    "CREATE INDEX servers_updated ON servers (updated);"
			    /* who is silent; the one index that each check-in changes */
			    "CREATE INDEX servers_checked_in ON servers (checked_in);"
			    /* groups, without a look at the rows */
			    "CREATE INDEX servers_group ON servers "
			    "(key_name, feed, kernel_id, type, level, delay_s, sticky_before, pinned);"

			    "CREATE TABLE checkins ("
			    "server_id TEXT NOT NULL,"
			    "at BIGINT NOT NULL,"
			    "event BIGINT NOT NULL,"
			    "release TEXT NOT NULL,"
			    "effective_version TEXT NOT NULL,"
			    "level BIGINT NOT NULL,"
			    "patchset TEXT NOT NULL,"
			    "feed TEXT NOT NULL,"
			    "last_error TEXT NOT NULL);"
			    "CREATE INDEX checkins_server ON checkins (server_id, at);"
			    /* what is too old */
			    "CREATE INDEX checkins_at ON checkins (at);"

			    "CREATE TABLE users ("
			    "name TEXT NOT NULL PRIMARY KEY,"
			    "note TEXT NOT NULL,"
			    "password TEXT NOT NULL,"
			    "is_admin BIGINT NOT NULL,"
			    "created BIGINT NOT NULL);"
			    "CREATE TABLE api_keys ("
			    "id TEXT NOT NULL PRIMARY KEY,"
			    "user_name TEXT NOT NULL,"
			    "note TEXT NOT NULL,"
			    "hash TEXT NOT NULL UNIQUE,"
			    "created BIGINT NOT NULL,"
			    "expires BIGINT NOT NULL);"

			    "CREATE TABLE audit ("
			    "id INTEGER PRIMARY KEY," /* their order */
			    "at BIGINT NOT NULL,"
			    "who TEXT NOT NULL,"
			    "address TEXT NOT NULL,"
			    "action TEXT NOT NULL,"
			    "object TEXT NOT NULL,"
			    "detail TEXT NOT NULL,"
			    "outcome TEXT NOT NULL);"
			    "CREATE INDEX audit_at ON audit (at);"

			    "CREATE TABLE arrivals ("
			    "patchset TEXT NOT NULL PRIMARY KEY,"
			    "channel TEXT NOT NULL,"
			    "distro TEXT NOT NULL,"
			    "source TEXT NOT NULL,"
			    "released BIGINT NOT NULL,"
			    "arrived BIGINT NOT NULL,"
			    "is_here BIGINT NOT NULL);";

/* who of a key is silent; the one index that each check-in changes */
static const char silent_by_key[] = "DROP INDEX servers_checked_in;"
				    "CREATE INDEX servers_silent ON servers (key_name, checked_in, registered);";

const char *const kc_db_schema[] = { first, silent_by_key };
const size_t kc_db_schema_size = KC_ARRAY_SIZE(kc_db_schema);
