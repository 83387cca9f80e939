/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fleet ADDRESS:PORT KEY [CERTIFICATE]: many agents as one process. Each line that it reads is a job, and is answered
 *with a line of JSON when that is done:
 *
 *	SCRIPT N at-once M	N runs, M of them at any time
 *	SCRIPT N within S	N runs that begin at random moments of S seconds, however long they take
 *
 * SCRIPT is `register`, of agents that are new, or `update`, of those that are registered, in turn; what they say is
 * agent.h's. Times are microseconds: of a run, from when it was due until its last answer; of each connection, with
 * its TLS handshake; of the answers to GET and to check-ins. CERTIFICATE is what the server's is verified with, for
 * the name "localhost"; without it there is no TLS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "agent.h"
#include "base/array.h"
#include "latency.h"

enum {
	OPEN_MAX_RUNS = 20000, /* at any time; who is due later waits, and his time runs */
	EVENTS = 256,
	GRACE_S = 60, /* after the last one was due */
	LONGEST_S = 3600,
	SECOND_US = 1000000,
};

struct run {
	struct agent *agent;
	size_t index, step;
	int64_t due_us, step_us; /* step_us: when the connection or the request of this step began */
	struct link link;
	struct run *next; /* of those that nobody uses */
};

struct job {
	const struct agent_script *script;
	size_t n, n_begun, n_active, n_ended, n_failed, at_once;
	int64_t *due_us; /* relative; NULL: at once */
	int64_t begin_us, end_us;
	char why[64]; /* of the first failure */
	struct latency run, connect, get, checkin;
};

static struct {
	struct sockaddr_in to;
	const char *key;
	SSL_CTX *tls;
	char host[32];
	int epoll;
	struct agent *agents;
	size_t n_agents, next_agent;
	struct run *unused;
} fleet;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "fleet: %s\n", what);
	exit(1);
}

/* ---- one run ---- */

static void end_run(struct job *job, struct run *run, const char *failure)
{
	link_close(&run->link);
	if (failure) {
		job->n_failed++;
		if (!*job->why)
			snprintf(job->why, sizeof(job->why), "%s (step %zu)", failure, run->step + 1);
	} else {
		latency_add(&job->run, now_us() - run->due_us);
	}
	job->n_ended++;
	job->n_active--;
	run->next = fleet.unused;
	fleet.unused = run;
}

static bool open_link(struct run *run)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = run };

	run->step_us = now_us();
	if (!link_open(&run->link, &fleet.to, agent_address(run->index), fleet.tls, "localhost"))
		return false;
	if (epoll_ctl(fleet.epoll, EPOLL_CTL_ADD, run->link.fd, &event))
		die("epoll");
	return true;
}

static void note_answer(struct job *job, const struct run *run, const struct agent_step *step)
{
	if (step->request == AGENT_GET)
		latency_add(&job->get, now_us() - run->step_us);
	else if (step->request == AGENT_CHECKIN)
		latency_add(&job->checkin, now_us() - run->step_us);
}

/* False, here and below: the run has ended. */
static bool ask(struct job *job, struct run *run)
{
	const struct agent_step *step = &job->script->steps[run->step];

	run->step_us = now_us();
	if (!agent_ask(run->agent, run->index, step, fleet.host, fleet.key, &run->link)) {
		end_run(job, run, "a message that cannot be made");
		return false;
	}
	link_ask(&run->link);
	return true;
}

static bool take_answer(struct job *job, struct run *run)
{
	const struct agent_step *step = &job->script->steps[run->step];

	note_answer(job, run, step);
	if (!agent_take(run->agent, step, &run->link)) {
		end_run(job, run, "another answer than expected");
		return false;
	}
	if (++run->step == job->script->n_steps) {
		end_run(job, run, NULL);
		return false;
	}
	if (!step[1].is_on_new_link)
		return ask(job, run);
	link_close(&run->link);
	if (open_link(run))
		return true;
	end_run(job, run, run->link.why);
	return false;
}

static bool take_step(struct job *job, struct run *run)
{
	switch (run->link.state) {
	case LINK_IDLE:
		latency_add(&job->connect, now_us() - run->step_us);
		return ask(job, run);
	case LINK_ANSWERED:
		return take_answer(job, run);
	case LINK_FAILED:
		end_run(job, run, run->link.why);
		return false;
	default: /* it waits */
		return false;
	}
}

/* As far as the run goes without waiting. */
static void go_on(struct job *job, struct run *run)
{
	do
		link_step(&run->link);
	while (take_step(job, run));
}

static struct run *new_run(void)
{
	struct run *run = fleet.unused;

	if (run) {
		fleet.unused = run->next;
		return run;
	}
	run = malloc(sizeof(*run));
	if (!run)
		die("out of memory");
	return run;
}

static void begin_run(struct job *job)
{
	struct run *run = new_run();
	size_t index = fleet.next_agent++ % fleet.n_agents;

	*run = (struct run){ .agent = &fleet.agents[index], .index = index };
	run->due_us = job->due_us ? job->begin_us + job->due_us[job->n_begun] : now_us();
	job->n_begun++;
	job->n_active++;
	if (open_link(run))
		go_on(job, run);
	else
		end_run(job, run, run->link.why);
}

/* ---- a job ---- */

/* Microseconds until the next run begins; -1: nothing is to be waited for but answers. */
static int64_t begin_due_runs(struct job *job)
{
	while (job->n_begun < job->n && job->n_active < job->at_once) {
		int64_t wait = job->due_us ? job->begin_us + job->due_us[job->n_begun] - now_us() : 0;

		if (wait > 0)
			return wait;
		begin_run(job);
	}
	return -1;
}

static void wait_for_events(struct job *job, int64_t wait_us)
{
	struct epoll_event events[EVENTS];
	struct timespec timeout;
	int n;

	if (wait_us < 0 || wait_us > SECOND_US)
		wait_us = SECOND_US;
	timeout = (struct timespec){ .tv_sec = wait_us / SECOND_US, .tv_nsec = wait_us % SECOND_US * 1000 };
	n = epoll_pwait2(fleet.epoll, events, EVENTS, &timeout, NULL);
	if (n < 0 && errno != EINTR)
		die("epoll");
	for (int i = 0; i < n; i++)
		go_on(job, events[i].data.ptr);
}

/* Who has not ended by then never will; the process ends after it has said so. */
static void run_job(struct job *job)
{
	job->begin_us = now_us();
	job->end_us = job->begin_us + (job->due_us ? job->due_us[job->n - 1] + GRACE_S * (int64_t)SECOND_US
						   : LONGEST_S * (int64_t)SECOND_US);
	while (job->n_ended < job->n && now_us() < job->end_us) {
		int64_t wait_us = begin_due_runs(job);

		if (job->n_ended < job->n)
			wait_for_events(job, wait_us);
	}
}

static void print_latency(const char *name, struct latency *latency)
{
	printf(", \"%s\": {\"n\": %zu, \"p50\": %u, \"p99\": %u, \"max\": %u}", name, latency->n,
	       latency_percentile(latency, 50), latency_percentile(latency, 99), latency_percentile(latency, 100));
	latency_clear(latency);
}

static void print_result(struct job *job)
{
	printf("{\"runs\": %zu, \"failed\": %zu, \"late\": %zu, \"why\": \"%s\", \"seconds\": %.3f", job->n,
	       job->n_failed, job->n - job->n_ended, job->why, (double)(now_us() - job->begin_us) / SECOND_US);
	print_latency("run", &job->run);
	print_latency("connect", &job->connect);
	print_latency("get", &job->get);
	print_latency("checkin", &job->checkin);
	puts("}");
	fflush(stdout);
}

static int compare_times(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

	return (one > other) - (one < other);
}

/* The same ones each time: drand48() begins with the same seed. */
static int64_t *random_times(size_t n, size_t seconds)
{
	int64_t *times = calloc(n, sizeof(*times));

	if (!times)
		die("out of memory");
	for (size_t i = 0; i < n; i++)
		times[i] = (int64_t)(drand48() * (double)seconds * SECOND_US);
	qsort(times, n, sizeof(*times), compare_times);
	return times;
}

/* New agents are the ones of the next runs. */
static void add_agents(size_t n)
{
	fleet.agents = realloc(fleet.agents, (fleet.n_agents + n) * sizeof(*fleet.agents));
	if (!fleet.agents)
		die("out of memory");
	memset(fleet.agents + fleet.n_agents, 0, n * sizeof(*fleet.agents));
	fleet.next_agent = fleet.n_agents;
	fleet.n_agents += n;
}

static void do_line(const char *line)
{
	struct job job = { .at_once = OPEN_MAX_RUNS };
	char script[16], how[16];
	size_t number;

	if (sscanf(line, "%15s %zu %15s %zu", script, &job.n, how, &number) != 4 || !job.n || !number)
		die("a job is: SCRIPT N at-once|within NUMBER");
	job.script = agent_script(script);
	if (!job.script)
		die("there is no such script");
	if (!strcmp(script, "register"))
		add_agents(job.n);
	if (!fleet.n_agents)
		die("nobody is registered yet");
	if (!strcmp(how, "within"))
		job.due_us = random_times(job.n, number);
	else if (number < job.at_once)
		job.at_once = number;
	run_job(&job);
	print_result(&job);
	free(job.due_us);
	if (job.n_ended < job.n)
		die("not all ended");
}

/* ---- the program ---- */

/* As libcurl does: TLS 1.2 or newer, HTTP/1.1 by ALPN; a new process has no session to resume. */
static SSL_CTX *new_tls(const char *certificate)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (!tls || !SSL_CTX_load_verify_file(tls, certificate) ||
	    !SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) || SSL_CTX_set_alpn_protos(tls, alpn, sizeof(alpn) - 1))
		die("the certificate cannot be used");
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
	return tls;
}

static void raise_files_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool parse_target(const char *text)
{
	const char *colon = strchr(text, ':');
	char address[16];

	if (!colon || colon - text >= (int)sizeof(address))
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)(colon - text), text);
	fleet.to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1)) };
	snprintf(fleet.host, sizeof(fleet.host), "localhost:%d", atoi(colon + 1));
	return inet_pton(AF_INET, address, &fleet.to.sin_addr) == 1;
}

int main(int argc, char **argv)
{
	char line[128];

	if (argc < 3 || argc > 4 || !parse_target(argv[1])) {
		fputs("usage: fleet ADDRESS:PORT KEY [CERTIFICATE]\n", stderr);
		return 2;
	}
	fleet.key = argv[2];
	fleet.tls = argc == 4 ? new_tls(argv[3]) : NULL;
	fleet.epoll = epoll_create1(EPOLL_CLOEXEC);
	raise_files_limit();
	while (fgets(line, sizeof(line), stdin))
		do_line(line);
	return 0;
}
