/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/http/connections.h"

#include <string.h>
#include <time.h>

struct kc_http_counted {
	struct kc_http_counted *next;
	struct kc_address address;
	unsigned n;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void kc_http_connections_init(struct kc_http_connections *table, unsigned most, unsigned most_per_address,
			      int64_t stall_ms)
{
	*table = (struct kc_http_connections){ .most = most,
					       .most_per_address = most_per_address,
					       .stall_ms = stall_ms };
	pthread_mutex_init(&table->lock, NULL);
}

void kc_http_connections_clear(struct kc_http_connections *table)
{
	pthread_mutex_destroy(&table->lock);
}

/* ---- addresses ---- */

static struct kc_http_counted **find(struct kc_http_connections *table, const struct kc_address *address)
{
	struct kc_http_counted **at;
	uint64_t parts[2];

	memcpy(parts, address->bytes, sizeof(parts));
	/* Fibonacci hashing; neighbours and the halves of IPv6 addresses must not meet */
	parts[0] = (parts[0] ^ (parts[1] >> 29) ^ (parts[1] << 17)) * 0x9e3779b97f4a7c15U;
	for (at = &table->buckets[parts[0] >> 52]; *at; at = &(*at)->next)
		if (kc_address_equals(&(*at)->address, address))
			break;
	return at;
}

/* The lock is held. NULL when out of memory. */
static struct kc_http_counted *count(struct kc_http_connections *table, const struct kc_address *address)
{
	struct kc_address counted = kc_address_to_count(address);
	struct kc_http_counted **at = find(table, &counted);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return NULL;
		(*at)->address = counted;
	}
	(*at)->n++;
	return *at;
}

static void forget(struct kc_http_connections *table, struct kc_http_counted *counted)
{
	struct kc_http_counted **at = find(table, &counted->address);

	if (--counted->n)
		return;
	*at = counted->next;
	free(counted);
}

bool kc_http_count_enter(struct kc_http_connections *table, const struct kc_address *address,
			 struct kc_http_counted **counted)
{
	pthread_mutex_lock(&table->lock);
	*counted = count(table, address);
	if (*counted && (*counted)->n > table->most_per_address) {
		forget(table, *counted);
		*counted = NULL;
	}
	pthread_mutex_unlock(&table->lock);
	return *counted;
}

void kc_http_count_leave(struct kc_http_connections *table, struct kc_http_counted *counted)
{
	pthread_mutex_lock(&table->lock);
	forget(table, counted);
	pthread_mutex_unlock(&table->lock);
}

/* ---- connections ---- */

bool kc_http_connections_admit(struct kc_http_connections *table, const struct kc_address *address, bool is_counted)
{
	struct kc_address counted = kc_address_to_count(address);
	struct kc_http_counted *found;
	bool fits;

	pthread_mutex_lock(&table->lock);
	found = is_counted ? *find(table, &counted) : NULL;
	fits = table->n < 2 * table->most && (!found || found->n < 2 * table->most_per_address);
	pthread_mutex_unlock(&table->lock);
	return fits;
}

struct kc_http_connection *kc_http_connection_open(struct kc_http_connections *table, int fd,
						   const struct kc_address *address, bool is_counted)
{
	struct kc_http_connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	connection->table = table;
	connection->fd = fd;
	kc_address_text(address, connection->address);
	kc_http_connection_enter(connection, KC_HTTP_WAITING, 0);
	pthread_mutex_lock(&table->lock);
	if (is_counted) {
		connection->counted = count(table, address);
		connection->is_over_address = !connection->counted || connection->counted->n > table->most_per_address;
	}
	connection->is_over = ++table->n > table->most;
	connection->next = table->first;
	if (table->first)
		table->first->previous = connection;
	table->first = connection;
	pthread_mutex_unlock(&table->lock);
	return connection;
}

void kc_http_connection_close(struct kc_http_connection *connection)
{
	struct kc_http_connections *table = connection->table;

	pthread_mutex_lock(&table->lock);
	if (connection->counted)
		forget(table, connection->counted);
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		table->first = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	table->n--;
	pthread_mutex_unlock(&table->lock);
	free(connection);
}

void kc_http_connection_enter(struct kc_http_connection *connection, enum kc_http_phase phase, uint64_t n_bytes)
{
	/* the phase is written last and read first: a sweep never judges a new phase by an old time */
	if (phase != (enum kc_http_phase)atomic_load_explicit(&connection->phase, memory_order_relaxed) ||
	    !atomic_load_explicit(&connection->since_ms, memory_order_relaxed))
		atomic_store_explicit(&connection->since_ms, now_ms(), memory_order_relaxed);
	atomic_store_explicit(&connection->n_bytes, n_bytes, memory_order_relaxed);
	atomic_store_explicit(&connection->phase, (int)phase, memory_order_release);
}

/* One byte each millisecond, and as long again as anything may stand still. */
static bool is_too_slow(const struct kc_http_connections *table, struct kc_http_connection *connection, int64_t now)
{
	int phase = atomic_load_explicit(&connection->phase, memory_order_acquire);
	int64_t since = atomic_load_explicit(&connection->since_ms, memory_order_relaxed);
	uint64_t n_bytes = atomic_load_explicit(&connection->n_bytes, memory_order_relaxed);

	return phase != KC_HTTP_HANDLING && now - since > 2 * table->stall_ms + (int64_t)n_bytes;
}

void kc_http_connections_sweep(struct kc_http_connections *table)
{
	int64_t now = now_ms();

	pthread_mutex_lock(&table->lock);
	/* the descriptor is closed only after the connection has left the list */
	for (struct kc_http_connection *c = table->first; c; c = c->next)
		if (is_too_slow(table, c, now))
			shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&table->lock);
}
