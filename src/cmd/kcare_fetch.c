/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcare-fetch: downloads for kcarectl and kcare-repo, which start it and talk to it over its standard input
 * (fetch/protocol.h). It gives up every privilege before it talks to a server. Not for calling by hand.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fetch/sandbox.h"
#include "fetch/transfer.h"

static bool send_parts(struct iovec *parts, size_t n_parts)
{
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = n_parts };
	ssize_t sent;

	do
		sent = sendmsg(KC_FETCH_SOCKET, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

static bool send_data(void *unused, uint64_t offset, uint64_t total, const char *bytes, size_t n_bytes)
{
	struct kc_fetch_data data = { .kind = KC_FETCH_DATA, .offset = offset, .total = total };
	struct iovec parts[] = { { &data, sizeof(data) }, { (char *)bytes, n_bytes } };

	(void)unused;
	return send_parts(parts, 2);
}

/* Our parent is gone, or wants something else: it cannot always kill a process of another user. */
static bool is_over(void *unused)
{
	struct pollfd parent = { KC_FETCH_SOCKET, 0, 0 };

	(void)unused;
	return poll(&parent, 1, 0) > 0;
}

static bool send_end(struct kc_fetch_end *end)
{
	return send_parts(&(struct iovec){ end, sizeof(*end) }, 1);
}

static int send_broken(const char *message)
{
	struct kc_fetch_end end = { .kind = KC_FETCH_END };

	kc_fetch_end_set(&end, KC_FETCH_BROKEN, "%s", message);
	send_end(&end);
	return KC_EXIT_FAILED;
}

/* The body of a POST, packet by packet. False: our parent is gone, or sends something else. */
static bool receive_post(char *post, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = recv(KC_FETCH_SOCKET, post + at, size - at, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static int serve(struct kc_transfer *transfer)
{
	static uint8_t packet[KC_FETCH_REQUEST_MAX];
	static char post[KC_FETCH_POST_MAX];

	for (;;) {
		const char *texts[KC_FETCH_N_TEXTS];
		struct kc_fetch_request request;
		struct kc_fetch_end end;
		ssize_t size = recv(KC_FETCH_SOCKET, packet, sizeof(packet), 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			return KC_EXIT_DONE;
		if (!kc_fetch_request_decode(packet, (size_t)size, &request, texts))
			return send_broken("it is of another version than the program that started it");
		if (!receive_post(post, request.post_size))
			return KC_EXIT_DONE;
		kc_transfer_run(transfer, &request, texts, request.is_post ? post : NULL, send_data, is_over, NULL,
				&end);
		if (!send_end(&end))
			return KC_EXIT_DONE;
	}
}

static bool is_started_by_us(void)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return getsockopt(KC_FETCH_SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

static int run(void)
{
	kc_autoerror struct kc_error *err = kc_sandbox_enter();
	struct kc_transfer *transfer;

	if (err)
		return send_broken(kc_error_message(err));
	transfer = kc_transfer_new();
	return transfer ? serve(transfer) : send_broken("libcurl cannot be initialised");
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--version"))
		return puts(KC_FETCH_PROGRAM " (kcare) " KC_VERSION) < 0 || fflush(stdout) ? KC_EXIT_FAILED
											   : KC_EXIT_DONE;
	if (argc > 1 || !is_started_by_us()) {
		fputs(KC_FETCH_PROGRAM ": usage: kcarectl and kcare-repo start this program when they download; "
				       "it is not for calling by hand\n",
		      stderr);
		return KC_EXIT_USAGE;
	}
	/* without the work of libraries at exit, which nobody needs */
	_exit(run());
}
