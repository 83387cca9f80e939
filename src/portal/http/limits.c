/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/http/limits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/random.h"
#include "sign/hash.h"

enum {
	PLACES = 4096, /* of each kind */
	WAYS = 8,      /* places where one name can be */
	KNOWN_S = 30 * 86400,
	SALT_SIZE = 32,
};

/* A name, told by its hash. */
struct place {
	uint64_t name;
	int64_t since; /* of the first one that counts; when it was right last */
	unsigned n;    /* 0: free */
};

struct kc_limits {
	uint8_t salt[SALT_SIZE];
	pthread_mutex_t mutex; /* of what follows */
	struct place failed[KC_LIMIT_KINDS][PLACES], known[PLACES];
};

/* With the salt of this process: nobody can choose names that meet in one place. */
static uint64_t hash_of(const struct kc_limits *limits, const char *a, const char *b)
{
	kc_autobuf struct kc_buf text = { 0 };
	uint8_t hash[KC_SHA256_SIZE] = { 0 };
	uint64_t value;

	kc_buf_append(&text, limits->salt, sizeof(limits->salt));
	kc_buf_append(&text, a, strlen(a) + 1);
	kc_buf_append(&text, b, strlen(b) + 1);
	if (!text.failed)
		kc_sha256(text.data, text.size, hash);
	memcpy(&value, hash, sizeof(value));
	return value;
}

static bool is_free(const struct place *place, int64_t now, int64_t window_s)
{
	return !place->n || now - place->since >= window_s;
}

/* Would `a` be given up before `b`? */
static bool is_worth_less(const struct place *a, const struct place *b, int64_t now, int64_t window_s)
{
	unsigned n_a = is_free(a, now, window_s) ? 0 : a->n, n_b = is_free(b, now, window_s) ? 0 : b->n;

	return n_a != n_b ? n_a < n_b : a->since < b->since;
}

/* NULL: it is not there; then `*least` is the place that it could have. */
static struct place *find(struct place *places, uint64_t name, int64_t now, int64_t window_s, struct place **least)
{
	*least = NULL;
	for (size_t i = 0; i < WAYS; i++) {
		struct place *place = &places[(name + i) % PLACES];

		if (place->name == name && !is_free(place, now, window_s))
			return place;
		if (!*least || is_worth_less(place, *least, now, window_s))
			*least = place;
	}
	return NULL;
}

static unsigned most_of(enum kc_limit_kind kind)
{
	switch (kind) {
	case KC_LIMIT_REGISTRATIONS:
		return KC_LIMIT_REGISTRATIONS_MAX;
	case KC_LIMIT_CHECKINS:
		return KC_LIMIT_CHECKINS_MAX;
	default:
		return KC_LIMIT_FAILURES;
	}
}

bool kc_limits_is_over(struct kc_limits *limits, enum kc_limit_kind kind, const char *name, int64_t now)
{
	uint64_t hash = hash_of(limits, name, "");
	struct place *place, *least;
	bool is_over;

	pthread_mutex_lock(&limits->mutex);
	place = find(limits->failed[kind], hash, now, KC_LIMIT_WINDOW_S, &least);
	is_over = place && place->n >= most_of(kind);
	pthread_mutex_unlock(&limits->mutex);
	return is_over;
}

void kc_limits_count(struct kc_limits *limits, enum kc_limit_kind kind, const char *name, int64_t now)
{
	uint64_t hash = hash_of(limits, name, "");
	struct place *place, *least;

	pthread_mutex_lock(&limits->mutex);
	place = find(limits->failed[kind], hash, now, KC_LIMIT_WINDOW_S, &least);
	if (!place)
		*least = (struct place){ hash, now, 1 };
	else if (place->n < most_of(kind))
		place->n++;
	pthread_mutex_unlock(&limits->mutex);
}

void kc_limits_know(struct kc_limits *limits, const char *account, const char *address, int64_t now)
{
	uint64_t hash = hash_of(limits, account, address);
	struct place *place, *least;

	pthread_mutex_lock(&limits->mutex);
	place = find(limits->known, hash, now, KNOWN_S, &least);
	*(place ? place : least) = (struct place){ hash, now, 1 };
	pthread_mutex_unlock(&limits->mutex);
}

bool kc_limits_is_known(struct kc_limits *limits, const char *account, const char *address, int64_t now)
{
	uint64_t hash = hash_of(limits, account, address);
	struct place *least;
	bool is_known;

	pthread_mutex_lock(&limits->mutex);
	is_known = find(limits->known, hash, now, KNOWN_S, &least);
	pthread_mutex_unlock(&limits->mutex);
	return is_known;
}

struct kc_error *kc_limits_new(struct kc_limits **limits)
{
	struct kc_limits *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return kc_error_no_memory();
	err = kc_random_bytes(made->salt, sizeof(made->salt));
	if (err) {
		free(made);
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make a salt");
	}
	pthread_mutex_init(&made->mutex, NULL);
	*limits = made;
	return NULL;
}

void kc_limits_free(struct kc_limits *limits)
{
	if (!limits)
		return;
	pthread_mutex_destroy(&limits->mutex);
	free(limits);
}
