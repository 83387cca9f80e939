/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { ANSWER_MAX = 1 << 20 };

static void fail(struct link *link, const char *why)
{
	link->state = LINK_FAILED;
	link->why = why;
}

/* ---- connecting ---- */

static bool start_tls(struct link *link, SSL_CTX *tls, const char *name)
{
	link->ssl = SSL_new(tls);
	return link->ssl && SSL_set_fd(link->ssl, link->fd) && SSL_set_tlsext_host_name(link->ssl, name) &&
	       SSL_set1_host(link->ssl, name);
}

bool link_open(struct link *link, const struct sockaddr_in *to, struct in_addr from, SSL_CTX *tls, const char *name)
{
	const struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr = from };
	const int on = 1;

	*link = (struct link){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
	/* the port is chosen by connect(2), so that there are enough for each address */
	if (link->fd < 0 || setsockopt(link->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ||
	    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    bind(link->fd, (const struct sockaddr *)&own, sizeof(own)) ||
	    (connect(link->fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS))
		fail(link, strerrorname_np(errno));
	else if (tls && !start_tls(link, tls, name))
		fail(link, "no TLS");
	return link->state != LINK_FAILED;
}

/* False: not yet, or never. */
static bool is_connected(struct link *link)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(int), peer_size = sizeof(peer);
	int err = 0;

	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &err, &size) || err) {
		fail(link, strerrorname_np(err));
		return false;
	}
	return !getpeername(link->fd, (struct sockaddr *)&peer, &peer_size);
}

static void shake_hands(struct link *link)
{
	int result = SSL_connect(link->ssl), err = SSL_get_error(link->ssl, result);

	if (result == 1)
		link->state = LINK_IDLE;
	else if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE)
		fail(link, SSL_get_verify_result(link->ssl) ? "certificate" : "handshake");
}

static void step_connect(struct link *link)
{
	link->is_connected = link->is_connected || is_connected(link);
	if (!link->is_connected || link->state == LINK_FAILED)
		return;
	if (link->ssl)
		shake_hands(link);
	else
		link->state = LINK_IDLE;
}

/* ---- asking ---- */

void link_ask(struct link *link)
{
	kc_buf_reset(&link->in);
	link->n_sent = 0;
	link->state = link->out.failed ? LINK_FAILED : LINK_ASKING;
}

/* > 0: so many bytes; 0: the end; -1: not now; -2: an error. */
static ssize_t result_of(const struct link *link, ssize_t result)
{
	int err;

	if (result > 0)
		return result;
	if (!link->ssl)
		return result == 0 ? 0 : errno == EAGAIN ? -1 : -2;
	err = SSL_get_error(link->ssl, (int)result);
	if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
		return -1;
	return err == SSL_ERROR_ZERO_RETURN ? 0 : -2;
}

/* True: all of it is sent. */
static bool send_request(struct link *link)
{
	while (link->n_sent < link->out.size) {
		const char *data = link->out.data + link->n_sent;
		size_t size = link->out.size - link->n_sent;
		ssize_t n = result_of(link, link->ssl ? SSL_write(link->ssl, data, (int)size)
						      : send(link->fd, data, size, MSG_NOSIGNAL));

		if (n == -1)
			return false;
		if (n <= 0) {
			fail(link, "sending");
			return false;
		}
		link->n_sent += (size_t)n;
	}
	return true;
}

static bool take_head(struct link *link, const char *end)
{
	const char *length = strcasestr(link->in.data, "\r\nContent-Length:");

	if (sscanf(link->in.data, "HTTP/1.1 %u", &link->status) != 1 || !length || length > end) {
		fail(link, "no HTTP, or an answer without a length");
		return false;
	}
	link->body = end + 4;
	link->body_size = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
	return true;
}

/* Is the answer complete? */
static void look_at_answer(struct link *link)
{
	const char *end = strstr(link->in.data, "\r\n\r\n");

	if (link->in.size > ANSWER_MAX)
		fail(link, "a large answer");
	if (!end || link->state == LINK_FAILED || !take_head(link, end))
		return;
	if (link->in.size >= (size_t)(link->body - link->in.data) + link->body_size)
		link->state = LINK_ANSWERED;
}

static void receive_answer(struct link *link)
{
	char piece[8192];

	while (link->state == LINK_ASKING) {
		ssize_t n = result_of(link, link->ssl ? SSL_read(link->ssl, piece, sizeof(piece))
						      : recv(link->fd, piece, sizeof(piece), 0));

		if (n == -1)
			return;
		if (n <= 0) {
			fail(link, n ? "receiving" : "the server closed the connection");
			return;
		}
		kc_buf_append(&link->in, piece, (size_t)n);
		if (link->in.failed)
			fail(link, "memory");
		else
			look_at_answer(link);
	}
}

void link_step(struct link *link)
{
	if (link->state == LINK_CONNECTING)
		step_connect(link);
	if (link->state == LINK_ASKING && send_request(link))
		receive_answer(link);
}

void link_close(struct link *link)
{
	if (link->ssl) {
		if (link->state != LINK_FAILED && link->state != LINK_CONNECTING)
			SSL_shutdown(link->ssl);
		SSL_free(link->ssl);
	}
	if (link->fd >= 0)
		close(link->fd);
	kc_buf_free(&link->out);
	kc_buf_free(&link->in);
	*link = (struct link){ .fd = -1 };
}
