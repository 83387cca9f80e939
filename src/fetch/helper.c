/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fetch/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/array.h"
#include "base/process.h"

/* libcurl brings GnuTLS along, for what we do not use; this saves a tenth of the helper's CPU. */
#define NO_GNUTLS "GNUTLS_NO_IMPLICIT_INIT=1"

/* What of our environment the helper gets: its certificates, its name service, the reports of a sanitizer. */
static const char *const kept_variables[] = { "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "LOCALDOMAIN",
					      "RES_OPTIONS",	"ASAN_OPTIONS",	 "UBSAN_OPTIONS" };

static struct kc_error *make_environment(struct kc_buf *text, char *environment[KC_ARRAY_SIZE(kept_variables) + 2])
{
	size_t offsets[KC_ARRAY_SIZE(kept_variables)], n = 0;

	for (size_t i = 0; i < KC_ARRAY_SIZE(kept_variables); i++) {
		const char *value = getenv(kept_variables[i]);

		if (!value)
			continue;
		offsets[n++] = text->size;
		kc_buf_printf(text, "%s=%s", kept_variables[i], value);
		kc_buf_append(text, "", 1);
	}
	if (text->failed)
		return kc_error_no_memory();
	for (size_t i = 0; i < n; i++)
		environment[i] = text->data + offsets[i];
	environment[n] = (char *)NO_GNUTLS;
	environment[n + 1] = NULL;
	return NULL;
}

/*
 * A session of its own: it cannot type into our terminal. It has nothing of ours but its end of the socket; only a
 * sanitizer's report needs our standard error.
 */
static int spawn_with(const char *path, int socket, char *const environment[], pid_t *pid)
{
	char *const argv[] = { (char *)KC_FETCH_PROGRAM, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_adddup2(&actions, socket, KC_FETCH_SOCKET);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
#ifndef __SANITIZE_ADDRESS__
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#endif
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn(pid, path, &actions, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

static struct kc_error *helper_start(struct kc_ctx *ctx, struct kc_fetch_helper *helper)
{
	kc_autofree char *path = kc_process_helper_path(KC_FETCH_PROGRAM);
	char *environment[KC_ARRAY_SIZE(kept_variables) + 2];
	kc_autobuf struct kc_buf text = { 0 };
	kc_autoclose int theirs = -1;
	int ends[2], err;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(make_environment(&text, environment));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot make a socket");
	helper->socket = ends[0];
	theirs = ends[1];
	err = spawn_with(path, theirs, environment, &helper->pid);
	if (err) {
		helper->pid = 0;
		kc_fetch_helper_stop(helper);
		return kc_error_errno(KC_ERR_SYSTEM, err, "cannot run %s; install kcare again", path);
	}
	kc_debug(ctx, "started %s, process %d", path, (int)helper->pid);
	return NULL;
}

/* EPIPE: it ended already; what it said before is still to be read. */
static struct kc_error *send_packet(struct kc_fetch_helper *helper, const void *packet, size_t size)
{
	ssize_t sent;

	do
		sent = send(helper->socket, packet, size, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0 || errno == EPIPE)
		return NULL;
	kc_fetch_helper_stop(helper);
	return errno == EAGAIN ? kc_error_new(KC_ERR_STALLED, KC_FETCH_PROGRAM " does not take what is to be sent")
			       : kc_error_errno(KC_ERR_SYSTEM, errno, "cannot talk to " KC_FETCH_PROGRAM);
}

struct kc_error *kc_fetch_helper_ask(struct kc_ctx *ctx, struct kc_fetch_helper *helper,
				     const struct kc_fetch_request *request, const char *const texts[KC_FETCH_N_TEXTS],
				     const char *post)
{
	uint8_t packet[KC_FETCH_REQUEST_MAX];
	/* it reads at once what we send, unless somebody took it over */
	struct timeval patience = { request->stall_ms / 1000 + 1, 0 };
	size_t size = kc_fetch_request_encode(request, texts, packet);

	if (!size)
		return kc_error_new(KC_ERR_INPUT, "the address, the proxy and its exceptions are longer than %d bytes",
				    KC_FETCH_TEXT_MAX);
	if (helper->socket < 0)
		KC_TRY(helper_start(ctx, helper));
	setsockopt(helper->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	KC_TRY(send_packet(helper, packet, size));
	for (size_t at = 0; at < request->post_size; at += KC_FETCH_DATA_MAX) {
		size_t left = request->post_size - at;

		KC_TRY(send_packet(helper, post + at, left < KC_FETCH_DATA_MAX ? left : KC_FETCH_DATA_MAX));
	}
	return NULL;
}

/* It closed its end: how did it die? */
static struct kc_error *helper_bury(struct kc_fetch_helper *helper)
{
	siginfo_t info = { 0 };

	/* it may live on without its socket: then we end it */
	for (int i = 0; i < 100 && waitid(P_PID, (id_t)helper->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0; i++) {
		if (info.si_pid)
			break;
		poll(NULL, 0, 10);
	}
	kc_fetch_helper_stop(helper);
	if (!info.si_pid)
		return kc_error_new(KC_ERR_SYSTEM, KC_FETCH_PROGRAM " stopped talking to us");
	if (info.si_code == CLD_EXITED)
		return kc_error_new(KC_ERR_SYSTEM, KC_FETCH_PROGRAM " ended with exit code %d", info.si_status);
	return kc_error_new(KC_ERR_SYSTEM, KC_FETCH_PROGRAM " was ended by signal %d (%s)", info.si_status,
			    strsignal(info.si_status));
}

struct kc_error *kc_fetch_helper_read(struct kc_fetch_helper *helper, int timeout_ms, struct kc_fetch_answer *answer)
{
	struct pollfd fds[] = { { helper->socket, POLLIN, 0 }, { helper->stop_fd, POLLIN, 0 } };
	ssize_t size;
	int n;

	do
		n = poll(fds, 2, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n > 0 && fds[1].revents) {
		kc_fetch_helper_stop(helper);
		return kc_error_new(KC_ERR_BUSY, "downloads were stopped");
	}
	if (n == 0) {
		kc_fetch_helper_stop(helper);
		return kc_error_new(KC_ERR_STALLED, KC_FETCH_PROGRAM " gave no answer in time");
	}
	size = recv(helper->socket, helper->packet, sizeof(helper->packet), 0);
	if (size <= 0)
		return helper_bury(helper);
	if (kc_fetch_answer_decode(helper->packet, (size_t)size, answer))
		return NULL;
	kc_fetch_helper_stop(helper);
	return kc_error_new(KC_ERR_SYSTEM, KC_FETCH_PROGRAM " sent nonsense: it was stopped");
}

void kc_fetch_helper_stop(struct kc_fetch_helper *helper)
{
	if (helper->socket >= 0)
		close(helper->socket);
	helper->socket = -1;
	if (helper->pid > 0) {
		/* without CAP_KILL a service's root cannot; then it ends by itself, a second after its socket */
		int options = kill(helper->pid, SIGKILL) == 0 ? 0 : WNOHANG;

		while (waitpid(helper->pid, NULL, options) < 0 && errno == EINTR)
			continue;
	}
	helper->pid = 0;
}

/* ---- from one kc_fetch to the next ---- */

static void release_kept(void *data)
{
	kc_fetch_helper_stop(data);
	free(data);
}

void kc_fetch_helper_keep(struct kc_ctx *ctx, struct kc_fetch_helper *helper)
{
	struct kc_fetch_helper *kept = helper->socket >= 0 ? malloc(sizeof(*kept)) : NULL;

	if (!kept) {
		kc_fetch_helper_stop(helper);
		return;
	}
	*kept = (struct kc_fetch_helper){ .pid = helper->pid, .socket = kc_steal_fd(&helper->socket), .stop_fd = -1 };
	helper->pid = 0;
	kc_ctx_keep(ctx, kept, release_kept);
}

void kc_fetch_helper_take_kept(struct kc_ctx *ctx, struct kc_fetch_helper *helper)
{
	struct kc_fetch_helper *kept = kc_ctx_take_kept(ctx);
	struct pollfd fd;

	if (!kept)
		return;
	/* whatever it says without being asked, it is not to be trusted, or at its end */
	fd = (struct pollfd){ kept->socket, POLLIN, 0 };
	if (poll(&fd, 1, 0) == 0) {
		helper->pid = kept->pid;
		helper->socket = kc_steal_fd(&kept->socket);
		kept->pid = 0;
	}
	release_kept(kept);
}
