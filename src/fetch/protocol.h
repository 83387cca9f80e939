/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What we and `kcare-fetch` say to each other, over a SOCK_SEQPACKET socketpair that is the helper's standard input.
 *
 * We send one kc_fetch_request and its texts, and the body of a POST in packets of its own. The helper answers with any
 * number of packets KC_FETCH_DATA, each with a piece of the body, and one KC_FETCH_END. Then comes the next request. It
 * gets no file of ours: whoever takes it over can send wrong bytes, as every server can, and never change what was
 * checked.
 *
 * Both sides are built together and run on one machine: structs as they lie in memory. An answer may come from an
 * attacker: kc_fetch_answer_decode() lets only those through that an honest helper could send.
 */
#ifndef KC_FETCH_PROTOCOL_H
#define KC_FETCH_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KC_FETCH_PROGRAM "kcare-fetch"

enum {
	KC_FETCH_SOCKET = 0,		  /* the descriptor that the helper talks over */
	KC_FETCH_VERSION = 0x6b630002,	  /* both sides are of the same build */
	KC_FETCH_TEXT_MAX = 8192,	  /* all texts of a request */
	KC_FETCH_DATA_MAX = 65536,	  /* bytes of a body in one packet */
	KC_FETCH_POST_MAX = 4096 << 10,	  /* bytes of the body that we send */
	KC_FETCH_MESSAGE_SIZE = 256,	  /* with '\0' */
	KC_FETCH_RETRY_AFTER_MAX_S = 120, /* the helper cuts longer ones */
};
#define KC_FETCH_TOTAL_UNKNOWN UINT64_MAX

/*
 * Four zero-terminated texts follow, in the order of enum kc_fetch_text, "" where there is nothing. For a POST, packets
 * with post_size bytes in all come behind it, each of KC_FETCH_DATA_MAX bytes but for the last.
 */
struct kc_fetch_request {
	uint32_t version;
	uint32_t connect_ms;
	uint32_t stall_ms;
	uint32_t total_ms;
	uint64_t offset; /* the first byte that is wanted; the server may answer with all */
	uint64_t limit;	 /* the end of the body lies here at most */
	uint32_t is_post;
	uint32_t post_size; /* 0 unless is_post */
};

enum kc_fetch_text {
	KC_FETCH_URL,
	KC_FETCH_PROXY,
	KC_FETCH_NO_PROXY,
	KC_FETCH_USER_AGENT,
	KC_FETCH_N_TEXTS,
};

enum kc_fetch_outcome {
	KC_FETCH_DONE,
	KC_FETCH_STATUS,    /* neither 200 nor 206; of a POST, the body came nevertheless */
	KC_FETCH_UNREACHED, /* no such host, refused, reset */
	KC_FETCH_UNTRUSTED, /* TLS: the certificate is not of that server, or nobody vouches for it */
	KC_FETCH_STALLED,
	KC_FETCH_TRUNCATED,
	KC_FETCH_REDIRECT,
	KC_FETCH_GARBAGE,   /* not HTTP */
	KC_FETCH_OVERLONG,  /* more than `limit` */
	KC_FETCH_BAD_RANGE, /* the server has no such part */
	KC_FETCH_BAD_URL,
	KC_FETCH_BROKEN, /* the helper itself cannot work */
	KC_FETCH_N_OUTCOMES,
};

enum kc_fetch_kind {
	KC_FETCH_DATA = 1,
	KC_FETCH_END = 2,
};

/* KC_FETCH_DATA: 1 to KC_FETCH_DATA_MAX bytes of the body follow. */
struct kc_fetch_data {
	uint32_t kind;
	uint32_t reserved; /* 0 */
	uint64_t offset;   /* where they belong */
	uint64_t total;	   /* of the whole body, or KC_FETCH_TOTAL_UNKNOWN */
};

struct kc_fetch_end {
	uint32_t kind;
	uint32_t outcome;
	uint32_t status;		     /* 0: none */
	uint32_t retry_after_s;		     /* 0: not said */
	uint32_t n_requests;		     /* with those behind redirects */
	uint32_t was_asked;		     /* 0 or 1; 0: the request did not leave this host */
	int64_t date;			     /* of the server, Unix seconds; 0: not said */
	char message[KC_FETCH_MESSAGE_SIZE]; /* printable ASCII, all zeros behind it */
};

/* One packet of the helper, checked. */
struct kc_fetch_answer {
	enum kc_fetch_kind kind;
	struct kc_fetch_data data;
	const uint8_t *bytes; /* into the packet */
	size_t n_bytes;
	struct kc_fetch_end end;
};

enum {
	KC_FETCH_REQUEST_MAX = sizeof(struct kc_fetch_request) + KC_FETCH_TEXT_MAX,
	KC_FETCH_ANSWER_MAX = sizeof(struct kc_fetch_data) + KC_FETCH_DATA_MAX,
};

/* Writes the request to `packet`, KC_FETCH_REQUEST_MAX bytes. Its size, or 0 when the texts are too long. */
size_t kc_fetch_request_encode(const struct kc_fetch_request *request, const char *const texts[KC_FETCH_N_TEXTS],
			       uint8_t *packet);
/* `texts` point into the packet. False: not a request of this version. */
bool kc_fetch_request_decode(const uint8_t *packet, size_t size, struct kc_fetch_request *request,
			     const char *texts[KC_FETCH_N_TEXTS]);
/* False: no honest helper sends this. */
bool kc_fetch_answer_decode(const uint8_t *packet, size_t size, struct kc_fetch_answer *answer);

#endif
