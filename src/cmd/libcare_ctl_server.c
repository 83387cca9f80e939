/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcare-ctl server: keeps every process of the host patched. Signals, names, messages; the work is in apply/. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "apply/user_server.h"
#include "base/file.h"
#include "cmd/libcare_common.h"
#include "cmd/notify.h"

#define NAME KC_USER_SERVER_NAME
#define PRIORITY (-10)
#define LOG_BURST 50
#define LOG_PER_SECOND 5

/* Messages for the journal; a host where everything goes wrong does not fill it. */
struct journal {
	double tokens;
	struct timespec at;
	unsigned long n_left_out;
};

struct service {
	const char *dir;
	struct libcare_host host;
};

static bool may_log(struct journal *journal)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	journal->tokens +=
		((double)(now.tv_sec - journal->at.tv_sec) + (double)(now.tv_nsec - journal->at.tv_nsec) / 1e9) *
		LOG_PER_SECOND;
	if (journal->tokens > LOG_BURST)
		journal->tokens = LOG_BURST;
	journal->at = now;
	if (journal->tokens < 1) {
		journal->n_left_out++;
		return false;
	}
	journal->tokens--;
	return true;
}

static void log_to_journal(void *data, enum kc_log_level level, const char *message)
{
	static const char *const kinds[] = { "error: ", "warning: ", "", "debug: " };
	kc_autobuf struct kc_buf line = { 0 };
	struct journal *journal = data;

	if (!may_log(journal))
		return;
	if (journal->n_left_out)
		kc_buf_printf(&line, NAME ": %lu messages were left out\n", journal->n_left_out);
	journal->n_left_out = 0;
	kc_buf_printf(&line, NAME ": %s", kinds[level]);
	for (const char *c = message; *c; c++)
		kc_buf_append(&line, (unsigned char)*c < ' ' || *c == 127 ? "?" : c, 1);
	kc_buf_append_str(&line, "\n");
	/* One write for a line: a child may be writing, too. */
	if (!line.failed)
		kc_fd_write(STDERR_FILENO, line.data, line.size);
}

static struct kc_error *load(struct kc_ctx *ctx, void *data, struct kc_user_policy *policy)
{
	KC_CLEANUP_LIBCARE_HOST struct libcare_host loaded = { 0 };
	struct service *service = data;

	KC_TRY(libcare_host_load(ctx, service->dir, &loaded));
	libcare_host_clear(&service->host);
	service->host = loaded;
	memset(&loaded, 0, sizeof(loaded));
	*policy = libcare_host_policy(&service->host, 0);
	kc_info(ctx, "%zu patches in %s", kc_user_index_size(service->host.index), service->dir);
	return NULL;
}

static void ready(struct kc_ctx *ctx, void *data)
{
	(void)data;
	kc_info(ctx, "ready: all processes were looked at");
	notify_systemd(ctx, "READY=1");
}

/*
 * Both names of the process, comm and command line, become libcare-server: audit rules and administrators look for it.
 * The command line is overwritten in place, from the program's own name to the end of the last argument.
 */
static void rename_process(int argc, char **argv, const char *dir)
{
	char *start = program_invocation_name, *end = argv[argc - 1] + strlen(argv[argc - 1]);

	prctl(PR_SET_NAME, NAME);
	if (start >= end || (size_t)(end - start) < strlen(NAME) + 1 + strlen(dir))
		return;
	memset(start, 0, (size_t)(end - start));
	snprintf(start, (size_t)(end - start) + 1, NAME "%c%s", '\0', dir);
}

static struct kc_error *take_signals(int *fd)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	*fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return *fd < 0 ? kc_error_errno(KC_ERR_SYSTEM, errno, "cannot receive signals") : NULL;
}

static struct kc_error *serve(struct kc_ctx *ctx, const char *dir)
{
	struct service service = { .dir = dir };
	struct kc_user_server server = { .load = load, .ready = ready, .data = &service };
	kc_autoclose int fd = -1;
	struct kc_error *err = take_signals(&fd);

	if (err)
		return err;
	server.signal_fd = fd;
	err = kc_user_server_run(ctx, &server);
	notify_systemd(ctx, "STOPPING=1");
	if (!err)
		kc_info(ctx, "ending; processes stay as they are");
	libcare_host_clear(&service.host);
	return err;
}

struct kc_error *libcare_server_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = {
		{ "quiet", no_argument, NULL, 'q' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct journal journal = { .tokens = LOG_BURST };
	enum kc_log_level level = KC_LOG_INFO;
	kc_autofree char *dir = NULL;
	struct kc_error *err;
	int option;

	while ((option = getopt_long(argc, argv, ":qv", options, NULL)) != -1) {
		if (option == 'q')
			level = KC_LOG_ERROR;
		else if (option == 'v')
			level = KC_LOG_DEBUG;
		else
			return kc_command_bad_option(option, argv);
	}
	KC_TRY(kc_command_need_arguments(argc, 1, "DIR"));
	dir = strdup(argv[optind]);
	if (!dir)
		return kc_error_no_memory();
	clock_gettime(CLOCK_MONOTONIC, &journal.at);
	kc_ctx_set_log(ctx, level, log_to_journal, &journal);
	rename_process(argc, argv, dir);
	/* What is to be patched runs already: do not wait behind it. Without the right to it, go on as we are. */
	setpriority(PRIO_PROCESS, 0, PRIORITY);
	err = serve(ctx, dir);
	kc_terminal_open(terminal, "libcare-ctl", ctx); /* the journal ends here */
	return err;
}
