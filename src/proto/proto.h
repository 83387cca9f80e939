/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What agents and portals say to each other: for each message one struct, its encoder, its decoder, and its limits.
 * JSON objects, over HTTP (proto/paths.h); docs/portal-protocol.md.
 *
 * Both sides may be one version apart: unknown members are ignored, missing ones have the value of a zeroed struct
 * (texts: ""), except those that are marked "needed". Everything is bounded: a text that is longer than its limit, or
 * has control characters or invalid UTF-8, is KC_ERR_INPUT, which names the member; nothing is cut silently. A whole
 * message that is longer than its limit is KC_ERR_LIMIT. Encoders leave out what is empty, 0 or false.
 *
 * Decoders allocate all texts (never NULL after success); `…_clear()` frees them and zeroes the struct. The caller
 * clears either way.
 */
#ifndef KC_PROTO_PROTO_H
#define KC_PROTO_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum {
	KC_PROTO_REQUEST_MAX = 64 << 10, /* bytes of a request, but for the doctor's */
	KC_PROTO_ANSWER_MAX = 64 << 10,
	KC_PROTO_REPORT_MAX = 4 << 20, /* a doctor's report, as it is sent */
	KC_PROTO_TEXT_MAX = 255,       /* bytes of a text, if nothing else is said */
	KC_PROTO_ERROR_MAX = 1000,     /* of a last error */
	KC_PROTO_TAGS_MAX = 1000,
	KC_SERVER_ID_SIZE = 17, /* 16 of A-Z a-z 0-9, a letter first; with '\0' */
	KC_SECRET_SIZE = 65,	/* 64 hexadecimal digits */
	KC_NONCE_SIZE = 33,	/* 32 hexadecimal digits */
};

/*
 * NULL when it is a text of at most `limit` bytes, else what is wrong with it, for "NAME: …". `may_have_lines`:
 * newlines and tabs are allowed.
 */
const char *kc_text_problem(const char *text, size_t limit, bool may_have_lines);
/*
 * A copy that may be sent (caller frees; NULL when out of memory): what is no UTF-8, or would move a cursor, begin a
 * line or turn the direction of writing, becomes '?'; cut before the character that passes `limit` bytes.
 */
char *kc_plain_text(const char *text, size_t limit);

/* ---- who speaks ---- */

struct kc_credentials {
	char server_id[KC_SERVER_ID_SIZE]; /* needed */
	char secret[KC_SECRET_SIZE];	   /* needed */
};

bool kc_server_id_is_valid(const char *id);
struct kc_error *kc_credentials_encode(const struct kc_credentials *credentials, struct kc_buf *out);
struct kc_error *kc_credentials_decode(const char *text, size_t size, struct kc_credentials *credentials);
void kc_credentials_clear(struct kc_credentials *credentials); /* wipes them */

/* What a key says about all its servers; it comes with every answer. */
struct kc_key_terms {
	char *feed;			     /* what a host without a PREFIX of its own follows; "": main */
	char *sticky;			     /* STICKY_PATCH=KEY: "2026-11-20", "yesterday", or "" for none */
	int64_t ends;			     /* Unix seconds; 0: never */
	bool has_kernel, has_libs, has_qemu; /* products */
};

/* ---- register ---- */

struct kc_registration {
	char *key;	  /* needed */
	char *hostname;	  /* needed */
	char *machine_id; /* needed: a hash of the host's own, so that it stays private */
	char *instance;	  /* "" at first; told apart by this: clones, which have the same machine id */
	char *agent_version;
	char *virtualization; /* "none", "kvm", "docker", … */
	bool is_container;
};

struct kc_registered {
	struct kc_credentials credentials;
	char nonce[KC_NONCE_SIZE]; /* of the first check-in */
	struct kc_key_terms terms;
};

struct kc_error *kc_registration_encode(const struct kc_registration *registration, struct kc_buf *out);
struct kc_error *kc_registration_decode(const char *text, size_t size, struct kc_registration *registration);
void kc_registration_clear(struct kc_registration *registration);
struct kc_error *kc_registered_encode(const struct kc_registered *registered, struct kc_buf *out);
struct kc_error *kc_registered_decode(const char *text, size_t size, struct kc_registered *registered);
void kc_registered_clear(struct kc_registered *registered);

/* ---- check in ---- */

enum kc_checkin_event {			     /* when: the order of their names in messages */
			KC_CHECKIN_PERIODIC, /* "periodic": with an update run that changed nothing */
			KC_CHECKIN_BEFORE,   /* "before": a patch is about to be applied, or taken out */
			KC_CHECKIN_AFTER,    /* "after" */
			KC_CHECKIN_LATER,    /* "later": +1, +5, +15 minutes: it is alive */
			KC_CHECKIN_FAILED,   /* "failed": an update run ended with last_error */
};

struct kc_checkin {
	struct kc_credentials credentials;
	char nonce[KC_NONCE_SIZE]; /* of the answer before; "": lost */
	enum kc_checkin_event event;
	char *hostname;
	char *release;	 /* uname -r */
	char *kernel_id; /* 40 hexadecimal digits */
	char *effective_version;
	uint32_t level; /* in the kernel now; 0: none */
	char *type;	/* that the host is configured for: "default" */
	char *patchset; /* of that level */
	char *feed;	/* it follows */
	char *tags;	/* "env:prod;ubuntu" */
	int64_t uptime_s;
	char *virtualization, *distro, *distro_version, *machine, *processor;
	char *agent_version;
	bool libcare_is_enabled;
	uint32_t n_processes, n_patched; /* libcare: those that have an object we know patches for, and have them */
	char *last_error;		 /* at most KC_PROTO_ERROR_MAX; "": the last run was fine */
	/* by which rules it chooses; what the portal needs to say "up to date" of this host (repo/choice.h) */
	int64_t delay_s, sticky_before;
	char *pinned;	/* patchset pin */
	char *host_tag; /* what decides about rollouts */
};

struct kc_checkin_answer {
	char nonce[KC_NONCE_SIZE]; /* of the next check-in */
	struct kc_key_terms terms;
};

const char *kc_checkin_event_name(enum kc_checkin_event event);
struct kc_error *kc_checkin_encode(const struct kc_checkin *checkin, struct kc_buf *out);
struct kc_error *kc_checkin_decode(const char *text, size_t size, struct kc_checkin *checkin);
void kc_checkin_clear(struct kc_checkin *checkin);
struct kc_error *kc_checkin_answer_encode(const struct kc_checkin_answer *answer, struct kc_buf *out);
struct kc_error *kc_checkin_answer_decode(const char *text, size_t size, struct kc_checkin_answer *answer);
void kc_checkin_answer_clear(struct kc_checkin_answer *answer);

/* "name:value" or "name", separated by ';'. KC_ERR_INPUT says what is wrong with which tag. "" is fine. */
struct kc_error *kc_tags_check(const char *tags);

/* ---- licence ---- */

struct kc_licence_info {
	char *key;
	char *note;
	uint32_t n_servers, server_limit; /* limit 0: none */
	struct kc_key_terms terms;
};

struct kc_error *kc_licence_info_encode(const struct kc_licence_info *info, struct kc_buf *out);
struct kc_error *kc_licence_info_decode(const char *text, size_t size, struct kc_licence_info *info);
void kc_licence_info_clear(struct kc_licence_info *info);

/* ---- doctor ---- */

struct kc_doctor_report {
	struct kc_credentials credentials; /* may be empty: a host that cannot register has troubles, too */
	char *hostname;
	char *report; /* needed; newlines and tabs are allowed here, and only here */
};

struct kc_error *kc_doctor_report_encode(const struct kc_doctor_report *report, struct kc_buf *out);
struct kc_error *kc_doctor_report_decode(const char *text, size_t size, struct kc_doctor_report *report);
void kc_doctor_report_clear(struct kc_doctor_report *report);

/* ---- errors ---- */

/*
 * Every answer that is not 200 has {"error": NAME, "message": TEXT}; NAME is that of an error in base/error.h. The
 * decoder makes such an error again: of an unknown name, or of an answer that is none of ours, KC_ERR_SERVER.
 */
struct kc_error *kc_error_answer_encode(const struct kc_error *err, struct kc_buf *out);
struct kc_error *kc_error_answer_decode(unsigned status, const char *text, size_t size)
	__attribute__((returns_nonnull));

#define KC_CLEANUP_REGISTRATION KC_CLEANUP(kc_registration_clear)
#define KC_CLEANUP_REGISTERED KC_CLEANUP(kc_registered_clear)
#define KC_CLEANUP_CHECKIN KC_CLEANUP(kc_checkin_clear)
#define KC_CLEANUP_CHECKIN_ANSWER KC_CLEANUP(kc_checkin_answer_clear)
#define KC_CLEANUP_LICENCE_INFO KC_CLEANUP(kc_licence_info_clear)
#define KC_CLEANUP_DOCTOR_REPORT KC_CLEANUP(kc_doctor_report_clear)

#endif
