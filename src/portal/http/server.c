/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/array.h"
#include "portal/http/http_internal.h"

/*
 * Hosts come for a few small answers, so the handshake is nearly all that TLS costs. SHA-256 has instructions of its
 * own; SHA-384, which goes with AES-256, has none, and clients would prefer that: the order is ours.
 */
#define TLS_PRIORITIES                                                                                                 \
	"NORMAL:-VERS-TLS1.0:-VERS-TLS1.1:%SERVER_PRECEDENCE:-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM" \
	":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"

enum {
	BACKLOG = 4096, /* the kernel takes net.core.somaxconn when that is less */
	CONNECTION_MEMORY = 32 << 10,
	/* Of the socket: those who may use it are few. */
	SOCKET_CONNECTIONS = 64,
	LAST_ANSWERS_MS = 10000,
	STOP_STEP_MS = 2,
};

/* ---- connections come and go ---- */

bool kc_http_is_trusted(const struct kc_http_server *server, const struct kc_address *address)
{
	for (size_t i = 0; i < server->n_trusted; i++)
		if (kc_network_has(&server->trusted[i], address))
			return true;
	return false;
}

/* Proxies come for many; and who is on this host already need not be kept away. */
static bool is_counted(const struct kc_http_server *server, const struct kc_address *address)
{
	return !kc_address_is_loopback(address) && !kc_http_is_trusted(server, address);
}

static enum MHD_Result on_accept(void *data, const struct sockaddr *socket_address, socklen_t size)
{
	struct kc_http_listener *listener = data;
	struct kc_address address;

	(void)size;
	if (listener->is_socket)
		return MHD_YES;
	kc_address_of(socket_address, &address);
	return kc_http_connections_admit(&listener->server->connections, &address,
					 is_counted(listener->server, &address))
		       ? MHD_YES
		       : MHD_NO;
}

static bool is_ours(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && (peer.uid == 0 || peer.uid == geteuid());
}

static struct kc_http_connection *open_connection(struct kc_http_listener *listener, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	const union MHD_ConnectionInfo *peer = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct kc_http_server *server = listener->server;
	struct kc_http_connection *connection;
	struct kc_address address;

	kc_address_of(peer->client_addr, &address);
	connection = kc_http_connection_open(&server->connections, fd->connect_fd, &address,
					     !listener->is_socket && is_counted(server, &address));
	if (!connection)
		return NULL;
	connection->owner = server;
	if (listener->is_socket) {
		snprintf(connection->address, sizeof(connection->address), "local");
		connection->is_socket = true;
		connection->is_local = is_ours(fd->connect_fd);
		connection->is_over = false;
	} else {
		connection->is_trusted = kc_http_is_trusted(server, &address);
	}
	return connection;
}

static void on_connection(void *data, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct kc_http_connection *connection = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = open_connection(data, mhd);
		return;
	}
	*context = NULL;
	if (connection)
		kc_http_connection_close(connection);
}

static void *sweep(void *data)
{
	struct kc_http_server *server = data;
	int64_t step_ms = server->connections.stall_ms / 4;
	struct timespec until;

	pthread_mutex_lock(&server->lock);
	while (!server->has_ended) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += step_ms % 1000 * 1000000;
		until.tv_sec += step_ms / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&server->ended, &server->lock, &until);
		kc_http_connections_sweep(&server->connections);
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

/* ---- what libmicrohttpd is told ---- */

/* "%00" must not end a path or a value early: it becomes a character that no path may have, and no name has. */
static size_t unescape(void *data, struct MHD_Connection *mhd, char *text)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *high, *low;
	char *to = text;

	(void)data;
	(void)mhd;
	for (const char *from = text; *from; from++, to++) {
		high = *from == '%' && from[1] ? strchr(digits, from[1]) : NULL;
		low = high && from[2] ? strchr(digits, from[2]) : NULL;
		*to = *from;
		if (!low)
			continue;
		*to = (char)((high - digits) % 16 << 4 | (low - digits) % 16);
		if (!*to)
			*to = '\1';
		from += 2;
	}
	*to = '\0';
	return (size_t)(to - text);
}

/* libmicrohttpd takes over `fd`. */
static struct kc_error *start_daemon(struct kc_http_listener *listener, int fd, unsigned threads, unsigned connections)
{
	struct kc_http_server *server = listener->server;
	bool has_tls = server->tls && !listener->is_socket;
	/*
	 * With epoll libmicrohttpd (0.9.75) never sleeps while a handshake waits for its client: it asks gnutls again
	 * and again.
	 */
	unsigned flags = MHD_ALLOW_SUSPEND_RESUME |
			 (has_tls ? MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_TLS : MHD_USE_EPOLL_INTERNAL_THREAD);
	struct MHD_OptionItem more[4] = { { MHD_OPTION_END, 0, NULL } };
	size_t n = 0;

	if (threads > 1)
		more[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL };
	if (has_tls) {
		more[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
						     (void *)(uintptr_t)kc_http_tls_retrieve };
		more[n++] =
			(struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES };
	}
	more[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	listener->daemon =
		MHD_start_daemon(flags, 0, on_accept, listener, kc_http_on_request, listener, MHD_OPTION_LISTEN_SOCKET,
				 fd, MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				 (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
				 (unsigned)(server->connections.stall_ms / 1000), MHD_OPTION_STRICT_FOR_CLIENT, 1,
				 MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener, MHD_OPTION_NOTIFY_COMPLETED,
				 kc_http_on_completed, listener, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
				 MHD_OPTION_ARRAY, more, MHD_OPTION_END);
	return listener->daemon ? NULL : kc_error_errno(KC_ERR_SYSTEM, errno, "cannot start the HTTP server");
}

/* ---- listeners ---- */

static struct kc_error *listen_tcp(struct kc_http_server *server)
{
	const char *where = server->options.listen;
	struct sockaddr_storage address;
	kc_autoclose int fd = -1;
	const int on = 1, off = 0;
	socklen_t size;

	KC_TRY(kc_listen_parse(where, &address, &size));
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot listen at %s", where);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)); /* "[::]" is for everybody */
	if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, BACKLOG) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot listen at %s", where);
	server->port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
							   : ((struct sockaddr_in *)&address)->sin_port);
	/* ours is the limit that tells clients; that of libmicrohttpd is for each thread, and lets them wait */
	return start_daemon(&server->tcp, kc_steal_fd(&fd), server->options.threads,
			    2 * server->options.connections + server->options.threads);
}

static struct kc_error *listen_socket(struct kc_http_server *server)
{
	const char *path = server->options.socket;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	kc_autoclose int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return kc_error_new(KC_ERR_CONFIG, "the path of a socket has %zu characters at most, not as many as %s",
				    sizeof(address.sun_path) - 1, path);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot listen at %s", path);
	/* of a portal that was killed; that there is no other one at work is known already */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(path, 0600) || listen(fd, BACKLOG))
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot listen at %s", path);
	return start_daemon(&server->unix_socket, kc_steal_fd(&fd), 1, SOCKET_CONNECTIONS);
}

/* ---- start and stop ---- */

static struct kc_error *copy_text(const char **text, char **copy)
{
	if (!*text || !**text) {
		*text = NULL;
		return NULL;
	}
	*text = *copy = strdup(*text);
	return *copy ? NULL : kc_error_no_memory();
}

static struct kc_error *copy_options(struct kc_http_server *server)
{
	struct kc_http_options *options = &server->options;

	KC_TRY(kc_networks_parse(options->trusted_proxies ? options->trusted_proxies : "", &server->trusted,
				 &server->n_trusted));
	options->trusted_proxies = NULL;
	KC_TRY(copy_text(&options->listen, &server->listen));
	KC_TRY(copy_text(&options->socket, &server->socket));
	KC_TRY(copy_text(&options->spool_dir, &server->spool_dir));
	KC_TRY(copy_text(&options->tls_certificate, &server->tls_certificate));
	KC_TRY(copy_text(&options->tls_key, &server->tls_key));
	if (!options->threads)
		options->threads = 1;
	if (!options->answers_max)
		options->answers_max = (uint64_t)KC_HTTP_ANSWERS_MIB_MAX << 20;
	return NULL;
}

static struct kc_error *prepare_no_memory(struct kc_http_server *server)
{
	struct kc_http_answer answer = { .status = MHD_HTTP_INTERNAL_SERVER_ERROR };

	kc_buf_printf(&answer.body, "{\"error\":\"%s\",\"message\":\"%s\"}", kc_error_code_name(KC_ERR_NO_MEMORY),
		      kc_error_code_text(KC_ERR_NO_MEMORY));
	return kc_http_prepare(&answer, &server->no_memory);
}

static struct kc_error *start_sweeper(struct kc_http_server *server)
{
	int err = pthread_create(&server->sweeper, NULL, sweep, server);

	server->has_sweeper = !err;
	return err ? kc_error_errno(KC_ERR_SYSTEM, err, "cannot start a thread") : NULL;
}

static struct kc_error *start(struct kc_http_server *server)
{
	KC_TRY(copy_options(server));
	KC_TRY(prepare_no_memory(server));
	if (server->tls_certificate || server->tls_key) {
		if (!server->tls_certificate || !server->tls_key)
			return kc_error_new(KC_ERR_CONFIG, "TLS needs both a certificate and a key");
		KC_TRY(kc_http_tls_new(server->tls_certificate, server->tls_key, &server->tls));
	}
	KC_TRY(start_sweeper(server));
	if (server->socket)
		KC_TRY(listen_socket(server));
	if (server->listen)
		KC_TRY(listen_tcp(server));
	return NULL;
}

struct kc_error *kc_http_server_start(struct kc_ctx *ctx, const struct kc_http_options *options,
				      struct kc_http_server **server)
{
	struct kc_http_server *made = calloc(1, sizeof(*made));
	unsigned stall_s = options->stall_s ? options->stall_s : KC_HTTP_STALL_S;
	pthread_condattr_t monotonic;
	struct kc_error *err;

	if (!made)
		return kc_error_no_memory();
	made->ctx = ctx;
	made->options = *options;
	made->tcp.server = made->unix_socket.server = made;
	made->unix_socket.is_socket = true;
	pthread_mutex_init(&made->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&made->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	kc_http_connections_init(&made->connections, options->connections, options->connections_per_address,
				 (int64_t)stall_s * 1000);
	err = start(made);
	if (err)
		kc_http_server_stop(made);
	else
		*server = made;
	return err;
}

uint16_t kc_http_server_port(const struct kc_http_server *server)
{
	return server->port;
}

struct kc_error *kc_http_server_reload(struct kc_http_server *server)
{
	return server->tls ? kc_http_tls_load(server->tls, server->tls_certificate, server->tls_key) : NULL;
}

void kc_http_server_close(struct kc_http_server *server)
{
	atomic_store(&server->is_closed, true);
}

/* Handlers may take as long as they need: whoever stops us has seen to it that they end. Clients may not. */
static void wait_for_requests(struct kc_http_server *server)
{
	const struct timespec step = { .tv_nsec = STOP_STEP_MS * 1000000 };

	for (unsigned ms = 0; atomic_load(&server->n_requests) && ms < LAST_ANSWERS_MS; ms += STOP_STEP_MS)
		nanosleep(&step, NULL);
	atomic_store(&server->is_ending, true);
	while (atomic_load(&server->n_busy))
		nanosleep(&step, NULL);
}

static void end_sweeper(struct kc_http_server *server)
{
	if (!server->has_sweeper)
		return;
	pthread_mutex_lock(&server->lock);
	server->has_ended = true;
	pthread_cond_signal(&server->ended);
	pthread_mutex_unlock(&server->lock);
	pthread_join(server->sweeper, NULL);
}

void kc_http_server_stop(struct kc_http_server *server)
{
	if (!server)
		return;
	kc_http_server_close(server);
	wait_for_requests(server);
	if (server->unix_socket.daemon) {
		unlink(server->socket);
		MHD_stop_daemon(server->unix_socket.daemon);
	}
	if (server->tcp.daemon)
		MHD_stop_daemon(server->tcp.daemon);
	end_sweeper(server);
	kc_http_connections_clear(&server->connections);
	kc_http_tls_free(server->tls);
	kc_http_prepared_free(server->no_memory);
	free(server->trusted);
	free(server->listen);
	free(server->socket);
	free(server->spool_dir);
	free(server->tls_certificate);
	free(server->tls_key);
	pthread_cond_destroy(&server->ended);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
