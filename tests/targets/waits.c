/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that block in system calls which a ptrace stop would end with a spurious EINTR, and which count what they
 * see: an error that nobody caused, a timeout that comes too early, one that comes much too late. Never patched.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

#define TIMEOUT_MS 150
#define LATE_MS 500 /* a scheduler's hiccup is not our fault; a timeout that starts again with each stop is */

static atomic_long turns, errors, early, late, last_error;
static __thread int wait_fd[2];

static const struct timespec timeout = { .tv_nsec = TIMEOUT_MS * 1000000L };

static void open_epoll(void)
{
	wait_fd[0] = epoll_create1(0);
}

static int wait_epoll(void)
{
	struct epoll_event event;

	return epoll_wait(wait_fd[0], &event, 1, TIMEOUT_MS);
}

static void open_semaphore(void)
{
	wait_fd[0] = semget(IPC_PRIVATE, 1, 0600);
}

static int wait_semaphore(void)
{
	struct sembuf take = { .sem_op = -1 };

	return semtimedop(wait_fd[0], &take, 1, &timeout);
}

static void close_semaphore(void)
{
	semctl(wait_fd[0], 0, IPC_RMID);
}

/* Blocks for ever and is woken by a second thread: semop itself has no timeout. */
static void *feed_semaphore(void *arg)
{
	struct sembuf give = { .sem_op = 1 };

	for (;;) {
		usleep(TIMEOUT_MS * 1000);
		if (semop((int)(long)arg, &give, 1) < 0)
			return NULL;
	}
}

static void open_fed_semaphore(void)
{
	pthread_t thread;

	open_semaphore();
	pthread_create(&thread, NULL, feed_semaphore, (void *)(long)wait_fd[0]);
}

static int wait_fed_semaphore(void)
{
	struct sembuf take = { .sem_op = -1 };

	return semop(wait_fd[0], &take, 1);
}

static void open_socket(void)
{
	struct timeval tv = { .tv_usec = TIMEOUT_MS * 1000 };

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, wait_fd))
		abort();
	setsockopt(wait_fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static int wait_receive(void)
{
	char byte;

	return (int)recv(wait_fd[0], &byte, 1, 0);
}

static void open_nothing(void)
{
}

static int wait_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 9);
	return sigtimedwait(&set, NULL, &timeout);
}

static int wait_nanosleep(void)
{
	return nanosleep(&timeout, NULL);
}

static int wait_poll(void)
{
	return poll(NULL, 0, TIMEOUT_MS);
}

static int wait_select(void)
{
	struct timeval tv = { .tv_usec = TIMEOUT_MS * 1000 };

	return select(0, NULL, NULL, NULL, &tv);
}

static void open_queue(void)
{
	wait_fd[0] = msgget(IPC_PRIVATE, 0600);
}

/* msgrcv has no timeout: a fed queue. */
static void *feed_queue(void *arg)
{
	struct {
		long type;
		char text[1];
	} message = { .type = 1 };

	for (;;) {
		usleep(TIMEOUT_MS * 1000);
		if (msgsnd((int)(long)arg, &message, 1, 0) < 0)
			return NULL;
	}
}

static void open_fed_queue(void)
{
	pthread_t thread;

	open_queue();
	pthread_create(&thread, NULL, feed_queue, (void *)(long)wait_fd[0]);
}

static int wait_queue(void)
{
	struct {
		long type;
		char text[1];
	} message;

	return (int)msgrcv(wait_fd[0], &message, 1, 0, 0);
}

static void close_queue(void)
{
	msgctl(wait_fd[0], IPC_RMID, NULL);
}

static const struct wait {
	const char *name;
	void (*open)(void);
	int (*wait)(void);
	void (*close)(void);
	int times_out;
} waits[] = {
	{ "epoll_wait", open_epoll, wait_epoll, NULL, 1 },
	{ "semop", open_fed_semaphore, wait_fed_semaphore, close_semaphore, 0 },
	{ "semtimedop", open_semaphore, wait_semaphore, close_semaphore, 1 },
	{ "recv", open_socket, wait_receive, NULL, 1 },
	{ "sigtimedwait", open_nothing, wait_signal, NULL, 1 },
	{ "nanosleep", open_nothing, wait_nanosleep, NULL, 1 },
	{ "poll", open_nothing, wait_poll, NULL, 1 },
	{ "select", open_nothing, wait_select, NULL, 1 },
	{ "msgrcv", open_fed_queue, wait_queue, close_queue, 0 },
};

static atomic_int stop, running;

static long elapsed_us(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - from->tv_sec) * 1000000 + (now.tv_nsec - from->tv_nsec) / 1000;
}

static void judge(const struct wait *w, int result, int error, long us)
{
	if (result < 0 && error != EAGAIN && error != EWOULDBLOCK) {
		atomic_fetch_add(&errors, 1);
		atomic_store(&last_error, error);
	} else if (w->times_out && us < TIMEOUT_MS * 1000 - 1100) {
		atomic_fetch_add(&early, 1);
	} else if (us > LATE_MS * 1000) {
		atomic_fetch_add(&late, 1);
	}
	atomic_fetch_add(&turns, 1);
}

static void *wait_loop(void *arg)
{
	const struct wait *w = arg;

	w->open();
	while (!atomic_load(&stop)) {
		struct timespec from;

		clock_gettime(CLOCK_MONOTONIC, &from);
		int result = w->wait();

		judge(w, result, errno, elapsed_us(&from));
	}
	if (w->close)
		w->close();
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* "wait KIND": one more thread that waits like this. */
static long run_wait(const char *name)
{
	sigset_t set;
	pthread_t thread;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 9);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		if (strcmp(waits[i].name, name))
			continue;
		atomic_store(&stop, 0);
		atomic_fetch_add(&running, 1);
		return pthread_create(&thread, NULL, wait_loop, (void *)&waits[i]);
	}
	return -1;
}

/* Ends all waiting threads, so that the System V objects go away. */
static long run_wait_end(const char *argument)
{
	(void)argument;
	atomic_store(&stop, 1);
	for (int i = 0; i < 200 && atomic_load(&running); i++)
		usleep(10000);
	return atomic_load(&running);
}

#define COUNTER(name)                                \
	static long run_##name(const char *argument) \
	{                                            \
		(void)argument;                      \
		return atomic_load(&name);           \
	}

COUNTER(turns)
COUNTER(errors)
COUNTER(early)
COUNTER(late)
COUNTER(last_error)

const struct command wait_commands[] = {
	{ "wait", run_wait },
	{ "wait-end", run_wait_end },
	{ "wait-turns", run_turns },
	{ "wait-errors", run_errors },
	{ "wait-early", run_early },
	{ "wait-late", run_late },
	{ "wait-errno", run_last_error },
	{ NULL, NULL },
};
