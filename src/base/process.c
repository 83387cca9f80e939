/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

enum { DEFAULT_OUTPUT_LIMIT = 64 << 20 };

struct stream {
	int fd; /* read end of the pipe, -1 when closed or not captured */
	struct kc_buf *buf;
};

/* In the child, after fork: only async-signal-safe calls. */
static void child_exec(const struct kc_process *process, int out, int err)
{
	int in = open(process->input_path ? process->input_path : "/dev/null", O_RDONLY | O_CLOEXEC);

	if (in < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
		_exit(126);
	if (process->dir && chdir(process->dir) < 0)
		_exit(126);
	for (const char *const *env = process->env; env && *env; env++)
		putenv((char *)*env);
	execvp(process->argv[0], (char *const *)process->argv);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Reads what is there; closes the stream at its end. */
static void stream_read(struct stream *stream, size_t limit)
{
	char chunk[16384];
	ssize_t n = read(stream->fd, chunk, sizeof(chunk));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		close(stream->fd);
		stream->fd = -1;
		return;
	}
	if (stream->buf->size < limit) {
		size_t room = limit - stream->buf->size;

		kc_buf_append(stream->buf, chunk, (size_t)n < room ? (size_t)n : room);
	}
}

static void streams_drain(struct stream streams[2], size_t limit)
{
	while (streams[0].fd >= 0 || streams[1].fd >= 0) {
		struct pollfd fds[2] = { { streams[0].fd, POLLIN, 0 }, { streams[1].fd, POLLIN, 0 } };

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				stream_read(&streams[i], limit);
	}
}

/* Opens the write end for one stream of the child: a pipe when it is captured, else /dev/null. */
static int stream_open(struct stream *stream, struct kc_buf *buf)
{
	int ends[2];

	stream->fd = -1;
	stream->buf = buf;
	if (!buf)
		return open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	stream->fd = ends[0];
	return ends[1];
}

int kc_process_run(const struct kc_process *process, int *exit_code)
{
	size_t limit = process->output_limit ? process->output_limit : DEFAULT_OUTPUT_LIMIT;
	struct stream streams[2] = { { -1, NULL }, { -1, NULL } };
	kc_autoclose int out = -1, err = -1;
	int status;
	pid_t pid;

	out = stream_open(&streams[0], process->output);
	err = process->errors ? stream_open(&streams[1], process->errors) : fcntl(out, F_DUPFD_CLOEXEC, 3);
	pid = out < 0 || err < 0 ? -1 : fork();
	if (pid == 0)
		child_exec(process, out, err);
	if (pid < 0) {
		int errnum = errno;

		kc_cleanup_fd(&streams[0].fd);
		kc_cleanup_fd(&streams[1].fd);
		return -errnum;
	}
	close(kc_steal_fd(&out));
	close(kc_steal_fd(&err));
	streams_drain(streams, limit);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	*exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return 0;
}

char *kc_process_helper_path(const char *name)
{
	char self[PATH_MAX], *path = NULL;
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[size < 0 ? 0 : size] = '\0';
	slash = strrchr(self, '/');
	if (slash && asprintf(&path, "%.*s/%s", (int)(slash - self), self, name) < 0)
		return NULL;
	if (path && access(path, X_OK) == 0)
		return path;
	free(path);
	return asprintf(&path, "%s/%s", KC_LIBEXECDIR, name) < 0 ? NULL : path;
}
